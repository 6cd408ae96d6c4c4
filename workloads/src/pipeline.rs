//! A pipeline of stages that take unequal time.
//!
//! - **Models**: stream processing: decode, transform, compress, write, each in a goroutine of its own.
//! - **Op**: one item through all stages. Unit: `items/s`.
//! - **Expected**: gains up to the cost of all stages over that of the slowest, here 20 µs over 8 µs: 2.5. More
//!   processors than that idle; the bounded channels hold the fast stages back.
//! - **Blocks on**: bounded channels, full before the slowest stage and empty after it.
//!
//! An item is a value that every stage carries some steps further along one chain, so that what comes out is known.

use std::hint::black_box;
use std::time::Instant;

use corefit_runtime::chan::{Receiver, Sender};
use corefit_runtime::{chan, go};

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "pipeline",
    about: "stages of unequal cost, bounded channels",
    scaling: "up to all stages over the slowest: 2.5",
    unit: "items/s",
    policy: None,
    parameters: &[],
    run,
};

/// Items at scale 1.
const ITEMS: u64 = 15_000;
/// Items that a channel between two stages holds.
const CAPACITY: usize = 16;

/// Steps of each stage: 4, 6, 8 and 2 µs at 3 GHz. No two are equal: the compiler would merge two equal functions, and a
/// flame graph show one name.
const DECODE_STEPS: u64 = 4 * STEPS_PER_US;
const TRANSFORM_STEPS: u64 = 6 * STEPS_PER_US;
const COMPRESS_STEPS: u64 = 8 * STEPS_PER_US;
const WRITE_STEPS: u64 = 2 * STEPS_PER_US;

const STAGES: [fn(u64) -> u64; 4] = [decode, transform, compress, write];

/// What passes from stage to stage.
#[derive(Clone, Copy, Debug)]
struct Item {
    value: u64,
    /// When it was offered to the first stage.
    entered: Instant,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let items = settings.scaled(ITEMS, 50);
    let mut values = Vec::with_capacity(items as usize);
    let mut latencies_ns = Vec::with_capacity(items as usize);
    let watch = Stopwatch::start();
    let (first, mut last) = chan(CAPACITY);
    let mut goroutines = vec![go(move || feed(&first, items))];
    for stage in STAGES {
        let (output, next) = chan(CAPACITY);
        let input = std::mem::replace(&mut last, next);
        goroutines.push(go(move || run_stage(stage, &input, &output)));
    }
    for item in &last {
        values.push(item.value);
        latencies_ns.push(nanoseconds(item.entered.elapsed()));
    }
    join_all(goroutines)?;
    let timed = watch.stop();
    check(&values, items)?;
    Ok(Outcome { ops: items, timed, latency_ns: Some(histogram(latencies_ns)) })
}

/// Offers the values from 0 to `items − 1`.
fn feed(first: &Sender<Item>, items: u64) -> Result<(), Failure> {
    (0..items).try_for_each(|value| pass_on(first, Item { value, entered: Instant::now() }))
}

/// Works on every item in turn, until no more come.
fn run_stage(work: fn(u64) -> u64, input: &Receiver<Item>, output: &Sender<Item>) -> Result<(), Failure> {
    input.iter().try_for_each(|item| pass_on(output, Item { value: work(item.value), ..item }))
}

fn pass_on(next: &Sender<Item>, item: Item) -> Result<(), Failure> {
    next.send(item).map_err(|error| Failure(format!("the next stage ended before its last item: {error}")))
}

#[inline(never)]
fn decode(value: u64) -> u64 {
    black_box(chain::compute(value, DECODE_STEPS))
}

#[inline(never)]
fn transform(value: u64) -> u64 {
    black_box(chain::compute(value, TRANSFORM_STEPS))
}

#[inline(never)]
fn compress(value: u64) -> u64 {
    black_box(chain::compute(value, COMPRESS_STEPS))
}

#[inline(never)]
fn write(value: u64) -> u64 {
    black_box(chain::compute(value, WRITE_STEPS))
}

/// Checks that every item came out, in order, with the steps of all stages.
fn check(values: &[u64], items: u64) -> Result<(), Failure> {
    const STEPS: u64 = DECODE_STEPS + TRANSFORM_STEPS + COMPRESS_STEPS + WRITE_STEPS;
    expect_equal("the number of items", values.len() as u64, items)?;
    (0..).zip(values).try_for_each(|(item, value)| {
        expect_equal(&format!("item {item}"), *value, chain::expected(item, STEPS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_is_lost_or_swapped_or_has_skipped_a_stage_is_noticed() {
        let through = |stages: &[fn(u64) -> u64], item| stages.iter().fold(item, |value, stage| stage(value));
        let values: Vec<u64> = (0..4).map(|item| through(&STAGES, item)).collect();
        check(&values, 4).unwrap();
        assert!(check(&values[..3], 4).is_err());
        assert!(check(&[values[1], values[0], values[2], values[3]], 4).is_err());
        for skipped in 0..STAGES.len() {
            let mut stages = STAGES.to_vec();
            stages.remove(skipped);
            assert!(check(&[through(&stages, 0)], 1).is_err(), "without stage {skipped}");
        }
    }
}
