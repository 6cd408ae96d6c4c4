//! The command line that measures the same again.

use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr as _;

use crate::plan::{Pin, Plan, Policy, Rounds};
use crate::results::Manifest;
use crate::target::{Command, Kind, Metric};

/// One shell command. What was left to its default is left out, but for the worker counts, which `auto` takes from the
/// machine, and the seed.
pub(super) fn command(manifest: &Manifest) -> String {
    let mut line = Line(String::from("corefit sweep"));
    if let Kind::Workload { workload, scale, input, params } = &manifest.command.kind {
        line.word(workload);
        line.option_if(*scale != 1.0, "--scale", &scale.to_string());
        line.option_if(input.is_some(), "--input", &shown(input.as_deref()));
        for (key, value) in params {
            line.option("--param", &format!("{key}={value}"));
        }
    }
    plan(&mut line, &manifest.plan);
    line.option_if(manifest.policy != Policy::default(), "--policy", &manifest.policy.to_string());
    if let Kind::Command(command) = &manifest.command.kind {
        around(&mut line, command, &manifest.command.unit);
        line.option("--name", &manifest.target);
        program(&mut line, command);
    }
    line.0
}

/// Words of a shell.
struct Line(String);

impl Line {
    fn word(&mut self, word: &str) {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        if !word.is_empty() && word.chars().all(is_plain) {
            let _ = write!(self.0, " {word}");
            return;
        }
        // A zero byte cannot be on a command line at all.
        let quoted = shlex::try_quote(word).unwrap_or_default();
        let _ = write!(self.0, " {quoted}");
    }

    fn option(&mut self, name: &str, value: &str) {
        self.word(name);
        self.word(value);
    }

    fn option_if(&mut self, is_set: bool, name: &str, value: &str) {
        if is_set {
            self.option(name, value);
        }
    }

    fn flag_if(&mut self, is_set: bool, name: &str) {
        if is_set {
            self.word(name);
        }
    }
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| path.to_string_lossy().into_owned())
}

/// How it is measured.
fn plan(line: &mut Line, plan: &Plan) {
    line.option("--procs", &procs(plan));
    let default = Rounds::from_str("6..30").expect("the command line's own default");
    line.flag_if(plan.quick, "--quick");
    line.option_if(!plan.quick && plan.rounds != default, "--rounds", &plan.rounds.to_string());
    line.option_if(plan.precision != 0.02, "--precision", &(plan.precision * 100.0).to_string());
    let budget = plan.budget_s.filter(|_| plan.budget_is_explicit);
    line.option_if(budget.is_some(), "--budget", &format!("{}s", budget.unwrap_or_default()));
    line.option_if(plan.timeout_s != 60.0, "--timeout", &format!("{}s", plan.timeout_s));
    line.option_if(plan.warmup != 1, "--warmup", &plan.warmup.to_string());
    line.option("--seed", &plan.seed.to_string());
    line.flag_if(plan.exhaustive, "--exhaustive");
    line.flag_if(plan.with_default, "--with-default");
    line.flag_if(!plan.counters, "--no-counters");
    line.flag_if(!plan.flamegraph, "--no-flamegraph");
    let quota = plan.cpu_quota;
    line.option_if(quota.is_some(), "--cpus", &quota.unwrap_or_default().to_string());
    match plan.pin {
        None => {}
        Some(Pin::Compact) => line.word("--pin=compact"),
        Some(Pin::Scatter) => line.word("--pin=scatter"),
    }
}

/// The worker counts as they are typed: a long range by its ends, so that its grid comes again.
fn procs(plan: &Plan) -> String {
    let counts = &plan.procs;
    let is_run = counts.windows(2).all(|pair| pair[1] == pair[0] + 1);
    match counts.as_slice() {
        [first, .., last] if is_run && !plan.grid.is_empty() => {
            let typed = format!("{first}..{last}");
            // The grid of a range is its ends and the powers of two; others were typed beside it.
            let of_range = |n: &u32| n.is_power_of_two() || n == first || n == last;
            let more = plan.grid.iter().filter(|n| !of_range(n)).map(|n| format!(",{n}"));
            typed + &more.collect::<String>()
        }
        counts => counts.iter().map(u32::to_string).collect::<Vec<_>>().join(","),
    }
}

/// What a command is measured by, and what runs around it.
fn around(line: &mut Line, command: &Command, unit: &str) {
    match &command.metric {
        Metric::Wall { ops } => line.option_if(ops != "1", "--ops", ops),
        Metric::Output { regex, lower_is_better } => {
            line.option("--metric", regex);
            line.flag_if(*lower_is_better, "--lower-is-better");
        }
    }
    line.option("--unit", unit);
    let hooks = &command.hooks;
    let texts = [
        ("--latency-metric", &command.latency_metric),
        ("--setup", &hooks.setup),
        ("--prepare", &hooks.prepare),
        ("--cleanup", &hooks.cleanup),
    ];
    for (name, value) in texts {
        line.option_if(value.is_some(), name, value.as_deref().unwrap_or_default());
    }
    for env in &command.envs {
        line.option("--env", env);
    }
    line.option_if(command.cwd.is_some(), "--cwd", &shown(command.cwd.as_deref()));
    line.option_if(command.stdin.is_some(), "--stdin", &shown(command.stdin.as_deref()));
    if let Some(shell) = &command.shell {
        line.word(&format!("--shell={shell}"));
    }
}

/// The program itself, or the server and its load.
fn program(line: &mut Line, command: &Command) {
    let Some(service) = &command.service else {
        line.word("--");
        command.argv.iter().for_each(|word| line.word(word));
        return;
    };
    let is_in_shell = command.shell.is_some();
    let typed = |argv: &[String]| match is_in_shell {
        true => argv.concat(),
        false => shlex::try_join(argv.iter().map(String::as_str)).unwrap_or_default(),
    };
    line.option("--serve", &typed(&command.argv));
    line.option("--ready", &service.ready.to_string());
    line.option("--load", &typed(&service.load.argv));
    line.option("--load-kind", service.load.kind.name());
}
