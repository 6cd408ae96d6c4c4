//! How good an answer is, measured at the truth.

use super::curve::Curve;

/// Rounding in a loss that is exactly the tolerance.
const ROUNDING: f64 = 1e-9;

/// The truth about a curve over the worker counts that could be chosen.
#[derive(Clone, Debug)]
pub struct Truth {
    /// Ascending, with their true throughputs.
    candidates: Vec<(u32, f64)>,
    best: f64,
}

impl Truth {
    /// Of `curve` over `candidates`, ascending and not empty.
    #[must_use]
    pub fn new(curve: &Curve, candidates: &[u32]) -> Self {
        let candidates: Vec<(u32, f64)> = candidates.iter().map(|&n| (n, curve.throughput(n))).collect();
        let best = candidates.iter().map(|(_, x)| *x).fold(0.0, f64::max);
        Self { candidates, best }
    }

    /// Share of the best throughput that is lost at `procs`; 1 for a worker count that is no candidate.
    #[must_use]
    pub fn regret(&self, procs: u32) -> f64 {
        self.place(procs).map_or(1.0, |place| 1.0 - self.candidates[place].1 / self.best)
    }

    /// The smallest candidate that loses at most `tolerance`.
    #[must_use]
    pub fn knee(&self, tolerance: f64) -> u32 {
        let is_within = |&&(_, x): &&(u32, f64)| 1.0 - x / self.best <= tolerance + ROUNDING;
        self.candidates.iter().find(is_within).map_or(0, |(n, _)| *n)
    }

    /// Candidates from the knee to `procs`; 0 if it is the knee.
    #[must_use]
    pub fn steps_off(&self, tolerance: f64, procs: u32) -> usize {
        let [knee, place] = [self.knee(tolerance), procs].map(|n| self.place(n).unwrap_or(usize::MAX));
        knee.abs_diff(place)
    }

    fn place(&self, procs: u32) -> Option<usize> {
        self.candidates.binary_search_by_key(&procs, |(n, _)| *n).ok()
    }
}
