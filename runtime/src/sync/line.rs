//! Waiting lines: what channels and locks are made of. Some state, and queues of who waits for it to change, under one
//! brief lock.
//!
//! Whoever changes the state *grants* the waiters it lets go on: it takes them out of their queue, does their share of
//! the change for them (so nobody can slip in between), and unparks them once the section is left. A waiter goes on
//! only when it finds that its wait has ended, so a stray token costs it one look and nothing else.
//!
//! Who waits has a `Seat` on its own stack: a node of the queue, with a note that whoever grants it reads and changes.
//!
//! ```text
//!        sit                claim + end (under the lock)
//! new ─────────▶ queued ──────────────────────────────────▶ ended ──leave──▶ left
//!                  │ └── pass over: decided elsewhere ──▶ out ──leave─────────▲
//!                  └──────────── leave ───────────────────────────────────────┘
//! ```
//! | seat   | links, note touched by          | its owner knows it by |
//! | queued | whoever has the lock            | -                     |
//! | out    | nobody; the owner, with the lock| -                     |
//! | ended  | the owner                       | `end`, without the lock |
//! | left   | the owner                       | having called `leave` |
//!
//! *A seat does not die while it is queued.* It is pinned, so it is dropped before its memory is used for anything else,
//! and its drop leaves the queue. A goroutine that its runtime abandons is leaked together with its stack.
#![allow(unsafe_code, reason = "state behind a lock, and nodes on their owners' stacks")]

use std::cell::{Cell, UnsafeCell};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::NonNull;
use std::time::Instant;

use crate::park::{Pledge, WaitReason, Waiter, park, park_until};
use crate::primitives::atomic::{
    AtomicU8,
    Ordering::{Acquire, Release},
};
use crate::sync::brief_lock::BriefLock;
use crate::sync::claim::Claim;
use crate::sync::crowd::{Crowd, Granted};
use crate::sync::wait_list::{Node, WaitList};

/// State `S`, and `QUEUES` queues of waiters, about each of whom an `N` is noted.
///
/// Between `lock` and the drop of the section there is no park, no unpark, no system call and no code of the user (no drop
/// of a user's value either): a law that every user in this crate keeps.
pub(crate) struct Line<S, N = (), const QUEUES: usize = 1> {
    lock: BriefLock,
    inside: UnsafeCell<Inside<S, N, QUEUES>>,
}

struct Inside<S, N, const QUEUES: usize> {
    queues: [WaitList<Place<N>>; QUEUES],
    state: S,
}

/// What a node of a queue holds.
#[derive(Debug)]
struct Place<N> {
    waiter: Waiter,
    /// With whom the decision is shared, and as which arm.
    claim: Option<(NonNull<Claim>, usize)>,
    /// An `End`; 0 while there is none. Set under the lock, by whoever grants, as the last thing done to the seat.
    end: AtomicU8,
    note: UnsafeCell<N>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The waiter got what it waited for.
    Served = 1,
    /// It will not get it.
    Refused = 2,
}

/// The front or the back of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    First,
    Last,
}

// SAFETY: sharing a line gives out `&mut` to its state and its notes in whichever thread has the lock, one at a time, so
// both have to be `Send`. `Waiter`s are used in any thread; claims are `Sync`.
unsafe impl<S: Send, N: Send, const QUEUES: usize> Sync for Line<S, N, QUEUES> {}

// SAFETY: a line that moves is not borrowed, so no seat, which borrows it, is in its queues, but for those of abandoned
// goroutines, which nobody touches but with the lock; its state is `Send`.
unsafe impl<S: Send, N: Send, const QUEUES: usize> Send for Line<S, N, QUEUES> {}

impl<S, N, const QUEUES: usize> Line<S, N, QUEUES> {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(crate) const fn new(state: S) -> Self {
        let inside = Inside { queues: [const { WaitList::new() }; QUEUES], state };
        Self { lock: BriefLock::new(), inside: UnsafeCell::new(inside) }
    }

