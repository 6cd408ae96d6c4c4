//! One counter behind one lock.
//!
//! - **Models**: a global lock around almost nothing: an allocator's, a logger's, a metrics registry's.
//! - **Op**: one lock, increment and unlock. Unit: `locks/s`.
//! - **Expected**: falls from the second processor on: there is nothing to do in parallel, and the lock's line moves.
//! - **Blocks on**: the mutex.

use std::sync::Arc;

use corefit_runtime::go;
use corefit_runtime::sync::Mutex;

use crate::crew::{expect_equal, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "mutex_counter",
    about: "many goroutines, one lock, one counter",
    scaling: "falls from the second processor on",
    unit: "locks/s",
    policy: None,
    parameters: &[],
    run,
};

/// Goroutines that want the lock.
const GOROUTINES: u64 = 100;
/// Increments of each goroutine at scale 1: a sixth of a second at one processor, because it is thrice that at two.
const INCREMENTS: u64 = 90_000;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let increments = settings.scaled(INCREMENTS, 100);
    let counter = Arc::new(Mutex::new(0));
    let watch = Stopwatch::start();
    let crew: Vec<_> = (0..GOROUTINES)
        .map(|_| {
            let counter = Arc::clone(&counter);
            go(move || {
                increment(&counter, increments);
                Ok(())
            })
        })
        .collect();
    join_all(crew)?;
    let timed = watch.stop();
    expect_equal("the counter", *counter.lock(), GOROUTINES * increments)?;
    Ok(Outcome { ops: GOROUTINES * increments, timed, latency_ns: None })
}

#[inline(never)]
fn increment(counter: &Mutex<u64>, times: u64) {
    for _ in 0..times {
        *counter.lock() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(GOROUTINES * 100);
    }
}
