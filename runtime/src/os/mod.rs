//! What the runtime asks of the operating system beyond what all Unix systems have by one name.
//!
//! Two modules offer the same: `linux`, for all that is quick there, and `portable`, which needs nothing but what macOS has
//! too (where it is `macos` that knows the few calls of its own). `--cfg corefit_portable_os` asks for the portable one on
//! Linux, so that it can be tested there; on a Mac it has not been run. No other module asks which system this is, but for
//! two that hold machine code (`fiber`, `trace/cpu.rs`).
//!
//! | | `linux` | `portable` |
//! |---|---|---|
//! | [`Descriptors`], which are ready | epoll | the `polling` crate: kqueue, or epoll |
//! | [`Bell`], which ends a sleep | `eventfd` and `ppoll` | a pipe and `select` |
//! | guard pages | `MADV_GUARD_INSTALL`, 64 a call | `mprotect` |
//! | memory given back | `MADV_DONTNEED`, 64 a call | a fresh mapping in its place |
//! | [`register_fences`], a fence on all CPUs at once | `membarrier` | none: fences on both sides |
//! | sockets that neither block nor outlive an `exec` | in one call | in three |

#[cfg(all(target_os = "linux", not(corefit_portable_os)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(corefit_portable_os))))]
mod portable;

#[cfg(all(target_os = "linux", not(corefit_portable_os)))]
use linux as system;
#[cfg(not(all(target_os = "linux", not(corefit_portable_os))))]
use portable as system;

pub(crate) use system::memory;
pub(crate) use system::poller::{Bell, Descriptors};
pub(crate) use system::{
    MEMORY_HINTS, SEND_FLAGS, allowed_cpus, count_threads, current_cpu, fence_all, prepare_socket,
    register_fences, set_timer_slack, stream_socket, thread_id,
};

use crate::primitives::OnceLock;
use rustix::event::Timespec;
use std::time::Duration;

/// What the kernel says of a registered descriptor. To try in vain is no error, so it may say too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    /// There may be something to read.
    pub(crate) reads: bool,
    /// From now on the kernel may keep quiet about what there is to read.
    pub(crate) ends: bool,
    /// There may be room to write.
    pub(crate) writes: bool,
}

/// What to do where the system refuses memory.
pub(crate) struct MemoryHints {
    /// No address space.
    pub(crate) reserve: &'static str,
    /// Out of memory for a guard page.
    pub(crate) guard: &'static str,
}

/// The longest that a thread sleeps at a time: macOS's `poll` counts milliseconds in 32 bits.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_secs(1 << 20);

/// A timeout for the kernel, which may be shorter.
pub(crate) fn timespec(timeout: Duration) -> Timespec {
    let timeout = timeout.min(LONGEST_SLEEP);
    Timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    }
}

/// Most stacks whose memory is dealt with in one call.
pub(crate) const BATCH: usize = 64;

/// Bytes of a page.
pub(crate) fn page_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(rustix::param::page_size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::wait_on_thread;
    use rustix::event::PollFlags;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn is_readable(fd: impl AsFd) -> bool {
        wait_on_thread(fd.as_fd(), PollFlags::IN, Some(Duration::ZERO)).unwrap()
    }

    #[test]
    fn a_bell_ends_one_wait_however_often_it_rang() {
        let bell = Bell::new().unwrap();
        (0..3).for_each(|_| bell.ring());
        bell.wait(None, None);
        assert!(!is_readable(bell.fd()), "it is silent");
        bell.wait(None, Some(Duration::from_micros(1)));
    }

    #[test]
    fn what_is_readable_beside_a_bell_ends_its_wait_and_stays() {
        let (bell, other) = (Bell::new().unwrap(), Bell::new().unwrap());
        other.ring();
        bell.wait(Some(other.fd()), None);
        assert!(is_readable(other.fd()));
    }

    /// What is told now of the only descriptor, whose place is 7: of all events together.
    fn told(descriptors: &Descriptors) -> Option<Event> {
        let mut told: Option<Event> = None;
        descriptors.take(|place, event| {
            assert_eq!(place, 7);
            let before = told.unwrap_or_default();
            told = Some(Event {
                reads: before.reads || event.reads,
                ends: before.ends || event.ends,
                writes: before.writes || event.writes,
            });
        });
        told
    }

    #[test]
    fn the_kernel_speaks_when_something_comes_and_not_while_it_is_there() {
        let (descriptors, bell) = (Descriptors::new().unwrap(), Bell::new().unwrap());
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        descriptors.add(near.as_fd(), 7).unwrap();
        let first = told(&descriptors).expect("there is room to write");
        assert!(first.writes && !first.reads, "{first:?}");
        assert_eq!(told(&descriptors), None);
        for _ in 0..2 {
            far.write_all(b"some").unwrap();
            // It has something to say; else this would not end.
            bell.wait(Some(descriptors.as_fd()), None);
            assert!(told(&descriptors).expect("bytes came").reads);
            assert_eq!(told(&descriptors), None, "though they are still there");
        }
        assert_eq!(near.read(&mut [0; 16]).unwrap(), 8);
        drop(far);
        let last = told(&descriptors).expect("the end came");
        assert!(last.reads && last.ends && last.writes, "{last:?}");
        descriptors.remove(near.as_fd());
    }

    #[test]
    fn threads_have_numbers_and_are_counted() {
        let other = std::thread::scope(|scope| scope.spawn(thread_id).join().unwrap());
        assert!(thread_id().is_some() && thread_id() != other);
        assert!(count_threads() >= Some(1));
    }

    #[test]
    fn a_timeout_is_what_the_kernel_can_count() {
        assert_eq!(timespec(Duration::new(3, 5)), Timespec { tv_sec: 3, tv_nsec: 5 });
        assert_eq!(timespec(Duration::MAX).tv_sec, 1 << 20);
    }
}
