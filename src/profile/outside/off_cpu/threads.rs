//! What `/proc` tells of threads that do not run: what each waits for, and for how long it has run and waited for a CPU.

use std::fs;
use std::path::PathBuf;

use super::super::sampler::numbers_in;

/// A thread and the process that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Thread {
    pub(super) pid: u32,
    pub(super) tid: u32,
}

/// What a thread that does not run waits in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The system call, if it is in one that is known.
    pub(super) call: Option<&'static str>,
    /// The function of the kernel, if that may be known.
    pub(super) kernel: Option<String>,
    /// Address in the program to which the system call returns.
    pub(super) returns_to: Option<u64>,
}

/// A thread's CPU time and the time for which it could run and did not, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) cpu_ns: u64,
    pub(super) run_queue_ns: u64,
}

impl Thread {
    /// The threads of a process.
    pub(super) fn of(pid: u32) -> impl Iterator<Item = Self> {
        numbers_in(&format!("/proc/{pid}/task")).into_iter().map(move |tid| Self { pid, tid })
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/task/{}/{name}", self.pid, self.tid))
    }

    /// Its name, which is that of the program unless it has given itself another.
    pub(super) fn name(self) -> Option<String> {
        Some(fs::read_to_string(self.file("comm")).ok()?.trim_end().to_owned())
    }

    /// Whether it waits, as opposed to running or waiting for a CPU; `None` if it has ended.
    pub(super) fn waits(self) -> Option<bool> {
        Some(!matches!(state(&fs::read_to_string(self.file("stat")).ok()?)?, 'R' | 'Z' | 'X'))
    }

    /// What it waits for.
    pub(super) fn waiting(self) -> Waiting {
        let read = |name| fs::read_to_string(self.file(name)).unwrap_or_default();
        let kernel = Some(read("wchan")).filter(|name| !name.is_empty() && name != "0");
        Waiting { kernel, ..system_call(&read("syscall")) }
    }

    /// What it has used up to now; `None` if it has ended, or this kernel does not count.
    pub(super) fn used(self) -> Option<Used> {
        used(&fs::read_to_string(self.file("schedstat")).ok()?)
    }
}

/// The state in a line of `stat`: `tid (name) state …`, where the name may hold anything.
fn state(stat: &str) -> Option<char> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.trim_start().chars().next()
}

/// A line of `schedstat`: on a CPU, waiting for one, turns.
fn used(text: &str) -> Option<Used> {
    let mut fields = text.split_whitespace().map(str::parse);
    Some(Used { cpu_ns: fields.next()?.ok()?, run_queue_ns: fields.next()?.ok()? })
}

/// A line of `syscall`: `running`, or the number, six arguments, stack pointer and program counter.
fn system_call(text: &str) -> Waiting {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let number = fields.first().and_then(|field| field.parse().ok());
    let returns_to = fields.get(8).and_then(|field| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok());
    let call = CALLS.iter().find(|(known, _)| number == Some(*known)).map(|(_, name)| *name);
    Waiting { call, kernel: None, returns_to }
}

/// System calls in which programs usually wait.
const CALLS: &[(libc::c_long, &str)] = &[
    (libc::SYS_futex, "futex"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_readv, "readv"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pread64, "pread"),
    (libc::SYS_pwrite64, "pwrite"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_openat, "openat"),
    (libc::SYS_ppoll, "ppoll"),
    (libc::SYS_pselect6, "pselect"),
    (libc::SYS_epoll_pwait, "epoll_wait"),
    (libc::SYS_accept, "accept"),
    (libc::SYS_accept4, "accept"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_nanosleep, "nanosleep"),
    (libc::SYS_clock_nanosleep, "clock_nanosleep"),
    (libc::SYS_wait4, "wait"),
    (libc::SYS_waitid, "wait"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_io_uring_enter, "io_uring_enter"),
    (libc::SYS_rt_sigtimedwait, "sigwait"),
    (libc::SYS_rt_sigsuspend, "sigsuspend"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, "poll"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, "select"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_epoll_wait, "epoll_wait"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_pause, "pause"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_call_is_named_and_where_it_returns_to() {
        let line =
            format!("{} 0x3 0x7f 0x20000 0x0 0xffffffff 0x0 0x7fff76d24598 0x7f073dffb2ad\n", libc::SYS_read);
        let waiting = Waiting { call: Some("read"), kernel: None, returns_to: Some(0x7f07_3dff_b2ad) };
        assert_eq!(system_call(&line), waiting);
        assert_eq!(system_call("running\n"), Waiting::default());
        assert_eq!(system_call("-1 0x7ffc 0x7f07\n"), Waiting::default(), "in no system call");
        assert_eq!(system_call(""), Waiting::default());
    }

    #[test]
    fn a_state_is_found_behind_any_name() {
        assert_eq!(state("7 (a) R) S 5 7"), Some('S'));
        assert_eq!(state("nonsense"), None);
    }

    #[test]
    fn times_are_the_first_two_numbers() {
        assert_eq!(used("1464209 10886464 2\n"), Some(Used { cpu_ns: 1_464_209, run_queue_ns: 10_886_464 }));
        assert_eq!(used("0"), None);
    }

    #[test]
    fn this_thread_runs_and_one_that_sleeps_waits() {
        let pid = std::process::id();
        let own = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        assert_eq!(Thread { pid, tid: own }.waits(), Some(false));
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let sleeper = std::thread::spawn(move || {
            tell.send(rustix::thread::gettid()).unwrap();
            ended.recv().unwrap_err();
        });
        let tid = u32::try_from(told.recv().unwrap().as_raw_nonzero().get()).unwrap();
        let sleeper_seen = Thread { pid, tid };
        while sleeper_seen.waits() != Some(true) {
            std::thread::yield_now();
        }
        assert!(sleeper_seen.waiting().call.is_none_or(|call| call == "futex"));
        drop(end);
        sleeper.join().unwrap();
        assert!(Thread::of(pid).count() > 0);
    }
}
