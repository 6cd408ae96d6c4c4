//! Waiting by the `polling` crate and by `select`.
//!
//! `select`, since macOS's `poll` counts whole milliseconds: a sleep of 20 µs would be one of 1 ms.
#![allow(unsafe_code, reason = "registered descriptors and those of `select` are known by their number")]

use super::super::{Event, timespec};
use crate::primitives::Mutex;
use polling::{Events, PollMode};
use rustix::event::{FdSetElement, FdSetIter, fd_set_insert, fd_set_num_elements, select};
use std::io::{self, PipeReader, PipeWriter};
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// Events taken at a time. Guess.
const EVENTS: NonZeroUsize = NonZeroUsize::new(128).unwrap();

/// As in `linux`.
pub(crate) struct Descriptors {
    poller: polling::Poller,
    events: Mutex<Events>,
}

impl Descriptors {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { poller: polling::Poller::new()?, events: Mutex::new(Events::with_capacity(EVENTS)) })
    }

    /// As in `linux`.
    pub(crate) fn add(&self, fd: BorrowedFd<'_>, place: u32) -> io::Result<()> {
        let event = polling::Event::all(place as usize);
        // SAFETY: whoever registers a descriptor keeps it open until `remove` (`Pollable`).
        unsafe { self.poller.add_with_mode(&fd, event, PollMode::Edge) }
    }

    /// As in `linux`.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // The descriptor may have been closed by force; then the kernel has forgotten it already.
        let _ = self.poller.delete(fd);
    }

    /// As in `linux`.
    pub(crate) fn take(&self, mut each: impl FnMut(u32, Event)) {
        let mut events = self.events.lock();
        events.clear();
        // An error (a signal) is an empty answer: the next look finds what is there.
        let _ = self.poller.wait(&mut events, Some(Duration::ZERO));
        for event in events.iter() {
            let place = u32::try_from(event.key).expect("`add` gave it");
            // Which events are the last is told apart neither by all systems nor by `polling`. So each may be: a read always
            // tries before it waits.
            each(place, Event { reads: event.readable, ends: true, writes: event.writable });
        }
    }
}

impl AsFd for Descriptors {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// What ends the sleep of a thread: a pipe.
pub(crate) struct Bell {
    hears: PipeReader,
    rings: PipeWriter,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (hears, rings) = io::pipe()?;
        rustix::io::ioctl_fionbio(&hears, true)?;
        rustix::io::ioctl_fionbio(&rings, true)?;
        Ok(Self { hears, rings })
    }

    /// As in `linux`.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.hears.as_fd()
    }

    /// As in `linux`.
    pub(crate) fn ring(&self) {
        // It fails only when the pipe is full: then the bell rings already.
        let _ = rustix::io::write(&self.rings, &[1]);
    }

    /// As in `linux`.
    pub(crate) fn wait(&self, beside: Option<BorrowedFd<'_>>, timeout: Option<Duration>) {
        let own = self.fd().as_raw_fd();
        let other = beside.map_or(own, |fd| fd.as_raw_fd());
        let bound = own.max(other) + 1;
        let mut set = vec![FdSetElement::default(); fd_set_num_elements(2, bound)];
        fd_set_insert(&mut set, own);
        fd_set_insert(&mut set, other);
        // SAFETY: both are borrowed for as long as this takes, so they are open.
        let ready = unsafe { select(bound, Some(&mut set), None, None, timeout.map(timespec).as_ref()) };
        // An error (a signal) is an early return, and leaves the set as it was.
        if ready.is_ok() && FdSetIter::new(&set).any(|fd| fd == own) {
            // More rings than that in one sleep, and the next ends early.
            let _ = rustix::io::read(&self.hears, &mut [0; 64]);
        }
    }
}
