//! How sure the choice is: the whole decision is made again on curves that may be behind the samples.
//!
//! A plain bootstrap over rounds was 10 to 18 points too sure where many worker counts are nearly equal; curves drawn
//! from the posterior of [`Walk`] are not. `docs/deciding.md` has the simulations.

use super::noise::Noise;
use super::rounds::{Estimate, Known, Rounds};
use super::walk::Walk;
use crate::stats;

/// Curves that are drawn; a share of 95 % is then known to about ± 1 %, as neighbouring draws are alike.
pub(super) const DRAWS: usize = 2000;
/// The same for a table so large that it would take seconds.
const DRAWS_OF_LARGE: usize = 500;
/// Levels drawn in all. About a tenth of a second.
const LEVELS: usize = 512_000;
/// Worker counts up to which there is something to be sure of: a table of as many different loads chooses none twice.
const MOST_POINTS: usize = 1024;
/// Fewest samples of a worker count, and rounds, from which anything is said.
pub(super) const ENOUGH_SAMPLES: usize = 4;
/// Variance of a median over that of a mean of the same normal values: π/2.
const OF_MEDIAN: f64 = std::f64::consts::FRAC_PI_2;

/// How curves are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing {
    pub(super) seed: u64,
    /// Curves at most.
    pub(super) most: usize,
}

/// What the curves would have chosen.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spread {
    /// Share of the curves that choose each worker count.
    pub(super) shares: Vec<f64>,
    /// What the given choice loses against each curve's best, ascending.
    pub(super) losses: Vec<f64>,
    /// Share of the curves on which the given choice beats the given rival.
    pub(super) wins: f64,
}

impl Spread {
    /// Indices that hold the middle 95 % of the choices, widened to `chosen`.
    pub(super) fn interval(&self, chosen: usize) -> [usize; 2] {
        let mut below = 0.0;
        let mut ends = [None, None];
        for (point, share) in self.shares.iter().enumerate() {
            below += share;
            for (end, bound) in ends.iter_mut().zip([0.025, 0.975]) {
                if end.is_none() && below > bound - 1e-9 {
                    *end = Some(point);
                }
            }
        }
        [ends[0].unwrap_or(chosen).min(chosen), ends[1].unwrap_or(chosen).max(chosen)]
    }

    /// Quantile of the losses.
    pub(super) fn loss(&self, quantile: f64) -> f64 {
        stats::quantile(&self.losses, quantile)
    }
}

/// Everything that curves are drawn from.
pub(super) struct Draws<'a> {
    known: &'a Known,
    second: Option<SecondMeasure>,
}

/// What the policy looks at beside throughput, where it was measured.
struct SecondMeasure {
    /// Indices of the worker counts that have it, ascending; not empty.
    points: Vec<usize>,
    n: Vec<f64>,
    levels: Vec<f64>,
    noise: Noise,
}

impl<'a> Draws<'a> {
    /// `None` if there is too little to say: below [`ENOUGH_SAMPLES`] rounds, or of one of the worker counts `needed`;
    /// or more than [`MOST_POINTS`] worker counts.
    pub(super) fn new(known: &'a Known, needed: &[usize]) -> Option<Self> {
        let rounds = &known.rounds;
        let mut samples = vec![0usize; rounds.points];
        rounds.entries.iter().for_each(|entry| samples[entry.point] += 1);
        let is_enough = needed.iter().all(|&point| samples[point] >= ENOUGH_SAMPLES);
        if rounds.rounds.len() < ENOUGH_SAMPLES || rounds.points > MOST_POINTS || !is_enough {
            return None;
        }
        Some(Self { known, second: SecondMeasure::new(&known.n, rounds, &known.estimate) })
    }

