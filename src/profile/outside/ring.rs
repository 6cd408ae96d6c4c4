//! The memory through which the kernel hands over an event's records.
//!
//! ```text
//! kernel:  write record   data_head += size (release)      read data_tail (how much room there is)
//! here:    read data_head (acquire)   read records         data_tail += their size (release)
//! ```
//! The kernel writes only outside `tail..head`, so what lies there holds still, and is read in place: a sample is 8 KiB, of
//! which few are looked at, and a copy takes longer than the walk. When there is no room the kernel drops the record and says
//! so in a later one.
#![allow(unsafe_code, reason = "a mapping shared with the kernel")]

use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use linux_perf_event_reader::RawData;
use perf_event_open_sys::bindings::perf_event_mmap_page;
use rustix::mm::{MapFlags, ProtFlags};

/// One mapped ring: a page of header, then `data_bytes`, a power of two of pages.
#[derive(Debug)]
pub(super) struct Ring {
    header: NonNull<perf_event_mmap_page>,
    page_bytes: usize,
    data_bytes: usize,
    /// Everything before it has been given back; only this side moves it.
    tail: u64,
}

impl Ring {
    /// Maps the ring of an event, with about `wanted_bytes` of data, or less where the kernel allows this user less locked
    /// memory (at least 8 pages).
    ///
    /// # Errors
    /// Even 8 pages exceed `perf_event_mlock_kb` and `RLIMIT_MEMLOCK`, or another of the kernel's.
    pub(super) fn map(event: &OwnedFd, wanted_bytes: usize) -> io::Result<Self> {
        let page_bytes = rustix::param::page_size();
        let mut pages = (wanted_bytes / page_bytes).max(8).next_power_of_two();
        loop {
            match Self::map_pages(event, page_bytes, pages) {
                Err(error) if error.raw_os_error() == Some(libc::EPERM) && pages > 8 => pages /= 2,
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                    return Err(io::Error::other(format!(
                        "may not lock {} KiB of memory; raise `ulimit -l` or `sysctl kernel.perf_event_mlock_kb` ({error})",
                        (pages + 1) * page_bytes / 1024
                    )));
                }
                result => return result,
            }
        }
    }

    fn map_pages(event: &OwnedFd, page_bytes: usize, pages: usize) -> io::Result<Self> {
        let data_bytes = pages * page_bytes;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let hint = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice replaces no memory of this process.
        let base =
            unsafe { rustix::mm::mmap(hint, page_bytes + data_bytes, prot, MapFlags::SHARED, event, 0) }?;
        let header =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::other("the ring was mapped at address 0"))?;
        Ok(Self { header, page_bytes, data_bytes, tail: 0 })
    }

    /// Bytes that it holds.
    pub(super) fn data_bytes(&self) -> usize {
        self.data_bytes
    }

    /// What has come in and was not given back, oldest first, where it lies: whole records, one after the other.
    pub(super) fn unread(&self) -> RawData<'_> {
        // ORDERING: Acquire; pairs with the kernel's release of `data_head`, which publishes the records before it.
        let head = self.head().load(Acquire);
        let new = usize::try_from(head.wrapping_sub(self.tail)).unwrap_or(usize::MAX);
        // The kernel never writes more than there is room for.
        let [first, second] = spans(self.tail, new.min(self.data_bytes), self.data_bytes);
        match second.length {
            0 => RawData::Single(self.slice(first)),
            _ => RawData::Split(self.slice(first), self.slice(second)),
        }
    }

    /// Gives the oldest `bytes` of what is unread back to the kernel, to write there again.
    pub(super) fn give_back(&mut self, bytes: usize) {
        self.tail = self.tail.wrapping_add(bytes as u64);
        // ORDERING: Release; pairs with the kernel's read of `data_tail`: whoever read there has finished, by `&mut self`.
        self.tail_seen_by_kernel().store(self.tail, Release);
    }

    fn slice(&self, part: Span) -> &[u8] {
        let first = self.page_bytes + part.start;
        // SAFETY: `spans` keeps `start + length` within `data_bytes`, and the mapping holds `page_bytes + data_bytes`.
        let from = unsafe { self.header.as_ptr().cast::<u8>().add(first) };
        // SAFETY: `from` is readable for `length` (line above) as long as `self`, and initialised, as all of a mapping is. The
        // kernel does not write there, as it is in `tail..head`, until `give_back`, which needs `self` alone.
        unsafe { std::slice::from_raw_parts(from, part.length) }
    }

    fn head(&self) -> &AtomicU64 {
        // SAFETY: `header` points to the mapping's first page, which holds a whole `perf_event_mmap_page`.
        let head = unsafe { &raw mut (*self.header.as_ptr()).data_head };
        // SAFETY: `head` is aligned, valid as long as `self`, and only ever accessed atomically on this side.
        unsafe { AtomicU64::from_ptr(head) }
    }

    fn tail_seen_by_kernel(&self) -> &AtomicU64 {
        // SAFETY: as in `head`.
        let tail = unsafe { &raw mut (*self.header.as_ptr()).data_tail };
        // SAFETY: as in `head`.
        unsafe { AtomicU64::from_ptr(tail) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let base = self.header.as_ptr().cast();
        // SAFETY: `base` and the length describe the whole mapping made in `map_pages`; no reference into it outlives `self`.
        let unmapped = unsafe { rustix::mm::munmap(base, self.page_bytes + self.data_bytes) };
        debug_assert!(unmapped.is_ok(), "the ring is a mapping of this process: {unmapped:?}");
    }
}

