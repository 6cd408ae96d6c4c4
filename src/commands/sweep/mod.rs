//! `corefit sweep`: measure each target at several worker counts, profile it, decide, show.

mod failures;
mod hooks;
mod one;
pub(super) mod profiled;
mod profiles;
mod quotas;
pub(super) mod rounds;
pub(super) mod targets;
mod under_load;

use std::collections::BTreeSet;
use std::time::Duration;

use super::documents::{Explained, Sweeps};
use super::{evidence, print, report as pages, trace};
use crate::cli::SweepArgs;
use crate::error::Error;
use crate::machine;
use crate::measure;
use crate::profile;
use crate::quote;
use crate::recommend::{Explanation, ModelChoice, explain};
use crate::report::progress::Progress;
use crate::report::{self, answer, summary};
use crate::results::{self, Note, SCHEMA};
use crate::target::Target;
use one::{Job, Outcome, Surroundings};

/// Measures every target asked for, one after another, and shows each answer as soon as it is there.
///
/// # Errors
/// Something asked for cannot be (nothing is measured then), a sample failed, a disk failed, or the user interrupted:
/// in each case what was measured is kept.
pub(super) fn sweep(args: &SweepArgs) -> Result<(), Error> {
    let each = if args.sweeps.is_empty() { std::slice::from_ref(args) } else { &args.sweeps };
    let mut targets = Vec::new();
    for args in each {
        targets.push(targets::chosen(args).map_err(|error| in_file(args, error))?);
    }
    let surroundings = Surroundings {
        machine: machine::look(),
        noise: look_first(args)?,
        counters: each.iter().any(|args| !args.no_counters).then(measure::availability),
    };
    let mut jobs = Vec::new();
    for (args, targets) in each.iter().zip(&targets) {
        jobs.extend(settled(targets, args, &surroundings).map_err(|error| in_file(args, error))?);
    }
    refuse_twins(&jobs)?;
    let targets = targets.concat();
    if trace::requested().is_some() {
        anstream::eprintln!(
            "corefit: COREFIT_TRACE is left out of a sweep: recording would disturb what it measures"
        );
    }
    if args.verbose {
        let profiles = each.iter().any(|args| !args.no_flamegraph).then(profile::availability);
        let Surroundings { machine, counters, .. } = &surroundings;
        let sources = report::sources::text(&targets, machine, counters.as_ref(), profiles.as_ref());
        anstream::eprint!("{sources}");
    }
    under_load::refuse_taken(&jobs)?;
    measure::watch_interrupts().map_err(Error::Signals)?;
    let outcomes = measure_all(&jobs, args)?;
    show_all(&outcomes, &targets, args, &surroundings)?;
    verdict(&outcomes)
}

/// The targets of one command line, each under each of its quotas, everything settled.
fn settled(targets: &[Target], args: &SweepArgs, surroundings: &Surroundings) -> Result<Vec<Job>, Error> {
    let quotas = quotas::allowed(args)?;
    quotas::crossed(targets, quotas.as_ref(), args)?
        .into_iter()
        .map(|(target, quota)| Job::new(target, quota, args, surroundings))
        .collect()
}

/// An error with the place of the sweep in its file, if it stands in one.
fn in_file(args: &SweepArgs, error: Error) -> Error {
    match &args.place {
        Some(place) => Error::InFile { place: place.clone(), source: Box::new(error) },
        None => error,
    }
}

/// Two targets of one name would write into one folder.
fn refuse_twins(jobs: &[Job]) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    match jobs.iter().find(|job| !names.insert(&job.target.name)) {
        None => Ok(()),
        Some(twin) => Err(Error::Usage(format!(
            "two sweeps are called `{}`; give each its own `name`",
            quote::one_line(&twin.target.name)
        ))),
    }
}

/// What is odd about the machine before anything is measured: passed on as warnings, or a refusal with `--strict`.
fn look_first(args: &SweepArgs) -> Result<Vec<Note>, Error> {
    let noise: Vec<Note> = machine::noise().iter().map(Note::from).collect();
    if let (true, Some(first)) = (args.strict, noise.first()) {
        return Err(Error::Usage(format!(
            "{}; wait for a quiet machine, or leave out `--strict`",
            first.text
        )));
    }
    Ok(noise)
}

