//! A command line as a target: what can be known to be wrong with it before anything is measured.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use regex::bytes::Regex;
use rustix::fs::Access;

use super::{Error, Kind, Metric, PROCS, Procs, Target, fill, name};
use crate::quote::{self, one_line};

impl Target {
    /// A command line as a target. `name` is made from the command line if there is none, `unit` is `ops/s` if there is
    /// none. What depends on the worker count is left to [`Target::check_procs`].
    ///
    /// # Errors
    /// In one line: the program is not there or may not be executed, a variable's name, the regular expression, the
    /// operations or the name cannot be.
    pub fn command(
        argv: &[String],
        envs: &[String],
        metric: Metric,
        unit: Option<&str>,
        name: Option<&str>,
    ) -> Result<Self, Error> {
        let program = argv.first().ok_or_else(|| invalid("there is no command after `--`"))?;
        if let Some(word) = argv.iter().chain(envs).find(|word| word.contains('\0')) {
            return Err(invalid(format!(
                "`{}` has a zero byte, which no program can be given",
                one_line(word)
            )));
        }
        if let Some(env) = envs.iter().find(|env| env.is_empty() || env.starts_with('=')) {
            return Err(invalid(format!(
                "`--env {}` names no variable; write `NAME` or `NAME=TEMPLATE`",
                one_line(env)
            )));
        }
        if !program.contains(PROCS) {
            find_program(program, env::var_os("PATH").as_deref())?;
        }
        match &metric {
            Metric::Output { regex, .. } => drop(compile(regex)?),
            Metric::Wall { ops } if ops.contains(PROCS) => {}
            Metric::Wall { ops } => drop(operations(ops, ops)?),
        }
        if let Some(name) = name {
            name::check(name)?;
        }
        Ok(Self {
            name: name.map_or_else(|| name::slug(argv), str::to_owned),
            unit: unit.unwrap_or("ops/s").to_owned(),
            kind: Kind::Command { argv: argv.to_vec(), envs: envs.to_vec(), metric },
        })
    }

    /// Whether it can be started at each of `procs`, as far as its templates decide.
    ///
    /// # Errors
    /// In one line: at one of them the program is not there, or `--ops` is not a positive number; or the default is one
    /// of them, and a worker count stands where it cannot be left out.
    pub fn check_procs(&self, procs: &[Procs]) -> Result<(), Error> {
        let Kind::Command { argv, metric, .. } = &self.kind else { return Ok(()) };
        if procs.contains(&Procs::Default) {
            self.check_default()?;
        }
        let path = env::var_os("PATH");
        for n in procs.iter().filter_map(|procs| procs.count()) {
            if let Some(program) = argv.first().filter(|program| program.contains(PROCS)) {
                find_program(&fill(program, n), path.as_deref())?;
            }
            if let Metric::Wall { ops } = metric {
                operations(ops, &fill(ops, n))?;
            }
        }
        Ok(())
    }

    /// Whether it can be started with no worker count at all: variables are left out, but an argument cannot be.
    fn check_default(&self) -> Result<(), Error> {
        let Kind::Command { argv, metric, .. } = &self.kind else { return Ok(()) };
        let ops = match metric {
            Metric::Wall { ops } => Some(ops),
            Metric::Output { .. } => None,
        };
        let argument = argv.iter().map(|word| ("argument", word));
        let mut templates = argument.chain(ops.map(|ops| ("option `--ops`", ops)));
        match templates.find(|(_, template)| template.contains(PROCS)) {
            None => Ok(()),
            Some((what, template)) => Err(invalid(format!(
                "`--with-default` cannot leave out {{procs}} in the {what} `{}`; set the worker count by `--env`, or leave out `--with-default`",
                one_line(template)
            ))),
        }
    }
}

/// The variable that `--env NAME` or `--env NAME=TEMPLATE` sets.
pub(super) fn variable(env: &str, procs: u32) -> (OsString, OsString) {
    let (name, template) = env.split_once('=').unwrap_or((env, PROCS));
    (name.into(), fill(template, procs).into())
}

