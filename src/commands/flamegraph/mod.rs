//! `corefit flamegraph`: where a program spends its CPU time or waits, or what changes between two worker counts.

mod output;

use std::path::Path;

use super::sweep::{profiled, targets};
use crate::cli::FlamegraphArgs;
use crate::error::Error;
use crate::profile::{self, Request, Source, Split, Time, Title};
use crate::target::Target;
use crate::{machine, measure};
use output::{Output, Side};

/// Written where no `-o` says otherwise.
const DEFAULT_OUTPUT: &str = "flamegraph.svg";

/// Samples and draws what was asked for, and says where the files are.
///
/// # Errors
/// Bad usage, a program that cannot be started, no permission to sample, or no stack at all.
pub(super) fn flamegraph(args: &FlamegraphArgs) -> Result<(), Error> {
    let output = Output::of(args.output.as_deref().unwrap_or(Path::new(DEFAULT_OUTPUT)))?;
    measure::watch_interrupts().map_err(Error::Signals)?;
    refuse_ill_fitting(args)?;
    if let Some(pid) = args.pid {
        let profile = profile::record_pid(pid, request(args));
        refuse_interrupted()?;
        let profile = profile?;
        let title = Title::of_any(&format!("process {pid}"), &profile);
        return output.write_one(&profile, &title);
    }
    let target = target(args)?;
    match *args.procs.as_slice() {
        [] => one(args, &target, all_cpus(), &output),
        [procs] => one(args, &target, procs, &output),
        [_, _] if args.per_thread => Err(Error::Usage(
            "`--per-thread` takes one worker count: the threads of two runs cannot be compared".to_owned(),
        )),
        [a, b] if a != b => {
            output.refuse_if_single()?;
            let before = record(args, &target, a)?;
            let after = record(args, &target, b)?;
            let before = Side { procs: a, profile: &before.profile, ops: before.ops };
            let after = Side { procs: b, profile: &after.profile, ops: after.ops };
            output.write_two(&before, &after, &target.name)
        }
        _ => Err(Error::Usage(
            "`--procs` takes one worker count, or two different ones for a difference".to_owned(),
        )),
    }
}

/// Options that would change nothing.
fn refuse_ill_fitting(args: &FlamegraphArgs) -> Result<(), Error> {
    if let Some(option) = args.program.first_given().filter(|_| args.program.argv.is_empty()) {
        return Err(Error::Usage(format!("`{option}` is for a command; give the command after `--`")));
    }
    if args.per_thread && args.off_cpu && args.workload.is_some() && !args.threads {
        return Err(Error::Usage(
            "`--per-thread` tells threads apart, and the waits of a workload are its goroutines'; add `--threads`".to_owned(),
        ));
    }
    match (args.pid, args.program.argv.is_empty()) {
        (Some(_), _) => args.workload_args.refuse_beside("a process that already runs"),
        (None, false) => args.workload_args.refuse_beside("a command"),
        (None, true) => Ok(()),
    }
}

fn target(args: &FlamegraphArgs) -> Result<Target, Error> {
    match (&args.workload, args.program.argv.is_empty()) {
        (Some(name), _) => targets::workload(name, &args.workload_args, None),
        (None, false) => Ok(Target::command(targets::program(&args.program)?, None, None)?),
        (None, true) => Err(Error::Usage(
            "nothing to sample; name a workload, a process with `-p PID`, or a command after `--`".to_owned(),
        )),
    }
}

fn one(args: &FlamegraphArgs, target: &Target, procs: u32, output: &Output) -> Result<(), Error> {
    let profile = record(args, target, procs)?.profile;
    output.write_one(&profile, &Title::of(&target.name, &procs.to_string(), &profile))
}

fn record(args: &FlamegraphArgs, target: &Target, procs: u32) -> Result<profiled::Run, Error> {
    let limits = profiled::Limits::default();
    let run = if args.off_cpu && target.is_workload() && !args.threads {
        profiled::goroutines(target, procs, args.duration, &limits)
    } else {
        profiled::once(target, procs, request(args), args.duration, &limits)
    };
    refuse_interrupted()?;
    let run = run?;
    if args.per_thread && run.profile.source == Source::InProcess {
        anstream::eprintln!(
            "corefit: threads are not told apart: a program that samples itself counts them together"
        );
    }
    Ok(run)
}

/// An interruption cuts a profile short, and its reason is better than that there were no samples.
fn refuse_interrupted() -> Result<(), Error> {
    if measure::interrupted() { Err(Error::Stopped("no flame graph was written")) } else { Ok(()) }
}

fn request(args: &FlamegraphArgs) -> Request {
    let split = if args.per_thread { Split::ByThread } else { Split::Merged };
    let time = if args.off_cpu { Time::OffCpu } else { Time::OnCpu };
    Request { frequency_hz: args.frequency, max_samples: None, max_time: args.duration, split, time }
}

fn all_cpus() -> u32 {
    (machine::look().usable_cpus().ceil() as u32).max(1)
}
