//! In place of `macos.rs`, where the portable modules are tested on Linux.

use rustix::net::SendFlags;
use std::io;
use std::os::fd::BorrowedFd;

pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// Each `send` says it, by its flags.
pub(super) fn silence_pipe_signal(_socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> Option<u64> {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

/// Threads of this process.
pub(crate) fn count_threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}
