//! How the points of a sweep stand against each other: ratios taken within rounds, with their 95 % t-intervals.
//!
//! Two points measured in the same rounds share the drift of the machine; the logarithm of their ratio within each round
//! does not have it any more. Its mean over the rounds, with Student's t, gives the ratio and how well it is known
//! (a randomised block design).

use std::collections::BTreeMap;

use super::forecast::interpolate;
use super::levels::{Levels, Sample};
use super::rounds::Done;
use crate::stats::mean_and_half_width;
use crate::target::Procs;

/// What was measured of each worker count.
#[derive(Debug)]
pub(super) struct Contest {
    /// By point: by round, the logarithm of the throughput (`None` for a failed sample) and the wall time.
    points: BTreeMap<Procs, BTreeMap<u32, Outcome>>,
    levels: Levels,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    log_throughput: Option<f64>,
    wall_s: f64,
}

/// A point's throughput over another's, within rounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// Rounds in which both have a sample.
    pub(super) rounds: u32,
    /// Mean of the logarithm of the ratio.
    mean_log: f64,
    /// Half the width of its 95 % interval; infinite below 2 rounds.
    half_log: f64,
}

impl Ratio {
    /// The ratio itself.
    pub(super) fn middle(&self) -> f64 {
        self.mean_log.exp()
    }

    /// Upper end of the 95 % interval of the ratio.
    pub(super) fn upper(&self) -> f64 {
        (self.mean_log + self.half_log).exp()
    }

    /// Half the width of that interval, as a share of the best.
    pub(super) fn half_width(&self) -> f64 {
        self.mean_log.exp() * self.half_log.sinh()
    }
}

impl Contest {
    /// The samples of `done` up to round `last`.
    pub(super) fn until(last: u32, done: &[Done]) -> Self {
        let mut points: BTreeMap<Procs, BTreeMap<u32, Outcome>> = BTreeMap::new();
        for sample in done.iter().filter(|sample| sample.round <= last) {
            let throughput = sample.throughput.filter(|value| value.is_finite() && *value > 0.0);
            let outcome = Outcome { log_throughput: throughput.map(f64::ln), wall_s: sample.wall_s };
            points.entry(sample.procs).or_default().insert(sample.round, outcome);
        }
        Self { levels: levels(&points), points }
    }

    /// Whether the last two samples of `procs` failed.
    pub(super) fn failed_twice_running(&self, procs: Procs) -> bool {
        let Some(samples) = self.points.get(&procs) else { return false };
        let mut latest = samples.values().rev().map(|outcome| outcome.log_throughput.is_none());
        latest.next() == Some(true) && latest.next() == Some(true)
    }

    /// The worker count among `points` with the highest throughput, rounds taken out; `None` if no sample succeeded. The
    /// default stands outside of the contest.
    pub(super) fn best(&self, points: &[Procs]) -> Option<Procs> {
        let places = self.levels.places.iter().filter(|place| points.contains(&Procs::Count(place.procs)));
        places.max_by(|a, b| a.level.total_cmp(&b.level)).map(|place| Procs::Count(place.procs))
    }

    /// The worker count that beats `procs` most clearly of those that share `rounds` rounds with it.
    pub(super) fn strongest_rival(&self, procs: Procs, rounds: u32) -> Option<Procs> {
        let others = self.points.keys().filter(|other| **other != procs && **other != Procs::Default);
        let ratios = others.map(|other| (*other, self.ratio(procs, *other)));
        let known = ratios.filter(|(_, ratio)| ratio.rounds >= rounds);
        known.min_by(|a, b| a.1.mean_log.total_cmp(&b.1.mean_log)).map(|(other, _)| other)
    }

    /// Throughput of `procs` over that of `best`.
    pub(super) fn ratio(&self, procs: Procs, best: Procs) -> Ratio {
        let logs: Vec<f64> =
            self.points.get(&procs).zip(self.points.get(&best)).map_or_else(Vec::new, |(ours, theirs)| {
                let pairs = ours.iter().filter_map(|(round, sample)| Some((sample, theirs.get(round)?)));
                pairs.filter_map(|(a, b)| Some(a.log_throughput? - b.log_throughput?)).collect()
            });
        let (mean_log, half_log) = mean_and_half_width(&logs);
        Ratio { rounds: logs.len() as u32, mean_log, half_log }
    }

    /// Samples of worker counts so far.
    pub(super) fn samples(&self) -> usize {
        let counts = self.points.iter().filter(|(point, _)| **point != Procs::Default);
        counts.map(|(_, samples)| samples.len()).sum()
    }

    /// Where all worker counts stand that were measured at all.
    pub(super) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Rounds in which `procs` was measured, successfully or not.
    pub(super) fn rounds_of(&self, procs: Procs) -> u32 {
        self.points.get(&procs).map_or(0, |samples| samples.len() as u32)
    }

