//! Fetching what a goroutine goes on with into the cache before its turn. Hints, which change nothing.
#![allow(unsafe_code, reason = "where a fiber goes on is its own matter")]

use super::{GoroutineRef, Runnable};
use crate::fiber::Fiber;
use crate::prefetch::{LINE_BYTES, prefetch};

/// Most lines of its stack that are fetched for one that was woken: it goes back through the frames of what it waited in, 11 lines of
/// a `sleep` in a small goroutine. With 7 `timer` takes 3 % less time than with 4, with 10 as much.
const WOKEN_LINES: usize = 7;

/// Bytes of its stack that one that yields goes back through: three words of the switch, and eight of `yield_now`. They lie in two
/// lines or in three; where the third was not fetched, one of 100,000 took 98 ns for 83.
const YIELD_BYTES: usize = 11 * size_of::<usize>();

impl GoroutineRef {
    /// Fetches the first line of its header into the cache, without waiting for it: all that its switch needs of it.
    pub(crate) fn prefetch(self) {
        prefetch(self.0.as_ptr().cast(), 1);
    }
}

impl Runnable {
    /// As for a `GoroutineRef`.
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// Fetches the lines of its stack that one that yields needs, without waiting for them; the header's first line should be there.
    pub(crate) fn prefetch_stack(&self) {
        self.prefetch_used(|from| (from.addr() % LINE_BYTES + YIELD_BYTES).div_ceil(LINE_BYTES));
    }

    /// Likewise for one that will go back to whoever called what it waited in.
    pub(crate) fn prefetch_woken(&self) {
        self.prefetch_used(|_| WOKEN_LINES);
    }

    /// Fetches the lines of its stack from where it goes on, so many if there are.
    #[inline]
    fn prefetch_used(&self, lines: impl FnOnce(*const u8) -> usize) {
        let header = self.0.0.as_ptr().cast::<u8>();
        if !self.ties.is_free() {
            // Who has not left its stack yet has it in the cache.
            if self.is_seed() {
                prefetch(self.body(), 1);
            }
            return;
        }
        // SAFETY: `new` wrote it there. The right to run it is exclusive.
        let from = unsafe { Fiber::goes_on_at(self.0.fiber()) };
        let used = header.addr().wrapping_sub(from.addr()) / LINE_BYTES + 1;
        prefetch(from, lines(from).min(used));
    }
}
