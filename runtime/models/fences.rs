//! The library's `fences` for loom, which knows no `membarrier`: both sides are the fence that they stand for.

use crate::primitives::atomic::{Ordering::SeqCst, fence};

#[track_caller]
pub(crate) fn light() {
    fence(SeqCst);
}

#[track_caller]
pub(crate) fn heavy() {
    fence(SeqCst);
}
