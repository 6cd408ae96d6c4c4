//! Address space from the kernel: large pieces, guard pages, and memory given back.
//!
//! Most of what a call costs is the call, and for memory given back the flush of other CPUs' translations: so stacks are
//! dealt with in batches, by `process_madvise` with many ranges (Linux 6.14 lets a process name itself). Measured a stack,
//! 64 at a time against one by one: guards 190 ns and 285, first touches 1150 and 1450, memory given back 190 and 1115.
//! Batches of 32 and of 256 were slower at first touches (1400).
#![allow(unsafe_code, reason = "mapping memory is a matter of system calls on addresses")]

use crate::primitives::OnceLock;
use crate::primitives::atomic::{AtomicBool, Ordering::Relaxed};
use std::io;
use std::ops::Range;
use std::ptr;

/// Most ranges in one call.
pub(super) const BATCH: usize = 64;

/// `MADV_GUARD_INSTALL` of Linux 6.13; the `libc` crate does not have it.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Bytes of the first piece of a class, and of the largest. Each is twice the one before, so that a million stacks of
/// 64 KiB are 11 pieces.
const FIRST_BYTES: usize = 64 << 20;
const LARGEST_BYTES: usize = 16 << 30;

/// Bytes of address space that are left to the program when a limit (`ulimit -v`) is near: what no stack can be had for is
/// told by a panic, which allocates; and a worker's thread takes 2 MiB.
const SPARE_BYTES: usize = 16 << 20;

/// The pieces of one size class.
#[derive(Debug)]
pub(super) struct Reservation {
    /// What is left of the current piece.
    free: Range<usize>,
    /// All pieces; the current one is the last.
    pieces: Vec<Range<usize>>,
    next_bytes: usize,
}

impl Reservation {
    pub(super) const NONE: Self = Self { free: 0..0, pieces: Vec::new(), next_bytes: FIRST_BYTES };

    /// The address of `bytes` (a power of two, the same in each call) of fresh memory; reserves a further piece if need
    /// be.
    pub(super) fn carve(&mut self, bytes: usize) -> io::Result<usize> {
        if self.free.len() < bytes {
            self.end_piece();
            self.free = self.reserve(bytes)?;
            self.pieces.push(self.free.clone());
        }
        let bottom = self.free.start;
        self.free.start += bytes;
        Ok(bottom)
    }

    /// The addresses of all that was carved, in sizes of `bytes`.
    pub(super) fn carved(&self, bytes: usize) -> impl Iterator<Item = usize> {
        let last = self.pieces.len().wrapping_sub(1);
        let pieces = self.pieces.iter().enumerate().map(move |(index, piece)| {
            if index == last { piece.start..self.free.start } else { piece.clone() }
        });
        pieces.flat_map(move |piece| piece.step_by(bytes))
    }

    /// The current piece is used up: what is too small for one more is not counted as carved.
    fn end_piece(&mut self) {
        if let Some(piece) = self.pieces.last_mut() {
            piece.end = self.free.start;
        }
    }

