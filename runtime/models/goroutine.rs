//! A goroutine in a model: a thread of loom's, named by an address, as the library's are.

use crate::park::Waiter;
use std::ptr::NonNull;

/// What is at the address. Aligned, since its name shares a word with two bits.
#[repr(align(8))]
pub(crate) struct Goroutine(Waiter);

/// Its name. Lives as long as the process: models are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoroutineRef(NonNull<Goroutine>);

// SAFETY: a shared reference to what is never written again.
unsafe impl Send for GoroutineRef {}
// SAFETY: as above.
unsafe impl Sync for GoroutineRef {}

impl GoroutineRef {
    /// The calling thread.
    pub(crate) fn current() -> Self {
        Self(NonNull::from(Box::leak(Box::new(Goroutine(Waiter::current())))))
    }

    pub(crate) fn as_ptr(self) -> NonNull<Goroutine> {
        self.0
    }

    /// # Safety
    /// From `as_ptr`.
    pub(crate) unsafe fn from_ptr(place: NonNull<Goroutine>) -> Self {
        Self(place)
    }

    /// Whoever is woken is queued at once: a thread of loom's is its own worker.
    pub(crate) fn unpark_into(self, _: &mut Vec<Runnable>) {
        // SAFETY: of a leaked box. That it is seen whole, the waiter's mark checks.
        unsafe { self.0.as_ref() }.0.unpark();
    }
}

/// Never made.
pub(crate) enum Runnable {}
