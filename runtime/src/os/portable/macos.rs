//! Calls that only macOS has.
#![allow(unsafe_code, reason = "they fill what a pointer shows them")]

use rustix::net::SendFlags;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// The option that says so is the socket's (`silence_pipe_signal`).
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// No SIGPIPE where the other side of `socket` has closed.
pub(super) fn silence_pipe_signal(socket: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::net::sockopt::set_socket_nosigpipe(socket, true) {
        // So macOS answers where the other side has closed already: nothing can be written there anyway, and Rust's programs
        // ignore the signal.
        Err(rustix::io::Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> Option<u64> {
    let mut id = 0;
    // SAFETY: 0 stands for the calling thread, and `id` has room for the answer.
    let failed = unsafe { libc::pthread_threadid_np(0, &raw mut id) };
    (failed == 0).then_some(id)
}

/// Threads of this process.
pub(crate) fn count_threads() -> Option<usize> {
    let mut info = MaybeUninit::<libc::proc_taskinfo>::zeroed();
    let bytes = i32::try_from(size_of::<libc::proc_taskinfo>()).ok()?;
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    // SAFETY: `info` has room for the `bytes` that are asked for.
    let filled =
        unsafe { libc::proc_pidinfo(pid, libc::PROC_PIDTASKINFO, 0, info.as_mut_ptr().cast(), bytes) };
    if filled != bytes {
        return None;
    }
    // SAFETY: all bytes zero are a valid `proc_taskinfo`, and the kernel has filled it.
    let info = unsafe { info.assume_init() };
    usize::try_from(info.pti_threadnum).ok()
}
