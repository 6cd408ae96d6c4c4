//! Parking and unparking whoever runs: the one primitive that every blocking operation stands on.
//!
//! The protocol is that of `std::thread::park`: a waiter has one token. `unpark` leaves the token; `park` takes it, and
//! waits for it if it is not there. So an `unpark` that comes first is never lost, and a `park` may return early with a
//! token left over from before: every caller loops on its own condition.
//!
//! Where exactly one other ends a wait, and surely (the holder of a lock who takes the waiter out of a queue, the goroutine that
//! is joined, the timer of a sleep), there need be no meeting. The waiter makes a [`Pledge`] before it tells the other of itself: it will leave
//! its stack, and not come back by itself. So the other need not ask whether it waits: the right to run it is the other's
//! as soon as that is told. That spares an exchange on either side. Whoever runs the goroutine then looks whether it has
//! left its stack already (`goroutine/ties.rs`).
//!
//! A goroutine that unwinds does not leave its thread (the count of panics in flight is thread-local): it waits in a
//! blocking call instead. One that is in a blocking call already waits on its thread too: were it to leave its stack there,
//! a worker would run it with a processor, which it would hold while it blocks.
#![allow(unsafe_code, reason = "the right to run a goroutine is passed on by a name")]

use crate::blocking::blocking;
use crate::current::{self, Context};
use crate::fiber::Suspend;
use crate::foreign::{OnThread, Sleeper};
use crate::goroutine::{GoroutineRef, Runnable};
use crate::timers::TimedWait;
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

/// Whoever may have to wait: the current goroutine or, outside the runtime, the current thread. One that outlives whom
/// it names may wake, in vain, whoever takes that place.
#[derive(Clone, Copy)]
pub(crate) struct Waiter(Who);

#[derive(Clone, Copy)]
enum Who {
    Goroutine(GoroutineRef),
    /// Unparked once (`Pledge::waiter`).
    Pledged(GoroutineRef),
    Thread(&'static Sleeper),
}

impl Waiter {
    /// The running goroutine, or the thread if none runs here.
    pub(crate) fn current() -> Self {
        Self(current::goroutine().map_or_else(|| Who::Thread(Sleeper::current()), Who::Goroutine))
    }

    /// Leaves the token, and makes the waiter runnable if it waits for it.
    #[inline]
    pub(crate) fn unpark(&self) {
        match self.0 {
            // SAFETY: the promise of whoever called `Pledge::waiter`.
            Who::Pledged(goroutine) => unsafe { goroutine.go_on() }.queue(),
            Who::Goroutine(goroutine) => goroutine.unpark(),
            Who::Thread(sleeper) => sleeper.unpark(),
        }
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Who::Goroutine(goroutine) | Who::Pledged(goroutine) => {
                write!(f, "Waiter(goroutine {})", goroutine.id())
            }
            Who::Thread(sleeper) => write!(f, "Waiter({sleeper:?})"),
        }
    }
}

/// That the goroutine which runs here will leave its stack until one other, which is told of it, lets it go on.
#[must_use = "who has made a pledge keeps it, or withdraws it before anyone is told"]
#[derive(Debug)]
pub(crate) struct Pledge(GoroutineRef);

impl Pledge {
    /// `None` if whoever runs here must wait otherwise. `object` as for [`park`].
    #[inline]
    pub(crate) fn make(reason: WaitReason, object: usize) -> Option<Self> {
        let pledge = current::with(|context| {
            let goroutine = context.goroutine()?;
            if context.is_blocked.get() || thread::panicking() {
                return None;
            }
            goroutine.set_wait(reason, object);
            trace::note(|lane| lane.pledge(reason, object));
            goroutine.token.pledge();
            goroutine.ties.leave_soon();
            Some(Self(goroutine))
        });
        pledge.flatten()
    }

    /// Its name, for the one that is told.
    ///
    /// # Safety
    /// One copy is unparked, once. If it is published it surely is, or the goroutine never runs again.
    pub(crate) unsafe fn waiter(&self) -> Waiter {
        Waiter(Who::Pledged(self.0))
    }

    /// As `waiter`, for one that queues it in its own way.
    ///
    /// # Safety
    /// As for `waiter`; one of the two is asked for, once.
    unsafe fn pledged(&self) -> Pledged {
        Pledged(self.0)
    }

    /// Leaves the stack until the other lets it go on.
    // Always inlined: see `fiber/switch.rs`.
    #[inline(always)]
    pub(crate) fn keep(self) {
        let exit = current::way_out::<{ Suspend::Leave as usize }>();
        let exit = exit.expect("who has pledged to leave its stack can");
        // SAFETY: it runs here, and this is its way out.
        unsafe { self.0.leave_by(exit) };
    }

    /// No one was told, and no one will be.
    pub(crate) fn withdraw(self) {
        trace::note(|lane| lane.withdraw());
        self.0.token.redeem();
        self.0.ties.left();
    }
}

/// A goroutine that waits, or is about to, for whoever has this, and surely no one else.
#[derive(Debug)]
pub(crate) struct Pledged(GoroutineRef);

