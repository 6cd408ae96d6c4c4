//! What a law is fitted to: one mean a worker count, with its weight. Least squares over samples of equal N is least
//! squares over their means, weighted by their number, plus a constant; so the size of a fit does not grow with samples.
//!
//! The mean of logarithms is trimmed, as that of the levels by which points are compared: samples are disturbed one way
//! only, and a few slow ones at one worker count would pass for serial work.

use crate::stats::trimmed_each_end;

/// Different worker counts that a fit looks at; more are grouped into as many neighbourhoods, equal in samples.
/// Guess: far beyond any sweep, and a fit stays within milliseconds.
const POINTS: usize = 256;

/// Samples by worker count, ascending, each count once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    pub(super) n: Vec<f64>,
    /// Mean over the samples of that N: of X as a share of the largest, or of log X.
    pub(super) y: Vec<f64>,
    /// Samples, as a weight.
    pub(super) weight: Vec<f64>,
    /// Sum of squares around those means, over all samples: what no function of N explains.
    pub(super) pure_error: f64,
    /// What y must be scaled by to be a throughput (1 for a logarithm).
    pub(super) unit: f64,
}

impl Curve {
    /// Log throughputs. `points` has one entry a worker count: the count, positive, and its throughputs, positive and
    /// not empty.
    #[must_use]
    pub fn of_logs<'a>(points: impl IntoIterator<Item = (f64, &'a [f64])>) -> Self {
        Self::new(points, 1.0, true, f64::ln)
    }

    /// Throughputs as they are, as shares of the largest one so that no square overflows.
    #[must_use]
    pub fn of_throughputs<'a>(points: impl IntoIterator<Item = (f64, &'a [f64])> + Clone) -> Self {
        let largest =
            points.clone().into_iter().flat_map(|(_, x)| x).copied().fold(f64::MIN_POSITIVE, f64::max);
        Self::new(points, largest, false, |x| x / largest)
    }

    fn new<'a>(
        points: impl IntoIterator<Item = (f64, &'a [f64])>,
        unit: f64,
        trimmed: bool,
        value: impl Fn(f64) -> f64,
    ) -> Self {
        let mut curve = Self { unit, ..Self::default() };
        for (n, throughputs) in points {
            let count = throughputs.len() as f64;
            let mut values: Vec<f64> = throughputs.iter().map(|&x| value(x)).collect();
            values.sort_unstable_by(f64::total_cmp);
            let (mean, squares) = if trimmed && values.len() > 2 { robust(&values) } else { plain(&values) };
            curve.pure_error += squares;
            curve.n.push(n);
            curve.y.push(mean);
            curve.weight.push(count);
        }
        curve.grouped()
    }

    /// At most [`POINTS`] worker counts, by joining neighbours.
    fn grouped(self) -> Self {
        if self.n.len() <= POINTS {
            return self;
        }
        let mut joined = Self { pure_error: self.pure_error, unit: self.unit, ..Self::default() };
        for group in 0..POINTS {
            let range = group * self.n.len() / POINTS..(group + 1) * self.n.len() / POINTS;
            let weight: f64 = self.weight[range.clone()].iter().sum();
            let mean = |values: &[f64]| {
                values[range.clone()]
                    .iter()
                    .zip(&self.weight[range.clone()])
                    .map(|(v, w)| v * (w / weight))
                    .sum()
            };
            joined.n.push(mean(&self.n));
            joined.y.push(mean(&self.y));
            joined.weight.push(weight);
        }
        joined
    }

    /// Variance of one sample around its worker count's mean; `None` if no worker count has two samples.
    pub(super) fn variance(&self) -> Option<f64> {
        let freedom = self.samples() - self.n.len() as f64;
        (freedom >= 1.0).then(|| self.pure_error / freedom)
    }

    /// How many samples it stands for.
    pub(super) fn samples(&self) -> f64 {
        self.weight.iter().sum()
    }

    /// The same samples with every worker count above `cap` taken for `cap`.
    pub(super) fn capped_at(&self, cap: f64) -> Self {
        Self { n: self.n.iter().map(|n| n.min(cap)).collect(), ..self.clone() }
    }

    /// Sum of squares of the samples around their mean.
    pub(super) fn total_square(&self) -> f64 {
        let samples = self.samples();
        let mean = self.y.iter().zip(&self.weight).map(|(y, w)| y * (w / samples)).sum::<f64>();
        self.pure_error + self.y.iter().zip(&self.weight).map(|(y, w)| w * (y - mean).powi(2)).sum::<f64>()
    }
}

/// Mean and squares around it.
fn plain(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (mean, values.iter().map(|y| (y - mean).powi(2)).sum())
}

/// Trimmed mean of `sorted`, three at least, and the squares that as many undisturbed samples would have around it: those
/// of the winsorised values, scaled to the variance of the trimmed mean (K. K. Yuen, Biometrika 61, 1974). Otherwise one
/// disturbed sample would drown whatever tells the laws apart.
fn robust(sorted: &[f64]) -> (f64, f64) {
    let count = sorted.len();
    let cut = trimmed_each_end(count);
    let (mean, _) = plain(&sorted[cut..count - cut]);
    let kept = count - 2 * cut;
    if kept < 2 {
        return (mean, sorted.iter().map(|y| (y - mean).powi(2)).sum());
    }
    let winsorised: Vec<f64> = sorted.iter().map(|y| y.clamp(sorted[cut], sorted[count - 1 - cut])).collect();
    let (count, kept) = (count as f64, kept as f64);
    (mean, plain(&winsorised).1 * (count * (count - 1.0)) / (kept * (kept - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_worker_counts_become_one_mean_and_a_pure_error() {
        let samples = [1.0, 3.0];
        let curve = Curve::of_throughputs([(2.0, samples.as_slice())]);
        assert_eq!(curve.y, [2.0 / 3.0]);
        assert_eq!(curve.weight, [2.0]);
        assert!((curve.pure_error - 2.0 / 9.0).abs() < 1e-15);
        assert!((curve.total_square() - curve.pure_error).abs() < 1e-15);
    }

    #[test]
    fn one_wild_sample_moves_neither_the_mean_nor_the_squares_far() {
        let calm = Curve::of_logs([(2.0, [0.98, 0.99, 1.0, 1.0, 1.01, 1.02].as_slice())]);
        let wild = Curve::of_logs([(2.0, [0.05, 0.99, 1.0, 1.0, 1.01, 1.02].as_slice())]);
        assert!((wild.y[0] - calm.y[0]).abs() < 0.005);
        assert!(wild.pure_error < 2.0 * calm.pure_error, "{} and {}", wild.pure_error, calm.pure_error);
    }

    #[test]
    fn many_worker_counts_are_joined_and_no_sample_is_lost() {
        let x = [5.0];
        let curve = Curve::of_logs((1..=10_000).map(|n| (f64::from(n), x.as_slice())));
        assert_eq!(curve.n.len(), POINTS);
        assert!((curve.samples() - 10_000.0).abs() < 1e-6);
        assert!(curve.n.is_sorted());
        assert!(curve.y.iter().all(|y| (y - 5f64.ln()).abs() < 1e-12));
    }
}
