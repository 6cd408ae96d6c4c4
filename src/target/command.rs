//! A command line as a target: what can be known to be wrong with it before anything is measured, and how it is started.

use std::ffi::OsString;
use std::path::PathBuf;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::{
    Error, Hook, Hooks, Invocation, Kind, Metric, PROCS, Procs, Service, Target, fill, gomaxprocs, hook,
    name, program,
};
use crate::quote::one_line;

/// Any command line and what surrounds it; `{procs}` is not yet replaced in its templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Command {
    /// Program and arguments; with a shell, one word for it to run.
    pub argv: Vec<String>,
    /// `NAME` or `NAME=TEMPLATE`, as given by `--env` or a preset.
    pub envs: Vec<String>,
    /// Where its throughput comes from.
    pub metric: Metric,
    /// The regular expression that finds its 99th percentile latency in its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_metric: Option<String>,
    /// The shell that runs it; `None` means it is started directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
    /// Its working directory; `None` means the tool's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// The file that is its standard input; `None` means an empty one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<PathBuf>,
    /// What runs around its samples.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// What makes it a server; `None` means it is none, and its own run is the sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Box<Service>>,
}

impl Command {
    /// Checks what does not depend on the worker count.
    fn check(&self) -> Result<(), Error> {
        let program = self.argv.first().ok_or_else(|| invalid("there is no command after `--`"))?;
        let hooks = self.hooks.each().map(|(_, command)| command);
        if let Some(word) = self.argv.iter().chain(&self.envs).chain(hooks).find(|word| word.contains('\0')) {
            return Err(invalid(format!(
                "`{}` has a zero byte, which no program can be given",
                one_line(word)
            )));
        }
        if let Some(env) = self.envs.iter().find(|env| env.is_empty() || env.starts_with('=')) {
            return Err(invalid(format!(
                "`--env {}` names no variable; write `NAME` or `NAME=TEMPLATE`",
                one_line(env)
            )));
        }
        if let Some(cwd) = &self.cwd {
            program::check_directory(cwd)?;
        }
        if let Some(stdin) = &self.stdin {
            program::check_stdin(stdin)?;
        }
        match &self.shell {
            Some(_) if self.argv.len() > 1 => {
                return Err(invalid(
                    "`--shell` takes the command as one word; put quotes around what stands after `--`",
                ));
            }
            Some(shell) => program::find(shell, self.cwd.as_deref())?,
            None if program.contains(PROCS) => {}
            None => program::find(program, self.cwd.as_deref())?,
        }
        match &self.metric {
            Metric::Output { regex, .. } => drop(compile("--metric", regex)?),
            Metric::Wall { ops } if ops.contains(PROCS) => {}
            Metric::Wall { ops } => drop(operations(ops, ops)?),
        }
        if let Some(regex) = &self.latency_metric {
            compile("--latency-metric", regex)?;
        }
        if let Some(service) = &self.service {
            service.check(self.shell.as_deref(), self.cwd.as_deref())?;
        }
        hook::check(&self.hooks)
    }

    /// Checks that it can be started with `count` workers.
    fn check_count(&self, count: u32) -> Result<(), Error> {
        let template = self.argv.first().filter(|word| self.shell.is_none() && word.contains(PROCS));
        if let Some(template) = template {
            program::find(&fill(template, count), self.cwd.as_deref())?;
        }
        if let Metric::Wall { ops } = &self.metric {
            operations(ops, &fill(ops, count))?;
        }
        self.service
            .iter()
            .try_for_each(|service| service.check_count(count, self.shell.is_some(), self.cwd.as_deref()))
    }

    /// Checks that it can be started with no worker count at all: variables are left out, but an argument cannot be.
    fn check_default(&self) -> Result<(), Error> {
        let ops = match &self.metric {
            Metric::Wall { ops } => Some(ops),
            Metric::Output { .. } => None,
        };
        let of_load = self.service.iter().flat_map(|service| &service.load.argv);
        let argument = self.argv.iter().chain(of_load).map(|word| ("argument", word));
        let prepare = self.hooks.prepare.iter().map(|command| ("hook `--prepare`", command));
        let mut templates = argument.chain(ops.map(|ops| ("option `--ops`", ops))).chain(prepare);
        match templates.find(|(_, template)| template.contains(PROCS)) {
            None => Ok(()),
            Some((what, template)) => Err(invalid(format!(
                "`--with-default` cannot leave out {{procs}} in the {what} `{}`; set the worker count by `--env`, or leave out `--with-default`",
                one_line(template)
            ))),
        }
    }

