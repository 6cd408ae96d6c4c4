//! The run queue of a processor: a ring with one owner and many thieves, and a slot for who runs next.
//!
//! The ring is that of Go's scheduler (`runq` in `proc.go`), and its owner can take back the last element too. `tail`
//! counts for ever; what waits lies from `head` to it, at `count % CAPACITY`. A `head` is where the oldest lies, and how
//! often that word was changed, so that none ever comes back.
//!
//! ```text
//! push     (owner):  slot[tail] = g                  tail += 1 (Release)
//! pop      (owner):  g = slot[head]                  head: CAS h → h + 1
//! pop_last (owner):  g = slot[tail - 1]  tail -= 1   head: CAS h → h, changed once more (Release)
//! steal    (thief):  head (Acquire), tail (Acquire)  copy slots head..mid  head: CAS h → mid
//! ```
//!
//! An element belongs to whoever changed `head` for it. A thief copies pointers before it owns them, and looks at nothing
//! behind them; if another was faster, its CAS fails and the copies are forgotten. Two interleavings would be bad:
//!
//! - An owner reuses a slot which a thief still copies. `push` writes only where there is room, so `head` must have moved
//!   over that slot already, or `pop_last` have changed it, and then the thief's CAS from the old `head` fails.
//! - An owner takes the last element, and a thief too. If the thief read `head` before the owner's CAS, one of the two fails.
//!   If after, it finds the new `tail`. (With the CAS first and then `tail`, two thieves could come in between: one takes the
//!   older half and makes the last one the only one for the other.)
//!
//! Rejected: Chase-Lev (last in, first out for the owner: unfair), a queue of `Mutex<VecDeque>` (a thief that is
//! descheduled with the lock stops the owner).
#![allow(unsafe_code, reason = "an element in an atomic slot is a raw pointer; taking it back is unsafe")]

use crate::primitives::Arc;
use crate::primitives::atomic::{
    AtomicPtr, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::{iter, ptr};

/// Elements in a ring. What is more goes to the global queue, and comes back late and behind a lock: with Go's 256, some
/// of 5000 goroutines that only yield get 65 times as many turns as others.
pub(crate) const CAPACITY: usize = if cfg!(loom) { 4 } else { 4096 };

/// Most elements that a thief takes at a time. As in Go.
pub(crate) const MOST_STOLEN: usize = if CAPACITY / 2 < 128 { CAPACITY / 2 } else { 128 };

/// What queues hold: something that is one pointer, and is owned.
///
/// # Safety
/// `into_raw` never gives null, and `from_raw` makes of what it gave the same element again. What an element gives
/// access to may be used on another thread, if the pointer is passed on with Release and Acquire.
pub(crate) unsafe trait Element: Sized {
    type Target;

    fn into_raw(self) -> *mut Self::Target;

    /// # Safety
    /// `raw` is from `into_raw`, and this is the only call for it.
    unsafe fn from_raw(raw: *mut Self::Target) -> Self;
}

// SAFETY: an `Arc` is a pointer that is not null; its count moves with it. `Send` and `Sync` make it fit for others.
unsafe impl<T: Send + Sync> Element for Arc<T> {
    type Target = T;

    fn into_raw(self) -> *mut T {
        Arc::into_raw(self).cast_mut()
    }

    unsafe fn from_raw(raw: *mut T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Arc::from_raw(raw) }
    }
}

/// Counts in `Head`, after which they begin anew: one that is a whole ring behind is told from one that is none.
const SPAN: u64 = 2 * CAPACITY as u64;
const _: () = assert!(SPAN.is_power_of_two());

/// The word `head`: the count of the oldest element, below `SPAN`, and above it how often the word was changed. That goes on
/// for seven years at ten million changes a second.
#[derive(Clone, Copy)]
struct Head(u64);

impl Head {
    /// How many wait before `tail`. More than the ring holds if one of the two is an old one.
    fn waiting(self, tail: u64) -> usize {
        usize::try_from(tail.wrapping_sub(self.0) % SPAN).expect("below twice the capacity")
    }

    /// The word after a change, with `count` elements less.
    fn changed(self, count: u64) -> u64 {
        let changes = self.0 / SPAN + 1;
        changes * SPAN + (self.0 + count) % SPAN
    }
}

