//! A processor (Go's P), the right to run goroutines: what its holder alone touches (`Core`), and what everyone sees
//! (`Processor`).
//!
//! A `Core` is moved, never shared: to execute goroutines a worker must hold one, and there are at most GOMAXPROCS of
//! them. That is why no more goroutines execute at once.

mod ahead;
mod samples;
mod stacks;

use self::samples::SAMPLE_EVERY;
use self::stacks::STACKS_KEPT;
use crate::account::Span;
use crate::clock::QuickClock;
use crate::goroutine::Runnable;
use crate::goroutine::seed::Seeds;
use crate::lazy::Laziness;
use crate::metrics::Stats;
use crate::pieces::Pieces;
use crate::preempt::Wish;
use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::queue::{self, Local, Slot, Stealer};
use crate::run_queue::RunQueue;
use crate::runtime::Runtime;
use crate::slices::SLICE_NS;
use crate::stack::Stack;
use std::ops::Range;

/// Goroutines that may run in a row out of the `next` slot while others wait in the ring. A pair that wakes each other keeps its
/// warm cache for that long, a task that forks and joins goes on in depth, and no one starves. Between the 3 of tokio and Go's
/// 10 ms. With 64, a call of the bench `fork_join` takes 5 % less at two processors, but goroutines that yield beside a pair
/// get less than half of the turns of others (`scripts/fairness`).
const NEXT_RUNS: u32 = 16;

/// Goroutine ids a processor takes at a time. As in Go.
pub(crate) const ID_BATCH: u64 = 16;

/// Most goroutines run between two looks at the clock.
const CLOCK_RUNS: u32 = 64;

/// Nanoseconds between two looks at the timers and the network of a busy processor, about: a goroutine that answers over the
/// network waits for two. A look takes 0.2 µs.
pub(crate) const LOOK_NS: u64 = 100_000;

/// Nanoseconds between two looks at anything but the clock, at least: where runs are so short that the most of them are over
/// sooner. The clock alone takes 30 ns.
const GLANCE_NS: u64 = LOOK_NS / 4;

/// Goroutines that may run in a row ahead of the ring, for which something outside came (see `Core::put_outside`); then one of
/// the ring. Also how many of the global queue are put there at a look. Guess.
pub(crate) const URGENT_RUNS: u32 = 16;

/// Nanoseconds in a queue that are long for what comes from outside: a quarter of a time slice.
const LONG_WAIT_NS: u64 = 2_500_000;

/// What everyone sees of a processor.
pub(crate) struct Processor {
    pub(crate) index: usize,
    pub(crate) queue: Stealer<Runnable>,
    /// Goroutines that run ahead of those in `queue`.
    pub(crate) urgent: Stealer<Runnable>,
    pub(crate) next: Slot<Runnable>,
    /// Goroutines run, ever. Written by the holder.
    runs: AtomicU64,
    /// Time slices begun, ever: a goroutine from the `next` slot goes on with the slice of the one before. Written by
    /// the holder.
    slices: AtomicU64,
    /// Whether the goroutine that executes has used up a slice before. Written by the holder.
    is_used_up: AtomicBool,
    /// Id of the goroutine that executes; 0 if none. Written by the holder.
    running: AtomicU64,
    /// When the holder last looked at the clock, ns of the runtime's clock.
    clock_ns: AtomicU64,
    /// That the goroutine that executes yield.
    pub(crate) wish: Wish,
    /// Whether something waits that only the holder sees. Written by the holder.
    has_private: AtomicBool,
    pub(crate) stats: Stats,
}

/// The owner's ends of a processor's rings: the usual one, and that of those ahead of it.
pub(crate) type Ends = (Local<Runnable>, Local<Runnable>);

impl Processor {
    /// A processor with empty queues, and the owner's ends of them.
    pub(crate) fn new(index: usize) -> (Self, Ends) {
        let ((local, queue), (urgent_end, urgent)) = (queue::ring(), queue::ring());
        let processor = Self {
            index,
            queue,
            urgent,
            next: Slot::new(),
            runs: AtomicU64::new(0),
            slices: AtomicU64::new(0),
            is_used_up: AtomicBool::new(false),
            running: AtomicU64::new(0),
            clock_ns: AtomicU64::new(0),
            wish: Wish::default(),
            has_private: AtomicBool::new(false),
            stats: Stats::default(),
        };
        (processor, (local, urgent_end))
    }

