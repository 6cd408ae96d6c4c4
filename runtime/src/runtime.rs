//! A runtime: its processors, its global queue, and what its parts share.
//!
//! What a goroutine does on the common path (spawn, ready, yield) touches its own processor only; the lock here is for
//! the global queue, for the lists of idle processors and workers, and for resizing.

use crate::account::Busy;
use crate::fences;
use crate::global_queue::{GlobalQueue, Queued};
use crate::goroutine::{GoroutineRef, Runnable};
use crate::idle::MOST_MACHINES;
use crate::lazy::Alertness;
use crate::machine::Machine;
use crate::metrics::SharedStats;
use crate::os::Bell;
use crate::park::Pledged;
use crate::poller::Poller;
use crate::preempt::Wish;
use crate::primitives::atomic::{
    AtomicBool, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitives::{Arc, Condvar, Mutex};
use crate::processor::{Core, ID_BATCH, LOOK_NS, Processor};
use crate::sysmon::Alarm;
use crate::timers::{NEVER, TimedWait, Timers};
use crate::trace::Track;
use crate::wakeups::Wakeups;
use std::collections::HashMap;
use std::sync::Weak;
use std::time::Instant;
use std::{io, mem};

/// Most processors: what GOMAXPROCS may be.
pub(crate) const MOST_PROCS: usize = 4096;

/// Goroutines that a look at timers and network is prepared to find: a busy service has tens ready each time, for which a
/// list that grows would be moved four times. Guess.
const FOUND: usize = 64;

/// One runtime.
pub(crate) struct Runtime {
    /// Itself, for those who have a reference only.
    this: Weak<Self>,
    started: Instant,
    /// All processors that ever were, by index. Only grows.
    processors: Mutex<Arc<[Arc<Processor>]>>,
    next_id: AtomicU64,
    pub(crate) wakeups: Wakeups,
    /// Counts the changes of `live`, `surplus` and `stopping`: what a worker looks at between two goroutines.
    generation: AtomicU64,
    pub(crate) queued: Queued,
    /// `Synced::live`.
    live: AtomicUsize,
    /// There are more processors than there should be.
    surplus: AtomicBool,
    /// Main has returned: no goroutine runs any more.
    stopping: AtomicBool,
    /// When timers and network were last looked at, ns of the clock.
    last_look_ns: AtomicU64,
    pub(crate) synced: Mutex<Synced>,
    /// Signalled when a worker ends while the runtime stops.
    pub(crate) quiet: Condvar,
    pub(crate) timers: Timers,
    pub(crate) poller: Poller,
    /// By id, the goroutines that one machine alone may run.
    pub(crate) bound: Mutex<HashMap<u64, Arc<Machine>>>,
    pub(crate) stats: SharedStats,
    pub(crate) alarm: Alarm,
    pub(crate) alertness: Alertness,
    pub(crate) trace: Track,
}

/// What is under the lock.
#[derive(Default)]
#[allow(clippy::vec_box, reason = "a processor is handed around as a box, and not copied into and out of it")]
pub(crate) struct Synced {
    /// Goroutines that no processor has queued.
    pub(crate) global: GlobalQueue,
    /// Processors that no worker holds. Their queues are empty.
    pub(crate) idle_cores: Vec<Box<Core>>,
    /// Processors that are out of use, until there are to be more again. Their queues are empty.
    pub(crate) retired_cores: Vec<Box<Core>>,
    /// Processors in use: idle, or held by a worker.
    pub(crate) live: usize,
    /// Processors that there should be.
    pub(crate) target: usize,
    /// Workers that have given their processor back and do not wait for mail yet.
    pub(crate) leaving: Vec<Arc<Machine>>,
    /// Workers that wait for mail, those that came last at the end.
    pub(crate) idle_machines: Vec<Arc<Machine>>,
    /// The worker that sleeps in the poller, unless mail is on its way to it, and what wakes it.
    pub(crate) polling: Option<(Arc<Machine>, Arc<Bell>)>,
    /// Bells of no one.
    pub(crate) bells: Vec<Arc<Bell>>,
    /// Workers that wait for mail which only comes with the goroutine that is bound to them.
    pub(crate) bound_waiting: usize,
    /// All workers.
    pub(crate) machines: Vec<Arc<Machine>>,
    /// How many workers there may be.
    pub(crate) most_machines: usize,
    /// Workers in a blocking call.
    pub(crate) blocked: usize,
    pub(crate) next_machine: usize,
    /// When a worker was last replaced by a fresh one, ns of the runtime's clock.
    pub(crate) replaced_ns: u64,
    /// How many processors have been busy, for how long.
    pub(crate) busy: Busy,
    /// Why the last worker that could not be started was not.
    pub(crate) start_error: Option<io::Error>,
}

impl Runtime {
    /// A runtime with `procs` processors (1 to `MOST_PROCS`), all idle, and no worker.
    pub(crate) fn new(procs: usize) -> io::Result<Arc<Self>> {
        // Before any thread of its own.
        fences::prepare();
        let (poller, alarm) = (Poller::new()?, Alarm::new()?);
        let runtime = Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            started: Instant::now(),
            processors: Mutex::new(Arc::new([])),
            next_id: AtomicU64::new(1),
            wakeups: Wakeups::default(),
            generation: AtomicU64::new(1),
            queued: Queued::default(),
            live: AtomicUsize::new(0),
            surplus: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            last_look_ns: AtomicU64::new(0),
            synced: Mutex::new(Synced { most_machines: MOST_MACHINES, ..Synced::default() }),
            quiet: Condvar::new(),
            timers: Timers::new(),
            poller,
            bound: Mutex::default(),
            stats: SharedStats::default(),
            alarm,
            alertness: Alertness::default(),
            trace: Track::begin(),
        });
        runtime.synced.lock().bells.push(Arc::new(Bell::new()?));
        runtime.set_procs(procs);
        Ok(runtime)
    }

    /// One more count of it: for whoever may use it when no goroutine and no worker is left.
    pub(crate) fn counted(&self) -> Arc<Self> {
        self.this.upgrade().expect("a runtime that is referred to is counted")
    }

    /// The runtime's clock: ns since it began, at least 1.
    pub(crate) fn now_ns(&self) -> u64 {
        self.clock_ns(Instant::now())
    }

    fn clock_ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.started).as_nanos())
            .unwrap_or(NEVER - 1)
            .clamp(1, NEVER - 1)
    }

    /// All processors that ever were.
    pub(crate) fn processors(&self) -> Arc<[Arc<Processor>]> {
        Arc::clone(&self.processors.lock())
    }

    /// Makes `count` more processors; the caller has the lock of `Synced`.
    pub(crate) fn new_cores(&self, count: usize) -> impl Iterator<Item = Box<Core>> + use<> {
        let mut processors = self.processors.lock();
        let first = processors.len();
        let fresh: Vec<_> = (first..first + count)
            .map(|index| {
                let (processor, local) = Processor::new(index);
                (Arc::new(processor), local)
            })
            .collect();
        *processors =
            processors.iter().chain(fresh.iter().map(|(processor, _)| processor)).cloned().collect();
        fresh.into_iter().map(|(processor, local)| Core::new(processor, local))
    }

    /// The first of `ID_BATCH` fresh goroutine ids.
    pub(crate) fn new_ids(&self) -> u64 {
        // ORDERING: Relaxed; only distinctness counts.
        self.next_id.fetch_add(ID_BATCH, Relaxed)
    }

    /// Main has returned.
    pub(crate) fn is_stopping(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `begin_stop`.
        self.stopping.load(Acquire)
    }

    /// From now on no goroutine is run.
    pub(crate) fn begin_stop(&self) {
        // ORDERING: Release; pairs with the Acquire in `is_stopping`.
        self.stopping.store(true, Release);
        self.next_generation();
    }

    /// Ends the runtime after `begin_stop`: tells everyone, and waits until no goroutine runs any more. Threads in
    /// blocking calls end by themselves later.
    pub(crate) fn stop(&self) {
        // Opens the gate of `checkpoint`, which looks at `is_stopping` then.
        let wish = Wish::default();
        wish.make();
        let mut synced = self.synced.lock();
        for machine in &synced.machines {
            machine.stop();
        }
        if let Some((_, bell)) = &synced.polling {
            bell.ring();
        }
        self.alarm.ring();
        while synced.machines.len() > synced.blocked {
            synced = self.quiet.wait(synced);
        }
        let left = (
            mem::take(&mut synced.global),
            mem::take(&mut synced.idle_cores),
            mem::take(&mut synced.retired_cores),
        );
        synced.bells.clear();
        drop(synced);
        drop(wish);
        for processor in self.processors().iter() {
            // Goroutines left behind keep the runtime in memory, but it is not to keep the gate open.
            processor.wish.forget();
        }
        drop(left);
        self.timers.clear();
        if self.alive() > 0 {
            // They refer to it, and someone may yet unpark them.
            mem::forget(self.counted());
        }
        // Goroutines left behind keep the runtime in memory, but it is not to keep descriptors.
        self.poller.close();
    }

    /// Goroutines that have been started and have not ended. Exact while no goroutine runs.
    pub(crate) fn alive(&self) -> u64 {
        let processors = self.processors();
        let ended: u64 = processors.iter().map(|processor| processor.stats.ended.get()).sum();
        let started: u64 = processors.iter().map(|processor| processor.stats.started.get()).sum();
        (started + self.stats.started.get()).saturating_sub(ended + self.stats.ended.get())
    }

    /// The thread of a worker ends.
    pub(crate) fn worker_ended(&self, machine: &Arc<Machine>) {
        let mut synced = self.synced.lock();
        synced.machines.retain(|other| !Arc::ptr_eq(other, machine));
        self.quiet.notify_all();
    }

    /// Whether no processor is held by a worker.
    pub(crate) fn is_all_idle(&self) -> bool {
        // For sysmon, which orders it by a fence where that matters.
        self.wakeups.idle() == self.live()
    }

    /// Goroutines that wait for time or a descriptor. Exact while all processors are idle.
    pub(crate) fn outside_waits(&self) -> u64 {
        let (waits, wakes) = (self.stats.outside_waits.get(), self.stats.outside_wakes.get());
        let processors = self.processors();
        let waits: u64 =
            waits + processors.iter().map(|processor| processor.stats.outside_waits.get()).sum::<u64>();
        let wakes: u64 =
            wakes + processors.iter().map(|processor| processor.stats.outside_wakes.get()).sum::<u64>();
        waits.saturating_sub(wakes)
    }

    /// Checks that the first worker could be started.
    pub(crate) fn check_started(&self) -> io::Result<()> {
        let mut synced = self.synced.lock();
        match synced.start_error.take() {
            Some(error) if synced.machines.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Changes when there is something to look at for a worker between two goroutines, see `refresh`.
    pub(crate) fn generation(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release in `next_generation`: whoever sees a new one sees what is new.
        self.generation.load(Acquire)
    }

    fn next_generation(&self) {
        // ORDERING: Release; pairs with the Acquire in `generation`.
        self.generation.fetch_add(1, Release);
    }

    /// Brings `core` to the present generation: whether it must be given back, and whether its queue may be private.
    #[cold]
    pub(crate) fn refresh(&self, core: &mut Core) {
        let generation = self.generation();
        // ORDERING: Relaxed; `put_back` decides under the lock.
        core.set_generation(generation, self.surplus.load(Relaxed) || self.is_stopping());
        let was_private = core.queue.is_private();
        self.inject(core.queue.set_private(self.live() == 1));
        if was_private && !core.queue.is_private() && !core.queue.is_empty() {
            self.wake_one();
        }
    }

    /// Copies to the atomics what those without the lock need to know. After every change, before the lock is released.
    pub(crate) fn publish(&self, synced: &Synced) {
        self.wakeups.set_idle(synced.idle_cores.len());
        self.queued.publish(&synced.global);
        let surplus = synced.live > synced.target;
        // ORDERING: Relaxed; written under the lock.
        if self.live() != synced.live || self.surplus.load(Relaxed) != surplus {
            // ORDERING: Relaxed; published by the generation.
            self.live.store(synced.live, Relaxed);
            // ORDERING: Relaxed; as above.
            self.surplus.store(surplus, Relaxed);
            self.next_generation();
        }
    }

    /// Processors in use: idle, or held by a worker.
    pub(crate) fn live(&self) -> usize {
        // ORDERING: Relaxed; a hint.
        self.live.load(Relaxed)
    }

    /// A worker's thread is in a blocking call, or no longer is.
    pub(crate) fn count_blocked(&self, is_blocked: bool) {
        let mut synced = self.synced.lock();
        if is_blocked {
            synced.blocked += 1
        } else {
            synced.blocked -= 1
        }
        self.quiet.notify_all();
    }

    /// Queues a goroutine that has become runnable: next on `core`, the processor of this thread, else globally.
    pub(crate) fn ready(&self, core: Option<&mut Core>, runnable: Runnable) {
        match core {
            Some(core) => {
                self.stamp(core, &runnable);
                let is_only = core.put_next(self, runnable);
                if core.queue.is_private() {
                    return;
                }
                let may_wait = is_only && self.alertness.is_alert() && core.laziness.takes_its_time();
                if !may_wait {
                    self.wake_one_for(core);
                }
            }
            // At the end of the runtime no one is left who would take it out.
            None if self.is_stopping() => {}
            None => {
                self.inject([runnable]);
                self.wake_one();
            }
        }
    }

    /// Notes when `runnable` was queued, if its latency is to be measured.
    #[inline]
    pub(crate) fn stamp(&self, core: &mut Core, runnable: &Runnable) {
        if core.is_sample_due() {
            self.stamp_now(core, runnable);
        }
    }

    #[cold]
    #[inline(never)]
    fn stamp_now(&self, core: &mut Core, runnable: &Runnable) {
        // ORDERING: Relaxed; read by the worker that gets it through a queue.
        runnable.ready_ns.store(core.now_ns(self), Relaxed);
    }

    /// Queues what was found ready with `core`, see `Core::put_outside`. Does not wake anyone.
    pub(crate) fn queue_outside(&self, core: &mut Core, ready: Vec<Runnable>) {
        for runnable in ready {
            self.stamp(core, &runnable);
            core.put_outside(self, runnable);
        }
    }

    /// Looks at timers and network. The goroutines found must be queued by the caller.
    pub(crate) fn look(&self, now_ns: u64) -> Vec<Runnable> {
        let mut ready = Vec::with_capacity(FOUND);
        // ORDERING: Relaxed; a hint that spares looks.
        self.last_look_ns.store(now_ns, Relaxed);
        self.timers.take_due(now_ns, &mut ready);
        if self.poller.has_sources() {
            self.poller.look(now_ns, &mut ready);
        }
        self.own(ready)
    }

    /// Those of `ready` that are its own. Whoever waited here may have ended meanwhile, and the goroutine that took its
    /// place, and was woken in vain, be another runtime's.
    fn own(&self, mut ready: Vec<Runnable>) -> Vec<Runnable> {
        let strangers: Vec<_> = ready.extract_if(.., |runnable| !runnable.is_of(self)).collect();
        strangers.into_iter().for_each(Runnable::queue);
        ready
    }

    /// When timers and network were last looked at, ns of the clock.
    pub(crate) fn last_look_ns(&self) -> u64 {
        // ORDERING: Relaxed; a hint.
        self.last_look_ns.load(Relaxed)
    }

    /// Nanoseconds since the last look.
    pub(crate) fn since_look_ns(&self, now_ns: u64) -> u64 {
        now_ns.saturating_sub(self.last_look_ns())
    }

    /// What a busy worker does when it has looked at the clock: fires timers that are due, and looks at the network if
    /// no one has for long. The goroutines found must be queued by the caller.
    pub(crate) fn glance(&self, now_ns: u64) -> Vec<Runnable> {
        // While all processors are busy, whoever sleeps in the poller has none to run what it finds.
        if self.since_look_ns(now_ns) >= LOOK_NS && !(self.poller.is_asleep() && self.has_idle()) {
            return self.look(now_ns);
        }
        let mut ready = Vec::new();
        self.timers.take_due(now_ns, &mut ready);
        self.own(ready)
    }

    /// Sets a timer that unparks `goroutine`, the caller, which runs on the processor `index`. Returns the wait, for
    /// `Timers::cancel`.
    pub(crate) fn set_timer(&self, index: usize, goroutine: GoroutineRef, deadline: Instant) -> TimedWait {
        let deadline_ns = self.clock_ns(deadline);
        let (wait, is_earliest) = self.timers.add(index, goroutine, deadline_ns);
        if is_earliest {
            self.hasten(deadline_ns);
        }
        wait
    }

    /// As `set_timer`, for one that only the timer wakes.
    pub(crate) fn set_pledged_timer(&self, index: usize, goroutine: Pledged, deadline: Instant) {
        let deadline_ns = self.clock_ns(deadline);
        if self.timers.add_pledged(index, goroutine, deadline_ns) {
            self.hasten(deadline_ns);
        }
    }

    /// A timer is due earlier than all others: who sleeps in the poller may have to wake earlier.
    fn hasten(&self, deadline_ns: u64) {
        if self.poller.must_ring(deadline_ns)
            && let Some((_, bell)) = &self.synced.lock().polling
        {
            bell.ring();
        }
    }

    /// Processors that there should be: GOMAXPROCS.
    pub(crate) fn procs(&self) -> usize {
        self.synced.lock().target
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("procs", &self.procs()).finish_non_exhaustive()
    }
}
