//! The ratio of two runs' median throughputs, and how far chance may have moved it.

use crate::stats::{median, quantile};

/// Resamples; fewer of very many samples.
const RESAMPLES: usize = 2000;
/// Fewest of those.
const FEWEST_RESAMPLES: usize = 50;
/// Samples drawn in all, about: some tenths of a second.
const DRAWS: usize = 4_000_000;
/// Fewest samples of a run of which anything is said, as in a recommendation.
const ENOUGH: usize = 4;

/// A ratio and the 95 % interval of a bootstrap; none where a run has fewer than [`ENOUGH`] samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) value: f64,
    pub(super) interval: Option<[f64; 2]>,
}

/// Median of `new` over that of `base`; neither is empty, all are positive and finite.
///
/// The interval is the percentile interval of resamples of both runs (B. Efron and R. Tibshirani, *An Introduction to the
/// Bootstrap*, 1993, section 13.3), their deviations widened by √(n/(n − 1)), since a resample varies less than the
/// samples do. The same samples give the same interval.
pub(super) fn of(base: &[f64], new: &[f64]) -> Ratio {
    let [mut base, mut new] = [base, new].map(|run| run.iter().map(|x| x.ln()).collect::<Vec<f64>>());
    let [below, above] = [&mut base, &mut new].map(|run| median(run).expect("a run is not empty"));
    let is_enough = base.len().min(new.len()) >= ENOUGH;
    widen(&mut base, below);
    widen(&mut new, above);
    Ratio { value: (above - below).exp(), interval: is_enough.then(|| interval(&base, &new)) }
}

fn widen(run: &mut [f64], middle: f64) {
    let n = run.len() as f64;
    let factor = (n / (n - 1.0).max(1.0)).sqrt();
    run.iter_mut().for_each(|x| *x = middle + (*x - middle) * factor);
}

fn interval(base: &[f64], new: &[f64]) -> [f64; 2] {
    let resamples = (DRAWS / (base.len() + new.len())).clamp(FEWEST_RESAMPLES, RESAMPLES);
    let mut random = fastrand::Rng::with_seed(1);
    let mut drawn = Vec::with_capacity(base.len().max(new.len()));
    let mut middle = |run: &[f64]| {
        drawn.clear();
        drawn.extend((0..run.len()).map(|_| run[random.usize(..run.len())]));
        median(&mut drawn).expect("a run is not empty")
    };
    let mut ratios: Vec<f64> = (0..resamples).map(|_| middle(new) - middle(base)).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    [0.025, 0.975].map(|share| quantile(&ratios, share).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_the_medians() {
        assert!((of(&[1.0, 2.0, 9.0], &[4.0, 1.0, 5.0]).value - 2.0).abs() < 1e-12);
        assert_eq!(of(&[1.0, 2.0, 9.0], &[4.0, 1.0, 5.0]).interval, None);
    }

    #[test]
    fn the_interval_holds_the_ratio_and_narrows_with_samples() {
        let run = |samples: u32, level: f64| -> Vec<f64> {
            (0..samples).map(|i| level * (1.0 + 0.01 * f64::from(i % 7))).collect()
        };
        let width = |samples| {
            let ratio = of(&run(samples, 100.0), &run(samples, 90.0));
            let [lo, hi] = ratio.interval.unwrap();
            assert!(lo <= ratio.value && ratio.value <= hi && (ratio.value - 0.9).abs() < 1e-9, "{ratio:?}");
            hi - lo
        };
        assert!(width(70) < width(7) / 2.0);
        assert!(width(100_000) < width(70));
    }

    #[test]
    fn runs_without_noise_have_a_sharp_ratio() {
        let ratio = of(&[10.0; 6], &[5.0; 6]);
        let [lo, hi] = ratio.interval.unwrap();
        assert!([ratio.value, lo, hi].iter().all(|x| (x - 0.5).abs() < 1e-12), "{ratio:?}");
    }

    #[test]
    fn about_95_percent_of_the_intervals_hold_the_true_ratio() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut noise = || (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
        let mut run = || (0..8).map(|_| (0.03 * noise()).exp()).collect::<Vec<f64>>();
        let held = (0..400).filter(|_| {
            let [lo, hi] = of(&run(), &run()).interval.unwrap();
            lo <= 1.0 && 1.0 <= hi
        });
        let held = held.count();
        assert!((368..=396).contains(&held), "{held} of 400");
    }
}