    /// Decides again on every curve. `chosen` is the decision of the samples, `rival` what it is compared with.
    pub(super) fn decide(
        &self,
        drawing: Drawing,
        chosen: usize,
        rival: usize,
        decide: impl Fn(&Estimate) -> usize,
    ) -> Spread {
        let Known { n, measured, noise, .. } = self.known;
        let points = n.len();
        let draws = (LEVELS / points).clamp(DRAWS_OF_LARGE, DRAWS).min(drawing.most);
        let mut random = fastrand::Rng::with_seed(drawing.seed);
        let mut walk = Walk::new(n, measured, noise, &mut random);
        let mut second = self.second.as_ref().map(|s| (s, Walk::new(&s.n, &s.levels, &s.noise, &mut random)));
        let mut curve = Estimate {
            level: vec![0.0; points],
            second: vec![None; points],
            second_upper: vec![None; points],
        };
        let mut counts = vec![0u32; points];
        let mut wins = 0u32;
        let mut losses = Vec::with_capacity(draws);
        for _ in 0..draws {
            curve.level.copy_from_slice(walk.draw(&mut random));
            if let Some((measure, walk)) = &mut second {
                for (&point, &value) in measure.points.iter().zip(walk.draw(&mut random)) {
                    // A curve is known, so its upper bound is itself.
                    curve.second[point] = Some(value);
                    curve.second_upper[point] = Some(value);
                }
            }
            counts[decide(&curve)] += 1;
            losses.push(curve.loss(chosen, curve.best(|_| true)));
            wins += u32::from(curve.level[chosen] > curve.level[rival]);
        }
        losses.sort_by(f64::total_cmp);
        let share = |count: u32| f64::from(count) / draws as f64;
        Spread { shares: counts.into_iter().map(share).collect(), losses, wins: share(wins) }
    }
}

impl SecondMeasure {
    fn new(n: &[f64], rounds: &Rounds, estimate: &Estimate) -> Option<Self> {
        let points: Vec<usize> = (0..n.len()).filter(|&point| estimate.second[point].is_some()).collect();
        if points.is_empty() {
            return None;
        }
        let mut columns = vec![Vec::new(); n.len()];
        for entry in &rounds.entries {
            if let (Some(value), Some(middle)) = (entry.second, estimate.second[entry.point]) {
                columns[entry.point].push(value - middle);
            }
        }
        let mut columns: Vec<Vec<f64>> =
            points.iter().map(|&point| std::mem::take(&mut columns[point])).collect();
        let mut noise = Noise::new(&mut columns);
        noise.errors.iter_mut().for_each(|error| *error *= OF_MEDIAN.sqrt());
        let levels = points.iter().filter_map(|&point| estimate.second[point]).collect();
        Some(Self { n: points.iter().map(|&point| n[point]).collect(), points, levels, noise })
    }
}

#[cfg(test)]
mod tests {
    use super::super::rounds::tests::known;
    use super::*;
    use crate::stats::center;

    #[test]
    fn below_four_rounds_nothing_is_said() {
        let rows = |count: u32| -> Vec<(u32, f64, f64)> {
            (1..=count).flat_map(|round| [(round, 1.0, 1.0), (round, 2.0, f64::from(round))]).collect()
        };
        let is_enough = |count| Draws::new(&known(&rows(count)), &[0, 1]).is_some();
        assert!(!is_enough(3) && is_enough(4));
    }

    #[test]
    fn a_worker_count_of_too_few_samples_matters_only_where_it_is_needed() {
        let mut rows: Vec<(u32, f64, f64)> = (1..=6).map(|round| (round, 1.0, 1.0)).collect();
        rows.extend((1..=3).map(|round| (round, 2.0, 1.1)));
        let known = known(&rows);
        assert!(Draws::new(&known, &[0]).is_some());
        assert!(Draws::new(&known, &[0, 1]).is_none());
    }

    #[test]
    fn far_apart_worker_counts_are_told_apart_by_their_standard_error() {
        // Two levels 1 apart: the neighbours say nothing about each other, and the draws are those of the error alone.
        let mut random = fastrand::Rng::with_seed(2);
        let mut rows = Vec::new();
        for round in 1..=30u32 {
            for (n, level) in [(1.0, 0.0f64), (2.0, 1.0)] {
                rows.push((round, n, (level + 0.05 * crate::random::normal(&mut random)).exp()));
            }
        }
        let known = known(&rows);
        let drawing = Drawing { seed: 1, most: DRAWS };
        let spread = Draws::new(&known, &[0, 1]).unwrap().decide(drawing, 0, 1, |_| 0);
        let gap = |q| -(1.0 - spread.loss(q)).ln();
        let found = (gap(0.841) - gap(0.159)) / 2.0;
        let wanted = 0.05 * (2.0f64 / 30.0).sqrt();
        assert!((found / wanted - 1.0).abs() < 0.35, "{found} for {wanted}");
        assert!(center(&mut [gap(0.4), gap(0.5), gap(0.6)]) > 0.9);
    }

    #[test]
    fn the_interval_holds_95_percent_and_the_choice() {
        let spread = Spread { shares: vec![0.02, 0.5, 0.46, 0.02], losses: vec![0.0], wins: 0.0 };
        assert_eq!(spread.interval(1), [1, 2]);
        assert_eq!(spread.interval(3), [1, 3]);
    }
}