/// The ring itself; see the two handles.
struct Ring<E: Element> {
    head: AtomicU64,
    tail: AtomicU64,
    slots: Box<[AtomicPtr<E::Target>; CAPACITY]>,
}

// SAFETY: elements may move between threads (`Element`), and the ring moves nothing else.
unsafe impl<E: Element> Send for Ring<E> {}
// SAFETY: as above; all its fields are atomics.
unsafe impl<E: Element> Sync for Ring<E> {}

impl<E: Element> Ring<E> {
    fn slot(&self, count: u64) -> &AtomicPtr<E::Target> {
        let index = usize::try_from(count % CAPACITY as u64).expect("an index below the capacity");
        &self.slots[index]
    }
}

impl<E: Element> Drop for Ring<E> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; `&mut self` means that no one else is left.
        let (head, tail) = (Head(self.head.load(Relaxed)), self.tail.load(Relaxed));
        for count in tail - head.waiting(tail) as u64..tail {
            // ORDERING: Relaxed; as above.
            let element = self.slot(count).load(Relaxed);
            // SAFETY: counts from head to tail were pushed by `Local::push` (from `into_raw`) and taken by no one.
            drop(unsafe { E::from_raw(element) });
        }
    }
}

/// The owner's end: pushes and pops.
pub(crate) struct Local<E: Element>(Arc<Ring<E>>);

/// The thieves' end.
pub(crate) struct Stealer<E: Element>(Arc<Ring<E>>);

/// An empty ring's two ends.
pub(crate) fn ring<E: Element>() -> (Local<E>, Stealer<E>) {
    let slots: Box<[_]> = iter::repeat_with(|| AtomicPtr::new(ptr::null_mut())).take(CAPACITY).collect();
    let Ok(slots) = slots.try_into() else { unreachable!("as many as were taken") };
    let ring = Arc::new(Ring { head: AtomicU64::new(0), tail: AtomicU64::new(0), slots });
    (Local(Arc::clone(&ring)), Stealer(ring))
}

impl<E: Element> Local<E> {
    /// Appends `element`, or gives it back if the ring is full.
    pub(crate) fn push(&mut self, element: E) -> Result<(), E> {
        let ring = &self.0;
        // ORDERING: Acquire; pairs with the Release of the CAS in `steal`: the slots below `head` have been copied. No
        // model sees it, as said there.
        let head = Head(ring.head.load(Acquire));
        // ORDERING: Relaxed; only this end writes `tail`.
        let tail = ring.tail.load(Relaxed);
        if head.waiting(tail) >= CAPACITY {
            return Err(element);
        }
        // ORDERING: Relaxed; published by the store of `tail` below.
        ring.slot(tail).store(element.into_raw(), Relaxed);
        // ORDERING: Release; pairs with the Acquire of `tail` in `steal` and publishes the slot and what it points to.
        ring.tail.store(tail + 1, Release);
        Ok(())
    }

