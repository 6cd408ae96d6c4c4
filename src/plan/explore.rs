//! Which worker counts of a long range are worth a look beside those of its grid.
//!
//! Every round of the grid shows the curve's outline. Two questions are left, and each names at most a few points:
//!
//! - **Where does the knee lie?** It lies between the largest N known to lose more than the tolerance and the smallest
//!   known not to. The law fitted so far says where between them; where it does not move, the middle is taken, so the
//!   gap closes by bisection at worst.
//! - **May a gap hide something better than the best?** A program gains from one more worker at most what it gained
//!   from those before, so the line through the two points before a gap, drawn on, is the most that the gap can hold.
//!   It finds the peak that lies between two points of the grid, and the cliff behind which throughput has already
//!   fallen. Where the most, less its uncertainty, is no gain worth having, the gap is left alone.
//!
//! At most half of the range is ever measured: beyond that, `--exhaustive` is the better way.

use super::Policy;
use super::levels::{Levels, Place};
use crate::model;

/// Gain that is worth looking for in a gap, as a part of the tolerance; and the least, as a share of the throughput.
const WORTH: f64 = 0.25;
const LEAST_WORTH: f64 = 0.005;

/// Between two points that differ by less, a share of the throughput, the knee need not be told more exactly.
const RESOLUTION: f64 = 0.005;

/// Standard errors that a gap's gain has to exceed: with one, noise alone would open half of the gaps of a flat curve.
const SURE: f64 = 1.5;

/// A loss that is the tolerance but for rounding is within it.
const ROUNDING: f64 = 1e-9;

/// Gaps looked into at a time.
const GAPS: usize = 2;

/// What is asked of the range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    /// All worker counts of the range, ascending.
    pub(super) range: &'a [u32],
    /// What is looked for in it.
    pub(super) policy: Policy,
    /// Complete rounds.
    pub(super) round: u32,
}

