//! Which runs and waits are measured, and what a measured run counts for.

use super::Core;
use crate::goroutine::Goroutine;
use crate::runtime::Runtime;

/// Ready-to-run latency is measured once in so many times that a goroutine is queued, and the length of a run once in so
/// many runs: on average, at random, since goroutines that take turns would otherwise always be hit alike.
pub(super) const SAMPLE_EVERY: u32 = 64;

impl Core {
    /// Begins to measure the run that begins, if it is its turn. Long runs are all measured, since a look at the clock is
    /// nothing to them.
    pub(crate) fn begin_sample(&mut self, runtime: &Runtime) {
        self.until_run -= 1;
        if self.until_run == 0 || self.are_runs_long() {
            self.begin_measured(runtime);
        }
    }

    /// Ends the run of `goroutine` as far as it had this processor.
    pub(crate) fn end_sample(&mut self, goroutine: &Goroutine, runtime: &Runtime) {
        if self.run_began_ns != 0 {
            self.end_measured(goroutine, runtime);
        }
    }

    #[inline(never)]
    fn begin_measured(&mut self, runtime: &Runtime) {
        self.run_began_ns = self.now_ns(runtime);
        self.run_weight = if self.are_runs_long() { 1 } else { SAMPLE_EVERY };
        self.is_turn = self.until_run == 0;
        if self.is_turn {
            self.until_run = self.sample_gap();
        }
    }

    #[inline(never)]
    fn end_measured(&mut self, goroutine: &Goroutine, runtime: &Runtime) {
        let run_ns = self.now_ns(runtime).saturating_sub(self.run_began_ns);
        self.run_began_ns = 0;
        if self.is_turn {
            self.stats().run_length.record(run_ns);
        }
        let run_us = run_ns * u64::from(self.run_weight) / 1000;
        self.stats().run_us.add(run_us);
        self.stats().busiest_us.raise(goroutine.add_run_us(run_us));
    }

    /// What was measured of the run that is now is left out.
    pub(crate) fn cut_sample(&mut self, runtime: &Runtime) {
        if self.run_began_ns != 0 {
            self.run_began_ns = self.now_ns(runtime);
        }
    }

    /// Whether the latency of the goroutine that is queued now is to be measured.
    #[inline]
    pub(crate) fn is_sample_due(&mut self) -> bool {
        self.until_latency -= 1;
        let is_due = self.until_latency == 0;
        if is_due {
            self.until_latency = self.sample_gap();
        }
        is_due
    }

    /// Times until another sample: `SAMPLE_EVERY` on average.
    fn sample_gap(&mut self) -> u32 {
        1 + self.random() % (2 * SAMPLE_EVERY - 1)
    }
}
