//! Who waits in a channel: one operation by itself, or one arm of a `select!`.

use crate::primitives::Arc;
use crate::primitives::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::park::Waiter;

/// No arm has been claimed yet.
const OPEN: usize = usize::MAX;
/// The select itself gave up waiting; no arm can be claimed any more.
const WITHDRAWN: usize = usize::MAX - 1;

/// What all arms of one waiting select share. It is decided once, by one compare-and-swap: by the counterpart of
/// one arm (the index of that arm), or by the select itself, when it stops waiting.
#[derive(Debug)]
pub(super) struct Claim {
    waiter: Waiter,
    winner: AtomicUsize,
}

impl Claim {
    pub(super) fn new(waiter: Waiter) -> Self {
        Self { waiter, winner: AtomicUsize::new(OPEN) }
    }

    /// The claimed arm, if one has been claimed.
    pub(super) fn winner(&self) -> Option<usize> {
        // ORDERING: Relaxed; what the counterpart left for the arm is read under the lock of the arm's channel, which the
        // counterpart holds from its compare-and-swap until all is there.
        let winner = self.winner.load(Relaxed);
        (winner < WITHDRAWN).then_some(winner)
    }

    /// Stops waiting. `Err` with the arm that was claimed before.
    pub(super) fn withdraw(&self) -> Result<(), usize> {
        self.decide(WITHDRAWN)
    }

    fn decide(&self, winner: usize) -> Result<(), usize> {
        // ORDERING: Relaxed, both; the order of this one atomic decides, and data moves under the channel's lock (see
        // `winner`).
        self.winner.compare_exchange(OPEN, winner, Relaxed, Relaxed).map(|_| ())
    }

    fn is_open(&self) -> bool {
        // ORDERING: Relaxed; reads nothing else, and an outdated `true` only makes a select look again. An outdated answer
        // cannot be `false`: once decided, a claim stays so.
        self.winner.load(Relaxed) == OPEN
    }
}

/// Who waits with one entry in a channel's queue.
#[derive(Clone, Debug)]
pub(super) enum Party {
    /// A plain send or receive. It is queued until it is served, so whoever holds the lock may always serve it.
    Alone(Waiter),
    /// An arm of a select, which may have been decided elsewhere.
    Arm(Arc<Claim>, usize),
}

impl Party {
    /// Makes sure that nobody else serves this party; false if it has been served, or left, elsewhere.
    pub(super) fn claim(&self) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Arm(claim, index) => claim.decide(*index).is_ok(),
        }
    }

    /// Whether this party could be served now by `other`, which is not a counterpart of itself.
    pub(super) fn is_open_to(&self, other: &Arc<Claim>) -> bool {
        match self {
            Self::Alone(_) => true,
            Self::Arm(claim, _) => !Arc::ptr_eq(claim, other) && claim.is_open(),
        }
    }

    pub(super) fn into_waiter(self) -> Waiter {
        match self {
            Self::Alone(waiter) => waiter,
            Self::Arm(claim, _) => claim.waiter,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn only_one_arm_is_claimed() {
        let claim = Arc::new(Claim::new(Waiter::current()));
        let (first, second) = (Party::Arm(claim.clone(), 0), Party::Arm(claim.clone(), 1));
        assert_eq!(claim.winner(), None);
        assert!(second.claim());
        assert!(!first.claim());
        assert_eq!(claim.winner(), Some(1));
        assert_eq!(claim.withdraw(), Err(1));
    }

    #[test]
    fn no_arm_is_claimed_after_a_withdrawal() {
        let claim = Arc::new(Claim::new(Waiter::current()));
        assert_eq!(claim.withdraw(), Ok(()));
        assert!(!Party::Arm(claim.clone(), 0).claim());
        assert_eq!(claim.winner(), None);
    }

    #[test]
    fn a_select_is_never_its_own_counterpart() {
        let claim = Arc::new(Claim::new(Waiter::current()));
        let other = Arc::new(Claim::new(Waiter::current()));
        let arm = Party::Arm(claim.clone(), 0);
        assert!(!arm.is_open_to(&claim));
        assert!(arm.is_open_to(&other));
        assert!(Party::Alone(Waiter::current()).is_open_to(&other));
        assert!(arm.claim());
        assert!(!arm.is_open_to(&other));
    }
}
