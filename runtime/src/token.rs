//! The token of a goroutine: what makes `park` and `unpark` meet, whoever comes first.
//!
//! The protocol of `std::thread::park`, with one more party: the worker, or the goroutine that comes next on its thread, which
//! may call a goroutine parked only when it has left its stack.
//!
//! ```text
//!   Empty ───unpark───▶ Notified       park (goroutine):  token there? take it : switch to the worker
//!     │ ▲ ◀───take──────                    (worker):     Empty → Parked, or take it and run it again
//!  commit └────────────┐               unpark:            Parked → Empty, and queue it: that it runs is its token
//!     └────▶ Parked ──unpark                              any other → Notified
//! ```
//!
//! The bad interleaving is an `unpark` between the goroutine's look at the token and its switch: it would be queued and
//! run on a second worker while the first still executes on its stack. It cannot be: until the worker has committed,
//! which it does after the switch, the state is not `Parked`, so `unpark` only leaves the token, and the commit fails.
//! `Blocked` is `Parked` for a goroutine that keeps its thread (it may not switch while it unwinds).
//!
//! `Pledged` is one that waits, or is about to, for one other alone, which will let it go on once (`park.rs`): there is no one
//! to meet, so that no exchange is needed. Who else unparks it does so in vain, for something that it waits for no more.

use crate::primitives::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

const EMPTY: u8 = 0;
const NOTIFIED: u8 = 1;
const PARKED: u8 = 2;
const BLOCKED: u8 = 3;
const PLEDGED: u8 = 4;

/// What `notify` found, and so what its caller owes.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notified {
    /// It runs, or is queued, or was notified before: nothing.
    Awake,
    /// It was parked: queue it. No one else will.
    Parked,
    /// Its thread waits: wake the thread.
    Blocked,
}

/// One goroutine's token.
#[derive(Debug, Default)]
pub(crate) struct Token(AtomicU8);

impl Token {
    /// Takes the token if it is there. For the goroutine itself.
    pub(crate) fn take(&self) -> bool {
        // ORDERING: Relaxed; a hint that spares the swap.
        if self.0.load(Relaxed) == EMPTY {
            return false;
        }
        // ORDERING: Acquire; pairs with the Release in `notify`: what was done before the unpark is seen. A swap, so
        // that it reads the last of several notifications, all of whose writes it then sees.
        self.0.swap(EMPTY, Acquire) == NOTIFIED
    }

    /// Declares the goroutine parked, or takes the token that came meanwhile and says `false`. For its worker, or
    /// who comes next, after the switch.
    #[must_use]
    pub(crate) fn commit(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire in `notify`: the saved stack is published to whoever queues it.
        // Relaxed on failure: `take` follows.
        let is_parked = self.0.compare_exchange(EMPTY, PARKED, Release, Relaxed).is_ok();
        if !is_parked {
            self.take();
        }
        is_parked
    }

    /// Declares that it waits for one other alone. For the goroutine itself, before that one is told.
    #[inline]
    pub(crate) fn pledge(&self) {
        // ORDERING: Relaxed; told on by what tells the other. A token that was there is of something that is over.
        self.0.store(PLEDGED, Relaxed);
    }

    /// Ends that. For the one that was told, or the goroutine itself, if no one was.
    #[inline]
    pub(crate) fn redeem(&self) {
        // ORDERING: Relaxed; passed on with the right to run the goroutine. No one else changes it meanwhile (`notify`).
        self.0.store(EMPTY, Relaxed);
    }

    /// Forgets what was before. For a goroutine that no one runs yet.
    pub(crate) fn reset(&self) {
        // ORDERING: Relaxed; a stale token that comes before or after is a spurious wake at most.
        self.0.store(EMPTY, Relaxed);
    }

    /// Declares the goroutine's thread waiting; `false` if the token is there. For the goroutine itself.
    #[must_use]
    pub(crate) fn block(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire in `notify`: the thread's name is published. Relaxed on failure,
        // as in `commit`.
        self.0.compare_exchange(EMPTY, BLOCKED, Release, Relaxed).is_ok()
    }

    /// Leaves the token.
    #[inline]
    pub(crate) fn notify(&self) -> Notified {
        // ORDERING: Acquire; pairs with the Release in `commit`. What the caller has written is handed on by the queue that it
        // puts the goroutine into. Relaxed on failure: nothing was found.
        match self.0.compare_exchange(PARKED, EMPTY, Acquire, Relaxed) {
            Ok(_) => Notified::Parked,
            Err(before) => self.notify_slowly(before),
        }
    }

    /// As `notify`, whatever there is.
    fn notify_slowly(&self, mut before: u8) -> Notified {
        loop {
            let (after, found) = match before {
                PARKED => (EMPTY, Notified::Parked),
                BLOCKED => (NOTIFIED, Notified::Blocked),
                PLEDGED => return Notified::Awake,
                _ => (NOTIFIED, Notified::Awake),
            };
            // Also where it is there already: the exchange hands on what this caller has written.
            // ORDERING: AcqRel; Release pairs with the Acquire in `take`, Acquire with the Release in `commit` and
            // `block`. Who is queued by the caller is handed what the caller has written by the queue.
            match self.0.compare_exchange_weak(before, after, AcqRel, Relaxed) {
                Ok(_) => return found,
                Err(now) => before = now,
            }
        }
    }

    /// Whether it is parked now. For reports.
    pub(crate) fn is_waiting(&self) -> bool {
        // ORDERING: Relaxed; a snapshot for people.
        matches!(self.0.load(Relaxed), PARKED | BLOCKED | PLEDGED)
    }

    /// Whether the token is there. For the goroutine whose thread waits.
    pub(crate) fn is_notified(&self) -> bool {
        // ORDERING: Relaxed; a true answer is followed by `take`.
        self.0.load(Relaxed) == NOTIFIED
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_unpark_before_the_park_is_not_lost() {
        let token = Token::default();
        assert_eq!(token.notify(), Notified::Awake);
        assert!(token.take());
        assert!(!token.take());
    }

    #[test]
    fn an_unpark_during_the_switch_stops_the_commit() {
        let token = Token::default();
        assert!(!token.take());
        assert_eq!(token.notify(), Notified::Awake);
        assert!(!token.commit());
        assert!(!token.take(), "the commit took it");
    }

    #[test]
    fn only_the_first_unpark_of_a_parked_one_queues_it() {
        let token = Token::default();
        assert!(token.commit());
        assert!(token.is_waiting());
        assert_eq!(token.notify(), Notified::Parked);
        assert!(!token.take(), "that it runs is its token");
        assert_eq!(token.notify(), Notified::Awake);
        assert!(token.take());
    }

    #[test]
    fn who_has_pledged_to_wait_for_one_is_not_woken_by_another() {
        let token = Token::default();
        assert_eq!(token.notify(), Notified::Awake);
        token.pledge();
        assert!(token.is_waiting());
        assert_eq!(token.notify(), Notified::Awake);
        assert!(token.is_waiting());
        token.redeem();
        assert!(!token.is_waiting() && !token.take());
    }

    #[test]
    fn a_blocked_thread_is_woken() {
        let token = Token::default();
        assert!(token.block());
        assert_eq!(token.notify(), Notified::Blocked);
        assert!(token.is_notified() && token.take());
    }
}
