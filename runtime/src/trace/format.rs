//! The bytes of a trace file: what the recorder writes and the reader reads. `docs/trace.md` is the same for people.
//!
//! ```text
//! file:    header (64 bytes)  chunk  chunk  chunk …
//! chunk:   header (64 bytes)  payload
//! events:  { kind: u8, ticks since the event before: varint, values of the kind: varints } …
//! sites:   { id, line, column, bytes of the file name: varints; the file name } …
//! ```
//!
//! All fixed-size numbers are little-endian. Each chunk of events can be decoded by itself: differences start anew.
//! A *varint* of `n` bytes says so in the trailing zeros of its first byte, so that neither side loops over bytes.

use crate::clock::Pair;

/// First bytes of a trace.
pub(super) const MAGIC: [u8; 8] = *b"corefitT";
pub(super) const VERSION: u32 = 1;
pub(super) const HEADER_BYTES: usize = 64;
/// First bytes of a chunk.
pub(super) const CHUNK_MAGIC: [u8; 4] = *b"CFTc";
pub(super) const CHUNK_HEADER_BYTES: usize = 64;
/// Most bytes of a chunk's payload: what a reader must be ready to hold, once a lane.
pub(super) const MOST_PAYLOAD_BYTES: usize = 64 << 10;
/// Most bytes of one varint.
pub(super) const MOST_VARINT_BYTES: usize = 9;

/// Where in the header the fields are that change while the file is written.
pub(super) const END_OFFSET: u64 = 20;
pub(super) const DROPPED_OFFSET: u64 = 48;

/// Kinds of events. Their values, in order, are at the side; `Δ` is the signed difference to the last such value of the
/// chunk, zigzag.
pub(super) mod kind {
    /// Δid, site.
    pub(in crate::trace) const SPAWN: u8 = 1;
    /// Δid.
    pub(in crate::trace) const RUN: u8 = 2;
    /// reason, Δobject, site (0: not known), ns off the CPU.
    pub(in crate::trace) const PARK: u8 = 3;
    /// ns off the CPU.
    pub(in crate::trace) const YIELD: u8 = 4;
    /// ns off the CPU.
    pub(in crate::trace) const END: u8 = 5;
    /// Δid: it was parked.
    pub(in crate::trace) const UNPARK: u8 = 6;
    /// Δid: it was not parked; its next park will not wait.
    pub(in crate::trace) const NOTIFY: u8 = 7;
    /// ns off the CPU.
    pub(in crate::trace) const BLOCKING_BEGIN: u8 = 8;
    /// ns off the CPU.
    pub(in crate::trace) const BLOCKING_END: u8 = 9;
    /// Δid: it goes on, since the token came while it parked.
    pub(in crate::trace) const GO_ON: u8 = 10;
    /// Index of the processor that the worker holds from now on.
    pub(in crate::trace) const PROCESSOR: u8 = 11;
    /// The running goroutine honours a wish to yield.
    pub(in crate::trace) const PREEMPT: u8 = 12;
    /// Processors that there should be.
    pub(in crate::trace) const PROCS: u8 = 13;
    /// The first of the operations of level `sync`, one kind each: Δobject, capacity, site.
    pub(in crate::trace) const FIRST_OP: u8 = 32;
}

/// Header of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// 0 scheduling, 1 sync.
    pub(super) level: u8,
    /// 0: a tick is a nanosecond of CLOCK_MONOTONIC; 1: ticks are the processor's, see the pairs.
    pub(super) clock: u8,
    /// How time off the CPU was noticed: 0 by length of a segment, 1 by restartable sequences.
    pub(super) cpu: u8,
    /// How the recording ended, see `End`; 0 if it has not.
    pub(super) end: u32,
    pub(super) start: Pair,
    pub(super) start_unix_ns: u64,
    /// Events that found no room.
    pub(super) dropped: u64,
    pub(super) pid: u32,
}