    /// Enters the section.
    #[inline]
    pub(crate) fn lock(&self) -> Section<'_, S, N, QUEUES> {
        self.lock.lock();
        Section { line: self, not_send: PhantomData }
    }
}

impl<S, N, const QUEUES: usize> Line<S, N, QUEUES> {
    /// Queues in the name of whoever runs here, leaves the section and waits until granted. Gives back the note.
    pub(super) fn wait(
        &self,
        section: Section<'_, S, N, QUEUES>,
        (queue, rank, note): (usize, Rank, N),
        why: (WaitReason, usize),
    ) -> N
    where
        N: Copy,
    {
        let mut seat = std::pin::pin!(Seat::to_stay(self, queue, note, why));
        seat.as_mut().sit(section, rank);
        seat.stay(why);
        *seat.as_mut().note()
    }

    /// Likewise; `before` runs when the place in the queue is taken. It may take its time, and unpark others.
    pub(super) fn wait_after(
        &self,
        section: Section<'_, S, N, QUEUES>,
        (queue, rank, note): (usize, Rank, N),
        why: (WaitReason, usize),
        before: impl FnOnce(),
    ) -> N
    where
        N: Copy,
    {
        let mut seat = std::pin::pin!(Seat::new(self, queue, note));
        seat.as_mut().sit(section, rank);
        before();
        seat.stay(why);
        *seat.as_mut().note()
    }

    /// Like [`wait`](Self::wait), until `deadline` at the latest; says whether it was granted.
    pub(super) fn wait_until(
        &self,
        section: Section<'_, S, N, QUEUES>,
        (queue, rank, note): (usize, Rank, N),
        (reason, object): (WaitReason, usize),
        deadline: Instant,
        before: impl FnOnce(),
    ) -> bool {
        let mut seat = std::pin::pin!(Seat::new(self, queue, note));
        seat.as_mut().sit(section, rank);
        before();
        while seat.end().is_none() {
            park_until(reason, object, deadline);
            if Instant::now() >= deadline {
                break;
            }
        }
        seat.leave().is_some()
    }
}

impl<S, N, const QUEUES: usize> fmt::Debug for Line<S, N, QUEUES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

/// The right to what is inside a line; dropping it leaves.
pub(crate) struct Section<'l, S, N, const QUEUES: usize = 1> {
    line: &'l Line<S, N, QUEUES>,
    /// Makes it `!Send`.
    not_send: PhantomData<*const ()>,
}

