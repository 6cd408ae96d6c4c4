//! Bytes of events: written by one thread, without a lock; taken by whoever writes them to the file.
//!
//! The thread that records has the [`Writer`]; everyone may have the [`Shared`] half. The writer appends an event behind
//! what is there and then publishes the new length, so what lies below the published length does not change. Only under
//! the lock `gate` is it taken and the length set back. That is how the end of a program (a deadlock, SIGQUIT) gets at
//! what other threads have recorded, while they may still run.
#![allow(unsafe_code, reason = "one thread writes behind what another reads")]

use super::format::{MOST_PAYLOAD_BYTES, MOST_VARINT_BYTES, short_varint};
use crate::primitives::atomic::{
    AtomicU64,
    Ordering::{Acquire, Release},
};
use crate::primitives::{Arc, Mutex};
use std::cell::UnsafeCell;
use std::slice;

/// Bytes of a buffer. They pass through the first-level cache (48 KiB here) before they are written, and a `write` of
/// half of it costs 2 ns for each 8 bytes, hardly more than one of 256 KiB.
const CAPACITY: usize = 32 << 10;
const _: () = assert!(CAPACITY <= MOST_PAYLOAD_BYTES);

/// Most values of an event, behind its kind and the time.
const MOST_VALUES: usize = 4;
const MOST_EVENT_BYTES: usize = 1 + (1 + MOST_VALUES) * MOST_VARINT_BYTES;
/// What has to be free: a varint is stored eight bytes wide.
const ROOM_BYTES: usize = MOST_EVENT_BYTES + 8;

/// What is known to all of a buffer.
pub(super) struct Shared<G> {
    bytes: Box<[UnsafeCell<u8>]>,
    /// Bytes that are written for good, in the low half; the events in them, in the high half.
    length: AtomicU64,
    /// What belongs to the bytes that are there now, for whoever takes them.
    gate: Mutex<G>,
}

// SAFETY: `bytes` is written by the one `Writer`, at and behind the published length only, and read under the lock
// below that length; the length is published with Release and read with Acquire. It is set back by the `Writer` only,
// under the lock, so no one reads meanwhile. The other fields are `Sync` if `G` is `Send`.
unsafe impl<G: Send> Sync for Shared<G> {}

/// The recording end of a buffer: there is one.
pub(super) struct Writer<G> {
    shared: Arc<Shared<G>>,
    at: usize,
    events: u32,
}

/// An empty buffer; `gate` is what belongs to its content.
pub(super) fn buffer<G>(gate: G) -> Writer<G> {
    let shared = Shared {
        bytes: (0..CAPACITY).map(|_| UnsafeCell::new(0)).collect(),
        length: AtomicU64::new(0),
        gate: Mutex::new(gate),
    };
    Writer { shared: Arc::new(shared), at: 0, events: 0 }
}

impl<G> Writer<G> {
    pub(super) fn shared(&self) -> &Arc<Shared<G>> {
        &self.shared
    }

    /// Whether one more event is sure to fit.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.at <= CAPACITY - ROOM_BYTES
    }

    pub(super) fn is_half_full(&self) -> bool {
        self.at > CAPACITY / 2
    }

    /// Appends an event of `kind`: the ticks that `passed`, and its `values`.
    ///
    /// # Panics
    /// If there is no room.
    #[inline(always)]
    pub(super) fn push<const N: usize>(&mut self, kind: u8, passed: u64, values: [u64; N]) {
        const { assert!(N <= MOST_VALUES) };
        assert!(self.has_room(), "the caller makes room first");
        let bytes: *mut u8 = self.shared.bytes.as_ptr().cast_mut().cast();
        // SAFETY: ROOM_BYTES from `at` on lie in the slice, by the check above, and they are behind the published length:
        // no one reads there.
        let mut to = unsafe { bytes.add(self.at) };
        // SAFETY: as above.
        unsafe { to.write(kind) };
        // SAFETY: as above.
        to = unsafe { to.add(1) };
        // SAFETY: ROOM_BYTES leave nine bytes for this one, as above.
        to = unsafe { put(to, passed) };
        for value in values {
            // SAFETY: before each of at most MOST_VALUES there were the kind and that many varints less one, of nine bytes
            // at most each: ROOM_BYTES leave nine more, as above.
            to = unsafe { put(to, value) };
        }
        self.at = to.addr() - bytes.addr();
        self.events += 1;
        let length = u64::from(self.events) << 32 | self.at as u64;
        // ORDERING: Release; pairs with the Acquire in `look`: the bytes are written before they count.
        self.shared.length.store(length, Release);
    }

    /// Has `take` take what is there, with what belongs to it, and begins anew.
    pub(super) fn drain<R>(&mut self, take: impl FnOnce(&mut G, Written<'_>) -> R) -> R {
        let mut gate = self.shared.gate.lock();
        let result = self.shared.look(&mut gate, take);
        (self.at, self.events) = (0, 0);
        // ORDERING: Release; a later reader has the lock after this thread.
        self.shared.length.store(0, Release);
        result
    }
}

