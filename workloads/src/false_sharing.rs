//! Counters that share nothing but a cache line.
//!
//! - **Models**: per-thread statistics that lie next to each other in memory; with `padded=true`, the repaired program.
//! - **Op**: one relaxed atomic add of a goroutine to its own counter. Unit: `adds/s`.
//! - **Expected**: no gain or a loss from the second core on, since the line moves between cores at each add; linear if
//!   padded, and also where the processors are hyper-threads of one core, which share its cache.
//! - **Blocks on**: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use corefit_runtime::{JoinHandle, go, yield_now};

use crate::crew::{expect_equal, join_all};
use crate::settings::is_flag;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const PADDED: Parameter = Parameter {
    name: "padded",
    default: "false",
    about: "true gives each counter cache lines of its own",
    accepts: is_flag,
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "false_sharing",
    about: "separate counters in one cache line",
    scaling: "flat or falling; linear with padded=true",
    unit: "adds/s",
    policy: None,
    parameters: &[PADDED],
    run,
};

/// Goroutines, each with a counter: as many as a line of 64 bytes holds.
const GOROUTINES: usize = 8;
/// Adds between two yields: 0.4 ms. They keep the eight in step, so that three processors share them evenly too.
const BURST: u64 = 1 << 16;
/// Bursts of each goroutine at scale 1: only a tenth of a second at one processor, because it is four times that at two.
const BURSTS: u64 = 40;

/// All counters in one line.
#[repr(align(64))]
#[derive(Debug, Default)]
struct Line([AtomicU64; GOROUTINES]);

/// A counter alone in two lines, because processors fetch lines in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Padded(AtomicU64);

#[derive(Clone, Debug)]
enum Counters {
    Adjacent(Arc<Line>),
    Padded(Arc<[Padded; GOROUTINES]>),
}

impl Counters {
    fn new(padded: bool) -> Self {
        if padded { Self::Padded(Arc::default()) } else { Self::Adjacent(Arc::default()) }
    }

    fn of(&self, goroutine: usize) -> &AtomicU64 {
        match self {
            Self::Adjacent(line) => &line.0[goroutine],
            Self::Padded(counters) => &counters[goroutine].0,
        }
    }

    /// Each counter must have been added to `adds` times.
    fn check(&self, adds: u64) -> Result<(), Failure> {
        (0..GOROUTINES).try_for_each(|goroutine| {
            // ORDERING: Relaxed; joining the goroutine that added has published its adds.
            expect_equal(&format!("counter {goroutine}"), self.of(goroutine).load(Relaxed), adds)
        })
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let counters = Counters::new(settings.read(&PADDED)?);
    let bursts = settings.scaled(BURSTS, 1);
    let watch = Stopwatch::start();
    let crew: Vec<_> = (0..GOROUTINES).map(|goroutine| spawn(&counters, goroutine, bursts)).collect();
    join_all(crew)?;
    let timed = watch.stop();
    counters.check(bursts * BURST)?;
    Ok(Outcome { ops: GOROUTINES as u64 * bursts * BURST, timed, latency_ns: None })
}

fn spawn(counters: &Counters, goroutine: usize, bursts: u64) -> JoinHandle<Result<(), Failure>> {
    let counters = counters.clone();
    go(move || {
        for _ in 0..bursts {
            add_to_own_counter(counters.of(goroutine));
            yield_now();
        }
        Ok(())
    })
}

#[inline(never)]
fn add_to_own_counter(counter: &AtomicU64) {
    for _ in 0..BURST {
        // ORDERING: Relaxed; only this goroutine touches the counter until it has been joined.
        counter.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(GOROUTINES as u64 * BURST);
        Trial::of(&WORKLOAD).set("padded", "true").expect_ops(GOROUTINES as u64 * BURST);
    }

    #[test]
    fn padded_is_true_or_false() {
        let failure = Trial::of(&WORKLOAD).set("padded", "yes").expect_failure();
        assert!(failure.contains("parameter `padded`"), "{failure}");
    }

    #[test]
    fn adjacent_counters_share_a_line_and_padded_ones_do_not() {
        let line = |counters: &Counters, i| std::ptr::from_ref(counters.of(i)).addr() / 64;
        let (adjacent, padded) = (Counters::new(false), Counters::new(true));
        assert_eq!(line(&adjacent, 0), line(&adjacent, GOROUTINES - 1));
        assert!((1..GOROUTINES).all(|i| line(&padded, i) >= line(&padded, i - 1) + 2));
    }

    #[test]
    fn a_lost_add_is_noticed() {
        let counters = Counters::new(false);
        (0..GOROUTINES).for_each(|i| add_to_own_counter(counters.of(i)));
        counters.check(BURST).unwrap();
        counters.of(3).fetch_sub(1, Relaxed);
        let failure = counters.check(BURST).unwrap_err();
        assert_eq!(failure.to_string(), "wrong result: counter 3 is 65535, expected 65536");
    }
}
