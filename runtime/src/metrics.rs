//! What the scheduler counted.

use crate::current;
use crate::histogram::{Counts, Histogram};
use crate::primitives::atomic::{AtomicU64, Ordering::Relaxed};
use crate::runtime::Runtime;

/// A count with one writer, or with several that say so.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// One more. For the one writer: the holder of the processor.
    pub(crate) fn bump(&self) {
        self.add(1);
    }

    /// `count` more. For the one writer.
    pub(crate) fn add(&self, count: u64) {
        // ORDERING: Relaxed; a statistic with one writer.
        let now = self.0.load(Relaxed);
        // ORDERING: Relaxed; as above.
        self.0.store(now + count, Relaxed);
    }

    /// One more, by any thread.
    pub(crate) fn bump_shared(&self) {
        // ORDERING: Relaxed; a statistic.
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        // ORDERING: Relaxed; a statistic.
        self.0.load(Relaxed)
    }
}

/// What one processor counted. Written by its holder; the runtime has one more, written by whoever holds none.
pub(crate) struct Stats {
    pub(crate) started: Counter,
    pub(crate) ended: Counter,
    pub(crate) steals: Counter,
    pub(crate) steal_attempts: Counter,
    pub(crate) parks: Counter,
    pub(crate) handoffs: Counter,
    pub(crate) preemptions: Counter,
    pub(crate) stack_pool_hits: Counter,
    pub(crate) latency: Histogram,
    pub(crate) run_length: Histogram,
    /// Goroutines that began to wait for time or a descriptor, and that ended it. Equal when no one does.
    pub(crate) outside_waits: Counter,
    pub(crate) outside_wakes: Counter,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            started: Counter::default(),
            ended: Counter::default(),
            steals: Counter::default(),
            steal_attempts: Counter::default(),
            parks: Counter::default(),
            handoffs: Counter::default(),
            preemptions: Counter::default(),
            stack_pool_hits: Counter::default(),
            latency: Histogram::new(),
            run_length: Histogram::new(),
            outside_waits: Counter::default(),
            outside_wakes: Counter::default(),
        }
    }
}

/// What is counted for the runtime as a whole, by any thread.
#[derive(Default)]
pub(crate) struct SharedStats {
    pub(crate) started: Counter,
    pub(crate) ended: Counter,
    pub(crate) wakes: Counter,
    pub(crate) wakes_in_vain: Counter,
    pub(crate) preemptions_asked: Counter,
    pub(crate) outside_waits: Counter,
    pub(crate) outside_wakes: Counter,
}

/// Counts of the current runtime, summed over its processors. Each is since the runtime began, but for `procs` and
/// `goroutines_alive`.
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
    /// How long a goroutine runs without leaving its processor, seconds, median of the sampled runs (1 in 64); `None` if
    /// none was sampled.
    pub run_length_p50_s: Option<f64>,
    /// The same, 99th percentile.
    pub run_length_p99_s: Option<f64>,
    /// Goroutines that have not ended.
    pub goroutines_alive: u64,
    /// Goroutines run: each counts once for every time it was put on a processor.
    pub runs: u64,
    /// Times a processor looked into another's queue.
    pub steal_attempts: u64,
    /// Times a woken worker found nothing to do.
    pub wakes_in_vain: u64,
    /// Preemptions that were asked for.
    pub preemptions_asked: u64,
    /// Stacks that came from the processor's own pool.
    pub stack_pool_hits: u64,
}

/// The current runtime's counts so far. All zero outside a runtime.
///
/// ```
/// use corefit_runtime::{Config, go, metrics};
///
/// let counts = Config::new().procs(2).run(|| {
///     go(|| ()).join().unwrap();
///     metrics()
/// });
/// assert_eq!((counts.procs, counts.goroutines), (2, 2));
/// assert_eq!(counts.goroutines_alive, 1);
/// ```
#[must_use]
pub fn metrics() -> Metrics {
    current::runtime().map_or_else(Metrics::default, |runtime| of(&runtime))
}

fn of(runtime: &Runtime) -> Metrics {
    let shared = &runtime.stats;
    let mut sum = Metrics {
        procs: runtime.procs() as u64,
        goroutines: shared.started.get(),
        wakes: shared.wakes.get(),
        wakes_in_vain: shared.wakes_in_vain.get(),
        preemptions_asked: shared.preemptions_asked.get(),
        ..Metrics::default()
    };
    let mut ended = shared.ended.get();
    let (mut latency, mut run_length) = (Counts::new(), Counts::new());
    for processor in runtime.processors().iter() {
        let stats = &processor.stats;
        sum.goroutines += stats.started.get();
        sum.steals += stats.steals.get();
        sum.steal_attempts += stats.steal_attempts.get();
        sum.parks += stats.parks.get();
        sum.handoffs += stats.handoffs.get();
        sum.preemptions += stats.preemptions.get();
        sum.stack_pool_hits += stats.stack_pool_hits.get();
        sum.runs += processor.runs();
        ended += stats.ended.get();
        latency.add(&stats.latency);
        run_length.add(&stats.run_length);
    }
    sum.goroutines_alive = sum.goroutines.saturating_sub(ended);
    sum.sched_latency_p50_s = latency.quantile_s(0.5);
    sum.sched_latency_p99_s = latency.quantile_s(0.99);
    sum.run_length_p50_s = run_length.quantile_s(0.5);
    sum.run_length_p99_s = run_length.quantile_s(0.99);
    sum
}