/// Header of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) content: Content,
    pub(super) payload_bytes: u32,
    pub(super) events: u32,
    /// From 1: one worker of one runtime, or all that is outside its workers.
    pub(super) lane: u32,
    /// From 0 within a lane.
    pub(super) sequence: u32,
    /// From 1.
    pub(super) runtime: u32,
    /// The worker's thread id; 0 outside.
    pub(super) thread: u32,
    /// Ticks that the first event counts from.
    pub(super) base_ticks: u64,
    /// The goroutine that runs there at that moment; 0 if none.
    pub(super) running: u64,
    /// A moment around which the chunk was written.
    pub(super) written: Pair,
}

/// What a chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Events,
    Sites,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&[self.level, self.clock, self.cpu, 0]);
        bytes[16..20].copy_from_slice(&self.pid.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.end.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.start.ticks.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.start.ns.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.start_unix_ns.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.dropped.to_le_bytes());
        bytes
    }

    /// The header, and the version of the format; `None` if these are not the first bytes of a trace.
    pub(super) fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<(u32, Self)> {
        if bytes[..8] != MAGIC {
            return None;
        }
        let header = Self {
            level: bytes[12],
            clock: bytes[13],
            cpu: bytes[14],
            pid: u32_at(bytes, 16),
            end: u32_at(bytes, 20),
            start: Pair { ticks: u64_at(bytes, 24), ns: u64_at(bytes, 32) },
            start_unix_ns: u64_at(bytes, 40),
            dropped: u64_at(bytes, 48),
        };
        Some((u32_at(bytes, 8), header))
    }
}

impl ChunkHeader {
    pub(super) fn to_bytes(self) -> [u8; CHUNK_HEADER_BYTES] {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        bytes[..4].copy_from_slice(&CHUNK_MAGIC);
        let content: u32 = match self.content {
            Content::Events => 1,
            Content::Sites => 2,
        };
        let words =
            [content, self.payload_bytes, self.events, self.lane, self.sequence, self.runtime, self.thread];
        for (index, word) in words.into_iter().enumerate() {
            bytes[4 + 4 * index..][..4].copy_from_slice(&word.to_le_bytes());
        }
        let longs = [self.base_ticks, self.running, self.written.ticks, self.written.ns];
        for (index, long) in longs.into_iter().enumerate() {
            bytes[32 + 8 * index..][..8].copy_from_slice(&long.to_le_bytes());
        }
        bytes
    }

    /// `None` if these are not the first bytes of a chunk.
    pub(super) fn parse(bytes: &[u8; CHUNK_HEADER_BYTES]) -> Option<Self> {
        if bytes[..4] != CHUNK_MAGIC {
            return None;
        }
        let content = match u32_at(bytes, 4) {
            1 => Content::Events,
            2 => Content::Sites,
            _ => return None,
        };
        Some(Self {
            content,
            payload_bytes: u32_at(bytes, 8),
            events: u32_at(bytes, 12),
            lane: u32_at(bytes, 16),
            sequence: u32_at(bytes, 20),
            runtime: u32_at(bytes, 24),
            thread: u32_at(bytes, 28),
            base_ticks: u64_at(bytes, 32),
            running: u64_at(bytes, 40),
            written: Pair { ticks: u64_at(bytes, 48), ns: u64_at(bytes, 56) },
        })
    }
}

fn u32_at(bytes: &[u8; 64], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8; 64], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

/// The varint of `value`: its bytes as the low bytes of a word, and how many they are: 1 to 8. `None` if it needs nine.
#[inline]
pub(super) fn short_varint(value: u64) -> Option<(u64, usize)> {
    // Seven bits of each byte are the value's.
    let bytes = (70 - (value | 1).leading_zeros()) / 7;
    (bytes <= 8).then(|| ((value << bytes) | (1 << (bytes - 1)), bytes as usize))
}

