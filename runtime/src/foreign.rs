//! Threads that wait: each has a record that is never freed, so that whoever is to wake it needs no count.
//!
//! A thread outside the runtime waits so, and a goroutine that unwinds and hence keeps its thread. When a thread ends,
//! its record goes to the next one. A stale `unpark` is then a spurious one for that thread, which `std::thread::park`
//! allows.

use crate::goroutine::GoroutineRef;
use crate::primitives::Mutex;
use std::thread::{self, Thread};

/// The record of a thread that waits, or waited.
#[derive(Debug, Default)]
pub(crate) struct Sleeper {
    /// Whose it is; none between two threads.
    thread: Mutex<Option<Thread>>,
}

/// Records of threads that have ended.
static FREE: Mutex<Vec<&'static Sleeper>> = Mutex::new(Vec::new());

/// Goroutines that wait on their thread. Few: they unwind.
static BLOCKED: Mutex<Vec<(GoroutineRef, &'static Sleeper)>> = Mutex::new(Vec::new());

/// Gives the record back when its thread ends.
struct Own(&'static Sleeper);

impl Drop for Own {
    fn drop(&mut self) {
        *self.0.thread.lock() = None;
        FREE.lock().push(self.0);
    }
}

thread_local! {
    static OWN: Own = Own(Sleeper::fresh());
}

impl Sleeper {
    /// The record of this thread.
    // Never inlined: see `current.rs`.
    #[inline(never)]
    pub(crate) fn current() -> &'static Self {
        // Fails while the thread ends. A record for that moment is leaked.
        OWN.try_with(|own| own.0).unwrap_or_else(|_| Self::fresh())
    }

    fn fresh() -> &'static Self {
        let free = FREE.lock().pop();
        let sleeper = free.unwrap_or_else(|| Box::leak(Box::default()));
        *sleeper.thread.lock() = Some(thread::current());
        sleeper
    }

    /// As `Thread::unpark`, for the thread whose record it is now.
    pub(crate) fn unpark(&self) {
        let thread = self.thread.lock().clone();
        if let Some(thread) = thread {
            thread.unpark();
        }
    }

    /// The record of the thread on which `goroutine` waits, if it does so.
    pub(crate) fn of_goroutine(goroutine: GoroutineRef) -> Option<&'static Self> {
        let blocked = BLOCKED.lock();
        blocked.iter().find(|(other, _)| *other == goroutine).map(|&(_, sleeper)| sleeper)
    }
}

/// Says, until it is dropped, that the goroutine that runs here waits on its thread.
pub(crate) struct OnThread(GoroutineRef);

impl OnThread {
    pub(crate) fn new(goroutine: GoroutineRef) -> Self {
        BLOCKED.lock().push((goroutine, Sleeper::current()));
        Self(goroutine)
    }
}

impl Drop for OnThread {
    fn drop(&mut self) {
        BLOCKED.lock().retain(|(other, _)| *other != self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_wakes_its_thread_and_outlives_it() {
        let sleeper = thread::spawn(|| {
            let sleeper = Sleeper::current();
            sleeper.unpark();
            thread::park();
            assert!(std::ptr::eq(sleeper, Sleeper::current()), "one a thread");
            sleeper
        })
        .join()
        .unwrap();
        sleeper.unpark();
    }
}
