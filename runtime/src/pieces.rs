//! Small pieces of memory, all of one size, kept by whoever frees them for whoever asks next: one list for each processor.
//!
//! Of the packets that pass on results (`packet.rs`), whole batches are made and then freed; the allocator's own cache is
//! too small for that (glibc keeps seven of a size), and a list costs two moves.
#![allow(unsafe_code, reason = "memory by its address")]

use crate::current;
use std::alloc::{self, Layout};
use std::ptr::NonNull;

/// Bytes of a piece, and what its address is a multiple of.
pub(crate) const PIECE_BYTES: usize = 64;

/// What a piece is to the allocator.
const LAYOUT: Layout = match Layout::from_size_align(PIECE_BYTES, PIECE_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a piece has a layout"),
};

/// Most pieces that one list keeps.
const MOST: usize = 1024;

/// A piece that no one uses: memory of `LAYOUT`.
pub(crate) struct Piece(NonNull<u8>);

// SAFETY: it is owned memory, and refers to no thread.
unsafe impl Send for Piece {}

impl Piece {
    /// A piece from the allocator.
    fn fresh() -> Self {
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc::alloc(LAYOUT) };
        Self(NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(LAYOUT)))
    }

    /// Its memory: `PIECE_BYTES`, for `from_raw`.
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        let memory = self.0;
        std::mem::forget(self);
        memory
    }

    /// The piece of which this is the memory.
    ///
    /// # Safety
    /// From `into_raw`, once, and used by no one any more.
    pub(crate) unsafe fn from_raw(memory: NonNull<u8>) -> Self {
        Self(memory)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: from `alloc` with this layout (`fresh`), and owned.
        unsafe { alloc::dealloc(self.0.as_ptr(), LAYOUT) };
    }
}

/// Pieces that are kept.
#[derive(Default)]
pub(crate) struct Pieces(Vec<Piece>);

impl Pieces {
    /// A piece: a kept one, if there is one.
    pub(crate) fn take(&mut self) -> Piece {
        self.0.pop().unwrap_or_else(Piece::fresh)
    }

    /// Keeps a piece, unless there are enough.
    pub(crate) fn give(&mut self, piece: Piece) {
        if self.0.len() < MOST {
            self.0.push(piece);
        }
    }
}

/// A piece, of those that this thread's processor keeps.
pub(crate) fn take() -> Piece {
    current::with_pieces(Pieces::take).unwrap_or_else(Piece::fresh)
}

/// Gives a piece to those that this thread's processor keeps.
pub(crate) fn give(piece: Piece) {
    // Dropped if this thread holds none.
    let _ = current::with_pieces(|pieces| pieces.give(piece));
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
        for _ in 0..MOST + 5 {
            pieces.give(Piece::fresh());
        }
        assert_eq!(pieces.0.len(), MOST);
    }
}
