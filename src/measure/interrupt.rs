//! The user's wish to stop: Ctrl-C and its like end the sample under way, not the tool, which keeps what was measured.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::net::RecvFlags;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};

use super::kernel::is_ignored;

/// Signals that mean it.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Only there to be set: the write that reached the limit says so itself.
static LIMIT_REACHED: AtomicBool = AtomicBool::new(false);
/// Readable from the first signal on, and read by [`rearm_interrupts`] only: whoever polls it wakes, now and later.
static WAKER: OnceLock<UnixStream> = OnceLock::new();

/// From now on SIGINT, SIGTERM and SIGHUP end the sample that runs and are told by [`interrupted`], instead of killing
/// this process. A signal that is ignored (`nohup`, a background job of a script) stays ignored. Once a process; again
/// does nothing.
///
/// # Errors
/// The kernel refuses a socket or a handler.
pub fn watch_interrupts() -> io::Result<()> {
    if WAKER.get().is_some() {
        return Ok(());
    }
    let (read, write) = UnixStream::pair()?;
    if WAKER.set(read).is_err() {
        return Ok(());
    }
    for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
        signal_hook::flag::register(signal, &INTERRUPTED)?;
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(())
}

/// Has a write beyond the limit on file sizes (`ulimit -f`) fail as on a full disk, instead of ending this process. The
/// programs that are measured get the signal as before.
///
/// # Errors
/// The system's.
pub fn outlive_file_limit() -> io::Result<()> {
    if !is_ignored(SIGXFSZ) {
        signal_hook::flag::register(SIGXFSZ, &LIMIT_REACHED)?;
    }
    Ok(())
}

/// Whether such a signal has come since [`watch_interrupts`].
#[must_use]
pub fn interrupted() -> bool {
    // ORDERING: Relaxed; pairs with the store in signal-hook's handler. The flag publishes no other data.
    INTERRUPTED.load(Relaxed)
}

/// Forgets the interruptions so far, so that what has to run after one, runs, and another one ends it.
pub fn rearm_interrupts() {
    // ORDERING: Relaxed; pairs with the store in signal-hook's handler. The flag publishes no other data.
    INTERRUPTED.store(false, Relaxed);
    // The flag first: a signal in between sets it again, and is seen at the next look at the latest.
    let mut bytes = [0; 64];
    while WAKER.get().is_some_and(|waker| {
        rustix::net::recv(waker, &mut bytes, RecvFlags::DONTWAIT).is_ok_and(|(received, _)| received > 0)
    }) {}
}

/// What to poll to wake at an interruption; `None` if nobody watches.
pub(super) fn descriptor() -> Option<BorrowedFd<'static>> {
    WAKER.get().map(AsFd::as_fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_ignored_are_told_from_others() {
        // Rust's start-up code sees to that.
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(signal_hook::consts::SIGALRM));
    }
}
