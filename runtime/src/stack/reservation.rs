//! Address space from the kernel: large pieces, guard pages, and memory given back.
#![allow(unsafe_code, reason = "mapping memory is a matter of system calls on addresses")]

use crate::primitives::OnceLock;
use crate::primitives::atomic::{AtomicBool, Ordering::Relaxed};
use std::io;
use std::ops::Range;
use std::ptr;

/// `MADV_GUARD_INSTALL` of Linux 6.13; the `libc` crate does not have it.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Bytes of the first piece of a class, and of the largest. Each is twice the one before, so that a million stacks of
/// 64 KiB are 11 pieces.
const FIRST_BYTES: usize = 64 << 20;
const LARGEST_BYTES: usize = 16 << 30;

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
            match map(size) {
                Ok(start) => {
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

/// Makes every access to `page` (one page, fresh, of a reservation) a fault.
pub(super) fn guard(page: &Range<usize>) -> io::Result<()> {
    // Set once the kernel said that it does not know guard pages.
    static UNKNOWN: AtomicBool = AtomicBool::new(false);
    let address = ptr::with_exposed_provenance_mut(page.start);
    // ORDERING: Relaxed; guards nothing, whoever misses it asks the kernel again.
    if !UNKNOWN.load(Relaxed) {
        // SAFETY: the page lies in a reservation and in no one's use: `acquire` has not given the stack out yet.
        if unsafe { libc::madvise(address, page.len(), MADV_GUARD_INSTALL) } == 0 {
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
    if unsafe { libc::mprotect(address, page.len(), libc::PROT_NONE) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Gives the memory of `pages` back to the kernel; they read as zero afterwards. Guard pages stay.
pub(super) fn give_back(pages: Range<usize>) {
    let address = ptr::with_exposed_provenance_mut(pages.start);
    // SAFETY: the pages lie in a reservation, and the stack they belong to is owned by the caller: no goroutine is on it.
    let failed = unsafe { libc::madvise(address, pages.len(), libc::MADV_DONTNEED) };
    debug_assert_eq!(failed, 0, "the pages are mapped");
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
