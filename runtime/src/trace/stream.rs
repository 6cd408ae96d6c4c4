//! A stream of events: one thread's, or that of several which take turns under a lock. Coded and buffered here, written to
//! the file as chunks.

use super::buffer::{Shared, Writer, buffer};
use super::format::{ChunkHeader, Content, kind, zigzag};
use super::recorder::Recorder;
use super::sites::{Cache, Site};
use crate::clock::Pair;
use crate::primitives::Arc;

/// What belongs to the bytes in a stream's buffer.
pub(super) struct Gate {
    /// The header of the chunk that they will be.
    pub(super) header: ChunkHeader,
    pub(super) state: State,
}

/// What becomes of what is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is written.
    Open,
    /// The file is full: it is counted as dropped, but for so many events that are in the buffer and in the file.
    Full { written: u32 },
    /// The recording has ended.
    Closed,
}

/// The recording end of a stream.
pub(crate) struct Stream {
    pub(super) recorder: &'static Recorder,
    writer: Writer<Gate>,
    pub(super) runtime: u32,
    last: Last,
    /// The goroutine that runs here; 0 if none.
    pub(super) running: u64,
    sites: Cache,
}

/// What the next event's differences are to.
#[derive(Clone, Copy, Default)]
struct Last {
    ticks: u64,
    id: u64,
    object: u64,
}

impl Stream {
    /// Begins a stream of `runtime`; of the worker whose thread id is `thread`, or of all that is outside of its workers
    /// (0). Lists it with the recorder.
    pub(super) fn begin(recorder: &'static Recorder, runtime: u32, thread: u32) -> Self {
        let now = recorder.clock.now();
        let header = ChunkHeader {
            content: Content::Events,
            payload_bytes: 0,
            events: 0,
            lane: recorder.new_lane(),
            sequence: 0,
            runtime,
            thread,
            base_ticks: now,
            running: 0,
            written: Pair::default(),
        };
        let stream = Self {
            recorder,
            writer: buffer(Gate { header, state: State::Open }),
            runtime,
            last: Last { ticks: now, ..Last::default() },
            running: 0,
            sites: Cache::new(),
        };
        recorder.list(Arc::clone(stream.shared()));
        stream
    }

    pub(super) fn shared(&self) -> &Arc<Shared<Gate>> {
        self.writer.shared()
    }

    /// Goroutine `id` is started at `site`, by whoever runs here.
    pub(crate) fn spawn(&mut self, id: u64, site: Site) {
        let site = self.site(site);
        self.event(kind::SPAWN, |stream| [stream.id(id), site]);
    }

    /// Goroutine `id` was parked and is now runnable. Recorded before it is queued.
    pub(crate) fn unpark(&mut self, id: u64) {
        self.event(kind::UNPARK, |stream| [stream.id(id)]);
    }

    /// Writes what is there to the file if it is much. For moments in which the thread holds no lock.
    pub(super) fn flush_if_half_full(&mut self) {
        if self.is_half_full() {
            self.flush();
        }
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.writer.is_half_full()
    }

    #[cold]
    #[inline(never)]
    fn flush(&mut self) {
        let (recorder, next) = (self.recorder, (self.last.ticks, self.running));
        let is_full = self.writer.drain(|gate, written| {
            let is_full = recorder.append(gate, written);
            (gate.header.base_ticks, gate.header.running) = next;
            is_full
        });
        if is_full {
            recorder.stop_all();
        }
        self.last = Last { ticks: next.0, ..Last::default() };
    }

    /// Records an event now.
    #[inline(always)]
    pub(super) fn event<const N: usize>(&mut self, kind: u8, values: impl FnOnce(&mut Self) -> [u64; N]) {
        self.event_at(self.recorder.clock.now(), kind, values);
    }

    /// Records an event at `ticks`; `values` computes its values, once there is room: differences start anew in a new
    /// chunk.
    #[inline(always)]
    pub(super) fn event_at<const N: usize>(
        &mut self,
        ticks: u64,
        kind: u8,
        values: impl FnOnce(&mut Self) -> [u64; N],
    ) {
        if !self.writer.has_room() {
            self.flush();
        }
        // The clocks of two CPUs may differ by a little: time stands still rather than go back.
        let passed = ticks.saturating_sub(self.last.ticks);
        self.last.ticks += passed;
        let values = values(self);
        self.writer.push(kind, passed, values);
    }

    /// An id as a value of an event.
    #[inline(always)]
    pub(super) fn id(&mut self, id: u64) -> u64 {
        zigzag(id, std::mem::replace(&mut self.last.id, id))
    }

    /// An object as a value of an event.
    #[inline(always)]
    pub(super) fn object(&mut self, object: usize) -> u64 {
        zigzag(object as u64, std::mem::replace(&mut self.last.object, object as u64))
    }

    /// A place as a value of an event. Before the event: it may have to be written to the file.
    pub(super) fn site(&mut self, site: Site) -> u64 {
        let recorder = self.recorder;
        u64::from(self.sites.number(site, || recorder.site(site)))
    }
}
