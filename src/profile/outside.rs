//! Sampling from outside, by Linux's perf events and `/proc`.
//!
//! ```text
//! event ─▶ ring ─▶ record ─▶ tree (whose, where) ─▶ symbols (name) ─▶ Profile
//! └──────── sampler ────────┘   └ unwind
//! ```

mod availability;
mod debug_file;
mod event;
mod image;
mod jit;
mod off_cpu;
mod record;
mod ring;
mod sampler;
mod space;
mod symbols;
mod threads;
mod tree;
mod unwind;

use std::collections::HashSet;
use std::io;
use std::time::Duration;

use linux_perf_event_reader::constants::PERF_CONTEXT_USER;

use super::{
    Availability, Error, Event, Folded, Profile, Request, Source, Split, Stacks, Time, Unit, goroutine, name,
};
use record::{Record, What};
use symbols::{Inlined, Names};
use tree::Tree;

pub use availability::availability;
pub(super) use availability::{refusal, way_out};
pub use off_cpu::{record_child, record_pid, record_served};

/// What `profiler` has seen of this process, named; may be empty.
///
/// # Errors
/// It could not read back what it has put aside.
pub(super) fn own_stacks(profiler: &pprof::ProfilerGuard<'_>) -> io::Result<Folded> {
    let report = profiler.report().build_unresolved().map_err(io::Error::other)?;
    let pid = std::process::id();
    let mut tree = Tree::of_running(&HashSet::from([pid]), Split::Merged);
    for (sample, &count) in &report.data {
        let frames = sample.frames.iter().map(|frame| frame.ip as u64);
        let chain: Vec<u64> = std::iter::once(PERF_CONTEXT_USER).chain(frames).collect();
        for _ in 0..count {
            tree.take(
                Record {
                    time_ns: 0,
                    what: What::Sample { pid, tid: pid, chain: chain.clone(), captured: None },
                },
                usize::MAX,
            );
        }
    }
    // pprof counts stacks of the same functions as one and keeps one address of each: not enough to tell what was inlined.
    Ok(Names::of(&tree.stacks, &tree, Inlined::Hidden).folded(&tree.stacks))
}

impl Profile {
    /// Names what the tree saw.
    fn of_tree(
        tree: &tree::Tree,
        choice: availability::Choice,
        frequency_hz: u32,
        duration: Duration,
        mut warnings: Vec<String>,
    ) -> Result<Self, Error> {
        let unit = choice.event.unit();
        if tree.samples == 0 {
            return Err(match unit {
                Unit::Samples => Error::NoSamples { duration },
                Unit::Microseconds => Error::NoWaits { duration },
            });
        }
        warnings.extend(warnings_about(tree, choice, frequency_hz));
        let names = Names::of(&tree.stacks, tree, Inlined::Shown);
        if unit == Unit::Samples {
            warnings.extend(names.warnings(&tree.stacks, tree));
        }
        let mut folded = names.folded(&tree.stacks);
        if unit == Unit::Microseconds {
            folded = folded.in_microseconds();
        }
        let profile = Self::of_folded(&folded, choice.source, choice.event);
        Ok(Self { samples: tree.samples, lost: tree.lost, frequency_hz, duration, warnings, ..profile })
    }
}

/// Of so many samples one must be of a kind that makes a profile worse, before it is worth a word.
const WORTH_A_WORD: u64 = 20;

fn warnings_about(tree: &tree::Tree, choice: availability::Choice, frequency_hz: u32) -> Vec<String> {
    let mut warnings = Vec::new();
    let period_ns = 1_000_000_000 / u64::from(frequency_hz);
    let (short, ended) = tree.threads.short_lived(period_ns);
    let are_sampled = choice.event.unit() == Unit::Samples;
    if choice.source == Source::PerTask && are_sampled && short > 0 {
        warnings.push(format!(
            "{short} of {ended} threads lived for less than the sampling period of {:.1} ms and may be missing: \
             sampling the whole system needs `sysctl kernel.perf_event_paranoid=0`, CAP_PERFMON or root",
            period_ns as f64 / 1e6
        ));
    }
    if choice.stacks == Stacks::UserOnly {
        warnings.push(availability::USER_ONLY.into());
    }
    if tree.saw_kernel() && !symbols::kernel_addresses_are_shown() {
        warnings.push(availability::UNNAMED_KERNEL.into());
    }
    if tree.lost > 0 {
        warnings.push(format!(
            "the kernel dropped {} records (stacks, starts and ends of threads) for want of room: some stacks are missing",
            tree.lost
        ));
    }
    if tree.throttled > 0 {
        warnings.push(format!("the kernel slowed sampling down {} times, to bound its cost", tree.throttled));
    }
    if tree.cut * WORTH_A_WORD > tree.samples {
        warnings.push(format!(
            "{} of {} stacks lack their outermost frames: they are deeper than the {} KiB that are copied of each, and \
             beyond that only frame pointers lead on, for {} frames (`sysctl kernel.perf_event_max_stack`)",
            tree.cut,
            tree.samples,
            unwind::STACK_BYTES / 1024,
            sampler::max_frames()
        ));
    }
    if tree.unwinder.without_tables * WORTH_A_WORD > tree.samples {
        warnings.push(format!(
            "{} of {} stacks begin in code without tables for unwinding, where only frame pointers lead on: a function that \
             keeps none (Go's smallest, built with `-ldflags=-w` or `-s`) hides its caller",
            tree.unwinder.without_tables, tree.samples
        ));
    }
    if tree.without_copy > 0 {
        warnings.push(format!(
            "{} of {} stacks were walked along frame pointers alone, for want of registers (32-bit code?): callers may \
             be missing",
            tree.without_copy, tree.samples
        ));
    }
    warnings
}

impl Error {
    fn of_open(source: io::Error, pid: u32) -> Self {
        match source.raw_os_error() {
            Some(libc::ESRCH) => Self::Gone { pid },
            Some(libc::EMFILE | libc::ENFILE) => Self::TooMany { pid, source },
            Some(libc::EACCES | libc::EPERM | libc::ENOSYS) => {
                Self::Forbidden { pid, paranoid: event::kernel_setting("perf_event_paranoid"), source }
            }
            _ => Self::Events { source },
        }
    }
}
