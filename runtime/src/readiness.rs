//! Whether a descriptor is ready in one direction, and who waits for that: one word, and no lock.
//!
//! ```text
//!          event                             event (wakes it)
//! Idle(t) ───────▶ Ready       Waiting(me) ────────────────────▶ Idle(me)
//!    ▲  │            │           ▲  │   │
//!    │  └──enter─────┼───────────┘  │   └─another enters─▶ Crowd (all who wait are in a list, under a lock)
//!    │               │              │                        │ event (wakes all)         │ the last one leaves
//!    └──enter: go on ┘◀──leave──────┘                        ▼                           ▼
//!                                                          Ready                        Idle
//! ```
//!
//! Descriptors are registered edge-triggered: the kernel speaks when something comes, not while something is there. Whoever
//! found nothing there enters, and waits unless an event came since. So an edge between "would block" and the wait is not
//! lost.
//!
//! With several goroutines one could take an edge that another, which found nothing *before* it, then waits for in vain
//! (the first need not read everything). So `Idle` names who took the last edge, `t`, and whoever enters after *someone else*
//! took it asks the kernel once. Whoever waits has thus found nothing after the last edge was taken: its name can go.
//! A name is an address, and a goroutine may end and another one begin there: that one too looked after the edge was taken.
#![allow(unsafe_code, reason = "the word holds a pointer to whoever waits")]

use crate::goroutine::{Goroutine, GoroutineRef, Runnable};
use crate::primitives::Mutex;
use crate::primitives::atomic::{
    AtomicPtr,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::mem;
use std::ptr::{self, NonNull};

/// What the lowest bits of the word say; the others are the address of a goroutine, or 0.
const IDLE: usize = 0;
const READY: usize = 1;
const WAITING: usize = 2;
const CROWD: usize = 3;
const KIND: usize = 3;

/// See the module docs.
#[derive(Default)]
pub(crate) struct Readiness {
    word: AtomicPtr<Goroutine>,
    /// Who waits, in the state `Crowd`, which begins and ends under this lock.
    crowd: Mutex<Vec<GoroutineRef>>,
}

/// The word, read.
#[derive(Clone, Copy)]
enum State {
    /// No event since the last one was taken, by whom.
    Idle(Option<GoroutineRef>),
    /// An event came, and no one has taken it.
    Ready,
    Waiting(GoroutineRef),
    Crowd,
}

/// What whoever entered does.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entered {
    /// Go on: an event came. Nothing to leave.
    Ready,
    /// Wait, then leave.
    Waits,
    /// Ask the kernel, wait if it is not ready, then leave.
    WaitsUnsure,
}

impl State {
    fn of(word: *mut Goroutine) -> Self {
        let goroutine = NonNull::new(word.map_addr(|address| address & !KIND)).map(|goroutine| {
            // SAFETY: `word` puts nothing but the pointers of `GoroutineRef`s there, and its mark has been taken off.
            unsafe { GoroutineRef::from_ptr(goroutine) }
        });
        match (word.addr() & KIND, goroutine) {
            (READY, _) => Self::Ready,
            (CROWD, _) => Self::Crowd,
            (WAITING, Some(who)) => Self::Waiting(who),
            (_, taker) => Self::Idle(taker),
        }
    }

    fn word(self) -> *mut Goroutine {
        let marked = |who: GoroutineRef, kind| who.as_ptr().as_ptr().map_addr(|address| address | kind);
        match self {
            Self::Idle(taker) => taker.map_or(ptr::null_mut(), |who| marked(who, IDLE)),
            Self::Ready => ptr::without_provenance_mut(READY),
            Self::Waiting(who) => marked(who, WAITING),
            Self::Crowd => ptr::without_provenance_mut(CROWD),
        }
    }
}

impl Readiness {
    /// As at first: for a descriptor that is registered now.
    pub(crate) fn reset(&self) {
        // ORDERING: Relaxed; published by the lock of whoever then shows the descriptor to the kernel. An event of the one
        // before may yet come, and wakes whoever waits in vain.
        self.word.store(State::Idle(None).word(), Relaxed);
    }

