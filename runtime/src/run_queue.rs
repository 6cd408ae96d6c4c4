//! What waits for a processor, as its holder sees it.
//!
//! While there is one processor only, no one can steal, and so the queue is *private*: plain memory, no atomic
//! operation, no limit. As soon as there are more it is *shared*: the ring and the slot of the `Processor`.
//!
//! The holder itself changes between the two, when it next looks for work after their number has changed. So no one else
//! ever touches the private part, and there is nothing to agree on. Until then the others find nothing to steal here, and
//! go to sleep; the holder then shares what it has, and wakes one of them.
//!
//! What came from outside and would wait for long, and a few of the global queue at each look, is *urgent*: it waits in a ring of its own, shared always, ahead of the
//! others.
//!
//! Measured (bench `yield_switch_2`, one processor): a pop from the ring is one compare-and-swap, 7 of 40 ns.

use crate::goroutine::{GoroutineRef, Runnable};
use crate::prefetch::prefetch;
use crate::primitives::Arc;
use crate::private_queue::PrivateQueue;
use crate::processor::{Ends, Processor};
use crate::queue::{CAPACITY, Local};
use std::iter;

/// How many must wait for what they touch not to be in the cache any more when it is their turn.
const MANY: usize = 4096;

/// How far ahead of its turn a goroutine's header is fetched into the cache then, and its stack: one line and two, since more than
/// is needed costs as much as too late. With 100,000 that yield this takes a yield from 147 ns to 60, and to 81 with two lines and
/// four; with 1000, whose lines are in the second-level cache, it would cost 1 ns. Distances of 16 and 8, or 6 and 3, are no different.
const FAR: usize = 8;
const NEAR: usize = 4;

/// How far ahead of its turn the header of one in the ring is, where another processor may have written it.
const RING_AHEAD: u64 = 4;

/// The holder's end of a processor's queue.
pub(crate) struct RunQueue {
    processor: Arc<Processor>,
    ring: Local<Runnable>,
    urgent: Local<Runnable>,
    /// Whether `next` and `queue` are used, and not `processor.next` and `ring`.
    is_private: bool,
    next: Option<Runnable>,
    queue: PrivateQueue,
}

impl RunQueue {
    pub(crate) fn new(processor: Arc<Processor>, (ring, urgent): Ends) -> Self {
        Self { processor, ring, urgent, is_private: false, next: None, queue: PrivateQueue::default() }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.is_private
    }

    /// Makes it private or shared. What does not fit into the ring is returned, and must go to the global queue.
    #[cold]
    pub(crate) fn set_private(&mut self, is_private: bool) -> Vec<Runnable> {
        if is_private == self.is_private {
            return Vec::new();
        }
        self.is_private = is_private;
        if is_private {
            // Room beforehand: where memory has run out, a few thousand can still be queued.
            self.queue.reserve(CAPACITY);
            self.next = self.processor.next.take();
            self.queue.extend(iter::from_fn(|| self.ring.pop()));
            self.processor.set_has_private(self.next.is_some() || !self.queue.is_empty());
            return Vec::new();
        }
        self.processor.set_has_private(false);
        if let Some(next) = self.next.take() {
            let before = self.processor.next.put(next);
            debug_assert!(before.is_none(), "emptied when the queue became private");
        }
        let mut overflow = Vec::new();
        while let Some(runnable) = self.queue.pop() {
            overflow.extend(self.ring.push(runnable).err());
        }
        overflow
    }

    /// Whether no one is to run next, in a private queue.
    #[inline(always)]
    pub(crate) fn has_no_private_next(&self) -> bool {
        self.next.is_none()
    }

    /// Queues `runnable` to run next; gives back who was to.
    #[inline(always)]
    pub(crate) fn put_next(&mut self, runnable: Runnable) -> Option<Runnable> {
        if !self.is_private {
            return self.processor.next.put(runnable);
        }
        self.processor.set_has_private(true);
        self.next.replace(runnable)
    }

    /// Who was queued to run next.
    #[inline(always)]
    pub(crate) fn take_next(&mut self) -> Option<Runnable> {
        if !self.is_private {
            return self.processor.next.take();
        }
        let next = self.next.take()?;
        if self.queue.is_empty() {
            self.processor.set_has_private(false);
        }
        Some(next)
    }

    /// Queues `runnable` at the end, or gives it back if the ring is full.
    pub(crate) fn push(&mut self, runnable: Runnable) -> Result<(), Runnable> {
        if self.is_private {
            self.push_private(runnable);
            return Ok(());
        }
        self.ring.push(runnable)
    }

    /// Queues `runnable` at the end of the private queue.
    #[inline(always)]
    pub(crate) fn push_private(&mut self, runnable: Runnable) {
        if self.queue.is_empty() {
            self.processor.set_has_private(true);
        }
        self.queue.push(runnable);
    }

    /// Queues `runnable` ahead of the others, or gives it back if there is no room.
    pub(crate) fn push_urgent(&mut self, runnable: Runnable) -> Result<(), Runnable> {
        self.urgent.push(runnable)
    }

    /// Takes the oldest of those ahead of the others.
    pub(crate) fn pop_urgent(&mut self) -> Option<Runnable> {
        self.urgent.pop()
    }

