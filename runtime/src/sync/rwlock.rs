//! A lock for many readers or one writer.
#![allow(unsafe_code, reason = "the guards reach the data in the cell; everything else is in `raw_rwlock`")]

use std::cell::UnsafeCell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;

use crate::sync::raw_rwlock::RawRwLock;
use crate::trace::{self, Op};

/// A lock around a `T`: any number of goroutines (or threads) read it, or one writes it.
///
/// Whoever comes to a lock that is free for it enters, and may so overtake those who wait. But once one of them has waited
/// for a millisecond, and at most 16 more readers have left, newcomers wait behind it, a writer that leaves lets in all
/// readers that wait, and the last reader that leaves the next writer: neither side starves. So a goroutine that reads must not ask to read again, for a writer may
/// wait in between. No poison, as with [`Mutex`](super::Mutex).
///
/// ```
/// use corefit_runtime::sync::RwLock;
/// let lock = RwLock::new(vec![1]);
/// lock.write().push(2);
/// let (a, b) = (lock.read(), lock.read());
/// assert_eq!(a.len() + b.len(), 4);
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawRwLock,
    data: UnsafeCell<T>,
}

// SAFETY: sharing an `RwLock` gives out `&T` in several threads at once (so `T: Sync`) and `&mut T` in whichever thread
// writes (so `T: Send`). The fields other than `data` are `Sync`.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// An unlocked lock around `value`.
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new(value: T) -> Self {
        Self { raw: RawRwLock::new(), data: UnsafeCell::new(value) }
    }

    /// The data; no lock is needed, for the lock is gone.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits until nobody writes, or has waited long, and keeps writers out.
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let site = Location::caller();
        trace::note_call(self.address(), site);
        self.raw.read();
        trace::note_op(Op::ReadLock, self.address(), 0, Some(site));
        RwLockReadGuard { lock: self, not_send: PhantomData }
    }

    /// Waits until nobody reads or writes, and keeps everyone else out.
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let site = Location::caller();
        trace::note_call(self.address(), site);
        self.raw.write();
        trace::note_op(Op::Lock, self.address(), 0, Some(site));
        RwLockWriteGuard { lock: self, not_send: PhantomData }
    }

    /// Like [`read`](Self::read), if that is possible without waiting.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let site = Location::caller();
        self.raw.try_read().then(|| {
            trace::note_op(Op::ReadLock, self.address(), 0, Some(site));
            RwLockReadGuard { lock: self, not_send: PhantomData }
        })
    }

    /// Like [`write`](Self::write), if that is possible without waiting.
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let site = Location::caller();
        self.raw.try_write().then(|| {
            trace::note_op(Op::Lock, self.address(), 0, Some(site));
            RwLockWriteGuard { lock: self, not_send: PhantomData }
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

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_read() {
            Some(guard) => f.debug_struct("RwLock").field("data", &&*guard).finish(),
            None => f.debug_struct("RwLock").field("data", &format_args!("<locked>")).finish(),
        }
    }
}

/// Access to read; dropping it ends the access. It stays with the goroutine that locked:
///
/// ```compile_fail,E0277
/// let lock = corefit_runtime::sync::RwLock::new(0);
/// fn to_another<T: Send>(_: T) {}
/// to_another(lock.read());
/// ```
#[must_use = "a guard that is not kept unlocks at once"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// Makes the guard `!Send`.
    not_send: PhantomData<*const ()>,
}

/// Access to write; dropping it ends the access. It stays with the goroutine that locked:
///
/// ```compile_fail,E0277
/// let lock = corefit_runtime::sync::RwLock::new(0);
/// fn to_another<T: Send>(_: T) {}
/// to_another(lock.write());
/// ```
#[must_use = "a guard that is not kept unlocks at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    /// Makes the guard `!Send`.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared read guard only gives `&T`, so sharing it is sharing `T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}

// SAFETY: a shared write guard only gives `&T`, so sharing it is sharing `T`.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard counts as a reader in `raw` until it is dropped, and `raw` has no writer while it has readers,
        // so no write guard, the only source of `&mut T`, exists.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this guard is the writer in `raw` until it is dropped, so no other guard exists; the `&mut T` of
        // `deref_mut` borrows this guard, so it is not alive now.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; and `&mut self` shows that no reference from this guard is alive.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        trace::note_op(Op::ReadUnlock, self.lock.address(), 0, None);
        self.lock.raw.leave_read();
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        trace::note_op(Op::Unlock, self.lock.address(), 0, None);
        self.lock.raw.leave_write();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_share_and_keep_writers_out() {
        let lock = RwLock::new(1);
        let first = lock.read();
        let second = lock.try_read();
        assert_eq!(second.as_deref(), Some(&1));
        assert!(lock.try_write().is_none());
        drop((first, second));
        assert!(lock.try_write().is_some());
    }

    #[test]
    fn a_writer_keeps_everyone_out() {
        let lock = RwLock::new(1);
        let mut guard = lock.write();
        *guard += 1;
        assert!(lock.try_read().is_none());
        assert!(lock.try_write().is_none());
        assert_eq!(format!("{lock:?} {guard:?}"), "RwLock { data: <locked> } 2");
        drop(guard);
        assert_eq!(lock.into_inner(), 2);
    }
}
