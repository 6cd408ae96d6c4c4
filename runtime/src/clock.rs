//! The clock of the events of a trace, and of what the scheduler measures often: the processor's counter where it is the same
//! on all CPUs and never changes its rate, else CLOCK_MONOTONIC. A read takes 7 to 10 ns for 16 to 27, by the machine.
//!
//! The counter is trusted where the processor calls it invariant and the kernel itself keeps time by it: then the
//! kernel watches that it agrees between CPUs. Its rate is not asked for: files hold moments on both clocks, and the
//! reader draws a line through the first and the last; [`QuickClock`] through the last two that it saw.
//!
//! **Order.** A counter is read when the processor comes to it, which may be some 10 ns before an earlier load is done.
//! So where one thread makes a goroutine runnable and another runs it, the second moment may read a little less than the
//! first; the reader puts them right (`read/order.rs`), which spares 6 ns and an emptied pipeline at each run. For an
//! operation on a channel or a lock it cannot know the order: there the taking one reads the counter with
//! [`Clock::ordered`], which waits for the loads before it.
#![allow(unsafe_code, reason = "reading the processor's counter is an intrinsic")]

mod quick;

pub(crate) use quick::QuickClock;
use rustix::time::{ClockId, clock_gettime};
use std::sync::OnceLock;

/// The same moment on a clock of either kind and on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) ticks: u64,
    pub(crate) ns: u64,
}

/// How moments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// CLOCK_MONOTONIC; a tick is a nanosecond.
    Monotonic,
    /// The processor's time-stamp counter.
    #[cfg(target_arch = "x86_64")]
    Counter,
}

impl Clock {
    /// The best that this machine has.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Clock> = OnceLock::new();
        *BEST.get_or_init(Self::choose)
    }

    fn choose() -> Self {
        // Miri has no such instructions.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if is_invariant() && is_kernels_clock() {
            return Self::Counter;
        }
        Self::Monotonic
    }

    /// As the file names it.
    pub(crate) fn code(self) -> u8 {
        u8::from(self != Self::Monotonic)
    }

    /// Ticks now.
    #[inline]
    pub(crate) fn now(self) -> u64 {
        match self {
            Self::Monotonic => monotonic_ns(),
            #[cfg(target_arch = "x86_64")]
            Self::Counter => {
                // SAFETY: every x86-64 processor has the instruction, and `choose` found that the kernel uses it.
                unsafe { std::arch::x86_64::_rdtsc() }
            }
        }
    }

    /// Ticks now, not before what was loaded before was there.
    #[inline]
    pub(crate) fn ordered(self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Counter {
            // SAFETY: the instruction is part of SSE2, which every x86-64 processor has.
            unsafe { std::arch::x86_64::_mm_lfence() };
        }
        self.now()
    }

    /// This moment on both clocks, to within the reading of one of them.
    pub(crate) fn pair(self) -> Pair {
        let before = self.ordered();
        let ns = monotonic_ns();
        let after = self.ordered();
        Pair { ticks: before + after.saturating_sub(before) / 2, ns }
    }
}

/// CLOCK_MONOTONIC, ns.
pub(crate) fn monotonic_ns() -> u64 {
    ns_of(ClockId::Monotonic)
}

/// A clock's time, ns.
pub(crate) fn ns_of(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Whether the counter runs at one rate whatever the processor does.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn is_invariant() -> bool {
    const HIGHEST: u32 = 0x8000_0000;
    const POWER: u32 = 0x8000_0007;
    const INVARIANT: u32 = 1 << 8;
    cpuid(HIGHEST).eax >= POWER && cpuid(POWER).edx & INVARIANT != 0
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unused_unsafe, reason = "unsafe in the oldest Rust that builds this, safe in later ones")]
fn cpuid(leaf: u32) -> std::arch::x86_64::CpuidResult {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { std::arch::x86_64::__cpuid(leaf) }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn is_kernels_clock() -> bool {
    std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource")
        .is_ok_and(|name| name.trim() == "tsc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_clock_goes_back() {
        for clock in [Clock::choose(), Clock::Monotonic] {
            let mut last = clock.ordered();
            for _ in 0..1_000 {
                let now = clock.ordered();
                assert!(now >= last, "{clock:?}: {now} after {last}");
                last = now;
            }
        }
    }

    #[test]
    fn a_pair_is_one_moment() {
        let clock = Clock::choose();
        let (before, ns_before) = (clock.ordered(), monotonic_ns());
        let pair = clock.pair();
        assert!(pair.ticks >= before && pair.ticks <= clock.ordered());
        assert!(pair.ns >= ns_before && pair.ns <= monotonic_ns());
    }

    #[test]
    fn nanoseconds_are_the_monotonic_clocks_ticks() {
        let before = monotonic_ns();
        let pair = Clock::Monotonic.pair();
        let moment = before..=monotonic_ns();
        assert!(moment.contains(&pair.ticks) && moment.contains(&pair.ns), "{pair:?} in {moment:?}");
    }
}