    /// Takes the oldest element.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let ring = &self.0;
        // ORDERING: Relaxed; only this end writes `tail`.
        let tail = ring.tail.load(Relaxed);
        // ORDERING: Relaxed; the CAS below confirms it.
        let mut head = Head(ring.head.load(Relaxed));
        while head.waiting(tail) > 0 {
            // ORDERING: Relaxed; this end wrote the slot itself.
            let element = ring.slot(head.0).load(Relaxed);
            // ORDERING: Relaxed on success: nothing is published, the slot was read by the one who will reuse it.
            // A thief's Release on `head` stays visible: a read-modify-write continues its release sequence.
            match ring.head.compare_exchange_weak(head.0, head.changed(1), Relaxed, Relaxed) {
                // SAFETY: from `into_raw` in `push`; the CAS gave this count to us alone.
                Ok(_) => return Some(unsafe { E::from_raw(element) }),
                Err(now) => head = Head(now),
            }
        }
        None
    }

    /// Takes the element that was pushed last, if it is the one at `address`.
    pub(crate) fn pop_last(&mut self, address: usize) -> Option<E> {
        let ring = &self.0;
        // ORDERING: Relaxed; only this end writes `tail`.
        let tail = ring.tail.load(Relaxed);
        // ORDERING: Relaxed; the CAS below confirms it.
        let mut head = Head(ring.head.load(Relaxed));
        if head.waiting(tail) == 0 {
            return None;
        }
        // ORDERING: Relaxed; this end wrote the slot itself.
        let element = ring.slot(tail - 1).load(Relaxed);
        if element.addr() != address {
            return None;
        }
        // ORDERING: Release; as the store in `push`, for who reads this one: all before it is still there.
        ring.tail.store(tail - 1, Release);
        while head.waiting(tail) > 0 {
            // ORDERING: Release; pairs with the Acquire of `head` in `steal`: who sees this change sees the new `tail`.
            match ring.head.compare_exchange_weak(head.0, head.changed(0), Release, Relaxed) {
                // SAFETY: from `into_raw` in `push`; since the CAS no one else takes it (module docs).
                Ok(_) => return Some(unsafe { E::from_raw(element) }),
                Err(now) => head = Head(now),
            }
        }
        // A thief has it, who had read the old `tail`, and nothing waits.
        // ORDERING: Relaxed; who reads it finds nothing, or fails with its CAS of an older `head`.
        ring.tail.store(tail, Relaxed);
        None
    }

    /// Takes the older half out, to make room; empty if the ring is empty.
    pub(crate) fn pop_half(&mut self) -> Vec<E> {
        let half = self.len().div_ceil(2);
        iter::from_fn(|| self.pop()).take(half).collect()
    }

    /// Where the element after the `count` oldest lies, if it is there still; only to be fetched into the cache.
    pub(crate) fn after(&self, count: u64) -> Option<*const E::Target> {
        let ring = &self.0;
        // ORDERING: Relaxed; a hint.
        let head = Head(ring.head.load(Relaxed));
        // ORDERING: Relaxed; only this end writes `tail`.
        let tail = ring.tail.load(Relaxed);
        // ORDERING: Relaxed; this end wrote the slot itself.
        (head.waiting(tail) as u64 > count).then(|| ring.slot(head.0 + count).load(Relaxed).cast_const())
    }

    /// How many it holds; a hint.
    pub(crate) fn len(&self) -> usize {
        len(&self.0)
    }
}

impl<E: Element> Stealer<E> {
    /// Moves the older half of the ring, `MOST_STOLEN` at most, to `into`, which must be empty but for what is moved, and gives one of the
    /// moved elements to run at once. Returns it and how many were taken in all.
    pub(crate) fn steal(&self, into: &mut Local<E>) -> Option<(E, usize)> {
        let ring = &self.0;
        let mut taken = [ptr::null_mut(); MOST_STOLEN];
        // ORDERING: Acquire; pairs with the Release in `pop_last`: what that took is not below the `tail` read next. All other
        // changes of `head` are read-modify-writes, and continue its release sequence.
        let mut head = Head(ring.head.load(Acquire));
        let count = loop {
            // ORDERING: Acquire; pairs with the Release in `push`: the slots below `tail` are written.
            let tail = ring.tail.load(Acquire);
            let waiting = head.waiting(tail);
            let count = waiting.div_ceil(2).min(MOST_STOLEN);
            // More than a ring: one of the two was an old one, for others are at work here. There will be another round.
            if count == 0 || waiting > CAPACITY {
                return None;
            }
            for (slot, at) in taken.iter_mut().zip(head.0..).take(count) {
                // ORDERING: Relaxed; ordered after the load of `tail`, and void if the CAS fails.
                *slot = ring.slot(at).load(Relaxed);
            }
            // ORDERING: Release; pairs with the Acquire of `head` in `push`: the copies come before the slots' reuse. No
            // model sees it: in loom no load reads a store that comes later. Acquire on failure, as the first load.
            match ring.head.compare_exchange_weak(head.0, head.changed(count as u64), Release, Acquire) {
                Ok(_) => break count,
                Err(now) => head = Head(now),
            }
        };
        let mut elements = taken[..count].iter().map(|&element| {
            // SAFETY: from `into_raw` in `push`; the CAS gave these counts to us alone.
            unsafe { E::from_raw(element) }
        });
        let first = elements.next().expect("at least one was taken");
        for element in elements {
            assert!(into.push(element).is_ok(), "what is stolen at a time fits into an empty ring");
        }
        Some((first, count))
    }

