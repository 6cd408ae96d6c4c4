//! Timed waits: queues of deadlines, each under a lock of its own, with its earliest in the open.
//!
//! A timer names a goroutine and the number of its timed wait. It is cancelled lazily: the goroutine goes on to the next
//! number, and the queue drops void timers when they are due or outnumber the others.
//!
//! A processor adds to the queue that its index gives, and whoever looks takes what is due from all. So processors do not
//! meet at a lock when they add, and no queue belongs to a processor: one that goes out of use leaves nothing behind.

use crate::earliest::Earliest;
pub(crate) use crate::earliest::NEVER;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::timer_queue::{Timer, TimerQueue, end_wait};

/// Queues; a power of two. More processors share. Guess: a look reads a line of each.
const QUEUES: usize = 8;

/// How many goroutines ahead the header is fetched into the cache.
const FAR: usize = 8;

/// All timers of a runtime. Deadlines are ns of its clock.
#[derive(Default)]
pub(crate) struct Timers {
    queues: [Queue; QUEUES],
}

/// One queue, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Queue {
    timers: Mutex<TimerQueue>,
    earliest: Earliest,
}

/// A timed wait under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimedWait {
    epoch: u64,
    queue: usize,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets a timer that will unpark `goroutine`, the caller, which runs on the processor `index`. `deadline_ns` is at least
    /// 1. Returns the wait, for `cancel`, and whether no timer of its queue is due earlier.
    pub(crate) fn add(&self, index: usize, goroutine: GoroutineRef, deadline_ns: u64) -> (TimedWait, bool) {
        // ORDERING: Relaxed; only timers of waits that are over race with the goroutine for it, and they fail.
        let epoch = goroutine.timer_epoch.load(Relaxed);
        let wait = TimedWait { epoch, queue: index % QUEUES };
        let queue = &self.queues[wait.queue];
        let mut timers = queue.timers.lock();
        timers.add(goroutine, epoch, deadline_ns);
        let is_earliest = deadline_ns < queue.earliest.get();
        if is_earliest {
            queue.earliest.publish(deadline_ns);
        }
        (wait, is_earliest)
    }

    /// The goroutine's wait is over, whether its timer fired or not: `false` if it did.
    pub(crate) fn cancel(&self, goroutine: GoroutineRef, wait: TimedWait) -> bool {
        if !end_wait(goroutine, wait.epoch) {
            return false;
        }
        let queue = &self.queues[wait.queue];
        let mut timers = queue.timers.lock();
        if timers.note_void() {
            queue.earliest.publish(timers.earliest_ns());
        }
        true
    }

    /// When the earliest timer is due; `NEVER` without one. It may be void.
    pub(crate) fn earliest(&self) -> u64 {
        self.queues.iter().map(|queue| queue.earliest.get()).min().unwrap_or(NEVER)
    }

    /// Ends all waits that are due at `now_ns`, in order; the goroutines that must be queued are added to `ready`.
    pub(crate) fn take_due(&self, now_ns: u64, ready: &mut Vec<Runnable>) {
        let mut due = Vec::new();
        for queue in &self.queues {
            if queue.earliest.get() <= now_ns {
                let mut timers = queue.timers.lock();
                timers.take_due(now_ns, &mut due);
                queue.earliest.publish(timers.earliest_ns());
            }
        }
        // Made of runs, which this sort merges.
        due.sort_by_key(Timer::order);
        for (place, timer) in due.iter().enumerate() {
            if let Some(later) = due.get(place + FAR) {
                later.prefetch();
            }
            if timer.end_wait() {
                timer.goroutine.unpark_into(ready);
            }
        }
    }

    /// Drops all timers: the runtime has ended.
    pub(crate) fn clear(&self) {
        for queue in &self.queues {
            *queue.timers.lock() = TimerQueue::default();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queues.iter().map(|queue| queue.timers.lock().len()).sum()
    }
}
