//! Whether a read need be tried that follows one which was given as much as it asked for.
//!
//! A reader of messages of a known length is given exactly one, each time, and with many peers nearly every read that
//! follows finds nothing at first. Such a read is not tried once enough of them were in vain. One that waits so on a wrong
//! guess is late by up to a millisecond, so few must be: one wrong guess, and 4096 are to be tried before the next.

use crate::primitives::atomic::{AtomicU32, Ordering::Relaxed};

/// From this count on reads are not tried.
const SURE: u32 = 1 << 16;
/// So many in a row that found nothing lead there. Guess, as are those below.
const AT_FIRST: u32 = 16;
/// So many where no event came for long after one: to wait without having tried saved nothing.
const WHERE_SLOW: u32 = 128;
/// So many after one that would have found something.
const WHERE_WRONG: u32 = 4096;
/// Of so many that need not be tried one is: events may come often enough to hide that there is always more.
const ONE_TRIED_OF: u32 = 32;

/// Counts the reads of one socket that found nothing, of those that no event came before since the last.
#[derive(Debug)]
pub(super) struct Habit(AtomicU32);

impl Default for Habit {
    fn default() -> Self {
        Self(AtomicU32::new(SURE - AT_FIRST))
    }
}

impl Habit {
    fn get(&self) -> u32 {
        // ORDERING: Relaxed; a statistic. What another reader adds meanwhile may be lost.
        self.0.load(Relaxed)
    }

    fn set(&self, count: u32) {
        // ORDERING: Relaxed; as above.
        self.0.store(count, Relaxed);
    }

    /// Whether the read that begins now is to be tried.
    pub(super) fn must_try(&self) -> bool {
        let count = self.get();
        if count < SURE {
            return true;
        }
        self.set(count.checked_add(1).unwrap_or(SURE));
        count.is_multiple_of(ONE_TRIED_OF)
    }

    /// Whether reads need not be tried now.
    #[cfg(test)]
    pub(super) fn is_sure(&self) -> bool {
        self.get() >= SURE
    }

    /// It was tried.
    pub(super) fn tried(&self, has_found: bool) {
        let count = self.get();
        if !has_found {
            self.set(count.saturating_add(1));
        } else if count >= SURE {
            self.set(SURE - WHERE_WRONG);
        } else {
            self.set(count.min(SURE - AT_FIRST));
        }
    }

    /// It was not, and no event came until the doubt was settled; then it was.
    pub(super) fn waited_in_vain(&self, has_found: bool) {
        self.set(SURE - if has_found { WHERE_WRONG } else { WHERE_SLOW });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many reads in a row are tried, and find nothing, before one is not.
    fn tried_in_vain(habit: &Habit) -> u32 {
        (0..).find(|_| !habit.must_try() || (habit.tried(false), false).1).expect("it comes to an end")
    }

    #[test]
    fn reads_are_not_tried_when_enough_were_in_vain() {
        let habit = Habit::default();
        (1..AT_FIRST).for_each(|_| habit.tried(false));
        habit.tried(true);
        assert_eq!(tried_in_vain(&habit) / AT_FIRST, 1, "one that found something, and it starts again");
    }

    #[test]
    fn a_wrong_guess_makes_it_try_for_long() {
        let habit = Habit::default();
        tried_in_vain(&habit);
        habit.waited_in_vain(true);
        assert_eq!(tried_in_vain(&habit) / WHERE_WRONG, 1);
        let until_tried = (1..).find(|_| habit.must_try());
        assert!(until_tried <= Some(ONE_TRIED_OF));
        habit.tried(true);
        assert_eq!(tried_in_vain(&habit) / WHERE_WRONG, 1, "one that was tried all the same found something");
        habit.waited_in_vain(false);
        assert_eq!(tried_in_vain(&habit) / WHERE_SLOW, 1);
    }
}
