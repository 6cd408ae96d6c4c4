//! Where goroutines wait, from a trace: folded stacks weighted by microseconds, for an off-CPU flame graph.
//!
//! A stack is: where the goroutine was spawned, where it stopped, what it waited for. Between an unpark (or spawn, or yield)
//! and the run that follows it waits for a processor, in the run queue.

use std::collections::HashMap;

use corefit_runtime::trace::{Event, Place, Trace, What};

use super::{Damage, Error};
use crate::profile::Folded;

/// What a trace tells of waiting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waits {
    /// Microseconds by stack, outermost frame first.
    pub folded: Folded,
    /// How many waits.
    pub count: u64,
    /// From the first event to the last, nanoseconds.
    pub duration_ns: u64,
    /// What could not be read.
    pub damage: Damage,
}

/// Reads all of `trace`.
///
/// # Errors
/// The trace could not be read on.
pub fn waits(trace: &Trace) -> Result<Waits, Error> {
    let mut seen = Seen::default();
    let (mut first_ns, mut last_ns) = (None, 0);
    let mut events = trace.events();
    for event in &mut events {
        let event = event.map_err(Error::Read)?;
        first_ns.get_or_insert(event.time_ns);
        last_ns = event.time_ns;
        seen.take(&event);
    }
    for (_, alive) in std::mem::take(&mut seen.alive) {
        seen.count(alive, last_ns);
    }
    let stacks = seen.stacks.iter();
    let mut folded = Folded::default();
    for (stack, &waited_ns) in stacks {
        folded.add(frames(trace, *stack), waited_ns);
    }
    let duration_ns = last_ns - first_ns.unwrap_or(last_ns);
    Ok(Waits { folded: folded.in_microseconds(), count: seen.waits, duration_ns, damage: events.damage() })
}

/// A runtime and a goroutine's id.
type Goroutine = (u32, u64);

/// What has been seen up to an event.
#[derive(Default)]
struct Seen {
    /// Those that have not ended.
    alive: HashMap<Goroutine, Alive>,
    /// Nanoseconds.
    stacks: HashMap<Stack, u64>,
    waits: u64,
}

#[derive(Clone, Copy, Default)]
struct Alive {
    /// Where it was spawned; 0: not known.
    spawned: u32,
    /// Where it stopped last; 0: not known, or it has not run yet.
    stopped: u32,
    /// What it waits for, and since when.
    waits: Option<(&'static str, u64)>,
}

/// A stack by the numbers of its places.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Stack {
    spawned: u32,
    stopped: u32,
    reason: &'static str,
}

/// For a processor.
const RUN_QUEUE: &str = "run queue";
/// Its thread is in a blocking call.
const BLOCKING: &str = "blocking call";

impl Seen {
    fn take(&mut self, event: &Event) {
        let own = (event.runtime, event.goroutine);
        let now_ns = event.time_ns;
        match event.what {
            What::Spawn { goroutine, place } => {
                let alive = Alive { spawned: place, stopped: 0, waits: Some((RUN_QUEUE, now_ns)) };
                self.alive.insert((event.runtime, goroutine), alive);
            }
            What::Run | What::GoOn => self.change(own, None, now_ns),
            What::Park { reason, place, .. } => {
                self.alive.entry(own).or_default().stopped = place;
                self.change(own, Some(reason), now_ns);
            }
            What::Yield { .. } => self.change(own, Some(RUN_QUEUE), now_ns),
            What::BlockingBegin { .. } => self.change(own, Some(BLOCKING), now_ns),
            What::BlockingEnd { .. } => self.change(own, Some(RUN_QUEUE), now_ns),
            What::Unpark { goroutine } => self.change((event.runtime, goroutine), Some(RUN_QUEUE), now_ns),
            What::End { .. } => {
                self.alive.remove(&own);
            }
            What::Notify { .. }
            | What::Processor
            | What::Preempt
            | What::Procs { .. }
            | What::Sync { .. } => {}
        }
    }

