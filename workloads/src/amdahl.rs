//! A program with a set serial fraction.
//!
//! - **Models**: batch work in phases, each with a part that only one goroutine can do and a part that divides well.
//! - **Op**: one phase: the serial part, then 128 equal chunks in as many goroutines. Unit: `phases/s`.
//! - **Expected**: Amdahl's law, `S(N) = 1/(s + (1 − s)/N)`: at `serial=0.3`, 1.54 at 2 processors and never above 3.33.
//! - **Blocks on**: nothing but the end of the chunks.

use std::hint::black_box;

use corefit_runtime::go;

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{expect_equal, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const SERIAL: Parameter = Parameter {
    name: "serial",
    default: "0.3",
    about: "serial fraction of the work, from 0 to 1",
    accepts: is_share,
};

fn is_share(value: &str) -> bool {
    value.parse::<f64>().is_ok_and(|share| (0.0..=1.0).contains(&share))
}

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "amdahl",
    about: "phases with a set serial fraction",
    scaling: "1/(s + (1 − s)/N): 1.54 at 2 for s = 0.3",
    unit: "phases/s",
    policy: None,
    parameters: &[SERIAL],
    run,
};

/// Phases at scale 1.
const PHASES: u64 = 10;
/// Steps of a phase, serial and parallel together: 30 ms at 3 GHz, so that 129 goroutine switches and a wake-up do not show.
const PHASE_STEPS: u64 = 30_000 * STEPS_PER_US;
/// Chunks of the parallel part: many more than processors, so that the last one to end is soon alone.
const CHUNKS: u64 = 128;

/// Steps of the two parts of a phase.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Phase {
    serial_steps: u64,
    chunk_steps: u64,
}

impl Phase {
    fn new(serial: f64) -> Self {
        let serial_steps = (PHASE_STEPS as f64 * serial).round() as u64;
        Self { serial_steps, chunk_steps: (PHASE_STEPS - serial_steps) / CHUNKS }
    }

    /// What a phase that starts from `value` must end with.
    fn expected(self, value: u64) -> u64 {
        let value = chain::expected(value, self.serial_steps);
        (0..CHUNKS).fold(value, |sum, chunk| {
            sum.wrapping_add(chain::expected(value.wrapping_add(chunk), self.chunk_steps))
        })
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let phase = Phase::new(settings.read(&SERIAL)?);
    let phases = settings.scaled(PHASES, 1);
    let watch = Stopwatch::start();
    let value = (0..phases).try_fold(0, |value, _| run_phase(value, phase))?;
    let timed = watch.stop();
    expect_equal(
        "the value after the last phase",
        value,
        (0..phases).fold(0, |value, _| phase.expected(value)),
    )?;
    Ok(Outcome { ops: phases, timed, latency_ns: None })
}

/// One phase; the next one starts from its result, so phases cannot overlap.
fn run_phase(value: u64, phase: Phase) -> Result<u64, Failure> {
    let value = serial_part(value, phase.serial_steps);
    let chunks = (0..CHUNKS).map(|chunk| go(move || Ok(parallel_chunk(value, chunk, phase.chunk_steps))));
    // Collected first: a lazy iterator would start each chunk only after the one before it has ended.
    let chunks: Vec<_> = chunks.collect();
    Ok(join_all(chunks)?.into_iter().fold(value, u64::wrapping_add))
}

#[inline(never)]
fn serial_part(start: u64, steps: u64) -> u64 {
    black_box(chain::compute(start, steps))
}

/// Not the same code as `serial_part`: the compiler would merge the two, and a flame graph show one name.
#[inline(never)]
fn parallel_chunk(value: u64, chunk: u64, steps: u64) -> u64 {
    black_box(chain::compute(value.wrapping_add(chunk), steps))
}

#[cfg(test)]
mod tests {
    use corefit_runtime::Config;

    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(1);
    }

    #[test]
    fn all_serial_and_all_parallel_are_allowed() {
        Trial::of(&WORKLOAD).set("serial", "0").expect_ops(1);
        Trial::of(&WORKLOAD).set("serial", "1").expect_ops(1);
    }

    #[test]
    fn a_serial_fraction_that_is_none_is_refused() {
        for bad in ["-0.1", "1.01", "nan", "inf", "a third", ""] {
            let failure = Trial::of(&WORKLOAD).set("serial", bad).expect_failure();
            assert!(failure.contains("parameter `serial`"), "{failure}");
        }
    }

    #[test]
    fn the_parts_have_the_ratio_that_is_set() {
        for serial in [0.0, 0.05, 0.3, 0.5, 1.0] {
            let phase = Phase::new(serial);
            let all = phase.serial_steps + CHUNKS * phase.chunk_steps;
            assert!((phase.serial_steps as f64 / all as f64 - serial).abs() < 1e-5, "{phase:?} for {serial}");
        }
    }

    #[test]
    fn a_phase_with_a_step_too_few_is_noticed() {
        let phase = Phase { serial_steps: 1_000, chunk_steps: 100 };
        let short = Phase { chunk_steps: 99, ..phase };
        let (of_short, of_whole) =
            Config::new().procs(1).run(move || (run_phase(1, short).unwrap(), run_phase(1, phase).unwrap()));
        assert_ne!(of_short, phase.expected(1));
        assert_eq!(of_whole, phase.expected(1));
    }
}
