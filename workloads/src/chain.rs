//! A chain of dependent integer operations: compute whose amount is exact and whose result has a closed form.
//!
//! A step is one of Knuth's MMIX generator (TAOCP volume 2, 3.3.4): a multiplication and an addition that need the
//! value before them. Nothing overlaps, so the time is proportional to the steps on any core, and a chain uses so little
//! of a core that two hyper-threads run two chains at full speed. Steps compose, so the result of any number of
//! them is known in a logarithm of that number: every workload can check what it computed.

use std::hint::black_box;

const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

/// Steps in a microsecond at 3 GHz: a multiplication takes 3 cycles and an addition 1.
pub(crate) const STEPS_PER_US: u64 = 750;

/// The value after `value`.
#[inline]
pub(crate) fn step(value: u64) -> u64 {
    value.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT)
}

/// Takes `steps` steps from `start`, one after the other. Inlined, so that a profile shows them as the caller's.
#[inline(always)]
pub(crate) fn compute(start: u64, steps: u64) -> u64 {
    // Hidden from the compiler, which else may fold several steps into one.
    let multiplier = black_box(MULTIPLIER);
    let mut value = start;
    for _ in 0..steps {
        value = value.wrapping_mul(multiplier).wrapping_add(INCREMENT);
    }
    value
}

/// What [`compute`] must give, in about 64 operations.
pub(crate) fn expected(start: u64, steps: u64) -> u64 {
    // 2^i steps are `value * multiplier + increment`, squared from one bit of `steps` to the next; powers of one map
    // commute, so their order does not matter.
    let (mut multiplier, mut increment) = (MULTIPLIER, INCREMENT);
    let (mut value, mut left) = (start, steps);
    while left > 0 {
        if left & 1 == 1 {
            value = value.wrapping_mul(multiplier).wrapping_add(increment);
        }
        increment = increment.wrapping_mul(multiplier.wrapping_add(1));
        multiplier = multiplier.wrapping_mul(multiplier);
        left >>= 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_what_the_steps_give() {
        for start in [0, 1, u64::MAX, 0x9e37_79b9_7f4a_7c15] {
            for steps in (0..70).chain([255, 256, 1_000, 65_537]) {
                assert_eq!(compute(start, steps), expected(start, steps), "{steps} steps from {start}");
            }
        }
    }

    #[test]
    fn a_step_more_is_one_step_from_there() {
        for steps in 0..100 {
            assert_eq!(step(expected(7, steps)), expected(7, steps + 1));
        }
    }
}
