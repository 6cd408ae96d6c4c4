//! How well a fit is known: its parameters from data that the fitted law would give.
//!
//! A parameter on its bound has no normal distribution around it, and a linear interval would reach beyond the bound or
//! have no width at all. So the law is fitted again to data drawn from it with the noise that was found (a parametric
//! bootstrap: B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, section 6.5), and the interval
//! holds the middle 95 % of what comes out.

use fastrand::Rng;

use super::choose::{AS_R, Fit, bounds, inside};
use super::curve::Curve;
use super::law::{Kind, Law};
use super::solve::{Bounds, Error, Solution, solve_near};
use crate::random::normal;
use crate::stats::quantile;

/// Fits of drawn data: each end of an interval is then the fifth of them.
const DRAWS: usize = 200;
/// The same for tables of many worker counts, whose parameters are well known.
const DRAWS_OF_LARGE: usize = 60;
/// Worker counts from which on a table is large.
const LARGE: usize = 64;

/// 95 % intervals of a law's parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intervals {
    /// Of σ.
    pub sigma: [f64; 2],
    /// Of κ.
    pub kappa: [f64; 2],
    /// Of λ.
    pub lambda: [f64; 2],
    /// Of the worker count at the peak; infinite where there is none.
    pub peak_procs: [f64; 2],
}

/// The intervals of what [`fit`](super::fit) found; `None` if the points leave nothing to tell the noise from.
#[must_use]
pub fn intervals(points: &[(f64, &[f64])], ceiling: Option<f64>, fit: &Fit, seed: u64) -> Option<Intervals> {
    let curve = Curve::of_logs(points[..inside(points, ceiling)].iter().copied());
    // A cap of the law's own is held fixed: what lies beyond it counts for it.
    let curve = fit.law.ceiling.map_or(curve.clone(), |cap| curve.capped_at(cap));
    around(&curve, Error::Logarithm, bounds(fit.law.kind), fit, seed)
}

/// The intervals of what [`fit_usl_as_r`](super::fit_usl_as_r) found.
#[must_use]
pub fn intervals_as_r(points: &[(f64, &[f64])], fit: &Fit, seed: u64) -> Option<Intervals> {
    let curve = Curve::of_throughputs(points.iter().copied());
    around(&curve, Error::Throughput, AS_R, fit, seed)
}

fn around(curve: &Curve, error: Error, bounds: Bounds, fit: &Fit, seed: u64) -> Option<Intervals> {
    let law = Law { ceiling: None, ..fit.law };
    let fitted: Vec<f64> = curve
        .n
        .iter()
        .map(|&n| match error {
            Error::Logarithm => law.throughput(n).ln(),
            Error::Throughput => law.throughput(n) / curve.unit,
        })
        .collect();
    let variance = variance(curve, &fitted, law.kind)?;
    let known = Solution { sigma: law.sigma, kappa: law.kappa, lambda: law.lambda, squares: 0.0 };
    let mut random = Rng::with_seed(seed);
    let mut drawn = curve.clone();
    let mut found: [Vec<f64>; 4] = Default::default();
    for _ in 0..if curve.n.len() < LARGE { DRAWS } else { DRAWS_OF_LARGE } {
        for ((y, centre), weight) in drawn.y.iter_mut().zip(&fitted).zip(&curve.weight) {
            *y = centre + (variance / weight).sqrt() * normal(&mut random);
        }
        let Some(solution) = solve_near(&drawn, error, bounds, &known) else { continue };
        let Solution { sigma, kappa, lambda, .. } = solution;
        let peak = Law { sigma, kappa, lambda, ..law }.peak_procs().unwrap_or(f64::INFINITY);
        for (values, value) in found.iter_mut().zip([sigma, kappa, lambda, peak]) {
            values.push(value);
        }
    }
    let [sigma, kappa, lambda, peak_procs] = found.map(middle);
    Some(Intervals { sigma: sigma?, kappa: kappa?, lambda: lambda?, peak_procs: peak_procs? })
}

