//! What the models run on: loom's, with the ordering of each access open to being weakened (`weaken.rs`).
//!
//! `Arc` stays std's: its counts are not ours to check, and each of them would be one more step to permute. The clock is a
//! toy: it stands still, or takes a long step at each look (`set_step`), the same way in each run of a model.

#[path = "weaken.rs"]
pub(crate) mod weaken;

use std::cell::Cell;
use std::sync::PoisonError;
use std::time::Duration;

pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::MutexGuard;
pub(crate) use loom::thread::yield_now as yield_thread;
pub(crate) use std::sync::{Arc, OnceLock};

/// A pause in which others run.
pub(crate) fn nap(_: Duration) {
    yield_thread();
}

pub(crate) mod atomic {
    use super::weaken::{Role, weakened};
    use std::panic::Location;

    pub(crate) use std::sync::atomic::Ordering;

    #[track_caller]
    pub(crate) fn fence(order: Ordering) {
        match weakened(Location::caller(), Role::Fence, order) {
            Ordering::Relaxed => {}
            order => loom::sync::atomic::fence(order),
        }
    }

    /// An atomic of loom's, whose orderings pass through `weakened`.
    macro_rules! atomic {
        ($name:ident $(<$type:ident>)?, $value:ty, $store:ident, $($also:ident)*) => {
            #[derive(Debug)]
            pub(crate) struct $name $(<$type>)? (loom::sync::atomic::$name $(<$type>)?);

            impl $(<$type>)? $name $(<$type>)? {
                #[track_caller]
                pub(crate) fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                #[track_caller]
                pub(crate) fn load(&self, order: Ordering) -> $value {
                    self.0.load(weakened(Location::caller(), Role::Access, order))
                }

                #[track_caller]
                pub(crate) fn store(&self, value: $value, order: Ordering) {
                    let _ = self.0.$store(value, weakened(Location::caller(), Role::Access, order));
                }

                #[track_caller]
                pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                    self.0.swap(value, weakened(Location::caller(), Role::Access, order))
                }

                #[track_caller]
                pub(crate) fn compare_exchange(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    let success = weakened(Location::caller(), Role::Access, success);
                    let failure = weakened(Location::caller(), Role::Failure, failure);
                    self.0.compare_exchange(current, new, success, failure)
                }

                #[track_caller]
                pub(crate) fn compare_exchange_weak(
                    &self,
                    current: $value,
                    new: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    let success = weakened(Location::caller(), Role::Access, success);
                    let failure = weakened(Location::caller(), Role::Failure, failure);
                    self.0.compare_exchange_weak(current, new, success, failure)
                }

                #[track_caller]
                pub(crate) fn fetch_update(
                    &self,
                    success: Ordering,
                    failure: Ordering,
                    change: impl FnMut($value) -> Option<$value>,
                ) -> Result<$value, $value> {
                    let success = weakened(Location::caller(), Role::Access, success);
                    let failure = weakened(Location::caller(), Role::Failure, failure);
                    self.0.fetch_update(success, failure, change)
                }

                $(
                    #[track_caller]
                    pub(crate) fn $also(&self, value: $value, order: Ordering) -> $value {
                        self.0.$also(value, weakened(Location::caller(), Role::Access, order))
                    }
                )*
            }
        };
    }

    // Loom does not know that nothing comes between the two halves of a read-modify-write: after a `swap` that finds a lock
    // taken it lets the owner's plain store come before that swap in the order of the atomic, and the lock looks taken
    // for ever. So a store to a flag is a swap here. That hides that a plain store ends a release sequence; each owner of
    // a lock publishes by its own.
    atomic!(AtomicBool, bool, swap, fetch_and fetch_or);
    atomic!(AtomicU8, u8, store, fetch_add fetch_sub fetch_and fetch_or);
    atomic!(AtomicU64, u64, store, fetch_add fetch_sub fetch_and fetch_or);
    atomic!(AtomicUsize, usize, store, fetch_add fetch_sub fetch_and fetch_or);
    atomic!(AtomicPtr<T>, *mut T, store,);

    macro_rules! default {
        ($($name:ident)*) => { $(
            impl Default for $name {
                fn default() -> Self {
                    Self::new(Default::default())
                }
            }
        )* };
    }

    impl<T> Default for AtomicPtr<T> {
        fn default() -> Self {
            Self::new(std::ptr::null_mut())
        }
    }

    default!(AtomicBool AtomicU8 AtomicU64 AtomicUsize);
}

/// A lock that does not poison.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The time, and what each look adds to it. All threads of a model are one OS thread.
    static CLOCK: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

/// Sets the clock of the model to zero; each look at it will add `step`.
pub(crate) fn set_step(step: Duration) {
    CLOCK.set((Duration::ZERO, step));
}

/// A point on the model's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(Duration);

impl Instant {
    pub(crate) fn now() -> Self {
        let (now, step) = CLOCK.get();
        CLOCK.set((now + step, step));
        Self(now)
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    pub(crate) fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
