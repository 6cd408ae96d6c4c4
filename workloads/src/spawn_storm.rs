//! Trees of tiny goroutines, forked and joined.
//!
//! - **Models**: fork-join programs whose tasks are too small, and servers that start a goroutine for everything.
//! - **Op**: one goroutine started, run and joined. Unit: `goroutines/s`.
//! - **Expected**: gains if starting a goroutine touches only the processor's own queue and stacks; falls if every start
//!   wakes or locks another processor.
//! - **Blocks on**: the end of both children.
//!
//! One tree after another: a tree has at most 4 095 goroutines, and all of them may be alive at once.

use corefit_runtime::go;

use crate::crew::{expect_equal, join};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "spawn_storm",
    about: "fork-join trees of tiny goroutines",
    scaling: "gains if starting and stealing are cheap",
    unit: "goroutines/s",
    policy: None,
    parameters: &[],
    run,
};

/// Goroutines at scale 1.
const GOROUTINES: u64 = 600_000;
/// The fewest goroutines: a tree of six levels.
const FEWEST: u64 = 63;
/// Levels of a tree, at most.
const LEVELS: u32 = 12;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let wanted = settings.scaled(GOROUTINES, FEWEST);
    let levels = LEVELS.min((wanted + 1).ilog2());
    let goroutines = goroutines_of_tree(levels);
    let trees = (wanted as f64 / goroutines as f64).round() as u64;
    let watch = Stopwatch::start();
    let mut sums = Vec::new();
    for _ in 0..trees {
        sums.push(join(go(move || grow_tree(1, levels)))?);
    }
    let timed = watch.stop();
    check(&sums, levels)?;
    Ok(Outcome { ops: trees * goroutines, timed, latency_ns: None })
}

fn goroutines_of_tree(levels: u32) -> u64 {
    (1 << levels) - 1
}

/// A tree's goroutine number `number` (the root's is 1; the children of n are 2n and 2n + 1) with `levels` levels, its
/// own included. Gives the sum of the numbers from here down.
#[inline(never)]
fn grow_tree(number: u64, levels: u32) -> Result<u64, Failure> {
    if levels == 1 {
        return Ok(number);
    }
    let left = go(move || grow_tree(2 * number, levels - 1));
    let right = go(move || grow_tree(2 * number + 1, levels - 1));
    Ok(number + join(left)? + join(right)?)
}

fn check(sums: &[u64], levels: u32) -> Result<(), Failure> {
    let goroutines = goroutines_of_tree(levels);
    let expected = goroutines * (goroutines + 1) / 2;
    sums.iter().try_for_each(|sum| expect_equal("the sum of the goroutines' numbers", *sum, expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    #[test]
    fn a_tree_adds_up_and_a_lost_or_doubled_goroutine_is_noticed() {
        for levels in 1..6 {
            let sum = Config::new().procs(2).run(move || grow_tree(1, levels)).unwrap();
            check(&[sum, sum], levels).unwrap();
            let last = goroutines_of_tree(levels);
            assert!(check(&[sum, sum - last], levels).is_err());
            assert!(check(&[sum + last, sum], levels).is_err());
        }
    }
}
