//! The rule that picks one of the measured worker counts from what the samples say.

use super::Observation;
use super::rounds::Estimate;
use crate::plan::Policy;

/// What a policy looks at beside throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Second {
    Latency(Percentile),
    CpuTimePerOp,
}

/// The latency percentiles that a sample has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Percentile {
    P50,
    P90,
    P99,
    P999,
}

impl Percentile {
    /// The one that is written as `percent`, or the next one above it.
    fn at_least(percent: f64) -> Self {
        match percent {
            p if p <= 50.0 => Self::P50,
            p if p <= 90.0 => Self::P90,
            p if p <= 99.0 => Self::P99,
            _ => Self::P999,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }
}

impl Second {
    /// What `policy` looks at; `None` if throughput alone.
    pub(super) fn of_policy(policy: Policy) -> Option<Self> {
        match policy {
            Policy::Latency { percentile, .. } => Some(Self::Latency(Percentile::at_least(percentile))),
            Policy::Cost { .. } => Some(Self::CpuTimePerOp),
            Policy::Knee { .. } | Policy::Throughput { .. } | Policy::Efficiency { .. } => None,
        }
    }

    pub(super) fn of(self, sample: &Observation) -> Option<f64> {
        match self {
            Self::Latency(Percentile::P50) => sample.latency_p50_s,
            Self::Latency(Percentile::P90) => sample.latency_p90_s,
            Self::Latency(Percentile::P99) => sample.latency_p99_s,
            Self::Latency(Percentile::P999) => sample.latency_p999_s,
            Self::CpuTimePerOp => sample.cpu_s_per_op(),
        }
    }
}

/// A policy that can be applied to what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// Smallest N whose loss is within the share.
    Knee(f64),
    /// Largest N with at least this efficiency against N = 1, else against the smallest N.
    Efficiency(f64),
    /// Smallest N whose latency's upper bound is within the limit (its logarithm), else the one of the lowest latency.
    Latency(f64),
    /// Least CPU time per op among those whose loss is within the share.
    Cost(f64),
}

/// The knee's tolerance where a policy cannot be applied.
pub(super) const KNEE: f64 = 0.05;
/// A loss that is the tolerance but for rounding is within it.
pub(super) const ROUNDING: f64 = 1e-9;

impl Rule {
    /// `policy`, or the knee if what it looks at was measured nowhere.
    pub(super) fn new(policy: Policy, estimate: &Estimate) -> Self {
        let is_measured = estimate.second.iter().any(Option::is_some);
        match policy {
            Policy::Knee { tolerance } | Policy::Throughput { tolerance } => Self::Knee(tolerance),
            Policy::Efficiency { at_least } => Self::Efficiency(at_least),
            Policy::Latency { limit_s, .. } if is_measured => Self::Latency(limit_s.ln()),
            Policy::Cost { tolerance } if is_measured => Self::Cost(tolerance),
            Policy::Latency { .. } | Policy::Cost { .. } => Self::Knee(KNEE),
        }
    }

    /// Whether more workers are taken for their throughput: then it has to be a measured gain beyond the CPUs.
    pub(super) fn wants_throughput(self) -> bool {
        matches!(self, Self::Knee(_) | Self::Cost(_))
    }

    /// Index of the chosen one among the worker counts `n`, ascending, that `may` admits (at least one).
    pub(super) fn choose(self, n: &[f64], estimate: &Estimate, may: impl Fn(usize) -> bool + Copy) -> usize {
        let best = estimate.best(may);
        let admitted = (0..n.len()).filter(|&point| may(point));
        let within = |point: &usize, tolerance: f64| estimate.loss(*point, best) <= tolerance + ROUNDING;
        match self {
            Self::Knee(tolerance) => admitted.clone().find(|point| within(point, tolerance)).unwrap_or(best),
            Self::Efficiency(at_least) => {
                let base = n.iter().position(|&n| n == 1.0).unwrap_or(0);
                let efficiency = |point: usize| {
                    (estimate.level[point] - estimate.level[base] - (n[point] / n[base]).ln()).exp()
                };
                admitted.rev().find(|&point| efficiency(point) >= at_least - ROUNDING).unwrap_or(base)
            }
            Self::Latency(limit) => {
                let meets = |point: &usize| {
                    estimate.second_upper[*point].is_some_and(|upper| upper <= limit + ROUNDING)
                };
                let fastest = || least(admitted.clone(), &estimate.second);
                admitted.clone().find(meets).or_else(fastest).unwrap_or(best)
            }
            Self::Cost(tolerance) => {
                least(admitted.filter(|point| within(point, tolerance)), &estimate.second).unwrap_or(best)
            }
        }
    }
}