impl<S, N, const QUEUES: usize> Section<'_, S, N, QUEUES> {
    #[inline]
    fn inside(&self) -> &Inside<S, N, QUEUES> {
        // SAFETY: a section is made by `lock`, and the lock is given back when it is dropped, so there is no other one. A
        // `&mut` from `inside_mut` borrows this one mutably, so it is not alive now.
        unsafe { &*self.line.inside.get() }
    }

    #[inline]
    fn inside_mut(&mut self) -> &mut Inside<S, N, QUEUES> {
        // SAFETY: as in `inside`; and `&mut self` shows that no reference from this section is alive.
        unsafe { &mut *self.line.inside.get() }
    }

    /// Whether nobody is in `queue`.
    #[inline]
    pub(crate) fn is_empty(&self, queue: usize) -> bool {
        self.inside().queues[queue].is_empty()
    }

    /// The note of the first in `queue`.
    pub(super) fn front(&self, queue: usize) -> Option<&N> {
        // SAFETY: it is in a queue of this line, so it is alive.
        let first = self.inside().queues[queue].front().map(|node| unsafe { node.as_ref() })?;
        // SAFETY: notes of seats in a queue are touched with the lock only; changing one takes the section by `&mut`.
        Some(unsafe { &*first.entry.note.get() })
    }

    /// How many are in `queue`.
    #[cfg(test)]
    pub(super) fn count(&self, queue: usize) -> usize {
        let list = &self.inside().queues[queue];
        // SAFETY: it is in a queue of this line, so it is alive, and it belongs to that queue (`Seat::sit`).
        std::iter::successors(list.front(), |node| unsafe { list.after(*node) }).count()
    }

    /// Whether someone in `queue` could be served by `other`, which is not its own counterpart.
    pub(crate) fn is_anyone_open_to(&self, queue: usize, other: &Claim) -> bool {
        let list = &self.inside().queues[queue];
        let mut next = list.front();
        while let Some(node) = next {
            // SAFETY: it is in a queue of this line, so it is alive.
            if unsafe { node.as_ref() }.entry.is_open_to(other) {
                return true;
            }
            // SAFETY: as above; and a node belongs to one queue (`Seat::sit`).
            next = unsafe { list.after(node) };
        }
        false
    }

    /// The first in `queue` that can be served, out of the queue. Those that were decided elsewhere lose their place on
    /// the way; their owners leave by themselves.
    #[inline]
    pub(crate) fn claim_first(&mut self, queue: usize) -> Option<Claimed<'_, N>> {
        let list = &mut self.inside_mut().queues[queue];
        while let Some(node) = list.pop_front() {
            // SAFETY: it was in a queue of this line until now, so it is alive; and it stays so, for its owner leaves only
            // when it has ended, or with the lock, which is ours as long as the result lives.
            let place = &unsafe { node.as_ref() }.entry;
            if place.claim() {
                return Some(Claimed { place, is_last: list.is_empty() });
            }
        }
        None
    }

    /// Grants the first in `queue`.
    #[inline]
    pub(super) fn grant(&mut self, queue: usize) -> Option<Granted> {
        self.claim_first(queue).map(|claimed| claimed.end(End::Served))
    }

    /// Grants all in `queue`.
    pub(super) fn grant_all(&mut self, queue: usize) -> Crowd {
        let mut crowd = Crowd::new();
        while let Some(granted) = self.grant(queue) {
            crowd.push(granted);
        }
        crowd
    }
}

impl<S, N, const QUEUES: usize> Deref for Section<'_, S, N, QUEUES> {
    type Target = S;

    #[inline]
    fn deref(&self) -> &S {
        &self.inside().state
    }
}

impl<S, N, const QUEUES: usize> DerefMut for Section<'_, S, N, QUEUES> {
    #[inline]
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inside_mut().state
    }
}

impl<S, N, const QUEUES: usize> Drop for Section<'_, S, N, QUEUES> {
    #[inline]
    fn drop(&mut self) {
        self.line.lock.unlock();
    }
}

impl<N> Place<N> {
    /// Makes sure that nobody else serves this seat; false if another of its owner's seats has been served, or its owner
    /// gave up. Called with the lock while the seat is queued, or just taken out.
    #[inline]
    fn claim(&self) -> bool {
        match self.claim {
            None => true,
            // SAFETY: a seat borrows its claim, and it is alive: see the callers of `claim`.
            Some((claim, index)) => unsafe { claim.as_ref() }.decide(index),
        }
    }

    fn is_open_to(&self, other: &Claim) -> bool {
        match self.claim {
            None => true,
            // SAFETY: as in `claim`.
            Some((claim, _)) => claim != NonNull::from(other) && unsafe { claim.as_ref() }.is_open(),
        }
    }
}

/// A seat that was taken out of its queue to be served. Its owner waits until `end` is called.
#[must_use = "its owner sleeps until its wait is ended"]
pub(crate) struct Claimed<'s, N> {
    place: &'s Place<N>,
    is_last: bool,
}

impl<N> Claimed<'_, N> {
    #[inline]
    pub(crate) fn note(&mut self) -> &mut N {
        // SAFETY: the seat is in no queue, so no other section finds it, and its owner touches the note only once it has
        // ended or with the lock, which ours is.
        unsafe { &mut *self.place.note.get() }
    }

    /// Whether nobody is left in the queue.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    /// Ends the wait. Unpark the waiter once the section is left. It may go on even before that, so whatever it reads
    /// outside of the section has to be there already.
    #[inline]
    pub(crate) fn end(self, end: End) -> Granted {
        let waiter = self.place.waiter;
        // ORDERING: Release; pairs with the Acquire in `Seat::end`: the owner sees the note as it is now. From here on the
        // seat is its owner's, and may be gone.
        self.place.end.store(end as u8, Release);
        Granted(waiter)
    }
}