    /// How many goroutines it has run: unchanged while one runs.
    pub(crate) fn runs(&self) -> u64 {
        // ORDERING: Relaxed; a hint for thieves.
        self.runs.load(Relaxed)
    }

    /// The time slice it is in, and the id of the goroutine that executes (0: none).
    pub(crate) fn slice(&self) -> (u64, u64) {
        // ORDERING: Relaxed; sysmon compares snapshots 10 ms apart.
        let slice = self.slices.load(Relaxed);
        // ORDERING: Relaxed; as above.
        (slice, self.running.load(Relaxed))
    }

    /// Whether the slice it is in is that of a goroutine that has used up one before.
    pub(crate) fn is_used_up(&self) -> bool {
        // ORDERING: Relaxed; a hint for sysmon.
        self.is_used_up.load(Relaxed)
    }

    /// Counts a run. For the holder.
    #[inline(always)]
    fn bump_runs(&self) {
        // ORDERING: Relaxed; written by the holder only.
        let runs = self.runs.load(Relaxed);
        // ORDERING: Relaxed; a hint for thieves.
        self.runs.store(runs + 1, Relaxed);
    }

    /// Counts a slice. For the holder.
    #[inline(always)]
    fn bump_slices(&self) {
        // ORDERING: Relaxed; written by the holder only.
        let slices = self.slices.load(Relaxed);
        // ORDERING: Relaxed; sysmon compares snapshots 10 ms apart.
        self.slices.store(slices + 1, Relaxed);
    }

    /// Notes who executes; 0 if no one. For the holder.
    #[inline(always)]
    fn set_running(&self, id: u64) {
        // ORDERING: Relaxed; for sysmon and reports.
        self.running.store(id, Relaxed);
    }

    /// When its holder last looked at the clock, ns of the runtime's clock.
    pub(crate) fn clock_ns(&self) -> u64 {
        // ORDERING: Relaxed; sysmon estimates by it when a slice began.
        self.clock_ns.load(Relaxed)
    }

    /// Whether someone waits for this processor, also if others cannot take it.
    pub(crate) fn has_waiting(&self) -> bool {
        // ORDERING: Relaxed; for sysmon.
        !self.is_empty() || self.has_private.load(Relaxed)
    }

    /// Notes whether the holder's private queue has something.
    pub(crate) fn set_has_private(&self, has_private: bool) {
        // ORDERING: Relaxed; as in `has_waiting`.
        self.has_private.store(has_private, Relaxed);
    }

    /// Whether nothing waits in its rings.
    pub(crate) fn is_queue_empty(&self) -> bool {
        self.queue.is_empty() && self.urgent.is_empty()
    }

    /// Whether nothing that others see waits for this processor.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_queue_empty() && self.next.mark() == 0
    }
}

/// What the holder of a processor alone touches.
pub(crate) struct Core {
    pub(crate) processor: Arc<Processor>,
    pub(crate) queue: RunQueue,
    /// The runtime's generation that the fields below belong to.
    generation: u64,
    /// It must be given back: there are too many, or the runtime ends.
    must_release: bool,
    urgent_runs: u32,
    next_runs: u32,
    ids: Range<u64>,
    stacks: Vec<Stack>,
    /// The right to so many stacks that are yet to be made, for seeds.
    claims: usize,
    pub(crate) seeds: Seeds,
    pub(crate) pieces: Pieces,
    pub(crate) laziness: Laziness,
    /// What it does while it runs no goroutine.
    pub(crate) span: Span,
    /// Runs since the last look at the clock, and how many there may be.
    clock_runs: u32,
    clock_every: u32,
    /// Mean length of the runs between the last two looks, ns.
    mean_ns: u64,
    /// When the clock was last looked at, ns of the runtime's clock.
    clock_ns: u64,
    clock: QuickClock,
    /// When timers, network and global queue were last looked at, likewise.
    glanced_ns: u64,
    turn: Turn,
    /// Times until the next sample of a latency, and of a run's length.
    until_latency: u32,
    until_run: u32,
    /// How many goroutines the worker let follow directly, and how many of them still may.
    direct: u32,
    direct_left: u32,
    /// In place of `direct_left` while all is traced, so that one question tells both.
    traced_left: u32,
    /// When the run that is now began, ns of the runtime's clock; 0 if it is not measured.
    run_began_ns: u64,
    /// For how many runs it stands if it is measured, and whether its length goes into the histogram, where long runs must
    /// not outnumber the others.
    run_weight: u32,
    is_turn: bool,
    random: u32,
}