/// Writes the varint of `value`, 1 to 9 bytes. Returns where the next one goes.
///
/// # Safety
/// Nine bytes from `to` on may be written, and no one else looks at them.
#[inline(always)]
unsafe fn put(to: *mut u8, value: u64) -> *mut u8 {
    if value < 128 {
        // Most values are: no width to compute.
        // SAFETY: one of the caller's nine bytes.
        unsafe { to.write((value as u8) << 1 | 1) };
        // SAFETY: as above.
        return unsafe { to.add(1) };
    }
    let (word, len) = short_varint(value).unwrap_or((0, 1));
    // SAFETY: eight of the caller's nine bytes; the store may be unaligned.
    unsafe { to.cast::<u64>().write_unaligned(word.to_le()) };
    // SAFETY: `len` is at most eight.
    let behind = unsafe { to.add(len) };
    if len != 1 || word != 0 {
        return behind;
    }
    // SAFETY: a first byte of zero says that eight follow: the rest of the caller's nine. The store may be unaligned.
    unsafe { behind.cast::<u64>().write_unaligned(value.to_le()) };
    // SAFETY: as above.
    unsafe { behind.add(8) }
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) events: u32,
}

impl<G> Shared<G> {
    /// Lets `look` look at what is there, unless someone else does and goes on doing so: `None`. Takes no lock for
    /// good and allocates nothing: for a signal handler too.
    pub(super) fn peek<R>(&self, look: impl FnOnce(&mut G, Written<'_>) -> R) -> Option<R> {
        let mut gate = self.gate.lock_soon()?;
        Some(self.look(&mut gate, look))
    }

    /// For whoever has the lock.
    fn look<R>(&self, gate: &mut G, look: impl FnOnce(&mut G, Written<'_>) -> R) -> R {
        // ORDERING: Acquire; pairs with the Release in `push`.
        let length = self.length.load(Acquire);
        let start: *const u8 = self.bytes.as_ptr().cast();
        let used = (length & u64::from(u32::MAX)) as usize;
        // SAFETY: the first `used` bytes are initialised and are not written until the length is set back, which takes
        // the lock that the caller has.
        let bytes = unsafe { slice::from_raw_parts(start, used) };
        look(gate, Written { bytes, events: (length >> 32) as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::take_varint;
    use super::*;

    fn values(mut bytes: &[u8]) -> Vec<u64> {
        std::iter::from_fn(|| take_varint(&mut bytes)).collect()
    }

    #[test]
    fn events_lie_one_behind_the_other() {
        let mut writer = buffer(());
        writer.push(3, 0, [u64::MAX, 1 << 55]);
        writer.push(4, 127, []);
        let (events, bytes) = writer.drain(|(), written| (written.events, written.bytes.to_vec()));
        let (first, second) = bytes.split_at(bytes.len() - 2);
        assert_eq!((events, first[0], second[0]), (2, 3, 4));
        assert_eq!((values(&first[1..]), values(&second[1..])), (vec![0, u64::MAX, 1 << 55], vec![127]));
    }

    #[test]
    fn it_says_when_the_longest_event_no_longer_fits() {
        let mut writer = buffer(());
        let mut pushed = 0;
        while writer.has_room() {
            writer.push(1, u64::MAX, [u64::MAX; MOST_VALUES]);
            pushed += 1;
        }
        assert_eq!(pushed, (CAPACITY - ROOM_BYTES) / MOST_EVENT_BYTES + 1);
        writer.drain(|(), written| assert_eq!(written.bytes.len(), MOST_EVENT_BYTES * pushed));
        assert!(writer.has_room() && !writer.is_half_full());
    }

    #[test]
    fn others_see_whole_events_while_it_is_written() {
        let mut writer = buffer(());
        let shared = Arc::clone(writer.shared());
        let reader = std::thread::spawn(move || {
            let mut seen = 0;
            while seen < 1_000 {
                seen = shared
                    .peek(|(), written| {
                        let values = values(written.bytes);
                        // A kind of 1 reads as a varint of one byte with the value 0, then comes the value.
                        assert!(values.chunks_exact(2).zip(0..).all(|(pair, index)| pair[1] == index));
                        assert_eq!(values.len(), 2 * written.events as usize);
                        written.events
                    })
                    .unwrap_or(seen);
                std::thread::yield_now();
            }
        });
        (0..1_000).for_each(|index| writer.push(1, index, []));
        reader.join().unwrap();
    }

    #[test]
    fn no_one_waits_for_a_lock_that_its_own_thread_holds() {
        let mut writer = buffer(());
        let shared = Arc::clone(writer.shared());
        assert!(writer.drain(|(), _| shared.peek(|(), _| ()).is_none()));
    }
}