    pub(crate) fn is_empty(&self) -> bool {
        len(&self.0) == 0
    }
}

fn len<E: Element>(ring: &Ring<E>) -> usize {
    // ORDERING: Relaxed; a hint, or read by the owner. Where a thief must not miss what waits, a fence comes before
    // (`Wakeups::released`).
    let head = Head(ring.head.load(Relaxed));
    // ORDERING: Relaxed; as above.
    let tail = ring.tail.load(Relaxed);
    head.waiting(tail).min(CAPACITY)
}

/// A place for one element: what its processor runs next.
pub(crate) struct Slot<E: Element>(AtomicPtr<E::Target>);

// SAFETY: elements may move between threads (`Element`).
unsafe impl<E: Element> Send for Slot<E> {}
// SAFETY: as above; it is an atomic.
unsafe impl<E: Element> Sync for Slot<E> {}

impl<E: Element> Slot<E> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts `element` in and gives back who was there. For the holder of the processor: no one else puts anything in.
    pub(crate) fn put(&self, element: E) -> Option<E> {
        // ORDERING: Relaxed; nothing is read of who may be there. Only this thread puts anything in, so no one stays no
        // one, and the store below overwrites nothing.
        if self.0.load(Relaxed).is_null() {
            // ORDERING: Release; pairs with the Acquire of `take_if`.
            self.0.store(element.into_raw(), Release);
            return None;
        }
        // ORDERING: Release; pairs with the Acquire of `take_if`. Who is taken out was put in by the holder of the
        // processor, this one or one before, from whom the processor came under a lock.
        from_slot(self.0.swap(element.into_raw(), Release))
    }

    /// Takes it out. For the holder of the processor.
    pub(crate) fn take(&self) -> Option<E> {
        // ORDERING: Relaxed; a hint that spares the swap.
        if self.0.load(Relaxed).is_null() {
            return None;
        }
        // ORDERING: Relaxed; as for who is taken out by `put`.
        from_slot(self.0.swap(ptr::null_mut(), Relaxed))
    }

    /// A mark of who is in there now; 0 if no one.
    pub(crate) fn mark(&self) -> usize {
        // ORDERING: Relaxed; only compared, and confirmed by the CAS in `take_if`.
        self.0.load(Relaxed).addr()
    }

    /// Takes it out if it is still the one that `mark` named.
    pub(crate) fn take_if(&self, mark: usize) -> Option<E> {
        // ORDERING: Relaxed; confirmed by the CAS.
        let there = self.0.load(Relaxed);
        if there.is_null() || there.addr() != mark {
            return None;
        }
        // ORDERING: Acquire; pairs with the Release of `put`. Relaxed on failure: nothing is read.
        self.0.compare_exchange(there, ptr::null_mut(), Acquire, Relaxed).ok().and_then(from_slot)
    }
}