    /// A further piece; where the kernel refuses (a limit on address space), a smaller one.
    fn reserve(&mut self, bytes: usize) -> io::Result<Range<usize>> {
        let mut size = self.next_bytes.max(bytes);
        loop {
            match map(size + SPARE_BYTES) {
                Ok(start) => {
                    unmap(start + size, SPARE_BYTES);
                    self.next_bytes = (size * 2).min(LARGEST_BYTES);
                    return Ok(start..start + size);
                }
                Err(_) if size / 2 >= bytes => size /= 2,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Maps `bytes` of zeroed memory that costs nothing until it is touched.
fn map(bytes: usize) -> io::Result<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches no memory that is in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make the first touch of one stack cost the memory of 32. Refused where the kernel has no huge
    // pages, and then not needed.
    // SAFETY: the advice concerns the mapping made above, all of it, and does not change its contents.
    let _ = unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
    // Exposed: stacks and headers are accessed by address.
    Ok(start.expose_provenance())
}

/// Ends the mapping of `bytes` at `start`, the end of what `map` made, which nobody uses yet.
fn unmap(start: usize, bytes: usize) {
    // SAFETY: a part of a mapping that `reserve` has just made, and keeps no address of. If it fails, it stays mapped.
    let _ = unsafe { libc::munmap(ptr::with_exposed_provenance_mut(start), bytes) };
}

/// Makes every access to the page at each of `bottoms` (fresh, of a reservation) a fault. Returns how many, from the first,
/// it was done for, and the error if that is not all.
pub(super) fn guard(bottoms: &[usize]) -> (usize, io::Result<()>) {
    let mut done = advise_many(bottoms, page_bytes(), MADV_GUARD_INSTALL);
    while done < bottoms.len() {
        if let Err(error) = guard_one(bottoms[done]) {
            return (done, Err(error));
        }
        done += 1;
    }
    (done, Ok(()))
}

fn guard_one(page: usize) -> io::Result<()> {
    // Set once the kernel said that it does not know guard pages.
    static UNKNOWN: AtomicBool = AtomicBool::new(false);
    let address = ptr::with_exposed_provenance_mut(page);
    // ORDERING: Relaxed; guards nothing, whoever misses it asks the kernel again.
    if !UNKNOWN.load(Relaxed) {
        // SAFETY: the page lies in a reservation and in no one's use: the stack has not been given out yet.
        if unsafe { libc::madvise(address, page_bytes(), MADV_GUARD_INSTALL) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        // ORDERING: Relaxed; as above.
        UNKNOWN.store(true, Relaxed);
    }
    // SAFETY: as above.
    if unsafe { libc::mprotect(address, page_bytes(), libc::PROT_NONE) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Makes the page at each of `starts` present, all in one call; where that cannot be, the first touch does it.
pub(super) fn populate(starts: &[usize]) {
    advise_many(starts, page_bytes(), libc::MADV_POPULATE_WRITE);
}

/// Gives the memory of the `bytes` at each of `starts` back to the kernel; they read as zero afterwards. Guard pages stay.
pub(super) fn give_back(starts: &[usize], bytes: usize) {
    for starts in starts.chunks(BATCH) {
        let done = advise_many(starts, bytes, libc::MADV_DONTNEED);
        for &start in &starts[done..] {
            let address = ptr::with_exposed_provenance_mut(start);
            // SAFETY: the pages lie in a reservation, and the stack they belong to is owned by the caller: no goroutine
            // is on it.
            let failed = unsafe { libc::madvise(address, bytes, libc::MADV_DONTNEED) };
            debug_assert_eq!(failed, 0, "the pages are mapped");
        }
    }
}

/// Gives `advice` for the `bytes` at each of `starts` (at most `BATCH`, in reservations, owned by the caller) in one system
/// call. Returns for how many, from the first, the kernel took it: none where it does not let a process advise itself so.
fn advise_many(starts: &[usize], bytes: usize, advice: libc::c_int) -> usize {
    /// "This thread" in place of a descriptor, since Linux 6.14.
    const PIDFD_SELF: libc::c_int = -10_000;
    // Set once the kernel, or a filter before it, refused.
    static REFUSED: AtomicBool = AtomicBool::new(false);
    // One is cheaper with the call that does one. ORDERING: Relaxed; guards nothing.
    if starts.len() < 2 || REFUSED.load(Relaxed) {
        return 0;
    }
    let mut ranges = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    for (range, &start) in ranges.iter_mut().zip(starts) {
        *range = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(start), iov_len: bytes };
    }
    let (first, count, flags) = (ranges.as_ptr(), starts.len().min(BATCH), 0);
    // SAFETY: `first` points to `count` ranges, filled above. The pages lie in reservations and belong to the caller, who
    // has no use for what is on them.
    let advised =
        unsafe { libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, first, count, advice, flags) };
    if advised < 0 {
        let refusals = [libc::ENOSYS, libc::EPERM, libc::EBADF, libc::EINVAL];
        let refused = io::Error::last_os_error().raw_os_error().is_some_and(|code| refusals.contains(&code));
        // ORDERING: Relaxed; as above.
        REFUSED.fetch_or(refused, Relaxed);
        return 0;
    }
    usize::try_from(advised).expect("it is not negative") / bytes
}

/// Bytes of a page.
pub(crate) fn page_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(rustix::param::page_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_carved_without_gaps() {
        let mut reservation = Reservation::NONE;
        let first = reservation.carve(64 << 10).unwrap();
        assert_eq!(reservation.carve(64 << 10).unwrap(), first + (64 << 10));
    }

    /// Whether the page at `address` is present.
    fn is_present(address: usize) -> bool {
        let mut present = 0;
        let page = ptr::with_exposed_provenance_mut(address);
        // SAFETY: it writes one byte, for the one page asked about.
        assert_eq!(unsafe { libc::mincore(page, page_bytes(), &raw mut present) }, 0);
        present & 1 == 1
    }

    #[test]
    fn memory_of_many_stacks_is_made_present_and_given_back_at_once() {
        let mut reservation = Reservation::NONE;
        let starts: Vec<usize> = (0..5).map(|_| reservation.carve(64 << 10).unwrap()).collect();
        populate(&starts);
        for &start in &starts {
            // Where the kernel does not do it for many, this does.
            // SAFETY: a page of a fresh mapping, in no one's use.
            unsafe { *ptr::with_exposed_provenance_mut::<u8>(start) = 7 };
            assert!(is_present(start));
        }
        give_back(&starts, page_bytes());
        assert!(starts.iter().all(|&start| !is_present(start)));
    }

    #[test]
    fn guards_stay_when_memory_is_given_back() {
        let mut reservation = Reservation::NONE;
        let starts: Vec<usize> = (0..3).map(|_| reservation.carve(64 << 10).unwrap()).collect();
        assert_eq!(guard(&starts).0, 3);
        give_back(&starts, 64 << 10);
        // The kernel cannot write to a guard page: reading into it fails instead of ending the process.
        let zero = std::fs::File::open("/dev/zero").unwrap();
        for &start in &starts {
            let page = ptr::with_exposed_provenance_mut(start);
            // SAFETY: the page belongs to no one; the kernel checks that it can be written.
            let got = unsafe { libc::read(std::os::fd::AsRawFd::as_raw_fd(&zero), page, 1) };
            assert_eq!((got, io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EFAULT)));
        }
    }

    #[test]
    fn what_was_carved_is_known_over_several_pieces() {
        let mut reservation = Reservation::NONE;
        assert_eq!(reservation.carved(16 << 20).count(), 0);
        let carved: Vec<usize> = (0..7).map(|_| reservation.carve(16 << 20).unwrap()).collect();
        assert_eq!(reservation.pieces.len(), 2, "64 MiB, then 128 MiB");
        assert_eq!(reservation.carved(16 << 20).collect::<Vec<_>>(), carved);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        assert!(map(usize::MAX & !0xffff).is_err());
    }
}
