//! Deadlines in order: for one thread at a time.
//!
//! Most programs set timers of few lengths, over and over: then each timer of a length is due after all earlier ones of
//! that length. So timers are kept in a few *runs*, each in order. A timer goes to the end of the run that ends latest
//! before it; if it is before the end of all, it starts one; if there is no room for one more, it goes to a heap. 100 000
//! sleeps of the same length are one run: added and taken in 10 ns each, where a heap of that size takes 150 to 200.

use crate::earliest::NEVER;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::park::Pledged;
use crate::primitives::atomic::Ordering::{AcqRel, Relaxed};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

/// Runs at most: as many lengths are as cheap as one. Each is looked at whenever a timer is added.
const RUNS: usize = 8;

/// Void timers below this number are not worth a sweep. Guess.
const VOID_KEPT: usize = 64;

/// An empty run keeps room for so many timers.
const ROOM_KEPT: usize = 1024;

/// A timer: whom to unpark when, unless that one's wait is over by then.
#[derive(Debug)]
pub(crate) struct Timer {
    /// Nanoseconds of the runtime's clock.
    pub(crate) deadline_ns: u64,
    /// Equal deadlines are due in the order of their timers.
    number: u64,
    whom: Whom,
}

/// Whom a timer wakes.
#[derive(Debug)]
pub(crate) enum Whom {
    /// This one, if it is still in its timed wait of that number.
    Waiting(GoroutineRef, u64),
    /// One that waits for nothing else.
    Pledged(Pledged),
}

impl Timer {
    /// Timers are due in this order.
    pub(crate) fn order(&self) -> (u64, u64) {
        (self.deadline_ns, self.number)
    }

    /// Ends the wait that it belongs to, if that has not ended; who must be queued is added to `ready`.
    pub(crate) fn fire(self, ready: &mut Vec<Runnable>) {
        match self.whom {
            Whom::Pledged(goroutine) => ready.push(goroutine.go_on()),
            Whom::Waiting(goroutine, epoch) if end_wait(goroutine, epoch) => goroutine.unpark_into(ready),
            Whom::Waiting(..) => {}
        }
    }

    /// Fetches what `fire` looks at into the cache.
    pub(crate) fn prefetch(&self) {
        let goroutine = match &self.whom {
            Whom::Waiting(goroutine, _) => *goroutine,
            Whom::Pledged(pledged) => pledged.goroutine(),
        };
        goroutine.prefetch();
    }

    fn is_void(&self) -> bool {
        // ORDERING: Relaxed; a hint, `end_wait` decides.
        matches!(&self.whom, Whom::Waiting(goroutine, epoch) if goroutine.timer_epoch.load(Relaxed) != *epoch)
    }
}

/// Ends the wait of that number; `false` if it has ended already.
pub(crate) fn end_wait(goroutine: GoroutineRef, epoch: u64) -> bool {
    // ORDERING: AcqRel; orders nothing but the epoch itself, which the goroutine and the timer race for.
    goroutine.timer_epoch.compare_exchange(epoch, epoch + 1, AcqRel, Relaxed).is_ok()
}

