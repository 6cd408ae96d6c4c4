//! Counters of a process tree: which there are, what can be opened here, and what they read.
//!
//! Each counter has a descriptor of its own, inherited by the program's threads and children and enabled by its exec; the
//! kernel refuses to group inheriting ones. What was not counted is `None`, never 0.

#[cfg_attr(not(corefit_linux), path = "portable/perf.rs")]
mod perf;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::io;

use serde::{Deserialize, Serialize};

use super::Counts;
use super::kernel::Usage;

/// A counter that corefit opens: one column of `samples.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// CPU time of the tree.
    TaskClock,
    /// Switches of a thread off its CPU.
    ContextSwitches,
    /// Moves of a thread to another CPU.
    CpuMigrations,
    /// Page faults.
    PageFaults,
    /// CPU cycles.
    Cycles,
    /// Instructions retired.
    Instructions,
    /// Last-level cache references.
    CacheReferences,
    /// Last-level cache misses.
    CacheMisses,
    /// Branches retired.
    Branches,
    /// Branches mispredicted.
    BranchMisses,
}

impl Event {
    /// All of them, in the order of the columns.
    pub const ALL: [Self; 10] = [
        Self::TaskClock,
        Self::ContextSwitches,
        Self::CpuMigrations,
        Self::PageFaults,
        Self::Cycles,
        Self::Instructions,
        Self::CacheReferences,
        Self::CacheMisses,
        Self::Branches,
        Self::BranchMisses,
    ];

    /// Its column.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskClock => "task_clock_s",
            Self::ContextSwitches => "context_switches",
            Self::CpuMigrations => "cpu_migrations",
            Self::PageFaults => "page_faults",
            Self::Cycles => "cycles",
            Self::Instructions => "instructions",
            Self::CacheReferences => "cache_references",
            Self::CacheMisses => "cache_misses",
            Self::Branches => "branches",
            Self::BranchMisses => "branch_misses",
        }
    }

    /// Whether it needs a performance monitoring unit; the others are counted by the kernel itself.
    #[must_use]
    pub fn is_hardware(self) -> bool {
        !matches!(self, Self::TaskClock | Self::ContextSwitches | Self::CpuMigrations | Self::PageFaults)
    }
}

/// Which part of a program's execution a counter sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    WithKernel,
    /// Only what runs in user mode: all that an unprivileged user may count at `perf_event_paranoid` 2.
    UserOnly,
}

/// What came of opening a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It counts, in the kernel too.
    Full,
    /// It counts in user mode only.
    UserOnly,
    /// The machine has no performance monitoring unit, or hides it, as many virtual machines do.
    NoPmu,
    /// The kernel forbids it, by `perf_event_paranoid` or a seccomp filter.
    Forbidden {
        /// The value of `kernel.perf_event_paranoid`.
        paranoid: Option<i32>,
    },
    /// The system is one without perf events.
    NoPerfEvents,
    /// The kernel could not, for another reason.
    Failed {
        /// The system's error number.
        errno: i32,
    },
}

/// What a counter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Events counted.
    pub count: u64,
    /// Nanoseconds that the tree's threads ran while it was enabled.
    pub enabled_ns: u64,
    /// Nanoseconds of these in which it really counted: fewer if counters had to share the hardware.
    pub running_ns: u64,
}

impl Reading {
    /// What was counted after `before` was read of the same counter.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            count: self.count.saturating_sub(before.count),
            enabled_ns: self.enabled_ns.saturating_sub(before.enabled_ns),
            running_ns: self.running_ns.saturating_sub(before.running_ns),
        }
    }

    /// The count, scaled up for the time in which it did not count; `None` if it never counted.
    #[must_use]
    pub fn scaled(self) -> Option<f64> {
        if self.running_ns == 0 {
            return None;
        }
        // The kernel sums both over threads without a lock; a ratio below 1 is noise.
        let ratio = self.enabled_ns as f64 / self.running_ns as f64;
        Some(self.count as f64 * ratio.max(1.0))
    }
}

/// A counter that was opened.
pub trait Counter: Debug + Send {
    /// What it reads now.
    ///
    /// # Errors
    /// The kernel refuses to say.
    fn read(&mut self) -> io::Result<Reading>;
}

