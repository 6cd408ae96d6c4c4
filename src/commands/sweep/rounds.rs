//! The rounds of one target: ask the planner, measure, write the row, go on.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::one::{self, Job};
use super::{failures, hooks, under_load};
use crate::error::Error;
use crate::measure::{self, Conditions, Quota, Sample, Status};
use crate::plan::forecast::time_left;
use crate::plan::rounds::{Done, Next, StopReason, next};
use crate::report::live::Standing;
use crate::report::progress::Progress;
use crate::results::{Folder, Note, Place, SampleRow};
use crate::target::{Hook, Procs, Target};

/// How the rounds ended.
pub(super) struct Ended {
    /// The user stopped them.
    pub(super) interrupted: bool,
    /// What the way they ended says about the answer.
    pub(super) warning: Option<Note>,
    /// For each sample that did not succeed, its point and why.
    pub(super) failures: Vec<(Procs, String)>,
    /// What looked odd in samples that succeeded, a line each.
    pub(super) oddities: Vec<String>,
}

/// Measures rounds until the planner stops; each row is in the journal before the next sample starts. `rows` are those
/// that a resumed sweep has already, and receives the new ones.
///
/// # Errors
/// The program cannot be started at all, or the disk fails.
pub(super) fn measure(
    job: &Job,
    folder: &mut Folder,
    rows: &mut Vec<SampleRow>,
    begun: Instant,
    progress: &Progress,
) -> Result<Ended, Error> {
    let (mut failures, mut oddities) = (Vec::new(), Vec::new());
    let conditions = conditions(job);
    let mut done: Vec<Done> = rows.iter().map(SampleRow::done).collect();
    // A resumed sweep has spent what its samples took.
    let before = Duration::from_secs_f64(rows.iter().filter_map(|row| row.wall_s).sum());
    let spent = || begun.elapsed() + before;
    let reserve = one::reserve(&job.plan);
    let mut is_cold = true;
    loop {
        let (round, order) = match next(&job.plan, job.policy, &done, spent(), reserve) {
            Next::Stop(reason) => {
                let warning = remark(job, reason, &done);
                return Ok(Ended { interrupted: false, warning, failures, oddities });
            }
            Next::Round { round, order } => (round, order),
        };
        if is_cold {
            warm_up(job, &conditions, progress)?;
            is_cold = false;
        }
        let (began, left) = (spent(), time_left(&job.plan, job.policy, &done, spent()));
        let before_in_round = done.iter().filter(|done| done.round == round).count();
        for (place, procs) in order.into_iter().enumerate() {
            let what = format!("{} · round {round} · {}", job.target.name, procs.phrase());
            progress.now(&what, spent(), left.saturating_sub(spent().saturating_sub(began)));
            let before_sample = Instant::now();
            let taken = take(job, procs, &conditions)?;
            let took_s = before_sample.elapsed().as_secs_f64();
            if measure::interrupted() {
                folder.sync()?;
                let warning = Some(interrupted_in(round));
                return Ok(Ended { interrupted: true, warning, failures, oddities });
            }
            let order = u32::try_from(before_in_round + place + 1).unwrap_or(u32::MAX);
            let place = Place { target: &job.target.name, procs, round, order, machine: &job.machine.id };
            let (row, failure) = match &taken {
                Ok(sample) => row(&job.target, &place, sample),
                Err(why) => (SampleRow::not_started(&place), Some(why.clone())),
            };
            // The row first: it is worth more than what was printed.
            folder.append(&row)?;
            match failure {
                Some(why) => failures.push((procs, explained(folder, &place, taken.ok(), why)?)),
                None => oddities.extend(taken.into_iter().flat_map(|sample| sample.remarks)),
            }
            if job.verbose {
                let line = crate::report::sample::line(&row, &job.target.unit);
                progress.suspend(|| anstream::eprintln!("{line}"));
            }
            // What comes next is planned with what a sample takes in all: hooks, and the start and end of a server, too.
            done.push(Done { wall_s: took_s, ..row.done() });
            rows.push(row);
            progress.stands(&Standing::of(&job.target.name, &job.target.unit, rows));
        }
        folder.sync()?;
    }
}

