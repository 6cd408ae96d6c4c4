//! What the scheduler counted.

use crate::account::Sums;
use crate::current;
use crate::histogram::{Counts, Histogram};
use crate::outside;
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::runtime::Runtime;
use crate::usage;
use std::time::{Duration, Instant};

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
        self.add_shared(1);
    }

    /// `count` more, by any thread.
    pub(crate) fn add_shared(&self, count: u64) {
        // ORDERING: Relaxed; a statistic.
        self.0.fetch_add(count, Relaxed);
    }

    /// At least `value`, by any thread.
    pub(crate) fn raise(&self, value: u64) {
        // ORDERING: Relaxed; a statistic.
        self.0.fetch_max(value, Relaxed);
    }

    /// From 0 on again. What its writer adds meanwhile may be lost, or the reset be.
    pub(crate) fn reset(&self) {
        // ORDERING: Relaxed; a statistic.
        self.0.store(0, Relaxed);
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
    /// Locks that were not free at once.
    pub(crate) lock_waits: Counter,
    pub(crate) sums: Sums,
    /// Run time of all goroutines, and of the one that ran longest, as far as this processor has seen it: estimates from the
    /// runs that are measured, microseconds.
    pub(crate) run_us: Counter,
    pub(crate) busiest_us: Counter,
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
            lock_waits: Counter::default(),
            sums: Sums::default(),
            run_us: Counter::default(),
            busiest_us: Counter::default(),
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
    /// CPU time of workers without a processor, on their way to sleep and back, nanoseconds.
    pub(crate) outside_cpu_ns: Counter,
    /// CPU time in blocking calls and of sysmon, nanoseconds.
    pub(crate) blocking_cpu_ns: Counter,
    /// How long workers without a processor, for either reason, could run but had no CPU, nanoseconds.
    pub(crate) outside_wait_ns: Counter,
    /// The longest that sysmon saw a goroutine keep its processor, nanoseconds.
    pub(crate) longest_run_ns: Counter,
    /// Whether a [`Stretch`] is under way.
    is_in_stretch: AtomicBool,
}

impl SharedStats {
    /// Whether what threads use without a processor is of interest.
    pub(crate) fn is_in_stretch(&self) -> bool {
        // ORDERING: Relaxed; what is measured a moment too early or too late is not counted, or counts as nothing.
        self.is_in_stretch.load(Relaxed)
    }

    pub(crate) fn set_in_stretch(&self, is_in_stretch: bool) {
        // ORDERING: Relaxed; as above.
        self.is_in_stretch.store(is_in_stretch, Relaxed);
    }
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
    /// Locks that were not free at once.
    pub lock_waits: u64,
    /// Where the time of the processors went.
    pub times: Times,
}

/// Where the time of the processors went that ran no goroutine, and how long goroutines ran: sums over all processors.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Idle until a lock, a read-write lock, a semaphore or a condition was to be had.
    pub idle_lock: Duration,
    /// Idle until a channel had an item, or room for one.
    pub idle_channel: Duration,
    /// Idle until a descriptor was ready, or a blocking call ended.
    pub idle_io: Duration,
    /// Idle until a timer was due.
    pub idle_sleep: Duration,
    /// Idle because there was too little to do side by side: until goroutines were started, or others had ended or arrived.
    pub idle_slack: Duration,
    /// The same while one goroutine ran alone.
    pub idle_critical: Duration,
    /// From waking a worker, or handing a processor to it, until it ran.
    pub waking: Duration,
    /// Looking for goroutines elsewhere.
    pub searching: Duration,
    /// CPU time of workers on their way to sleep and back, while they had no processor. Like the next two measured during a
    /// [`Stretch`] only.
    pub outside_cpu: Duration,
    /// CPU time in blocking calls and of sysmon, which hold no processor.
    pub blocking_cpu: Duration,
    /// How long workers without a processor, for either reason, could run but had no CPU; `None` where the kernel does not say.
    pub outside_wait: Option<Duration>,
    /// Run time of all goroutines, estimated: long runs are all measured, of short ones 1 in 64.
    pub goroutines_run: Duration,
    /// The part of it of the goroutine that ran longest, since the runtime or the last [`Stretch`] began.
    pub busiest_goroutine: Duration,
    /// The longest that a goroutine was seen to keep its processor beyond a time slice of 10 ms, since then likewise; zero if
    /// none was seen to.
    pub longest_run: Duration,
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
    runtime.synced.lock().settle(runtime.now_ns());
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
        sum.lock_waits += stats.lock_waits.get();
        sum.runs += processor.runs();
        sum.times.add(stats);
        ended += stats.ended.get();
        latency.add(&stats.latency);
        run_length.add(&stats.run_length);
    }
    sum.times.outside_cpu = Duration::from_nanos(shared.outside_cpu_ns.get());
    sum.times.blocking_cpu = Duration::from_nanos(shared.blocking_cpu_ns.get());
    sum.times.outside_wait =
        outside::is_wait_told().then(|| Duration::from_nanos(shared.outside_wait_ns.get()));
    sum.times.longest_run = Duration::from_nanos(shared.longest_run_ns.get());
    sum.goroutines_alive = sum.goroutines.saturating_sub(ended);
    sum.sched_latency_p50_s = latency.quantile_s(0.5);
    sum.sched_latency_p99_s = latency.quantile_s(0.99);
    sum.run_length_p50_s = run_length.quantile_s(0.5);
    sum.run_length_p99_s = run_length.quantile_s(0.99);
    sum
}

