//! Parking and unparking whoever runs: the one primitive that every blocking operation stands on.
//!
//! The protocol is that of `std::thread::park`: a waiter has one token. `unpark` leaves the token; `park` takes it, and
//! waits for it if it is not there. So an `unpark` that comes first is never lost, and a `park` may return early with a
//! token left over from before: every caller loops on its own condition.

use std::time::Instant;

/// What a goroutine waits for, as the deadlock report and the trace name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitReason {
    /// `chan send`
    ChanSend,
    /// `chan receive`
    ChanRecv,
    /// `select`
    Select,
    /// `sync.Mutex.Lock` and the read and write sides of RwLock
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

/// Whoever may have to wait: the current goroutine or, outside the runtime, the current thread.
#[derive(Clone, Debug)]
pub(crate) struct Waiter(std::thread::Thread);

impl Waiter {
    /// The running goroutine, or the thread if none runs here.
    pub(crate) fn current() -> Self {
        Self(std::thread::current())
    }

    /// Leaves the token, and makes the waiter runnable if it waits for it.
    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }
}

/// Waits until a token is there and takes it. `object` is the address of what is waited on (reports and traces only).
/// May return early: loop on your own condition.
pub(crate) fn park(reason: WaitReason, object: usize) {
    let _ = (reason, object);
    std::thread::park();
}

/// Like [`park`], until `deadline` at the latest. May return early; the caller looks at its condition and at the clock.
pub(crate) fn park_until(reason: WaitReason, object: usize, deadline: Instant) {
    let _ = (reason, object);
    std::thread::park_timeout(deadline.saturating_duration_since(Instant::now()));
}
