//! Small pieces of memory, all of one size, kept by whoever frees them for whoever asks next: one list for each processor,
//! and one for all behind a lock, which lists exchange batches with.
//!
//! Of the packets that pass on results (`packet.rs`), whole batches are made and then freed; the allocator's own cache is
//! too small for that (glibc keeps seven of a size), and a list costs two moves. Pieces are cut from slabs: glibc takes
//! about 190 bytes for each 64 that are aligned to 64, a slab's share is 65. Slabs are not given back, as Go keeps the
//! `g` of every goroutine that it once had.
#![allow(unsafe_code, reason = "memory by its address")]

use crate::current;
use std::alloc::{self, Layout};
use std::ptr::NonNull;
// Not from `primitives`: models check how a packet is handed over, not where its memory comes from.
use std::sync::{Mutex, PoisonError};

/// Bytes of a piece, and what its address is a multiple of.
pub(crate) const PIECE_BYTES: usize = 64;

/// Pieces that are moved at a time between a processor's list and the one for all.
const BATCH: usize = 64;

/// Most pieces of a slab: 16 MiB, untouched. Whoever asks the kernel for memory waits, for 4 ms and more, while another
/// processor has one batch of stacks after the other made present (both take the lock of the address space); and on a worker's
/// thread glibc asks for as much as is wanted, however little.
const LARGEST: usize = 256 << 10;

/// Most pieces that a processor's list keeps.
const MOST: usize = 1024;

/// Pieces that no processor keeps.
static SPARE: Mutex<Spare> = Mutex::new(Spare { pieces: Vec::new(), slab: None, uncut: 0, next: BATCH });

/// See `SPARE`.
struct Spare {
    pieces: Vec<Piece>,
    /// The latest slab, of which the first `uncut` pieces have not been cut yet.
    slab: Option<Piece>,
    uncut: usize,
    /// Pieces of the next slab: as many as all before together, up to `LARGEST`.
    next: usize,
}

/// A piece that no one uses: `PIECE_BYTES` of a slab, which is never freed.
pub(crate) struct Piece(NonNull<u8>);

// SAFETY: it is owned memory, and refers to no thread.
unsafe impl Send for Piece {}

impl Piece {
    /// Its memory: `PIECE_BYTES`, for `from_raw`.
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        self.0
    }

    /// The piece of which this is the memory.
    ///
    /// # Safety
    /// From `into_raw`, once, and used by no one any more.
    pub(crate) unsafe fn from_raw(memory: NonNull<u8>) -> Self {
        Self(memory)
    }
}

/// Moves a batch from those for all, or cut from a slab, into `list`.
#[cold]
fn refill(list: &mut Vec<Piece>) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if spare.pieces.is_empty() {
        spare.cut(list);
    }
    let from = spare.pieces.len().saturating_sub(BATCH);
    list.extend(spare.pieces.drain(from..));
}

impl Spare {
    /// Cuts a batch of a slab, of a new one if need be.
    fn cut(&mut self, list: &mut Vec<Piece>) {
        let slab = match &self.slab {
            Some(slab) if self.uncut > 0 => slab.0,
            _ => {
                let layout = Layout::from_size_align(self.next * PIECE_BYTES, PIECE_BYTES);
                let layout = layout.expect("16 MiB at most");
                // SAFETY: the layout's size is not 0.
                let memory = unsafe { alloc::alloc(layout) };
                let slab = NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(layout));
                self.slab = Some(Piece(slab));
                self.uncut = self.next;
                self.next = (self.next * 2).min(LARGEST);
                slab
            }
        };
        // All slabs are multiples of it.
        self.uncut -= BATCH;
        list.extend((self.uncut..self.uncut + BATCH).map(|index| {
            // SAFETY: within the slab.
            Piece(unsafe { slab.add(index * PIECE_BYTES) })
        }));
    }
}

/// Pieces that are kept.
#[derive(Default)]
pub(crate) struct Pieces(Vec<Piece>);

impl Pieces {
    /// A piece: a kept one, if there is one.
    pub(crate) fn take(&mut self) -> Piece {
        loop {
            match self.0.pop() {
                Some(piece) => return piece,
                None => refill(&mut self.0),
            }
        }
    }

    /// Keeps a piece, and moves a batch to those for all if there are enough.
    pub(crate) fn give(&mut self, piece: Piece) {
        if self.0.len() >= MOST {
            self.spill(MOST - BATCH);
        }
        self.0.push(piece);
    }

    /// Moves all but `kept` to those for all.
    #[cold]
    fn spill(&mut self, kept: usize) {
        let moved = self.0.drain(kept.min(self.0.len())..);
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).pieces.extend(moved);
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.spill(0);
    }
}

/// A piece, of those that this thread's processor keeps.
pub(crate) fn take() -> Piece {
    current::with_pieces(Pieces::take).unwrap_or_else(|| Pieces::default().take())
}

/// Gives a piece to those that this thread's processor keeps.
pub(crate) fn give(piece: Piece) {
    let mut left = Some(piece);
    let kept = current::with_pieces(|pieces| left.take().map(|piece| pieces.give(piece)));
    if kept.is_none() {
        SPARE.lock().unwrap_or_else(PoisonError::into_inner).pieces.extend(left);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_and_not_too_much_is_kept() {
        let mut pieces = Pieces::default();
        let piece = pieces.take();
        let address = piece.0;
        pieces.give(piece);
        let again = pieces.take();
        assert_eq!(again.0, address);
        let raw = again.into_raw();
        // SAFETY: from the line above.
        pieces.give(unsafe { Piece::from_raw(raw) });
        let taken: Vec<Piece> = (0..MOST + 5).map(|_| pieces.take()).collect();
        for piece in taken {
            pieces.give(piece);
            assert!(pieces.0.len() <= MOST);
        }
    }

    #[test]
    fn pieces_are_aligned_and_do_not_overlap() {
        let mut pieces = Pieces::default();
        let taken: Vec<Piece> = (0..3 * BATCH).map(|_| pieces.take()).collect();
        let mut addresses: Vec<usize> = taken.iter().map(|piece| piece.0.addr().get()).collect();
        addresses.sort_unstable();
        assert!(addresses.iter().all(|address| address.is_multiple_of(PIECE_BYTES)));
        assert!(addresses.windows(2).all(|pair| pair[0] + PIECE_BYTES <= pair[1]));
        for piece in taken {
            pieces.give(piece);
        }
    }
}
