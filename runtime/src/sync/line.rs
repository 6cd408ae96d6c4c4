//! The waiting line that every primitive of this module is made of: some state, and a queue of who waits for it to
//! change, under one critical section.
//!
//! Whoever changes the state *grants* the waiters it lets go on: it takes them out of the queue, does their share of
//! the change for them (so nobody can slip in between), and unparks them once the section is left. A waiter goes on
//! only when it finds itself granted, so a stray token costs it one look and nothing else.

use crate::primitives::MutexGuard;
use std::time::Instant;

use crate::park::{WaitReason, Waiter, park, park_until};
use crate::sync::critical::Critical;
use crate::sync::wait_list::{Key, WaitList};

/// `S`: the state. `N`: what is noted about each waiter.
#[derive(Debug)]
pub(super) struct Line<S, N = ()>(Critical<Inside<S, N>>);

/// What is inside the critical section.
#[derive(Debug)]
pub(super) struct Inside<S, N = ()> {
    pub(super) state: S,
    pub(super) queue: Queue<N>,
}

/// Who waits, first come first.
#[derive(Debug)]
pub(super) struct Queue<N>(WaitList<Place<N>>);

#[derive(Debug)]
struct Place<N> {
    /// `None` once granted.
    waiter: Option<Waiter>,
    note: N,
}

impl<S, N> Line<S, N> {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(super) const fn new(state: S) -> Self {
        Self(Critical::new(Inside { state, queue: Queue(WaitList::new()) }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inside<S, N>> {
        self.0.lock()
    }

    /// Parks until granted; gives back the note. Called outside the section.
    pub(super) fn wait(&self, key: Key, reason: WaitReason, object: usize) -> N {
        loop {
            park(reason, object);
            let mut inside = self.lock();
            if inside.queue.is_granted(&key) {
                return inside.queue.leave(key);
            }
        }
    }

    /// Parks until granted or until `deadline`; says whether it was granted.
    pub(super) fn wait_until(&self, key: Key, reason: WaitReason, object: usize, deadline: Instant) -> bool {
        loop {
            park_until(reason, object, deadline);
            let is_late = Instant::now() >= deadline;
            let mut inside = self.lock();
            let is_granted = inside.queue.is_granted(&key);
            if is_granted || is_late {
                inside.queue.leave(key);
                return is_granted;
            }
        }
    }
}

impl<N> Queue<N> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Joins the end of the queue in the name of whoever runs here.
    pub(super) fn join(&mut self, note: N) -> Key {
        self.0.push_back(Place { waiter: Some(Waiter::current()), note })
    }

    /// Joins the queue in front of all.
    pub(super) fn join_front(&mut self, note: N) -> Key {
        self.0.push_front(Place { waiter: Some(Waiter::current()), note })
    }

    /// The note of the first.
    pub(super) fn front(&self) -> Option<&N> {
        self.0.front().map(|place| &place.note)
    }

    /// Grants the first, whose note `amend` may change for it to read.
    pub(super) fn grant_amended(&mut self, amend: impl FnOnce(&mut N)) -> Option<Granted> {
        self.0.pop_front().map(|place| {
            amend(&mut place.note);
            place.granted()
        })
    }

    pub(super) fn grant(&mut self) -> Option<Granted> {
        self.0.pop_front().map(Place::granted)
    }

    /// Grants the first whose note `is_wanted`.
    pub(super) fn grant_first(&mut self, is_wanted: impl Fn(&N) -> bool) -> Option<Granted> {
        self.0.pop_first(|place| is_wanted(&place.note)).map(Place::granted)
    }

    pub(super) fn grant_all(&mut self) -> Vec<Granted> {
        std::iter::from_fn(|| self.grant()).collect()
    }

    fn is_granted(&self, key: &Key) -> bool {
        self.0.get(key).waiter.is_none()
    }

    fn leave(&mut self, key: Key) -> N {
        self.0.remove(key).note
    }
}

impl<N> Place<N> {
    fn granted(&mut self) -> Granted {
        Granted(self.waiter.take().expect("who is queued has not been granted"))
    }
}

/// A waiter that may go on and does not know it yet: to be unparked once the section is left.
#[derive(Debug)]
#[must_use = "the waiter sleeps until it is unparked"]
pub(super) struct Granted(Waiter);

impl Granted {
    pub(super) fn unpark(self) {
        self.0.unpark();
    }
}

/// Unparks them in order.
pub(super) fn unpark_all(granted: impl IntoIterator<Item = Granted>) {
    granted.into_iter().for_each(Granted::unpark);
}
