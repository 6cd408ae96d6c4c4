//! Doing something once.

use crate::primitives::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};

use crate::park::WaitReason;
use crate::sync::line::{Line, Rank};

/// Runs one closure once, whoever comes first; the others wait until it is done.
///
/// ```
/// use corefit_runtime::sync::Once;
/// static START: Once = Once::new();
/// START.call_once(|| println!("starting"));
/// START.call_once(|| unreachable!("done already"));
/// ```
#[derive(Debug)]
pub struct Once {
    /// Set inside the section, at the end of the closure; read without it, which is the fast path.
    is_completed: AtomicBool,
    /// Whether a closure runs now.
    running: Line<bool>,
}

impl Once {
    /// Nothing done yet.
    #[must_use]
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new() -> Self {
        Self { is_completed: AtomicBool::new(false), running: Line::new(false) }
    }

    /// Runs `f` unless one such closure has run to its end; waits while one runs. If it panics, the panic goes on in its
    /// caller, nothing counts as done, and one of those who wait runs its own closure. A closure that calls `call_once`
    /// on the same `Once` waits for ever.
    pub fn call_once(&self, f: impl FnOnce()) {
        if self.is_completed() || !self.may_run() {
            return;
        }
        let attempt = Attempt { once: self };
        f();
        // ORDERING: Release; pairs with the Acquire in `is_completed`: who sees it sees what `f` did.
        self.is_completed.store(true, Release);
        drop(attempt);
    }

    /// Whether a closure has run to its end.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        // ORDERING: Acquire; pairs with the Release in `call_once`.
        self.is_completed.load(Acquire)
    }

    /// Waits for its turn. True: run the closure; false: another one has run.
    fn may_run(&self) -> bool {
        loop {
            let mut is_running = self.running.lock();
            if self.is_completed() {
                return false;
            }
            if !*is_running {
                *is_running = true;
                return true;
            }
            let object = std::ptr::from_ref(self).addr();
            self.running.wait(is_running, (0, Rank::Last, ()), (WaitReason::Once, object));
        }
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

/// A closure that runs. Its end, also by a panic, lets those who wait look again.
struct Attempt<'a> {
    once: &'a Once,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let mut is_running = self.once.running.lock();
        *is_running = false;
        let granted = is_running.grant_all(0);
        drop(is_running);
        granted.unpark();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn only_the_first_closure_runs() {
        let once = Once::new();
        let mut runs = 0;
        assert!(!once.is_completed());
        once.call_once(|| runs += 1);
        once.call_once(|| runs += 10);
        assert!(once.is_completed());
        assert_eq!(runs, 1);
    }

    #[test]
    fn a_panic_lets_the_next_one_try() {
        let once = Once::default();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            once.call_once(|| std::panic::resume_unwind(Box::new("failed")));
        }));
        assert!(panicked.is_err());
        assert!(!once.is_completed());
        let mut runs = 0;
        once.call_once(|| runs += 1);
        assert_eq!(runs, 1);
    }
}
