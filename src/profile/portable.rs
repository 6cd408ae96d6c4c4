//! Sampling from outside on another system than Linux: refused, so that bundled workloads sample themselves. Their stacks are
//! named by pprof, which knows the file formats of other systems.

use std::io;

use super::name::plain;
use super::{Availability, Error, Event, Folded, Profile, Request, Source, Stacks, goroutine};
use crate::measure::Child;
use crate::measure::serve::Served;

const REFUSAL: &str =
    "this system has no perf events, as Linux has; only the bundled workloads can be sampled, by themselves";

/// What sampling is possible here.
#[must_use]
pub fn availability() -> Availability {
    Availability {
        source: Source::InProcess,
        event: Event::ProfTimer,
        stacks: Stacks::UserOnly,
        limits: vec![REFUSAL.to_owned()],
    }
}

/// Why the system refuses.
pub(super) fn refusal(_paranoid: Option<i64>) -> &'static str {
    REFUSAL
}

/// How to get samples from outside.
pub(super) fn way_out() -> String {
    "for samples from outside, measure on Linux".to_owned()
}

/// Would record a child from its exec on.
///
/// # Errors
/// Always: it is refused.
pub fn record_child(child: &mut Child, _request: Request) -> Result<Profile, Error> {
    refused(child.pid())
}

/// Would record a running process.
///
/// # Errors
/// Always: it is refused.
pub fn record_pid(pid: u32, _request: Request) -> Result<Profile, Error> {
    refused(pid)
}

/// Would record a server while it is under load.
///
/// # Errors
/// Always: it is refused.
pub fn record_served(served: &mut Served, _request: Request) -> Result<Profile, Error> {
    refused(served.server_pid())
}

fn refused(pid: u32) -> Result<Profile, Error> {
    Err(Error::Forbidden { pid, paranoid: None, source: io::ErrorKind::Unsupported.into() })
}

/// What `profiler` has seen of this process, named; may be empty.
///
/// # Errors
/// It could not read back what it has put aside.
pub(super) fn own_stacks(profiler: &pprof::ProfilerGuard<'_>) -> io::Result<Folded> {
    let report = profiler.report().build().map_err(io::Error::other)?;
    let mut folded = Folded::default();
    for (sample, &count) in &report.data {
        // Of each place the last is the function that holds the code; what was inlined into it there comes before.
        let functions = sample.frames.iter().rev().filter_map(|symbols| symbols.last());
        let mut frames: Vec<String> = functions.map(|function| plain(&function.name())).collect();
        goroutine::rooted(&mut frames);
        if let (false, Ok(count)) = (frames.is_empty(), u64::try_from(count)) {
            folded.add(frames, count);
        }
    }
    Ok(folded)
}