/// One sample at `procs`, made ready by the hook for it; or why it was not started.
fn take(job: &Job, procs: Procs, conditions: &Conditions) -> Result<Result<Sample, String>, Error> {
    if let Err(why) = hooks::run(&job.target, Hook::Prepare(procs), conditions.timeout) {
        return Ok(Err(why));
    }
    let conditions = Conditions { cpus: job.cpus(procs), ..conditions.clone() };
    Ok(Ok(under_load::sample(job, procs, &conditions)?))
}

/// Why a sample failed, and where what it printed is kept.
fn explained(
    folder: &Folder,
    place: &Place<'_>,
    sample: Option<Sample>,
    why: String,
) -> Result<String, Error> {
    let kept = sample.map(|sample| failures::keep(folder, place, &sample)).transpose()?.flatten();
    Ok(kept.map_or(why.clone(), |files| format!("{why}; its output is in {files}")))
}

/// Runs that are not recorded: they fill caches and page tables.
fn warm_up(job: &Job, conditions: &Conditions, progress: &Progress) -> Result<(), Error> {
    let procs = job.plan.procs.iter().copied().max().expect("a plan has a worker count");
    for _ in 0..job.plan.warmup {
        progress.now(&format!("{} · warm-up", job.target.name), Duration::ZERO, job.expected());
        // What goes wrong here goes wrong again in the first round, and is told then.
        let _ = take(job, procs.into(), conditions)?;
        if measure::interrupted() {
            break;
        }
    }
    Ok(())
}

fn conditions(job: &Job) -> Conditions {
    let timeout = Duration::from_secs_f64(job.plan.timeout_s);
    of_target(&job.target, timeout, job.plan.counters, job.quota.clone())
}

/// What a sample of `target` runs under.
pub(crate) fn of_target(
    target: &Target,
    timeout: Duration,
    counters: bool,
    quota: Option<Quota>,
) -> Conditions {
    Conditions {
        timeout,
        counters,
        keep_output: target.needs_output(),
        poll_run_queue: !target.is_workload(),
        quota,
        cpus: None,
    }
}

/// The row of a sample, and why it did not succeed if it did not. A sample that ended well but has no throughput has
/// failed.
pub(crate) fn row(target: &Target, place: &Place<'_>, sample: &Sample) -> (SampleRow, Option<String>) {
    if sample.status != Status::Ok {
        let why = if sample.remarks.is_empty() {
            "it did not end well".to_owned()
        } else {
            sample.remarks.join("; ")
        };
        return (SampleRow::new(place, sample, None), Some(why));
    }
    match target.measured(sample, place.procs) {
        Ok(measured) => (SampleRow::new(place, sample, Some(measured)), None),
        Err(why) => (SampleRow::new(place, sample, None), Some(why)),
    }
}

/// What the way the rounds ended says about the answer.
fn remark(job: &Job, reason: StopReason, done: &[Done]) -> Option<Note> {
    let rounds = done.iter().map(|done| done.round).max().unwrap_or(0);
    match reason {
        StopReason::Budget if rounds < job.plan.rounds.min => {
            let budget = job.plan.budget_s.unwrap_or_default();
            let text = format!(
                "the budget of {budget} s ended the sweep after {rounds} of {} rounds",
                job.plan.rounds.min
            );
            Some(Note { code: "budget".to_owned(), text })
        }
        StopReason::RangeLimit => Some(Note { code: "range-limit".to_owned(), text: range_limit(job, done) }),
        StopReason::NoneLeft => {
            let text = "every worker count failed twice running".to_owned();
            Some(Note { code: "none-left".to_owned(), text })
        }
        _ => None,
    }
}

/// That the noise was too much for what a long range may cost, and what may be done about it.
fn range_limit(job: &Job, done: &[Done]) -> String {
    let measured: BTreeSet<u32> = done.iter().filter_map(|done| done.procs.count()).collect();
    format!(
        "the samples that a long range may take are used up before the ratios are known within {:.1} %: {} of its {} worker \
         counts were measured; list those that matter (`--procs`), or use `--exhaustive`",
        100.0 * job.plan.precision,
        measured.len(),
        job.plan.procs.len()
    )
}

fn interrupted_in(round: u32) -> Note {
    let text = format!("interrupted in round {round}; add `--resume` to the same command to go on");
    Note { code: "interrupted".to_owned(), text }
}
