//! Whether to wake a worker: the two counts that submitters and workers agree by. The protocol, and why no goroutine is
//! left behind, is in `idle.rs`.
//!
//! ```text
//! submit:   queue a goroutine        FENCE (must_wake)  read idle, spinning; idle > 0 and no one spins? wake one
//! release:  idle += 1, spinning -= 1 FENCE (released)   read all queues; one has something? take a processor again
//! ```

use crate::primitives::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    fence,
};

/// The counts of one runtime.
#[derive(Debug, Default)]
pub(crate) struct Wakeups {
    /// Processors that no worker holds, for those without the lock.
    idle: AtomicUsize,
    /// Workers that hold a processor, have no work and look for some; and one that is being woken.
    spinning: AtomicUsize,
}

impl Wakeups {
    /// After a goroutine was queued: whether the caller must wake a worker, which then counts as spinning.
    #[must_use]
    pub(crate) fn must_wake(&self) -> bool {
        // ORDERING: SeqCst fence; pairs with the fence in `released`: orders the queueing before the loads below.
        fence(SeqCst);
        // ORDERING: Relaxed; ordered by the fence.
        if self.idle.load(Relaxed) == 0 || self.spinning.load(Relaxed) != 0 {
            return false;
        }
        // ORDERING: Relaxed; decides among wakers only, and the lock that they take next orders the rest.
        self.spinning.compare_exchange(0, 1, Relaxed, Relaxed).is_ok()
    }

    /// Between `set_idle` and `end_spinning` of a worker that gives its processor back, and its second look at the
    /// queues.
    pub(crate) fn released(&self) {
        // ORDERING: SeqCst fence; pairs with the fence in `must_wake`: orders `idle += 1` and `spinning -= 1` before the
        // look at the queues.
        fence(SeqCst);
    }

    /// There are `count` idle processors now. For whoever has the lock that guards them.
    pub(crate) fn set_idle(&self, count: usize) {
        // ORDERING: Relaxed; ordered by the fences.
        self.idle.store(count, Relaxed);
    }

    /// How many processors are idle.
    pub(crate) fn idle(&self) -> usize {
        // ORDERING: Relaxed; a hint.
        self.idle.load(Relaxed)
    }

    /// How many workers look for work.
    pub(crate) fn spinning(&self) -> usize {
        // ORDERING: Relaxed; a hint.
        self.spinning.load(Relaxed)
    }

    /// A worker with a processor has begun to look for work elsewhere.
    pub(crate) fn begin_spinning(&self) {
        // ORDERING: Relaxed; wakers that miss it wake one more.
        self.spinning.fetch_add(1, Relaxed);
    }

    /// A worker does not spin any more. `released` or `must_wake` follows, unless no processor was idle.
    pub(crate) fn end_spinning(&self) {
        // ORDERING: Relaxed; ordered by the fence that follows.
        self.spinning.fetch_sub(1, Relaxed);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_is_woken_if_a_processor_is_idle_and_no_one_looks() {
        let wakeups = Wakeups::default();
        assert!(!wakeups.must_wake(), "no processor is idle");
        wakeups.set_idle(2);
        assert!(wakeups.must_wake());
        assert!(!wakeups.must_wake(), "the one that was woken looks");
        wakeups.end_spinning();
        wakeups.released();
        assert!(wakeups.must_wake());
    }
}