    /// From now on it waits for `reason`, or runs.
    fn change(&mut self, who: Goroutine, reason: Option<&'static str>, now_ns: u64) {
        let alive = self.alive.entry(who).or_default();
        let before = std::mem::replace(&mut alive.waits, reason.map(|reason| (reason, now_ns)));
        let before = Alive { waits: before, ..*alive };
        self.count(before, now_ns);
    }

    fn count(&mut self, alive: Alive, now_ns: u64) {
        let Some((reason, since_ns)) = alive.waits else { return };
        let waited_ns = now_ns.saturating_sub(since_ns);
        if waited_ns > 0 {
            self.waits += 1;
            let stack = Stack { spawned: alive.spawned, stopped: alive.stopped, reason };
            *self.stacks.entry(stack).or_default() += waited_ns;
        }
    }
}

/// Outermost first.
fn frames(trace: &Trace, stack: Stack) -> Vec<String> {
    let named = |number| trace.place(number).map(Place::to_string);
    let spawned =
        named(stack.spawned).map_or_else(|| "main".to_owned(), |place| format!("spawned at {place}"));
    let stopped = named(stack.stopped).map(|place| format!("waits at {place}"));
    let frames = [Some(spawned), stopped, Some(format!("[{}]", stack.reason))];
    frames.into_iter().flatten().map(|frame| frame.replace(';', ":")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture;
    use corefit_runtime::trace::Segment;

    fn event(time_ns: u64, goroutine: u64, what: What) -> Event {
        Event { time_ns, runtime: 1, worker: 1, thread: 1, processor: None, goroutine, what }
    }

    fn park(reason: &'static str, place: u32) -> What {
        What::Park { reason, object: 0, place, segment: Segment::default() }
    }

    #[test]
    fn a_wait_is_for_what_it_parked_until_it_is_woken_and_then_for_a_processor() {
        let mut seen = Seen::default();
        for event in [
            event(0, 1, What::Run),
            event(10, 1, What::Spawn { goroutine: 2, place: 5 }),
            event(20, 1, park("join", 6)),
            event(25, 2, What::Run),
            event(30, 2, park("chan send", 7)),
            event(130, 0, What::Unpark { goroutine: 2 }),
            event(137, 2, What::Run),
            event(140, 2, What::Yield { segment: Segment::default() }),
            event(141, 2, What::Run),
            event(150, 2, What::End { segment: Segment::default() }),
        ] {
            seen.take(&event);
        }
        let waited = |spawned, stopped, reason| seen.stacks.get(&Stack { spawned, stopped, reason }).copied();
        assert_eq!(waited(5, 0, RUN_QUEUE), Some(15), "from its spawn to its first run");
        assert_eq!(waited(5, 7, "chan send"), Some(100));
        assert_eq!(waited(5, 7, RUN_QUEUE), Some(8));
        assert_eq!(seen.stacks.len(), 3, "the first goroutine still waits");
        assert_eq!(seen.waits, 4);
    }

    #[test]
    fn one_that_goes_on_at_once_waited_only_so_long() {
        let mut seen = Seen::default();
        for event in [event(5, 1, park("sleep", 0)), event(6, 1, What::GoOn), event(90, 1, What::Run)] {
            seen.take(&event);
        }
        assert_eq!(seen.stacks.values().sum::<u64>(), 1);
    }

    #[test]
    fn a_real_trace_shows_waits_at_their_places() {
        let waits = waits(&fixture::trace()).unwrap();
        assert_eq!(waits.damage, None);
        assert!(waits.count >= 4 && waits.duration_ns > 0, "{waits:?}");
        let is_a_receive = |(frames, _): (&[String], u64)| {
            let [spawned, stopped, reason] = frames else { return false };
            spawned.contains("spawned at") && stopped.contains("fixture.rs:") && reason == "[chan receive]"
        };
        assert!(waits.folded.iter().any(is_a_receive), "{:#?}", waits.folded);
    }
}