    /// Seconds that one more sample of `procs` is likely to take: the median so far; of one that was never measured, what
    /// lies between its neighbours; 0 if nothing was.
    pub(super) fn expected_wall_s(&self, procs: Procs) -> f64 {
        let typical = |samples: &BTreeMap<u32, Outcome>| {
            let mut walls: Vec<f64> = samples.values().map(|sample| sample.wall_s).collect();
            walls.sort_unstable_by(f64::total_cmp);
            walls[walls.len() / 2]
        };
        if let Some(samples) = self.points.get(&procs) {
            return typical(samples);
        }
        let number = |point: Procs| point.count().map_or(0.0, |n| f64::from(n).ln());
        let known = self.points.iter().filter(|(point, _)| **point != Procs::Default);
        let walls: Vec<(f64, f64)> =
            known.map(|(point, samples)| (number(*point), typical(samples))).collect();
        interpolate(&walls, number(procs)).unwrap_or(0.0)
    }
}

fn levels(points: &BTreeMap<Procs, BTreeMap<u32, Outcome>>) -> Levels {
    let of_point = |(point, samples): (&Procs, &BTreeMap<u32, Outcome>)| {
        let procs = point.count()?;
        let successes = samples.iter().filter_map(|(round, outcome)| Some((*round, outcome.log_throughput?)));
        Some(
            successes
                .map(|(round, log_throughput)| Sample { round, procs, log_throughput })
                .collect::<Vec<_>>(),
        )
    };
    Levels::fit(&points.iter().filter_map(of_point).flatten().collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Procs = Procs::Count(1);
    const TWO: Procs = Procs::Count(2);

    fn done(round: u32, procs: u32, throughput: f64) -> Done {
        Done { round, procs: procs.into(), throughput: Some(throughput), wall_s: 1.0 }
    }

    #[test]
    fn drift_that_hits_a_whole_round_leaves_the_ratio_alone() {
        let drift = [100.0, 50.0, 200.0, 10.0];
        let samples: Vec<Done> =
            (1..).zip(drift).flat_map(|(round, x)| [done(round, 1, 0.5 * x), done(round, 2, x)]).collect();
        let contest = Contest::until(4, &samples);
        assert_eq!(contest.best(&[ONE, TWO]), Some(TWO));
        let ratio = contest.ratio(ONE, TWO);
        assert_eq!(ratio.rounds, 4);
        assert!((ratio.upper() - 0.5).abs() < 1e-12 && ratio.half_width() < 1e-12, "{ratio:?}");
    }

    #[test]
    fn the_interval_is_that_of_the_mean_of_the_logarithms() {
        // Logarithms of the ratio: ±0.1 around ln 0.8, so s = 0.1·√(4/3) and half = 3.182·s/√4.
        let ln = [0.1f64, -0.1, 0.1, -0.1];
        let samples: Vec<Done> = (1..)
            .zip(ln)
            .flat_map(|(round, e)| [done(round, 1, 0.8 * e.exp()), done(round, 2, 1.0)])
            .collect();
        let ratio = Contest::until(4, &samples).ratio(ONE, TWO);
        let half = 3.182 * 0.1 * (4.0f64 / 3.0).sqrt() / 2.0;
        assert!((ratio.upper() - 0.8 * half.exp()).abs() < 1e-9, "{ratio:?}");
        assert!((ratio.half_width() - 0.8 * (half.exp() - (-half).exp()) / 2.0).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn one_common_round_says_nothing_of_the_spread() {
        let samples = [done(1, 1, 1.0), done(1, 2, 2.0), done(2, 2, 2.0)];
        let ratio = Contest::until(2, &samples).ratio(ONE, TWO);
        assert_eq!(ratio.rounds, 1);
        assert!(ratio.upper().is_infinite() && ratio.half_width().is_infinite());
    }

    #[test]
    fn only_two_failures_running_count() {
        let failed = |round| Done { round, procs: ONE, throughput: None, wall_s: 1.0 };
        assert!(!Contest::until(1, &[failed(1)]).failed_twice_running(ONE));
        assert!(Contest::until(2, &[failed(1), failed(2)]).failed_twice_running(ONE));
        assert!(!Contest::until(3, &[failed(1), done(2, 1, 1.0), failed(3)]).failed_twice_running(ONE));
        assert!(
            !Contest::until(1, &[failed(1), failed(2)]).failed_twice_running(ONE),
            "round 2 is yet to come"
        );
    }

    #[test]
    fn the_next_sample_is_expected_to_take_the_median_or_what_lies_between_the_neighbours() {
        let walls = [(1, 1.0), (2, 9.0), (3, 2.0)];
        let samples = walls.map(|(round, wall_s)| Done { round, procs: ONE, throughput: None, wall_s });
        let four = Done { round: 1, procs: Procs::Count(4), throughput: None, wall_s: 4.0 };
        let contest = Contest::until(3, &[&samples[..], &[four]].concat());
        assert_eq!(contest.expected_wall_s(ONE), 2.0);
        assert_eq!(contest.expected_wall_s(TWO), 3.0);
    }
}
