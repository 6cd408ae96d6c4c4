//! A point that a number of goroutines pass together.

use std::fmt;
use std::panic::Location;

use crate::park::WaitReason;
use crate::sync::line::{Line, Rank};
use crate::trace;

/// A point that goroutines pass in groups of a fixed size; it can be used again at once.
///
/// ```
/// use corefit_runtime::sync::Barrier;
/// let barrier = Barrier::new(2);
/// let leaders = std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait());
///     usize::from(barrier.wait()) + usize::from(other.join().unwrap())
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    size: usize,
    /// How many of the present group have arrived.
    arrived: Line<usize>,
}

impl Barrier {
    /// A barrier for groups of `size`; 0 is as 1, nobody waits.
    #[must_use]
    #[const_fn::const_fn(cfg(not(loom)))]
    pub const fn new(size: usize) -> Self {
        Self { size, arrived: Line::new(0) }
    }

    /// Waits until the group is complete. True for one of them, the leader: the one that came last.
    #[track_caller]
    pub fn wait(&self) -> bool {
        let object = std::ptr::from_ref(self).addr();
        trace::note_call(object, Location::caller());
        let mut arrived = self.arrived.lock();
        *arrived += 1;
        if *arrived < self.size {
            self.arrived.wait(arrived, (0, Rank::Last, ()), (WaitReason::Barrier, object));
            return false;
        }
        *arrived = 0;
        let group = arrived.grant_all(0);
        drop(arrived);
        group.unpark();
        true
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_one_or_none_never_waits() {
        assert!(Barrier::new(1).wait());
        assert!(Barrier::new(0).wait());
        assert_eq!(format!("{:?}", Barrier::new(3)), "Barrier { size: 3, .. }");
    }
}
