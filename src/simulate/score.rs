//! How good an answer is, measured at the truth.

use std::fmt;

use super::curve::{Curve, Kind};
use super::noise::Noise;
use super::{Program, simulate};
use crate::plan::{Plan, Policy, Range};
use crate::stats;

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

/// What one curve gave: a sweep by `throughput`, and one by the knee.
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Regret of `--policy throughput`.
    pub regret: f64,
    /// Samples of that sweep over those of all worker counts in 6 rounds.
    pub samples: f64,
    /// Candidates between the knee and what `--policy knee` recommends.
    pub steps_off: usize,
    /// The same in steps of the grid: powers of two.
    pub doublings_off: f64,
    /// Regret of `--policy knee` beyond the tolerance.
    pub knee_regret: f64,
    /// Samples of the knee's sweep over those of all worker counts in 6 rounds.
    pub knee_samples: f64,
    /// Error of the time left as estimated after the first round of the knee's sweep, as a share of what was left.
    pub time_error: f64,
    /// The same after the second.
    pub time_error_later: f64,
    /// Whether the knee's sweep has a confidence.
    pub has_confidence: bool,
}

/// Rounds of the exhaustive sweep that a sweep is compared with.
const ROUNDS: usize = 6;

/// Simulates the sweeps of one curve of `kind`.
#[must_use]
pub fn score(kind: Kind, range: &Range, noise: Noise, seed: u64) -> Score {
    let most = range.procs.last().copied().unwrap_or(1);
    let curve = kind.draw(most, &mut fastrand::Rng::with_seed(seed));
    let truth = Truth::new(&curve, &range.procs);
    let cpus = if kind == Kind::QuotaCliff { curve.shape[0] } else { f64::from(most) };
    let program = Program { curve, noise, cpus: Some(cpus), single_s: 1.0 };
    let plan = Plan { grid: range.grid.clone(), ..super::plan(range.procs.clone(), seed) };
    let of_all = (range.procs.len() * ROUNDS) as f64;
    let throughput = Policy::Throughput { tolerance: THROUGHPUT };
    let (best, answer) = simulate(&program, &plan, throughput, seed, DRAWS);
    let (knee, knee_answer) = simulate(&program, &plan, Policy::Knee { tolerance: KNEE }, seed, DRAWS);
    let chosen = knee_answer.recommended_procs as u32;
    let error = |round| {
        let [left_s, estimate_s] = knee.time_left(round);
        (estimate_s / left_s - 1.0).abs()
    };
    Score {
        regret: truth.regret(answer.recommended_procs as u32),
        samples: best.done.len() as f64 / of_all,
        steps_off: truth.steps_off(KNEE, chosen),
        doublings_off: (f64::from(chosen) / f64::from(truth.knee(KNEE))).log2().abs(),
        knee_regret: (truth.regret(chosen) - KNEE).max(0.0),
        knee_samples: knee.done.len() as f64 / of_all,
        time_error: error(1),
        time_error_later: error(2),
        has_confidence: knee_answer.confidence.is_some(),
    }
}

/// Curves drawn for a decision: enough for the choice beyond the CPUs.
const DRAWS: usize = 200;
/// Tolerance of `throughput`.
const THROUGHPUT: f64 = 0.01;
/// Tolerance of the knee.
const KNEE: f64 = 0.05;

/// A line of the table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Which curves.
    pub kind: &'static str,
    /// Of a sample, and as much again of a round; `None`: several.
    pub noise: Option<f64>,
    /// One a curve; not empty.
    pub scores: Vec<Score>,
}

impl Table {
    /// The columns' names, as a table in Markdown.
    #[must_use]
    pub fn header() -> String {
        "| kind | noise | regret: median | 95 % | worst | samples: mean | most | knee found | within 1 | within a doubling | \
         samples: mean | time left: error after round 1 | after round 2 | has a confidence |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
            .to_owned()
    }

    /// Quantile of `value` over the curves; 1 is the largest.
    pub fn quantile(&self, quantile: f64, value: impl Fn(&Score) -> f64) -> f64 {
        let mut values: Vec<f64> = self.scores.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        stats::quantile(&values, quantile)
    }

    /// Mean of `value` over the curves.
    pub fn mean(&self, value: impl Fn(&Score) -> f64) -> f64 {
        self.scores.iter().map(value).sum::<f64>() / self.scores.len() as f64
    }

    /// Share of the curves for which `holds`.
    pub fn share(&self, holds: impl Fn(&Score) -> bool) -> f64 {
        self.mean(|score| f64::from(u8::from(holds(score))))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        let cells = [
            percent(self.quantile(0.5, |s| s.regret)),
            percent(self.quantile(0.95, |s| s.regret)),
            percent(self.quantile(1.0, |s| s.regret)),
            percent(self.mean(|s| s.samples)),
            percent(self.quantile(1.0, |s| s.samples)),
            percent(self.share(|s| s.steps_off == 0)),
            percent(self.share(|s| s.steps_off <= 1)),
            percent(self.share(|s| s.doublings_off <= 1.0)),
            percent(self.mean(|s| s.knee_samples)),
            percent(self.quantile(0.5, |s| s.time_error)),
            percent(self.quantile(0.5, |s| s.time_error_later)),
            percent(self.share(|s| s.has_confidence)),
        ];
        let noise = self.noise.map_or("both".to_owned(), percent);
        write!(f, "| {} | {noise} | {} |", self.kind, cells.join(" | "))
    }
}