fn measure_all(jobs: &[Job], args: &SweepArgs) -> Result<Vec<Outcome>, Error> {
    let expected: Vec<Duration> = jobs.iter().map(Job::expected).collect();
    let total = expected.iter().sum();
    let progress = Progress::new(total, !args.quiet);
    let mut outcomes = Vec::new();
    for (index, job) in jobs.iter().enumerate() {
        let later = expected[index + 1..].iter().sum();
        progress.of_target(index, jobs.len(), later);
        let noise = if index == 0 && !args.quiet { job.noise() } else { &[] };
        let outcome = one::measure(job, &progress, noise)?;
        let index = results::index(&args.out)?;
        for left_out in &index.left_out {
            anstream::eprintln!("corefit: {left_out}");
        }
        pages::write_index(&args.out, &index)?;
        if !args.quiet && !args.json {
            let mut text = answer::of_target(&outcome.saved, &outcome.folder);
            if let Some(explained) = explained(&outcome, args) {
                text += &format!("\n{}\n", report::explain::text(&explained));
            }
            progress.suspend(|| print::text(&text))?;
        }
        let interrupted = outcome.interrupted;
        outcomes.push(outcome);
        if interrupted {
            break;
        }
    }
    progress.finish();
    Ok(outcomes)
}

/// The reasoning behind an answer, if it is asked for.
fn explained(outcome: &Outcome, args: &SweepArgs) -> Option<Explanation> {
    let evidence = || evidence::of_sweep(&outcome.saved, None, ModelChoice::Auto);
    args.explain.then(evidence).as_ref().and_then(explain)
}

/// The document, or the table over all targets.
fn show_all<'a>(
    outcomes: &'a [Outcome],
    targets: &[Target],
    args: &SweepArgs,
    surroundings: &Surroundings,
) -> Result<(), Error> {
    let manifests: Vec<_> = outcomes.iter().map(|outcome| &outcome.saved.manifest).collect();
    let compared = quotas::compared(targets, outcomes);
    if args.json {
        let over_quotas =
            args.cpus_sweep.is_some() || args.sweeps.iter().any(|args| args.cpus_sweep.is_some());
        let written = |outcome: &'a Outcome| Explained {
            document: &outcome.saved.manifest,
            explain: explained(outcome, args).map(|explained| report::explain::in_json(&explained)),
        };
        return print::json(&Sweeps {
            schema: SCHEMA,
            sweeps: outcomes.iter().map(written).collect(),
            quotas: over_quotas.then_some(&*compared),
        });
    }
    for comparison in &compared {
        print::text(&report::quotas::text(comparison))?;
    }
    if compared.is_empty() && (manifests.len() > 1 || args.quiet) {
        print::line(&summary::text(&manifests, &surroundings.machine, &args.out))?;
    }
    match &surroundings.counters {
        Some(counters) if !args.quiet => print::text(&summary::not_counted(counters)),
        _ => Ok(()),
    }
}

/// How the sweep ended, as an exit code.
fn verdict(outcomes: &[Outcome]) -> Result<(), Error> {
    if let Some(stopped) = outcomes.iter().find(|outcome| outcome.interrupted) {
        return Err(Error::Interrupted { folder: stopped.folder.clone() });
    }
    if let Some(why) = outcomes.iter().find_map(|outcome| outcome.not_cleaned.as_ref()) {
        return Err(Error::Partial(format!("{why}; what was measured is kept")));
    }
    let samples = outcomes.iter().map(|outcome| outcome.saved.rows.len()).sum();
    let failed = |outcome: &Outcome| outcome.saved.rows.iter().filter(|row| !row.is_ok()).count();
    match outcomes.iter().find(|outcome| failed(outcome) > 0) {
        None => Ok(()),
        Some(first) => Err(Error::Incomplete {
            failed: outcomes.iter().map(failed).sum(),
            samples,
            folder: first.folder.clone(),
        }),
    }
}
