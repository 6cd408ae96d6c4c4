//! What waits for a processor, as its holder sees it.
//!
//! While there is one processor only, no one can steal, and so the queue is *private*: plain memory, no atomic
//! operation, no limit. As soon as there are more it is *shared*: the ring and the slot of the `Processor`.
//!
//! The holder itself changes between the two, when it next looks for work after their number has changed. So no one else
//! ever touches the private part, and there is nothing to agree on. Until then the others find nothing to steal here, and
//! go to sleep; the holder then shares what it has, and wakes one of them.
//!
//! Measured (bench `yield_switch_2`, one processor): a pop from the ring is one compare-and-swap, 7 of 40 ns.

use crate::goroutine::Runnable;
use crate::primitives::Arc;
use crate::processor::Processor;
use crate::queue::Local;
use std::collections::VecDeque;
use std::iter;

/// The holder's end of a processor's queue.
pub(crate) struct RunQueue {
    processor: Arc<Processor>,
    ring: Local<Runnable>,
    /// Whether `next` and `queue` are used, and not `processor.next` and `ring`.
    is_private: bool,
    next: Option<Runnable>,
    queue: VecDeque<Runnable>,
}

impl RunQueue {
    pub(crate) fn new(processor: Arc<Processor>, ring: Local<Runnable>) -> Self {
        Self { processor, ring, is_private: false, next: None, queue: VecDeque::new() }
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
            self.next = self.processor.next.take();
            self.queue.extend(iter::from_fn(|| self.ring.pop()));
            return Vec::new();
        }
        if let Some(next) = self.next.take() {
            let before = self.processor.next.put(next);
            debug_assert!(before.is_none(), "emptied when the queue became private");
        }
        let mut overflow = Vec::new();
        for runnable in std::mem::take(&mut self.queue) {
            overflow.extend(self.ring.push(runnable).err());
        }
        overflow
    }

    /// Queues `runnable` to run next; gives back who was to.
    pub(crate) fn put_next(&mut self, runnable: Runnable) -> Option<Runnable> {
        if self.is_private { self.next.replace(runnable) } else { self.processor.next.put(runnable) }
    }

    /// Who was queued to run next.
    pub(crate) fn take_next(&mut self) -> Option<Runnable> {
        if self.is_private { self.next.take() } else { self.processor.next.take() }
    }

    /// Queues `runnable` at the end, or gives it back if the ring is full.
    pub(crate) fn push(&mut self, runnable: Runnable) -> Result<(), Runnable> {
        if self.is_private {
            self.queue.push_back(runnable);
            return Ok(());
        }
        self.ring.push(runnable)
    }

    /// Takes the oldest, next aside.
    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        if self.is_private { self.queue.pop_front() } else { self.ring.pop() }
    }

    /// Takes the older half out of the ring, to make room.
    pub(crate) fn pop_half(&mut self) -> Vec<Runnable> {
        self.ring.pop_half()
    }

    /// Moves half of another processor's ring here, and gives one of them to run at once and the number of all.
    pub(crate) fn steal_from(&mut self, victim: &Processor) -> Option<(Runnable, usize)> {
        victim.queue.steal(&mut self.ring)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        if self.is_private {
            return self.next.is_none() && self.queue.is_empty();
        }
        self.processor.is_empty()
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> Vec<Runnable> {
        let next = self.take_next();
        next.into_iter().chain(iter::from_fn(|| self.pop())).collect()
    }
}
