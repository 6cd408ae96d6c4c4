//! Those that only Linux has, or needs.
#![allow(unsafe_code, reason = "clone and a descriptor that a crate lets go of have no safe form")]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

/// Which of the two processes returned from [`clone_sibling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Cloned {
    /// The caller.
    Original,
    /// The new process, whose parent is the caller's parent.
    Sibling,
}

/// Forks this process into a sibling: a child of its parent, with resource usage and peak memory counted from zero.
/// Only for a process with one thread.
pub(in super::super) fn clone_sibling() -> io::Result<Cloned> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    let none: libc::c_long = 0;
    // SAFETY: without CLONE_VM and with no new stack this is fork: the new process gets a copy of this memory. The launcher,
    // the one caller, has a single thread, so no lock can be held by a thread that is missing in the copy.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match pid {
        0 => Ok(Cloned::Sibling),
        pid if pid > 0 => Ok(Cloned::Original),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The descriptor inside something that lets go of it.
pub(in super::super) fn into_owned_fd(holder: impl IntoRawFd) -> OwnedFd {
    // SAFETY: `into_raw_fd` hands over ownership of an open descriptor, which nobody else closes.
    unsafe { OwnedFd::from_raw_fd(holder.into_raw_fd()) }
}
