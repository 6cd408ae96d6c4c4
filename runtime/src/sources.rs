//! The descriptors registered with a poller, by number: places that stay where they are and are used again, so that an
//! event finds its own without a lock.
//!
//! An event may come late, when its place belongs to another descriptor already. It then wakes whoever waits there in vain,
//! which tries again.

use crate::goroutine::Runnable;
use crate::os::Event;
use crate::primitives::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use crate::primitives::{Mutex, OnceLock};
use crate::readiness::Readiness;
use std::iter;

/// Places in the first chunk; each chunk has twice as many as the one before.
const FIRST: u32 = 64;
/// More than 2^31 places, and so more than there can be descriptors.
const CHUNKS: usize = 26;

/// In `Source::events`: the other side has closed, or something urgent came. From then on the kernel may keep quiet about
/// what is there.
const CLOSING: u32 = 1;
/// In `LastDrained`: `Drained::is_guess`. No mark has this bit.
const GUESS: u32 = 2;
/// Added there for each event.
const EVENT: u32 = 4;

/// A registered descriptor as the poller sees it.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) read: Readiness,
    pub(crate) write: Readiness,
    /// Counts the events that concern reading; and `CLOSING`.
    events: AtomicU32,
}

/// When something was seen: a number of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u32);

/// That everything was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Drained {
    /// When, or before.
    pub(crate) mark: Mark,
    /// The read was given as much as it asked for, so there may have been more.
    pub(crate) is_guess: bool,
}

/// What whoever wrote last saw, if anyone did.
#[derive(Debug)]
pub(crate) struct LastDrained(AtomicU32);

impl Default for LastDrained {
    fn default() -> Self {
        Self(AtomicU32::new(Self::NONE))
    }
}

impl LastDrained {
    /// In place of a mark, none of which has this bit.
    const NONE: u32 = CLOSING;

    pub(crate) fn load(&self) -> Option<Drained> {
        // ORDERING: Relaxed; a mark says by itself whether it still holds.
        let mark = self.0.load(Relaxed);
        (mark != Self::NONE).then_some(Drained { mark: Mark(mark & !GUESS), is_guess: mark & GUESS != 0 })
    }

    pub(crate) fn store(&self, drained: Drained) {
        // ORDERING: Relaxed; as above.
        self.0.store(drained.mark.0 | if drained.is_guess { GUESS } else { 0 }, Relaxed);
    }
}

impl Source {
    /// Now, for [`is_since`](Self::is_since); `None` where that says nothing any more.
    pub(crate) fn mark(&self) -> Option<Mark> {
        // ORDERING: Acquire; pairs with the AcqRel in `notify`: what is read after this was there after that event.
        let events = self.events.load(Acquire);
        (events & CLOSING == 0).then_some(Mark(events))
    }

    /// Whether no event was seen since `mark`. So if everything was read at a moment after it, then either nothing has come
    /// since that moment, or its event is yet to be seen.
    pub(crate) fn is_since(&self, mark: Mark) -> bool {
        self.mark() == Some(mark)
    }

    /// The kernel said `event`: whoever waits for that tries again.
    #[inline]
    pub(crate) fn notify(&self, event: Event, ready: &mut Vec<Runnable>) {
        if event.reads {
            // ORDERING: AcqRel; pairs with the Acquire in `mark`.
            self.events.fetch_add(EVENT, AcqRel);
            if event.ends {
                // ORDERING: AcqRel; as above.
                self.events.fetch_or(CLOSING, AcqRel);
            }
            self.read.notify(ready);
        }
        if event.writes {
            self.write.notify(ready);
        }
    }

    fn reset(&self) {
        self.read.reset();
        self.write.reset();
        // ORDERING: Relaxed; published as in `Readiness::reset`.
        self.events.store(0, Relaxed);
    }
}

/// See the module docs.
pub(crate) struct Sources {
    chunks: [OnceLock<Box<[Source]>>; CHUNKS],
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    places: Vec<u32>,
    /// How many places there were ever.
    made: u32,
}

impl Sources {
    pub(crate) fn new() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], free: Mutex::default() }
    }

    /// A place, as if no one had been there.
    pub(crate) fn take(&self) -> u32 {
        let place = {
            let mut free = self.free.lock();
            free.places.pop().unwrap_or_else(|| {
                free.made += 1;
                free.made - 1
            })
        };
        let (chunk, index) = position(place);
        let sources = self.chunks[chunk]
            .get_or_init(|| iter::repeat_with(Source::default).take((FIRST as usize) << chunk).collect());
        sources[index].reset();
        place
    }

    /// Takes back a place whose descriptor the kernel has forgotten.
    pub(crate) fn give_back(&self, place: u32) {
        self.free.lock().places.push(place);
    }

    /// What is at a place that was taken once.
    pub(crate) fn get(&self, place: u32) -> &Source {
        let (chunk, index) = position(place);
        &self.chunks[chunk].get().expect("a place that was taken has its chunk")[index]
    }
}

/// The chunk of `place`, and where in it.
fn position(place: u32) -> (usize, usize) {
    let chunk = (place / FIRST + 1).ilog2();
    let before = FIRST * ((1 << chunk) - 1);
    (chunk as usize, (place - before) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places_are_used_again() {
        let sources = Sources::new();
        let (one, other) = (sources.take(), sources.take());
        assert_ne!(one, other);
        sources.get(one).notify(Event { reads: true, ends: true, ..Event::default() }, &mut Vec::new());
        assert_eq!(sources.get(one).mark(), None);
        sources.give_back(one);
        assert_eq!(sources.take(), one);
        assert_eq!(sources.get(one).mark(), Some(Mark(0)), "as if no one had been there");
    }

    #[test]
    fn an_event_to_read_makes_marks_old_and_one_to_write_does_not() {
        let source = Source::default();
        let mark = source.mark().unwrap();
        source.notify(Event { writes: true, ..Event::default() }, &mut Vec::new());
        assert!(source.is_since(mark));
        source.notify(Event { reads: true, ..Event::default() }, &mut Vec::new());
        assert!(!source.is_since(mark));
        let mark = source.mark().unwrap();
        source.notify(Event { reads: true, ends: true, ..Event::default() }, &mut Vec::new());
        assert!(!source.is_since(mark));
        assert_eq!(source.mark(), None, "the end is there, and no event will say so again");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Places of a chunk follow each other, and so do chunks.
        #[test]
        fn positions_have_no_gaps(place in 0..1_u32 << 30) {
            let (chunk, index) = position(place);
            prop_assert!(index < (FIRST as usize) << chunk);
            let next = if index + 1 < (FIRST as usize) << chunk { (chunk, index + 1) } else { (chunk + 1, 0) };
            prop_assert_eq!(position(place + 1), next);
        }
    }
}
