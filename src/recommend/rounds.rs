//! Rounds: what was measured side by side, with what they have in common taken out.
//!
//! A round visits every worker count once, so a slow minute of the machine slows the whole round, and worker counts are
//! compared within it. That is an additive model of the logarithm, log X = level(N) + shift(round) + noise, fitted by
//! turns as Tukey's median polish is (J. W. Tukey, *Exploratory Data Analysis*, 1977), with means in the medians' place
//! that disturbed samples hardly move. A row of a plain table is a round of its own and has no shift.

use std::ops::Range;

use super::group::Group;
use super::noise::Noise;
use super::policy::Second;
use super::smooth::smooth;
use crate::stats::{center, lower_rank, median};

/// Sweeps over levels and shifts. On rounds that all measured the same, the first one is exact; on ragged ones each
/// takes away most of what is left.
const SWEEPS: usize = 12;

/// Standard deviations from which on a sample is disturbed rather than noisy (P. J. Huber, *Robust Statistics*, 1981, has
/// 1 to 2; with more, less is lost on quiet machines).
const WILD: f64 = 3.0;
/// Third quartile of the distance of normal values from their centre, in standard deviations.
const QUARTILE: f64 = 1.15;

/// One sample in its round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    /// Index of the worker count, ascending.
    pub(super) point: usize,
    /// Log throughput less the round's shift.
    pub(super) level: f64,
    /// Logarithm of what the policy looks at beside throughput.
    pub(super) second: Option<f64>,
}

/// What the samples say about all worker counts, and how surely.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The worker counts, ascending.
    pub(super) n: Vec<f64>,
    pub(super) rounds: Rounds,
    /// What the choice is made from: near worker counts tell of each other.
    pub(super) estimate: Estimate,
    /// The levels by the samples of each worker count alone, and how well they are known.
    pub(super) measured: Vec<f64>,
    pub(super) noise: Noise,
}

impl Known {
    /// From all samples; `second` is what the policy looks at beside throughput.
    pub(super) fn new(groups: &[Group<'_>], second: Option<Second>) -> Self {
        let rounds = Rounds::new(groups, second);
        let n: Vec<f64> = groups.iter().map(|group| group.n).collect();
        let mut estimate = rounds.estimate();
        let noise = Noise::of_levels(&rounds.entries, &rounds.rounds, &estimate.level);
        let level = smooth(&n, &estimate.level, &noise.errors);
        let measured = std::mem::replace(&mut estimate.level, level);
        Self { n, rounds, estimate, measured, noise }
    }
}

/// All samples by round.
#[derive(Clone, Debug)]
pub(super) struct Rounds {
    /// Round after round; within one, by ascending point.
    pub(super) entries: Vec<Entry>,
    /// Where each round lies among the entries; none is empty.
    pub(super) rounds: Vec<Range<usize>>,
    /// Different worker counts.
    pub(super) points: usize,
    /// Whether no sample says which round it is of.
    pub(super) is_table: bool,
}

impl Rounds {
    pub(super) fn new(groups: &[Group<'_>], second: Option<Second>) -> Self {
        let mut entries = Vec::new();
        for (point, group) in groups.iter().enumerate() {
            for sample in &group.samples {
                let value = second.and_then(|second| second.of(sample)).filter(|x| *x > 0.0 && x.is_finite());
                let entry = Entry { point, level: sample.throughput.ln(), second: value.map(f64::ln) };
                entries.push((sample.round, entry));
            }
        }
        // Stable: entries of a round stay in the order of their points, and rows of a table in that of the table.
        entries.sort_by_key(|(round, _)| *round);
        let is_together = |a: &(Option<u32>, Entry), b: &(Option<u32>, Entry)| a.0.is_some() && a.0 == b.0;
        let mut end = 0;
        let rounds = entries.chunk_by(is_together).map(|round| {
            end += round.len();
            end - round.len()..end
        });
        let rounds = rounds.collect();
        let is_table = entries.iter().all(|(round, _)| round.is_none());
        let entries = entries.into_iter().map(|(_, entry)| entry).collect();
        let mut rounds = Self { entries, rounds, points: groups.len(), is_table };
        rounds.take_out_shifts();
        rounds
    }

    /// Subtracts from each round what it has in common. A round of one worker count says nothing about that.
    fn take_out_shifts(&mut self) {
        if self.rounds.iter().all(|round| round.len() < 2) {
            return;
        }
        for _ in 0..SWEEPS {
            let levels = self.estimate().level;
            let limit = self.wild(&levels);
            let mut largest = 0.0f64;
            for round in self.rounds.iter().filter(|round| round.len() > 1) {
                let entries = &mut self.entries[round.clone()];
                let shift = common(entries, &levels, limit);
                entries.iter_mut().for_each(|e| e.level -= shift);
                largest = largest.max(shift.abs());
            }
            if largest < 1e-12 {
                break;
            }
        }
    }

    /// How far from the median of its round a sample may lie before it counts for no more than that: [`WILD`] standard
    /// deviations, as the third quartile of all distances tells them.
    fn wild(&self, levels: &[f64]) -> f64 {
        let mut distances = Vec::with_capacity(self.entries.len());
        for round in self.rounds.iter().filter(|round| round.len() > 1) {
            let mut residuals = residuals(&self.entries[round.clone()], levels);
            let middle = median(&mut residuals).unwrap_or(0.0);
            distances.extend(residuals.iter().map(|x| (x - middle).abs()));
        }
        let rank = distances.len() * 3 / 4;
        let (_, quartile, _) = distances.select_nth_unstable_by(rank, f64::total_cmp);
        WILD * *quartile / QUARTILE
    }

    /// What all samples say.
    pub(super) fn estimate(&self) -> Estimate {
        let mut levels = vec![Vec::new(); self.points];
        let mut seconds = vec![Vec::new(); self.points];
        for entry in &self.entries {
            levels[entry.point].push(entry.level);
            seconds[entry.point].extend(entry.second);
        }
        Estimate {
            level: levels.iter_mut().map(|column| center(column)).collect(),
            second: seconds.iter_mut().map(|column| median(column)).collect(),
            second_upper: seconds.iter_mut().map(|column| upper(column)).collect(),
        }
    }
}

/// What the samples of a round have in common: the mean of their distances from the levels, none of them counted for more
/// than `limit` from their median. A trimmed mean would leave as much, but of three samples it is the middle one, and
/// then that one seems to have no noise.
fn common(entries: &[Entry], levels: &[f64], limit: f64) -> f64 {
    let mut residuals = residuals(entries, levels);
    let middle = median(&mut residuals).unwrap_or(0.0);
    middle + residuals.iter().map(|x| (x - middle).clamp(-limit, limit)).sum::<f64>() / residuals.len() as f64
}

fn residuals(entries: &[Entry], levels: &[f64]) -> Vec<f64> {
    entries.iter().map(|entry| entry.level - levels[entry.point]).collect()
}

/// What a set of samples says about each worker count.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimate {
    /// Log throughput; −∞ without a sample.
    pub(super) level: Vec<f64>,
    /// Logarithm of the policy's second measure; `None` where it was not measured.
    pub(super) second: Vec<Option<f64>>,
    /// Upper end of the 95 % interval of its median; below six samples, the largest.
    pub(super) second_upper: Vec<Option<f64>>,
}

impl Estimate {
    /// Index of the worker count with the highest throughput, the smallest of equals, among those `may` admits.
    pub(super) fn best(&self, may: impl Fn(usize) -> bool) -> usize {
        let mut best = None;
        for (point, &level) in self.level.iter().enumerate().filter(|(point, _)| may(*point)) {
            if best.is_none_or(|b: usize| level > self.level[b]) {
                best = Some(point);
            }
        }
        best.unwrap_or(0)
    }

