//! Small pieces of memory, all of one size, kept by whoever frees them for whoever asks next: one list for each processor.
//!
//! Of the packets that pass on results (`packet.rs`), whole batches are made and then freed; the allocator's own cache is
//! too small for that (glibc keeps seven of a size), and a list costs two moves.
#![allow(unsafe_code, reason = "memory by its address")]

use std::alloc::{self, Layout};
use std::ptr::NonNull;

/// Bytes of a cell, and what its address is a multiple of.
pub(crate) const CELL_BYTES: usize = 64;

/// What a cell is to the allocator.
const LAYOUT: Layout = match Layout::from_size_align(CELL_BYTES, CELL_BYTES) {
    Ok(layout) => layout,
    Err(_) => panic!("a cell has a layout"),
};

/// Most cells that one list keeps.
const MOST: usize = 1024;

/// A cell that no one uses: memory of `LAYOUT`.
pub(crate) struct Cell(NonNull<u8>);

// SAFETY: it is owned memory, and refers to no thread.
unsafe impl Send for Cell {}

impl Cell {
    /// A cell from the allocator.
    fn fresh() -> Self {
        // SAFETY: the layout's size is not 0.
        let memory = unsafe { alloc::alloc(LAYOUT) };
        Self(NonNull::new(memory).unwrap_or_else(|| alloc::handle_alloc_error(LAYOUT)))
    }

    /// Its memory: `CELL_BYTES`, for `from_raw`.
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        let memory = self.0;
        std::mem::forget(self);
        memory
    }

    /// The cell of which this is the memory.
    ///
    /// # Safety
    /// From `into_raw`, once, and used by no one any more.
    pub(crate) unsafe fn from_raw(memory: NonNull<u8>) -> Self {
        Self(memory)
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        // SAFETY: from `alloc` with this layout (`fresh`), and owned.
        unsafe { alloc::dealloc(self.0.as_ptr(), LAYOUT) };
    }
}

/// Cells that are kept.
#[derive(Default)]
pub(crate) struct Cells(Vec<Cell>);

impl Cells {
    /// A cell: a kept one, if there is one.
    pub(crate) fn take(&mut self) -> Cell {
        self.0.pop().unwrap_or_else(Cell::fresh)
    }

    /// Keeps a cell, unless there are enough.
    pub(crate) fn give(&mut self, cell: Cell) {
        if self.0.len() < MOST {
            self.0.push(cell);
        }
    }
}

/// A cell for whoever has no list.
pub(crate) fn take_fresh() -> Cell {
    Cell::fresh()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again_and_not_too_much_is_kept() {
        let mut cells = Cells::default();
        let cell = cells.take();
        let address = cell.0;
        cells.give(cell);
        let again = cells.take();
        assert_eq!(again.0, address);
        let raw = again.into_raw();
        // SAFETY: from the line above.
        cells.give(unsafe { Cell::from_raw(raw) });
        for _ in 0..MOST + 5 {
            cells.give(Cell::fresh());
        }
        assert_eq!(cells.0.len(), MOST);
    }
}
