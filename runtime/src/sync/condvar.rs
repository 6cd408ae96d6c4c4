//! Waiting, with a lock released, for something to be announced.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::park::WaitReason;
use crate::sync::crowd::unpark;
use crate::sync::line::{Line, Rank};
use crate::sync::mutex::MutexGuard;
use crate::trace::{self, Op};

/// A condition that goroutines wait for, each holding the same [`Mutex`](super::Mutex) before and after.
///
/// A wait ends only by a notification (or its timeout); still, the condition may be over again by the time the lock is
/// taken back, so wait in a loop.
///
/// ```
/// use corefit_runtime::sync::{Condvar, Mutex};
/// static READY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());
/// let waiter = std::thread::spawn(|| {
///     let mut is_ready = READY.0.lock();
///     while !*is_ready {
///         is_ready = READY.1.wait(is_ready);
///     }
/// });
/// *READY.0.lock() = true;
/// READY.1.notify_one();
/// waiter.join().unwrap();
/// ```
#[derive(Debug)]
pub struct Condvar {
    line: Line<()>,
}

impl Condvar {
    /// A condition nobody waits for.
    #[must_use]
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new() -> Self {
        Self { line: Line::new(()) }
    }

    /// Releases the lock, waits for a notification and takes the lock again. A notification that comes after the
    /// release is not missed.
    #[track_caller]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let (mutex, site) = (guard.mutex(), Location::caller());
        trace::note_call(self.address(), site);
        let why = (WaitReason::Condvar, self.address());
        self.line.wait_after(self.line.lock(), (0, Rank::Last, ()), why, || drop(guard));
        trace::note_op(Op::Wait, self.address(), 0, Some(site));
        mutex.lock()
    }

    /// Like [`wait`](Self::wait), for `timeout` at most (waiting for the lock not counted). True: the time passed
    /// without a notification for this waiter.
    #[track_caller]
    pub fn wait_timeout<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, bool) {
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return (self.wait(guard), false);
        };
        let (mutex, site) = (guard.mutex(), Location::caller());
        trace::note_call(self.address(), site);
        let why = (WaitReason::Condvar, self.address());
        let is_notified =
            self.line.wait_until(self.line.lock(), (0, Rank::Last, ()), why, deadline, || drop(guard));
        if is_notified {
            trace::note_op(Op::Wait, self.address(), 0, Some(site));
        }
        (mutex.lock(), !is_notified)
    }

    /// Wakes the one that has waited longest, if one waits.
    #[track_caller]
    pub fn notify_one(&self) {
        trace::note_op(Op::Signal, self.address(), 0, Some(Location::caller()));
        let granted = self.line.lock().grant(0);
        unpark(granted);
    }

    /// Wakes everyone that waits.
    #[track_caller]
    pub fn notify_all(&self) {
        trace::note_op(Op::Signal, self.address(), 0, Some(Location::caller()));
        let granted = self.line.lock().grant_all(0);
        granted.unpark();
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

impl Default for Condvar {
    fn default() -> Self {
        Self::new()
    }
}