impl Pledged {
    pub(crate) fn goroutine(&self) -> GoroutineRef {
        self.0
    }

    /// The right to run it, for the caller, who must queue it.
    pub(crate) fn go_on(self) -> Runnable {
        // SAFETY: the promise of whoever called `Pledge::pledged`.
        let runnable = unsafe { self.0.go_on() };
        runnable.prefetch_woken();
        runnable
    }
}

/// What `park` does next.
pub(crate) enum Plan {
    /// The token was there.
    Return,
    /// Leave the stack.
    Switch(GoroutineRef),
    /// Wait on this thread: the goroutine unwinds, or is in a blocking call.
    Block(GoroutineRef),
    /// No goroutine runs here.
    Thread,
}

#[inline(always)]
fn plan(context: &Context, reason: WaitReason, object: usize) -> Plan {
    let Some(goroutine) = context.goroutine() else { return Plan::Thread };
    if goroutine.token.take() {
        return Plan::Return;
    }
    goroutine.set_wait(reason, object);
    if context.is_blocked.get() || thread::panicking() {
        return Plan::Block(goroutine);
    }
    trace::note(|lane| lane.park(reason, object));
    Plan::Switch(goroutine)
}

/// Waits until a token is there and takes it. `object` is the address of what is waited on (reports and traces only).
/// May return early: loop on your own condition.
#[inline]
pub(crate) fn park(reason: WaitReason, object: usize) {
    match current::park(|context| plan(context, reason, object)) {
        Plan::Return | Plan::Switch(_) => {}
        Plan::Block(goroutine) => block(goroutine, None),
        Plan::Thread => thread::park(),
    }
}

/// Like [`park`], for something outside the runtime.
pub(crate) fn park_outside(reason: WaitReason, object: usize) {
    let plan = current::park(|context| {
        let plan = plan(context, reason, object);
        if let Plan::Switch(_) = plan {
            count_wait(context);
        }
        plan
    });
    match plan {
        Plan::Return => {}
        Plan::Switch(_) => _ = current::with(count_wake),
        Plan::Block(goroutine) => block(goroutine, None),
        Plan::Thread => thread::park(),
    }
}

/// Like [`park`], until `deadline` at the latest. May return early; the caller looks at its condition and at the clock, which
/// shows at least `deadline` if this returns true.
pub(crate) fn park_until(reason: WaitReason, object: usize, deadline: Instant) -> bool {
    let mut wait = None;
    let plan = current::park(|context| {
        let plan = plan(context, reason, object);
        if let Plan::Switch(goroutine) = plan {
            wait = Some(begin_wait(context, goroutine, deadline));
        }
        plan
    });
    match plan {
        Plan::Return => {}
        Plan::Switch(_) => return wait.is_some_and(end_wait),
        Plan::Block(goroutine) => block(goroutine, Some(deadline)),
        Plan::Thread => thread::park_timeout(deadline.saturating_duration_since(Instant::now())),
    }
    false
}

/// Waits until `deadline`; whoever waits for nothing else need not meet its timer. Does nothing, and says `false`, where that cannot be: then
/// `park_until` can.
#[inline]
pub(crate) fn sleep_until(deadline: Instant) -> bool {
    let Some(pledge) = Pledge::make(WaitReason::Sleep, 0) else { return false };
    current::with(|context| {
        count_wait(context);
        // SAFETY: told to this timer, and no one else.
        let told = unsafe { pledge.pledged() };
        context.runtime.set_pledged_timer(index(context), told, deadline);
    });
    pledge.keep();
    current::with(count_wake);
    true
}

/// Sets a timer for the running goroutine, and counts its wait.
fn begin_wait(context: &Context, goroutine: GoroutineRef, deadline: Instant) -> TimedWait {
    count_wait(context);
    context.runtime.set_timer(index(context), goroutine, deadline)
}

/// The number of the processor that runs the goroutine.
fn index(context: &Context) -> usize {
    context.with_core(|core| core.map_or(0, |core| core.processor.index))
}

/// The running goroutine's wait is over. Returns whether its time came.
fn end_wait(wait: TimedWait) -> bool {
    let is_cancelled = current::with(|context| {
        count_wake(context);
        context.goroutine().map(|goroutine| context.runtime.timers.cancel(goroutine, wait))
    });
    is_cancelled.flatten() == Some(false)
}

/// Waits for the token on this thread, without a processor.
fn block(goroutine: GoroutineRef, deadline: Option<Instant>) {
    let on_thread = OnThread::new(goroutine);
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
    drop(on_thread);
}

/// Counts a wait that something outside the runtime will end: while there is one, there is no deadlock.
fn count_wait(context: &Context) {
    context.with_core(|core| match core {
        Some(core) => core.stats().outside_waits.bump(),
        None => context.runtime.stats.outside_waits.bump_shared(),
    });
}

/// Keep in step with `count_wait`.
fn count_wake(context: &Context) {
    context.with_core(|core| match core {
        Some(core) => core.stats().outside_wakes.bump(),
        None => context.runtime.stats.outside_wakes.bump_shared(),
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
