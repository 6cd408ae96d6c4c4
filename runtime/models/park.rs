//! Parking in a model: a thread of loom's is the goroutine and its worker, with the token and the ties of a goroutine.
//!
//! Each `Waiter` carries a mark that is written where it is made and read where it is used: a `Waiter` that reaches another
//! thread without synchronisation is a race that loom reports.

use crate::ties::Ties;
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
    ties: Ties,
    /// What lies on its stack: touched by the goroutine until it has left, then by whoever runs it.
    stack: Tracked,
    thread: Thread,
}

/// Whoever may have to wait. Its parts live as long as the process: models are short.
#[derive(Clone, Copy)]
pub(crate) struct Waiter {
    sleeper: &'static Sleeper,
    mark: &'static Tracked,
    is_pledged: bool,
}

loom::thread_local! {
    static SLEEPER: &'static Sleeper =
        Box::leak(Box::new(Sleeper {
            token: Token::default(),
            ties: Ties::default(),
            stack: Tracked::new(0),
            thread: thread::current(),
        }));
}

impl Waiter {
    pub(crate) fn current() -> Self {
        let mark = Box::leak(Box::new(Tracked::new(0)));
        mark.set(1);
        Self { sleeper: SLEEPER.with(|sleeper| *sleeper), mark, is_pledged: false }
    }

    pub(crate) fn unpark(&self) {
        assert_eq!(self.mark.get(), 1);
        if self.is_pledged {
            return self.sleeper.go_on();
        }
        match self.sleeper.token.notify() {
            Notified::Awake => {}
            // This thread queues the goroutine, and a worker runs it: that is what loom's unpark stands for.
            Notified::Parked | Notified::Blocked => self.sleeper.thread.unpark(),
        }
    }
}

impl Sleeper {
    /// The one that was told of it lets it go on: redeems the pledge, and is the worker that runs it then.
    fn go_on(&self) {
        self.token.redeem();
        if !self.ties.is_free() {
            self.ties.wait_until_left();
        }
        self.stack.set(self.stack.get() + 1);
        self.thread.unpark();
    }
}

/// The library's, for a thread of loom's.
#[derive(Debug)]
pub(crate) struct Pledge(Waiter);

impl Pledge {
    pub(crate) fn make(_: WaitReason, _: usize) -> Option<Self> {
        let waiter = Waiter { is_pledged: true, ..Waiter::current() };
        waiter.sleeper.stack.set(0);
        waiter.sleeper.token.pledge();
        waiter.sleeper.ties.leave_soon();
        Some(Self(waiter))
    }

    /// # Safety
    /// As the library's.
    pub(crate) unsafe fn waiter(&self) -> Waiter {
        self.0
    }

    pub(crate) fn keep(self) {
        let Sleeper { ties, stack, .. } = self.0.sleeper;
        stack.set(stack.get() + 1);
        ties.left();
        thread::park();
        assert_eq!(stack.get(), 2, "it was let go on, once, by one who saw that it had left");
    }

    pub(crate) fn withdraw(self) {
        self.0.sleeper.token.redeem();
        self.0.sleeper.ties.left();
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
