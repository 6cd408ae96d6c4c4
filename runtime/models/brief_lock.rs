//! The library's `BriefLock` in the models of what stands on it: loom's mutex, since a model must not spin. The real one
//! has models of its own (`briefly.rs`).

use loom::sync::{Mutex, MutexGuard};
use std::cell::Cell;
use std::fmt;
use std::mem::transmute;
use std::sync::PoisonError;

pub(crate) struct BriefLock {
    mutex: Mutex<()>,
    /// While it is taken.
    held: Cell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: `held` is touched by whoever has the mutex only.
unsafe impl Sync for BriefLock {}
// SAFETY: a lock that moves is not taken.
unsafe impl Send for BriefLock {}

impl fmt::Debug for BriefLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BriefLock")
    }
}

impl BriefLock {
    pub(crate) fn new() -> Self {
        Self { mutex: Mutex::new(()), held: Cell::new(None) }
    }

    pub(crate) fn lock(&self) {
        let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the guard is dropped in `unlock`, before the mutex is.
        self.held.set(Some(unsafe { transmute::<MutexGuard<'_, ()>, MutexGuard<'static, ()>>(guard) }));
    }

    pub(crate) fn unlock(&self) {
        drop(self.held.take());
    }
}

/// Others run meanwhile.
pub(crate) fn stay_away(_: u32) {
    loom::thread::yield_now();
}
