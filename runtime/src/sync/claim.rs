//! The one decision that several places in several lines share: which of them is served.

use crate::primitives::atomic::{AtomicUsize, Ordering::Relaxed};

/// Nothing has been decided yet.
const OPEN: usize = usize::MAX;
/// Whoever waits gave up; no place can be claimed any more.
const WITHDRAWN: usize = usize::MAX - 1;

/// What all arms of one waiting select share. It is decided once, by one compare-and-swap: by the counterpart of one arm
/// (the index of that arm), or by the select itself, when it stops waiting.
#[derive(Debug)]
pub(crate) struct Claim {
    winner: AtomicUsize,
}

impl Claim {
    pub(crate) const fn new() -> Self {
        Self { winner: AtomicUsize::new(OPEN) }
    }

    /// Whether an arm has been claimed.
    pub(crate) fn is_won(&self) -> bool {
        // ORDERING: Relaxed; what the counterpart left for the arm is read when the arm has ended, or under the lock of
        // the arm's line, which the counterpart holds from its compare-and-swap until all is there.
        self.winner.load(Relaxed) < WITHDRAWN
    }

    /// Stops waiting. False: an arm was claimed before.
    pub(crate) fn withdraw(&self) -> bool {
        self.decide(WITHDRAWN)
    }

    /// Decides for the arm `index`; false if something was decided before.
    pub(super) fn decide(&self, index: usize) -> bool {
        // ORDERING: Relaxed, both; the order of this one atomic decides, and data moves as `is_won` says.
        self.winner.compare_exchange(OPEN, index, Relaxed, Relaxed).is_ok()
    }

    pub(super) fn is_open(&self) -> bool {
        // ORDERING: Relaxed; reads nothing else, and an outdated `true` only makes a select look again. An outdated answer
        // cannot be `false`: once decided, a claim stays so.
        self.winner.load(Relaxed) == OPEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_arm_is_claimed() {
        let claim = Claim::new();
        assert!(!claim.is_won() && claim.is_open());
        assert!(claim.decide(1));
        assert!(!claim.decide(0));
        assert!(claim.is_won() && !claim.is_open());
        assert!(!claim.withdraw());
    }

    #[test]
    fn no_arm_is_claimed_after_a_withdrawal() {
        let claim = Claim::new();
        assert!(claim.withdraw());
        assert!(!claim.decide(0) && !claim.is_won() && !claim.is_open());
    }
}