    /// Share of the throughput at `best` that is lost at `point`; 0 if nothing is.
    pub(super) fn loss(&self, point: usize, best: usize) -> f64 {
        -(-(self.level[best] - self.level[point]).max(0.0)).exp_m1()
    }
}

/// Upper end of the interval of the median, or the largest value where there are too few for one.
fn upper(column: &mut [f64]) -> Option<f64> {
    let rank = column.len().checked_sub(1 + lower_rank(column.len()).unwrap_or(0))?;
    let (_, value, _) = column.select_nth_unstable_by(rank, f64::total_cmp);
    Some(*value)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::Observation;
    use super::super::group::group;
    use super::*;

    fn rounds(rows: &[(u32, f64, f64)]) -> Rounds {
        known(rows).rounds
    }

    /// Of round, worker count and throughput of each sample.
    pub(in super::super) fn known(rows: &[(u32, f64, f64)]) -> Known {
        let observations: Vec<Observation> = rows
            .iter()
            .map(|&(round, n, throughput)| Observation {
                n,
                throughput,
                round: Some(round),
                ..Observation::default()
            })
            .collect();
        Known::new(&group(&observations), None)
    }

    #[test]
    fn a_slow_round_changes_no_ratio() {
        let found = rounds(&[
            (1, 1.0, 10.0),
            (1, 2.0, 20.0),
            (2, 1.0, 5.0),
            (2, 2.0, 10.0),
            (3, 1.0, 9.0),
            (3, 2.0, 18.0),
        ]);
        let estimate = found.estimate();
        assert!((estimate.level[1] - estimate.level[0] - 2f64.ln()).abs() < 1e-12);
        assert!(found.entries.iter().all(|e| (e.level - estimate.level[e.point]).abs() < 1e-9));
    }

    #[test]
    fn a_point_that_left_early_is_judged_against_the_rounds_it_was_in() {
        // The machine slows down by half after round 2, when N = 4 was no longer measured.
        let mut rows = Vec::new();
        for round in 1..=8u32 {
            let speed = if round <= 2 { 2.0 } else { 1.0 };
            rows.extend([(round, 1.0, 10.0 * speed), (round, 2.0, 18.0 * speed)]);
            if round <= 2 {
                rows.push((round, 4.0, 15.0 * speed));
            }
        }
        let estimate = rounds(&rows).estimate();
        assert!((estimate.loss(2, 1) - (1.0 - 15.0 / 18.0)).abs() < 0.01, "{estimate:?}");
    }

    #[test]
    fn rows_of_a_table_are_rounds_of_their_own() {
        let observations = [1.0, 2.0].map(|n| Observation { n, throughput: n, ..Observation::default() });
        let rounds = Rounds::new(&group(&observations), None);
        assert!(rounds.is_table);
        assert_eq!(rounds.rounds.len(), 2);
        assert_eq!(rounds.estimate().level, [0.0, 2f64.ln()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn shifts_of_whole_rounds_leave_the_differences_of_levels(
            x in prop::collection::vec(-1.0..1.0f64, 18), shift in prop::collection::vec(-2.0..2.0f64, 6),
        ) {
            let table = |shift: &dyn Fn(usize) -> f64| {
                let rows: Vec<(u32, f64, f64)> = (0..18)
                    .map(|i| (i as u32 / 3, 1.0 + (i % 3) as f64, (x[i] + shift(i / 3)).exp()))
                    .collect();
                rounds(&rows).estimate()
            };
            let (still, moved) = (table(&|_| 0.0), table(&|round| shift[round]));
            for point in 1..3 {
                let [a, b] = [&still, &moved].map(|e| e.level[point] - e.level[0]);
                prop_assert!((a - b).abs() < 0.05, "{a} and {b}");
            }
        }
    }
}
