//! Where the CPU time goes: stacks sampled from outside, symbolised, folded, drawn as flame graphs.
//!
//! ```text
//! event ─▶ ring ─▶ record ─▶ tree (whose, where) ─▶ symbols (name) ─▶ Profile ─▶ folded ─▶ flame
//! └──────── sampler ────────┘   └ unwind              self_sample ──────┘
//! ```
//!
//! One event per CPU samples the whole system and `tree` keeps what belongs to the process tree; where that is not allowed,
//! each task has events of its own, which its threads inherit ([`availability`]). Stacks are walked by the tables of each module
//! (`unwind`), from a copy of their inner end, and by the kernel along frame pointers. Bundled workloads can sample themselves where the kernel refuses perf events ([`self_sample`]).

mod flame;
mod folded;
mod formats;
mod goroutine;
mod name;
#[cfg_attr(not(corefit_linux), path = "portable.rs")]
mod outside;
pub mod self_sample;
mod unit;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use flame::{Scale, Title, diff_folded, diff_svg, svg};
pub use folded::{Folded, write_folded};
pub use formats::{firefox, pprof};
pub use outside::{availability, record_child, record_pid, record_served};
pub use unit::Unit;

use crate::measure;
use crate::trace::Waits;

/// How long and how finely to sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Samples per second of CPU time, on each CPU.
    pub frequency_hz: u32,
    /// End when about so many stacks were seen; `None` for no such end.
    pub max_samples: Option<u64>,
    /// End after so long.
    pub max_time: Duration,
    /// Whether threads are told apart.
    pub split: Split,
    /// Which time of the program.
    pub time: Time,
}

/// Which time of a program a profile divides up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Time {
    /// What its threads spend on CPUs.
    #[default]
    OnCpu,
    /// What they wait: blocked, or for a CPU.
    OffCpu,
}

/// Whether the stacks of different threads are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Split {
    /// All together.
    #[default]
    Merged,
    /// Each thread has an outermost frame of its own, `name (tid)`.
    ByThread,
}

impl Default for Request {
    /// 1000 stacks or 2 s; 997 Hz is prime, so that it does not fall into step with what a program does every millisecond.
    fn default() -> Self {
        Self {
            frequency_hz: 997,
            max_samples: Some(1000),
            max_time: Duration::from_secs(2),
            split: Split::Merged,
            time: Time::OnCpu,
        }
    }
}

/// Who took the samples, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The kernel, of all that ran, filtered by the process tree.
    SystemWide,
    /// The kernel, of each task and what it started.
    PerTask,
    /// The program, of itself.
    InProcess,
    /// The tool, by looking again and again.
    Proc,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SystemWide => "system-wide",
            Self::PerTask => "per task",
            Self::InProcess => "in-process",
            Self::Proc => "from outside",
        })
    }
}

/// What a sample is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Cycles of the CPU, by its counter.
    Cycles,
    /// Time of the CPU, by a timer of the kernel.
    CpuClock,
    /// CPU time of the process, by `ITIMER_PROF`.
    ProfTimer,
    /// Each time a thread leaves its CPU, weighted by the time until it is back.
    ContextSwitches,
    /// What a thread waits for, looked up in `/proc` again and again.
    Polls,
    /// Each time a goroutine stops, weighted by the time until it runs again, from the execution trace.
    GoroutineTrace,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cycles => "cycles",
            Self::CpuClock => "cpu-clock",
            Self::ProfTimer => "itimer-prof",
            Self::ContextSwitches => "context switches",
            Self::Polls => "polls of /proc",
            Self::GoroutineTrace => "goroutine trace",
        })
    }
}

/// Which side of the system call the samples show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stacks {
    /// Time and frames of both.
    KernelAndUser,
    /// Time and frames of the program alone.
    UserOnly,
}

/// What sampling is possible here, for `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Availability {
    /// The best way there is for a program started by this user.
    pub source: Source,
    /// What is sampled.
    pub event: Event,
    /// Whether time and frames in the kernel are seen.
    pub stacks: Stacks,
    /// What is not possible and the way out, one line each; empty if everything is possible.
    pub limits: Vec<String>,
}

/// A stack, and how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Bare names, outermost first, inlined functions included; at least one.
    pub frames: Vec<String>,
    /// Samples, or microseconds that were waited there ([`Event::unit`]).
    pub count: u64,
}

/// What was sampled: at least one stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Each stack once, sorted by frames.
    pub stacks: Vec<Stack>,
    /// Samples over all stacks; in a profile of waiting, waits.
    pub samples: u64,
    /// Records that the kernel dropped meanwhile, on all CPUs; a system-wide recording may lose those of others.
    pub lost: u64,
    /// Samples per second of CPU time, on each CPU.
    pub frequency_hz: u32,
    /// Who took the samples.
    pub source: Source,
    /// What a sample is taken of.
    pub event: Event,
    /// How long was sampled.
    pub duration: Duration,
    /// What a reader of the profile must know; one line each.
    pub warnings: Vec<String>,
}

impl Profile {
    /// The stacks in the folded form.
    #[must_use]
    pub fn folded(&self) -> Folded {
        let mut folded = Folded::default();
        for stack in &self.stacks {
            folded.add(stack.frames.clone(), stack.count);
        }
        folded
    }

