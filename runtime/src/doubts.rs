//! Waits that were begun on a guess.
//!
//! Whoever was given as much as it asked for does not know whether there is more, and of what is there the kernel spoke
//! once. To ask takes as long as to read. Where the answer is always no (`net/habit.rs`), the reader waits without having
//! asked, and leaves a *doubt* here: if no event comes for a while, it is woken to ask after all.
//!
//! Doubts are settled at looks, and busy workers look all the time. While a worker sleeps in the poller no one may look for
//! long. So whoever goes to sleep there settles all that there are, and until it wakes no more are accepted:
//!
//! ```text
//! sleeper:  are_refused = true   under the lock   then settle, and only then sleep
//! reader:   read are_refused     under the lock   and add the doubt; or ask
//! ```

use crate::earliest::{Earliest, NEVER};
use crate::primitives::Mutex;
use crate::sources::Mark;
use std::collections::VecDeque;

/// How long a doubt lasts at least, ns of the runtime's clock. With 64 connections at one processor the answer to a message
/// of 64 bytes takes 0.7 ms. Guess.
const LASTS_NS: u64 = 1_000_000;

/// Most doubts of a queue; beyond, readers ask.
const MOST: usize = 4096;

/// Queues; as in `timers.rs`, so that processors do not meet at a lock.
const QUEUES: usize = 8;

/// See the module docs.
#[derive(Default)]
pub(crate) struct Doubts {
    queues: [Queue; QUEUES],
}

/// One queue, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Queue {
    inner: Mutex<Inner>,
    /// When the first is to be settled.
    earliest: Earliest,
}

#[derive(Default)]
struct Inner {
    /// In order.
    doubts: VecDeque<Doubt>,
    are_refused: bool,
}

struct Doubt {
    until_ns: u64,
    /// Of the source that is waited for.
    place: u32,
    /// There may have been something to read at this moment, for which no event will come.
    mark: Mark,
}

impl Doubts {
    /// Notes that the source at `place` will be waited for by someone on the processor `index`, though there may have been
    /// something to read at `mark`. Time counts from `now_ns`. `false`: it must not be.
    #[must_use]
    pub(crate) fn add(&self, index: usize, place: u32, mark: Mark, now_ns: u64) -> bool {
        let queue = &self.queues[index % QUEUES];
        let mut inner = queue.inner.lock();
        if inner.are_refused || inner.doubts.len() >= MOST {
            return false;
        }
        let until_ns = now_ns + LASTS_NS;
        if inner.doubts.is_empty() {
            queue.earliest.publish(until_ns);
        }
        inner.doubts.push_back(Doubt { until_ns, place, mark });
        true
    }

    /// Whether doubts are refused from now on. If so, all that there are can be settled.
    pub(crate) fn refuse(&self, are_refused: bool) {
        for queue in &self.queues {
            let mut inner = queue.inner.lock();
            inner.are_refused = are_refused;
            if are_refused && !inner.doubts.is_empty() {
                queue.earliest.publish(1);
            }
        }
    }

    /// Whether there are any. Whoever has refused more knows for sure.
    pub(crate) fn are_there(&self) -> bool {
        self.queues.iter().any(|queue| queue.earliest.get() != NEVER)
    }

    /// Ends those that have lasted until `now_ns`, or all while they are refused: `each` is given their sources and marks.
    pub(crate) fn settle(&self, now_ns: u64, mut each: impl FnMut(u32, Mark)) {
        for queue in self.queues.iter().filter(|queue| queue.earliest.get() <= now_ns) {
            let mut inner = queue.inner.lock();
            let last_ns = if inner.are_refused { NEVER } else { now_ns };
            while inner.doubts.front().is_some_and(|first| first.until_ns <= last_ns)
                && let Some(doubt) = inner.doubts.pop_front()
            {
                each(doubt.place, doubt.mark);
            }
            queue.earliest.publish(inner.doubts.front().map_or(NEVER, |first| first.until_ns));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Source;

    fn settled(doubts: &Doubts, now_ns: u64) -> Vec<u32> {
        let mut places = Vec::new();
        doubts.settle(now_ns, |place, _| places.push(place));
        places
    }

    #[test]
    fn a_doubt_is_settled_after_a_while() {
        let (doubts, mark) = (Doubts::default(), Source::default().mark().unwrap());
        assert!(doubts.add(0, 7, mark, 10));
        assert!(doubts.add(0, 8, mark, 20));
        assert!(doubts.add(1, 9, mark, 30));
        assert_eq!(settled(&doubts, LASTS_NS + 9), []);
        assert_eq!(settled(&doubts, LASTS_NS + 10), [7]);
        assert_eq!(settled(&doubts, LASTS_NS + 30), [8, 9]);
        assert!(!doubts.are_there());
    }

    #[test]
    fn whoever_goes_to_sleep_settles_all_and_no_more_are_accepted() {
        let (doubts, mark) = (Doubts::default(), Source::default().mark().unwrap());
        assert!(doubts.add(3, 7, mark, 10));
        doubts.refuse(true);
        assert!(doubts.are_there());
        assert!(!doubts.add(3, 8, mark, 10));
        assert_eq!(settled(&doubts, 10), [7]);
        assert!(!doubts.are_there());
        doubts.refuse(false);
        assert!(doubts.add(3, 8, mark, 10));
    }

    #[test]
    fn beyond_the_most_there_may_be_readers_ask() {
        let (doubts, mark) = (Doubts::default(), Source::default().mark().unwrap());
        assert!((0..MOST).all(|_| doubts.add(0, 7, mark, 10)));
        assert!(!doubts.add(0, 7, mark, 10));
        assert!(doubts.add(1, 7, mark, 10));
    }
}
