//! When not to wake a worker for the goroutine that is to run next.
//!
//! Two goroutines that hand something to and fro wake each other all the time, and each soon waits. A worker that is woken
//! for the second finds it gone: so often that waking costs more than all else. Whether it is so shows: the worker goes
//! back to sleep *in vain*. So a processor whose wake-ups are in vain becomes *lazy*: it does not wake anyone for as many
//! times as its budget says, then tries again. In vain again? The budget doubles. Otherwise it is lazy no more.
//!
//! Only the slot of who runs next is concerned, and only if nothing else is queued there. That goroutine runs as soon as
//! the one that executes comes to a scheduling point. Should that take long, the watch (`sysmon.rs`) finds it stuck, and
//! wakes a worker. A processor is lazy only while the watch is *alert*, which looks every 0.1 ms then.
//!
//! Rejected: never to wake for the next (a goroutine that computes after an unpark keeps the other from running), and
//! workers that look for longer before they sleep (a CPU burns for each pair that talks).

use crate::idle::NextMark;
use crate::primitives::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::runtime::Runtime;

/// Wake-ups in vain, in a row, after which a processor is lazy.
const PATIENCE: u32 = 3;

/// Times that no one is woken, at first and at most. A wake-up costs about as much as 50 hand-overs.
const FIRST_BUDGET: u32 = 64;
const LARGEST_BUDGET: u32 = 1 << 14;

/// What a processor has learned about its wake-ups.
#[derive(Debug, Default)]
pub(crate) struct Laziness {
    /// All wake-ups in vain of the runtime, when this processor last woke a worker.
    vain_before: u64,
    /// Wake-ups in vain in a row.
    vain: u32,
    budget: u32,
    left: u32,
}

impl Laziness {
    /// Whether no one is to be woken this time.
    pub(crate) fn takes_its_time(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }

    /// A worker is being woken, and there were `vain` wake-ups in vain so far. Returns whether there is a new budget.
    pub(crate) fn wakes(&mut self, vain: u64) -> bool {
        if vain == self.vain_before {
            (self.vain, self.budget) = (0, 0);
            return false;
        }
        self.vain_before = vain;
        self.vain += 1;
        if self.vain < PATIENCE {
            return false;
        }
        self.budget = (self.budget * 2).clamp(FIRST_BUDGET, LARGEST_BUDGET);
        self.left = self.budget;
        true
    }
}

/// Whether the watch looks often enough for processors to be lazy.
#[derive(Debug, Default)]
pub(crate) struct Alertness {
    /// Budgets that processors were given, ever.
    budgets: AtomicU64,
    is_alert: AtomicBool,
}

impl Alertness {
    /// A processor has a new budget. Returns whether the watch must be woken.
    #[must_use]
    pub(crate) fn ask(&self) -> bool {
        // ORDERING: Release; pairs with the Acquire in `Vigil::look`.
        self.budgets.fetch_add(1, Release);
        !self.is_alert()
    }

    /// As it says. A processor that is not told so in time wakes a worker.
    pub(crate) fn is_alert(&self) -> bool {
        // ORDERING: Relaxed; a permission to wait for the watch, which has set it itself.
        self.is_alert.load(Relaxed)
    }
}

/// What the watch remembers of its looks.
#[derive(Default)]
pub(crate) struct Vigil {
    budgets: u64,
    since_ns: u64,
    next: Vec<NextMark>,
}

/// Nanoseconds without a new budget after which the watch is alert no longer. The largest budget lasts for 2 ms or so.
const ALERT_NS: u64 = 20_000_000;

impl Vigil {
    /// One look: wakes a worker if someone has been next for as long as since the last one. Returns whether to look
    /// again soon.
    pub(crate) fn look(&mut self, runtime: &Runtime, now_ns: u64) -> bool {
        let alertness = &runtime.alertness;
        // ORDERING: Acquire; pairs with the Release in `ask`.
        let budgets = alertness.budgets.load(Acquire);
        if budgets != self.budgets {
            (self.budgets, self.since_ns) = (budgets, now_ns);
        }
        let was_alert = alertness.is_alert();
        let is_alert = self.since_ns != 0 && now_ns.saturating_sub(self.since_ns) < ALERT_NS;
        // ORDERING: Relaxed; see `is_alert`.
        alertness.is_alert.store(is_alert, Relaxed);
        let processors = runtime.processors();
        if self.next.iter().zip(processors.iter()).any(|(mark, processor)| mark.is_stuck(processor)) {
            runtime.wake_one();
        }
        self.next.clear();
        // Also once more after the end: a processor may have been lazy just before.
        let looks_again = is_alert || was_alert;
        if looks_again {
            self.next.extend(processors.iter().map(|processor| NextMark::of(processor)));
        }
        looks_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wakeups_in_vain_make_lazy_and_more_of_them_lazier() {
        let mut laziness = Laziness::default();
        for vain in 1..PATIENCE {
            assert!(!laziness.wakes(u64::from(vain)));
            assert!(!laziness.takes_its_time());
        }
        assert!(laziness.wakes(10), "it becomes lazy");
        assert_eq!((0..1_000).take_while(|_| laziness.takes_its_time()).count(), FIRST_BUDGET as usize);
        assert!(laziness.wakes(11));
        assert_eq!((0..1_000).take_while(|_| laziness.takes_its_time()).count(), 2 * FIRST_BUDGET as usize);
        for vain in 12..60 {
            laziness.wakes(vain);
        }
        assert_eq!(laziness.left, LARGEST_BUDGET);
    }

    #[test]
    fn one_wakeup_that_was_needed_ends_it() {
        let mut laziness = Laziness::default();
        (1..=u64::from(PATIENCE)).for_each(|vain| {
            laziness.wakes(vain);
        });
        while laziness.takes_its_time() {}
        assert!(!laziness.wakes(u64::from(PATIENCE)));
        assert!(!laziness.takes_its_time());
        assert!(!laziness.wakes(u64::from(PATIENCE) + 1), "and it takes as many as at first");
        assert!(!laziness.takes_its_time());
    }
}
