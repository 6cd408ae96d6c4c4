//! Timed waits: queues of deadlines, each under a lock of its own, with its earliest in the open.
//!
//! A timer names a goroutine and the number of its timed wait. It is cancelled lazily: the goroutine goes on to the next
//! number, and the queue drops void timers when they are due or outnumber the others. Who only sleeps has pledged to wait for its
//! timer alone (`park.rs`), and neither has a number nor cancels.
//!
//! A processor adds to the queue that its index gives, and whoever looks takes what is due from all. So processors do not
//! meet at a lock when they add, and no queue belongs to a processor: one that goes out of use leaves nothing behind.

use crate::earliest::Earliest;
pub(crate) use crate::earliest::NEVER;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::park::Pledged;
use crate::primitives::Mutex;
use crate::primitives::atomic::Ordering::Relaxed;
use crate::timer_queue::{Timer, TimerQueue, Whom, end_wait};
use std::vec;

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

impl Queue {
    /// As `TimerQueue::take_due`.
    fn take_due(&self, now_ns: u64) -> Vec<Timer> {
        let mut timers = self.timers.lock();
        let due = timers.take_due(now_ns);
        self.earliest.publish(timers.earliest_ns());
        due
    }
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
        (wait, self.put(index, Whom::Waiting(goroutine, epoch), deadline_ns))
    }

    /// As `add`, for one that only this timer wakes: there is nothing to cancel.
    pub(crate) fn add_pledged(&self, index: usize, goroutine: Pledged, deadline_ns: u64) -> bool {
        self.put(index, Whom::Pledged(goroutine), deadline_ns)
    }

    fn put(&self, index: usize, whom: Whom, deadline_ns: u64) -> bool {
        let queue = &self.queues[index % QUEUES];
        let mut timers = queue.timers.lock();
        timers.add(whom, deadline_ns);
        let is_earliest = deadline_ns < queue.earliest.get();
        if is_earliest {
            queue.earliest.publish(deadline_ns);
        }
        is_earliest
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
        let due = self.queues.iter().filter(|queue| queue.earliest.get() <= now_ns);
        let mut due: Vec<_> = due.map(|queue| queue.take_due(now_ns).into_iter()).collect();
        // Merged as they fire: a sort would take as long as to add them.
        let first = |timers: &&mut vec::IntoIter<Timer>| timers.as_slice().first().map(Timer::order);
        while let Some(timers) = due.iter_mut().filter(|timers| timers.len() > 0).min_by_key(first) {
            if let Some(later) = timers.as_slice().get(FAR) {
                later.prefetch();
            }
            if let Some(timer) = timers.next() {
                timer.fire(ready);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};
    use proptest::prelude::*;

    /// A goroutine that is parked, and never runs; its place is leaked with it.
    fn parked(runtime: &Runtime, id: u64) -> GoroutineRef {
        let birth = Birth { id, site: std::panic::Location::caller(), pinned: false };
        let runnable = Runnable::new(birth, runtime, stack::acquire(Class::DEFAULT).unwrap(), || ());
        let goroutine = runnable.goroutine();
        assert!(runnable.park().is_ok());
        goroutine
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Timers of several queues, in any order: all that are due fire, in order, and no other.
        #[test]
        fn what_is_due_fires_in_order_whatever_queue_it_is_in(
            timers in proptest::collection::vec((0..2 * QUEUES, 1..200_u64), 1..40),
            now_ns in 1..250_u64,
        ) {
            let (runtime, all) = (Runtime::new(1).unwrap(), Timers::new());
            for (id, &(index, deadline_ns)) in (1..).zip(&timers) {
                all.add(index, parked(&runtime, id), deadline_ns);
            }
            let mut ready = Vec::new();
            all.take_due(now_ns, &mut ready);
            let deadline_ns = |id: u64| timers[usize::try_from(id).unwrap() - 1].1;
            let fired: Vec<u64> = ready.iter().map(|runnable| deadline_ns(runnable.id())).collect();
            let mut due: Vec<u64> = timers.iter().map(|timer| timer.1).filter(|at| *at <= now_ns).collect();
            due.sort_unstable();
            prop_assert_eq!(fired, due);
            let later = timers.iter().map(|timer| timer.1).filter(|at| *at > now_ns).min();
            prop_assert_eq!(all.earliest(), later.unwrap_or(NEVER));
            std::mem::forget(runtime);
        }
    }
}
