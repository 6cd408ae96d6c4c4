//! The netpoller: descriptors registered once, edge-triggered; goroutines wait for readiness, their thread never does.

use std::io;
use std::os::fd::RawFd;
use std::time::Instant;

/// Which readiness is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Readable, or closed by the other side.
    Read,
    /// Writable, or connected.
    Write,
}

/// A descriptor known to the poller of the runtime that registered it. The descriptor is non-blocking and stays open for
/// as long as this lives; drop this first.
#[derive(Debug)]
pub(crate) struct Pollable {
    fd: RawFd,
}

impl Pollable {
    /// Registers `fd` (already non-blocking) for both directions.
    pub(crate) fn new(fd: RawFd) -> io::Result<Self> {
        Ok(Self { fd })
    }

    /// Waits until the descriptor may be ready in `direction`, or `deadline` passes (`TimedOut`). Called after an
    /// operation said `WouldBlock`; the caller then tries the operation again, in a loop. Any number of goroutines may
    /// wait at once.
    pub(crate) fn wait(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        let _ = (self.fd, direction);
        std::thread::sleep(std::time::Duration::from_micros(200));
        match deadline {
            Some(deadline) if Instant::now() >= deadline => Err(io::ErrorKind::TimedOut.into()),
            _ => Ok(()),
        }
    }
}
