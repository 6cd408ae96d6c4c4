//! Medians, means and quantiles, and what is known about them.

/// Below so many samples the median has no 95 % interval: 2·(1/2)⁵ > 5 %.
pub(crate) const INTERVAL_SAMPLES: usize = 6;
/// Above so many samples the binomial is taken for normal: half the weights below 2⁻¹⁰⁰⁰ no longer are floating-point numbers.
const EXACT_SAMPLES: usize = 1000;

/// Share of the values cut off at each end of [`center`]. Wilcox, *Introduction to Robust Estimation*, 2012, section 3.3.
const TRIM: f64 = 0.2;

/// Mean of the middle three fifths, at least one value cut from each end where three are given: one disturbed sample of
/// six does not move it far, and it loses less than the median does (in simulated sweeps with 3 % noise it finds the
/// right N as often as the mean, and its bootstrap is less sure of a wrong one). −∞ of nothing; reorders the values.
pub(crate) fn center(values: &mut [f64]) -> f64 {
    let n = values.len();
    if n < 3 {
        return if n == 0 { f64::NEG_INFINITY } else { values.iter().sum::<f64>() / n as f64 };
    }
    let cut = trimmed_each_end(n);
    // Sorted, not merely partitioned: the order of a sum is part of its last bits.
    values.sort_unstable_by(f64::total_cmp);
    let middle = &values[cut..n - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// How many of `samples` values [`center`] cuts off at each end.
pub(crate) fn trimmed_each_end(samples: usize) -> usize {
    if samples < 3 { 0 } else { ((samples as f64 * TRIM) as usize).max(1) }
}

/// Median; reorders the values. `None` if there is none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let is_even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !is_even {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(lower + (upper - lower) / 2.0)
}

/// The exact 95 % interval of the median from order statistics (H. A. David and H. N. Nagaraja, *Order Statistics*, 2003,
/// section 7.1): the narrowest pair of ranks, equal from both ends, that holds it with at least 95 %. `sorted` is
/// ascending; `None` below [`INTERVAL_SAMPLES`].
pub(crate) fn median_interval(sorted: &[f64]) -> Option<[f64; 2]> {
    let rank = lower_rank(sorted.len())?;
    Some([sorted[rank], sorted[sorted.len() - 1 - rank]])
}

/// Index of the lower end among `samples` sorted values: the largest one with P(Binomial(n, ½) ≤ index) ≤ 2.5 %.
pub(crate) fn lower_rank(samples: usize) -> Option<usize> {
    if samples < INTERVAL_SAMPLES {
        return None;
    }
    let n = samples as f64;
    if samples > EXACT_SAMPLES {
        return Some(((n - 1.0) / 2.0 - 1.96 * n.sqrt() / 2.0).floor() as usize);
    }
    let mut weight = 0.5f64.powi(i32::try_from(samples).ok()?);
    let mut below = 0.0;
    for index in 0..samples {
        below += weight;
        if below > 0.025 {
            return index.checked_sub(1);
        }
        weight *= (n - index as f64) / (index as f64 + 1.0);
    }
    None
}

/// Standard deviation over mean; 0 for a single value.
pub(crate) fn coefficient_of_variation(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let largest = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mean = values.iter().map(|x| x / largest).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x / largest - mean).powi(2)).sum();
    (squares / (n - 1.0).max(1.0)).sqrt() / mean
}

/// Quantile of values that ascend, by the nearest rank; there is one at least.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Mean, and half the width of its 95 % t-interval: infinite below two values.
pub(crate) fn mean_and_half_width(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    if values.len() < 2 {
        return (mean, f64::INFINITY);
    }
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, student_t(values.len() - 1) * (variance / n).sqrt())
}

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_964;

/// Two-sided 95 % quantile of Student's t distribution with 1 to 30 degrees of freedom (any statistics text-book).
const STUDENT_T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Two-sided 95 % quantile of Student's t with a whole number of degrees of freedom.
fn student_t(degrees: usize) -> f64 {
    STUDENT_T.get(degrees.saturating_sub(1)).copied().unwrap_or_else(|| two_terms(degrees as f64))
}

/// The same between whole numbers, by three terms of the expansion (within 1 % from 3 degrees of freedom on); `None`
/// below.
pub(crate) fn student_t_between(freedom: f64) -> Option<f64> {
    let third = (3.0 * Z.powi(7) + 19.0 * Z.powi(5) + 17.0 * Z.powi(3) - 15.0 * Z) / 384.0;
    (freedom >= 3.0).then(|| two_terms(freedom) + third / freedom.powi(3))
}

/// Student's t by its expansion around the normal quantile (Abramowitz and Stegun, equation 26.7.5), two terms.
fn two_terms(freedom: f64) -> f64 {
    let first = (Z.powi(3) + Z) / 4.0;
    let second = (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0;
    Z + first / freedom + second / (freedom * freedom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median(&mut [4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [f64::MAX, f64::MAX]), Some(f64::MAX));
    }

    #[test]
    fn the_center_is_a_mean_that_one_wild_value_does_not_move() {
        assert_eq!(center(&mut [1.0, 3.0]), 2.0);
        assert_eq!(center(&mut [100.0, 2.0, 1.0]), 2.0);
        assert_eq!(center(&mut [1.0, 2.0, 3.0, 4.0, 5.0, -1e9]), 2.5);
        assert_eq!(center(&mut []), f64::NEG_INFINITY);
    }

    #[test]
    fn the_interval_has_the_published_ranks() {
        // Ranks (from 1) of the 95 % interval of the median, as in the usual tables of the sign test.
        for (samples, rank) in
            [(6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (20, 6), (30, 10), (50, 18), (100, 40)]
        {
            assert_eq!(lower_rank(samples), Some(rank - 1), "{samples} samples");
        }
        assert_eq!(lower_rank(5), None);
    }

    #[test]
    fn the_normal_ranks_continue_the_exact_ones() {
        let exact = lower_rank(EXACT_SAMPLES).unwrap();
        let normal = lower_rank(EXACT_SAMPLES + 1).unwrap();
        assert!(normal.abs_diff(exact) <= 1, "{exact} and {normal}");
    }

    #[test]
    fn equal_values_do_not_vary() {
        assert_eq!(coefficient_of_variation(&[3.0]), 0.0);
        assert_eq!(coefficient_of_variation(&[3.0, 3.0]), 0.0);
        assert!((coefficient_of_variation(&[1.0, 3.0]) - 0.5f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn the_quantile_of_t_falls_towards_that_of_the_normal() {
        let quantiles: Vec<f64> = (1..500).map(student_t).collect();
        assert!(quantiles.is_sorted_by(|a, b| a > b), "{quantiles:?}");
        assert!((student_t(60) - 2.000).abs() < 0.001 && (student_t(120) - 1.980).abs() < 0.001);
        assert!(quantiles.iter().all(|t| *t > 1.959));
    }

    #[test]
    fn the_expansion_of_t_is_that_of_the_tables() {
        for (freedom, wanted) in [(3.0, 3.182), (4.0, 2.776), (10.0, 2.228), (60.0, 2.0)] {
            let found = student_t_between(freedom).unwrap();
            assert!((found / wanted - 1.0).abs() < 0.012, "{found} for {wanted}");
        }
        assert_eq!(student_t_between(2.9), None);
    }
}
