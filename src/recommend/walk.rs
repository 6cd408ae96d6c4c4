//! Which curves are behind the levels that were measured: draws from their posterior distribution.
//!
//! A measured level is the truth and an error. Resampling it adds the error once more, so where many worker counts are
//! nearly equal, the best of a resample is too good twice over and too many workers look needed. What keeps the draws
//! honest is what is known of such curves before anything is measured: neighbours are alike, mostly.
//!
//! ```text
//! measured(i) = level(i) + bump(i) + error(i)                      error: normal, its variance known as far as t says
//! level(i + 1) = level(i) + step(i)·log₂(N(i + 1)/N(i))            step: Cauchy, so a cliff or steep growth stays one
//! bump(i): Student's t with 3 degrees of freedom                   what is special about this one worker count
//! ```
//!
//! How large steps and bumps usually are is learnt from the curve itself. Cauchy and t are normal distributions with a
//! random variance, so given the variances all is normal and a Kalman filter with backward sampling draws a whole curve
//! (S. Frühwirth-Schnatter, J. Time Ser. Anal. 15, 1994; C. K. Carter and R. Kohn, Biometrika 81, 1994); given the curve
//! the variances are drawn (A. Gelman, Bayesian Anal. 1, 2006). The two by turns are a Gibbs sampler.

use fastrand::Rng;

use super::noise::Noise;
use crate::random::{gamma, normal};

/// Usual step of a curve where it is flat, log units a doubling of N: half of all sizes that are believed in lie below
/// about this. Guess; with 0.01 or 0.05 the reliability of simulated sweeps is the same within a point or two.
const STEP: f64 = 0.02;
/// Usual size of what is special about one worker count, log units. Guess, likewise.
const BUMP: f64 = 0.01;
/// Degrees of freedom of steps: Cauchy.
const STEP_FREEDOM: f64 = 1.0;
/// Degrees of freedom of bumps.
const BUMP_FREEDOM: f64 = 3.0;
/// Turns of the sampler before the first draw that counts: it starts at what was measured, which is close.
const TURNS_BEFORE: usize = 300;
/// Log units squared below which nothing is divided by.
const SMALLEST: f64 = 1e-18;

/// Draws of the curve behind `measured` levels. A curve drawn is not independent of the one before it.
pub(super) struct Walk<'a> {
    measured: &'a [f64],
    noise: &'a Noise,
    /// Squared doublings between neighbours.
    gaps: Vec<f64>,
    steps: Sizes,
    bumps: Sizes,
    /// The curve without its bumps.
    level: Vec<f64>,
    bump: Vec<f64>,
    /// Mean and variance of each level given what lies before it.
    filtered: Vec<[f64; 2]>,
    curve: Vec<f64>,
}

/// Variances of quantities that come from one t distribution, and the square of its scale.
struct Sizes {
    variances: Vec<f64>,
    square: f64,
    usual: f64,
    freedom: f64,
}

impl<'a> Walk<'a> {
    /// `n` ascends; one measured level and one error each. Not empty.
    pub(super) fn new(n: &[f64], measured: &'a [f64], noise: &'a Noise, random: &mut Rng) -> Self {
        let doublings = |pair: &[f64]| (pair[1] / pair[0]).log2().powi(2).clamp(SMALLEST, 1e6);
        let points = measured.len();
        let mut walk = Self {
            measured,
            noise,
            gaps: n.windows(2).map(doublings).collect(),
            steps: Sizes::new(points.saturating_sub(1), STEP, STEP_FREEDOM),
            bumps: Sizes::new(points, BUMP, BUMP_FREEDOM),
            level: measured.to_vec(),
            bump: vec![0.0; points],
            filtered: vec![[0.0; 2]; points],
            curve: vec![0.0; points],
        };
        for _ in 0..TURNS_BEFORE {
            walk.draw(random);
        }
        walk
    }

    /// One more curve.
    pub(super) fn draw(&mut self, random: &mut Rng) -> &[f64] {
        // The errors' variance itself is known only as well as its degrees of freedom allow: t in place of normal.
        let freedom = self.noise.freedom.max(1.0);
        let unsure = freedom / (2.0 * gamma(random, freedom / 2.0));
        let (level, gaps) = (&self.level, &self.gaps);
        self.steps.draw(random, |i| (level[i + 1] - level[i]).powi(2) / gaps[i]);
        let bump = &self.bump;
        self.bumps.draw(random, |i| bump[i] * bump[i]);
        self.filter(unsure);
        self.sample(unsure, random);
        &self.curve
    }

