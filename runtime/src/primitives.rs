//! The one place that says where locks and atomics come from, so that a model checker can be put in their place.
//!
//! `Mutex` is std's without poisoning: nothing that may panic runs under the scheduler's locks, and a lock that a
//! panicking thread held protects data that is whole all the same.

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

pub(crate) use std::sync::{Arc, MutexGuard, Once, OnceLock};

pub(crate) mod atomic {
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence,
    };
}

/// A lock that does not poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock, unless it stays taken for long: for those who cannot wait for it for good, since they may have
    /// interrupted its holder. Neither allocates nor waits for anyone: for a signal handler too.
    pub(crate) fn lock_soon(&self) -> Option<MutexGuard<'_, T>> {
        /// 20 ms: critical sections of those who ask so end within a `write`.
        const TRIES: u32 = 200;
        const PAUSE: Duration = Duration::from_micros(100);
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            }
        }
        None
    }
}

/// A condition for the lock above.
#[derive(Debug, Default)]
pub(crate) struct Condvar(std::sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(std::sync::Condvar::new())
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
