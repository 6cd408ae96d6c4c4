//! A ticker beside goroutines that never let go.
//!
//! - **Models**: a latency-sensitive task (heartbeat, audio, game loop) in one program with batch work that computes
//!   without a call into the runtime: the weak side of cooperative scheduling.
//! - **Op**: one tick, due every millisecond. Unit: `ticks/s`.
//! - **Expected**: throughput is flat; what is judged is the p99 of how late ticks are: as long as a hog runs (50 ms) while
//!   hogs hold every processor, short from one processor more than there are hogs side by side. With `preemptible=true`
//!   the hogs check in every step whether they should yield, and a tick is no later than a time slice (10 ms).
//! - **Blocks on**: timers. Latency: how late a tick was.

use std::hint::black_box;
use std::time::{Duration, Instant};

use corefit_runtime::{go, preemptible, time};

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{self, expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::settings::is_flag;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const SIDE_BY_SIDE: Parameter = Parameter {
    name: "side_by_side",
    default: "1",
    about: "hogs that compute at the same time, from 1 to 64",
    accepts: |value| value.parse::<u64>().is_ok_and(|hogs| (1..=64).contains(&hogs)),
};

const PREEMPTIBLE: Parameter = Parameter {
    name: "preemptible",
    default: "false",
    about: "true lets the hogs check in every step whether they should yield",
    accepts: is_flag,
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "starvation",
    about: "a ticker beside hogs that never yield",
    scaling: "p99 is short from hogs + 1 processors on",
    unit: "ticks/s",
    policy: Some("p99<=5ms"),
    parameters: &[SIDE_BY_SIDE, PREEMPTIBLE],
    run,
};

/// Ticks at scale 1: they last longer than the hogs.
const TICKS: u32 = 300;
/// Time from one tick to the next.
const PERIOD: Duration = Duration::from_millis(1);
/// Hogs at scale 1, 0.2 s in all.
const HOGS: u64 = 4;
/// Steps of a hog: 50 ms at 3 GHz.
const HOG_STEPS: u64 = 50_000 * STEPS_PER_US;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let side_by_side: u64 = settings.read(&SIDE_BY_SIDE)?;
    let compute = if settings.read(&PREEMPTIBLE)? {
        compute_with_checks
    } else {
        compute_without_a_check as fn(u64) -> u64
    };
    let hogs = settings.scaled(HOGS, 1);
    let ticks = u32::try_from(settings.scaled(TICKS.into(), 60)).unwrap_or(u32::MAX);
    let watch = Stopwatch::start();
    let start = watch.begun();
    let ticker = go(move || tick(start, ticks));
    let lanes: Vec<_> = (0..side_by_side)
        .map(|lane| go(move || run_in_turn((lane..hogs).step_by(side_by_side as usize), compute)))
        .collect();
    let late_ns = crew::join(ticker)?;
    join_all(lanes)?;
    let timed = watch.stop();
    expect_equal("the number of ticks", late_ns.len(), ticks as usize)?;
    Ok(Outcome { ops: ticks.into(), timed, latency_ns: Some(histogram(late_ns)) })
}

/// Ticks every [`PERIOD`] from `start`; how late each tick was, in nanoseconds. A late tick does not put off the ones
/// after it, so a stall counts for all the ticks that it swallowed.
#[inline(never)]
fn tick(start: Instant, ticks: u32) -> Result<Vec<u64>, Failure> {
    let mut late_ns = Vec::with_capacity(ticks as usize);
    for tick in 1..=ticks {
        let due = start + PERIOD * tick;
        let ahead = due.saturating_duration_since(Instant::now());
        if !ahead.is_zero() {
            time::sleep(ahead);
        }
        late_ns.push(lateness_ns(due, Instant::now())?);
    }
    Ok(late_ns)
}

fn lateness_ns(due: Instant, now: Instant) -> Result<u64, Failure> {
    match now.checked_duration_since(due) {
        Some(late) => Ok(nanoseconds(late)),
        None => Err(Failure(format!("wrong result: a tick came {:?} early", due - now))),
    }
}

/// Starts each of `hogs` as a goroutine of its own, which runs `compute`, when the one before it has ended.
fn run_in_turn(hogs: impl Iterator<Item = u64>, compute: fn(u64) -> u64) -> Result<(), Failure> {
    for hog in hogs {
        let value = crew::join(go(move || Ok(compute(hog))))?;
        expect_equal("the value of a hog", value, chain::expected(hog, HOG_STEPS))?;
    }
    Ok(())
}

/// A hog: nothing in it calls the runtime.
#[inline(never)]
fn compute_without_a_check(hog: u64) -> u64 {
    black_box(chain::compute(hog, HOG_STEPS))
}

/// The same, with as many checks as a program can have.
#[preemptible]
#[inline(never)]
fn compute_with_checks(hog: u64) -> u64 {
    let mut value = hog;
    for _ in 0..HOG_STEPS {
        value = chain::step(value);
    }
    black_box(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(60);
    }

    #[test]
    fn hogs_side_by_side_are_from_1_to_64() {
        Trial::of(&WORKLOAD).set("side_by_side", "3").expect_ops(60);
        for bad in ["0", "65", "-1", "many"] {
            let failure = Trial::of(&WORKLOAD).set("side_by_side", bad).expect_failure();
            assert!(failure.contains("parameter `side_by_side`"), "{failure}");
        }
    }

    #[test]
    fn hogs_may_be_preemptible_and_compute_the_same() {
        Trial::of(&WORKLOAD).set("preemptible", "true").expect_ops(60);
        let failure = Trial::of(&WORKLOAD).set("preemptible", "perhaps").expect_failure();
        assert!(failure.contains("parameter `preemptible`"), "{failure}");
        assert_eq!(compute_with_checks(3), compute_without_a_check(3));
    }

    #[test]
    fn a_tick_before_its_time_is_noticed() {
        let due = Instant::now();
        assert_eq!(lateness_ns(due, due + Duration::from_micros(7)).unwrap(), 7_000);
        assert!(lateness_ns(due + Duration::from_micros(1), due).is_err());
    }
}
