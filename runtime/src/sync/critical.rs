//! Critical sections: a few instructions on shared state, never a park, never user code.

use std::fmt;

use crate::primitives::{Mutex, MutexGuard};

/// State under a lock of the thread, not of the goroutine. That is sound and cheap because of the law that every
/// user in this crate keeps: between `lock` and the drop of its guard there is no park, no unpark, no system call and
/// no code of the user (no drop of a user's value either), so a section is over before anyone could wait for long.
#[derive(Default)]
pub(crate) struct Critical<S>(Mutex<S>);

impl<S> Critical<S> {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(crate) const fn new(state: S) -> Self {
        Self(Mutex::new(state))
    }

    /// Enters the section.
    pub(crate) fn lock(&self) -> MutexGuard<'_, S> {
        self.0.lock()
    }
}

impl<S> fmt::Debug for Critical<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Critical").finish_non_exhaustive()
    }
}
