//! What Linux and macOS have in common, for macOS; and on Linux for tests.

pub(crate) mod memory;
pub(crate) mod poller;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(target_os = "macos"))]
mod stand_in;

#[cfg(target_os = "macos")]
use macos as own;
#[cfg(not(target_os = "macos"))]
use stand_in as own;

pub(crate) use own::{SEND_FLAGS, count_threads, thread_id};

use super::MemoryHints;
use rustix::io::FdFlags;
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(crate) const MEMORY_HINTS: MemoryHints =
    MemoryHints { reserve: "raise `ulimit -v`", guard: "start fewer goroutines at a time" };

/// As in `linux`, but for a moment in which another thread that forks and executes a program hands it on.
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket(family, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    prepare_socket(socket.as_fd())?;
    Ok(socket)
}

/// As in `linux`.
pub(crate) fn prepare_socket(socket: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::ioctl_fionbio(socket, true)?;
    own::silence_pipe_signal(socket)
}

/// No system but Linux has such a fence.
pub(crate) fn register_fences() -> bool {
    false
}

/// Not called.
pub(crate) fn fence_all() {
    unreachable!("`register_fences` says that it may not be called");
}

/// Cannot be set.
pub(crate) fn set_timer_slack(_slack_ns: u64) {}

/// The CPU that this thread runs on, if the system tells.
pub(crate) fn current_cpu() -> Option<usize> {
    None
}

/// Not known but to std.
pub(crate) fn allowed_cpus() -> Option<usize> {
    None
}
