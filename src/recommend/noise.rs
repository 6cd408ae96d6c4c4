//! How well levels are known: the standard error of each, from the samples around it.
//!
//! A level is a trimmed mean, so its variance is the winsorised one's (K. K. Yuen, Biometrika 61, 1974). A handful of
//! samples says little about its own spread, so each point's variance is drawn towards that of all, as if
//! [`OTHERS`] more samples had said so (G. K. Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, with a fixed weight).

use super::rounds::Entry;
use crate::stats::trimmed_each_end;

/// Degrees of freedom that the spread of all points counts for beside a point's own. Guess; in simulated sweeps anything
/// from 4 to infinity is calibrated, and with less a point whose samples agree by chance is taken for exact.
const OTHERS: f64 = 8.0;
/// Log units below which no throughput is known, so that equal samples divide nothing by 0.
const EXACT: f64 = 1e-9;

/// Standard errors of all levels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Noise {
    /// One a worker count, log units; positive.
    pub(super) errors: Vec<f64>,
    /// Degrees of freedom of the spread that all points share; 0 if no worker count has two samples left.
    pub(super) freedom: f64,
}

/// Spread of the values of one worker count.
#[derive(Clone, Copy, Default)]
struct Column {
    samples: f64,
    /// Variance of one sample, as far as that of the level depends on it.
    variance: f64,
    freedom: f64,
}

impl Noise {
    /// `columns` has the residuals of each worker count around its level.
    pub(super) fn new(columns: &mut [Vec<f64>]) -> Self {
        let columns: Vec<Column> = columns.iter_mut().map(|residuals| Column::new(residuals)).collect();
        let freedom: f64 = columns.iter().map(|column| column.freedom).sum();
        let shared = columns.iter().map(|c| c.variance * c.freedom).sum::<f64>() / freedom.max(1.0);
        let error = |column: &Column| {
            let variance = (OTHERS * shared + column.freedom * column.variance) / (OTHERS + column.freedom);
            (variance / column.samples.max(1.0)).sqrt().max(EXACT)
        };
        Self { errors: columns.iter().map(error).collect(), freedom }
    }

    /// The noise of the throughput. What a round has in common was estimated from its samples and taken out, so what is
    /// left of them is too small by (m − 1)/m.
    pub(super) fn of_levels(entries: &[Entry], rounds: &[std::ops::Range<usize>], levels: &[f64]) -> Self {
        let mut columns = vec![Vec::new(); levels.len()];
        let mut kept = 0.0;
        for round in rounds {
            let m = round.len() as f64;
            kept += if m > 1.0 { m - 1.0 } else { 1.0 };
            let factor = if m > 1.0 { (m / (m - 1.0)).sqrt() } else { 1.0 };
            for entry in &entries[round.clone()] {
                columns[entry.point].push(factor * (entry.level - levels[entry.point]));
            }
        }
        let noise = Self::new(&mut columns);
        // As much of what the samples could say has gone into the rounds: of two points, one's residual is the other's.
        Self { freedom: noise.freedom * kept / entries.len().max(1) as f64, ..noise }
    }
}

impl Column {
    fn new(residuals: &mut [f64]) -> Self {
        let samples = residuals.len();
        if samples < 2 {
            return Self { samples: samples as f64, ..Self::default() };
        }
        residuals.sort_unstable_by(f64::total_cmp);
        let cut = trimmed_each_end(samples);
        let [low, high] = [residuals[cut], residuals[samples - 1 - cut]];
        let winsorised = residuals.iter().map(|x| x.clamp(low, high));
        let mean = winsorised.clone().sum::<f64>() / samples as f64;
        let squares: f64 = winsorised.map(|x| (x - mean).powi(2)).sum();
        let (samples, kept) = (samples as f64, (samples - 2 * cut) as f64);
        if kept < 2.0 {
            return Self { samples, ..Self::default() };
        }
        // The level's variance is squares/(kept·(kept − 1)); a sample's is as many times that as there are samples.
        Self { samples, variance: squares / (kept - 1.0) * (samples / kept), freedom: kept - 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;
    use crate::stats::center;

    #[test]
    fn the_error_is_the_spread_of_levels_from_fresh_samples() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut said = 0.0;
        let mut found = 0.0;
        for _ in 0..4000 {
            let mut columns: Vec<Vec<f64>> =
                (0..5).map(|_| (0..8).map(|_| 0.02 * normal(&mut random)).collect()).collect();
            let level = center(&mut columns[0].clone());
            said += Noise::new(&mut columns).errors[0].powi(2);
            found += level * level;
        }
        assert!((said / found - 1.0).abs() < 0.1, "said {said}, found {found}");
    }

    #[test]
    fn one_wild_sample_does_not_make_its_level_unknown() {
        let calm = [-0.02, -0.01, 0.0, 0.0, 0.01, 0.02];
        let wild = [-5.0, -0.01, 0.0, 0.0, 0.01, 0.02];
        let error = |column: [f64; 6]| Noise::new(&mut [column.to_vec(), calm.to_vec()]).errors[0];
        assert!(error(wild) < 1.5 * error(calm));
    }

    #[test]
    fn equal_or_single_samples_have_a_positive_error() {
        let noise = Noise::new(&mut [vec![0.0; 6], vec![0.0], Vec::new()]);
        assert!(noise.errors.iter().all(|error| *error > 0.0));
    }
}
