//! Which worker count to take: points, bootstrap, policy, reasons. Pure functions; every number comes from its input.

use crate::plan::Policy;
use crate::results::{Note, Recommendation};

/// Everything a decision is made from.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Name of the target.
    pub target: String,
    /// Unit of the throughput.
    pub unit: String,
    /// Successful samples, in the order they were measured.
    pub observations: Vec<Observation>,
    /// How the worker count is chosen.
    pub policy: Policy,
    /// CPUs the program could use (affinity or quota, whichever is less); `None` for a plain table: no ceiling.
    pub cpus: Option<f64>,
    /// Fit R's USL (unweighted least squares of X on N, lambda free, no ceiling) whatever the data say.
    pub model: ModelChoice,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Measured with `--quick`: said beside the answer.
    pub quick: bool,
    /// The target is a bundled workload: its unit, and what its counters mean, are known.
    pub is_workload: bool,
    /// What was noticed while measuring: passed on into the answer's warnings.
    pub warnings: Vec<Note>,
}

/// Which model is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelChoice {
    /// Whichever fits best.
    Auto,
    /// The USL as R's `usl` fits it.
    UslAsR,
}

/// One successful sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Worker count (or average concurrency): positive and finite.
    pub n: f64,
    /// Round it was measured in; `None` in a plain table.
    pub round: Option<u32>,
    /// Positive and finite.
    pub throughput: f64,
    /// Seconds from exec to exit.
    pub wall_s: Option<f64>,
    /// Seconds of the timed part.
    pub elapsed_s: Option<f64>,
    /// Operations done.
    pub ops: Option<f64>,
    /// Latency percentiles, seconds, for latency policies.
    pub latency_p50_s: Option<f64>,
    /// 90th.
    pub latency_p90_s: Option<f64>,
    /// 99th.
    pub latency_p99_s: Option<f64>,
    /// 99.9th.
    pub latency_p999_s: Option<f64>,
    /// CPU time of the process, user and kernel.
    pub user_s: Option<f64>,
    /// Kernel part.
    pub sys_s: Option<f64>,
    /// Peak resident memory.
    pub max_rss_bytes: Option<f64>,
    /// Quota in force.
    pub cpu_quota: Option<f64>,
    /// Throttled by it.
    pub throttled_s: Option<f64>,
    /// Runnable but without a CPU.
    pub run_queue_wait_s: Option<f64>,
    /// Thread switches.
    pub context_switches: Option<f64>,
    /// Instructions, cycles and cache misses where there is a PMU.
    pub instructions: Option<f64>,
    /// Cycles.
    pub cycles: Option<f64>,
    /// Last-level cache misses.
    pub cache_misses: Option<f64>,
    /// Goroutine parks, steals, wakes of the bundled runtime.
    pub parks: Option<f64>,
    /// Steals.
    pub steals: Option<f64>,
    /// Wakes.
    pub wakes: Option<f64>,
    /// Handoffs (blocking calls).
    pub handoffs: Option<f64>,
    /// Goroutines started.
    pub goroutines: Option<f64>,
    /// Ready-to-run latency, 99th percentile.
    pub sched_latency_p99_s: Option<f64>,
}

/// Decides; `None` if there is no observation at all. The same evidence gives the same answer, bit for bit.
#[must_use]
pub fn decide(evidence: &Evidence) -> Option<Recommendation> {
    let _ = evidence;
    unimplemented!("issue in progress")
}
