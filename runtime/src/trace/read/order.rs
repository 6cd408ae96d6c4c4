//! The order of cause and effect between lanes.
//!
//! The clocks of two threads agree to within some 10 ns (`clock.rs`), so an effect may carry an earlier time than its cause
//! in another lane. An event that the state of its goroutine does not allow yet is held, with its lane, until the event
//! that does has passed. In a trace that lacks the cause it is let go after [`PATIENCE_NS`].

use super::event::{Event, What};
use std::collections::HashMap;

/// Nanoseconds of the trace's time for which an effect waits for its cause. Clocks differ by far less, and a trace that
/// lacks causes is not to come apart.
pub(super) const PATIENCE_NS: u64 = 1_000_000;

/// A runtime and a goroutine of it.
pub(super) type Id = (u32, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runnable,
    Running,
    Parked,
}

/// What the goroutines are doing that are alive.
#[derive(Debug, Default)]
pub(super) struct Order(HashMap<Id, State>);

impl Order {
    /// The goroutine that something has to happen to before `event` can.
    pub(super) fn waits_for(&self, event: &Event) -> Option<Id> {
        let (id, needs) = match event.what {
            What::Run => (event.goroutine, State::Runnable),
            What::GoOn => (event.goroutine, State::Parked),
            What::Unpark { goroutine } => (goroutine, State::Parked),
            _ => return None,
        };
        let id = (event.runtime, id);
        (self.0.get(&id) != Some(&needs)).then_some(id)
    }

    /// Notes that `event` has happened. The goroutine that is in another state since.
    pub(super) fn pass(&mut self, event: &Event) -> Option<Id> {
        let (id, state) = match event.what {
            What::Spawn { goroutine, .. } | What::Unpark { goroutine } => (goroutine, Some(State::Runnable)),
            What::Run | What::GoOn => (event.goroutine, Some(State::Running)),
            What::Yield { .. } => (event.goroutine, Some(State::Runnable)),
            What::Park { .. } => (event.goroutine, Some(State::Parked)),
            What::End { .. } => (event.goroutine, None),
            _ => return None,
        };
        let id = (event.runtime, id);
        match state {
            Some(state) => self.0.insert(id, state),
            None => self.0.remove(&id),
        };
        Some(id)
    }
}