/// How a processor deals with goroutines that have used up a slice. Times are ns of the runtime's clock.
#[derive(Default)]
struct Turn {
    /// When the last one of them began to run here, and how long it might.
    began_ns: u64,
    left_ns: u64,
    /// From when on one of them is to run though others wait, and whether that time has come.
    next_ns: u64,
    is_now: bool,
}

impl Core {
    pub(crate) fn new(processor: Arc<Processor>, ends: Ends) -> Box<Self> {
        let random = u32::try_from(processor.index).map_or(1, |index| index.wrapping_mul(2_654_435_761) | 1);
        Box::new(Self {
            queue: RunQueue::new(Arc::clone(&processor), ends),
            processor,
            generation: 0,
            must_release: false,
            urgent_runs: 0,
            next_runs: 0,
            ids: 0..0,
            stacks: Vec::with_capacity(STACKS_KEPT),
            claims: 0,
            seeds: Seeds::default(),
            pieces: Pieces::default(),
            laziness: Laziness::default(),
            span: Span::default(),
            clock_runs: 0,
            clock_every: 1,
            mean_ns: 0,
            clock_ns: 0,
            clock: QuickClock::new(),
            glanced_ns: 0,
            turn: Turn::default(),
            until_latency: SAMPLE_EVERY,
            until_run: SAMPLE_EVERY,
            direct: 0,
            direct_left: 0,
            traced_left: 0,
            run_began_ns: 0,
            run_weight: 1,
            is_turn: false,
            random,
        })
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.processor.stats
    }

    /// Queues `runnable` to run next; whoever was to run next goes to the end of the ring. Returns whether `runnable` is
    /// all that waits.
    pub(crate) fn put_next(&mut self, runtime: &Runtime, runnable: Runnable) -> bool {
        match self.queue.put_next(runnable) {
            Some(kicked) => {
                self.put_last(runtime, kicked);
                false
            }
            None => self.queue.has_only_next(),
        }
    }

    /// Queues `runnable` at the end. If the ring is full, half of it goes to the global queue.
    pub(crate) fn put_last(&mut self, runtime: &Runtime, runnable: Runnable) {
        if let Err(runnable) = self.queue.push(runnable) {
            self.overflow(runtime, runnable);
        }
    }

    #[cold]
    fn overflow(&mut self, runtime: &Runtime, runnable: Runnable) {
        let mut overflow = self.queue.pop_half();
        overflow.push(runnable);
        runtime.inject(overflow);
    }

    /// Whether what it knows of the runtime as a whole is of this generation.
    pub(crate) fn is_of(&self, generation: u64) -> bool {
        self.generation == generation
    }

    /// Notes what has changed in the runtime.
    pub(crate) fn set_generation(&mut self, generation: u64, must_release: bool) {
        self.generation = generation;
        self.must_release = must_release;
    }

    /// Whether it must be given back.
    pub(crate) fn must_release(&self) -> bool {
        self.must_release
    }

    /// Queues `runnable`, whose time has come or whose descriptor is ready: at the end, unless it might wait there for long.
    /// Then ahead of the ring; what does not fit goes to the end. (Always ahead: the queue of a saturated service shrinks to
    /// what came from outside, and the other processors run out of work again and again. `mixed_service` at 2 processors
    /// fell from 46 to 32 thousand requests a second.)
    pub(crate) fn put_outside(&mut self, runtime: &Runtime, runnable: Runnable) {
        let would_wait_ns = self.mean_ns.saturating_mul(self.queue.len() as u64);
        if self.are_runs_long() || would_wait_ns >= LONG_WAIT_NS {
            self.put_first(runtime, runnable);
        } else {
            self.put_last(runtime, runnable);
        }
    }

    /// Queues `runnable` ahead of the ring. What does not fit goes to the end.
    pub(crate) fn put_first(&mut self, runtime: &Runtime, runnable: Runnable) {
        self.settle_direct();
        if let Err(runnable) = self.queue.push_urgent(runnable) {
            self.put_last(runtime, runnable);
        }
    }

