//! How sure the choice is: the whole decision is made again from resampled rounds.
//!
//! A resample draws as many rounds as were measured, with replacement, from those that measured the same worker counts
//! (B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, chapters 6 and 8), so that each worker
//! count keeps its number of samples. A residual is inflated by √(n/(n − 1)) first, since residuals around an estimate
//! are that much too small. `docs/deciding.md` says how far the result can be trusted.

use std::ops::Range;

use super::rounds::{Entry, Estimate, Rounds, Sheet};

/// Resamples; a share of 95 % is then known to ± 0.5 %.
pub(super) const RESAMPLES: usize = 2000;
/// Resamples of a table so large that it would take seconds.
const RESAMPLES_OF_LARGE: usize = 50;
/// Samples drawn in all. About half a second.
const DRAWS: usize = 10_000_000;
/// Rounds drawn from one stratum, at most: more are stood for by fewer with residuals as much smaller (m out of n).
const DRAWN_ROUNDS: usize = 256;
/// A set of worker counts that fewer rounds measured also draws from the rounds that measured more than the set.
const ENOUGH_DONORS: usize = 4;
/// Sets of worker counts among which donors are looked for.
const SETS: usize = 256;
/// Worker counts up to which there is something to be sure of: a table of as many different loads chooses none twice.
const MOST_POINTS: usize = 1024;
/// Fewest samples of a worker count, and rounds, from which anything is said.
pub(super) const ENOUGH_SAMPLES: usize = 4;

/// How resamples are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawing {
    pub(super) seed: u64,
    /// Resamples at most.
    pub(super) most: usize,
}

/// What the resamples chose.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spread {
    /// Share of the resamples that chose each worker count.
    pub(super) shares: Vec<f64>,
    /// What the given choice loses against each resample's best, ascending.
    pub(super) losses: Vec<f64>,
    /// Share of the resamples in which the given choice beats the given rival.
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
        self.losses[((self.losses.len() - 1) as f64 * quantile).round() as usize]
    }
}

/// Rounds that measured the same worker counts.
struct Stratum {
    /// How many are drawn in a resample.
    draws: usize,
    /// Where the entries lie of each round that is drawn from; the first one is the stratum's own.
    donors: Vec<Range<usize>>,
}

/// Everything that resamples are drawn from.
pub(super) struct Bootstrap {
    /// The entries of all rounds, then parts of rounds that others borrow.
    entries: Vec<Entry>,
    strata: Vec<Stratum>,
    points: usize,
    resamples: usize,
}

impl Bootstrap {
    /// `None` if there is too little to resample: below [`ENOUGH_SAMPLES`] rounds, or of one of the worker counts
    /// `needed`; or more than [`MOST_POINTS`] worker counts.
    pub(super) fn new(rounds: &Rounds, needed: &[usize]) -> Option<Self> {
        let mut all = vec![0usize; rounds.points];
        rounds.entries.iter().for_each(|entry| all[entry.point] += 1);
        let is_enough = needed.iter().all(|&point| all[point] >= ENOUGH_SAMPLES);
        if rounds.rounds.len() < ENOUGH_SAMPLES || rounds.points > MOST_POINTS || !is_enough {
            return None;
        }
        let (mut entries, strata) = stratify(rounds);
        let mut drawn = vec![0usize; rounds.points];
        let mut movable = vec![0usize; rounds.points];
        for stratum in &strata {
            for entry in &entries[stratum.donors[0].clone()] {
                drawn[entry.point] += stratum.draws;
                movable[entry.point] += if stratum.donors.len() > 1 { stratum.draws } else { 0 };
            }
        }
        if needed.iter().any(|&point| movable[point] < ENOUGH_SAMPLES) {
            return None;
        }
        let center = rounds.estimate();
        for entry in &mut entries {
            let factor = inflation(drawn[entry.point], all[entry.point]);
            let level = center.level[entry.point];
            entry.level = level + (entry.level - level) * factor;
            if let (Some(second), Some(middle)) = (&mut entry.second, center.second[entry.point]) {
                *second = middle + (*second - middle) * factor;
            }
        }
        let drawn: usize = drawn.iter().sum();
        let resamples = (DRAWS / drawn.max(1)).clamp(RESAMPLES_OF_LARGE, RESAMPLES);
        Some(Self { entries, strata, points: rounds.points, resamples })
    }

    /// Decides again in every resample. `chosen` is the decision of all samples, `rival` what it is compared with.
    pub(super) fn decide(
        &self,
        drawing: Drawing,
        chosen: usize,
        rival: usize,
        decide: impl Fn(&Estimate) -> usize,
    ) -> Spread {
        let resamples = self.resamples.min(drawing.most);
        let mut random = fastrand::Rng::with_seed(drawing.seed);
        let mut sheet = Sheet::new(self.points);
        let mut counts = vec![0u32; self.points];
        let mut wins = 0u32;
        let mut losses = Vec::with_capacity(resamples);
        for _ in 0..resamples {
            for stratum in &self.strata {
                for _ in 0..stratum.draws {
                    let donor = stratum.donors[random.usize(..stratum.donors.len())].clone();
                    self.entries[donor].iter().for_each(|entry| sheet.add(*entry));
                }
            }
            let estimate = sheet.estimate();
            counts[decide(&estimate)] += 1;
            losses.push(estimate.loss(chosen, estimate.best(|_| true)));
            wins += u32::from(estimate.level[chosen] > estimate.level[rival]);
        }
        losses.sort_by(f64::total_cmp);
        let share = |count: u32| f64::from(count) / resamples as f64;
        Spread { shares: counts.into_iter().map(share).collect(), losses, wins: share(wins) }
    }
}