    /// How it is started at a point of a sweep.
    pub(super) fn invocation(&self, procs: Procs) -> Invocation {
        let mut words = self.argv.iter().map(|word| OsString::from(fill(word, procs)));
        let (program, args) = match &self.shell {
            Some(shell) => (shell.into(), [OsString::from("-c")].into_iter().chain(words).collect()),
            None => (words.next().unwrap_or_default(), words.collect()),
        };
        Invocation {
            program,
            args,
            env: self.env(procs),
            directory: self.cwd.clone(),
            stdin: self.stdin.clone(),
        }
    }

    /// How its load generator is started, if it is a server.
    pub(super) fn load(&self, procs: Procs) -> Option<Invocation> {
        let service = self.service.as_deref()?;
        Some(service.invocation(procs, self.shell.as_deref(), self.cwd.as_deref()))
    }

    /// All words of its roles.
    fn words(&self) -> Vec<String> {
        self.argv.iter().chain(self.service.iter().flat_map(|service| &service.load.argv)).cloned().collect()
    }

    /// What is set in its environment; nothing for the default.
    fn env(&self, procs: Procs) -> Vec<(OsString, OsString)> {
        let Some(count) = procs.count() else { return Vec::new() };
        [gomaxprocs(count)].into_iter().chain(self.envs.iter().map(|env| variable(env, count))).collect()
    }

    /// How one of its hooks is started, if there is such a hook.
    pub(super) fn hook(&self, hook: Hook) -> Option<Invocation> {
        let command = self.hooks.get(hook)?;
        let (command, env) = match hook {
            Hook::Prepare(procs) => (fill(command, procs), self.env(procs)),
            Hook::Setup | Hook::Cleanup => (command.to_owned(), Vec::new()),
        };
        Some(Invocation {
            program: "sh".into(),
            args: vec!["-c".into(), command.into()],
            env,
            directory: self.cwd.clone(),
            stdin: None,
        })
    }
}

impl Target {
    /// A command line as a target. `name` is made from the command line if there is none, `unit` is `ops/s`,
    /// or `metric` where `--metric` is read, if there is none. What depends on the worker count is left to [`Target::check_procs`].
    ///
    /// # Errors
    /// In one line: the program or a file is not there or may not be used, or a variable's name, a regular expression,
    /// the operations, a hook or the name cannot be.
    pub fn command(command: Command, unit: Option<&str>, name: Option<&str>) -> Result<Self, Error> {
        command.check()?;
        if let Some(name) = name {
            name::check(name)?;
        }
        Ok(Self {
            name: name.map_or_else(|| name::slug(&command.words()), str::to_owned),
            unit: unit.unwrap_or(usual_unit(&command.metric)).to_owned(),
            kind: Kind::Command(command),
        })
    }

    /// Whether it can be started at each of `procs`, as far as its templates decide.
    ///
    /// # Errors
    /// In one line: at one of them the program is not there, or `--ops` is not a positive number; or the default is one
    /// of them, and a worker count stands where it cannot be left out.
    pub fn check_procs(&self, procs: &[Procs]) -> Result<(), Error> {
        let Kind::Command(command) = &self.kind else { return Ok(()) };
        procs.iter().try_for_each(|procs| match procs {
            Procs::Count(count) => command.check_count(*count),
            Procs::Default => command.check_default(),
        })
    }
}

/// What a throughput is labelled if nothing names its unit: what `--metric` reads may be anything.
fn usual_unit(metric: &Metric) -> &'static str {
    match metric {
        Metric::Wall { .. } => "ops/s",
        Metric::Output { lower_is_better: false, .. } => "metric",
        Metric::Output { lower_is_better: true, .. } => "1/metric",
    }
}

/// The variable that `--env NAME` or `--env NAME=TEMPLATE` sets.
pub(super) fn variable(env: &str, procs: u32) -> (OsString, OsString) {
    let (name, template) = env.split_once('=').unwrap_or((env, PROCS));
    (name.into(), fill(template, procs).into())
}

/// The regular expression of `option`.
///
/// # Errors
/// In one line: it is none, or it has no group.
pub(super) fn compile(option: &str, regex: &str) -> Result<Regex, Error> {
    let compiled = Regex::new(regex).map_err(|error| {
        // A syntax error is drawn over several lines; the last says what it is.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        invalid(format!("`{option} {}` is not a regular expression: {why}", one_line(regex)))
    })?;
    if compiled.captures_len() < 2 {
        let regex = one_line(regex);
        return Err(invalid(format!(
            "`{option} {regex}` has no group; put the number's part in parentheses"
        )));
    }
    Ok(compiled)
}

/// The number that `filled`, made from the template `ops`, is.
///
/// # Errors
/// It is not positive and finite.
pub(super) fn operations(ops: &str, filled: &str) -> Result<f64, Error> {
    let number = filled.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| {
        let becomes =
            if ops == filled { String::new() } else { format!(" becomes `{}`, which", one_line(filled)) };
        invalid(format!("`--ops {}`{becomes} is not a positive number", one_line(ops)))
    })
}

