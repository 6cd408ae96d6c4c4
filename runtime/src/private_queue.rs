//! A queue of goroutines for one thread: a ring that grows.
//!
//! A `VecDeque`, but for two things that a yield needs: `rotate` moves one element in and one out with one look at each field, and an
//! index is masked, not compared.

use crate::goroutine::Runnable;

/// Goroutines, the oldest first.
#[derive(Default)]
pub(crate) struct PrivateQueue {
    /// None, or a power of two.
    slots: Box<[Option<Runnable>]>,
    /// Where the oldest is.
    head: usize,
    len: usize,
}

impl PrivateQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the `index`th oldest is, or would be.
    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        self.head.wrapping_add(index) & self.slots.len().wrapping_sub(1)
    }

    /// The `index`th oldest.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&Runnable> {
        self.slots.get(self.at(index))?.as_ref().filter(|_| index < self.len)
    }

    /// The one that was queued last.
    pub(crate) fn last(&self) -> Option<&Runnable> {
        self.get(self.len.checked_sub(1)?)
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, runnable: Runnable) {
        if self.len == self.slots.len() {
            self.grow();
        }
        let at = self.at(self.len);
        self.slots[at] = Some(runnable);
        self.len += 1;
    }

    /// Takes the oldest.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        let oldest = self.slots.get_mut(self.head)?.take()?;
        self.head = self.at(1);
        self.len -= 1;
        Some(oldest)
    }

    /// Takes the one that was queued last.
    pub(crate) fn pop_last(&mut self) -> Option<Runnable> {
        let at = self.at(self.len.checked_sub(1)?);
        self.len -= 1;
        self.slots[at].take()
    }

    /// Queues `runnable` and takes the oldest, if there is one that `is_fit`; else gives it back.
    #[inline(always)]
    pub(crate) fn rotate(
        &mut self,
        runnable: Runnable,
        is_fit: impl FnOnce(&Runnable) -> bool,
    ) -> Result<Runnable, Runnable> {
        // In a full queue that is the place that is left here.
        let (end, second) = (self.at(self.len), self.at(1));
        let slots = &mut *self.slots;
        let Some(place) = slots.get_mut(self.head) else { return Err(runnable) };
        let Some(oldest) = place.take() else { return Err(runnable) };
        if !is_fit(&oldest) {
            *place = Some(oldest);
            return Err(runnable);
        }
        slots[end] = Some(runnable);
        self.head = second;
        Ok(oldest)
    }

    #[cold]
    fn grow(&mut self) {
        self.reserve((2 * self.len).max(16));
    }

    /// Makes room for `count` in all.
    pub(crate) fn reserve(&mut self, count: usize) {
        if count <= self.slots.len() {
            return;
        }
        let (len, places) = (self.len, count.next_power_of_two());
        let mut slots: Vec<Option<Runnable>> = Vec::with_capacity(places);
        slots.extend(std::iter::from_fn(|| self.pop()).map(Some));
        slots.resize_with(places, || None);
        *self = Self { slots: slots.into_boxed_slice(), head: 0, len };
    }
}

impl Extend<Runnable> for PrivateQueue {
    fn extend<I: IntoIterator<Item = Runnable>>(&mut self, runnables: I) {
        runnables.into_iter().for_each(|runnable| self.push(runnable));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};
    use std::panic::Location;

    #[test]
    fn whatever_it_holds_comes_out_in_order_and_it_grows_around_its_end() {
        let runtime = Runtime::new(1).unwrap();
        let mut next_id = 0;
        let mut fresh = || {
            next_id += 1;
            let birth = Birth { id: next_id, site: Location::caller(), pinned: false };
            Runnable::new(birth, &runtime, stack::acquire(Class::DEFAULT).unwrap(), || ())
        };
        let mut queue = PrivateQueue::default();
        let mut expected = std::collections::VecDeque::new();
        assert!(queue.pop().is_none() && queue.pop_last().is_none() && queue.get(0).is_none());
        assert!(queue.rotate(fresh(), |_| true).is_err(), "there is no oldest one");
        for step in 0..200_u64 {
            let one = fresh();
            expected.push_back(one.id());
            match step % 7 {
                0..4 => queue.push(one),
                4 if step % 2 == 0 => {
                    queue.push(one);
                    assert_eq!(queue.pop_last().map(|last| last.id()), expected.pop_back());
                }
                4 => {
                    let back = queue.rotate(one, |_| false).expect_err("it is not fit");
                    assert_eq!(Some(back.id()), expected.pop_back());
                }
                _ => {
                    let oldest = queue.rotate(one, |_| true).expect("there is one");
                    assert_eq!(Some(oldest.id()), expected.pop_front());
                }
            }
            assert_eq!(queue.len(), expected.len());
            let ids: Vec<u64> = (0..queue.len()).filter_map(|at| queue.get(at)).map(|one| one.id()).collect();
            assert!(ids.iter().eq(&expected) && queue.last().map(|last| last.id()) == ids.last().copied());
        }
        assert!(std::iter::from_fn(|| queue.pop()).map(|one| one.id()).eq(expected));
        assert!(queue.is_empty());
        std::mem::forget(runtime);
    }
}