    /// One of those that run ahead of the ring, unless it is the ring's turn. It has a slice of its own.
    pub(crate) fn take_urgent(&mut self) -> Option<Runnable> {
        if self.urgent_runs < URGENT_RUNS
            && let Some(runnable) = self.queue.pop_urgent()
        {
            self.urgent_runs += 1;
            self.begin_slice();
            return Some(runnable);
        }
        self.urgent_runs = 0;
        None
    }

    /// Whatever runs next is given a slice of its own.
    pub(crate) fn begin_slice(&mut self) {
        self.next_runs = 0;
        self.processor.bump_slices();
        // ORDERING: Relaxed; sysmon compares snapshots 10 ms apart.
        self.processor.is_used_up.store(false, Relaxed);
        self.processor.wish.forget();
    }

    /// Notes, at a look at the clock, whether others wait that have used up their slice: their turn may have come, whoever
    /// else waits.
    pub(crate) fn look_at_used_up(&mut self, are_there: bool) {
        self.turn.is_now = are_there && self.turn.next_ns <= self.clock_ns;
    }

    /// Whether it is their turn.
    pub(crate) fn is_turn_of_used_up(&self) -> bool {
        self.turn.is_now
    }

    /// One of them goes on for `left_ns`, in their turn or since no one else waits. If it stops before, it is their turn
    /// again when it would have used that up, and others had as much.
    pub(crate) fn begin_turn(&mut self, now_ns: u64, left_ns: u64) {
        self.begin_slice();
        // ORDERING: Relaxed; a hint for sysmon.
        self.processor.is_used_up.store(true, Relaxed);
        // ORDERING: Relaxed; see `Processor::clock_ns`.
        self.processor.clock_ns.store(now_ns, Relaxed);
        self.turn = Turn { began_ns: now_ns, left_ns, next_ns: now_ns + 2 * left_ns, is_now: false };
    }

    /// A goroutine was made to yield. Others are to have as much time as it had, before it is the turn of one like it.
    /// Returns how much of its slice is left, ns.
    pub(crate) fn end_turn(&mut self, now_ns: u64) -> u64 {
        let left_ns = if self.processor.is_used_up() { self.turn.left_ns } else { 0 };
        let ran_ns = now_ns.saturating_sub(self.turn.began_ns).min(SLICE_NS);
        self.turn.next_ns = now_ns + ran_ns;
        left_ns.saturating_sub(ran_ns)
    }

    /// Notes that `id` executes.
    pub(crate) fn begin_run(&mut self, id: u64) {
        self.clock_runs += 1;
        self.processor.bump_runs();
        self.set_running(id);
    }

    /// Notes who executes with this processor; 0 if no one.
    pub(crate) fn set_running(&self, id: u64) {
        self.processor.set_running(id);
    }

    /// The runtime's clock, ns; give or take what a look at it takes.
    #[inline(always)]
    pub(crate) fn now_ns(&mut self, runtime: &Runtime) -> u64 {
        self.clock.now_ns(|| runtime.now_ns())
    }

    /// Whether it is time to look at the clock.
    pub(crate) fn is_clock_due(&self) -> bool {
        self.clock_runs >= self.clock_every
    }

    /// Notes a look at the clock, and from the mean length of a run derives after how many to look again: so that about
    /// `LOOK_NS` pass, without a look at each switch.
    pub(crate) fn looked_at_clock(&mut self, now_ns: u64) {
        let mean_ns = now_ns.saturating_sub(self.clock_ns) / u64::from(self.clock_runs.max(1));
        let runs = u32::try_from(LOOK_NS / mean_ns.max(1)).unwrap_or(CLOCK_RUNS);
        self.clock_every = runs.clamp(1, CLOCK_RUNS);
        self.mean_ns = mean_ns;
        self.clock_runs = 0;
        self.clock_ns = now_ns;
        // ORDERING: Relaxed; see `Processor::clock_ns`.
        self.processor.clock_ns.store(now_ns, Relaxed);
    }

    /// Whether, by the last look at the clock, it is time to look at timers, network and global queue. The caller does.
    pub(crate) fn is_glance_due(&mut self) -> bool {
        let is_due = self.glanced_ns + GLANCE_NS <= self.clock_ns;
        if is_due {
            self.glanced_ns = self.clock_ns;
        }
        is_due
    }