/// The first index of the least value that is known.
fn least(points: impl Iterator<Item = usize>, values: &[Option<f64>]) -> Option<usize> {
    points
        .filter_map(|point| Some((point, values[point]?)))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(point, _)| point)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(throughput: &[f64], second: &[Option<f64>]) -> Estimate {
        let second: Vec<Option<f64>> = second.iter().map(|x| x.map(f64::ln)).collect();
        Estimate { level: throughput.iter().map(|x| x.ln()).collect(), second_upper: second.clone(), second }
    }

    #[track_caller]
    fn check(rule: Rule, throughput: &[f64], second: &[Option<f64>], wanted: f64) {
        let n = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(n[rule.choose(&n, &estimate(throughput, second), |_| true)], wanted);
    }

    #[test]
    fn the_knee_is_the_smallest_within_the_tolerance() {
        check(Rule::Knee(0.05), &[50.0, 94.9, 95.0, 100.0], &[None; 4], 4.0);
        check(Rule::Knee(0.0), &[50.0, 94.9, 95.0, 100.0], &[None; 4], 8.0);
        check(Rule::Knee(0.0), &[7.0; 4], &[None; 4], 1.0);
    }

    #[test]
    fn efficiency_takes_the_largest_that_still_has_it() {
        check(Rule::Efficiency(0.7), &[10.0, 19.0, 30.0, 40.0], &[None; 4], 4.0);
        check(Rule::Efficiency(2.0), &[10.0, 19.0, 30.0, 40.0], &[None; 4], 1.0);
    }

    #[test]
    fn latency_takes_the_smallest_below_the_limit_and_else_the_fastest() {
        let latency = [Some(9.0), Some(5.0), Some(4.0), Some(6.0)];
        check(Rule::Latency(5f64.ln()), &[1.0; 4], &latency, 2.0);
        check(Rule::Latency(1f64.ln()), &[1.0; 4], &latency, 4.0);
    }

    #[test]
    fn cost_takes_the_cheapest_of_those_fast_enough() {
        check(Rule::Cost(0.1), &[50.0, 95.0, 100.0, 99.0], &[Some(1.0), Some(1.2), Some(1.5), None], 2.0);
    }

    #[test]
    fn of_equals_the_smallest_is_taken() {
        check(
            Rule::Cost(0.1),
            &[99.0, 100.0, 100.0, 99.0],
            &[Some(2.0), Some(1.0), Some(1.0), Some(1.0)],
            2.0,
        );
        check(Rule::Latency(1f64.ln()), &[1.0; 4], &[Some(9.0), Some(5.0), Some(5.0), Some(6.0)], 2.0);
        check(Rule::Efficiency(1.0), &[10.0, 20.0, 40.0, 80.0], &[None; 4], 8.0);
    }

    #[test]
    fn a_worker_count_without_the_measure_is_passed_over() {
        check(Rule::Latency(5f64.ln()), &[1.0; 4], &[None, None, Some(4.0), Some(3.0)], 4.0);
        check(Rule::Latency(1f64.ln()), &[1.0; 4], &[None, Some(4.0), None, Some(3.0)], 8.0);
        check(Rule::Cost(0.1), &[95.0, 99.0, 100.0, 99.0], &[None, None, Some(2.0), Some(3.0)], 4.0);
    }

    #[test]
    fn without_one_worker_efficiency_is_judged_from_the_smallest() {
        let n = [2.0, 4.0, 8.0];
        let found = |at_least| {
            n[Rule::Efficiency(at_least).choose(&n, &estimate(&[20.0, 36.0, 56.0], &[None; 3]), |_| true)]
        };
        assert_eq!([found(0.95), found(0.9), found(0.7), found(0.71)], [2.0, 4.0, 8.0, 4.0]);
    }

    #[test]
    fn efficiency_may_come_back_after_a_dip() {
        check(Rule::Efficiency(0.7), &[10.0, 12.0, 30.0, 40.0], &[None; 4], 4.0);
    }

    #[test]
    fn a_policy_without_its_measure_is_the_knee() {
        let nothing = estimate(&[1.0, 2.0], &[None, None]);
        assert_eq!(Rule::new(Policy::Cost { tolerance: 0.3 }, &nothing), Rule::Knee(KNEE));
    }
}