/// Where counters come from: the kernel, or a script in tests.
pub trait CounterBackend {
    /// Opens a counter on the process `pid`, inherited by what it starts, that begins to count at its next exec.
    ///
    /// # Errors
    /// The system's error, with its number.
    fn open(&self, event: Event, scope: Scope, pid: u32) -> io::Result<Box<dyn Counter>>;

    /// The value of `kernel.perf_event_paranoid`.
    fn paranoid(&self) -> Option<i32>;
}

pub use perf::Perf;

/// Which counters work, one entry each of [`Event::ALL`], in that order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Availability {
    /// Each counter and what came of opening it.
    pub counters: Vec<(Event, Access)>,
}

impl Availability {
    /// What came of opening `event`.
    #[must_use]
    pub fn of(&self, event: Event) -> Option<Access> {
        self.counters.iter().find(|(this, _)| *this == event).map(|(_, access)| *access)
    }

    /// Whether a hardware counter can be opened.
    #[must_use]
    pub fn has_pmu(&self) -> bool {
        self.counters
            .iter()
            .any(|(event, access)| event.is_hardware() && matches!(access, Access::Full | Access::UserOnly))
    }

    /// One sentence for each reason why a column is empty or sees less than all: which columns, why, and how to get them.
    /// Empty if everything works.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let mut reasons: Vec<(Access, Vec<&str>)> = Vec::new();
        for (event, access) in self.counters.iter().filter(|(_, access)| *access != Access::Full) {
            match reasons.iter_mut().find(|(reason, _)| reason == access) {
                Some((_, names)) => names.push(event.name()),
                None => reasons.push((*access, vec![event.name()])),
            }
        }
        reasons.into_iter().map(|(access, names)| remark(access, &names.join(", "))).collect()
    }
}

fn remark(access: Access, columns: &str) -> String {
    let paranoid = |value: Option<i32>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
    match access {
        Access::Full => format!("{columns}: counted"),
        Access::UserOnly => format!(
            "{columns}: user mode only, since the kernel forbids more; `sysctl kernel.perf_event_paranoid=1` gives the \
             rest (until then context_switches and page_faults come from rusage and cpu_migrations is empty)"
        ),
        Access::NoPmu => format!(
            "{columns}: empty, since this machine shows no performance monitoring unit; on a virtual machine the host \
             has to pass it through"
        ),
        Access::Forbidden { paranoid: value } => format!(
            "{columns}: empty, since the kernel forbids it (perf_event_paranoid is {}); `sysctl \
             kernel.perf_event_paranoid=1`, and in a container a seccomp profile that allows perf_event_open, give it",
            paranoid(value)
        ),
        Access::NoPerfEvents => format!(
            "{columns}: empty, since this system has no perf events, as Linux has (but context_switches and page_faults \
             come from rusage)"
        ),
        Access::Failed { errno } => {
            format!("{columns}: empty, since the kernel says: {}", io::Error::from_raw_os_error(errno))
        }
    }
}

/// Looks which counters can be opened, by opening them on this process.
#[must_use]
pub fn availability() -> Availability {
    Counters::open(&Perf, std::process::id()).availability()
}

/// The counters of one sample.
#[derive(Debug)]
pub(super) struct Counters {
    opened: Vec<Opened>,
}

/// A counter, and what came of opening it.
#[derive(Debug)]
struct Opened {
    event: Event,
    access: Access,
    counter: Option<Box<dyn Counter>>,
    /// What it read where its window began, and where that ended.
    window: (Option<Reading>, Option<Reading>),
}

impl Opened {
    /// What it counted: in its window, or in all if it has none.
    fn counted(&mut self) -> Option<f64> {
        let reading = match self.window {
            (Some(begin), Some(end)) => end.since(begin),
            _ => self.counter.as_mut()?.read().ok()?,
        };
        reading.scaled()
    }
}

impl Counters {
    /// Opens every counter that `backend` gives on `pid`, in the kernel too where that is allowed.
    pub(super) fn open(backend: &dyn CounterBackend, pid: u32) -> Self {
        let opened = Event::ALL.map(|event| {
            let (access, counter) = open(backend, event, pid);
            Opened { event, access, counter, window: (None, None) }
        });
        Self { opened: opened.into() }
    }

