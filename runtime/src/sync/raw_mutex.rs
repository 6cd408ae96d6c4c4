//! The lock of [`Mutex`](super::Mutex), without the data.
//!
//! It works as Go's does. A free lock is taken by whoever comes first, queue or not (barging): a running goroutine that
//! takes it saves a switch. A waiter that is woken competes like everyone else; if it loses it goes back to the head of
//! the queue. One that has waited for 1 ms makes the lock *starving*: then nobody barges, and each unlock hands the lock
//! to the first in the queue, until the queue is empty or its first came just now.
//!
//! ```text
//! word      bit       set by                              cleared by
//! is_locked           whoever takes it                    unlock, unless it hands over
//! waiting   QUEUED    a waiter that joins the queue       whoever takes the last waiter out of it
//!           WOKEN     unlock, when it wakes a waiter      that waiter, when it takes the lock or queues again
//!           STARVING  a woken waiter that lost, after     the hand-over that ends it
//!                     1 ms, when it queues again
//! ```
//! `waiting` changes only inside the line's section, so there `QUEUED` says exactly that the queue is not empty, and
//! `STARVING` implies it. While `WOKEN` is set no unlock wakes another: one competitor is on its way. While `STARVING` is
//! set the lock is handed over without ever being free, but for the unlock that just missed the bit.
//!
//! An unlock does not read-modify-write, since that would be half of what an uncontended lock costs; it stores, and then
//! looks whether it owes somebody a wake-up:
//!
//! ```text
//! unlock:   is_locked = false          light fence   read waiting     owes: serve
//! waiter:   waiting |= QUEUED (¬WOKEN) heavy fence   read is_locked   free: serve, in the name of the unlocker
//! ```
//! One of the two sees the other (`fences`): so no waiter sleeps beside a free lock. Whoever serves and finds the lock taken
//! leaves it at that: who has it took it after the waiter's fence, or was seen by the waiter, and so sees `waiting` when it
//! unlocks. A waiter that only joins a queue need not fence: the one that made it non-empty does, and is served first or
//! serves.

use std::time::Duration;

use crate::current;
use crate::fences;
use crate::park::WaitReason;
use crate::primitives::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitives::{Instant, spin_loop};
use crate::sync::crowd::Granted;
use crate::sync::line::{End, Line, Rank, Section};

const QUEUED: u8 = 1;
const WOKEN: u8 = 2;
const STARVING: u8 = 4;

/// A waiter that has waited this long is not overtaken any more. As in Go's `sync.Mutex`.
const STARVATION: Duration = Duration::from_millis(1);

/// Looks at a taken lock before parking, each after twice as many pauses as the one before: 0.3 us in all. No look at all is
/// faster when the lock is taken again at once (12 ns a lock instead of 15), and slower when 100 ns pass in between (106
/// instead of 84): a look moves the lock's line, and a park takes longer than most sections.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 5 };

#[derive(Debug)]
pub(super) struct RawMutex {
    is_locked: AtomicBool,
    waiting: AtomicU8,
    line: Line<(), Waiting>,
}

/// What is noted about a waiter.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Instant,
    /// Set by the unlocker: the lock is the waiter's, it need not compete.
    is_owner: bool,
}

impl RawMutex {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(super) const fn new() -> Self {
        Self { is_locked: AtomicBool::new(false), waiting: AtomicU8::new(0), line: Line::new(()) }
    }

    /// Takes the lock; runs `before` if it is not free at once.
    #[inline]
    pub(super) fn lock(&self, before: impl FnOnce()) {
        if !self.take() {
            before();
            self.lock_slowly();
        }
    }

    #[inline]
    pub(super) fn try_lock(&self) -> bool {
        // ORDERING: Relaxed; only a guess, which spares a swap.
        !self.is_locked.load(Relaxed) && self.take()
    }

    #[inline]
    fn take(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release of the last `unlock`, whose owner's writes become visible here.
        !self.is_locked.swap(true, Acquire)
    }

    #[inline]
    pub(super) fn unlock(&self) {
        // ORDERING: Relaxed; a hint. An unlock that misses the bit lets one more barge in.
        if self.waiting.load(Relaxed) & STARVING != 0 {
            return self.hand_over();
        }
        // ORDERING: Release; pairs with the Acquire in `take`.
        self.is_locked.store(false, Release);
        fences::light();
        // ORDERING: Relaxed; ordered after the store by the fence, which pairs with the heavy one in `fence_and_look`.
        if self.waiting.load(Relaxed) & (QUEUED | WOKEN) == QUEUED {
            self.serve();
        }
    }

    #[cold]
    fn lock_slowly(&self) {
        current::count_lock_wait();
        if self.spin() {
            return;
        }
        let since = Instant::now();
        let mut was_woken = false;
        loop {
            let is_starving = was_woken && since.elapsed() >= STARVATION;
            let section = self.line.lock();
            let is_taken = self.take();
            if was_woken {
                self.clear(WOKEN);
            }
            if is_taken {
                return;
            }
            let is_first = section.is_empty(0);
            self.set(if is_starving { QUEUED | STARVING } else { QUEUED });
            let place =
                (0, if was_woken { Rank::First } else { Rank::Last }, Waiting { since, is_owner: false });
            let why = (WaitReason::Mutex, self.address());
            let waited = if is_first || was_woken {
                self.line.wait_after(section, place, why, || self.fence_and_look())
            } else {
                self.line.wait(section, place, why)
            };
            if waited.is_owner {
                return;
            }
            was_woken = true;
        }
    }

