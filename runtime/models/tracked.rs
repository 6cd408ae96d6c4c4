//! Data whose accesses loom watches: two that are not ordered, one of them a write, are a race, and fail the model.

use loom::cell::UnsafeCell;

/// A number without any synchronisation of its own.
#[derive(Debug)]
pub(crate) struct Tracked(UnsafeCell<u32>);

impl Tracked {
    pub(crate) fn new(value: u32) -> Self {
        Self(UnsafeCell::new(value))
    }

    #[track_caller]
    pub(crate) fn set(&self, value: u32) {
        // SAFETY: loom panics before the access if it may overlap with another one.
        self.0.with_mut(|data| unsafe { *data = value });
    }

    #[track_caller]
    pub(crate) fn get(&self) -> u32 {
        // SAFETY: as above.
        self.0.with(|data| unsafe { *data })
    }
}

// SAFETY: as above: what would not be sound fails the model.
unsafe impl Sync for Tracked {}
// SAFETY: a number.
unsafe impl Send for Tracked {}