/// Variance of one sample: that of samples around their mean, or that of the means around the law if it is more. `None`
/// if neither is known.
fn variance(curve: &Curve, fitted: &[f64], kind: Kind) -> Option<f64> {
    let squares: f64 =
        curve.y.iter().zip(fitted).zip(&curve.weight).map(|((y, f), w)| w * (y - f).powi(2)).sum();
    let spare = curve.n.len().saturating_sub(kind.parameters());
    let of_misses = (spare > 0).then(|| squares / spare as f64);
    let of_samples = curve.variance();
    match (of_misses, of_samples) {
        (None, None) => None,
        (misses, samples) => Some(misses.unwrap_or(0.0).max(samples.unwrap_or(0.0))),
    }
}

/// The ends of the middle 95 %; `None` of nothing.
fn middle(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| [0.025, 0.975].map(|share| quantile(&values, share)))
}

#[cfg(test)]
mod tests {
    use super::super::choose::tests::{RAYTRACER, with};
    use super::super::choose::{fit, fit_usl_as_r};
    use super::*;

    /// Six samples each at 1, 2, 4 … 64 with 1 % noise.
    fn samples(sigma: f64, kappa: f64, random: &mut Rng) -> Vec<(f64, Vec<f64>)> {
        let law = Law { kind: Kind::Usl, sigma, kappa, lambda: 50.0, ceiling: None };
        let row = |i: i32| {
            let n = 2f64.powi(i);
            (n, (0..6).map(|_| law.throughput(n) * (0.01 * normal(random)).exp()).collect())
        };
        (0..7).map(row).collect()
    }

    fn borrowed(rows: &[(f64, Vec<f64>)]) -> Vec<(f64, &[f64])> {
        rows.iter().map(|(n, x)| (*n, x.as_slice())).collect()
    }

    #[test]
    fn the_truth_lies_within_about_as_often_as_said() {
        let mut random = Rng::with_seed(9);
        let (mut held, mut all) = (0, 0);
        for sweep in 0..100 {
            let rows = samples(0.05, 0.0005, &mut random);
            let points = borrowed(&rows);
            let fit = fit(&points, None).unwrap();
            if fit.law.kind != Kind::Usl || fit.law.ceiling.is_some() {
                continue;
            }
            let found = intervals(&points, None, &fit, sweep).unwrap();
            for (truth, [low, high]) in [(0.05, found.sigma), (0.0005, found.kappa), (50.0, found.lambda)] {
                held += u32::from((low..=high).contains(&truth));
                all += 1;
            }
        }
        let share = f64::from(held) / f64::from(all);
        assert!(all > 200 && (0.88..=0.99).contains(&share), "{share} of {all}");
    }

    #[test]
    fn a_parameter_on_its_bound_has_an_interval_that_ends_there() {
        let (fit, found) = with(&RAYTRACER, |points| {
            let fit = fit_usl_as_r(points).unwrap();
            (fit, intervals_as_r(points, &fit, 1).unwrap())
        });
        assert_eq!(fit.law.kappa, 0.0, "raytracer's is on the bound");
        assert!(found.kappa[0] == 0.0 && found.kappa[1] > 0.0, "{found:?}");
        assert!(found.peak_procs[1].is_infinite() && found.peak_procs[0].is_finite(), "{found:?}");
        assert!(found.sigma[0] < 0.05777 && found.sigma[1] > 0.05777, "{found:?}");
    }

    #[test]
    fn without_noise_there_is_no_width_and_without_spare_points_no_interval() {
        let law = Law { kind: Kind::Usl, sigma: 0.05, kappa: 0.001, lambda: 50.0, ceiling: None };
        let table: Vec<(f64, f64)> = (1..=8).map(|n| (f64::from(n), law.throughput(f64::from(n)))).collect();
        let points: Vec<(f64, &[f64])> = table.iter().map(|(n, x)| (*n, std::slice::from_ref(x))).collect();
        let found = intervals(&points, None, &fit(&points, None).unwrap(), 1).unwrap();
        assert!(found.sigma[1] - found.sigma[0] < 1e-6, "{found:?}");
        let three = &points[..3];
        assert_eq!(intervals_as_r(three, &fit_usl_as_r(three).unwrap(), 1), None);
    }
}