impl Times {
    /// Adds what one processor counted.
    fn add(&mut self, stats: &Stats) {
        let sums = &stats.sums;
        for (time, nanoseconds) in [
            (&mut self.idle_lock, &sums.lock_ns),
            (&mut self.idle_channel, &sums.channel_ns),
            (&mut self.idle_io, &sums.io_ns),
            (&mut self.idle_sleep, &sums.timer_ns),
            (&mut self.idle_slack, &sums.work_ns),
            (&mut self.idle_critical, &sums.critical_ns),
            (&mut self.waking, &sums.waking_ns),
            (&mut self.searching, &sums.searching_ns),
        ] {
            *time += Duration::from_nanos(nanoseconds.get());
        }
        self.goroutines_run += Duration::from_micros(stats.run_us.get());
        self.busiest_goroutine = self.busiest_goroutine.max(Duration::from_micros(stats.busiest_us.get()));
    }

    /// What was added since `before`.
    fn since(self, before: &Self) -> Self {
        Self {
            idle_lock: self.idle_lock.saturating_sub(before.idle_lock),
            idle_channel: self.idle_channel.saturating_sub(before.idle_channel),
            idle_io: self.idle_io.saturating_sub(before.idle_io),
            idle_sleep: self.idle_sleep.saturating_sub(before.idle_sleep),
            idle_slack: self.idle_slack.saturating_sub(before.idle_slack),
            idle_critical: self.idle_critical.saturating_sub(before.idle_critical),
            waking: self.waking.saturating_sub(before.waking),
            searching: self.searching.saturating_sub(before.searching),
            outside_cpu: self.outside_cpu.saturating_sub(before.outside_cpu),
            blocking_cpu: self.blocking_cpu.saturating_sub(before.blocking_cpu),
            outside_wait: self
                .outside_wait
                .zip(before.outside_wait)
                .map(|(now, before)| now.saturating_sub(before)),
            goroutines_run: self.goroutines_run.saturating_sub(before.goroutines_run),
            ..self
        }
    }
}

/// A stretch of a program's time whose costs are of interest: what it measures between its preparations and its checks, for
/// example. One at a time, begun and ended by the same goroutine.
///
/// ```
/// use corefit_runtime::{Config, Stretch};
///
/// let costs = Config::new().procs(1).run(|| {
///     let stretch = Stretch::begin();
///     let sum: u64 = (0..100_000).sum();
///     assert_eq!(sum, 4_999_950_000);
///     stretch.end()
/// });
/// assert!(costs.elapsed >= costs.times.idle_lock);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    begun: Instant,
    cpu: [Duration; 2],
    times: Times,
    lock_waits: u64,
}

/// What a [`Stretch`] cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Costs {
    /// How long it took.
    pub elapsed: Duration,
    /// CPU time of the process in user mode meanwhile.
    pub user: Duration,
    /// CPU time of the process in the kernel meanwhile.
    pub system: Duration,
    /// Where the time of the processors went meanwhile.
    pub times: Times,
    /// Locks that were not free at once meanwhile.
    pub lock_waits: u64,
}

impl Stretch {
    /// Begins one. Outside a runtime its times stay zero.
    #[must_use]
    pub fn begin() -> Self {
        if let Some(runtime) = current::runtime() {
            current::cut_run();
            runtime.stats.set_in_stretch(true);
            runtime.stats.longest_run_ns.reset();
            runtime.processors().iter().for_each(|processor| processor.stats.busiest_us.reset());
        }
        let Metrics { times, lock_waits, .. } = metrics();
        Self { cpu: usage::process_cpu(), times, lock_waits, begun: Instant::now() }
    }

    /// When it began.
    #[must_use]
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Ends it.
    #[must_use]
    pub fn end(self) -> Costs {
        let elapsed = self.begun.elapsed();
        let [user, system] = usage::process_cpu();
        current::end_run();
        let Metrics { times, lock_waits, .. } = metrics();
        if let Some(runtime) = current::runtime() {
            runtime.stats.set_in_stretch(false);
        }
        Costs {
            elapsed,
            user: user.saturating_sub(self.cpu[0]),
            system: system.saturating_sub(self.cpu[1]),
            times: times.since(&self.times),
            lock_waits: lock_waits.saturating_sub(self.lock_waits),
        }
    }
}
