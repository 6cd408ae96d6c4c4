//! Which way of sampling this machine and this user's rights allow, best first:
//!
//! 1. system-wide, filtered by the process tree: sees every thread, however short it lives;
//! 2. per task, kernel included: threads are followed as they start;
//! 3. per task, user space only;
//! 4. in-process, by the bundled workloads themselves.

use std::io;

use super::event::{self, Settings, Who};
use super::{Availability, Error, Event, Source, Stacks, Time};

/// How samples are taken from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) source: Source,
    pub(super) stacks: Stacks,
    pub(super) event: Event,
}

/// The best way to sample thread `tid` (and what it starts) from outside.
///
/// # Errors
/// The kernel refuses every way, or the thread is gone.
pub(super) fn choose(tid: u32, time: Time) -> Result<Choice, Error> {
    let ways = [
        (Source::SystemWide, Stacks::KernelAndUser),
        (Source::PerTask, Stacks::KernelAndUser),
        (Source::PerTask, Stacks::UserOnly),
    ];
    let (ways, events) = match time {
        Time::OnCpu => (&ways[..], &[Event::Cycles, Event::CpuClock][..]),
        // A thread leaves its CPU in the kernel: without the kernel there is nothing to count.
        Time::OffCpu => (&ways[..2], &[Event::ContextSwitches][..]),
    };
    let mut refusal = None;
    for &(source, stacks) in ways {
        match probe(source, stacks, tid, events) {
            Ok(event) => return Ok(Choice { source, stacks, event }),
            Err(error) if event::is_forbidden(&error) => refusal = Some(error),
            Err(error) => return Err(Error::of_open(error, tid)),
        }
    }
    Err(Error::of_open(refusal.expect("each way ended in a return or a refusal"), tid))
}

/// Opens one event, and closes it again; gives the first of `events` that exists here.
fn probe(source: Source, stacks: Stacks, tid: u32, events: &[Event]) -> io::Result<Event> {
    let who = if source == Source::SystemWide { Who::Everyone } else { Who::Task(tid) };
    let cpu = event::online_cpus()[0];
    let open = |event| {
        let settings = Settings { event, stacks, frequency_hz: 1, watermark_bytes: 1 };
        event::open(&settings, who, cpu).map(|_| event)
    };
    let (last, others) = events.split_last().expect("there is an event to open");
    for &event in others {
        match open(event) {
            Err(error) if event::is_missing(&error) => {}
            result => return result,
        }
    }
    open(*last)
}

/// Finds out what sampling is possible here, by trying.
#[must_use]
pub fn availability() -> Availability {
    let mut limits = Vec::new();
    let choice = match choose(std::process::id(), Time::OnCpu) {
        Ok(choice) => choice,
        Err(error) => {
            limits.push(error.to_string());
            limits.push("only the bundled workloads can be sampled, by themselves".into());
            Choice { source: Source::InProcess, event: Event::ProfTimer, stacks: Stacks::UserOnly }
        }
    };
    if choice.source == Source::PerTask {
        limits.push(
            "threads that live for less than a sampling period may be missed: sampling the whole system needs \
             `sysctl kernel.perf_event_paranoid=0`, CAP_PERFMON or root"
                .into(),
        );
        if choice.stacks == Stacks::UserOnly {
            limits.push(USER_ONLY.into());
        }
    }
    if choice.event == Event::CpuClock {
        limits.push("no hardware counter for cycles here: samples follow the kernel's CPU clock".into());
    }
    if choice.stacks == Stacks::KernelAndUser && !super::symbols::kernel_addresses_are_shown() {
        limits.push(UNNAMED_KERNEL.into());
    }
    Availability { source: choice.source, event: choice.event, stacks: choice.stacks, limits }
}

pub(super) const USER_ONLY: &str =
    "time in the kernel is not sampled: it needs `sysctl kernel.perf_event_paranoid=1`, CAP_PERFMON or root";
pub(super) const UNNAMED_KERNEL: &str = "functions of the kernel have no names: they need root or CAP_SYSLOG, and `sysctl kernel.kptr_restrict=1` or 0";

/// Why the kernel refused, and the way out.
pub(in super::super) fn refusal(paranoid: Option<i64>) -> String {
    match paranoid {
        Some(level) if level > 2 => format!(
            "the kernel forbids it (kernel.perf_event_paranoid is {level}); run `sysctl kernel.perf_event_paranoid=1`, \
             or give CAP_PERFMON"
        ),
        Some(level) => format!(
            "the process belongs to another user, or a container's seccomp filter forbids perf_event_open \
             (kernel.perf_event_paranoid is {level}); give CAP_PERFMON, allow the call, or run \
             `sysctl kernel.perf_event_paranoid=1` as root"
        ),
        None => "this kernel has no perf events (no kernel.perf_event_paranoid); only the bundled workloads can be \
                 sampled, by themselves"
            .into(),
    }
}

/// How to get samples from outside, where the kernel refuses them.
pub(in super::super) fn way_out() -> String {
    let reason = refusal(event::kernel_setting("perf_event_paranoid"));
    format!("for samples from outside: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_way_out() {
        for level in [-1, 1, 2, 3, 4] {
            let text = refusal(Some(level));
            assert!(
                text.contains("sysctl kernel.perf_event_paranoid=1") && text.contains("CAP_PERFMON"),
                "{text}"
            );
            assert!(text.contains(&level.to_string()), "{text}");
        }
    }

    #[test]
    fn what_is_said_to_be_possible_fits_together() {
        let here = availability();
        assert_eq!(here.source == Source::InProcess, here.event == Event::ProfTimer);
        if here.source != Source::SystemWide {
            assert!(here.limits.iter().any(|limit| limit.contains("perf")), "{:?}", here.limits);
        }
        assert!(here.limits.iter().all(|limit| !limit.contains('\n')));
    }

    #[test]
    fn a_thread_that_does_not_exist_is_gone_wherever_single_threads_are_sampled() {
        // Thread numbers end at 2^22.
        let missing = 1 << 23;
        let error = probe(Source::PerTask, Stacks::UserOnly, missing, &[Event::CpuClock]).unwrap_err();
        assert!(event::is_forbidden(&error) || error.raw_os_error() == Some(libc::ESRCH), "{error}");
    }
}
