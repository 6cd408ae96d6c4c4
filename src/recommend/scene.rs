//! What reasons and warnings are told from: the decision, and the facts around it.

use super::Evidence;
use super::draws::Spread;
use super::facts::Facts;
use super::group::Group;
use super::noise::Noise;
use super::policy::Rule;
use super::rounds::{Estimate, Rounds};
use super::text::{figure, procs};
use crate::model::{Fit, Law};
use crate::results::Stack;

/// Everything known once the choice is made. Indices are of worker counts, ascending.
pub(super) struct Scene<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) groups: &'a [Group<'a>],
    pub(super) facts: &'a [Facts],
    /// Where the processors' time goes at each; `None` where no CPU time was measured.
    pub(super) stacks: &'a [Option<Stack>],
    pub(super) rounds: &'a Rounds,
    pub(super) estimate: &'a Estimate,
    /// How well the levels of the estimate are known.
    pub(super) noise: &'a Noise,
    pub(super) rule: Rule,
    /// The chosen one.
    pub(super) chosen: usize,
    /// How many of the worker counts, from the smallest on, the choice was among: more than there are CPUs only for a
    /// measured gain.
    pub(super) admitted: usize,
    /// The one of the highest throughput.
    pub(super) best: usize,
    pub(super) spread: Option<&'a Spread>,
    pub(super) fit: Option<&'a Fit>,
    pub(super) law: Option<&'a Law>,
    /// Worker count up to which laws are fitted.
    pub(super) ceiling: Option<f64>,
    /// CPUs the program could use, its quota among them.
    pub(super) cpus: Option<f64>,
    /// The same if the program keeps them busy; one that waits is bound by something else.
    pub(super) bound: Option<f64>,
    /// The worker count whose CPU time over wall exceeds it most, if by too much.
    pub(super) ignored: Option<usize>,
}

impl Scene<'_> {
    pub(super) fn n(&self, point: usize) -> f64 {
        self.groups[point].n
    }

    /// How many worker counts there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The worker count that growth is judged from: 1, else the smallest.
    pub(super) fn base(&self) -> usize {
        self.groups.iter().position(|group| group.n == 1.0).unwrap_or(0)
    }

    /// The worker count that growth is judged at: the largest that has a CPU for each worker, or
    /// the largest of all if none has.
    pub(super) fn probe(&self) -> usize {
        within(self.groups, self.bound).checked_sub(1).unwrap_or(self.len() - 1)
    }

    /// Speedup from the base to `point` if nothing stopped it.
    pub(super) fn ideal(&self, point: usize) -> f64 {
        let usable = |n: f64| self.bound.map_or(n, |cpus| n.min(cpus));
        usable(self.n(point)) / usable(self.n(self.base()))
    }

    /// Measured speedup from `from` to `to`, by the ratios within rounds, as the decision is made.
    pub(super) fn speedup(&self, from: usize, to: usize) -> f64 {
        (self.estimate.level[to] - self.estimate.level[from]).exp()
    }

    /// The same by the medians over all rounds, as the table of points shows it: the one that is told.
    pub(super) fn shown_speedup(&self, from: usize, to: usize) -> f64 {
        self.groups[to].throughput() / self.groups[from].throughput()
    }

    /// What `to` gives against `from`, in words: `2 procs give 1.5 times the throughput of 1`.
    pub(super) fn gives(&self, from: usize, to: usize) -> String {
        let [shown, decided] = [self.shown_speedup(from, to), self.speedup(from, to)];
        format!(
            "{} {} {shown:.2} times the throughput of {}{}",
            procs(self.n(to)),
            if self.n(to) == 1.0 { "gives" } else { "give" },
            figure(self.n(from)),
            within_rounds(shown, decided)
        )
    }
}

/// Ratios that are this close read as the same. Guess.
const SHOWS: f64 = 0.02;

/// Where the machine drifts, a ratio within rounds is another than that of the medians, and it is the one that was decided by:
/// says so beside the one that is shown.
pub(super) fn within_rounds(shown: f64, decided: f64) -> String {
    if (shown / decided).ln().abs() < SHOWS {
        return String::new();
    }
    format!(" ({decided:.2} within rounds, without the drift of the machine)")
}

/// How many of the worker counts have a CPU for each worker; a broken CPU counts as one.
pub(super) fn within(groups: &[Group<'_>], cpus: Option<f64>) -> usize {
    let most = cpus.map_or(f64::INFINITY, f64::ceil);
    groups.partition_point(|group| group.n <= most)
}
