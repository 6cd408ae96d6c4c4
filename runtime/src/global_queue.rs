//! What waits for a processor, and no processor has queued: under the runtime's lock.
//!
//! Two lanes. In the first are those that became ready where no processor was at hand, and what did not fit into a ring.
//! In the other are those that have *used up* a time slice, and were made to yield: they come after everything else, and
//! are taken one at a time, each for a slice. So whatever becomes ready, by a timer or the network or another goroutine,
//! waits for the end of one slice at most, not for one of each goroutine that computes; and for a short one if that
//! goroutine is of the other lane (`slices.rs`). It then goes on first, for the rest of its slice.
//!
//! Nobody starves: where others want a processor all the time, it takes one of those all the same when the others have had
//! as much time as the last one (`Core::is_turn_of_used_up`). Half of the time is theirs then.
//!
//! Rejected: one queue for both, of which each look puts some ahead of the ring. Beside four goroutines that compute, a
//! sleeper woke 42 ms late (p50, one processor), behind a slice of each.

use crate::goroutine::Runnable;
use crate::primitives::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::processor::{Core, URGENT_RUNS};
use crate::runtime::Runtime;
use crate::slices::{SHORT_SLICE_NS, SLICE_NS};
use crate::trace;
use std::collections::VecDeque;

/// Goroutines taken from the global queue at a time, at most.
const GLOBAL_BATCH: usize = crate::queue::MOST_STOLEN;

/// The two lanes.
#[derive(Default)]
pub(crate) struct GlobalQueue {
    ready: VecDeque<Runnable>,
    /// With what is left of the present slice of each, ns.
    used_up: VecDeque<(Runnable, u64)>,
}

impl GlobalQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.used_up.is_empty()
    }

    /// Appends those that have become ready.
    pub(crate) fn extend(&mut self, runnables: impl IntoIterator<Item = Runnable>) {
        self.ready.extend(runnables);
    }
}

/// How much waits in the global queue, for those without the lock: hints, but for the protocol in `idle.rs`, which orders
/// them by fences.
#[derive(Debug, Default)]
pub(crate) struct Queued {
    ready: AtomicUsize,
    used_up: AtomicUsize,
}

impl Queued {
    /// For whoever has the lock.
    pub(crate) fn publish(&self, queue: &GlobalQueue) {
        // ORDERING: Relaxed; ordered by the fences of `wakeups.rs`, where that matters.
        self.ready.store(queue.ready.len(), Relaxed);
        // ORDERING: Relaxed; as above.
        self.used_up.store(queue.used_up.len(), Relaxed);
    }

    fn has_ready(&self) -> bool {
        // ORDERING: Relaxed; see `publish`.
        self.ready.load(Relaxed) > 0
    }

    fn has_used_up(&self) -> bool {
        // ORDERING: Relaxed; see `publish`.
        self.used_up.load(Relaxed) > 0
    }
}

impl Runtime {
    /// Whether the global queue has something.
    pub(crate) fn has_queued(&self) -> bool {
        self.queued.has_ready() || self.has_used_up()
    }

    /// Whether the global queue has something but what has used up a slice.
    pub(crate) fn has_ready(&self) -> bool {
        self.queued.has_ready()
    }

    /// Whether there are goroutines that have used up a slice, and wait.
    pub(crate) fn has_used_up(&self) -> bool {
        self.queued.has_used_up()
    }

    /// Appends to the global queue. Does not wake anyone.
    pub(crate) fn inject(&self, runnables: impl IntoIterator<Item = Runnable>) {
        let mut runnables = runnables.into_iter().peekable();
        if runnables.peek().is_none() {
            return;
        }
        let mut synced = self.synced.lock();
        synced.global.extend(runnables);
        self.publish(&synced);
    }

    /// Queues `runnable`, which was made to yield. Does not wake anyone. If that was for others, it is the next of its kind
    /// to go on, for the `left_ns` of its slice: so all of them have the same, whomever they make way for.
    pub(crate) fn inject_used_up(&self, runnable: Runnable, left_ns: u64) {
        let mut synced = self.synced.lock();
        if left_ns < SHORT_SLICE_NS {
            synced.global.used_up.push_back((runnable, SLICE_NS));
        } else {
            synced.global.used_up.push_front((runnable, left_ns));
        }
        self.publish(&synced);
    }

    /// The goroutine whose turn it is of those that have used up a slice, for `core`.
    pub(crate) fn take_used_up(&self, core: &mut Core) -> Option<Runnable> {
        if !self.queued.has_used_up() {
            return None;
        }
        let mut synced = self.synced.lock();
        let (runnable, left_ns) = synced.global.used_up.pop_front()?;
        self.publish(&synced);
        drop(synced);
        trace::note(|lane| lane.searches());
        core.begin_turn(self.now_ns(), left_ns);
        Some(runnable)
    }

    /// Puts a few goroutines of the global queue ahead of the ring of `core`. What is in the ring came later than they, or
    /// has run meanwhile; and a time or a descriptor that was found by whoever had no processor leads to that queue.
    pub(crate) fn take_waiting(&self, core: &mut Core) {
        if !self.queued.has_ready() {
            return;
        }
        let taken: Vec<Runnable> = {
            let mut synced = self.synced.lock();
            let waiting = synced.global.ready.len();
            let share = (waiting / synced.target + 1).min(waiting);
            let taken = synced.global.ready.drain(..share.min(URGENT_RUNS as usize)).collect();
            self.publish(&synced);
            taken
        };
        trace::note(|lane| lane.searches());
        for runnable in taken {
            core.put_first(self, runnable);
        }
    }

    /// One goroutine from the global queue to run now, and a fair share of the rest for `core`, whose ring is empty; none
    /// of the rest if runs are long, since what becomes ready meanwhile, a timer perhaps, would wait behind them all.
    pub(crate) fn take_global_share(&self, core: &mut Core) -> Option<Runnable> {
        if !self.queued.has_ready() {
            return None;
        }
        let mut synced = self.synced.lock();
        let waiting = synced.global.ready.len();
        let rest = if core.are_runs_long() { 0 } else { waiting / synced.target };
        let share = (rest + 1).min(waiting).min(GLOBAL_BATCH);
        let mut taken = synced.global.ready.drain(..share);
        let first = taken.next();
        for runnable in taken {
            // Another processor may have written it.
            runnable.prefetch();
            assert!(core.queue.push(runnable).is_ok(), "so few fit into an empty ring");
        }
        self.publish(&synced);
        first
    }
}