/// A place in one of the queues of a line, held by whoever waits.
pub(crate) struct Seat<'l, S, N, const QUEUES: usize = 1> {
    line: &'l Line<S, N, QUEUES>,
    queue: usize,
    /// Whether it was queued and has not been left.
    is_taken: Cell<bool>,
    /// Of its owner to stay until it is served.
    pledge: Cell<Option<Pledge>>,
    claim: PhantomData<&'l Claim>,
    node: Node<Place<N>>,
}

impl<'l, S, N, const QUEUES: usize> Seat<'l, S, N, QUEUES> {
    /// A seat, not queued yet, for whoever runs here, by itself.
    #[inline]
    pub(crate) fn new(line: &'l Line<S, N, QUEUES>, queue: usize, note: N) -> Self {
        Self::with_claim(line, queue, Waiter::current(), None, note)
    }

    /// As `new`, for one who sits down at once, and stays until its wait has ended: [`stay`](Self::stay) follows `sit`, with
    /// nothing in between that takes time.
    #[inline]
    pub(crate) fn to_stay(
        line: &'l Line<S, N, QUEUES>,
        queue: usize,
        note: N,
        why: (WaitReason, usize),
    ) -> Self {
        let Some(pledge) = Pledge::make(why.0, why.1) else { return Self::new(line, queue, note) };
        // SAFETY: who takes the seat out of its queue ends the wait, and unparks the waiter once (`Claimed`, `Granted`). It is
        // taken out so only, for its owner does not leave before.
        let waiter = unsafe { pledge.waiter() };
        let seat = Self::with_claim(line, queue, waiter, None, note);
        seat.pledge.set(Some(pledge));
        seat
    }

