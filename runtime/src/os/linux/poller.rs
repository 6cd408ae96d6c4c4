//! Waiting by epoll.

use super::super::{Event, timespec};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Events taken at a time. Guess.
const EVENTS: usize = 128;

/// Descriptors of which the kernel says when they become ready. Itself a descriptor that is readable when it has
/// something to say.
pub(crate) struct Descriptors(OwnedFd);

impl Descriptors {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Registers `fd` as `place` for both directions, edge-triggered: what it is ready for now is the first event.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, place: u32) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI | EventFlags::ET;
        Ok(epoll::add(&self.0, fd, EventData::new_u64(place.into()), flags)?)
    }

    /// Forgets `fd`.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // The descriptor may have been closed by force; then the kernel has forgotten it already.
        let _ = epoll::delete(&self.0, fd);
    }

    /// Calls `each` with the places that are ready now, and for what.
    #[inline]
    pub(crate) fn take(&self, mut each: impl FnMut(u32, Event)) {
        let mut events = [const { MaybeUninit::uninit() }; EVENTS];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // An error (a signal) is an empty answer: the next look finds what is there.
        let Ok((events, _)) = epoll::wait(&self.0, &mut events, Some(&now)) else { return };
        for event in events {
            let (place, flags) = (event.data.u64(), event.flags);
            each(u32::try_from(place).expect("`add` gave it"), Event::of(flags));
        }
    }
}

impl AsFd for Descriptors {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Event {
    #[inline(always)]
    fn of(flags: EventFlags) -> Self {
        let both = EventFlags::HUP | EventFlags::ERR;
        let closing = EventFlags::RDHUP | EventFlags::PRI | both;
        Self {
            reads: flags.intersects(EventFlags::IN | closing),
            ends: flags.intersects(closing),
            writes: flags.intersects(EventFlags::OUT | both),
        }
    }
}

/// What ends the sleep of a thread: an `eventfd`.
pub(crate) struct Bell(OwnedFd);

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Readable from its ring on, until it is silent again.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Ends the present `wait`, or else the next. Allowed in a signal handler.
    pub(crate) fn ring(&self) {
        // It fails only when the counter is full: then the bell rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Sleeps until it rings, after which it is silent, until `beside` is readable, or `timeout` has passed; may return early.
    pub(crate) fn wait(&self, beside: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
        let count = if beside.is_some() { 2 } else { 1 };
        let mut fds =
            [self.fd(), beside.unwrap_or(self.fd())].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // An error (a signal) is an early return.
        if poll(&mut fds[..count], timeout.map(timespec).as_ref()).is_ok() && !fds[0].revents().is_empty() {
            // It fails only when the bell has not rung.
            let _ = rustix::io::read(&self.0, &mut [0; 8]);
        }
    }
}
