//! Trials of a workload: small runs at 1, 2 and 4 procs, as every workload's tests want them.

use std::collections::BTreeMap;

use corefit_runtime::Config;

use crate::{Failure, Outcome, Settings, Workload};

/// A workload and how it is to be run.
pub(crate) struct Trial {
    workload: &'static Workload,
    settings: Settings,
}

impl Trial {
    /// A trial at the smallest scale with default parameters.
    pub(crate) fn of(workload: &'static Workload) -> Self {
        Self { workload, settings: Settings { scale: 1e-3, input: None, params: BTreeMap::new() } }
    }

    /// Sets a parameter.
    pub(crate) fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.params.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs at 1, 2 and 4 procs and expects the same `ops` each time, with a latency for each if there are latencies.
    #[track_caller]
    pub(crate) fn expect_ops(&self, ops: u64) {
        for procs in [1, 2, 4] {
            let outcome = self.run(procs).unwrap_or_else(|failure| panic!("{failure} at {procs} procs"));
            assert_eq!(outcome.ops, ops, "at {procs} procs");
            assert!(!outcome.timed.elapsed().is_zero(), "no time passed at {procs} procs");
            assert!(outcome.latency_ns.is_none_or(|latencies| latencies.len() == ops), "at {procs} procs");
        }
    }

    /// Runs at 1 proc and expects it to fail; what it says.
    #[track_caller]
    pub(crate) fn expect_failure(&self) -> String {
        self.run(1).expect_err("this must fail").to_string()
    }

    fn run(&self, procs: usize) -> Result<Outcome, Failure> {
        let (run, settings) = (self.workload.run, self.settings.clone());
        Config::new().procs(procs).run(move || run(&settings))
    }
}