/// √(n/(n − 1)) for `drawn` = n of `all` = n; with fewer drawn, smaller, so that the estimate varies as it would with all.
fn inflation(drawn: usize, all: usize) -> f64 {
    if all < 2 { 1.0 } else { (drawn as f64 / (all as f64 - 1.0)).sqrt() }
}

/// The strata, and the entries that their donors lie among.
fn stratify(rounds: &Rounds) -> (Vec<Entry>, Vec<Stratum>) {
    let mut entries = rounds.entries.clone();
    let set = |round: &Range<usize>| rounds.entries[round.clone()].iter().map(|entry| entry.point);
    let mut order = rounds.rounds.clone();
    // Stable: rounds of one set stay in the order they were measured.
    order.sort_by(|a, b| set(a).cmp(set(b)));
    let sets: Vec<&[Range<usize>]> = order.chunk_by(|a, b| set(a).eq(set(b))).collect();
    let may_borrow = sets.len() <= SETS;
    let mut strata = Vec::with_capacity(sets.len());
    for members in &sets {
        let own: Vec<usize> = set(&members[0]).collect();
        let mut donors = members.to_vec();
        if members.len() < ENOUGH_DONORS && may_borrow {
            for larger in sets.iter().filter(|other| set(&other[0]).count() > own.len()) {
                if own.iter().all(|point| set(&larger[0]).any(|other| other == *point)) {
                    for donor in *larger {
                        let start = entries.len();
                        let part =
                            rounds.entries[donor.clone()].iter().filter(|entry| own.contains(&entry.point));
                        entries.extend(part.copied());
                        donors.push(start..entries.len());
                    }
                }
            }
        }
        strata.push(Stratum { draws: members.len().min(DRAWN_ROUNDS), donors });
    }
    (entries, strata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(point: usize, level: f64) -> Entry {
        Entry { point, level, second: None }
    }

    fn rounds(rows: Vec<Vec<Entry>>) -> Rounds {
        let mut rounds = Rounds { entries: Vec::new(), rounds: Vec::new(), points: 9, is_table: false };
        for row in rows {
            let start = rounds.entries.len();
            rounds.entries.extend(row);
            rounds.rounds.push(start..rounds.entries.len());
        }
        rounds
    }

    #[test]
    fn below_four_rounds_nothing_is_said() {
        let rows = |count| rounds((0..count).map(|i| vec![entry(0, 0.0), entry(1, f64::from(i))]).collect());
        assert!(Bootstrap::new(&rows(3), &[0, 1]).is_none());
        assert!(Bootstrap::new(&rows(4), &[0, 1]).is_some());
    }

    #[test]
    fn one_row_a_value_is_too_little_however_many_values() {
        let rows = (0..9).map(|i| vec![entry(i, 0.0)]).collect();
        assert!(Bootstrap::new(&rounds(rows), &[0, 8]).is_none());
    }

    #[test]
    fn a_round_with_a_missing_point_borrows_from_the_full_ones() {
        let mut rows: Vec<Vec<Entry>> = (0..5).map(|i| vec![entry(0, f64::from(i)), entry(1, 1.0)]).collect();
        rows.push(vec![entry(0, 9.0)]);
        let (entries, strata) = stratify(&rounds(rows));
        let lonely = strata.iter().find(|s| s.draws == 1).unwrap();
        assert_eq!(lonely.donors.len(), 6);
        assert!(lonely.donors.iter().all(|round| round.len() == 1 && entries[round.start].point == 0));
    }

    #[test]
    fn the_estimate_varies_by_the_standard_error_with_all_or_with_fewer_drawn() {
        for count in [30u32, 3000] {
            let rows = (0..count).map(|i| vec![entry(0, 0.0), entry(1, f64::from(i % 2))]).collect();
            let bootstrap = Bootstrap::new(&rounds(rows), &[0, 1]).unwrap();
            let expected = (0.25 / (f64::from(count) - 1.0)).sqrt();
            let spread = bootstrap.decide(Drawing { seed: 1, most: RESAMPLES }, 0, 1, |_| 0);
            let quantile = |q| -(1.0 - spread.loss(q)).ln();
            let found = (quantile(0.841) - quantile(0.159)) / 2.0;
            // A trimmed mean of a coin varies more than its mean.
            assert!(found > 0.9 * expected && found < 2.0 * expected, "{found} for {expected}");
        }
    }

    #[test]
    fn the_interval_holds_95_percent_and_the_choice() {
        let spread = Spread { shares: vec![0.02, 0.5, 0.46, 0.02], losses: vec![0.0], wins: 0.0 };
        assert_eq!(spread.interval(1), [1, 2]);
        assert_eq!(spread.interval(3), [1, 3]);
    }
}