    /// Called by `me`, which found nothing there.
    pub(crate) fn enter(&self, me: GoroutineRef) -> Entered {
        // ORDERING: Relaxed; the exchange below decides.
        let mut word = self.word.load(Relaxed);
        loop {
            let (next, entered) = match State::of(word) {
                State::Ready => (State::Idle(Some(me)), Entered::Ready),
                State::Idle(Some(taker)) if taker != me => (State::Waiting(me), Entered::WaitsUnsure),
                State::Idle(_) => (State::Waiting(me), Entered::Waits),
                State::Waiting(_) | State::Crowd => {
                    if self.join(word, me) {
                        return Entered::Waits;
                    }
                    // ORDERING: Relaxed; as above.
                    word = self.word.load(Relaxed);
                    continue;
                }
            };
            // ORDERING: Release; pairs with the Acquire in `notify`: `me` is published. Acquire; pairs with the Release
            // there, so that the next try comes after the event. Relaxed on failure, as above.
            match self.word.compare_exchange_weak(word, next.word(), AcqRel, Relaxed) {
                Ok(_) => return entered,
                Err(now) => word = now,
            }
        }
    }

    /// Waits with others. `false` if `word` is not the state any more.
    fn join(&self, word: *mut Goroutine, me: GoroutineRef) -> bool {
        let mut crowd = self.crowd.lock();
        // ORDERING: Acquire; pairs with the Release in `enter` of the first, whom the lock then publishes to `notify`. Where
        // it is `Crowd` already this changes nothing, but asks whether it still is.
        if self.word.compare_exchange(word, State::Crowd.word(), Acquire, Relaxed).is_err() {
            return false;
        }
        if let State::Waiting(first) = State::of(word) {
            crowd.push(first);
        }
        crowd.push(me);
        true
    }

    /// `me` waits no longer. Whether an event came while it did.
    pub(crate) fn leave(&self, me: GoroutineRef) -> bool {
        // ORDERING: Acquire; pairs with the Release in `notify`, as in `enter`.
        let mut word = self.word.load(Acquire);
        loop {
            match State::of(word) {
                State::Waiting(who) if who == me => {}
                State::Crowd => return self.leave_crowd(me),
                State::Idle(_) | State::Ready | State::Waiting(_) => return true,
            }
            // ORDERING: Acquire; as above. Relaxed where it succeeds: no event came, and nothing is published.
            match self.word.compare_exchange_weak(word, State::Idle(None).word(), Relaxed, Acquire) {
                Ok(_) => return false,
                Err(now) => word = now,
            }
        }
    }

    fn leave_crowd(&self, me: GoroutineRef) -> bool {
        let mut crowd = self.crowd.lock();
        let Some(place) = crowd.iter().position(|&who| who == me) else { return true };
        crowd.swap_remove(place);
        if crowd.is_empty() {
            // ORDERING: Relaxed; whoever still reads `Crowd` exchanges, or takes the lock, and finds that it has gone. It is
            // still `Crowd`, which ends under the lock, when the list is empty.
            self.word.store(State::Idle(None).word(), Relaxed);
        }
        false
    }

    /// An event came: whoever waits tries again. Those that must be queued are added to `ready`.
    pub(crate) fn notify(&self, ready: &mut Vec<Runnable>) {
        // ORDERING: Relaxed; the exchange below decides. If it reads an older `Ready`, whoever took that one has yet to try
        // again, and so after this event: the kernel's locks order what came before the event's report.
        let mut word = self.word.load(Relaxed);
        loop {
            let (next, waiter) = match State::of(word) {
                State::Ready => return,
                State::Crowd if self.notify_crowd(ready) => return,
                State::Crowd => {
                    // ORDERING: Relaxed; as above.
                    word = self.word.load(Relaxed);
                    continue;
                }
                State::Idle(_) => (State::Ready, None),
                State::Waiting(who) => (State::Idle(Some(who)), Some(who)),
            };
            // ORDERING: Release; pairs with the Acquire in `enter` and `leave`. Acquire; pairs with the Release in `enter`:
            // who waits is seen whole. Relaxed on failure, as above.
            match self.word.compare_exchange_weak(word, next.word(), AcqRel, Relaxed) {
                Ok(_) => {
                    if let Some(who) = waiter {
                        who.unpark_into(ready);
                    }
                    return;
                }
                Err(now) => word = now,
            }
        }
    }

