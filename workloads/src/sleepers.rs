//! Very many goroutines that do nothing but sleep.
//!
//! - **Models**: idle connections with keep-alive timers, retries with back-off, periodic jobs: timers, and cheap stacks.
//! - **Op**: one sleep of 15 to 30 ms. Unit: `sleeps/s`.
//! - **Expected**: flat once one processor can start and wake them in time: sleeping takes none.
//! - **Blocks on**: timers. Latency: how late a sleeper woke.

use std::time::{Duration, Instant};

use corefit_runtime::{go, time};

use crate::chain;
use crate::crew::{expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "sleepers",
    about: "10 000 goroutines that sleep 10 times each",
    scaling: "flat: sleeping takes no processor",
    unit: "sleeps/s",
    policy: None,
    parameters: &[],
    run,
};

/// Goroutines at scale 0.1 and above. Below, there are fewer.
const SLEEPERS: u64 = 10_000;
/// Sleeps of each at scale 1.
const SLEEPS: u64 = 10;
/// Shortest sleep, in microseconds; the longest is twice as long.
const SHORTEST_US: u64 = 15_000;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let sleeps = settings.scaled(SLEEPS, 1);
    let sleepers = settings.scaled(SLEEPERS * SLEEPS, 100).min(SLEEPERS);
    let watch = Stopwatch::start();
    let crew: Vec<_> = (0..sleepers).map(|sleeper| go(move || sleep_by_turns(sleeper, sleeps))).collect();
    let late_ns = join_all(crew)?;
    let timed = watch.stop();
    let slept: u64 = late_ns.iter().map(|late_ns| late_ns.len() as u64).sum();
    expect_equal("the number of sleeps", slept, sleepers * sleeps)?;
    Ok(Outcome { ops: slept, timed, latency_ns: Some(histogram(late_ns.into_iter().flatten())) })
}

/// One goroutine; how late it woke each time, in nanoseconds.
#[inline(never)]
fn sleep_by_turns(sleeper: u64, sleeps: u64) -> Result<Vec<u64>, Failure> {
    let mut late_ns = Vec::with_capacity(sleeps as usize);
    for turn in 0..sleeps {
        let duration = duration(sleeper, turn);
        let start = Instant::now();
        time::sleep(duration);
        late_ns.push(lateness_ns(start.elapsed(), duration)?);
    }
    Ok(late_ns)
}

/// How long a sleeper sleeps at a turn: as good as random, the same in every run.
fn duration(sleeper: u64, turn: u64) -> Duration {
    let random = chain::expected(sleeper, turn + 2) >> 33;
    Duration::from_micros(SHORTEST_US + random % (SHORTEST_US + 1))
}

fn lateness_ns(slept: Duration, asked: Duration) -> Result<u64, Failure> {
    match slept.checked_sub(asked) {
        Some(late) => Ok(nanoseconds(late)),
        None => Err(Failure(format!("wrong result: a sleep of {asked:?} took only {slept:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(100);
    }

    #[test]
    fn sleeps_last_15_to_30_ms_and_differ() {
        let durations: Vec<_> = (0..100).flat_map(|s| (0..10).map(move |turn| duration(s, turn))).collect();
        let (shortest, longest) = (durations.iter().min().unwrap(), durations.iter().max().unwrap());
        assert!(
            *shortest >= Duration::from_millis(15) && *shortest < Duration::from_millis(16),
            "{shortest:?}"
        );
        assert!(*longest <= Duration::from_millis(30) && *longest > Duration::from_millis(29), "{longest:?}");
    }

    #[test]
    fn a_sleep_that_ends_early_is_noticed() {
        let asked = Duration::from_millis(2);
        assert_eq!(lateness_ns(Duration::from_millis(5), asked).unwrap(), 3_000_000);
        assert!(lateness_ns(Duration::from_millis(1), asked).is_err());
    }
}
