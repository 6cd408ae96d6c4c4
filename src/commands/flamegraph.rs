//! `corefit flamegraph`: where a program spends its CPU time, or what changes between two worker counts.

use std::path::{Path, PathBuf};

use super::print;
use super::sweep::{profiles, targets};
use crate::cli::FlamegraphArgs;
use crate::error::Error;
use crate::profile::{self, Folded, Profile, Request, Scale, Source, Split, Title};
use crate::target::Target;
use crate::{machine, measure, results};

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
        let title = Title { title: format!("process {pid}"), subtitle: profile.provenance() };
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
            let before = record(args, &target, a)?;
            let after = record(args, &target, b)?;
            let (before, after) = (Side { procs: a, profile: &before }, Side { procs: b, profile: &after });
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
    let profile = record(args, target, procs)?;
    output.write_one(&profile, &Title::of(&target.name, &procs.to_string(), &profile))
}

fn record(args: &FlamegraphArgs, target: &Target, procs: u32) -> Result<Profile, Error> {
    let limits = profiles::Limits::default();
    let profile = profiles::once(target, procs, request(args), args.duration, &limits);
    refuse_interrupted()?;
    let (profile, _) = profile?;
    if args.per_thread && profile.source == Source::InProcess {
        anstream::eprintln!(
            "corefit: threads are not told apart: a program that samples itself counts them together"
        );
    }
    Ok(profile)
}

/// An interruption cuts a profile short, and its reason is better than that there were no samples.
fn refuse_interrupted() -> Result<(), Error> {
    if measure::interrupted() { Err(Error::Stopped("no flame graph was written")) } else { Ok(()) }
}

fn request(args: &FlamegraphArgs) -> Request {
    let split = if args.per_thread { Split::ByThread } else { Split::Merged };
    Request { frequency_hz: args.frequency, max_samples: None, max_time: args.duration, split }
}

fn all_cpus() -> u32 {
    (machine::look().usable_cpus().ceil() as u32).max(1)
}

/// Where and as what to write.
enum Output {
    /// A picture, with the folded stacks beside it.
    Svg(PathBuf),
    /// Folded stacks only.
    Folded(PathBuf),
}

impl Output {
    fn of(path: &Path) -> Result<Self, Error> {
        match path.extension().and_then(|suffix| suffix.to_str()) {
            Some("svg") => Ok(Self::Svg(path.to_owned())),
            Some("folded") => Ok(Self::Folded(path.to_owned())),
            _ => Err(Error::Usage(format!("`-o {}` must end in `.svg` or `.folded`", path.display()))),
        }
    }

    fn path(&self) -> &Path {
        let (Self::Svg(path) | Self::Folded(path)) = self;
        path
    }

    fn write_one(&self, profile: &Profile, title: &Title) -> Result<(), Error> {
        say(profile);
        let folded = profile.folded();
        if let Self::Svg(path) = self {
            write(path, &profile::svg(&folded, title)?)?;
        }
        write_folded(&self.path().with_extension("folded"), &folded)?;
        print::line(&format!("{}: {} samples", self.path().display(), profile.samples))
    }

    /// A difference is drawn; beside it, or all there is, are its folded stacks with two counts a line, and those of each
    /// side.
    fn write_two(&self, before: &Side<'_>, after: &Side<'_>, target: &str) -> Result<(), Error> {
        for side in [before, after] {
            say(side.profile);
            write_folded(
                &self.path().with_extension(format!("{}.folded", side.procs)),
                &side.profile.folded(),
            )?;
        }
        let (first, second) = (before.profile.folded(), after.profile.folded());
        write(&self.path().with_extension("folded"), profile::diff_folded(&first, &second).as_bytes())?;
        if let Self::Svg(path) = self {
            let (a, b) = (before.procs.to_string(), after.procs.to_string());
            let title = Title::of_difference(target, &a, &b, Scale::Totals);
            let svg = profile::diff_svg(&first, &second, Scale::Totals, &title)?;
            write(path, &svg)?;
        }
        let samples =
            [before, after].map(|side| format!("{} samples at {}", side.profile.samples, side.procs));
        print::line(&format!("{}: {}", self.path().display(), samples.join(", ")))
    }
}

/// One side of a difference.
struct Side<'a> {
    procs: u32,
    profile: &'a Profile,
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Error> {
    results::replace(path, contents).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write_folded(path: &Path, folded: &Folded) -> Result<(), Error> {
    let mut text = Vec::new();
    profile::write_folded(folded, &mut text).expect("a vector takes what is written");
    write(path, &text)
}

fn say(profile: &Profile) {
    for warning in &profile.warnings {
        anstream::eprintln!("corefit: {warning}");
    }
}
