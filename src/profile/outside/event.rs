//! Opens one sampling event of the kernel: the system calls, and nothing that decides.
#![allow(unsafe_code, reason = "perf_event_open and its ioctls have no safe wrapper")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use perf_event_open_sys as sys;
use perf_event_open_sys::bindings;

use super::unwind::STACK_BYTES;
use super::{Event, Stacks};
use crate::machine::CpuList;

/// What each sample holds; `record` parses by the same word.
pub(super) const SAMPLE_FORMAT: u64 = (bindings::PERF_SAMPLE_IP
    | bindings::PERF_SAMPLE_TID
    | bindings::PERF_SAMPLE_TIME
    | bindings::PERF_SAMPLE_CPU
    | bindings::PERF_SAMPLE_CALLCHAIN
    | bindings::PERF_SAMPLE_REGS_USER
    | bindings::PERF_SAMPLE_STACK_USER) as u64;

/// The registers that lead from a frame to its caller, as this machine numbers them.
pub(super) const REGISTERS: RegisterNumbers = if cfg!(target_arch = "aarch64") {
    RegisterNumbers { instruction: 32, stack: 31, frame: 29, link: Some(30) }
} else {
    RegisterNumbers { instruction: 8, stack: 7, frame: 6, link: None }
};

/// The kernel's numbers of registers, `PERF_REG_X86_IP` and the like.
#[derive(Clone, Copy, Debug)]
pub(super) struct RegisterNumbers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
    /// Where a call leaves the return address in a register.
    pub(super) link: Option<u64>,
}

impl RegisterNumbers {
    /// One bit for each register that is asked for.
    pub(super) const fn mask(self) -> u64 {
        let link = match self.link {
            Some(link) => 1 << link,
            None => 0,
        };
        1 << self.instruction | 1 << self.stack | 1 << self.frame | link
    }
}

/// Whose samples one event takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Every task that runs on the CPU.
    Everyone,
    /// One thread, and the threads and processes it starts from now on.
    Task(u32),
}

/// What is the same for all events of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) event: Event,
    pub(super) stacks: Stacks,
    pub(super) frequency_hz: u32,
    /// Bytes in the ring at which the kernel marks the descriptor readable.
    pub(super) watermark_bytes: u32,
}

