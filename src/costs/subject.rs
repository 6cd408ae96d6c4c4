//! The measured process: the hidden subcommand `__costs KIND DEED COUNT`, which does the deed once and writes its figures
//! to the result descriptor.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::memory::{self, Memory};
use super::{Kind, Question, goroutines, threads};
use crate::machine::{self, CpuList};
use crate::target::workload;

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__costs";

/// Batches are started and joined until this has passed, so that the clock's own cost and a tick do not show.
const SPAWN_FOR: Duration = Duration::from_millis(100);
/// Of a batch, how many are started and joined before the clock starts.
const WARM_UP: u64 = 1000;
/// Time for the last to be asleep before memory is read.
pub(super) const SETTLE: Duration = Duration::from_millis(50);

/// What was found, by the names of `Row`'s fields; what was not measured is absent.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures(BTreeMap<&'static str, f64>);

impl Figures {
    /// Of `count` that are alive and asleep: their memory, which was `before` without them, and what it took to create and
    /// to `end` one.
    pub(super) fn of_lives(count: u64, before: &Memory, created: Duration, end: impl FnOnce()) -> Self {
        let mut figures = Self::default();
        Memory::now().growth(before, count, &mut figures);
        figures.add("os_threads", memory::threads());
        let begun = Instant::now();
        end();
        figures.add("create_s", Some(created.as_secs_f64() / count as f64));
        figures.add("end_s", Some(begun.elapsed().as_secs_f64() / count as f64));
        figures
    }

    pub(super) fn add(&mut self, name: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.0.insert(name, value);
        }
    }

    #[cfg(test)]
    pub(super) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// Answers the question that the words ask; what goes wrong is one line on standard error.
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(question) = Question::parse(words) else {
        eprintln!("corefit: `{SUBCOMMAND}` is how `corefit costs` measures; it is not for typing");
        return ExitCode::from(2);
    };
    let line = answer(question).map(|figures| serde_json::json!({ "runtime": figures.0 }).to_string());
    let written = line.and_then(|line| {
        let descriptor = env::var_os(workload::RESULT_FD);
        workload::write_result(&line, descriptor.as_deref()).map_err(|error| error.to_string())
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("corefit: {why}");
            ExitCode::FAILURE
        }
    }
}

fn answer(question: Question) -> Result<Figures, String> {
    match question.kind {
        Kind::Goroutine => goroutines::answer(question.deed, question.count),
        Kind::Thread => threads::answer(question.deed, question.count),
    }
}

/// Keeps this thread, and those it starts from now on, on one CPU, so that what yields gives way to the next one there;
/// the CPUs that were allowed before.
pub(super) fn stay_on_one_cpu() -> Result<CpuList, String> {
    let allowed = machine::cpus_allowed()?;
    let first = CpuList::new(allowed.iter().take(1)).expect("a list of CPUs has one at least");
    machine::stay_on(&first).map_err(|error| format!("cannot stay on one CPU: {error}"))?;
    Ok(allowed)
}

/// What it takes to start and join one of a batch of `count`, by `batch`, which does so.
pub(super) fn spawn_join(count: u64, batch: impl Fn(u64) -> Result<(), String>) -> Result<Figures, String> {
    batch(count.min(WARM_UP))?;
    let (begun, mut done) = (Instant::now(), 0);
    while begun.elapsed() < SPAWN_FOR {
        batch(count)?;
        done += count;
    }
    let mut figures = Figures::default();
    figures.add("spawn_join_s", Some(begun.elapsed().as_secs_f64() / done as f64));
    Ok(figures)
}

/// How often each of `count` yields so that all together do so `total` times; at least `least` times.
pub(super) fn turns(total: u64, count: u64, least: u64) -> u64 {
    (total / count).max(least)
}
