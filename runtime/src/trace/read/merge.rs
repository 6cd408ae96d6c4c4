//! All lanes' events in the order of time, and of cause and effect.

use super::chunk::LaneState;
use super::event::Event;
use super::index::{ChunkAt, Index, LaneIndex, Scale};
use super::order::{Id, Order, PATIENCE_NS};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::slice;

/// The events of a trace, in the order of time. An error of the system ends them.
#[derive(Debug)]
pub struct Events<'a> {
    file: &'a File,
    scale: Scale,
    lanes: Vec<Cursor<'a>>,
    /// The time of each lane's next event, and the lane; the first lane first where times are equal.
    next: BinaryHeap<Reverse<(u64, usize)>>,
    order: Order,
    /// Lanes whose next event comes too early, by its time.
    held: BTreeMap<(u64, usize), Id>,
    /// The same lanes, by what they wait for.
    holders: HashMap<Id, Vec<(u64, usize)>>,
    /// Time of the last event: none goes back behind it.
    last_ns: u64,
    damage: Damage,
}

/// What could not be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Damage {
    /// Chunks that were not decodable to their end.
    chunks: u64,
    /// Places where a lane lacks a chunk.
    gaps: u64,
}

#[derive(Debug)]
struct Cursor<'a> {
    lane: &'a LaneIndex,
    chunks: slice::Iter<'a, ChunkAt>,
    /// Sequence number that the next chunk should have.
    sequence: u32,
    state: LaneState,
    payload: Vec<u8>,
    /// Where in the payload the next event begins.
    at: usize,
    event: Option<Event>,
}

impl<'a> Events<'a> {
    pub(super) fn new(file: &'a File, index: &'a Index) -> Self {
        let lanes: Vec<_> = index.lanes.iter().map(Cursor::new).collect();
        // A lane's first event is not before its first chunk's base: until that time comes it is not read.
        let next = lanes
            .iter()
            .enumerate()
            .filter_map(|(number, cursor)| Some(Reverse((cursor.base()?, number))))
            .collect();
        Self {
            file,
            scale: index.scale,
            lanes,
            next,
            order: Order::default(),
            held: BTreeMap::new(),
            holders: HashMap::new(),
            last_ns: 0,
            damage: Damage::default(),
        }
    }

    /// What could not be read so far, in words; `None` if nothing.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let Damage { chunks, gaps } = self.damage;
        match (chunks, gaps) {
            (0, 0) => None,
            (chunks, 0) => Some(format!("{chunks} chunks could not be decoded to their end")),
            (0, gaps) => Some(format!("{gaps} chunks are missing")),
            (chunks, gaps) => {
                Some(format!("{chunks} chunks could not be decoded to their end, and {gaps} are missing"))
            }
        }
    }
}

impl Iterator for Events<'_> {
    type Item = io::Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, is_late) = self.pop()?;
            let cursor = &mut self.lanes[number];
            if let Some(event) = &cursor.event
                && !is_late
                && let Some(cause) = self.order.waits_for(event)
            {
                self.hold(number, cause);
                continue;
            }
            let event = cursor.event.take();
            match cursor.advance(self.file, &self.scale, &mut self.damage) {
                Ok(Some(ticks)) => self.next.push(Reverse((ticks, number))),
                Ok(None) => {}
                Err(error) => {
                    self.next.clear();
                    self.held.clear();
                    return Some(Err(error));
                }
            }
            if let Some(event) = event {
                return Some(Ok(self.pass(event)));
            }
        }
    }
}

impl Events<'_> {
    /// The lane whose turn it is, and whether its event has been held for long enough.
    fn pop(&mut self) -> Option<(usize, bool)> {
        let next = self.next.peek().map(|&Reverse((ticks, _))| ticks);
        if let Some((&(ticks, number), _)) = self.held.first_key_value()
            && next.is_none_or(|next| self.scale.length_ns(next.saturating_sub(ticks)) > PATIENCE_NS)
        {
            self.held.pop_first();
            return Some((number, true));
        }
        self.next.pop().map(|Reverse((_, number))| (number, false))
    }

    fn hold(&mut self, number: usize, cause: Id) {
        let key = (self.lanes[number].state.ticks(), number);
        self.held.insert(key, cause);
        self.holders.entry(cause).or_default().push(key);
    }

    /// `event` is the next one. Lets those go that waited for it.
    fn pass(&mut self, mut event: Event) -> Event {
        self.last_ns = self.last_ns.max(event.time_ns);
        event.time_ns = self.last_ns;
        if let Some(changed) = self.order.pass(&event) {
            for key in self.holders.remove(&changed).unwrap_or_default() {
                if self.held.remove(&key).is_some() {
                    self.next.push(Reverse(key));
                }
            }
        }
        event
    }
}

impl<'a> Cursor<'a> {
    fn new(lane: &'a LaneIndex) -> Self {
        Self {
            lane,
            chunks: lane.chunks.iter(),
            sequence: 0,
            state: LaneState::default(),
            payload: Vec::new(),
            at: 0,
            event: None,
        }
    }

    /// When the next chunk begins.
    fn base(&self) -> Option<u64> {
        self.chunks.as_slice().first().map(|chunk| chunk.header.base_ticks)
    }

    /// Decodes the next event, or loads the next chunk. Ticks of the next event, or before which there is none; `None` at
    /// the end of the lane.
    fn advance(&mut self, file: &File, scale: &Scale, damage: &mut Damage) -> io::Result<Option<u64>> {
        if self.at == self.payload.len() && !self.load(file, damage)? {
            return Ok(None);
        }
        let mut rest = &self.payload[self.at..];
        if rest.is_empty() {
            return Ok(self.base());
        }
        let Some(decoded) = self.state.take(&mut rest, scale) else {
            damage.chunks += 1;
            self.at = self.payload.len();
            return Ok(self.base());
        };
        self.at = self.payload.len() - rest.len();
        self.event = Some(Event {
            time_ns: scale.time_ns(decoded.ticks),
            runtime: self.lane.runtime,
            worker: self.lane.worker,
            thread: self.lane.thread,
            processor: self.state.processor,
            goroutine: decoded.goroutine,
            what: decoded.what,
        });
        Ok(Some(decoded.ticks))
    }

    /// Reads the next chunk; `false` if there is none.
    fn load(&mut self, file: &File, damage: &mut Damage) -> io::Result<bool> {
        self.payload.clear();
        self.at = 0;
        let Some(chunk) = self.chunks.next() else {
            self.payload.shrink_to_fit();
            return Ok(false);
        };
        self.payload.resize(chunk.header.payload_bytes as usize, 0);
        file.read_exact_at(&mut self.payload, chunk.offset)?;
        let follows = chunk.header.sequence == self.sequence;
        damage.gaps += u64::from(!follows);
        self.state.enter(&chunk.header, follows);
        self.sequence = chunk.header.sequence.wrapping_add(1);
        Ok(true)
    }
}