impl<E: Element> Drop for Slot<E> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// The element behind a pointer that a swap or CAS took out of a slot.
fn from_slot<E: Element>(element: *mut E::Target) -> Option<E> {
    // SAFETY: slots hold null or a pointer from `into_raw` (`put`); the caller's swap or CAS took it out, so it
    // is the caller's alone.
    (!element.is_null()).then(|| unsafe { E::from_raw(element) })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::thread;

    #[test]
    fn a_ring_is_first_in_first_out() {
        let (mut local, _stealer) = ring();
        for n in 0..10 {
            local.push(Arc::new(n)).unwrap();
        }
        let popped: Vec<i32> = iter::from_fn(|| local.pop()).map(|n| *n).collect();
        assert_eq!(popped, (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_ring_gives_the_element_back() {
        let (mut local, _stealer) = ring();
        for n in 0..CAPACITY {
            local.push(Arc::new(n)).unwrap();
        }
        assert_eq!(*local.push(Arc::new(7)).unwrap_err(), 7);
        assert_eq!(local.pop_half().len(), CAPACITY / 2);
        local.push(Arc::new(7)).unwrap();
    }

    #[test]
    fn a_thief_takes_the_older_half() {
        let (mut local, stealer) = ring();
        let (mut mine, _) = ring();
        for n in 0..9 {
            local.push(Arc::new(n)).unwrap();
        }
        let (first, count) = stealer.steal(&mut mine).unwrap();
        assert_eq!((*first, count, mine.len(), local.len()), (0, 5, 4, 4));
        assert_eq!(*local.pop().unwrap(), 5);
    }

    #[test]
    fn the_last_is_taken_back_if_it_is_the_one_that_is_meant() {
        let (mut local, stealer) = ring();
        let (mut mine, _) = ring();
        let elements = [0, 1, 2].map(Arc::new);
        let address = |n: usize| Arc::as_ptr(&elements[n]).addr();
        for element in &elements {
            local.push(Arc::clone(element)).unwrap();
        }
        assert!(local.pop_last(address(1)).is_none(), "another one came after it");
        assert_eq!(*local.pop_last(address(2)).unwrap(), 2);
        assert_eq!(*stealer.steal(&mut mine).unwrap().0, 0);
        assert_eq!(*local.pop_last(address(1)).unwrap(), 1, "also if it is the only one");
        assert!(local.pop_last(address(0)).is_none());
        assert_eq!((local.len(), elements.map(|element| Arc::strong_count(&element))), (0, [1, 1, 1]));
    }

    #[test]
    fn a_head_goes_round_many_times() {
        let (mut local, stealer) = ring();
        let (mut mine, _) = ring();
        for n in 0..5 * CAPACITY {
            local.push(Arc::new(n)).unwrap();
            local.push(Arc::new(n)).unwrap();
            let taken = if n % 2 == 0 { local.pop().unwrap() } else { stealer.steal(&mut mine).unwrap().0 };
            assert_eq!(*taken, n);
            let last = local.pop().unwrap();
            assert_eq!((*last, local.len()), (n, 0));
        }
    }

    #[test]
    fn a_dropped_ring_drops_what_waits_in_it() {
        let element = Arc::new(1);
        let (mut local, stealer) = ring();
        local.push(Arc::clone(&element)).unwrap();
        drop((local, stealer));
        assert_eq!(Arc::strong_count(&element), 1);
    }

    #[test]
    fn each_element_comes_out_once_with_thieves_at_work() {
        const ELEMENTS: usize = if cfg!(miri) { 300 } else { 20_000 };
        let (mut local, stealer) = ring::<Arc<usize>>();
        let done = Arc::new(AtomicU64::new(0));
        let thief = {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                let (mut mine, _) = ring::<Arc<usize>>();
                let mut got = Vec::new();
                // ORDERING: Acquire; pairs with the Release at the end of the test: all was pushed.
                while done.load(Acquire) == 0 || !stealer.is_empty() {
                    if let Some((first, _)) = stealer.steal(&mut mine) {
                        got.push(*first);
                        got.extend(iter::from_fn(|| mine.pop()).map(|n| *n));
                    }
                }
                got
            })
        };
        let mut got = Vec::new();
        for n in 0..ELEMENTS {
            let mut element = Arc::new(n);
            let address = Arc::as_ptr(&element).addr();
            while let Err(back) = local.push(element) {
                element = back;
                got.extend(local.pop().map(|n| *n));
            }
            if n % 3 == 0 {
                got.extend(local.pop_last(address).map(|n| *n));
            }
        }
        // ORDERING: Release; pairs with the thief's Acquire.
        done.store(1, Release);
        got.extend(thief.join().unwrap());
        got.extend(iter::from_fn(|| local.pop()).map(|n| *n));
        assert_eq!(got.len(), ELEMENTS);
        assert_eq!(got.into_iter().collect::<HashSet<_>>().len(), ELEMENTS);
    }

    #[test]
    fn a_slot_gives_back_who_was_there_and_is_taken_once() {
        let slot = Slot::new();
        assert!(slot.put(Arc::new(1)).is_none());
        let mark = slot.mark();
        assert_eq!(*slot.put(Arc::new(2)).unwrap(), 1);
        let _kept = mark;
        assert_eq!(*slot.take_if(slot.mark()).unwrap(), 2);
        assert!(slot.take().is_none());
        assert!(slot.take_if(0).is_none());
    }
}
