//! Random numbers of the few distributions that fits and decisions draw from; each a stream of uniform ones, so that a seed fixes them.

use fastrand::Rng;

/// Standard normal (G. E. P. Box and M. E. Muller, Ann. Math. Statist. 29, 1958).
#[must_use]
pub fn normal(random: &mut Rng) -> f64 {
    let radius = (-2.0 * positive(random).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.f64()).cos()
}

/// Gamma with scale 1 (G. Marsaglia and W. W. Tsang, ACM Trans. Math. Softw. 26, 2000). `shape` is at least ½.
pub(crate) fn gamma(random: &mut Rng, shape: f64) -> f64 {
    // The sums of one and two exponentials, which are what is asked for most.
    if shape == 1.0 {
        return -positive(random).ln();
    }
    if shape == 2.0 {
        return -(positive(random) * positive(random)).ln();
    }
    if shape < 1.0 {
        return gamma(random, shape + 1.0) * positive(random).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    // Ends: at least 95 % of the tries are taken.
    loop {
        let x = normal(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && positive(random).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// Uniform between 0 and 1, but never 0, of which there is no logarithm.
fn positive(random: &mut Rng) -> f64 {
    random.f64().max(1e-300)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean and variance of 40,000 numbers.
    fn moments(mut draw: impl FnMut(&mut Rng) -> f64) -> [f64; 2] {
        let mut random = Rng::with_seed(5);
        let values: Vec<f64> = (0..40_000).map(|_| draw(&mut random)).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        [mean, values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / values.len() as f64]
    }

    #[test]
    fn the_moments_are_those_of_the_distributions() {
        let [mean, variance] = moments(normal);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        for shape in [0.5, 1.0, 2.0, 3.5, 40.0] {
            let [mean, variance] = moments(|random| gamma(random, shape));
            assert!((mean / shape - 1.0).abs() < 0.03, "mean {mean} of shape {shape}");
            assert!((variance / shape - 1.0).abs() < 0.06, "variance {variance} of shape {shape}");
        }
    }
}
