//! What `-v` says before a sweep: what is measured how, and why something is missing.

use super::wrap::paragraph;
use crate::machine::Machine;
use crate::measure::counters::{Access, Availability};
use crate::profile;
use crate::target::{Kind, Metric, Target};

/// Columns of a source's name.
const NAME_WIDTH: usize = 12;

/// A paragraph a source. `counters` and `profiles` are `None` where none are asked for. Ends with a line end.
#[must_use]
pub fn text(
    targets: &[Target],
    machine: &Machine,
    counters: Option<&Availability>,
    profiles: Option<&profile::Availability>,
) -> String {
    let mut text = String::from("measured how:\n");
    let mut push = |name: &str, how: &str| text.push_str(&paragraph(&format!("  {name:<NAME_WIDTH$}"), how));
    push("processes", "a fresh one a sample, in a session of its own, started by this binary as a launcher");
    let mut of_targets: Vec<String> = targets.iter().map(throughput).collect();
    of_targets.dedup();
    of_targets.iter().for_each(|how| push("throughput", how));
    push("CPU time", "user_s, sys_s and max_rss_bytes by wait4, of the process that was started");
    push("run queue", run_queue(targets));
    match counters {
        None => push("counters", "none: `--no-counters`"),
        Some(counters) => {
            push("counters", &counted(counters));
            counters.remarks().iter().for_each(|remark| push("", remark));
        }
    }
    match machine.cgroup_version {
        Some(version) => push(
            "throttling",
            &format!("throttled_s by cpu.stat of a cgroup (v{version}) a sample, with `--cpus`"),
        ),
        None => push("throttling", "not seen: no cgroup with the CPU controller"),
    }
    match profiles {
        None => push("stacks", "none: `--no-flamegraph`"),
        Some(profiles) => {
            push(
                "stacks",
                &format!("{}, {}, in extra runs that are not timed", profiles.event, profiles.source),
            );
            profiles.limits.iter().for_each(|limit| push("", limit));
        }
    }
    text
}

/// What the throughput of a target is.
fn throughput(target: &Target) -> String {
    match &target.kind {
        Kind::Workload { .. } => "operations over the timed part, as the workload reports both".to_owned(),
        Kind::Command(command) => match &command.metric {
            Metric::Output { regex, lower_is_better: false } => {
                format!("{}: what `{regex}` finds in its output", target.name)
            }
            Metric::Output { regex, .. } => {
                format!("{}: 1 over what `{regex}` finds in its output", target.name)
            }
            Metric::Wall { ops } => format!(
                "{}: what it writes to COREFIT_RESULT_FD, else {ops} operations over the time from exec to exit",
                target.name
            ),
        },
    }
}

fn run_queue(targets: &[Target]) -> &'static str {
    if cfg!(not(corefit_linux)) {
        "run_queue_wait_s only of a program that says it itself: this system does not"
    } else if targets.iter().all(Target::is_workload) {
        "run_queue_wait_s by the workload, which sums its threads' schedstat at its end"
    } else {
        "run_queue_wait_s of a command by polling its threads' schedstat, at most 10 times a second; empty below 5 polls"
    }
}

fn counted(counters: &Availability) -> String {
    let full = counters.counters.iter().filter(|(_, access)| *access == Access::Full);
    let names: Vec<&str> = full.map(|(event, _)| event.name()).collect();
    match names.as_slice() {
        [] => "nothing in full".to_owned(),
        names => {
            format!("{} by perf events of the process and what it starts, kernel included", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::counters::Event;
    use crate::target::Command;

    #[test]
    fn each_source_is_named_and_what_is_missing_says_why() {
        let command = Command {
            metric: Metric::Output { regex: "x=(.*)".to_owned(), lower_is_better: true },
            ..Command::default()
        };
        let target =
            Target { name: "app".to_owned(), unit: "ops/s".to_owned(), kind: Kind::Command(command) };
        let counters =
            Availability { counters: vec![(Event::TaskClock, Access::Full), (Event::Cycles, Access::NoPmu)] };
        let text = text(&[target], &Machine::default(), Some(&counters), None);
        let run_queue = if cfg!(corefit_linux) { "by polling" } else { "this system does not" };
        for part in [
            "1 over what `x=(.*)` finds",
            run_queue,
            "task_clock_s by perf events",
            "cycles: empty, since",
            "--no-flamegraph",
        ] {
            assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(part), "{part}: {text}");
        }
    }
}
