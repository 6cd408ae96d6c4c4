//! A lock for sections of a few instructions: one read-modify-write to take it, a plain store to give it back.
//!
//! Its sections run no code of the user, make no system call and never park, so they are over in some 10 ns, unless the
//! thread that is inside was descheduled. Whoever finds the lock taken therefore *stays away* for a while, twice as long
//! each time: that leaves the line of the lock, and those of what it guards, with the processor that has them, which gets
//! through many sections before the next look. Looking all the time instead moves the lines at each section: a buffered
//! channel between two processors then takes twice as long a message. When spinning has not helped, the thread gives its
//! CPU away, at last for some time: a section may have been interrupted by another program.
//!
//! std's mutex was rejected: it unlocks with a second read-modify-write, to see whether somebody sleeps in the kernel.

use std::time::Duration;

use crate::primitives::atomic::{
    AtomicBool,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitives::{nap, spin_loop, yield_thread};

/// Pauses before the second look. A pause takes 10 ns here.
const FIRST_PAUSES: u32 = 8;
/// Pauses between two looks at most.
const MAX_PAUSES: u32 = 64;
/// Looks before the thread gives its CPU away.
const SPINS: u32 = 12;
/// Times it gives the CPU away before it sleeps.
const YIELDS: u32 = 20;
/// Guess: long enough to let a thread of lower priority in, short for anyone who waits.
const NAP: Duration = Duration::from_micros(50);

#[derive(Debug)]
pub(crate) struct BriefLock {
    is_taken: AtomicBool,
}

impl BriefLock {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(crate) const fn new() -> Self {
        Self { is_taken: AtomicBool::new(false) }
    }

    #[inline]
    pub(crate) fn lock(&self) {
        if !self.take() {
            self.lock_slowly();
        }
    }

    /// Gives the lock back. For whoever has it.
    #[inline]
    pub(crate) fn unlock(&self) {
        // ORDERING: Release; pairs with the Acquire in `take`: the next section sees what this one did.
        self.is_taken.store(false, Release);
    }

    #[inline]
    fn take(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `unlock`.
        !self.is_taken.swap(true, Acquire)
    }

    #[cold]
    fn lock_slowly(&self) {
        let mut looks = 0;
        loop {
            stay_away(looks);
            // ORDERING: Relaxed; only a guess, which spares a swap.
            if !self.is_taken.load(Relaxed) && self.take() {
                return;
            }
            looks = looks.saturating_add(1);
        }
    }
}

/// Waits before the next look at what another thread does within some 10 ns, unless it is descheduled; after `looks` in vain.
pub(crate) fn stay_away(looks: u32) {
    if cfg!(loom) {
        return yield_thread();
    }
    match looks {
        0..SPINS => (0..FIRST_PAUSES.saturating_mul(1 << looks).min(MAX_PAUSES)).for_each(|_| spin_loop()),
        SPINS.. if looks < SPINS + YIELDS => yield_thread(),
        _ => nap(NAP),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::Arc;
    use crate::primitives::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn only_one_is_inside() {
        let shared = Arc::new((BriefLock::new(), AtomicUsize::new(0)));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    for _ in 0..2000 {
                        shared.0.lock();
                        // Two steps, so that an addition is lost if two are inside.
                        let count = shared.1.load(Relaxed);
                        shared.1.store(count + 1, Relaxed);
                        shared.0.unlock();
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.1.load(Relaxed), 6000);
    }

    #[test]
    fn whoever_waits_gets_in_even_when_it_went_to_sleep() {
        let lock = Arc::new(BriefLock::new());
        lock.lock();
        let waiting = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                (0..SPINS + YIELDS + 1).for_each(stay_away);
                lock.lock();
                lock.unlock();
            })
        };
        thread::yield_now();
        lock.unlock();
        waiting.join().unwrap();
    }
}