    /// Takes the oldest, next aside; an urgent one if there is no other.
    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        self.pop_usual().or_else(|| self.urgent.pop())
    }

    /// Takes the oldest of the ring, or of the private queue.
    #[inline(always)]
    pub(crate) fn pop_usual(&mut self) -> Option<Runnable> {
        if !self.is_private {
            if let Some(later) = self.ring.after(RING_AHEAD) {
                prefetch(later.cast(), 1);
            }
            return self.ring.pop();
        }
        self.prefetch();
        let oldest = self.queue.pop()?;
        if self.queue.is_empty() && self.next.is_none() {
            self.processor.set_has_private(false);
        }
        Some(oldest)
    }

    /// Fetches those whose turn comes soon, where many wait.
    #[inline(always)]
    fn prefetch(&self) {
        if self.queue.len() > MANY {
            self.prefetch_soon();
        }
    }

    #[cold]
    fn prefetch_soon(&self) {
        let _ = self.queue.get(FAR).map(Runnable::prefetch);
        let _ = self.queue.get(NEAR).map(Runnable::prefetch_stack);
    }

    /// Queues `runnable` at the end of the private queue, and takes the oldest, if that may run on any thread; else gives it back.
    /// No one may be next.
    #[inline(always)]
    pub(crate) fn rotate(&mut self, runnable: Runnable) -> Result<Runnable, Runnable> {
        if self.next.is_some() {
            return Err(runnable);
        }
        self.prefetch();
        self.queue.rotate(runnable, |first| first.ties.is_free())
    }

    /// Takes the older half out of the ring, to make room.
    pub(crate) fn pop_half(&mut self) -> Vec<Runnable> {
        self.ring.pop_half()
    }

    /// Moves half of what is urgent at another processor, else half of its ring, here, and gives one of them to run at once and the number of all.
    pub(crate) fn steal_from(&mut self, victim: &Processor) -> Option<(Runnable, usize)> {
        victim.urgent.steal(&mut self.ring).or_else(|| victim.queue.steal(&mut self.ring))
    }

    /// How many wait, next and urgent ones aside.
    pub(crate) fn len(&self) -> usize {
        if self.is_private { self.queue.len() } else { self.ring.len() }
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        if self.is_private {
            return self.next.is_none() && self.queue.is_empty() && self.processor.urgent.is_empty();
        }
        self.processor.is_empty()
    }

    /// Whether nothing waits but who is next.
    pub(crate) fn has_only_next(&self) -> bool {
        let has_others =
            if self.is_private { !self.queue.is_empty() } else { !self.processor.queue.is_empty() };
        !has_others && self.processor.urgent.is_empty()
    }

    /// Lets `goroutine` run next if it was queued last and no one is to run next. Returns whether it does.
    pub(crate) fn bring_forward(&mut self, goroutine: GoroutineRef) -> bool {
        if self.is_private {
            let is_last = self.queue.last().is_some_and(|last| last.goroutine() == goroutine);
            if is_last && self.next.is_none() {
                self.next = self.queue.pop_last();
            }
            return self.next.as_ref().is_some_and(|next| next.goroutine() == goroutine);
        }
        if self.processor.next.mark() == 0
            && let Some(last) = self.ring.pop_last(goroutine.mark())
        {
            let before = self.processor.next.put(last);
            debug_assert!(before.is_none(), "only the holder puts someone in");
        }
        self.processor.next.mark() == goroutine.mark()
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Runnable> {
        let next = self.take_next();
        next.into_iter().chain(iter::from_fn(|| self.pop())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};
    use std::panic::Location;

    fn runnable(runtime: &Runtime, id: u64) -> Runnable {
        let stack = stack::acquire(Class::DEFAULT).unwrap();
        Runnable::new(Birth { id, site: Location::caller(), pinned: false }, runtime, stack, || ())
    }

    fn ids(taken: impl IntoIterator<Item = Runnable>) -> Vec<u64> {
        taken.into_iter().map(|runnable| runnable.id()).collect()
    }

    #[test]
    fn the_order_stays_when_it_is_made_private_and_shared() {
        let runtime = Runtime::new(1).unwrap();
        let (processor, ring) = Processor::new(0);
        let processor = Arc::new(processor);
        let mut queue = RunQueue::new(Arc::clone(&processor), ring);
        for id in 1..=3 {
            queue.push(runnable(&runtime, id)).unwrap();
        }
        assert!(queue.put_next(runnable(&runtime, 4)).is_none());
        assert!(queue.set_private(true).is_empty());
        assert!(processor.is_empty() && !queue.is_empty(), "no one else sees it");
        let kicked = queue.put_next(runnable(&runtime, 5)).unwrap();
        assert_eq!(kicked.id(), 4);
        queue.push(kicked).unwrap();
        assert!(queue.set_private(false).is_empty());
        assert!(!processor.is_empty());
        assert_eq!(ids(queue.drain()), [5, 1, 2, 3, 4]);
        std::mem::forget(runtime);
    }

    #[test]
    fn who_was_queued_last_is_brought_forward() {
        let runtime = Runtime::new(1).unwrap();
        let (processor, ring) = Processor::new(0);
        let mut queue = RunQueue::new(Arc::new(processor), ring);
        for is_private in [false, true] {
            queue.set_private(is_private);
            let all = [1, 2, 3].map(|id| runnable(&runtime, id));
            let [first, second, third] = all.each_ref().map(Runnable::goroutine);
            all.into_iter().for_each(|one| queue.push(one).unwrap());
            assert!(!queue.bring_forward(first), "two came later");
            assert!(queue.bring_forward(third));
            assert!(queue.bring_forward(third), "it is next already");
            assert!(!queue.bring_forward(second), "the third is next");
            assert_eq!(ids(queue.take_next()), [3]);
            assert!(queue.bring_forward(second));
            assert_eq!(ids(queue.drain()), [2, 1]);
        }
        std::mem::forget(runtime);
    }
}