    /// A long run has ended: the clock is to be looked at before the next one.
    pub(crate) fn look_at_clock_soon(&mut self) {
        self.clock_every = 1;
    }

    /// Whether goroutines run for so long here that the clock is looked at after each.
    pub(crate) fn are_runs_long(&self) -> bool {
        self.clock_every == 1
    }

    /// A fresh goroutine id; `refill` gives the first of a fresh batch.
    pub(crate) fn next_id(&mut self, refill: impl FnOnce() -> u64) -> u64 {
        if self.ids.is_empty() {
            let first = refill();
            self.ids = first..first + ID_BATCH;
        }
        self.ids.next().expect("the batch was just filled")
    }

    /// A random number (xorshift).
    pub(crate) fn random(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // A stack without an owner is lost.
        self.release_stacks();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::stack::{self, Class};

    fn core() -> Box<Core> {
        let (processor, local) = Processor::new(3);
        Core::new(Arc::new(processor), local)
    }

    #[test]
    fn ids_come_in_batches_and_never_twice() {
        let mut core = core();
        let ids: Vec<u64> = (0..ID_BATCH).map(|_| core.next_id(|| 100)).collect();
        assert_eq!(ids, (100..100 + ID_BATCH).collect::<Vec<_>>());
        assert_eq!(core.next_id(|| 500), 500);
    }

    #[test]
    fn long_runs_make_it_look_at_the_clock_each_time() {
        let mut core = core();
        core.begin_run(1);
        core.looked_at_clock(1_000_000);
        core.begin_run(1);
        assert!(core.is_clock_due());
    }

    #[test]
    fn short_runs_make_it_look_at_the_clock_rarely() {
        let mut core = core();
        core.begin_run(1);
        core.looked_at_clock(100);
        for _ in 1..CLOCK_RUNS {
            core.begin_run(1);
            assert!(!core.is_clock_due());
        }
        core.begin_run(1);
        assert!(core.is_clock_due());
    }

    #[test]
    fn a_wish_to_preempt_is_void_in_the_next_slice() {
        let mut core = core();
        assert!(core.processor.wish.make());
        assert!(!core.processor.wish.make());
        core.begin_slice();
        assert!(!core.processor.wish.is_made());
    }

    #[test]
    fn who_makes_way_keeps_the_rest_of_its_slice_and_others_get_as_much_time_as_it_had() {
        let mut core = core();
        let is_turn_at = |core: &mut Core, now_ns| {
            core.looked_at_clock(now_ns);
            core.look_at_used_up(true);
            core.is_turn_of_used_up()
        };
        core.begin_slice();
        assert_eq!(core.end_turn(SLICE_NS), 0, "its first slice");
        core.begin_turn(100, SLICE_NS);
        assert_eq!(core.end_turn(400), SLICE_NS - 300);
        assert!(!is_turn_at(&mut core, 699));
        assert!(is_turn_at(&mut core, 700));
        core.begin_turn(700, 1000);
        assert!(!is_turn_at(&mut core, 2699), "it waits, and does not come back");
        assert!(is_turn_at(&mut core, 2700));
    }

    #[test]
    fn what_came_from_outside_runs_ahead_of_the_ring_but_does_not_starve_it() {
        let runtime = Runtime::new(1).unwrap();
        let mut core = core();
        let runnable = |id| {
            let birth = Birth { id, site: std::panic::Location::caller(), pinned: false };
            Runnable::new(birth, &runtime, stack::acquire(Class::DEFAULT).unwrap(), || ())
        };
        let urgent_runs = u64::from(URGENT_RUNS);
        (100..102).for_each(|id| core.put_last(&runtime, runnable(id)));
        (0..urgent_runs + 3).for_each(|id| core.put_first(&runtime, runnable(id)));
        assert!(!core.processor.is_empty());
        let order: Vec<u64> = std::iter::from_fn(|| {
            core.take_urgent().or_else(|| core.take_next(&runtime)).or_else(|| core.queue.pop())
        })
        .map(|one| one.id())
        .collect();
        let mut expected: Vec<u64> = (0..urgent_runs).chain([100]).collect();
        expected.extend(urgent_runs..urgent_runs + 3);
        expected.push(101);
        assert_eq!(order, expected);
        assert!(core.processor.is_empty());
    }
}