    /// Wakes all of a crowd; `false` if it has gone.
    fn notify_crowd(&self, ready: &mut Vec<Runnable>) -> bool {
        let waiters = {
            let mut crowd = self.crowd.lock();
            if crowd.is_empty() {
                return false;
            }
            // ORDERING: Release; as in `notify`. It is `Crowd`: the list is not empty.
            self.word.store(State::Ready.word(), Release);
            mem::take(&mut *crowd)
        };
        for waiter in waiters {
            waiter.unpark_into(ready);
        }
        true
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // ORDERING: Relaxed; a snapshot for people.
        f.write_str(match State::of(self.word.load(Relaxed)) {
            State::Idle(_) => "Idle",
            State::Ready => "Ready",
            State::Waiting(_) => "Waiting",
            State::Crowd => "Crowd",
        })
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::primitives::Arc;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};

    fn runtime() -> Arc<Runtime> {
        Runtime::new(1).unwrap()
    }

    /// A goroutine that never runs; its place is leaked with it.
    fn goroutine(runtime: &Runtime) -> GoroutineRef {
        let birth = Birth { id: 1, site: std::panic::Location::caller(), pinned: false };
        let stack = stack::acquire(Class::DEFAULT).unwrap();
        Runnable::new(birth, runtime, stack, || ()).goroutine()
    }

    #[test]
    fn an_event_before_the_wait_is_not_lost() {
        let (runtime, readiness) = (runtime(), Readiness::default());
        let me = goroutine(&runtime);
        readiness.notify(&mut Vec::new());
        assert_eq!(readiness.enter(me), Entered::Ready);
        assert_eq!(readiness.enter(me), Entered::Waits, "it was taken by this one, which looked again since");
        assert!(!readiness.leave(me));
    }

    #[test]
    fn whoever_enters_after_another_took_the_event_asks_the_kernel() {
        let (runtime, readiness) = (runtime(), Readiness::default());
        let (me, other) = (goroutine(&runtime), goroutine(&runtime));
        readiness.notify(&mut Vec::new());
        assert_eq!(readiness.enter(other), Entered::Ready);
        assert_eq!(readiness.enter(me), Entered::WaitsUnsure);
        readiness.notify(&mut Vec::new());
        assert!(readiness.leave(me));
        assert_eq!(readiness.enter(other), Entered::WaitsUnsure, "an event that woke it was taken by it");
        assert!(!readiness.leave(other));
        assert_eq!(readiness.enter(me), Entered::Waits, "the other one has found nothing there");
    }

    #[test]
    fn an_event_wakes_all_who_wait() {
        let (runtime, readiness) = (runtime(), Readiness::default());
        let all: Vec<GoroutineRef> = (0..3).map(|_| goroutine(&runtime)).collect();
        for &who in &all {
            assert_eq!(readiness.enter(who), Entered::Waits);
            assert!(who.token.commit(), "it has left its stack");
        }
        let mut ready = Vec::new();
        readiness.notify(&mut ready);
        assert_eq!(ready.iter().map(Runnable::goroutine).collect::<Vec<_>>(), all);
        assert!(all.iter().all(|&who| readiness.leave(who)));
        assert_eq!(readiness.enter(all[0]), Entered::Ready, "whoever is second tries again too");
    }

    #[test]
    fn whoever_leaves_a_crowd_is_not_woken_and_the_last_one_ends_it() {
        let (runtime, readiness) = (runtime(), Readiness::default());
        let (one, other) = (goroutine(&runtime), goroutine(&runtime));
        assert_eq!(readiness.enter(one), Entered::Waits);
        assert_eq!(readiness.enter(other), Entered::Waits);
        assert!(!readiness.leave(one));
        assert!(!readiness.leave(other));
        readiness.notify(&mut Vec::new());
        assert_eq!(readiness.enter(one), Entered::Ready, "an event after the crowd is kept");
    }
}
