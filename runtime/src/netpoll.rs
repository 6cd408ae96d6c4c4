//! The netpoller: descriptors registered once, edge-triggered; goroutines wait for readiness, their thread never does.
//!
//! Each direction has a flag that an event sets and that a waiter takes before it tries its operation again. So an edge
//! between "would block" and the wait is not lost. With several waiters one could take the flag of an edge that another,
//! which saw "would block" before it, then waits for in vain (the first need not read everything). So whoever is about
//! to wait after *someone else* took the flag asks the kernel once.
#![allow(unsafe_code, reason = "a registered descriptor is borrowed for as long as its `Pollable` lives")]

use crate::blocking::blocking;
use crate::current;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::park::{self, WaitReason};
use crate::poller::wait_on_thread;
use crate::primitives::{Arc, Mutex, MutexGuard, OnceLock};
use crate::runtime::Runtime;
use rustix::event::PollFlags;
use rustix::event::epoll::EventFlags;
use std::io;
use std::mem;
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
    key: u64,
    source: Arc<Source>,
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
        let Some(runtime) = current::runtime() else { return self.wait_on_thread(direction, deadline) };
        let registration = self.registration(&runtime)?;
        if Arc::ptr_eq(&registration.runtime, &runtime) {
            drop(runtime);
            self.park(registration, goroutine, direction, deadline)
        } else {
            blocking(|| self.wait_on_thread(direction, deadline))
        }
    }

    fn registration(&self, runtime: &Arc<Runtime>) -> io::Result<&Registration> {
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let _registering = self.registering.lock();
        if let Some(registration) = self.registration.get() {
            return Ok(registration);
        }
        let source = Arc::new(Source::default());
        let key = runtime.poller.register(self.fd(), Arc::clone(&source))?;
        Ok(self.registration.get_or_init(|| Registration { runtime: Arc::clone(runtime), key, source }))
    }

    fn park(
        &self,
        registration: &Registration,
        goroutine: GoroutineRef,
        direction: Direction,
        deadline: Option<Instant>,
    ) -> io::Result<()> {
        let side = registration.source.side(direction);
        let me = goroutine.id();
        let ask_kernel = {
            let mut side = side.lock();
            if side.is_ready {
                side.take(me);
                return Ok(());
            }
            side.waiters.push(goroutine);
            side.taken_by != 0 && side.taken_by != me
        };
        // An error of the question shows up again in the operation itself.
        let is_ready =
            ask_kernel && wait_on_thread(self.fd(), direction.flags(), Some(Duration::ZERO)).unwrap_or(true);
        if !is_ready {
            let object = usize::try_from(self.fd).unwrap_or_default();
            match deadline {
                Some(deadline) => park::park_until(WaitReason::Net, object, deadline),
                None => park::park(WaitReason::Net, object),
            }
        }
        let mut side = side.lock();
        let waiters = side.waiters.len();
        side.waiters.retain(|waiter| *waiter != goroutine);
        if side.waiters.len() == waiters {
            // An event took it off the list.
            side.take(me);
            return Ok(());
        }
        match deadline {
            Some(deadline) if !is_ready && Instant::now() >= deadline => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
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
            registration.runtime.poller.deregister(self.fd(), registration.key);
        }
    }
}

/// A registered descriptor as the poller sees it.
#[derive(Debug, Default)]
pub(crate) struct Source {
    read: Mutex<Side>,
    write: Mutex<Side>,
}

/// One direction.
#[derive(Default)]
struct Side {
    /// An event came, and no one has taken it.
    is_ready: bool,
    /// Id of the goroutine that last took one; 0 if none did.
    taken_by: u64,
    waiters: Vec<GoroutineRef>,
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Side")
            .field("is_ready", &self.is_ready)
            .field("waiters", &self.waiters.len())
            .finish()
    }
}

impl Side {
    fn take(&mut self, id: u64) {
        self.is_ready = false;
        self.taken_by = id;
    }
}

impl Source {
    fn side(&self, direction: Direction) -> &Mutex<Side> {
        match direction {
            Direction::Read => &self.read,
            Direction::Write => &self.write,
        }
    }

    /// The kernel said `flags`: whoever waits for that tries again.
    pub(crate) fn notify(&self, flags: EventFlags, ready: &mut Vec<Runnable>) {
        let both = EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::IN | EventFlags::PRI | EventFlags::RDHUP | both) {
            Self::wake(self.read.lock(), ready);
        }
        if flags.intersects(EventFlags::OUT | both) {
            Self::wake(self.write.lock(), ready);
        }
    }

    fn wake(mut side: MutexGuard<'_, Side>, ready: &mut Vec<Runnable>) {
        side.is_ready = true;
        let waiters = mem::take(&mut side.waiters);
        drop(side);
        for waiter in waiters {
            waiter.unpark_into(ready);
        }
    }
}
