//! Timed waits: a heap of deadlines under one lock, with the earliest in the open.
//!
//! A timer names a goroutine and the number of its timed wait. It is cancelled lazily: the goroutine goes on to the next
//! number, and the heap drops void timers when they are due or outnumber the others.

use crate::goroutine::{GoroutineRef, Runnable};
use crate::primitives::Mutex;
use crate::primitives::atomic::{
    AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// The deadline of an empty heap.
pub(crate) const NEVER: u64 = u64::MAX;

/// Void timers below this number are not worth a sweep. Guess.
const VOID_KEPT: usize = 64;

/// All timers of a runtime. Deadlines are ns of its clock.
pub(crate) struct Timers {
    heap: Mutex<Heap>,
    earliest: AtomicU64,
}

#[derive(Default)]
struct Heap {
    timers: BinaryHeap<Timer>,
    void: usize,
    added: u64,
}

struct Timer {
    deadline_ns: u64,
    /// Equal deadlines fire in the order of their timers.
    number: u64,
    epoch: u64,
    goroutine: GoroutineRef,
}

impl Ord for Timer {
    /// The earliest is the greatest: the heap has the greatest at its top.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.deadline_ns, other.number).cmp(&(self.deadline_ns, self.number))
    }
}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl Timer {
    /// Ends the timed wait that it belongs to; `false` if that has ended already.
    fn end_wait(&self) -> bool {
        end_wait(self.goroutine, self.epoch)
    }

    fn is_void(&self) -> bool {
        // ORDERING: Relaxed; a hint, `end_wait` decides.
        self.goroutine.timer_epoch.load(Relaxed) != self.epoch
    }
}

fn end_wait(goroutine: GoroutineRef, epoch: u64) -> bool {
    // ORDERING: AcqRel; orders nothing but the epoch itself, which the goroutine and the timer race for.
    goroutine.timer_epoch.compare_exchange(epoch, epoch + 1, AcqRel, Relaxed).is_ok()
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self { heap: Mutex::default(), earliest: AtomicU64::new(NEVER) }
    }

    /// Sets a timer that will unpark `goroutine`, the caller. Returns the number of the wait, for `cancel`, and whether
    /// no timer is due earlier.
    pub(crate) fn add(&self, goroutine: GoroutineRef, deadline_ns: u64) -> (u64, bool) {
        // ORDERING: Relaxed; only timers of waits that are over race with the goroutine for it, and they fail.
        let epoch = goroutine.timer_epoch.load(Relaxed);
        let mut heap = self.heap.lock();
        let number = heap.added;
        heap.added += 1;
        heap.timers.push(Timer { deadline_ns, number, epoch, goroutine });
        // ORDERING: Relaxed; written under the lock.
        let is_earliest = deadline_ns < self.earliest.load(Relaxed);
        if is_earliest {
            // ORDERING: Release; pairs with the Acquire in `earliest`. The race with a poller that goes to sleep is
            // settled by fences, see `poller.rs`.
            self.earliest.store(deadline_ns, Release);
        }
        (epoch, is_earliest)
    }

    /// The goroutine's wait is over, whether its timer fired or not.
    pub(crate) fn cancel(&self, goroutine: GoroutineRef, epoch: u64) {
        if !end_wait(goroutine, epoch) {
            return;
        }
        let mut heap = self.heap.lock();
        heap.void += 1;
        if heap.void > VOID_KEPT && heap.void * 2 > heap.timers.len() {
            heap.timers.retain(|timer| !timer.is_void());
            heap.void = 0;
            self.publish_earliest(&heap);
        }
    }

    /// When the earliest timer is due; `NEVER` without one. It may be void.
    pub(crate) fn earliest(&self) -> u64 {
        // ORDERING: Acquire; pairs with the Release of the stores.
        self.earliest.load(Acquire)
    }

    /// Ends all waits that are due at `now_ns`, in order; the goroutines that must be queued are added to `ready`.
    pub(crate) fn take_due(&self, now_ns: u64, ready: &mut Vec<Runnable>) {
        if self.earliest() > now_ns {
            return;
        }
        let mut due = Vec::new();
        {
            let mut heap = self.heap.lock();
            while heap.timers.peek().is_some_and(|timer| timer.deadline_ns <= now_ns) {
                due.extend(heap.timers.pop());
            }
            let void = due.iter().filter(|timer| timer.is_void()).count();
            heap.void = heap.void.saturating_sub(void);
            self.publish_earliest(&heap);
        }
        for timer in due {
            if timer.end_wait() {
                timer.goroutine.unpark_into(ready);
            }
        }
    }

    /// Drops all timers: the runtime has ended.
    pub(crate) fn clear(&self) {
        self.heap.lock().timers.clear();
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.heap.lock().timers.len()
    }

    fn publish_earliest(&self, heap: &Heap) {
        let earliest = heap.timers.peek().map_or(NEVER, |timer| timer.deadline_ns);
        // ORDERING: Release; pairs with the Acquire in `earliest`. Written under the lock.
        self.earliest.store(earliest, Release);
    }
}