impl Ord for Timer {
    /// The earliest is the greatest: the heap has the greatest at its top.
    fn cmp(&self, other: &Self) -> Ordering {
        other.order().cmp(&self.order())
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

/// See the module docs.
#[derive(Default)]
pub(crate) struct TimerQueue {
    runs: [VecDeque<Timer>; RUNS],
    heap: BinaryHeap<Timer>,
    /// Timers that are void, about.
    void: usize,
    added: u64,
}

impl TimerQueue {
    /// Adds a timer.
    pub(crate) fn add(&mut self, whom: Whom, deadline_ns: u64) {
        let timer = Timer { deadline_ns, number: self.added, whom };
        self.added += 1;
        match self.run_for(deadline_ns) {
            Some(run) => self.runs[run].push_back(timer),
            None => self.heap.push(timer),
        }
    }

    /// The run to whose end a timer fits: the one that ends latest, else an empty one.
    fn run_for(&self, deadline_ns: u64) -> Option<usize> {
        let ends = self.runs.iter().map(|run| run.back().map_or(0, |last| last.deadline_ns));
        let fitting = ends.enumerate().filter(|(_, end)| *end <= deadline_ns);
        fitting.max_by_key(|(index, end)| (*end, RUNS - index)).map(|(index, _)| index)
    }

    /// When the earliest timer is due; `NEVER` without one. It may be void.
    pub(crate) fn earliest_ns(&self) -> u64 {
        let firsts = self.runs.iter().map(VecDeque::front).chain([self.heap.peek()]);
        firsts.flatten().map(|timer| timer.deadline_ns).min().unwrap_or(NEVER)
    }

    /// Takes out all timers that are due at `now_ns`, in order.
    pub(crate) fn take_due(&mut self, now_ns: u64) -> Vec<Timer> {
        let mut due = Vec::new();
        for run in &mut self.runs {
            while run.front().is_some_and(|timer| timer.deadline_ns <= now_ns) {
                due.extend(run.pop_front());
            }
            if run.is_empty() && run.capacity() > ROOM_KEPT {
                run.shrink_to(ROOM_KEPT);
            }
        }
        while self.heap.peek().is_some_and(|timer| timer.deadline_ns <= now_ns) {
            due.extend(self.heap.pop());
        }
        // Mostly of one run, which is only looked over.
        due.sort_by_key(Timer::order);
        if self.void > 0 {
            let void = due.iter().filter(|timer| timer.is_void()).count();
            self.void = self.void.saturating_sub(void);
        }
        due
    }

    /// Notes that a timer has become void. Sweeps them out if they outnumber the others, and says whether it did.
    pub(crate) fn note_void(&mut self) -> bool {
        self.void += 1;
        if self.void <= VOID_KEPT || self.void * 2 <= self.len() {
            return false;
        }
        for run in &mut self.runs {
            run.retain(|timer| !timer.is_void());
        }
        self.heap.retain(|timer| !timer.is_void());
        self.void = 0;
        true
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(VecDeque::len).sum::<usize>() + self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::{Birth, Runnable};
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};
    use proptest::prelude::*;

    /// A goroutine that never runs; its place is leaked with it.
    fn goroutine() -> GoroutineRef {
        let runtime = Runtime::new(1).unwrap();
        let birth = Birth { id: 1, site: std::panic::Location::caller(), pinned: false };
        Runnable::new(birth, &runtime, stack::acquire(Class::DEFAULT).unwrap(), || ()).goroutine()
    }

    fn take(queue: &mut TimerQueue, now_ns: u64) -> Vec<(u64, u64)> {
        queue.take_due(now_ns).iter().map(|timer| (timer.deadline_ns, timer.number)).collect()
    }

    #[test]
    fn timers_of_few_lengths_need_no_heap() {
        let (mut queue, who) = (TimerQueue::default(), goroutine());
        for now in 0..100 {
            for length in [5, 1_000, 70] {
                queue.add(Whom::Waiting(who, 0), now + length);
            }
        }
        assert!(queue.heap.is_empty());
        assert_eq!(queue.earliest_ns(), 5);
        assert_eq!(take(&mut queue, 6).len(), 2);
        assert_eq!(queue.len(), 298);
    }

    #[test]
    fn void_timers_are_swept_out_when_they_outnumber_the_others() {
        let (mut queue, who) = (TimerQueue::default(), goroutine());
        let live = goroutine();
        // ORDERING: Relaxed; one thread. Not 0: someone may have been in that place before.
        let epoch = |goroutine: GoroutineRef| goroutine.timer_epoch.load(Relaxed);
        for deadline_ns in (0..200).rev() {
            let whose = if deadline_ns % 4 == 0 { live } else { who };
            queue.add(Whom::Waiting(whose, epoch(whose)), deadline_ns);
        }
        assert!(end_wait(who, epoch(who)));
        assert_eq!((0..150).filter(|_| queue.note_void()).count(), 1);
        assert_eq!((queue.len(), queue.earliest_ns()), (50, 0));
        assert_eq!(take(&mut queue, 1_000).len(), 50);
        assert_eq!(queue.earliest_ns(), NEVER);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is added and taken: what comes out is what a sorted list would give.
        #[test]
        fn what_is_due_comes_out_once_and_in_order(steps in proptest::collection::vec((0..3_u8, 0..500_u64), 1..200)) {
            let (mut queue, who) = (TimerQueue::default(), goroutine());
            let mut model: Vec<(u64, u64)> = Vec::new();
            let (mut now_ns, mut number) = (0, 0);
            for (kind, value) in steps {
                if kind == 0 {
                    now_ns += value / 10;
                    let mut expected: Vec<_> = model.extract_if(.., |(deadline_ns, _)| *deadline_ns <= now_ns).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(take(&mut queue, now_ns), expected);
                } else {
                    queue.add(Whom::Waiting(who, 0), now_ns + value);
                    model.push((now_ns + value, number));
                    number += 1;
                }
                prop_assert_eq!(queue.earliest_ns(), model.iter().map(|timer| timer.0).min().unwrap_or(NEVER));
                prop_assert_eq!(queue.len(), model.len());
            }
        }
    }
}