/// The regular expression of `--metric`.
///
/// # Errors
/// In one line: it is none, or it has no group.
pub(super) fn compile(regex: &str) -> Result<Regex, Error> {
    let compiled = Regex::new(regex).map_err(|error| {
        // A syntax error is drawn over several lines; the last says what it is.
        let text = error.to_string();
        let why = text.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        invalid(format!("`--metric {}` is not a regular expression: {why}", one_line(regex)))
    })?;
    if compiled.captures_len() < 2 {
        let regex = one_line(regex);
        return Err(invalid(format!(
            "`--metric {regex}` has no group; put the number's part in parentheses"
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

/// Where `program` is: itself if it has a slash, else the first on `path` that may be executed.
fn find_program(program: &str, path: Option<&OsStr>) -> Result<PathBuf, Error> {
    if program.contains('/') {
        let place = Path::new(program);
        return check_executable(place).map(|()| place.to_owned());
    }
    // What execvp takes where there is no PATH.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut candidates = env::split_paths(path).map(|folder| folder.join(program));
    candidates.find(|place| !program.is_empty() && check_executable(place).is_ok()).ok_or_else(|| {
        let program = one_line(program);
        invalid(format!(
            "no program `{program}` is on PATH; check its spelling or give its path, as in `./{program}`"
        ))
    })
}

fn check_executable(place: &Path) -> Result<(), Error> {
    let shown = quote::path(place);
    let metadata = place.metadata().map_err(|error| invalid(format!("cannot run `{shown}`: {error}")))?;
    if metadata.is_dir() {
        return Err(invalid(format!("cannot run `{shown}`: it is a folder")));
    }
    rustix::fs::access(place, Access::EXEC_OK).map_err(|error| {
        invalid(format!("cannot run `{shown}`: {error}; `chmod +x` makes a program executable"))
    })
}

fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
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
        let target =
            Target::command(&words("sh -c {procs} a{procs}b"), &envs, wall("1"), None, None).unwrap();
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
            ("ops/s", false, false)
        );
    }

    #[test]
    fn by_default_nothing_is_set_and_what_cannot_be_left_out_is_refused() {
        let command = |argv: &str, ops: &str| {
            Target::command(&words(argv), &["N={procs}".to_owned()], wall(ops), None, None).unwrap()
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
        let target = Target::command(&words("sh"), &[], output("(x)"), Some("MB/s"), Some("mine")).unwrap();
        assert_eq!(
            (target.name.as_str(), target.unit.as_str(), target.needs_output()),
            ("mine", "MB/s", true)
        );
        refused(Target::command(&words("sh"), &[], wall("1"), None, Some("../x")), "`../x`");
        refused(target.with_name("a/b"), "`a/b`");
    }

    #[test]
    fn a_program_that_cannot_run_is_refused_before_anything_is_measured() {
        let folder = tempfile::tempdir().unwrap();
        let plain = folder.path().join("plain");
        fs::write(&plain, "").unwrap();
        let try_program = |program: &str| Target::command(&[program.to_owned()], &[], wall("1"), None, None);
        refused(try_program("/no/such"), "/no/such");
        refused(try_program("no-such-program-here"), "on PATH");
        refused(try_program(""), "on PATH");
        refused(try_program(folder.path().to_str().unwrap()), "folder");
        refused(try_program(plain.to_str().unwrap()), "chmod");
        refused(Target::command(&[], &[], wall("1"), None, None), "no command");
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        try_program(plain.to_str().unwrap()).unwrap();
    }

    #[test]
    fn the_first_executable_on_the_path_is_the_program() {
        let folder = tempfile::tempdir().unwrap();
        for (sub, mode) in [("a", 0o644), ("b", 0o755)] {
            fs::create_dir(folder.path().join(sub)).unwrap();
            let place = folder.path().join(sub).join("app");
            fs::write(&place, "").unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = env::join_paths(["a", "b"].map(|sub| folder.path().join(sub))).unwrap();
        assert_eq!(find_program("app", Some(&path)).unwrap(), folder.path().join("b/app"));
        assert!(find_program("sh", None).is_ok());
    }

    #[test]
    fn a_program_made_from_the_worker_count_is_checked_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("app-2");
        fs::write(&place, "").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        let template = folder.path().join("app-{procs}").to_str().unwrap().to_owned();
        let target = Target::command(&[template], &[], wall("1"), None, None).unwrap();
        target.check_procs(&[2.into()]).unwrap();
        refused(target.check_procs(&[2.into(), 4.into()]), "app-4");
    }

    #[test]
    fn variables_need_a_name() {
        for env in ["", "=x", "A\0B"] {
            refused(Target::command(&words("sh"), &[env.to_owned()], wall("1"), None, None), "`");
        }
    }

    #[test]
    fn a_metric_is_a_regular_expression_with_a_group() {
        let try_metric = |regex: &str| Target::command(&words("sh"), &[], output(regex), None, None);
        refused(try_metric("(["), "unclosed character class");
        refused(try_metric("x=[0-9]+"), "no group");
        refused(try_metric("x{1000000000}(y)"), "regular expression");
        try_metric("x=([0-9]+)").unwrap();
    }

    #[test]
    fn operations_are_a_positive_number_at_every_worker_count() {
        let try_ops = |ops: &str| Target::command(&words("sh"), &[], wall(ops), None, None);
        for ops in ["0", "-1", "x", "", "nan", "inf", "1,000"] {
            refused(try_ops(ops), &format!("`--ops {ops}`"));
        }
        let both = [Procs::Count(1), Procs::Count(2)];
        try_ops("1e6").unwrap().check_procs(&both).unwrap();
        try_ops("{procs}000").unwrap().check_procs(&both).unwrap();
        refused(try_ops("-{procs}").unwrap().check_procs(&both), "`-1`");
    }
}
