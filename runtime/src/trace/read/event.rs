//! What a trace tells.

use crate::trace::Op;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Nanoseconds since the recording began.
    pub time_ns: u64,
    /// The runtime, from 1.
    pub runtime: u32,
    /// The worker that recorded it, from 1 within its runtime; 0: a thread that is none of its workers.
    pub worker: u32,
    /// The worker's thread id; 0: as above.
    pub thread: u32,
    /// The processor that the worker holds, or held last, if that is known.
    pub processor: Option<u32>,
    /// The goroutine that runs on that worker, whose doing this is; 0 if none: the runtime itself, for timers and the
    /// network, or another thread.
    pub goroutine: u64,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A goroutine was started, and is runnable.
    Spawn {
        /// The new one.
        goroutine: u64,
        /// Number of the place of the call, see `Trace::place`.
        place: u32,
    },
    /// The goroutine begins to run.
    Run,
    /// The goroutine, which had just parked, goes on: it was unparked meanwhile.
    GoOn,
    /// The goroutine parks.
    Park {
        /// What it waits for, in words.
        reason: &'static str,
        /// Address of what it waits for; 0 if there is none.
        object: u64,
        /// Number of the place of the call; 0 if it is not known.
        place: u32,
        /// The run that ends.
        segment: Segment,
    },
    /// The goroutine goes to the end of a queue.
    Yield {
        /// The run that ends.
        segment: Segment,
    },
    /// The goroutine has ended.
    End {
        /// The run that ends.
        segment: Segment,
    },
    /// A parked goroutine was made runnable.
    Unpark {
        /// Which.
        goroutine: u64,
    },
    /// A goroutine that was not parked was unparked: its next park does not wait. In no order with that one's events.
    Notify {
        /// Which.
        goroutine: u64,
    },
    /// The goroutine gives its processor away and blocks its thread.
    BlockingBegin {
        /// The run that ends.
        segment: Segment,
    },
    /// The goroutine's blocking call has ended; it needs a processor.
    BlockingEnd {
        /// The blocking call.
        segment: Segment,
    },
    /// The worker has got a processor, see `Event::processor`.
    Processor,
    /// The goroutine, asked to, is about to yield.
    Preempt,
    /// The number of processors was set.
    Procs {
        /// To what.
        procs: u64,
    },
    /// An operation, in level `sync`.
    Sync {
        /// Which.
        op: Op,
        /// Address of the channel, lock or the like.
        object: u64,
        /// Of the channel; 0 for others.
        capacity: u64,
        /// Number of the place of the call.
        place: u32,
    },
}

/// A stretch of time in which a goroutine ran, or was in a blocking call, on one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// Its length, nanoseconds; `None` if its beginning is not in the file.
    pub wall_ns: Option<u64>,
    /// How long its thread was on a CPU meanwhile, nanoseconds, to within `Trace::cpu_error_ns`.
    pub cpu_ns: Option<u64>,
}

impl What {
    /// As tables name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Spawn { .. } => "spawn",
            Self::Run => "run",
            Self::GoOn => "go_on",
            Self::Park { .. } => "park",
            Self::Yield { .. } => "yield",
            Self::End { .. } => "end",
            Self::Unpark { .. } => "unpark",
            Self::Notify { .. } => "notify",
            Self::BlockingBegin { .. } => "blocking_begin",
            Self::BlockingEnd { .. } => "blocking_end",
            Self::Processor => "processor",
            Self::Preempt => "preempt",
            Self::Procs { .. } => "procs",
            Self::Sync { op, .. } => op.name(),
        }
    }

    /// The stretch of time that it ends.
    #[must_use]
    pub fn segment(&self) -> Option<Segment> {
        match self {
            Self::Park { segment, .. }
            | Self::Yield { segment }
            | Self::End { segment }
            | Self::BlockingBegin { segment }
            | Self::BlockingEnd { segment } => Some(*segment),
            _ => None,
        }
    }
}
