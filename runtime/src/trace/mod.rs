//! The execution trace: what the scheduler and the goroutines do, event by event, into a file.
//!
//! `COREFIT_TRACE=FILE` switches it on for the process (`settings.rs`). The format is in `format.rs`, for people in
//! `docs/trace.md`; [`Trace`] reads it.
//!
//! ```text
//! hooks ─▶ level? ─▶ lane (this thread's, else the runtime's outside one) ─▶ buffer ─▶ output
//!           one load   time, differences, CPU time                32 KiB      write, when half full,
//!                                                                             between two goroutines
//! ```
//!
//! **Off**, a hook is one relaxed load and a branch not taken. **On**, an event is a few stores to the thread's own
//! buffer. The buffer is written by its thread when it is half full and the worker is between two goroutines, where it
//! holds no lock; only a goroutine that records 16 KiB without ever leaving its worker has it written on the spot. At
//! the end of `run`, and before the process ends by a deadlock report, SIGQUIT or a fatal error, what is left in the
//! buffers of all threads is written. So only what kills the process at once (SIGKILL) loses the last 32 KiB of each
//! worker, and then the file does not say that it ended.
//!
//! Tried: mapping the file and recording right into it, which would survive SIGKILL. Each fresh page of a mapped file
//! costs a fault of 3 to 5 µs here: 8 ns an event, where writing costs 2.

mod buffer;
mod cpu;
mod format;
mod lane;
mod ops;
mod output;
mod read;
mod recorder;
mod settings;
mod sites;
mod stream;
mod thread;

pub use ops::Op;
pub use read::{Event, Events, Place, Segment, Trace, TraceError, What};
pub use recorder::End;
pub(crate) use sites::Site;

use crate::fiber::Suspend;
use crate::primitives::atomic::{AtomicU8, Ordering::Relaxed};
use crate::primitives::{Mutex, OnceLock};
use lane::Lane;
use recorder::Recorder;
use settings::{Level, Settings};
use stream::Stream;

/// 0: off; 1: what the scheduler does; 2: also operations.
static LEVEL: AtomicU8 = AtomicU8::new(0);
static RECORDER: OnceLock<Option<Recorder>> = OnceLock::new();

/// Whether anything is recorded.
#[inline(always)]
pub(crate) fn is_on() -> bool {
    // ORDERING: Relaxed; a thread that sees it late records a little later. It is set once, before the first goroutine.
    LEVEL.load(Relaxed) != 0
}

/// The recorder, if the environment asks for one. The first call decides, and says on standard error what is wrong.
fn recorder() -> Option<&'static Recorder> {
    let start = || {
        let settings = Settings::from_env().unwrap_or_else(|error| {
            eprintln!("corefit-runtime: not tracing: {error}");
            None
        })?;
        match Recorder::start(&settings) {
            Ok(recorder) => {
                // ORDERING: Relaxed; see `is_on`.
                LEVEL.store(if settings.level == Level::Sync { 2 } else { 1 }, Relaxed);
                Some(recorder)
            }
            Err(error) => {
                eprintln!("corefit-runtime: not tracing into `{}`: {error}", settings.path.display());
                None
            }
        }
    };
    RECORDER.get_or_init(start).as_ref()
}

/// A runtime's part of the trace.
pub(crate) struct Track {
    /// From 1; 0 if nothing is recorded.
    runtime: u32,
    /// What happens to its goroutines on threads that are not its workers.
    outside: Mutex<Option<Stream>>,
}

impl Track {
    /// The part of a new runtime.
    pub(crate) fn begin() -> Self {
        let Some(recorder) = recorder() else { return Self { runtime: 0, outside: Mutex::new(None) } };
        let runtime = recorder.begin_runtime();
        Self { runtime, outside: Mutex::new(Some(Stream::begin(recorder, runtime, 0))) }
    }

    /// The runtime has returned.
    pub(crate) fn end(&self) {
        if let Some(recorder) = recorder().filter(|_| self.runtime != 0) {
            recorder.end_runtime(self.runtime);
        }
    }

    /// Runs a worker's main function.
    pub(crate) fn work<R>(&self, work: impl FnOnce() -> R) -> R {
        match recorder().filter(|_| self.runtime != 0) {
            Some(recorder) => thread::with_own_lane(recorder, self.runtime, work),
            None => work(),
        }
    }

    /// Records what happens to a goroutine of this runtime: into this thread's lane if it is one of its workers.
    #[inline(always)]
    pub(crate) fn note(&self, record: impl FnOnce(&mut Stream)) {
        if is_on() {
            self.record(record);
        }
    }

    #[cold]
    #[inline(never)]
    fn record(&self, record: impl FnOnce(&mut Stream)) {
        let mut record = Some(record);
        let _ = thread::with_lane(|lane| {
            if lane.stream.runtime == self.runtime
                && let Some(record) = record.take()
            {
                record(&mut lane.stream);
            }
        });
        if let Some(record) = record
            && let Some(outside) = &mut *self.outside.lock()
        {
            record(outside);
        }
    }
}

/// Records what the running goroutine, or the worker that this thread is, does.
#[inline(always)]
pub(crate) fn note(record: impl FnOnce(&mut Lane)) {
    if is_on() {
        record_here(record);
    }
}

#[cold]
#[inline(never)]
fn record_here(record: impl FnOnce(&mut Lane)) {
    let _ = thread::with_lane(record);
}

/// The running goroutine leaves its stack, and whoever `take` gives, with its id, runs: as the worker records it. Does not ask `take`
/// if what is recorded is so much that it must be written to the file first. `take` records nothing itself.
#[inline(always)]
pub(crate) fn note_direct<R>(why: Suspend, take: impl FnOnce() -> Option<(R, u64)>) -> Option<R> {
    let taken = thread::with_lane(|lane| {
        if !lane.has_room() {
            return None;
        }
        let (taken, next) = take()?;
        match why {
            Suspend::Yield => lane.yielded(),
            Suspend::End => lane.ended(),
            _ => lane.park_as_pledged(),
        }
        lane.run_directly(next);
        Some(taken)
    });
    taken.flatten()
}

/// The running goroutine calls, at `site`, what may make it wait for `object`.
#[inline(always)]
pub(crate) fn note_call(object: usize, site: Site) {
    note(|lane| lane.call(object, site));
}

/// Records, in level `sync`, that the running goroutine does `op` with `object`, which is of `capacity`. Without a site
/// for what a guard does when it is dropped.
#[inline(always)]
pub(crate) fn note_op(op: Op, object: usize, capacity: usize, site: Option<Site>) {
    // ORDERING: Relaxed; see `is_on`.
    if LEVEL.load(Relaxed) == 2 {
        record_here(|lane| lane.op(op, object, capacity, site));
    }
}

/// The process is about to end: writes what all threads have recorded.
pub(crate) fn end_process(end: End) {
    if let Some(Some(recorder)) = RECORDER.get() {
        recorder.end_process(end);
    }
}