    fn error_variance(&self, i: usize, unsure: f64) -> f64 {
        self.noise.errors[i].powi(2) * unsure
    }

    fn filter(&mut self, unsure: f64) {
        for i in 0..self.measured.len() {
            let spread = self.error_variance(i, unsure) + self.bumps.variances[i];
            self.filtered[i] = if i == 0 {
                [self.measured[0], spread]
            } else {
                let [mean, variance] = self.filtered[i - 1];
                let before = variance + self.steps.variances[i - 1] * self.gaps[i - 1];
                let gain = before / (before + spread);
                [mean + gain * (self.measured[i] - mean), gain * spread]
            };
        }
    }

    fn sample(&mut self, unsure: f64, random: &mut Rng) {
        let last = self.measured.len() - 1;
        for i in (0..=last).rev() {
            let [mut mean, mut variance] = self.filtered[i];
            if i < last {
                let gain = variance / (variance + self.steps.variances[i] * self.gaps[i]);
                mean += gain * (self.level[i + 1] - mean);
                variance *= 1.0 - gain;
            }
            self.level[i] = mean + variance.max(0.0).sqrt() * normal(random);
            let (error, own) = (self.error_variance(i, unsure), self.bumps.variances[i]);
            let gain = own / (own + error);
            let left = gain * (self.measured[i] - self.level[i]);
            self.bump[i] = left + (gain * error).sqrt() * normal(random);
            self.curve[i] = self.level[i] + self.bump[i];
        }
    }
}

impl Sizes {
    fn new(count: usize, usual: f64, freedom: f64) -> Self {
        Self { variances: vec![usual * usual; count], square: usual * usual, usual, freedom }
    }

    /// Draws each variance given the square of its quantity, then the scale given the variances; the scale's own
    /// prior is half-normal.
    fn draw(&mut self, random: &mut Rng, squared: impl Fn(usize) -> f64) {
        let mut inverses = 0.0;
        for (i, variance) in self.variances.iter_mut().enumerate() {
            let sum = self.freedom * self.square + squared(i);
            *variance = (sum / (2.0 * gamma(random, f64::midpoint(self.freedom, 1.0)))).max(SMALLEST);
            inverses += 1.0 / *variance;
        }
        let shape = (self.variances.len() as f64 * self.freedom + 1.0) / 2.0;
        let rate = (self.freedom * inverses + 1.0 / (self.usual * self.usual)) / 2.0;
        self.square = (gamma(random, shape) / rate).max(SMALLEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

    /// Mean and standard deviation of each level over 3000 draws.
    fn posterior(measured: &[f64], error: f64) -> Vec<[f64; 2]> {
        let noise = Noise { errors: vec![error; measured.len()], freedom: 100.0 };
        let mut random = Rng::with_seed(1);
        let mut walk = Walk::new(&N[..measured.len()], measured, &noise, &mut random);
        let mut sums = vec![[0.0; 2]; measured.len()];
        for _ in 0..3000 {
            for (sum, x) in sums.iter_mut().zip(walk.draw(&mut random)) {
                *sum = [sum[0] + x / 3000.0, sum[1] + x * x / 3000.0];
            }
        }
        sums.iter().map(|[mean, square]| [*mean, (square - mean * mean).max(0.0).sqrt()]).collect()
    }

    #[test]
    fn what_is_known_exactly_is_drawn_as_it_is() {
        let measured: Vec<f64> = N.iter().map(|n| n.min(11.0).ln()).collect();
        for (found, wanted) in posterior(&measured, 1e-9).iter().zip(&measured) {
            assert!((found[0] - wanted).abs() < 1e-6 && found[1] < 1e-6, "{found:?} for {wanted}");
        }
    }

    #[test]
    fn equals_with_noise_are_pulled_together_and_a_cliff_stays() {
        let measured = [0.02, -0.03, 0.03, -0.02, -0.7, -0.72, -0.66];
        let found = posterior(&measured, 0.03);
        assert!(found[2][0] - found[1][0] < 0.03, "half of the difference is noise: {found:?}");
        assert!((found[3][0] - found[4][0] - 0.68).abs() < 0.06, "{found:?}");
        assert!(found.iter().all(|[_, deviation]| *deviation < 0.03), "less than a lone error: {found:?}");
    }

    #[test]
    fn a_single_worker_count_has_no_neighbours() {
        let found = posterior(&[1.0], 0.01);
        assert!((found[0][0] - 1.0).abs() < 0.01 && (0.005..0.02).contains(&found[0][1]), "{found:?}");
    }
}
