//! The lock of [`Mutex`](super::Mutex), without the data.
//!
//! It works as Go's does. A free lock is taken by a compare-and-swap, by whoever comes first, queue or not (barging):
//! a running goroutine that takes it saves a switch. A waiter that is woken competes like everyone else; if it loses
//! it goes back to the head of the queue. One that has waited for 1 ms makes the lock *starving*: then nobody barges,
//! and each unlock hands the lock to the first in the queue, until the queue is empty or its first came just now.
//!
//! ```text
//! bit       set by                              cleared by
//! LOCKED    whoever takes it; a hand-over       unlock
//! QUEUED    a waiter that joins the queue       whoever takes the last waiter out of it
//! WOKEN     unlock, when it wakes a waiter      that waiter, when it takes the lock or queues again
//! STARVING  a woken waiter that lost, after     the hand-over that ends it
//!           1 ms, when it queues again
//! ```
//! `QUEUED`, `WOKEN` and `STARVING` change only inside the line's critical section, so there `QUEUED` says exactly that
//! the queue is not empty, and `STARVING` implies it. While `WOKEN` is set no unlock wakes another: one competitor is
//! on its way. While `STARVING` is set and `LOCKED` is not, the lock belongs to the unlocker that is handing it over.

use crate::primitives::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitives::{Instant, spin_loop};
use std::time::Duration;

use crate::park::WaitReason;
use crate::sync::line::Line;

const LOCKED: u32 = 1;
const QUEUED: u32 = 2;
const WOKEN: u32 = 4;
const STARVING: u32 = 8;

/// A waiter that has waited this long is not overtaken any more. As in Go's `sync.Mutex`.
const STARVATION: Duration = Duration::from_millis(1);

/// Looks at a taken lock before parking. Guess: on threads, 1, 24 and 96 differ by less than the noise.
const SPINS: u32 = if cfg!(loom) { 1 } else { 24 };

#[derive(Debug)]
pub(super) struct RawMutex {
    state: AtomicU32,
    line: Line<(), Waiting>,
}

/// What is noted about a waiter.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Set by the unlocker: the lock is the waiter's, it need not compete.
    is_owner: bool,
}

impl RawMutex {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(super) const fn new() -> Self {
        Self { state: AtomicU32::new(0), line: Line::new(()) }
    }

    pub(super) fn lock(&self) {
        // ORDERING: Acquire; pairs with the Release of the last `unlock`, whose owner's writes become visible here.
        if self.state.compare_exchange_weak(0, LOCKED, Acquire, Relaxed).is_err() {
            self.lock_slowly();
        }
    }

    pub(super) fn try_lock(&self) -> bool {
        // ORDERING: Relaxed; only a guess for the compare-and-swap below.
        let mut state = self.state.load(Relaxed);
        while state & (LOCKED | STARVING) == 0 {
            // ORDERING: Acquire; pairs with the Release of the last `unlock`.
            match self.state.compare_exchange_weak(state, state | LOCKED, Acquire, Relaxed) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
        false
    }

    pub(super) fn unlock(&self) {
        // ORDERING: Release; pairs with the Acquire of whoever takes the lock next. The changes of other bits in between
        // are read-modify-writes, which carry the release on.
        let before = self.state.fetch_and(!LOCKED, Release);
        if before & STARVING != 0 {
            self.hand_over();
        } else if before & (QUEUED | WOKEN) == QUEUED {
            self.wake_one();
        }
    }

    #[cold]
    fn lock_slowly(&self) {
        if self.spin() {
            return;
        }
        let since = Instant::now();
        let mut was_woken = false;
        loop {
            let is_starving = was_woken && since.elapsed() >= STARVATION;
            let mut inside = self.line.lock();
            if self.take_or_announce(was_woken, is_starving) {
                return;
            }
            let note = Waiting { since, is_owner: false };
            let key = if was_woken { inside.queue.join_front(note) } else { inside.queue.join(note) };
            drop(inside);
            if self.line.wait(key, WaitReason::Mutex, self.address()).is_owner {
                return;
            }
            was_woken = true;
        }
    }

    fn spin(&self) -> bool {
        (0..SPINS).any(|_| {
            spin_loop();
            self.try_lock()
        })
    }

    /// Inside the section: takes the lock if it is free, else announces one who waits. True if taken.
    fn take_or_announce(&self, was_woken: bool, is_starving: bool) -> bool {
        // ORDERING: Relaxed; only a guess for the compare-and-swap below.
        let mut state = self.state.load(Relaxed);
        loop {
            let is_free = state & (LOCKED | STARVING) == 0;
            let mut next = if is_free { state | LOCKED } else { state | QUEUED };
            if was_woken {
                next &= !WOKEN;
            }
            if is_starving && !is_free {
                next |= STARVING;
            }
            // ORDERING: Acquire; pairs with the Release of the last `unlock` if this takes the lock. If it does not, the
            // owner's `unlock` comes later in the order of this atomic, sees QUEUED and enters the section after us.
            match self.state.compare_exchange_weak(state, next, Acquire, Relaxed) {
                Ok(_) => return is_free,
                Err(now) => state = now,
            }
        }
    }

    /// Wakes the first waiter to compete, unless somebody else will see to it: whoever took the lock meanwhile, a waiter
    /// already woken, or the unlocker of a starving lock.
    #[cold]
    fn wake_one(&self) {
        let mut inside = self.line.lock();
        // ORDERING: Relaxed, both; publishes nothing. As a read-modify-write it carries on the release of `unlock`.
        let marked = self.state.fetch_update(Relaxed, Relaxed, |state| {
            (state & (LOCKED | QUEUED | WOKEN | STARVING) == QUEUED).then_some(state | WOKEN)
        });
        if marked.is_err() {
            return;
        }
        let granted = inside.queue.grant();
        if inside.queue.is_empty() {
            // ORDERING: Relaxed; as above.
            self.state.fetch_and(!QUEUED, Relaxed);
        }
        drop(inside);
        granted.expect("QUEUED says that the queue is not empty").unpark();
    }

    /// Gives the lock, which nobody can take while it is starving, to the first waiter.
    #[cold]
    fn hand_over(&self) {
        let mut inside = self.line.lock();
        let mut was_short = false;
        let granted = inside.queue.grant_amended(|first| {
            first.is_owner = true;
            was_short = first.since.elapsed() < STARVATION;
        });
        let gone = match (inside.queue.is_empty(), was_short) {
            (true, _) => QUEUED | STARVING,
            (false, true) => STARVING,
            (false, false) => 0,
        };
        // ORDERING: Relaxed; the new owner learns of it inside the section, which orders the old owner's writes too.
        self.state.fetch_or(LOCKED, Relaxed);
        // ORDERING: Relaxed; as above. LOCKED first, so that the lock never looks free in between.
        self.state.fetch_and(!gone, Relaxed);
        drop(inside);
        granted.expect("STARVING implies that the queue is not empty").unpark();
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}