pub(super) fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// A target of a command line without anything around it.
    fn bare(
        argv: &[String],
        envs: &[String],
        metric: Metric,
        unit: Option<&str>,
        name: Option<&str>,
    ) -> Result<Target, Error> {
        let command = Command { argv: argv.to_vec(), envs: envs.to_vec(), metric, ..Command::default() };
        Target::command(command, unit, name)
    }

    fn wall(ops: &str) -> Metric {
        Metric::Wall { ops: ops.to_owned() }
    }

    fn output(regex: &str) -> Metric {
        Metric::Output { regex: regex.to_owned(), lower_is_better: false }
    }

    #[track_caller]
    fn refused(result: Result<impl std::fmt::Debug, Error>, part: &str) {
        let error = result.expect_err("it has to be refused").to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn the_worker_count_goes_into_arguments_and_variables() {
        let envs = ["OMP_NUM_THREADS", "OPTS=-j{procs} -x={procs}", "EMPTY="].map(str::to_owned);
        let target = bare(&words("sh -c {procs} a{procs}b"), &envs, wall("1"), None, None).unwrap();
        let invocation = target.invocation(12);
        assert_eq!(invocation.program, "sh");
        assert_eq!(invocation.args, ["-c", "12", "a12b"]);
        let env: Vec<(&str, &str)> = invocation
            .env
            .iter()
            .map(|(name, value)| (name.to_str().unwrap(), value.to_str().unwrap()))
            .collect();
        let expected =
            [("GOMAXPROCS", "12"), ("OMP_NUM_THREADS", "12"), ("OPTS", "-j12 -x=12"), ("EMPTY", "")];
        assert_eq!(env, expected);
        assert_eq!(
            (target.unit.as_str(), target.is_workload(), target.needs_output()),
            ("ops/s", false, true)
        );
    }

    #[test]
    fn by_default_nothing_is_set_and_what_cannot_be_left_out_is_refused() {
        let command = |argv: &str, ops: &str| {
            bare(&words(argv), &["N={procs}".to_owned()], wall(ops), None, None).unwrap()
        };
        let invocation = command("sh -c x", "1").invocation(Procs::Default);
        assert_eq!((invocation.args.len(), invocation.env), (2, vec![]));
        let both = [Procs::Count(1), Procs::Default];
        command("sh -c x", "1").check_procs(&both).unwrap();
        refused(command("sh -j{procs}", "1").check_procs(&both), "argument `-j{procs}`");
        refused(command("sh", "{procs}").check_procs(&both), "`--ops`");
        command("sh -j{procs}", "1").check_procs(&both[..1]).unwrap();
    }

    #[test]
    fn a_name_and_a_unit_can_be_given() {
        let target = bare(&words("sh"), &[], output("(x)"), Some("MB/s"), Some("mine")).unwrap();
        assert_eq!(
            (target.name.as_str(), target.unit.as_str(), target.needs_output()),
            ("mine", "MB/s", true)
        );
        let unit = |metric| bare(&words("sh"), &[], metric, None, None).unwrap().unit;
        let cost = Metric::Output { regex: "(x)".to_owned(), lower_is_better: true };
        assert_eq!(unit(wall("1")), "ops/s");
        assert_eq!((unit(output("(x)")).as_str(), unit(cost).as_str()), ("metric", "1/metric"));
        refused(bare(&words("sh"), &[], wall("1"), None, Some("../x")), "`../x`");
        refused(target.with_name("a/b"), "`a/b`");
    }

    #[test]
    fn a_program_that_cannot_run_is_refused_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let try_program = |program: &str| bare(&[program.to_owned()], &[], wall("1"), None, None);
        refused(try_program("/no/such"), "/no/such");
        refused(try_program("no-such-program-here"), "on PATH");
        refused(try_program(""), "on PATH");
        refused(try_program(folder.path().to_str().unwrap()), "folder");
        refused(try_program(plain.to_str().unwrap()), "chmod");
        refused(bare(&[], &[], wall("1"), None, None), "no command");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        try_program(plain.to_str().unwrap()).unwrap();
    }

    #[test]
    fn a_program_made_from_the_worker_count_is_checked_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("app-2");
        fs::write(&place, "").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        let template = folder.path().join("app-{procs}").to_str().unwrap().to_owned();
        let target = bare(&[template], &[], wall("1"), None, None).unwrap();
        target.check_procs(&[2.into()]).unwrap();
        refused(target.check_procs(&[2.into(), 4.into()]), "app-4");
    }

    #[test]
    fn variables_need_a_name() {
        for env in ["", "=x", "A\0B"] {
            refused(bare(&words("sh"), &[env.to_owned()], wall("1"), None, None), "`");
        }
    }

    #[test]
    fn a_metric_is_a_regular_expression_with_a_group() {
        let try_metric = |regex: &str| bare(&words("sh"), &[], output(regex), None, None);
        refused(try_metric("(["), "unclosed character class");
        refused(try_metric("x=[0-9]+"), "no group");
        refused(try_metric("x{1000000000}(y)"), "regular expression");
        try_metric("x=([0-9]+)").unwrap();
    }

    #[test]
    fn operations_are_a_positive_number_at_every_worker_count() {
        let try_ops = |ops: &str| bare(&words("sh"), &[], wall(ops), None, None);
        for ops in ["0", "-1", "x", "", "nan", "inf", "1,000"] {
            refused(try_ops(ops), &format!("`--ops {ops}`"));
        }
        let both = [Procs::Count(1), Procs::Count(2)];
        try_ops("1e6").unwrap().check_procs(&both).unwrap();
        try_ops("{procs}000").unwrap().check_procs(&both).unwrap();
        refused(try_ops("-{procs}").unwrap().check_procs(&both), "`-1`");
    }

    #[test]
    fn a_shell_takes_one_word_and_its_worker_count() {
        let shell = |argv: &[&str]| {
            let argv = argv.iter().map(|word| (*word).to_owned()).collect();
            Target::command(Command { argv, shell: Some("sh".to_owned()), ..Command::default() }, None, None)
        };
        let invocation = shell(&["no-such-program -j{procs} | x"]).unwrap().invocation(4);
        assert_eq!(
            (invocation.program, invocation.args),
            ("sh".into(), vec!["-c".into(), "no-such-program -j4 | x".into()])
        );
        refused(shell(&["echo", "x"]), "one word");
        refused(shell(&[]), "no command");
    }

    #[test]
    fn a_preparation_knows_its_sample_and_the_others_know_none() {
        let all = ["a", "b {procs}", "c"].map(|command| Some(command.to_owned()));
        let [setup, prepare, cleanup] = all;
        let command = Command {
            argv: words("sh"),
            envs: vec!["N={procs}".to_owned()],
            hooks: Hooks { setup, prepare, cleanup },
            ..Command::default()
        };
        let target = Target::command(command, None, None).unwrap();
        let prepare = target.hook(Hook::Prepare(3.into())).unwrap();
        assert_eq!((prepare.args[1].to_str(), prepare.env.len()), (Some("b 3"), 2));
        for (hook, line) in [(Hook::Setup, "a"), (Hook::Cleanup, "c")] {
            let invocation = target.hook(hook).unwrap();
            assert_eq!((invocation.args[1].to_str(), invocation.env), (Some(line), vec![]));
        }
        refused(target.check_procs(&[Procs::Default]), "hook `--prepare` `b {procs}`");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is typed, it is a target that can be started or one line says why not; and in what is started no worker
        /// count is left to replace, but for what the text around it makes of it.
        #[test]
        fn any_command_line_is_started_as_typed_or_refused_in_one_line(
            argv in prop::collection::vec("(\\{procs\\}|\\PC|[a-z={}/]){0,6}", 0..4),
            envs in prop::collection::vec("[A-Z]{0,3}=?(\\{procs\\}|.){0,4}", 0..3),
            (regex, ops) in (".{0,8}", "(\\{procs\\}|[0-9]|.){0,4}"),
            is_wall in any::<bool>(), is_shell in any::<bool>(), count in 1u32..4096,
        ) {
            let metric = if is_wall { Metric::Wall { ops } } else { Metric::Output { regex, lower_is_better: false } };
            let shell = is_shell.then(|| "sh".to_owned());
            let command = Command { argv: argv.clone(), envs: envs.clone(), metric, shell, ..Command::default() };
            let target = match Target::command(command, None, None) {
                Err(error) => {
                    prop_assert!(!error.to_string().contains('\n'), "{}", error);
                    return Ok(());
                }
                Ok(target) => target,
            };
            for procs in [Procs::Count(count), Procs::Default] {
                if let Err(error) = target.check_procs(&[procs]) {
                    prop_assert!(!error.to_string().contains('\n'), "{}", error);
                }
            }
            let invocation = target.invocation(count);
            let started: Vec<String> = [invocation.program].into_iter().chain(invocation.args)
                .map(|word| word.into_string().unwrap()).skip(if is_shell { 2 } else { 0 }).collect();
            let expected: Vec<String> = argv.iter().map(|word| word.split(PROCS).collect::<Vec<_>>().join(&count.to_string())).collect();
            prop_assert_eq!(started, expected);
            prop_assert_eq!(invocation.env.len(), 1 + envs.len());
            prop_assert!(target.invocation(Procs::Default).env.is_empty());
        }
    }
}
