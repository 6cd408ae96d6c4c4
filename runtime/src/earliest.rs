//! The deadlines in the open, by which those who set timers agree with the worker that sleeps in the poller. A timer that
//! is set while a worker goes to sleep:
//!
//! ```text
//! sleeper:  sleeping_until = earliest timer   FENCE   read the earliest timer again, sleep until the earlier of the two
//! setter:   the timer is its queue's earliest FENCE   read sleeping_until; later than the timer? ring
//! ```
//! One fence is first. Whoever is second sees the other's store: the sleeper the timer, or the setter the sleeper. It
//! sleeps until the earlier of the two, since a busy worker may fire the timer that it has noted before the sleep begins:
//! the next timer to be set is then the earliest, yet later than the note, so no one rings for it.

use crate::primitives::atomic::{
    AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};

/// The deadline of a queue without timers.
pub(crate) const NEVER: u64 = u64::MAX;

/// When the earliest timer of a queue is due, for those without the queue's lock.
#[derive(Debug, Default)]
pub(crate) struct Earliest {
    /// 0 stands for `NEVER`, and no deadline is 0.
    deadline_ns: AtomicU64,
}

impl Earliest {
    pub(crate) fn get(&self) -> u64 {
        // ORDERING: Relaxed; ordered by the fences. Who acts on it takes the queue's lock.
        match self.deadline_ns.load(Relaxed) {
            0 => NEVER,
            deadline_ns => deadline_ns,
        }
    }

    /// For whoever has the queue's lock.
    pub(crate) fn publish(&self, deadline_ns: u64) {
        // ORDERING: Relaxed; ordered by the fence in `must_ring`.
        self.deadline_ns.store(if deadline_ns == NEVER { 0 } else { deadline_ns }, Relaxed);
    }
}

/// The sleep of the one worker that has the poller.
#[derive(Debug, Default)]
pub(crate) struct Sleep {
    /// `AWAKE` while no one sleeps.
    until_ns: AtomicU64,
}

const AWAKE: u64 = 0;

impl Sleep {
    /// Notes that a worker will sleep until `earliest_ns`. Called, like `disarm`, with the lock held under which a worker
    /// takes and leaves the poller: so the note is always that of the worker that has it.
    pub(crate) fn arm(&self, earliest_ns: u64) {
        // ORDERING: Relaxed; the fence in `until` orders it before the second look at the timers.
        self.until_ns.store(earliest_ns, Relaxed);
    }

    /// Notes that no worker sleeps here.
    pub(crate) fn disarm(&self) {
        // ORDERING: Relaxed; a setter that still sees the old value rings in vain.
        self.until_ns.store(AWAKE, Relaxed);
    }

    /// How long the armed sleeper may sleep; `NEVER`: until it is woken. `earliest_ns` looks at the timers.
    pub(crate) fn until(&self, earliest_ns: impl FnOnce() -> u64) -> u64 {
        // ORDERING: SeqCst fence; pairs with the fence in `must_ring`.
        fence(SeqCst);
        // ORDERING: Relaxed; written by this worker, or `AWAKE` by one that has mail for it and rings.
        earliest_ns().min(self.until_ns.load(Relaxed))
    }

    /// Whether a worker sleeps, so that others need not look.
    pub(crate) fn is_on(&self) -> bool {
        // ORDERING: Relaxed; a hint.
        self.until_ns.load(Relaxed) != AWAKE
    }

    /// A timer was set and published that is due at `deadline_ns`, earlier than the others of its queue. Whether a worker
    /// sleeps longer than that and must be woken.
    pub(crate) fn must_ring(&self, deadline_ns: u64) -> bool {
        // ORDERING: SeqCst fence; pairs with the fence in `until`. Orders the store of the earliest deadline before the load
        // below.
        fence(SeqCst);
        // ORDERING: Relaxed; ordered by the fence.
        let until_ns = self.until_ns.load(Relaxed);
        until_ns != AWAKE && deadline_ns < until_ns
    }
}
