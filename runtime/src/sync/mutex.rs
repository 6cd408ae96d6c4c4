//! A mutual exclusion lock.
#![allow(unsafe_code, reason = "the guard reaches the data in the cell; everything else is in `raw_mutex`")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;

use crate::sync::raw_mutex::RawMutex;
use crate::trace::{self, Op, Site};

/// A lock around a `T`: at most one goroutine (or thread) has access to it at a time.
///
/// A goroutine that waits parks; its thread goes on with others. Running goroutines may overtake waiting ones, but nobody
/// waits for more than a millisecond and the queue before it: then the lock is handed over in order. There is no poison,
/// as in Go: a panic in a critical section releases the lock, with the data as the panic left it.
///
/// ```
/// use corefit_runtime::sync::Mutex;
/// static TOTAL: Mutex<u64> = Mutex::new(0);
/// *TOTAL.lock() += 1;
/// assert_eq!(*TOTAL.lock(), 1);
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawMutex,
    data: UnsafeCell<T>,
}

// SAFETY: sharing a `Mutex` gives out `&mut T` in whichever thread holds the lock, one at a time, so `T` has to be `Send`
// and need not be `Sync`. The fields other than `data` are `Sync`.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// An unlocked lock around `value`.
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new(value: T) -> Self {
        Self { raw: RawMutex::new(), data: UnsafeCell::new(value) }
    }

    /// The data; no lock is needed, for the lock is gone.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock and takes it. A goroutine that has it already waits for ever.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        if trace::is_on() {
            self.lock_traced(Location::caller());
        } else {
            self.raw.lock(|| ());
        }
        MutexGuard { mutex: self, not_send: PhantomData }
    }

    #[cold]
    #[inline(never)]
    fn lock_traced(&self, site: Site) {
        self.raw.lock(|| trace::note_call(self.address(), site));
        trace::note_op(Op::Lock, self.address(), 0, Some(site));
    }

    /// Takes the lock if it is free.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let site = Location::caller();
        self.raw.try_lock().then(|| {
            trace::note_op(Op::Lock, self.address(), 0, Some(site));
            MutexGuard { mutex: self, not_send: PhantomData }
        })
    }

    /// What reports and traces know it by.
    fn address(&self) -> usize {
        ptr::from_ref(&self.raw).addr()
    }

    /// The data; no lock is needed, for nobody else has access.
    pub fn get_mut(&mut self) -> &mut T {
        self.data.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Some(guard) => f.debug_struct("Mutex").field("data", &&*guard).finish(),
            None => f.debug_struct("Mutex").field("data", &format_args!("<locked>")).finish(),
        }
    }
}

/// The lock, held; dropping it unlocks. It stays with the goroutine that locked:
///
/// ```compile_fail,E0277
/// let mutex = corefit_runtime::sync::Mutex::new(0);
/// fn to_another<T: Send>(_: T) {}
/// to_another(mutex.lock());
/// ```
#[must_use = "a guard that is not kept unlocks at once"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// Makes the guard `!Send`.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard only gives `&T`, so sharing it is sharing `T`.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The lock this is the guard of.
    pub(super) fn mutex(&self) -> &'a Mutex<T> {
        self.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a guard is made only after `raw` was taken, and `raw` is released only when the guard is dropped, so
        // no other guard exists; the `&mut T` of `deref_mut` borrows this guard, so it is not alive now.
        unsafe { &*self.mutex.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and `&mut self` shows that no reference from this guard is alive.
        unsafe { &mut *self.mutex.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        trace::note_op(Op::Unlock, self.mutex.address(), 0, None);
        self.mutex.raw.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn try_lock_fails_only_while_locked() {
        let mutex = Mutex::new(1);
        let guard = mutex.lock();
        assert!(mutex.try_lock().is_none());
        drop(guard);
        assert_eq!(mutex.try_lock().map(|guard| *guard), Some(1));
    }

    #[test]
    fn a_panic_releases_and_poisons_nothing() {
        let mutex = Mutex::new(0);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut guard = mutex.lock();
            *guard = 7;
            std::panic::resume_unwind(Box::new("in the section"));
        }));
        assert!(panicked.is_err());
        assert_eq!(*mutex.lock(), 7);
    }

    #[test]
    fn the_data_comes_out_without_locking() {
        let mut mutex = Mutex::from(String::from("a"));
        mutex.get_mut().push('b');
        assert_eq!(mutex.into_inner(), "ab");
    }

    #[test]
    fn debug_shows_the_data_unless_locked() {
        let mutex: Mutex<u8> = Mutex::default();
        assert_eq!(format!("{mutex:?}"), "Mutex { data: 0 }");
        let guard = mutex.lock();
        assert_eq!(format!("{mutex:?} {guard:?} {guard}"), "Mutex { data: <locked> } 0 0");
    }

    #[test]
    fn it_holds_unsized_data() {
        let mutex: Box<Mutex<[u8]>> = Box::new(Mutex::new([1, 2, 3]));
        mutex.lock()[1] = 9;
        assert_eq!(*mutex.lock(), [1, 9, 3]);
    }
}
