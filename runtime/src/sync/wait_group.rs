//! Waiting until a number of things are done.

use crate::primitives::Arc;

use std::panic::Location;

use crate::park::WaitReason;
use crate::sync::crowd::Crowd;
use crate::sync::line::{Line, Rank};
use crate::trace::{self, Op};

/// A count of things still to be done; whoever waits goes on when it is zero. Clones share the count.
///
/// ```
/// use corefit_runtime::sync::WaitGroup;
/// let group = WaitGroup::new();
/// for _ in 0..3 {
///     group.add(1);
///     let group = group.clone();
///     std::thread::spawn(move || group.done());
/// }
/// group.wait();
/// ```
#[derive(Clone, Debug)]
pub struct WaitGroup {
    pending: Arc<Line<usize>>,
}

impl WaitGroup {
    /// Nothing to be done.
    #[must_use]
    pub fn new() -> Self {
        Self { pending: Arc::new(Line::new(0)) }
    }

    /// Announces `count` more. Call it before the goroutine that will call [`done`](Self::done) is started, so that no
    /// `wait` can come in between.
    ///
    /// # Panics
    /// More than `usize::MAX` to be done.
    pub fn add(&self, count: usize) {
        let mut pending = self.pending.lock();
        let sum = pending.checked_add(count);
        *pending = sum.unwrap_or(*pending);
        drop(pending);
        assert!(sum.is_some(), "a wait group counts to {} at most", usize::MAX);
    }

    /// One is done. At zero everyone that waits goes on; the group may then be used again.
    ///
    /// # Panics
    /// Nothing was left to be done.
    #[track_caller]
    pub fn done(&self) {
        trace::note_op(Op::Signal, self.address(), 0, Some(Location::caller()));
        let mut pending = self.pending.lock();
        let left = pending.checked_sub(1);
        *pending = left.unwrap_or(0);
        let all = if left == Some(0) { pending.grant_all(0) } else { Crowd::new() };
        drop(pending);
        assert!(left.is_some(), "`WaitGroup::done` was called more often than was added");
        all.unpark();
    }

    /// Waits until nothing is left to be done; at once if nothing is.
    #[track_caller]
    pub fn wait(&self) {
        let site = Location::caller();
        trace::note_call(self.address(), site);
        let pending = self.pending.lock();
        if *pending > 0 {
            let why = (WaitReason::WaitGroup, self.address());
            self.pending.wait(pending, (0, Rank::Last, ()), why);
        } else {
            drop(pending);
        }
        trace::note_op(Op::Wait, self.address(), 0, Some(site));
    }

    fn address(&self) -> usize {
        Arc::as_ptr(&self.pending).addr()
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_empty_group_does_not_wait() {
        let group = WaitGroup::new();
        group.wait();
        group.add(2);
        group.done();
        group.done();
        group.wait();
    }

    #[test]
    #[should_panic(expected = "more often than was added")]
    fn done_below_zero_panics() {
        let group = WaitGroup::default();
        group.add(1);
        group.done();
        group.done();
    }

    #[test]
    #[should_panic(expected = "at most")]
    fn counting_too_far_panics() {
        let group = WaitGroup::new();
        group.add(usize::MAX);
        group.add(1);
    }
}
