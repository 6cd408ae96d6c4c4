//! The netpoller: descriptors registered once, edge-triggered; goroutines wait for readiness, their thread never does.
//!
//! The kernel says when something comes (`poller.rs`), each direction remembers it until someone takes it (`readiness.rs`).
#![allow(unsafe_code, reason = "a registered descriptor is borrowed for as long as its `Pollable` lives")]

use crate::blocking::blocking;
use crate::current;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::park::{self, WaitReason};
use crate::poller::wait_on_thread;
use crate::primitives::{Arc, Mutex, OnceLock};
use crate::readiness::{Entered, Readiness};
use crate::runtime::Runtime;
use crate::sources::{Mark, Source};
use rustix::event::PollFlags;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::time::{Duration, Instant};

/// Which readiness is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Readable, or closed by the other side.
    Read,
    /// Writable, or connected.
    Write,
}

impl Direction {
    fn flags(self) -> PollFlags {
        match self {
            Self::Read => PollFlags::IN,
            Self::Write => PollFlags::OUT,
        }
    }

    fn of(self, source: &Source) -> &Readiness {
        match self {
            Self::Read => &source.read,
            Self::Write => &source.write,
        }
    }
}

/// A descriptor known to the poller of the first runtime in which it was waited for. The descriptor is non-blocking and
/// stays open for as long as this lives; drop this first.
#[derive(Debug)]
pub(crate) struct Pollable {
    fd: RawFd,
    registration: OnceLock<Registration>,
    registering: Mutex<()>,
}

#[derive(Debug)]
struct Registration {
    runtime: Arc<Runtime>,
    /// In its poller's sources.
    place: u32,
}

impl Registration {
    fn source(&self) -> &Source {
        self.runtime.poller.source(self.place)
    }
}

impl Pollable {
    /// A descriptor that may be waited for. It is registered, for both directions, when it first is: many never are.
    pub(crate) fn new(fd: RawFd) -> io::Result<Self> {
        if fd < 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { fd, registration: OnceLock::new(), registering: Mutex::new(()) })
    }

    /// Waits until the descriptor may be ready in `direction`, or `deadline` passes (`TimedOut`). Called after an
    /// operation said `WouldBlock`; the caller then tries the operation again, in a loop. Any number of goroutines may
    /// wait at once. Outside a runtime the thread waits; in a runtime other than the one where the descriptor was first
    /// waited for, the thread waits too, in a blocking call.
    pub(crate) fn wait(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        let Some(goroutine) = current::goroutine() else { return self.wait_on_thread(direction, deadline) };
        let registration = match self.registration.get() {
            Some(registration) => registration,
            None => self.register()?,
        };
        if current::is_of(&registration.runtime) {
            self.park(registration.source(), goroutine, direction, deadline)
        } else {
            blocking(|| self.wait_on_thread(direction, deadline))
        }
    }

    /// A moment before a read, for [`is_drained`](Self::is_drained); `None` while nothing can be said.
    pub(crate) fn mark(&self) -> Option<Mark> {
        self.registration.get().and_then(|registration| registration.source().mark())
    }

    /// Whether there was nothing to read a moment ago, if a read after `mark` got all there was.
    pub(crate) fn is_drained(&self, mark: Mark) -> bool {
        self.registration.get().is_some_and(|registration| registration.source().is_since(mark))
    }

    /// Whether the caller may wait for something to read though there may have been something at `mark`, after which no event
    /// came. It is then woken if none comes (`doubts.rs`). Called before `wait`, which finds that out if it was meanwhile.
    pub(crate) fn may_wait_in_doubt(&self, mark: Mark) -> bool {
        self.registration.get().is_some_and(|Registration { runtime, place }| {
            let index = current::with(|context| {
                context.with_core(|core| core.map_or(0, |core| core.processor.index))
            });
            // What the clock was at the last look will do, and spares a look at it.
            runtime.poller.doubts.add(index.unwrap_or(0), *place, mark, runtime.last_look_ns())
        })
    }

    /// Registers it with the current runtime, unless someone has done so.
    #[cold]
    fn register(&self) -> io::Result<&Registration> {
        let _registering = self.registering.lock();
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let runtime = current::runtime().ok_or(io::ErrorKind::NotConnected)?;
        let place = runtime.poller.register(self.fd())?;
        Ok(self.registration.get_or_init(|| Registration { runtime, place }))
    }

    fn park(
        &self,
        source: &Source,
        me: GoroutineRef,
        direction: Direction,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        let readiness = direction.of(source);
        match readiness.enter(me) {
            Entered::Ready => return Ok(()),
            Entered::Waits => {}
            Entered::WaitsUnsure if self.is_ready_now(direction) => {
                // As good as an event, which whoever entered meanwhile needs too.
                let mut ready = Vec::new();
                readiness.notify(&mut ready);
                ready.into_iter().for_each(Runnable::queue);
                return Ok(());
            }
            Entered::WaitsUnsure => {}
        }
        let object = usize::try_from(self.fd).unwrap_or_default();
        match deadline {
            Some(deadline) => _ = park::park_until(WaitReason::Net, object, deadline),
            None => park::park_outside(WaitReason::Net, object),
        }
        let has_come = readiness.leave(me);
        match deadline {
            Some(deadline) if !has_come && Instant::now() >= deadline => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }

    /// What the kernel says. An error of the question shows up again in the operation itself.
    fn is_ready_now(&self, direction: Direction) -> bool {
        wait_on_thread(self.fd(), direction.flags(), Some(Duration::ZERO)).unwrap_or(true)
    }

    fn wait_on_thread(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match wait_on_thread(self.fd(), direction.flags(), timeout)? {
            true => Ok(()),
            false => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: not -1, see `new`; and whoever made this keeps the descriptor open for as long as this lives.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Drop for Pollable {
    fn drop(&mut self) {
        if let Some(registration) = self.registration.get() {
            registration.runtime.poller.deregister(self.fd(), registration.place);
        }
    }
}