    /// Adds another profile of the same program, taken in the same way.
    pub fn merge(&mut self, other: Self) {
        let mut folded = self.folded();
        for stack in other.stacks {
            folded.add(stack.frames, stack.count);
        }
        for warning in other.warnings {
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        let (lost, duration) = (self.lost + other.lost, self.duration + other.duration);
        let samples = self.samples + other.samples;
        let both = Self::of_folded(&folded, self.source, self.event);
        let warnings = std::mem::take(&mut self.warnings);
        *self = Self { samples, lost, duration, frequency_hz: self.frequency_hz, warnings, ..both };
    }

    /// In one line how the profile came about: event, frequency, samples, losses, source, duration.
    #[must_use]
    pub fn provenance(&self) -> String {
        let Self { event, frequency_hz, samples, lost, source, duration, .. } = self;
        let seconds = duration.as_secs_f64();
        match event.unit() {
            Unit::Samples => {
                format!(
                    "{event} at {frequency_hz} Hz, {source}: {samples} samples in {seconds:.2} s, {lost} lost"
                )
            }
            Unit::Microseconds => {
                let waited_s = self.folded().total() as f64 / 1e6;
                format!(
                    "{event}, {source}: {samples} waits of {waited_s:.2} s together in {seconds:.2} s, {lost} lost"
                )
            }
        }
    }

    /// What a count of 1 stands for, nanoseconds: of CPU time, or of waiting.
    fn period_ns(&self) -> u64 {
        match self.event.unit() {
            Unit::Samples => 1_000_000_000 / u64::from(self.frequency_hz.max(1)),
            Unit::Microseconds => 1000,
        }
    }

    /// What a trace tells of waiting goroutines; `lost` events are missing at its end.
    ///
    /// # Errors
    /// None waited.
    pub(crate) fn of_goroutines(waits: &Waits, lost: u64, warnings: Vec<String>) -> Result<Self, Error> {
        let duration = Duration::from_nanos(waits.duration_ns);
        if waits.folded.is_empty() {
            return Err(Error::NoWaits { duration });
        }
        let profile = Self::of_folded(&waits.folded, Source::InProcess, Event::GoroutineTrace);
        Ok(Self { samples: waits.count, lost, duration, warnings, ..profile })
    }

    fn of_folded(folded: &Folded, source: Source, event: Event) -> Self {
        let stacks: Vec<Stack> =
            folded.iter().map(|(frames, count)| Stack { frames: frames.to_vec(), count }).collect();
        Self {
            stacks,
            samples: folded.total(),
            lost: 0,
            frequency_hz: 0,
            source,
            event,
            duration: Duration::ZERO,
            warnings: Vec::new(),
        }
    }
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refuses to sample.
    #[error("could not sample process {pid}: {}", outside::refusal(*paranoid))]
    Forbidden {
        /// The process.
        pid: u32,
        /// `kernel.perf_event_paranoid`, if this kernel has it.
        paranoid: Option<i64>,
        /// The kernel's answer.
        source: io::Error,
    },
    /// There is no such process.
    #[error("could not sample process {pid}: it does not exist, or ended just now")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// So many events that descriptors run out.
    #[error(
        "could not sample process {pid}: its threads need more than the allowed descriptors; raise `ulimit -n`"
    )]
    TooMany {
        /// The process.
        pid: u32,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The events could not be opened, started or stopped.
    #[error("could not sample: the kernel's perf events failed: {source}")]
    Events {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program did not run on any CPU while it was watched.
    #[error(
        "no samples in {:.2} s: the program, or each of its threads if they are sampled one by one, used next to no CPU time; \
         give it more work, or sample for longer or more often (`-F`)",
        duration.as_secs_f64()
    )]
    NoSamples {
        /// How long it was watched.
        duration: Duration,
    },
    /// The program did not wait while it was watched.
    #[error(
        "no waits in {:.2} s: the program ran on its CPUs all the time, or ended at once; for where it spends CPU time leave \
         out `--off-cpu`",
        duration.as_secs_f64()
    )]
    NoWaits {
        /// How long it was watched.
        duration: Duration,
    },
    /// The child could not be started.
    #[error(transparent)]
    Start(#[from] measure::Error),
    /// The program was asked to sample itself, and did not.
    #[error("the program did not sample itself: could not read `{}`: {source}", path.display())]
    SelfSample {
        /// Where it should have written its stacks.
        path: PathBuf,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// Stacks in the folded form that cannot be read.
    #[error("line {line} of the folded stacks has no count: `{text}`")]
    Folded {
        /// Its number, from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// A flame graph of nothing.
    #[error("there are no stacks to draw: the profile is empty")]
    NothingToDraw,
    /// Operations that allow no comparison.
    #[error("cannot compare two profiles per operation: the number of operations is not positive")]
    NoScale,
    /// The graph could not be drawn.
    #[error("could not draw the flame graph: {source}")]
    Draw {
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// 2 for a process or program that does not exist and for folded stacks that cannot be read; 1 otherwise: what was asked
    /// could not be completed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Gone { .. } | Self::Folded { .. } => 2,
            Self::Start(error) => error.exit_code(),
            _ => 1,
        }
    }

    /// Whether the kernel refuses to sample from outside, so that a bundled workload should sample itself.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Forbidden { .. })
    }

    /// Whether all went well, but there was nothing to see.
    #[must_use]
    pub fn is_of_nothing(&self) -> bool {
        matches!(self, Self::NoSamples { .. } | Self::NoWaits { .. })
    }
}
