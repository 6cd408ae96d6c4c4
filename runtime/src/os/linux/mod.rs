//! Linux.

pub(crate) mod memory;
pub(crate) mod poller;

use super::MemoryHints;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};
use rustix::thread::{MembarrierCommand, membarrier};
use std::io;
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) const MEMORY_HINTS: MemoryHints = MemoryHints {
    reserve: "raise `ulimit -v` or set vm.overcommit_memory to 0 or 1",
    guard: "before Linux 6.13 each stack takes two mappings: raise vm.max_map_count (`sysctl vm.max_map_count=1000000`)",
};

/// For `send` on a stream: no SIGPIPE where the other side has closed.
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// A stream socket that neither blocks nor outlives an `exec`.
pub(crate) fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

/// Makes a socket as the runtime needs it, wherever it comes from: it does not block.
pub(crate) fn prepare_socket(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(socket, true)?)
}

/// Asks that `fence_all` may be called from now on. Whether it may.
pub(crate) fn register_fences() -> bool {
    membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
}

/// Makes every CPU that runs a thread of this process pass a full fence.
pub(crate) fn fence_all() {
    membarrier(MembarrierCommand::PrivateExpedited).expect("the kernel let us register for it");
}

/// How late, in nanoseconds, the kernel may wake this thread for the sake of fewer wake-ups. Where it cannot be set, timers
/// are later.
pub(crate) fn set_timer_slack(slack_ns: u64) {
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(slack_ns));
}

/// The kernel's number of this thread.
pub(crate) fn thread_id() -> Option<u64> {
    u64::try_from(rustix::thread::gettid().as_raw_nonzero().get()).ok()
}

/// Threads of this process.
pub(crate) fn count_threads() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// The CPU that this thread runs on, if the system tells.
pub(crate) fn current_cpu() -> Option<usize> {
    Some(rustix::thread::sched_getcpu())
}

/// CPUs that this process may run on, if the kernel says so at once; std knows other ways.
pub(crate) fn allowed_cpus() -> Option<usize> {
    let set = rustix::thread::sched_getaffinity(None).ok()?;
    usize::try_from(set.count()).ok().filter(|&cpus| cpus > 0)
}