/// A piece of the data area without wrap-around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    length: usize,
}

/// The pieces that hold `length` bytes from position `tail` on; the second is empty unless they wrap around. `length` is at
/// most `data_bytes`, a power of two.
fn spans(tail: u64, length: usize, data_bytes: usize) -> [Span; 2] {
    let mask = data_bytes as u64 - 1;
    let start = usize::try_from(tail & mask).expect("a position within the ring");
    let first = length.min(data_bytes - start);
    [Span { start, length: first }, Span { start: 0, length: length - first }]
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A ring over a file in memory, and the kernel's part played through a second mapping-free path: writes to the file.
    pub(in super::super) struct Fake {
        file: OwnedFd,
        head: u64,
        data_bytes: u64,
    }

    impl Fake {
        pub(in super::super) fn new(pages: usize) -> (Self, Ring) {
            let page = rustix::param::page_size();
            let file = rustix::fs::memfd_create("ring", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            rustix::fs::ftruncate(&file, (page * (pages + 1)) as u64).unwrap();
            let ring = Ring::map(&file, page * pages).unwrap();
            (Self { file, head: 0, data_bytes: (page * pages) as u64 }, ring)
        }

        pub(in super::super) fn write(&mut self, bytes: &[u8]) {
            let page = rustix::param::page_size() as u64;
            for &byte in bytes {
                rustix::io::pwrite(&self.file, &[byte], page + self.head % self.data_bytes).unwrap();
                self.head += 1;
            }
            let field = std::mem::offset_of!(perf_event_mmap_page, data_head) as u64;
            rustix::io::pwrite(&self.file, &self.head.to_ne_bytes(), field).unwrap();
        }

        fn tail(&self) -> u64 {
            let field = std::mem::offset_of!(perf_event_mmap_page, data_tail) as u64;
            let mut bytes = [0; 8];
            rustix::io::pread(&self.file, &mut bytes, field).unwrap();
            u64::from_ne_bytes(bytes)
        }
    }

    #[test]
    fn what_wraps_around_comes_out_whole() {
        let (mut kernel, mut ring) = Fake::new(8);
        let chunk: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        for round in 0..3 {
            kernel.write(&chunk);
            assert_eq!(*ring.unread().as_slice(), chunk, "round {round}");
            ring.give_back(5000);
            assert_eq!(*ring.unread().as_slice(), chunk[5000..], "round {round}");
            ring.give_back(15_000);
            assert_eq!(kernel.tail(), kernel.head, "the room is given back");
        }
    }

    #[test]
    fn an_empty_ring_gives_nothing() {
        let (_kernel, ring) = Fake::new(8);
        assert!(ring.unread().is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_two_spans_cover_every_byte_once(tail in any::<u64>(), length in 0_usize..=64) {
            let mut seen = Vec::new();
            for part in spans(tail, length, 64) {
                prop_assert!(part.start + part.length <= 64);
                seen.extend(part.start..part.start + part.length);
            }
            let expected: Vec<usize> = (0..length as u64).map(|i| (tail.wrapping_add(i) % 64) as usize).collect();
            prop_assert_eq!(seen, expected);
        }
    }
}
