//! A first-in, first-out list of waiters that anyone in it can leave in constant time.
//!
//! ```text
//!            push                 pop_front
//! (nothing) ──────▶ queued, seated ────────▶ seated ──remove──▶ (nothing)
//!                        └────────────remove──────────────────────▲
//! ```
//! Whoever serves a waiter takes it out of the queue (`pop_front`) but leaves its entry in its seat, where the waiter
//! finds what it was given. Only the waiter gives the seat up (`remove`, which takes the `Key` that cannot be cloned),
//! so a key never names another waiter's seat. Seats are used again: a list that has seen its longest queue allocates
//! no more.

/// No seat.
const NONE: usize = usize::MAX;

/// The right to one seat.
#[derive(Debug)]
pub(crate) struct Key(usize);

#[derive(Debug)]
struct Seat<E> {
    /// `None` while the seat is free.
    entry: Option<E>,
    is_queued: bool,
    prev: usize,
    /// The next in the queue, or the next free seat.
    next: usize,
}

#[derive(Debug)]
pub(crate) struct WaitList<E> {
    seats: Vec<Seat<E>>,
    free: usize,
    head: usize,
    tail: usize,
}

impl<E> WaitList<E> {
    pub(crate) const fn new() -> Self {
        Self { seats: Vec::new(), free: NONE, head: NONE, tail: NONE }
    }

    /// Whether nobody is queued (some may still be seated).
    pub(crate) fn is_empty(&self) -> bool {
        self.head == NONE
    }

    pub(crate) fn push_back(&mut self, entry: E) -> Key {
        let seat = self.sit(entry);
        self.link(self.tail, seat, NONE);
        Key(seat)
    }

    pub(crate) fn push_front(&mut self, entry: E) -> Key {
        let seat = self.sit(entry);
        self.link(NONE, seat, self.head);
        Key(seat)
    }

    /// Takes the first out of the queue; its entry stays in its seat.
    pub(crate) fn pop_front(&mut self) -> Option<&mut E> {
        self.pop_first(|_| true)
    }

    /// Takes the first that `is_wanted` out of the queue; its entry stays in its seat.
    pub(crate) fn pop_first(&mut self, is_wanted: impl Fn(&E) -> bool) -> Option<&mut E> {
        let mut seat = self.head;
        while seat != NONE {
            if is_wanted(self.entry(seat)) {
                self.unlink(seat);
                return self.seats[seat].entry.as_mut();
            }
            seat = self.seats[seat].next;
        }
        None
    }

    /// The first in the queue.
    pub(crate) fn front(&self) -> Option<&E> {
        self.iter().next()
    }

    /// The queued, first come first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &E> {
        let mut seat = self.head;
        std::iter::from_fn(move || {
            let at = (seat != NONE).then_some(seat)?;
            seat = self.seats[at].next;
            self.seats[at].entry.as_ref()
        })
    }

    /// The entry of a seat, queued or not.
    pub(crate) fn get(&self, key: &Key) -> &E {
        self.entry(key.0)
    }

    /// Gives the seat up, and the place in the queue if it still had one.
    pub(crate) fn remove(&mut self, key: Key) -> E {
        let Key(seat) = key;
        if self.seats[seat].is_queued {
            self.unlink(seat);
        }
        self.seats[seat].next = self.free;
        self.free = seat;
        self.seats[seat].entry.take().expect("a key's seat is taken until the key is given up")
    }

    fn entry(&self, seat: usize) -> &E {
        self.seats[seat].entry.as_ref().expect("a queued or keyed seat is taken")
    }

    fn sit(&mut self, entry: E) -> usize {
        let taken = Seat { entry: Some(entry), is_queued: false, prev: NONE, next: NONE };
        let seat = self.free;
        if seat == NONE {
            self.seats.push(taken);
            return self.seats.len() - 1;
        }
        self.free = self.seats[seat].next;
        self.seats[seat] = taken;
        seat
    }

    fn link(&mut self, prev: usize, seat: usize, next: usize) {
        self.seats[seat].is_queued = true;
        self.join(prev, seat);
        self.join(seat, next);
    }

    fn unlink(&mut self, seat: usize) {
        let Seat { prev, next, .. } = self.seats[seat];
        self.seats[seat].is_queued = false;
        self.join(prev, next);
    }

    /// Makes `next` follow `prev`; `NONE` is the end of the queue on either side.
    fn join(&mut self, prev: usize, next: usize) {
        match prev {
            NONE => self.head = next,
            _ => self.seats[prev].next = next,
        }
        match next {
            NONE => self.tail = prev,
            _ => self.seats[next].prev = prev,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn the_first_in_is_the_first_out() {
        let mut list = WaitList::new();
        let keys: Vec<Key> = (0..3).map(|n| list.push_back(n)).collect();
        assert_eq!(list.iter().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(list.pop_front(), Some(&mut 0));
        assert_eq!(list.pop_first(|n| *n == 2), Some(&mut 2));
        assert_eq!(keys.into_iter().map(|key| list.remove(key)).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(list.is_empty());
    }

    #[test]
    fn what_is_given_waits_in_the_seat() {
        let mut list = WaitList::new();
        let key = list.push_back("waiting");
        *list.pop_front().unwrap() = "given";
        let other = list.push_back("other");
        assert_eq!(*list.get(&key), "given");
        assert_eq!(list.remove(key), "given");
        assert_eq!(list.remove(other), "other");
    }

    #[test]
    fn seats_are_used_again() {
        let mut list = WaitList::new();
        for n in 0..100 {
            let key = list.push_back(n);
            assert_eq!(list.remove(key), n);
        }
        assert_eq!(list.seats.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The list behaves as a `VecDeque` whose members can leave from the middle.
        #[test]
        fn it_is_a_queue_that_can_be_left(steps in proptest::collection::vec((0..5_u8, any::<usize>()), 0..80)) {
            let mut list = WaitList::new();
            let mut keys: Vec<(u64, Key)> = Vec::new();
            let mut model: VecDeque<u64> = VecDeque::new();
            for (n, (step, pick)) in (0_u64..).zip(steps) {
                match step {
                    0 | 1 => {
                        keys.push((n, list.push_back(n)));
                        model.push_back(n);
                    }
                    2 => {
                        keys.push((n, list.push_front(n)));
                        model.push_front(n);
                    }
                    3 => prop_assert_eq!(list.pop_front().copied(), model.pop_front()),
                    _ if keys.is_empty() => {}
                    _ => {
                        let (name, key) = keys.swap_remove(pick % keys.len());
                        prop_assert_eq!(list.remove(key), name);
                        model.retain(|other| *other != name);
                    }
                }
                prop_assert!(list.iter().eq(model.iter()));
                prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
