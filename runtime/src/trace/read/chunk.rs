//! Decoding a chunk of events.

use super::event::{Segment, What};
use super::index::Scale;
use crate::park::WaitReason;
use crate::trace::Op;
use crate::trace::format::{ChunkHeader, kind, take_varint, unzigzag};

/// What is known of a lane from one event to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaneState {
    /// The goroutine that runs; 0 if none.
    running: u64,
    /// When its stretch began.
    since: Option<u64>,
    pub(super) processor: Option<u32>,
    /// What the next event's differences are to.
    ticks: u64,
    id: u64,
    object: u64,
}

/// An event as far as its lane knows it.
#[derive(Debug)]
pub(super) struct Decoded {
    pub(super) ticks: u64,
    pub(super) goroutine: u64,
    pub(super) what: What,
}

impl LaneState {
    /// The time of the event that was taken last.
    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// The state at the beginning of a chunk, which follows the one before directly or not.
    pub(super) fn enter(&mut self, header: &ChunkHeader, follows: bool) {
        if !follows {
            self.since = None;
        }
        *self = Self {
            running: header.running,
            ticks: header.base_ticks,
            id: 0,
            object: 0,
            since: self.since,
            processor: self.processor,
        };
    }

    /// Takes an event off the front of `bytes`; `None` if they are no event.
    pub(super) fn take(&mut self, bytes: &mut &[u8], scale: &Scale) -> Option<Decoded> {
        let (&kind, rest) = bytes.split_first()?;
        *bytes = rest;
        self.ticks = self.ticks.checked_add(take_varint(bytes)?)?;
        let ticks = self.ticks;
        let before = self.running;
        let what = self.what(kind, bytes, scale)?;
        let goroutine = if matches!(what, What::Run | What::GoOn) { self.running } else { before };
        Some(Decoded { ticks, goroutine, what })
    }

    fn what(&mut self, kind: u8, bytes: &mut &[u8], scale: &Scale) -> Option<What> {
        Some(match kind {
            kind::SPAWN => What::Spawn { goroutine: self.id(bytes)?, place: number(bytes)? },
            kind::RUN => self.begin(bytes, What::Run)?,
            kind::GO_ON => self.begin(bytes, What::GoOn)?,
            kind::PARK => {
                let code = u8::try_from(take_varint(bytes)?).ok()?;
                let reason = WaitReason::from_code(code)?.name();
                let (object, place) = (self.object(bytes)?, number(bytes)?);
                What::Park { reason, object, place, segment: self.leave(bytes, scale)? }
            }
            kind::YIELD => What::Yield { segment: self.leave(bytes, scale)? },
            kind::END => What::End { segment: self.leave(bytes, scale)? },
            kind::UNPARK => What::Unpark { goroutine: self.id(bytes)? },
            kind::NOTIFY => What::Notify { goroutine: self.id(bytes)? },
            kind::BLOCKING_BEGIN => What::BlockingBegin { segment: self.segment(bytes, scale)? },
            kind::BLOCKING_END => What::BlockingEnd { segment: self.segment(bytes, scale)? },
            kind::PROCESSOR => {
                self.processor = Some(number(bytes)?);
                What::Processor
            }
            kind::PREEMPT => What::Preempt,
            kind::PROCS => What::Procs { procs: take_varint(bytes)? },
            _ => What::Sync {
                op: Op::from_code(kind.checked_sub(kind::FIRST_OP)?)?,
                object: self.object(bytes)?,
                capacity: take_varint(bytes)?,
                place: number(bytes)?,
            },
        })
    }

    fn begin(&mut self, bytes: &mut &[u8], what: What) -> Option<What> {
        self.running = self.id(bytes)?;
        self.since = Some(self.ticks);
        Some(what)
    }

    /// The stretch that ends, and no goroutine runs.
    fn leave(&mut self, bytes: &mut &[u8], scale: &Scale) -> Option<Segment> {
        let segment = self.segment(bytes, scale)?;
        (self.running, self.since) = (0, None);
        Some(segment)
    }

    /// The stretch that ends, and another begins.
    fn segment(&mut self, bytes: &mut &[u8], scale: &Scale) -> Option<Segment> {
        let off_ns = take_varint(bytes)?;
        let wall_ns = self.since.map(|since| scale.length_ns(self.ticks.saturating_sub(since)));
        self.since = Some(self.ticks);
        Some(Segment { wall_ns, cpu_ns: wall_ns.map(|wall_ns| wall_ns.saturating_sub(off_ns)) })
    }

    fn id(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        self.id = unzigzag(take_varint(bytes)?, self.id);
        Some(self.id)
    }

    fn object(&mut self, bytes: &mut &[u8]) -> Option<u64> {
        self.object = unzigzag(take_varint(bytes)?, self.object);
        Some(self.object)
    }
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    u32::try_from(take_varint(bytes)?).ok()
}