    /// A seat for one arm of `claim`.
    pub(crate) fn of_arm(
        line: &'l Line<S, N, QUEUES>,
        queue: usize,
        (waiter, claim, arm): (Waiter, &'l Claim, usize),
        note: N,
    ) -> Self {
        Self::with_claim(line, queue, waiter, Some((NonNull::from(claim), arm)), note)
    }

    #[inline]
    fn with_claim(
        line: &'l Line<S, N, QUEUES>,
        queue: usize,
        waiter: Waiter,
        claim: Option<(NonNull<Claim>, usize)>,
        note: N,
    ) -> Self {
        let place = Place { waiter, claim, end: AtomicU8::new(0), note: UnsafeCell::new(note) };
        let (is_taken, pledge) = (Cell::new(false), Cell::new(None));
        Self { line, queue, is_taken, pledge, claim: PhantomData, node: Node::new(place) }
    }

    /// Joins the queue, and leaves the section.
    ///
    /// # Panics
    /// The section is of another line, or the seat was queued before.
    #[inline]
    pub(crate) fn sit(self: Pin<&mut Self>, mut section: Section<'_, S, N, QUEUES>, rank: Rank) {
        assert!(std::ptr::eq(section.line, self.line) && !self.is_taken.replace(true), "a seat is used once");
        let node = NonNull::from(&self.node);
        let list = &mut section.inside_mut().queues[self.queue];
        match rank {
            // SAFETY: it is in no list, since this is its first time. It is pinned, and its drop leaves this queue, the only one
            // it ever joins.
            Rank::Last => unsafe { list.push_back(node) },
            // SAFETY: as above.
            Rank::First => unsafe { list.push_front(node) },
        }
    }

    /// How the wait has ended, if it has. Once it has, the note is the owner's.
    #[inline]
    pub(crate) fn end(&self) -> Option<End> {
        // ORDERING: Acquire; pairs with the Release in `Claimed::end`.
        match self.node.entry.end.load(Acquire) {
            0 => None,
            end if end == End::Served as u8 => Some(End::Served),
            _ => Some(End::Refused),
        }
    }

    /// Waits until the wait has ended; says how.
    // Always inlined: see `fiber/switch.rs`.
    #[inline(always)]
    pub(crate) fn stay(&self, (reason, object): (WaitReason, usize)) -> End {
        if let Some(pledge) = self.pledge.take() {
            pledge.keep();
        }
        loop {
            if let Some(end) = self.end() {
                self.is_taken.set(false);
                return end;
            }
            park(reason, object);
        }
    }

    /// Leaves the queue if still in it; says how the wait ended, if it did.
    #[inline]
    pub(crate) fn leave(&self) -> Option<End> {
        self.leave_queue();
        self.end()
    }

    /// The note.
    ///
    /// # Panics
    /// The seat was queued and has not been left.
    #[inline]
    pub(crate) fn note(self: Pin<&mut Self>) -> &mut N {
        assert!(!self.is_taken.get(), "the note of a seat that is queued is not its owner's");
        // SAFETY: nothing is moved out of `self`; the note is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        this.node.entry.note.get_mut()
    }

    #[inline]
    fn leave_queue(&self) {
        if self.is_taken.replace(false) && self.end().is_none() {
            let mut section = self.line.lock();
            // SAFETY: the node is ours, and this queue the only one it was ever in.
            unsafe { section.inside_mut().queues[self.queue].remove(NonNull::from(&self.node)) };
        }
    }
}

impl<S, N, const QUEUES: usize> Drop for Seat<'_, S, N, QUEUES> {
    #[inline]
    fn drop(&mut self) {
        self.leave_queue();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    const WHY: (WaitReason, usize) = (WaitReason::Join, 0);

    #[test]
    fn whoever_is_granted_before_it_parks_does_not_wait() {
        let line: Line<u8, u8> = Line::new(1);
        let noted = line.wait_after(line.lock(), (0, Rank::Last, 7), WHY, || {
            let mut section = line.lock();
            assert_eq!((*section, section.front(0)), (1, Some(&7)));
            let mut first = section.claim_first(0).unwrap();
            *first.note() += 1;
            let granted = first.end(End::Served);
            drop(section);
            granted.unpark();
        });
        assert_eq!(noted, 8);
        assert!(line.lock().is_empty(0));
    }

    #[test]
    fn a_deadline_leaves_nobody_queued() {
        let line: Line<()> = Line::new(());
        let at = (0, Rank::Last, ());
        assert!(!line.wait_until(line.lock(), at, WHY, Instant::now(), || {}));
        assert!(line.lock().is_empty(0));
        let late = Instant::now() + Duration::from_secs(60);
        assert!(line.wait_until(line.lock(), at, WHY, late, || line.lock().grant(0).unwrap().unpark()));
    }

    #[test]
    fn a_panic_while_queued_leaves_the_queue() {
        let line: Line<()> = Line::new(());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            line.wait_after(line.lock(), (0, Rank::Last, ()), WHY, || {
                std::panic::resume_unwind(Box::new("before the park"))
            });
        }));
        assert!(panicked.is_err());
        assert!(line.lock().grant(0).is_none());
    }

    #[test]
    fn the_first_rank_is_served_before_the_last() {
        let line: Line<(), u8> = Line::new(());
        let mut seats: Vec<_> = (0..3).map(|note| Box::pin(Seat::new(&line, 0, note))).collect();
        for (seat, rank) in seats.iter_mut().zip([Rank::Last, Rank::Last, Rank::First]) {
            seat.as_mut().sit(line.lock(), rank);
        }
        let mut served = Vec::new();
        let mut section = line.lock();
        while let Some(mut first) = section.claim_first(0) {
            served.push(*first.note());
            first.end(End::Served).unpark();
        }
        assert_eq!(served, [2, 0, 1]);
    }

    #[test]
    fn a_seat_of_another_line_is_refused() {
        let (line, other): (Line<()>, Line<()>) = (Line::new(()), Line::new(()));
        let mut seat = Box::pin(Seat::new(&line, 0, ()));
        let panicked = catch_unwind(AssertUnwindSafe(|| seat.as_mut().sit(other.lock(), Rank::Last)));
        assert!(panicked.is_err());
        assert!(other.lock().is_empty(0) && line.lock().is_empty(0));
    }
}