impl Search<'_> {
    /// Worker counts to add, each once; none if nothing more is worth knowing.
    pub(super) fn joiners(&self, levels: &Levels) -> Vec<u32> {
        let room = (self.range.len() / 2).saturating_sub(levels.places.len());
        let (Some(best), Some(noise)) = (levels.best(), levels.noise) else { return Vec::new() };
        let mut joiners: Vec<u32> = self.knee(levels, noise).into_iter().collect();
        for n in self.gaps(levels, best, noise) {
            if !joiners.contains(&n) {
                joiners.push(n);
            }
        }
        joiners.truncate(room);
        joiners
    }

    /// The next look for the knee, or for where efficiency falls below what is asked.
    fn knee(&self, levels: &Levels, noise: f64) -> Option<u32> {
        let curve: Vec<(u32, f64)> = levels.places.iter().map(|place| (place.procs, place.level)).collect();
        let turn = self.turn(&curve)?;
        let [low, high] = [levels.places[turn.checked_sub(1)?], *levels.places.get(turn)?];
        let known_to = noise * (1.0 / low.samples + 1.0 / high.samples).sqrt();
        let differ = (self.merit(high.procs, high.level) - self.merit(low.procs, low.level)).abs();
        if differ < RESOLUTION.max(known_to) {
            return None;
        }
        let inside = self.between(low.procs, high.procs);
        let (first, last) = (*inside.first()?, *inside.last()?);
        let middle = inside[inside.len() / 2];
        // Every other round goes by the middle, so that a law that is wrong cannot keep the gap from closing.
        let predicted = if self.round.is_multiple_of(2) { self.predicted(levels) } else { None };
        Some(predicted.map_or(middle, |n| n.clamp(first, last)))
    }

    /// What the policy compares, as a logarithm: throughput, or throughput a worker.
    fn merit(&self, procs: u32, level: f64) -> f64 {
        match self.policy {
            Policy::Efficiency { .. } => level - f64::from(procs).ln(),
            _ => level,
        }
    }

    /// Index in `curve`, log throughputs by worker count, of the first point on the far side of what is looked for: the
    /// first within the tolerance, or the first behind the last that is efficient enough. May be the length.
    fn turn(&self, curve: &[(u32, f64)]) -> Option<usize> {
        let merits = || curve.iter().map(|(n, level)| self.merit(*n, *level));
        match self.policy {
            Policy::Efficiency { at_least } => {
                let bar = merits().next()? + at_least.ln() - ROUNDING;
                merits().rposition(|merit| merit >= bar).map(|last| last + 1)
            }
            _ => {
                let bar = merits().fold(f64::NEG_INFINITY, f64::max) + (1.0 - self.policy.tolerance()).ln();
                merits().position(|merit| merit >= bar - ROUNDING)
            }
        }
    }

    /// Where the law of the samples so far puts it.
    fn predicted(&self, levels: &Levels) -> Option<u32> {
        let shares = levels.shares();
        let points: Vec<(f64, &[f64])> = shares.iter().map(|(n, x)| (*n, &x[..])).collect();
        let law = model::fit(&points, None)?.law;
        let curve: Vec<(u32, f64)> =
            self.range.iter().map(|n| (*n, law.throughput(f64::from(*n)).ln())).collect();
        self.range.get(self.turn(&curve)?).copied()
    }

    /// The middles of the gaps that may hide the most.
    fn gaps(&self, levels: &Levels, best: Place, noise: f64) -> Vec<u32> {
        let worth = (WORTH * self.policy.tolerance()).max(LEAST_WORTH);
        let mut gaps: Vec<(f64, u32)> = Vec::new();
        for (index, pair) in levels.places.windows(2).enumerate() {
            let inside = self.between(pair[0].procs, pair[1].procs);
            let Some(last) = inside.last() else { continue };
            let gain = self.most_gain(&levels.places[..index], pair[0], *last, best, noise);
            if gain > worth {
                gaps.push((gain, inside[inside.len() / 2]));
            }
        }
        gaps.sort_by(|a, b| b.0.total_cmp(&a.0));
        gaps.into_iter().take(GAPS).map(|(_, n)| n).collect()
    }

    /// The worker counts of the range strictly between two.
    fn between(&self, low: u32, high: u32) -> &[u32] {
        let from = self.range.partition_point(|n| *n <= low);
        let to = self.range.partition_point(|n| *n < high);
        &self.range[from..to.max(from)]
    }
    /// What `last`, behind `place`, can gain over the best at most, as a share of it, less what noise may feign. Nothing,
    /// unless both the line through whichever point before, back to half of `place`, shows it most clearly, and the line
    /// through the nearest one that is as far off as `last`: a far one hides a bend, a near one draws its noise on.
    fn most_gain(&self, before: &[Place], place: Place, last: u32, best: Place, noise: f64) -> f64 {
        let ahead = last - place.procs;
        let share = |place: Place| (place.level - best.level).exp();
        let uncertainty = |place: Place| share(place).powi(2) / place.samples;
        let gain = |from: u32, level: f64, uncertain: f64| {
            let reach = f64::from(ahead) / f64::from(place.procs - from);
            let variance =
                (1.0 + reach).powi(2) * uncertainty(place) + reach.powi(2) * uncertain + 1.0 / best.samples;
            let gain = share(place) + reach * (share(place) - level).max(0.0) - 1.0;
            (gain, gain - SURE * noise * variance.sqrt())
        };
        let near = before.iter().filter(|other| 2 * other.procs >= place.procs);
        let lines: Vec<(u32, (f64, f64))> =
            near.map(|other| (other.procs, gain(other.procs, share(*other), uncertainty(*other)))).collect();
        // Nobody works without a worker: so much is known of what lies before the first point.
        let clearest = lines.iter().map(|(_, (_, gain))| *gain).reduce(f64::max);
        let clearest = clearest.unwrap_or_else(|| gain(0, 0.0, 0.0).1);
        let nearest = lines.iter().rfind(|(from, _)| place.procs - from >= ahead).map(|(_, (gain, _))| *gain);
        nearest.map_or(clearest, |nearest| nearest.min(clearest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THROUGHPUT: Policy = Policy::Throughput { tolerance: 0.01 };

    /// Who joins where `measured` worker counts of 1..64 have the throughput that `curve` says, six samples each.
    fn joiners(policy: Policy, curve: impl Fn(f64) -> f64, measured: &[u32], noise: f64) -> Vec<u32> {
        let range: Vec<u32> = (1..=64).collect();
        let place = |n: &u32| Place { procs: *n, level: curve(f64::from(*n)).ln(), samples: 6.0 };
        let levels = Levels { places: measured.iter().map(place).collect(), noise: Some(noise), free: 30 };
        Search { range: &range, policy, round: 3 }.joiners(&levels)
    }

    /// Lets them join until nobody does.
    fn explore(policy: Policy, curve: impl Fn(f64) -> f64, noise: f64) -> Vec<u32> {
        let mut measured = vec![1, 2, 4, 8, 16, 32, 64];
        for _ in 0..20 {
            measured.extend(joiners(policy, &curve, &measured, noise));
            measured.sort_unstable();
        }
        measured
    }

    #[test]
    fn what_is_flat_or_falls_leaves_nothing_to_look_for_and_what_is_linear_only_its_end() {
        for curve in [|_| 5.0, |n: f64| 1.0 / n] {
            assert_eq!(explore(THROUGHPUT, curve, 0.005).len(), 7);
        }
        let measured = explore(Policy::Throughput { tolerance: 0.05 }, |n| n, 0.005);
        assert!(measured.iter().all(|n| n.is_power_of_two() || *n > 47), "61 is the knee: {measured:?}");
    }

    #[test]
    fn a_peak_behind_which_throughput_has_fallen_already_is_found() {
        for quota in [3.0, 11.0, 23.0, 40.0, 45.0, 63.0] {
            let cliff = |n: f64| if n <= quota { n } else { 0.8 * quota };
            let measured = explore(THROUGHPUT, cliff, 0.005);
            assert!(measured.contains(&(quota as u32)) && measured.len() <= 20, "{quota}: {measured:?}");
        }
    }

    #[test]
    fn the_knee_is_closed_in_from_both_sides() {
        let amdahl = |n: f64| n / (1.0 + 0.05 * (n - 1.0));
        let measured = explore(Policy::default(), amdahl, 0.001);
        let knee = (1..=64).find(|n| amdahl(f64::from(*n)) >= 0.95 * amdahl(64.0)).unwrap();
        assert!(measured.contains(&knee) && measured.contains(&(knee - 1)), "{knee}: {measured:?}");
    }

    #[test]
    fn the_last_that_is_efficient_enough_is_closed_in_too() {
        let amdahl = |n: f64| n / (1.0 + 0.02 * (n - 1.0));
        let measured = explore(Policy::Efficiency { at_least: 0.7 }, amdahl, 0.001);
        assert!(measured.contains(&22) && measured.contains(&23), "1/(1 + 0.02·21) is 0.704: {measured:?}");
    }

    #[test]
    fn a_gap_is_left_alone_where_noise_could_feign_what_it_may_hide() {
        let nearly_flat = |n: f64| 100.0 + 0.02 * n;
        let joiners = joiners(THROUGHPUT, nearly_flat, &[1, 2, 4, 8, 16, 32, 64], 0.03);
        assert!(joiners.is_empty(), "{joiners:?}");
    }

    #[test]
    fn at_most_half_of_a_range_is_measured() {
        let bumpy = |n: f64| n * (1.0 + 0.3 * (n * 1.7).sin());
        assert!(explore(Policy::Throughput { tolerance: 0.0 }, bumpy, 1e-6).len() <= 32);
    }
}