    /// None at all.
    pub(super) fn none() -> Self {
        Self { opened: Vec::new() }
    }

    /// What came of opening them.
    pub(super) fn availability(&self) -> Availability {
        Availability { counters: self.opened.iter().map(|opened| (opened.event, opened.access)).collect() }
    }

    /// What was counted before is left out. A counter that cannot say it counts nothing.
    pub(super) fn begin_window(&mut self) {
        for opened in &mut self.opened {
            opened.window.0 = opened.counter.as_mut().and_then(|counter| counter.read().ok());
            opened.counter = opened.counter.take().filter(|_| opened.window.0.is_some());
        }
    }

    /// What is counted from now on is left out.
    pub(super) fn end_window(&mut self) {
        for opened in &mut self.opened {
            opened.window.1 = opened.counter.as_mut().and_then(|counter| counter.read().ok());
            opened.counter = opened.counter.take().filter(|_| opened.window.1.is_some());
        }
    }

    /// What they read. `usage` is the program's rusage, from which come the switches and faults that the kernel would not
    /// count fully: of the one process and the children it waited for.
    pub(super) fn read(&mut self, usage: Option<Usage>) -> Counts {
        let mut counts = Counts::default();
        for opened in &mut self.opened {
            let measured = opened.counted();
            let from_usage = |count: fn(Usage) -> u64| usage.map(|usage| count(usage) as f64);
            let is_full = opened.access == Access::Full;
            *column(&mut counts, opened.event) = match opened.event {
                Event::TaskClock => measured.map(|nanoseconds| nanoseconds / 1e9),
                Event::ContextSwitches | Event::CpuMigrations | Event::PageFaults if is_full => measured,
                Event::ContextSwitches => {
                    from_usage(|usage| usage.voluntary_switches + usage.involuntary_switches)
                }
                Event::PageFaults => from_usage(|usage| usage.minor_faults + usage.major_faults),
                // A thread moves in the kernel: counted in user mode only, it never does.
                Event::CpuMigrations => None,
                // No program runs without a single cycle, instruction, branch, cache access or miss: a hardware counter
                // that reads 0 is one that a hypervisor only pretends to have.
                _ => measured.filter(|count| *count > 0.0),
            };
        }
        counts
    }
}

fn column(counts: &mut Counts, event: Event) -> &mut Option<f64> {
    match event {
        Event::TaskClock => &mut counts.task_clock_s,
        Event::ContextSwitches => &mut counts.context_switches,
        Event::CpuMigrations => &mut counts.cpu_migrations,
        Event::PageFaults => &mut counts.page_faults,
        Event::Cycles => &mut counts.cycles,
        Event::Instructions => &mut counts.instructions,
        Event::CacheReferences => &mut counts.cache_references,
        Event::CacheMisses => &mut counts.cache_misses,
        Event::Branches => &mut counts.branches,
        Event::BranchMisses => &mut counts.branch_misses,
    }
}

fn open(backend: &dyn CounterBackend, event: Event, pid: u32) -> (Access, Option<Box<dyn Counter>>) {
    match backend.open(event, Scope::WithKernel, pid) {
        Ok(counter) => (Access::Full, Some(counter)),
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
            match backend.open(event, Scope::UserOnly, pid) {
                Ok(counter) => (Access::UserOnly, Some(counter)),
                Err(error) => (refusal(&error, backend), None),
            }
        }
        Err(error) => (refusal(&error, backend), None),
    }
}

fn refusal(error: &io::Error, backend: &dyn CounterBackend) -> Access {
    let Some(errno) = error.raw_os_error() else { return Access::NoPerfEvents };
    match errno {
        libc::ENOENT | libc::EOPNOTSUPP | libc::ENODEV => Access::NoPmu,
        // A kernel built without perf events, or a filter that hides them, says ENOSYS.
        libc::EACCES | libc::EPERM | libc::ENOSYS => Access::Forbidden { paranoid: backend.paranoid() },
        errno => Access::Failed { errno },
    }
}