/// The signed difference, so that small ones are short whatever their sign.
#[inline]
pub(super) fn zigzag(now: u64, before: u64) -> u64 {
    let difference = now.wrapping_sub(before).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

/// The other way.
pub(super) fn unzigzag(coded: u64, before: u64) -> u64 {
    before.wrapping_add((coded >> 1) ^ (coded & 1).wrapping_neg())
}

/// Appends the varint of `value`.
pub(super) fn push_varint(bytes: &mut Vec<u8>, value: u64) {
    match short_varint(value) {
        Some((word, len)) => bytes.extend_from_slice(&word.to_le_bytes()[..len]),
        None => {
            bytes.push(0);
            bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
}

/// Takes a varint off the front of `bytes`; `None` if it is cut off.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let len = bytes.first()?.trailing_zeros() as usize + 1;
    let (varint, rest) = bytes.split_at_checked(len)?;
    let mut word = [0; 8];
    let value = if len == MOST_VARINT_BYTES {
        word.copy_from_slice(&varint[1..]);
        u64::from_le_bytes(word)
    } else {
        word[..len].copy_from_slice(varint);
        u64::from_le_bytes(word) >> len
    };
    *bytes = rest;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn takes_bytes(value: u64, expected: usize) {
        let mut bytes = Vec::new();
        push_varint(&mut bytes, value);
        assert_eq!(bytes.len(), expected, "{value:#x}");
        let mut rest = bytes.as_slice();
        assert_eq!((take_varint(&mut rest), rest.len()), (Some(value), 0));
        assert_eq!(take_varint(&mut &bytes[..expected - 1]), None, "cut off");
    }

    #[test]
    fn seven_bits_a_byte_and_nine_bytes_for_the_rest() {
        for bytes in 1..=8_usize {
            takes_bytes((1 << (7 * bytes)) - 1, bytes);
            takes_bytes(1 << (7 * bytes), bytes + 1);
        }
        takes_bytes(0, 1);
        takes_bytes(u64::MAX, 9);
    }

    #[test]
    fn headers_come_back_as_they_were() {
        let header = Header {
            level: 1,
            clock: 1,
            cpu: 1,
            end: 3,
            start: Pair { ticks: 4, ns: 5 },
            start_unix_ns: 6,
            dropped: 7,
            pid: 8,
        };
        assert_eq!(Header::parse(&header.to_bytes()), Some((VERSION, header)));
        let chunk = ChunkHeader {
            content: Content::Sites,
            payload_bytes: 1,
            events: 2,
            lane: 3,
            sequence: 4,
            runtime: 5,
            thread: 6,
            base_ticks: 7,
            running: 8,
            written: Pair { ticks: 9, ns: 10 },
        };
        assert_eq!(ChunkHeader::parse(&chunk.to_bytes()), Some(chunk));
    }

    #[test]
    fn the_fields_that_change_are_where_they_are_said_to_be() {
        let header = Header {
            level: 0,
            clock: 0,
            cpu: 0,
            end: 0xAABB,
            start: Pair::default(),
            start_unix_ns: 0,
            dropped: 0xCCDD,
            pid: 0,
        };
        let bytes = header.to_bytes();
        let at = |offset: u64| &bytes[usize::try_from(offset).unwrap()..][..2];
        assert_eq!((at(END_OFFSET), at(DROPPED_OFFSET)), (&[0xBB, 0xAA][..], &[0xDD, 0xCC][..]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn varints_come_back(values in proptest::collection::vec(any::<u64>(), 0..20), shift in 0..64_u32) {
            let values: Vec<u64> = values.into_iter().map(|value| value >> shift).collect();
            let mut bytes = Vec::new();
            values.iter().for_each(|&value| push_varint(&mut bytes, value));
            let mut rest = bytes.as_slice();
            let read: Vec<u64> = std::iter::from_fn(|| take_varint(&mut rest)).collect();
            prop_assert_eq!(read, values);
        }

        #[test]
        fn differences_come_back(now: u64, before: u64) {
            prop_assert_eq!(unzigzag(zigzag(now, before), before), now);
        }

        #[test]
        fn small_differences_are_short(before: u64, difference in -63_i64..64) {
            let coded = zigzag(before.wrapping_add_signed(difference), before);
            prop_assert!(coded < 128, "{}", coded);
        }
    }
}
