//! Address space from the kernel in large pieces, of which stacks are carved.

use crate::os::memory::{map, unmap};
use std::io;
use std::ops::Range;

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
    /// What was not carved yet, of one piece or several.
    free: Vec<Range<usize>>,
    /// All pieces.
    pieces: Vec<Piece>,
    next_bytes: usize,
}

#[derive(Debug)]
struct Piece {
    range: Range<usize>,
    /// A bit for each size of `bytes` in it: whether it was `begun`.
    begun: Vec<u64>,
}

impl Reservation {
    pub(super) const NONE: Self = Self { free: Vec::new(), pieces: Vec::new(), next_bytes: FIRST_BYTES };

    /// How many times `bytes` (a power of two, the same in each call, here and below) are left to carve.
    pub(super) fn left(&self, bytes: usize) -> usize {
        self.free.iter().map(|free| free.len() / bytes).sum()
    }

    /// The address of `bytes` of fresh memory, if any are left.
    pub(super) fn carve(&mut self, bytes: usize) -> Option<usize> {
        let free = self.free.last_mut()?;
        let bottom = free.start;
        free.start += bytes;
        if free.len() < bytes {
            self.free.pop();
        }
        Some(bottom)
    }

    /// Reserves a further piece, of `bytes` at least.
    pub(super) fn extend(&mut self, bytes: usize) -> io::Result<()> {
        let range = self.reserve(bytes)?;
        self.pieces.push(Piece { range: range.clone(), begun: Vec::new() });
        self.free.push(range);
        Ok(())
    }

    /// Notes that what was carved at `bottom`, `bytes`, will be touched.
    pub(super) fn begin(&mut self, bottom: usize, bytes: usize) {
        let piece = self.pieces.iter_mut().rev().find(|piece| piece.range.contains(&bottom));
        let piece = piece.expect("it was carved here");
        let index = (bottom - piece.range.start) / bytes;
        if piece.begun.len() <= index / 64 {
            piece.begun.resize(index / 64 + 1, 0);
        }
        piece.begun[index / 64] |= 1 << (index % 64);
    }

    /// The addresses of all that was begun, in sizes of `bytes`. To look at another would take memory, and it would be slow to
    /// begin on.
    pub(super) fn begun(&self, bytes: usize) -> impl Iterator<Item = usize> {
        self.pieces.iter().flat_map(move |piece| {
            let is_begun = |index: usize| piece.begun[index / 64] & 1 << (index % 64) != 0;
            let indices = (0..piece.begun.len() * 64).filter(move |&index| is_begun(index));
            indices.map(move |index| piece.range.start + index * bytes)
        })
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

#[cfg(test)]
#[allow(unsafe_code, reason = "memory is looked at by its address")]
mod tests {
    use super::*;
    use crate::os::memory::{give_back, guard, populate};
    use crate::os::page_bytes;
    use std::ptr;

    /// `count` times `bytes` of a reservation.
    fn carved(reservation: &mut Reservation, count: usize, bytes: usize) -> Vec<usize> {
        let carve = |_| {
            if reservation.left(bytes) == 0 {
                reservation.extend(bytes).unwrap();
            }
            reservation.carve(bytes).unwrap()
        };
        (0..count).map(carve).collect()
    }

    #[test]
    fn pieces_are_carved_without_gaps() {
        let mut reservation = Reservation::NONE;
        assert_eq!((reservation.left(64 << 10), reservation.carve(64 << 10)), (0, None));
        let two = carved(&mut reservation, 2, 64 << 10);
        assert_eq!(two[1], two[0] + (64 << 10));
        assert_eq!(reservation.left(64 << 10), 1022, "64 MiB");
        reservation.extend(64 << 10).unwrap();
        assert_eq!(reservation.left(64 << 10), 1022 + 2048);
        assert_eq!(carved(&mut reservation, 3070, 64 << 10).len(), 3070);
        assert_eq!((reservation.left(64 << 10), reservation.pieces.len()), (0, 2));
    }

    /// Whether the page at `address` is present.
    fn is_present(address: usize) -> bool {
        let mut present = 0_u8;
        let page = ptr::with_exposed_provenance_mut(address);
        // SAFETY: it writes one byte, for the one page asked about.
        assert_eq!(unsafe { libc::mincore(page, page_bytes(), (&raw mut present).cast()) }, 0);
        present & 1 == 1
    }

    #[test]
    fn memory_of_many_stacks_is_made_present_and_given_back() {
        let mut reservation = Reservation::NONE;
        let starts = carved(&mut reservation, 5, 64 << 10);
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
        let starts = carved(&mut reservation, 3, 64 << 10);
        assert_eq!(guard(&starts).0, 3);
        let above: Vec<usize> = starts.iter().map(|start| start + page_bytes()).collect();
        give_back(&above, (64 << 10) - page_bytes());
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
    fn what_was_begun_is_known_over_several_pieces() {
        let mut reservation = Reservation::NONE;
        let carved = carved(&mut reservation, 7, 16 << 20);
        assert_eq!(reservation.pieces.len(), 2, "64 MiB, then 128 MiB");
        assert_eq!(reservation.begun(16 << 20).count(), 0);
        for index in [6, 2, 3, 2] {
            reservation.begin(carved[index], 16 << 20);
        }
        assert_eq!(reservation.begun(16 << 20).collect::<Vec<_>>(), [carved[2], carved[3], carved[6]]);
    }

    #[test]
    fn an_impossible_size_is_an_error() {
        assert!(map(usize::MAX & !0xffff).is_err());
    }
}
