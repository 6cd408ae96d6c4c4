//! `corefit costs`: green threads against OS threads, measured here.

use std::path::Path;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::{documents, print};
use crate::cli::CostsArgs;
use crate::costs::table::Answers;
use crate::costs::{Deed, Kind, Question, claims, limits};
use crate::error::Error;
use crate::measure::{self, Conditions, Status};
use crate::report::progress::Progress;
use crate::{machine, report};

/// No round begins that is not expected to end within this: the whole is to take less than a minute.
const BUDGET: Duration = Duration::from_secs(45);

/// What one process is expected to take before any has run. Guess.
const EXPECTED: Duration = Duration::from_millis(300);

/// Longest time of one process.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Measures both kinds at each count in rounds, and shows what each costs, with what is said of them.
///
/// # Errors
/// Interrupted; some question has no answer, which is said after the others are shown.
pub(super) fn costs(args: &CostsArgs) -> Result<(), Error> {
    measure::watch_interrupts().map_err(Error::Signals)?;
    let machine = machine::look();
    let (questions, mut remarks) = questions(&args.counts);
    let Measured { answers, rounds, failures } = ask(&questions, args)?;
    if rounds < args.rounds as usize {
        remarks.push(format!("{rounds} of {} rounds fitted into a minute", args.rounds));
    }
    remarks.extend(failures.iter().map(|(question, why)| format!("{}: {why}", described(question))));
    let table = answers.table(&questions);
    let judged = claims::judge(&table);
    if args.json {
        print::json(&documents::Costs {
            schema: crate::results::SCHEMA,
            corefit_version: env!("CARGO_PKG_VERSION"),
            machine: &machine,
            rounds,
            rows: &table,
            claims: &judged,
            remarks: &remarks,
        })?;
    } else {
        print::text(&report::costs::text(&table.rows, &judged, &remarks, rounds))?;
    }
    match failures.len() {
        0 => Ok(()),
        failed => Err(Error::Partial(format!("{failed} of {} measurements failed", questions.len()))),
    }
}

/// Every deed to every count of both kinds, as far as the machine's limits allow, and a remark where they do not.
fn questions(counts: &[u64]) -> (Vec<Question>, Vec<String>) {
    let (mut questions, mut remarks) = (Vec::new(), Vec::new());
    for kind in Kind::ALL {
        let limit = limits::of(kind, Path::new("/"));
        let most = limit.as_ref().map_or(u64::MAX, |limit| limit.at_most.max(1));
        let mut allowed: Vec<u64> = counts.iter().map(|count| (*count).min(most)).collect();
        allowed.sort_unstable();
        allowed.dedup();
        let asked = counts.iter().copied().max().unwrap_or(0);
        if let Some(limit) = limit.filter(|_| asked > most) {
            let what = report::costs::name(kind);
            let (asked, most) = (claims::grouped(asked), claims::grouped(most));
            remarks.push(format!("{what} stop at {most}, not {asked}: {}", limit.why));
        }
        for count in allowed {
            questions.extend(Deed::ALL.map(|deed| Question { kind, count, deed }));
        }
    }
    (questions, remarks)
}

/// What came of the rounds.
struct Measured {
    answers: Answers,
    rounds: usize,
    /// Questions that were given up, with the reason.
    failures: Vec<(Question, String)>,
}

/// Puts every question once a round, in random order, so that drift hits all alike.
fn ask(questions: &[Question], args: &CostsArgs) -> Result<Measured, Error> {
    let mut measured = Measured { answers: Answers::default(), rounds: 0, failures: Vec::new() };
    let mut left = questions.to_vec();
    let mut rng = Rng::with_seed(1);
    let rounds = args.rounds as usize;
    let progress = Progress::new(EXPECTED * (questions.len() * rounds) as u32, !args.quiet && !args.json);
    let begun = Instant::now();
    while measured.rounds < rounds && has_time(begun.elapsed(), measured.rounds) {
        rng.shuffle(&mut left);
        for (place, question) in left.clone().iter().enumerate() {
            let done = measured.rounds * left.len() + place;
            let each = begun.elapsed().checked_div(done as u32).unwrap_or(EXPECTED);
            progress.now(&described(question), begun.elapsed(), each * (left.len() * rounds - done) as u32);
            if let Err(why) = answer(question, &mut measured.answers)? {
                left.retain(|other| other != question);
                measured.failures.push((*question, why));
            }
        }
        measured.rounds += 1;
    }
    progress.finish();
    Ok(measured)
}

/// Whether another round fits, if it takes as long as those before did.
fn has_time(spent: Duration, rounds: usize) -> bool {
    spent.checked_div(rounds as u32).is_none_or(|each| spent + each <= BUDGET)
}

/// One process; why it gave no figures is the inner error.
fn answer(question: &Question, answers: &mut Answers) -> Result<Result<(), String>, Error> {
    let conditions = Conditions {
        timeout: TIMEOUT,
        counters: false,
        keep_output: false,
        poll_run_queue: false,
        quota: None,
        cpus: None,
    };
    let sample = measure::sample(&question.invocation(), &conditions)?;
    if measure::interrupted() {
        return Err(Error::Stopped("nothing is shown, since it was cut short"));
    }
    match sample.report {
        Some(report) if sample.status == Status::Ok => {
            answers.add(question, &report.runtime);
            Ok(Ok(()))
        }
        _ => Ok(Err(sample.remarks.join("; "))),
    }
}

fn described(question: &Question) -> String {
    let deed = match question.deed {
        Deed::Live => "alive",
        Deed::SpawnJoin => "spawn + join",
        Deed::Switch => "switch",
    };
    format!("{} {}, {deed}", claims::grouped(question.count), report::costs::name(question.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_deed_is_asked_of_both_kinds_at_every_count_once() {
        let (questions, remarks) = questions(&[2, 1, 2]);
        assert_eq!(questions.len(), 2 * 2 * Deed::ALL.len(), "{questions:?}");
        assert!(remarks.is_empty(), "{remarks:?}");
    }

    #[test]
    fn a_round_begins_only_if_it_is_expected_to_end_in_time() {
        assert!(has_time(Duration::ZERO, 0));
        assert!(has_time(Duration::from_secs(36), 4));
        assert!(!has_time(Duration::from_secs(45), 3));
    }
}
