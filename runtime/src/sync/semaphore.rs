//! A number of permits, handed out first come, first served.

use std::fmt;
use std::panic::Location;

use crate::park::WaitReason;
use crate::sync::crowd::Crowd;
use crate::sync::line::{Line, Rank};
use crate::trace::{self, Op};

/// A fixed number of permits. A goroutine that wants more than are left waits; nobody overtakes it, also not one that
/// wants fewer, so a large request is not starved by small ones.
///
/// ```
/// use corefit_runtime::sync::Semaphore;
/// let seats = Semaphore::new(2);
/// let pair = seats.acquire_many(2);
/// assert!(seats.try_acquire().is_none());
/// drop(pair);
/// assert_eq!(seats.available(), 2);
/// ```
pub struct Semaphore {
    /// The permits left, and how many each waiter wants.
    permits: Line<usize, usize>,
}

impl Semaphore {
    /// A semaphore with `permits` permits.
    #[must_use]
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new(permits: usize) -> Self {
        Self { permits: Line::new(permits) }
    }

    /// Waits for one permit.
    #[track_caller]
    pub fn acquire(&self) -> Permit<'_> {
        self.acquire_many(1)
    }

    /// Waits for `count` permits at once. More than the semaphore has ever had means waiting for ever.
    #[track_caller]
    pub fn acquire_many(&self, count: usize) -> Permit<'_> {
        let site = Location::caller();
        trace::note_call(self.address(), site);
        self.take(count);
        trace::note_op(Op::Wait, self.address(), 0, Some(site));
        Permit { semaphore: self, count }
    }

    fn take(&self, count: usize) {
        let mut left = self.permits.lock();
        if left.is_empty(0) && *left >= count {
            *left -= count;
            return;
        }
        let why = (WaitReason::Semaphore, self.address());
        // Who grants takes the permits off in our name.
        self.permits.wait(left, (0, Rank::Last, count), why);
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Takes one permit if one is left and nobody waits.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<Permit<'_>> {
        let mut left = self.permits.lock();
        if !left.is_empty(0) {
            return None;
        }
        *left = left.checked_sub(1)?;
        drop(left);
        trace::note_op(Op::Wait, self.address(), 0, Some(Location::caller()));
        Some(Permit { semaphore: self, count: 1 })
    }

    /// Permits left at this moment.
    #[must_use]
    pub fn available(&self) -> usize {
        *self.permits.lock()
    }

    /// Adds `count` permits, as if somebody gave them back: for permits that were [forgotten](Permit::forget), or that
    /// stand for something that has come into being.
    ///
    /// # Panics
    /// More permits than a `usize` counts.
    #[track_caller]
    pub fn release(&self, count: usize) {
        trace::note_op(Op::Signal, self.address(), 0, Some(Location::caller()));
        let mut left = self.permits.lock();
        *left = left.checked_add(count).expect("a usize counts all permits");
        let mut served = Crowd::new();
        while let Some(&wanted) = left.front(0)
            && let Some(rest) = left.checked_sub(wanted)
        {
            *left = rest;
            if let Some(granted) = left.grant(0) {
                served.push(granted);
            }
        }
        drop(left);
        served.unpark();
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish()
    }
}

/// Permits held; dropping it gives them back. Unlike a lock's guard it may be given to another goroutine.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: usize,
}

impl Permit<'_> {
    /// Keeps the permits for good: the semaphore has as many less, until [`Semaphore::release`] adds some.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.semaphore.release(self.count);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn permits_come_back_when_dropped() {
        let semaphore = Semaphore::new(3);
        let one = semaphore.acquire();
        let two = semaphore.acquire_many(2);
        assert!(semaphore.try_acquire().is_none());
        drop(two);
        assert_eq!(semaphore.available(), 2);
        drop(one);
        assert_eq!(format!("{semaphore:?}"), "Semaphore { available: 3 }");
    }

    #[test]
    fn forgotten_permits_are_gone_until_others_are_released() {
        let semaphore = Semaphore::new(1);
        semaphore.acquire().forget();
        assert_eq!(semaphore.available(), 0);
        semaphore.release(2);
        assert_eq!(semaphore.available(), 2);
    }

    #[test]
    fn a_request_for_nothing_is_served_at_once() {
        let semaphore = Semaphore::new(0);
        drop(semaphore.acquire_many(0));
        assert_eq!(semaphore.available(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Permits held and permits left always add up to what there was.
        #[test]
        fn permits_are_conserved(total in 0..10_usize, steps in proptest::collection::vec(any::<bool>(), 0..40)) {
            let semaphore = Semaphore::new(total);
            let mut held = Vec::new();
            for is_acquire in steps {
                if is_acquire {
                    held.extend(semaphore.try_acquire());
                } else {
                    held.pop();
                }
                prop_assert_eq!(held.len() + semaphore.available(), total);
            }
        }
    }
}
