//! `corefit sweep`: measure each target at several worker counts, profile it, decide, show.

mod failures;
mod hooks;
mod one;
pub(super) mod profiles;
mod quotas;
pub(super) mod rounds;
pub(super) mod targets;
mod under_load;

use std::time::Duration;

use serde_json::json;

use super::{evidence, print, trace};
use crate::cli::SweepArgs;
use crate::error::Error;
use crate::machine;
use crate::measure;
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
    let targets = targets::chosen(args)?;
    let surroundings = Surroundings {
        machine: machine::look(),
        noise: look_first(args)?,
        counters: (!args.no_counters).then(measure::availability),
    };
    let quotas = quotas::allowed(args)?;
    let jobs = quotas::crossed(&targets, quotas.as_ref(), args)?
        .into_iter()
        .map(|(target, quota)| Job::new(target, quota, args, &surroundings))
        .collect::<Result<Vec<_>, _>>()?;
    if trace::requested().is_some() {
        anstream::eprintln!(
            "corefit: COREFIT_TRACE is left out of a sweep: recording would disturb what it measures"
        );
    }
    under_load::refuse_taken(&jobs)?;
    measure::watch_interrupts().map_err(Error::Signals)?;
    let outcomes = measure_all(&jobs, args)?;
    show_all(&outcomes, &targets, args, &surroundings)?;
    verdict(&outcomes)
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
        for left_out in results::index(&args.out)? {
            anstream::eprintln!("corefit: {left_out}");
        }
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
fn show_all(
    outcomes: &[Outcome],
    targets: &[Target],
    args: &SweepArgs,
    surroundings: &Surroundings,
) -> Result<(), Error> {
    let manifests: Vec<_> = outcomes.iter().map(|outcome| &outcome.saved.manifest).collect();
    let compared = quotas::compared(targets, outcomes);
    if args.json {
        let mut document = json!({ "schema": SCHEMA, "sweeps": manifests });
        for (index, outcome) in outcomes.iter().enumerate() {
            if let Some(explained) = explained(outcome, args) {
                document["sweeps"][index]["explain"] = json!(report::explain::in_json(&explained));
            }
        }
        if args.cpus_sweep.is_some() {
            document["quotas"] = json!(compared);
        }
        return print::json(&document);
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
