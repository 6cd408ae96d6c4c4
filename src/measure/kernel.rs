//! The few kernel calls that neither std nor rustix offers as this station needs them, each behind a safe function.
#![allow(unsafe_code, reason = "wait4, getrusage, clone, execv, signal and setenv have no safe form")]

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// What a process has used, by its rusage: of itself and of the children it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// User CPU time, microseconds.
    pub(super) user_us: u64,
    /// System CPU time, microseconds.
    pub(super) system_us: u64,
    /// Context switches it asked for.
    pub(super) voluntary_switches: u64,
    /// Context switches it did not ask for.
    pub(super) involuntary_switches: u64,
    /// Page faults without a read from disk.
    pub(super) minor_faults: u64,
    /// Page faults with one.
    pub(super) major_faults: u64,
    /// Peak resident memory, KiB; not a difference, so [`Usage::since`] leaves it.
    pub(super) max_rss_kib: u64,
}

impl Usage {
    /// What was used after `start` was taken of the same process.
    pub(super) fn since(self, start: Self) -> Self {
        Self {
            user_us: self.user_us.saturating_sub(start.user_us),
            system_us: self.system_us.saturating_sub(start.system_us),
            voluntary_switches: self.voluntary_switches.saturating_sub(start.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(start.involuntary_switches),
            minor_faults: self.minor_faults.saturating_sub(start.minor_faults),
            major_faults: self.major_faults.saturating_sub(start.major_faults),
            max_rss_kib: self.max_rss_kib,
        }
    }

    fn of(raw: &libc::rusage) -> Self {
        let micros = |time: libc::timeval| unsigned(time.tv_sec) * 1_000_000 + unsigned(time.tv_usec);
        Self {
            user_us: micros(raw.ru_utime),
            system_us: micros(raw.ru_stime),
            voluntary_switches: unsigned(raw.ru_nvcsw),
            involuntary_switches: unsigned(raw.ru_nivcsw),
            minor_faults: unsigned(raw.ru_minflt),
            major_faults: unsigned(raw.ru_majflt),
            max_rss_kib: unsigned(raw.ru_maxrss),
        }
    }
}

/// The kernel counts in signed words; a negative one would be nonsense and is taken as 0.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Reaps the child `pid` if it has ended; `None` while it runs.
pub(super) fn reap(pid: u32) -> io::Result<Option<(ExitStatus, Usage)>> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `status` and `usage` live on this stack for the whole call and have the types that wait4(2) fills.
    let reaped = unsafe { libc::wait4(pid, &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    match reaped {
        0 => Ok(None),
        reaped if reaped < 0 => Err(io::Error::last_os_error()),
        _ => {
            // SAFETY: wait4 returned a pid, so it has filled `usage`; and all-zero bytes are a valid rusage anyway.
            let usage = unsafe { usage.assume_init() };
            Ok(Some((ExitStatus::from_raw(status), Usage::of(&usage))))
        }
    }
}

/// What this process has used so far.
pub(super) fn own_usage() -> Usage {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` lives on this stack for the whole call. The call cannot fail with RUSAGE_SELF and a valid pointer.
    let _ = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    // SAFETY: it was zeroed above, which is a valid rusage whatever the call did.
    Usage::of(&unsafe { usage.assume_init() })
}

/// Which of the two processes returned from [`clone_sibling`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloned {
    /// The caller.
    Original,
    /// The new process, whose parent is the caller's parent.
    Sibling,
}

/// Forks this process into a sibling: a child of its parent, with resource usage and peak memory counted from zero.
/// Only for a process with one thread.
pub(super) fn clone_sibling() -> io::Result<Cloned> {
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

/// Gives a signal its default action back.
pub(super) fn reset_signal(signal: i32) {
    // SAFETY: SIG_DFL is a valid action for any signal and runs no code of ours; for a number that is none the call fails.
    let _ = unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Sets a variable of this process, which must have one thread.
pub(super) fn set_variable(name: &OsStr, value: &str) {
    // SAFETY: the launcher, the one caller, has a single thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var(name, value) }
}

/// Replaces this process by the program at `path`; returns only if that fails. Unlike `execvp`, a file of an unknown
/// format is refused, not handed to a shell.
pub(super) fn exec(path: &CStr, argv: &[CString]) -> io::Error {
    let pointers: Vec<*const libc::c_char> =
        argv.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
    // SAFETY: `path` and every pointer of the null-ended `pointers` are NUL-terminated strings that outlive the call.
    let _ = unsafe { libc::execv(path.as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// The descriptor inside something that lets go of it.
pub(super) fn into_owned_fd(holder: impl IntoRawFd) -> OwnedFd {
    // SAFETY: `into_raw_fd` hands over ownership of an open descriptor, which nobody else closes.
    unsafe { OwnedFd::from_raw_fd(holder.into_raw_fd()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_since_a_start_is_the_difference_but_for_peak_memory() {
        let start = Usage { user_us: 5, system_us: 9, minor_faults: 3, max_rss_kib: 700, ..Usage::default() };
        let end = Usage { user_us: 25, system_us: 8, minor_faults: 10, max_rss_kib: 900, ..Usage::default() };
        let expected =
            Usage { user_us: 20, system_us: 0, minor_faults: 7, max_rss_kib: 900, ..Usage::default() };
        assert_eq!(end.since(start), expected);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(own_usage().max_rss_kib > 0);
    }

    #[test]
    fn a_process_that_is_no_child_is_not_reaped() {
        assert_eq!(reap(1).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }
}