    fn spin(&self) -> bool {
        (0..LOOKS).any(|look| {
            (0..1 << look).for_each(|_| spin_loop());
            self.try_lock()
        })
    }

    /// For a waiter that has announced itself: makes sure that whoever has the lock sees it.
    fn fence_and_look(&self) {
        fences::heavy();
        // ORDERING: Relaxed; ordered after the change of `waiting` by the fence, which pairs with the light one in `unlock`.
        if !self.is_locked.load(Relaxed) {
            self.serve();
        }
    }

    /// Sees to those who wait for a lock that has just become free, unless it is taken again, or somebody is on the way:
    /// wakes the first to compete, or, if it starves, gives it the lock.
    #[cold]
    fn serve(&self) {
        let mut section = self.line.lock();
        // ORDERING: Relaxed; it changes only inside the section.
        let waiting = self.waiting.load(Relaxed);
        let granted = if waiting & STARVING != 0 {
            if !self.take() {
                return;
            }
            self.give(&mut section)
        } else {
            // ORDERING: Relaxed; only a hint. Whoever has it sees to the queue.
            if waiting & (QUEUED | WOKEN) != QUEUED || self.is_locked.load(Relaxed) {
                return;
            }
            self.set(WOKEN);
            let first = section.claim_first(0).expect("QUEUED says that the queue is not empty");
            if first.is_last() {
                self.clear(QUEUED);
            }
            first.end(End::Served)
        };
        drop(section);
        granted.unpark();
    }

    /// Gives the lock to the first waiter instead of releasing it. STARVING is set and stays so, for only whoever has the lock
    /// clears it.
    #[cold]
    fn hand_over(&self) {
        let mut section = self.line.lock();
        let granted = self.give(&mut section);
        drop(section);
        granted.unpark();
    }

    /// Makes the first of a starving queue the owner of the lock, which the caller has.
    fn give(&self, section: &mut Section<'_, (), Waiting>) -> Granted {
        let mut first = section.claim_first(0).expect("STARVING implies that the queue is not empty");
        first.note().is_owner = true;
        // Before the wait ends: its owner may unlock before this section is left.
        if first.is_last() {
            self.clear(QUEUED | STARVING);
        } else if first.note().since.elapsed() < STARVATION {
            self.clear(STARVING);
        }
        first.end(End::Served)
    }

    /// Inside the section.
    fn set(&self, bits: u8) {
        // ORDERING: Relaxed, both; nobody else changes it while the section lasts. Who must see it is fenced off.
        self.waiting.store(self.waiting.load(Relaxed) | bits, Relaxed);
    }

    /// Inside the section.
    fn clear(&self, bits: u8) {
        // ORDERING: Relaxed, both; as in `set`.
        self.waiting.store(self.waiting.load(Relaxed) & !bits, Relaxed);
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::Arc;
    use std::thread;

    /// Has `count` threads wait for the lock, which the caller has; each passes it on.
    fn queue(mutex: &Arc<RawMutex>, count: usize) -> Vec<thread::JoinHandle<()>> {
        let threads = (0..count)
            .map(|_| {
                let mutex = Arc::clone(mutex);
                thread::spawn(move || {
                    mutex.lock(|| {});
                    mutex.unlock();
                })
            })
            .collect();
        while queued(mutex) < count {
            thread::yield_now();
        }
        threads
    }

    fn queued(mutex: &RawMutex) -> usize {
        mutex.line.lock().count(0)
    }

    #[test]
    fn an_unlock_wakes_those_who_wait_one_after_the_other() {
        let mutex = Arc::new(RawMutex::new());
        mutex.lock(|| {});
        assert!(!mutex.try_lock());
        let threads = queue(&mutex, 3);
        assert_eq!(mutex.waiting.load(Relaxed), QUEUED);
        mutex.unlock();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((mutex.waiting.load(Relaxed), queued(&mutex), mutex.try_lock()), (0, 0, true));
    }

    #[test]
    fn a_starving_lock_is_handed_over_and_never_free() {
        let mutex = Arc::new(RawMutex::new());
        mutex.lock(|| {});
        let threads = queue(&mutex, 2);
        {
            let _section = mutex.line.lock();
            mutex.set(STARVING);
        }
        mutex.unlock();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((mutex.waiting.load(Relaxed), queued(&mutex), mutex.try_lock()), (0, 0, true));
    }

    #[test]
    fn a_waiter_whose_lock_became_free_before_its_fence_serves_itself() {
        let mutex = Arc::new(RawMutex::new());
        mutex.lock(|| {});
        let threads = queue(&mutex, 1);
        // An unlock that did not see the waiter.
        mutex.is_locked.store(false, Release);
        mutex.fence_and_look();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(mutex.waiting.load(Relaxed), 0);
    }

    #[test]
    fn nobody_sleeps_beside_a_free_lock() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 20_000 };
        let mutex = Arc::new(RawMutex::new());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || {
                    for _ in 0..ROUNDS {
                        mutex.lock(|| {});
                        mutex.unlock();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((mutex.waiting.load(Relaxed), queued(&mutex)), (0, 0));
    }
}
