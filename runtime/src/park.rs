//! Parking and unparking whoever runs: the one primitive that every blocking operation stands on.
//!
//! The protocol is that of `std::thread::park`: a waiter has one token. `unpark` leaves the token; `park` takes it, and
//! waits for it if it is not there. So an `unpark` that comes first is never lost, and a `park` may return early with a
//! token left over from before: every caller loops on its own condition.
//!
//! A goroutine that unwinds does not leave its thread (the count of panics in flight is thread-local): it waits in a
//! blocking call instead.

use crate::blocking::blocking;
use crate::current;
use crate::fiber::{Suspend, suspend};
use crate::goroutine::Goroutine;
use crate::primitives::Arc;
use crate::trace;
use std::thread;
use std::time::Instant;

/// What a goroutine waits for, as the deadlock report and the trace name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitReason {
    ChanSend,
    ChanRecv,
    Select,
    Mutex,
    RwLock,
    Condvar,
    WaitGroup,
    Once,
    Semaphore,
    Barrier,
    Join,
    Sleep,
    Net,
}

impl WaitReason {
    /// Every reason, by its code.
    const ALL: [Self; 13] = [
        Self::ChanSend,
        Self::ChanRecv,
        Self::Select,
        Self::Mutex,
        Self::RwLock,
        Self::Condvar,
        Self::WaitGroup,
        Self::Once,
        Self::Semaphore,
        Self::Barrier,
        Self::Join,
        Self::Sleep,
        Self::Net,
    ];

    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// As reports name it; Go's words where Go has the thing.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ChanSend => "chan send",
            Self::ChanRecv => "chan receive",
            Self::Select => "select",
            Self::Mutex => "sync.Mutex.Lock",
            Self::RwLock => "sync.RwLock",
            Self::Condvar => "sync.Condvar.Wait",
            Self::WaitGroup => "sync.WaitGroup.Wait",
            Self::Once => "sync.Once",
            Self::Semaphore => "semacquire",
            Self::Barrier => "barrier",
            Self::Join => "join",
            Self::Sleep => "sleep",
            Self::Net => "IO wait",
        }
    }
}

/// Whoever may have to wait: the current goroutine or, outside the runtime, the current thread.
#[derive(Clone)]
pub(crate) struct Waiter(Who);

#[derive(Clone)]
enum Who {
    Goroutine(Arc<Goroutine>),
    Thread(thread::Thread),
}

impl Waiter {
    /// The running goroutine, or the thread if none runs here.
    pub(crate) fn current() -> Self {
        Self(current::goroutine().map_or_else(|| Who::Thread(thread::current()), Who::Goroutine))
    }

    /// Leaves the token, and makes the waiter runnable if it waits for it.
    pub(crate) fn unpark(&self) {
        match &self.0 {
            Who::Goroutine(goroutine) => goroutine.unpark(),
            Who::Thread(thread) => thread.unpark(),
        }
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Who::Goroutine(goroutine) => write!(f, "Waiter(goroutine {})", goroutine.birth.id),
            Who::Thread(thread) => write!(f, "Waiter({:?})", thread.id()),
        }
    }
}

/// What `park` does next.
enum Plan {
    /// The token was there.
    Return,
    /// Leave the stack.
    Switch,
    /// Wait on this thread: the goroutine unwinds.
    Block(Arc<Goroutine>),
    /// No goroutine runs here.
    Thread,
}

fn plan(reason: WaitReason, object: usize) -> Plan {
    current::with_goroutine(|goroutine| {
        if goroutine.token.take() {
            return Plan::Return;
        }
        goroutine.set_wait(reason, object);
        if thread::panicking() {
            return Plan::Block(Arc::clone(goroutine));
        }
        trace::note(|lane| lane.park(reason, object));
        Plan::Switch
    })
    .unwrap_or(Plan::Thread)
}

/// Waits until a token is there and takes it. `object` is the address of what is waited on (reports and traces only).
/// May return early: loop on your own condition.
pub(crate) fn park(reason: WaitReason, object: usize) {
    match plan(reason, object) {
        Plan::Return => {}
        Plan::Switch if reason == WaitReason::Net => {
            count_wait();
            switch();
            count_wake();
        }
        Plan::Switch => switch(),
        Plan::Block(goroutine) => block(&goroutine, None),
        Plan::Thread => thread::park(),
    }
}

/// Like [`park`], until `deadline` at the latest. May return early; the caller looks at its condition and at the clock.
pub(crate) fn park_until(reason: WaitReason, object: usize, deadline: Instant) {
    match plan(reason, object) {
        Plan::Return => {}
        Plan::Switch => {
            let Some(epoch) =
                current::with_goroutine(|goroutine| goroutine.runtime.set_timer(goroutine, deadline))
            else {
                return;
            };
            count_wait();
            switch();
            count_wake();
            let _ = current::with_goroutine(|goroutine| goroutine.runtime.timers.cancel(goroutine, epoch));
        }
        Plan::Block(goroutine) => block(&goroutine, Some(deadline)),
        Plan::Thread => thread::park_timeout(deadline.saturating_duration_since(Instant::now())),
    }
}

/// Leaves the stack until someone unparks this goroutine, and takes the token.
fn switch() {
    suspend(Suspend::Park);
    let _ = current::with_goroutine(|goroutine| goroutine.token.take());
}

/// Waits for the token on this thread, without a processor.
fn block(goroutine: &Goroutine, deadline: Option<Instant>) {
    goroutine.set_thread(thread::current());
    blocking(|| {
        if !goroutine.token.block() {
            return;
        }
        while !goroutine.token.is_notified() {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => break,
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    });
    // Also ends the state `Blocked` if the deadline came first.
    goroutine.token.take();
}

/// Counts a wait that something outside the runtime will end: while there is one, there is no deadlock.
fn count_wait() {
    let _ = current::with_goroutine(|goroutine| {
        let runtime = &goroutine.runtime;
        if current::with_core_of(runtime, |core| core.stats().outside_waits.bump()).is_none() {
            runtime.stats.outside_waits.bump_shared();
        }
    });
}

/// Keep in step with `count_wait`.
fn count_wake() {
    let _ = current::with_goroutine(|goroutine| {
        let runtime = &goroutine.runtime;
        if current::with_core_of(runtime, |core| core.stats().outside_wakes.bump()).is_none() {
            runtime.stats.outside_wakes.bump_shared();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_reasons_go_both_ways() {
        for (code, reason) in (0..).zip(WaitReason::ALL) {
            assert_eq!((reason.code(), WaitReason::from_code(code)), (code, Some(reason)));
        }
        assert_eq!(WaitReason::from_code(200), None);
    }

    #[test]
    fn a_thread_that_was_unparked_before_does_not_wait() {
        Waiter::current().unpark();
        park(WaitReason::Join, 0);
    }
}
