//! Measuring the timed part of a workload: how long it takes, and where the time of the processors goes meanwhile. What
//! comes before and after (making data, checking results) is left out of both.

use std::time::{Duration, Instant};

use corefit_runtime::{Costs, Stretch};

use crate::report::workers_wait;

/// A running measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch {
    stretch: Stretch,
    waited_s: Option<f64>,
}

/// What the timed part of a workload cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timed {
    /// By the runtime's account.
    pub costs: Costs,
    /// Seconds that workers were ready to run and waited for a CPU, summed; `None` where the kernel does not say.
    pub run_queue_wait_s: Option<f64>,
}

impl Timed {
    /// How long it took.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.costs.elapsed
    }
}

impl Stopwatch {
    /// Starts it.
    pub(crate) fn start() -> Self {
        // Its own work comes first.
        let waited_s = workers_wait();
        Self { waited_s, stretch: Stretch::begin() }
    }

    /// When it was started.
    pub(crate) fn begun(&self) -> Instant {
        self.stretch.begun()
    }

    /// Stops it.
    pub(crate) fn stop(self) -> Timed {
        let costs = self.stretch.end();
        let waited_s = workers_wait().zip(self.waited_s);
        Timed { costs, run_queue_wait_s: waited_s.map(|(after_s, before_s)| (after_s - before_s).max(0.0)) }
    }
}

#[cfg(test)]
mod tests {
    use corefit_runtime::{Config, go};

    use super::*;

    #[test]
    fn only_what_happens_meanwhile_counts() {
        let timed = Config::new().procs(1).run(|| {
            go(|| ()).join().unwrap();
            let watch = Stopwatch::start();
            let begun = watch.begun();
            let timed = watch.stop();
            assert!(timed.elapsed() <= begun.elapsed());
            timed
        });
        assert_eq!(timed.costs.lock_waits, 0);
        assert_eq!(timed.run_queue_wait_s.is_some(), crate::report::run_queue_wait().is_some());
    }
}