/// Opens one event on one CPU, disabled; [`enable`] starts it.
///
/// # Errors
/// The kernel's. `EACCES` and `EPERM` are refusals; `ENOENT`, `ENODEV` and `EOPNOTSUPP` mean that there is no such event here.
pub(super) fn open(settings: &Settings, who: Who, cpu: u32) -> io::Result<OwnedFd> {
    let mut attr = attributes(settings, who);
    let pid = match who {
        Who::Everyone => -1,
        Who::Task(tid) => libc::pid_t::try_from(tid).map_err(io::Error::other)?,
    };
    let cpu = libc::c_int::try_from(cpu).map_err(io::Error::other)?;
    let flags = libc::c_ulong::from(bindings::PERF_FLAG_FD_CLOEXEC);
    // SAFETY: `attr` is a whole, initialised structure that lives over the call, with `size` set; it asks for samples
    // written to a ring that is not mapped yet, so the kernel writes to no memory of ours but `attr.size`.
    let fd = unsafe { sys::perf_event_open(&mut attr, pid, cpu, -1, flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above returned `fd` just now as a new descriptor, and nobody else has seen its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Bytes of stack that are copied with each sample. A thread that leaves its CPU is within a call of libc, whose frames are
/// few and small; beyond them frame pointers lead on. And thousands leave in a second.
fn stack_bytes(event: Event) -> u32 {
    if event == Event::ContextSwitches { STACK_BYTES / 4 } else { STACK_BYTES }
}

fn attributes(settings: &Settings, who: Who) -> bindings::perf_event_attr {
    let (type_, config) = match settings.event {
        Event::Cycles => (bindings::PERF_TYPE_HARDWARE, u64::from(bindings::PERF_COUNT_HW_CPU_CYCLES)),
        Event::ContextSwitches => {
            (bindings::PERF_TYPE_SOFTWARE, u64::from(bindings::PERF_COUNT_SW_CONTEXT_SWITCHES))
        }
        // The others are none of the kernel's.
        Event::CpuClock | Event::ProfTimer | Event::Polls | Event::GoroutineTrace => {
            (bindings::PERF_TYPE_SOFTWARE, u64::from(bindings::PERF_COUNT_SW_CPU_CLOCK))
        }
    };
    let mut attr = bindings::perf_event_attr {
        type_,
        config,
        size: u32::try_from(size_of::<bindings::perf_event_attr>())
            .expect("the structure is some hundred bytes"),
        sample_type: SAMPLE_FORMAT,
        sample_regs_user: REGISTERS.mask(),
        sample_stack_user: stack_bytes(settings.event),
        clockid: libc::CLOCK_MONOTONIC,
        ..Default::default()
    };
    if settings.event == Event::ContextSwitches {
        // Each of them, and a record when a thread leaves its CPU and when it is back.
        attr.__bindgen_anon_1.sample_period = 1;
        attr.set_context_switch(1);
    } else {
        attr.__bindgen_anon_1.sample_freq = u64::from(settings.frequency_hz);
        attr.set_freq(1);
    }
    attr.__bindgen_anon_2.wakeup_watermark = settings.watermark_bytes;
    attr.set_watermark(1);
    attr.set_use_clockid(1);
    attr.set_disabled(1);
    attr.set_exclude_idle(1);
    attr.set_exclude_hv(1);
    attr.set_exclude_kernel(u64::from(settings.stacks == Stacks::UserOnly));
    attr.set_inherit(u64::from(who != Who::Everyone));
    // Records that follow the process tree and its mappings, each with its time, so that rings can be merged.
    attr.set_mmap(1);
    attr.set_mmap2(1);
    attr.set_comm(1);
    attr.set_comm_exec(1);
    attr.set_task(1);
    attr.set_sample_id_all(1);
    attr
}

/// Starts the event.
///
/// # Errors
/// The kernel's; an error here is one of our making.
pub(super) fn enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: `event` is open while borrowed, and ENABLE takes no pointer.
    succeeded(unsafe { sys::ioctls::ENABLE(event.as_raw_fd(), 0) })
}

/// Stops the event; what it wrote stays in its ring.
///
/// # Errors
/// As [`enable`].
pub(super) fn disable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: `event` is open while borrowed, and DISABLE takes no pointer.
    succeeded(unsafe { sys::ioctls::DISABLE(event.as_raw_fd(), 0) })
}

/// Makes `event` write into the ring of `target`, an event on the same CPU whose ring is mapped.
///
/// # Errors
/// The kernel's: the events are on different CPUs.
pub(super) fn redirect(event: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: both descriptors are open while borrowed, and SET_OUTPUT takes the second as a number.
    succeeded(unsafe { sys::ioctls::SET_OUTPUT(event.as_raw_fd(), target.as_raw_fd()) })
}

fn succeeded(status: libc::c_int) -> io::Result<()> {
    if status < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the error says that this machine has no such event, as opposed to a refusal.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP))
}

/// Whether the error is a refusal.
pub(super) fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM))
}

/// The numbers of the CPUs that are online, ascending, at least one.
pub(super) fn online_cpus() -> Vec<u32> {
    let listed = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    let cpus = listed.and_then(|text| text.parse::<CpuList>().ok());
    cpus.map_or_else(
        || (0..u32::try_from(num_cpus::get()).unwrap_or(1)).collect(),
        |cpus| cpus.iter().collect(),
    )
}

/// A number of `/proc/sys/kernel`, such as `perf_event_paranoid`.
pub(super) fn kernel_setting(name: &str) -> Option<i64> {
    let text = io::read_to_string(File::open(format!("/proc/sys/kernel/{name}")).ok()?).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_cpu_online() {
        assert!(!online_cpus().is_empty());
    }

    #[test]
    fn refusal_and_absence_are_told_apart() {
        let error = io::Error::from_raw_os_error;
        assert!(is_forbidden(&error(libc::EACCES)) && !is_missing(&error(libc::EACCES)));
        assert!(is_missing(&error(libc::ENOENT)) && !is_forbidden(&error(libc::ENOENT)));
    }

    #[test]
    fn an_inherited_event_belongs_to_one_task() {
        let settings = Settings {
            event: Event::CpuClock,
            stacks: Stacks::UserOnly,
            frequency_hz: 997,
            watermark_bytes: 4096,
        };
        let everyone = attributes(&settings, Who::Everyone);
        let task = attributes(&settings, Who::Task(1));
        assert_eq!((everyone.inherit(), task.inherit()), (0, 1));
        assert_eq!(task.exclude_kernel(), 1);
    }
}
