//! The runtime's clock, by the processor's counter: for what is measured often and need not be exact to more than some tens of
//! nanoseconds, which is what a read takes.

use super::{Clock, Pair};

/// For how long a reading of the runtime's clock serves, ns. How long a tick is it tells with the one before, and each is known
/// to within half a read: mostly of some 30 ns, of a few µs if something came in between that took less than `READ_TICKS`. At the
/// end of its time it is off by three times that at most.
const SERVES_NS: u64 = 1_000_000;

/// Bits of a tick's nanoseconds behind the point.
const FRACTION: u32 = 32;

/// Ticks in which the runtime's clock is read, unless the thread is interrupted.
const READ_TICKS: u64 = 1 << 13;

/// A clock that follows the runtime's. For one holder.
#[derive(Debug)]
pub(crate) struct QuickClock {
    clock: Clock,
    /// When it was last set; never, if the default.
    set: Pair,
    /// Ticks from then on for which it serves; 0 if it does not.
    serves: u64,
    /// How long a tick is, 2⁻³² ns.
    tick: u64,
}

impl QuickClock {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::best(), set: Pair::default(), serves: 0, tick: 0 }
    }

    /// The runtime's clock, ns, which `exact` reads.
    #[inline(always)]
    pub(crate) fn now_ns(&mut self, exact: impl FnOnce() -> u64) -> u64 {
        if self.serves > 0
            && let Some(now_ns) = self.at(self.clock.now())
        {
            return now_ns;
        }
        if self.clock == Clock::Monotonic {
            return exact();
        }
        let before = self.clock.now();
        let ns = exact();
        self.learn(before, ns, self.clock.now());
        ns
    }

    /// What it says when the counter says `ticks`, if it serves.
    #[inline(always)]
    fn at(&self, ticks: u64) -> Option<u64> {
        // A counter that is behind, on another CPU, wraps, and passes for one that is far ahead.
        let passed = ticks.wrapping_sub(self.set.ticks);
        (passed < self.serves).then(|| self.set.ns + ((passed * self.tick) >> FRACTION))
    }

    /// The runtime's clock said `ns` when the counter was between `before` and `after`.
    #[cold]
    #[inline(never)]
    fn learn(&mut self, before: u64, ns: u64, after: u64) {
        let read_ticks = after.wrapping_sub(before);
        let passed_ns = ns.saturating_sub(self.set.ns);
        let is_first = self.set == Pair::default();
        if read_ticks > READ_TICKS || (!is_first && passed_ns < SERVES_NS) {
            return;
        }
        let now = Pair { ticks: before + read_ticks / 2, ns };
        let passed = now.ticks.saturating_sub(self.set.ticks).max(1);
        let tick = (u128::from(passed_ns) << FRACTION) / u128::from(passed);
        // A computer that slept counts as it likes: no counter's tick is of 16 ns or of 1/16.
        let is_likely = !is_first && (1 << (FRACTION - 4)..1 << (FRACTION + 4)).contains(&tick);
        self.tick = u64::try_from(tick).ok().filter(|_| is_likely).unwrap_or(0);
        self.serves = (SERVES_NS << FRACTION).checked_div(self.tick).unwrap_or(0);
        self.set = now;
    }
}

#[cfg(test)]
mod tests {
    use super::super::monotonic_ns;
    use super::*;
    use proptest::prelude::*;

    /// When it begins, on a clock on which a tick is 1/3 ns.
    const BEGUN: Pair = Pair { ticks: 7_000_000_000, ns: 1_000 };

    fn at(passed_ns: u64) -> Pair {
        Pair { ticks: BEGUN.ticks + 3 * passed_ns, ns: BEGUN.ns + passed_ns }
    }

    fn learn(clock: &mut QuickClock, moment: Pair) {
        clock.learn(moment.ticks - 50, moment.ns, moment.ticks + 50);
    }

    #[test]
    fn it_serves_once_it_knows_two_moments_and_for_a_while() {
        let mut clock = QuickClock::new();
        assert_eq!(clock.at(BEGUN.ticks), None);
        learn(&mut clock, BEGUN);
        learn(&mut clock, at(SERVES_NS - 1));
        assert_eq!(clock.at(BEGUN.ticks), None, "too close to know how long a tick is");
        learn(&mut clock, at(SERVES_NS));
        assert_eq!(clock.at(BEGUN.ticks), None, "before it was set: another CPU's counter");
        let expired = at(2 * SERVES_NS + 1);
        assert_eq!(clock.at(expired.ticks), None);
        learn(&mut clock, expired);
        assert_eq!(clock.at(expired.ticks), Some(expired.ns));
    }

    #[test]
    fn it_does_not_learn_from_a_reading_that_was_interrupted_or_a_counter_that_was_set_back() {
        let mut clock = QuickClock::new();
        let read = |clock: &mut QuickClock, ns, before, ticks| clock.learn(before, ns, before + ticks);
        read(&mut clock, BEGUN.ns, BEGUN.ticks, READ_TICKS + 1);
        assert_eq!(clock.set, Pair::default());
        learn(&mut clock, BEGUN);
        learn(&mut clock, at(SERVES_NS));
        let later = at(5 * SERVES_NS);
        read(&mut clock, later.ns, later.ticks, READ_TICKS + 1);
        assert_eq!(clock.set, at(SERVES_NS));
        read(&mut clock, later.ns, 1_000, 100);
        assert_eq!((clock.at(1_050), clock.at(at(SERVES_NS).ticks)), (None, None));
        read(&mut clock, later.ns + SERVES_NS, 1_000 + 2 * SERVES_NS, 100);
        assert_eq!(clock.at(1_050 + 2 * SERVES_NS), Some(later.ns + SERVES_NS), "at a rate of its own");
    }

    #[test]
    fn it_says_what_the_exact_one_says() {
        let mut clock = QuickClock::new();
        let mut served = 0;
        let end = monotonic_ns() + 8 * SERVES_NS;
        loop {
            let before = monotonic_ns();
            let mut was_exact = false;
            let now = clock.now_ns(|| {
                was_exact = true;
                monotonic_ns()
            });
            let after = monotonic_ns();
            assert!((before.saturating_sub(SERVES_NS / 50)..=after + SERVES_NS / 50).contains(&now));
            served += u32::from(!was_exact);
            if after >= end && (served > 0 || clock.clock == Clock::Monotonic) {
                break;
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_right_to_the_nanosecond_if_the_moments_are(
            gap in SERVES_NS..1_000 * SERVES_NS, passed in 0..SERVES_NS, error in 0..30_u64,
        ) {
            let mut clock = QuickClock::new();
            learn(&mut clock, BEGUN);
            learn(&mut clock, at(gap));
            let then = at(gap + passed);
            let said = clock.at(then.ticks).unwrap();
            prop_assert!(then.ns - said <= 1);
            // An error in when it was first set is one of the rate: no larger at the end of its time.
            let mut clock = QuickClock::new();
            learn(&mut clock, Pair { ns: BEGUN.ns - error, ..BEGUN });
            learn(&mut clock, at(gap));
            let said = clock.at(then.ticks);
            prop_assert!(said.is_none_or(|said| said.abs_diff(then.ns) <= error + 1));
        }
    }
}
