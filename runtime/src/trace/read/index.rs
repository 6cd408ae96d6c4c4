//! Where the chunks of each lane are, and the names of all places.

use crate::clock::Pair;
use crate::trace::format::{
    CHUNK_HEADER_BYTES, ChunkHeader, Content, HEADER_BYTES, MOST_PAYLOAD_BYTES, take_varint,
};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As the compiler was given it.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A chunk of events.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkAt {
    /// Of its payload.
    pub(super) offset: u64,
    pub(super) header: ChunkHeader,
}

/// A lane's chunks, in order.
#[derive(Debug)]
pub(super) struct LaneIndex {
    pub(super) runtime: u32,
    /// From 1 within its runtime, in the order in which they first wrote; 0 for what is outside its workers.
    pub(super) worker: u32,
    pub(super) thread: u32,
    pub(super) chunks: Vec<ChunkAt>,
}

#[derive(Debug)]
pub(super) struct Index {
    pub(super) lanes: Vec<LaneIndex>,
    pub(super) places: HashMap<u32, Place>,
    pub(super) scale: Scale,
    pub(super) torn_bytes: u64,
}

/// From ticks to nanoseconds: the line through the first and the last moment that is known on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    start: u64,
    ns_per_tick: f64,
}

impl Scale {
    fn new(start: Pair, last: Pair) -> Self {
        let ticks = last.ticks.saturating_sub(start.ticks);
        let ns = last.ns.saturating_sub(start.ns);
        let ns_per_tick = if ticks == 0 || ns == 0 { 1.0 } else { ns as f64 / ticks as f64 };
        Self { start: start.ticks, ns_per_tick }
    }

    /// Nanoseconds since the start.
    pub(super) fn time_ns(&self, ticks: u64) -> u64 {
        self.length_ns(ticks.saturating_sub(self.start))
    }

    pub(super) fn length_ns(&self, ticks: u64) -> u64 {
        (ticks as f64 * self.ns_per_tick).round() as u64
    }
}

impl Index {
    pub(super) fn read(file: &File, start: Pair) -> io::Result<Self> {
        let end = file.metadata()?.len();
        let mut index = Self {
            lanes: Vec::new(),
            places: HashMap::new(),
            scale: Scale::new(start, start),
            torn_bytes: 0,
        };
        let mut numbers = HashMap::new();
        let mut last = start;
        let mut at = HEADER_BYTES as u64;
        while let Some(header) = head(file, at, end)? {
            let offset = at + CHUNK_HEADER_BYTES as u64;
            match header.content {
                Content::Events => index.add(&mut numbers, ChunkAt { offset, header }),
                Content::Sites => {
                    let mut payload = vec![0; header.payload_bytes as usize];
                    file.read_exact_at(&mut payload, offset)?;
                    take_places(&payload, &mut index.places);
                }
            }
            if header.written.ticks > last.ticks {
                last = header.written;
            }
            at = offset + u64::from(header.payload_bytes);
        }
        index.scale = Scale::new(start, last);
        index.torn_bytes = end.saturating_sub(at);
        Ok(index)
    }

    fn add(&mut self, numbers: &mut HashMap<u32, usize>, chunk: ChunkAt) {
        let ChunkHeader { lane, runtime, thread, .. } = chunk.header;
        let place = *numbers.entry(lane).or_insert_with(|| {
            let before = self.lanes.iter().filter(|lane| lane.runtime == runtime && lane.thread != 0).count();
            let worker = if thread == 0 { 0 } else { u32::try_from(before + 1).unwrap_or(u32::MAX) };
            self.lanes.push(LaneIndex { runtime, worker, thread, chunks: Vec::new() });
            self.lanes.len() - 1
        });
        self.lanes[place].chunks.push(chunk);
    }
}

/// The head of the chunk at `at`, if the file, `end` bytes long, has all of it.
fn head(file: &File, at: u64, end: u64) -> io::Result<Option<ChunkHeader>> {
    if at + CHUNK_HEADER_BYTES as u64 > end {
        return Ok(None);
    }
    let mut bytes = [0; CHUNK_HEADER_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    Ok(ChunkHeader::parse(&bytes).filter(|header| {
        header.payload_bytes as usize <= MOST_PAYLOAD_BYTES
            && at + CHUNK_HEADER_BYTES as u64 + u64::from(header.payload_bytes) <= end
    }))
}

/// Reads entries as far as they are whole.
fn take_places(mut bytes: &[u8], places: &mut HashMap<u32, Place>) {
    while let Some((number, place)) = take_place(&mut bytes) {
        places.insert(number, place);
    }
}

fn take_place(bytes: &mut &[u8]) -> Option<(u32, Place)> {
    let mut value = || take_varint(bytes);
    let (number, line, column, len) = (value()?, value()?, value()?, value()?);
    let (file, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    let place = Place {
        file: String::from_utf8_lossy(file).into_owned(),
        line: u32::try_from(line).ok()?,
        column: u32::try_from(column).ok()?,
    };
    Some((u32::try_from(number).ok()?, place))
}
