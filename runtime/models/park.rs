//! Parking in a model: a thread of loom's is the goroutine and its worker, with the token of a goroutine.
//!
//! Each `Waiter` carries a mark that is written where it is made and read where it is used: a `Waiter` that reaches another
//! thread without synchronisation is a race that loom reports.

use crate::token::{Notified, Token};
use crate::tracked::Tracked;
use loom::thread::{self, Thread};
use std::fmt;

/// What is waited for. The models do not care.
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
    Net,
}

struct Sleeper {
    token: Token,
    thread: Thread,
}

/// Whoever may have to wait. Its parts live as long as the process: models are short.
#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    sleeper: &'static Sleeper,
    mark: &'static Tracked,
}

loom::thread_local! {
    static SLEEPER: &'static Sleeper =
        Box::leak(Box::new(Sleeper { token: Token::default(), thread: thread::current() }));
}

impl Waiter {
    pub(crate) fn current() -> Self {
        let mark = Box::leak(Box::new(Tracked::new(0)));
        mark.set(1);
        Self { sleeper: SLEEPER.with(|sleeper| *sleeper), mark }
    }

    pub(crate) fn unpark(&self) {
        assert_eq!(self.mark.get(), 1);
        match self.sleeper.token.notify() {
            Notified::Awake => {}
            // This thread queues the goroutine, and a worker runs it: that is what loom's unpark stands for.
            Notified::Parked | Notified::Blocked => self.sleeper.thread.unpark(),
        }
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiter")
    }
}

/// Waits for the token and takes it.
pub(crate) fn park(_: WaitReason, _: usize) {
    let sleeper = SLEEPER.with(|sleeper| *sleeper);
    if sleeper.token.take() {
        return;
    }
    if sleeper.token.commit() {
        thread::park();
    }
    sleeper.token.take();
}

/// Models have no deadlines but those that have passed when they are set.
pub(crate) fn park_until<D>(_: WaitReason, _: usize, _: D) {
    loom::thread::yield_now();
}
