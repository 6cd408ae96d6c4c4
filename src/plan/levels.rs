//! Where each worker count stands, from all that was measured so far: log X = level(N) + shift(round) + noise.
//!
//! A point that joins late shares only some rounds with the others; what it shares with anyone tells where it stands.
//! Levels and shifts are fitted by least squares, by turns (the additive model of a randomised block design with missing
//! cells). `recommend` decides by a robust fit of the same model; here it only guides where to look next.

use std::collections::BTreeMap;

/// Turns of the fit; on ragged rounds each takes away most of what is left.
const TURNS: usize = 24;

/// Levels of all measured worker counts.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    /// Ascending.
    pub(super) places: Vec<Place>,
    /// Standard deviation of a sample, rounds taken out; `None` if too few samples say so.
    pub(super) noise: Option<f64>,
    /// Samples beyond those that levels and shifts take: how well the noise is known.
    pub(super) free: usize,
}

/// One worker count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) procs: u32,
    /// Log throughput. Only differences mean something.
    pub(super) level: f64,
    /// Samples that it rests on.
    pub(super) samples: f64,
}

/// A successful sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) round: u32,
    pub(super) procs: u32,
    pub(super) log_throughput: f64,
}

impl Levels {
    /// Fits the samples, in any order.
    pub(super) fn fit(samples: &[Sample]) -> Self {
        let (points, point_of) = numbered(samples.iter().map(|sample| sample.procs));
        let (rounds, round_of) = numbered(samples.iter().map(|sample| sample.round));
        let logs: Vec<f64> = samples.iter().map(|sample| sample.log_throughput).collect();
        let mut shift = vec![0.0; rounds.len()];
        let mut level = vec![0.0; points.len()];
        for _ in 0..TURNS {
            level = means(points.len(), &point_of, logs.iter().zip(&round_of).map(|(x, r)| x - shift[*r]));
            shift = means(rounds.len(), &round_of, logs.iter().zip(&point_of).map(|(x, p)| x - level[*p]));
        }
        let squares: f64 =
            (0..logs.len()).map(|i| (logs[i] - level[point_of[i]] - shift[round_of[i]]).powi(2)).sum();
        let free = (logs.len() + 1).saturating_sub(points.len() + rounds.len());
        let mut counts = vec![0.0; points.len()];
        point_of.iter().for_each(|point| counts[*point] += 1.0);
        let places = points.iter().zip(level).zip(counts);
        Self {
            places: places.map(|((procs, level), samples)| Place { procs: *procs, level, samples }).collect(),
            free,
            noise: (free > 0).then(|| (squares / free as f64).sqrt()),
        }
    }

    /// Worker counts with their throughput as a share of the highest, as a law is fitted to; none if nothing is known.
    pub(super) fn shares(&self) -> Vec<(f64, [f64; 1])> {
        let highest = self.best().map_or(0.0, |best| best.level);
        let share = |place: &Place| (f64::from(place.procs), [(place.level - highest).exp()]);
        self.places.iter().map(share).collect()
    }

    /// The place with the highest level, the smallest of equals.
    pub(super) fn best(&self) -> Option<Place> {
        self.places.iter().copied().reduce(|best, place| if place.level > best.level { place } else { best })
    }
}

/// The distinct values, ascending, and for each of `values` its index among them.
fn numbered(values: impl Iterator<Item = u32> + Clone) -> (Vec<u32>, Vec<usize>) {
    let index: BTreeMap<u32, usize> = values.clone().map(|value| (value, 0)).collect();
    let distinct: Vec<u32> = index.into_keys().collect();
    let places = values.map(|value| distinct.partition_point(|other| *other < value)).collect();
    (distinct, places)
}

/// Mean of the values of each group; every one of the `count` groups has some.
fn means(count: usize, group_of: &[usize], values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); count];
    for (group, value) in group_of.iter().zip(values) {
        sums[*group].0 += value;
        sums[*group].1 += 1.0;
    }
    sums.into_iter().map(|(sum, count)| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels ln 1, ln 2 and ln 4; the third joins in round 3.
    fn samples(rounds: u32, error: impl Fn(u32, u32) -> f64) -> Vec<Sample> {
        let points = |round| if round < 3 { vec![1, 2] } else { vec![1, 2, 4] };
        let sample = |round: u32, procs: u32| Sample {
            round,
            procs,
            log_throughput: f64::from(procs).ln() + 0.3 * f64::from(round) + error(round, procs),
        };
        (1..=rounds)
            .flat_map(|round| points(round).into_iter().map(move |procs| sample(round, procs)))
            .collect()
    }

    #[test]
    fn a_point_that_joins_late_stands_where_it_belongs_whatever_the_rounds_do() {
        let levels = Levels::fit(&samples(5, |_, _| 0.0));
        let [one, two, four] = levels.places[..] else { panic!("{levels:?}") };
        assert!((two.level - one.level - 2f64.ln()).abs() < 1e-6, "{levels:?}");
        assert!((four.level - one.level - 4f64.ln()).abs() < 1e-6, "{levels:?}");
        assert_eq!((one.samples, four.samples, levels.best()), (5.0, 3.0, Some(four)));
        assert!(levels.noise.unwrap() < 1e-6);
    }

    #[test]
    fn the_noise_is_what_neither_points_nor_rounds_explain() {
        let mut random = fastrand::Rng::with_seed(1);
        let errors: Vec<f64> = (0..6000).map(|_| 0.05 * crate::random::normal(&mut random)).collect();
        let levels = Levels::fit(&samples(1500, |round, procs| errors[(round * 4 + procs - 5) as usize]));
        assert!((levels.noise.unwrap() - 0.05).abs() < 0.003, "{:?}", levels.noise);
    }

    #[test]
    fn one_round_says_nothing_of_the_noise_and_nothing_says_nothing() {
        assert_eq!(Levels::fit(&samples(1, |_, _| 0.0)).noise, None);
        assert!(Levels::fit(&[]).best().is_none());
    }
}
