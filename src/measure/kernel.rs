//! The few kernel calls that neither std nor rustix offers as this station needs them, each behind a safe function.
#![allow(unsafe_code, reason = "wait4, getrusage, execv, sigaction and setenv have no safe form")]

#[cfg(corefit_linux)]
mod linux;

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

#[cfg(corefit_linux)]
pub(super) use linux::{Cloned, clone_sibling, into_owned_fd};

/// Bytes of the unit of `ru_maxrss`: macOS counts bytes, all others KiB.
const MAX_RSS_UNIT_BYTES: u64 = if cfg!(target_os = "macos") { 1 } else { 1024 };

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
    /// Peak resident memory, bytes; not a difference, so [`Usage::since`] leaves it.
    pub(super) max_rss_bytes: u64,
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
            max_rss_bytes: self.max_rss_bytes,
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
            max_rss_bytes: unsigned(raw.ru_maxrss) * MAX_RSS_UNIT_BYTES,
        }
    }
}

/// The kernel counts in signed words; a negative one would be nonsense and is taken as 0.
fn unsigned(value: impl TryInto<u64>) -> u64 {
    value.try_into().unwrap_or(0)
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

/// Gives a signal its default action back.
pub(super) fn reset_signal(signal: i32) {
    // SAFETY: SIG_DFL is a valid action for any signal and runs no code of ours; for a number that is none the call fails.
    let _ = unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Has the children of this process wait to be reaped when they end: where whoever started it ignores SIGCHLD, the kernel
/// would reap them at once and tell no exit status.
pub(super) fn keep_dead_children() {
    if is_ignored(libc::SIGCHLD) {
        reset_signal(libc::SIGCHLD);
    }
}

/// Whether this process ignores `signal`, for instance because who started it did.
pub(super) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given; `action` lives on this stack for the whole call. For a number that is no signal the
    // call fails and leaves it.
    let _ = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: it was zeroed above, which is a valid action (the default one) whatever the call did.
    unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_since_a_start_is_the_difference_but_for_peak_memory() {
        let start =
            Usage { user_us: 5, system_us: 9, minor_faults: 3, max_rss_bytes: 700, ..Usage::default() };
        let end =
            Usage { user_us: 25, system_us: 8, minor_faults: 10, max_rss_bytes: 900, ..Usage::default() };
        let expected =
            Usage { user_us: 20, system_us: 0, minor_faults: 7, max_rss_bytes: 900, ..Usage::default() };
        assert_eq!(end.since(start), expected);
    }

    #[test]
    fn this_process_uses_memory() {
        assert!(own_usage().max_rss_bytes > 0);
    }

    #[test]
    fn a_process_that_is_no_child_is_not_reaped() {
        assert_eq!(reap(1).unwrap_err().raw_os_error(), Some(libc::ECHILD));
    }
}
