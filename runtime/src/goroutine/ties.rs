//! What keeps a goroutine from being run by any worker: its thread, or the stack that it has not left yet.
//!
//! The second is what a *pledge* needs (`park.rs`): who has pledged to leave its stack may be queued before it has. So
//! whoever is to run it looks whether it has left, which is one question with the other ones, and waits, for some 10 ns, if
//! not.
//!
//! ```text
//! goroutine:  leave_soon ─ tells the other ─ switch │ who comes next on its thread: left
//! other:                      granted ─ queue ─▶ whoever runs it: is_free, else wait_until_left
//! ```

use crate::primitives::atomic::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::sync::brief_lock::stay_away;

/// It runs on one thread only.
const PINNED: u8 = 1;
/// One machine alone may run it, see `Runtime::bind`.
const BOUND: u8 = 2;
/// It leaves its stack, or will at once.
const LEAVING: u8 = 4;

/// Changed by whoever has the right to run the goroutine; while it leaves, that is who runs on its thread.
#[derive(Debug, Default)]
pub(crate) struct Ties(AtomicU8);

impl Ties {
    /// For a goroutine that no one runs yet.
    pub(crate) fn reset(&self, is_pinned: bool) {
        // ORDERING: Relaxed; published with the right to run it.
        self.0.store(if is_pinned { PINNED } else { 0 }, Relaxed);
    }

    /// Whether any worker may run it now, and it any other goroutine's.
    #[inline(always)]
    pub(crate) fn is_free(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `left`: the stack is as it was left.
        self.0.load(Acquire) == 0
    }

    pub(crate) fn is_pinned(&self) -> bool {
        // ORDERING: Relaxed; for the goroutine itself and who runs it.
        self.0.load(Relaxed) & PINNED != 0
    }

    pub(crate) fn is_bound(&self) -> bool {
        // ORDERING: Relaxed; as in `is_pinned`.
        self.0.load(Relaxed) & BOUND != 0
    }

    pub(crate) fn set_bound(&self, is_bound: bool) {
        // ORDERING: Relaxed; as in `is_pinned`. No one else changes it meanwhile.
        let others = self.0.load(Relaxed) & !BOUND;
        // ORDERING: Relaxed; passed on with the right to run it.
        self.0.store(if is_bound { others | BOUND } else { others }, Relaxed);
    }

    /// It will leave its stack. For the goroutine itself, before anyone can be told.
    #[inline]
    pub(crate) fn leave_soon(&self) {
        // ORDERING: Relaxed; its own.
        let others = self.0.load(Relaxed);
        // ORDERING: Relaxed; published by what tells the other of it, from whom whoever runs it has the right.
        self.0.store(others | LEAVING, Relaxed);
    }

    /// It has left its stack, or will not. For who comes next on its thread, or itself.
    #[inline]
    pub(crate) fn left(&self) {
        // ORDERING: Relaxed; who was given the right to run it waits, and no one else changes it.
        let others = self.0.load(Relaxed) & !LEAVING;
        // ORDERING: Release; pairs with the Acquire in `is_free` and `wait_until_left`.
        self.0.store(others, Release);
    }

    /// Waits until it has left. For whoever is to run it, on another thread.
    pub(crate) fn wait_until_left(&self) {
        let mut looks = 0_u32;
        // ORDERING: Acquire; as in `is_free`.
        while self.0.load(Acquire) & LEAVING != 0 {
            stay_away(looks);
            looks = looks.saturating_add(1);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_is_not_free_until_it_has_left_and_keeps_what_else_it_is_tied_to() {
        for is_pinned in [false, true] {
            let ties = Ties::default();
            ties.reset(is_pinned);
            ties.set_bound(is_pinned);
            assert_eq!(ties.is_free(), !is_pinned);
            ties.leave_soon();
            assert!(!ties.is_free());
            assert_eq!((ties.is_pinned(), ties.is_bound()), (is_pinned, is_pinned));
            ties.left();
            ties.wait_until_left();
            assert_eq!(ties.is_free(), !is_pinned);
            assert_eq!((ties.is_pinned(), ties.is_bound()), (is_pinned, is_pinned));
            ties.set_bound(false);
            assert_eq!((ties.is_pinned(), ties.is_bound()), (is_pinned, false));
        }
    }
}
