//! The rank-sum test of Mann and Whitney: whether samples of two runs differ by more than chance, whatever their
//! distribution (H. B. Mann and D. R. Whitney, *On a test of whether one of two random variables is stochastically larger
//! than the other*, Annals of Mathematical Statistics 18, 1947).
//!
//! For few samples the distribution of the statistic is counted out, ties included: every way to share out the ranks that
//! were seen is equally likely if the runs are alike. For many it is normal, its variance corrected for ties, with a
//! correction for continuity (M. Hollander and D. A. Wolfe, *Nonparametric Statistical Methods*, 1973, section 4.1).

/// Samples of both runs together up to which the distribution is counted out: 25 and 25 take 3 million additions.
const MOST_EXACT: usize = 50;

/// Whether two runs differ: Mann and Whitney's U of the second, and its two-sided p.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RankSum {
    /// Pairs in which the second run's sample is the larger, equal ones counting half.
    pub(super) u: f64,
    /// Probability of a U at least as far from its expectation if the runs are alike.
    pub(super) p: f64,
}

/// Tests `new` against `base`; neither is empty.
pub(super) fn test(base: &[f64], new: &[f64]) -> RankSum {
    let (ranks, tied) = doubled_ranks(base, new);
    let doubled: u64 = ranks[base.len()..].iter().sum();
    let n = new.len() as f64;
    let u = doubled as f64 / 2.0 - n * (n + 1.0) / 2.0;
    let p = if ranks.len() <= MOST_EXACT {
        exact(&ranks, new.len(), doubled)
    } else {
        normal(u, base.len() as f64, n, tied)
    };
    RankSum { u, p }
}

/// The smallest p that runs of so many samples can give: the one of runs that do not overlap.
pub(super) fn least_p(base: usize, new: usize) -> f64 {
    let few = base.min(new);
    let ways = (0..few).fold(1.0f64, |ways, i| ways * (base + new - i) as f64 / (i + 1) as f64);
    (2.0 / ways).min(1.0)
}

/// The fewest samples, as many in both runs, that can give a p below `alpha`.
pub(super) fn enough(alpha: f64) -> usize {
    let mut samples = 1;
    // Ends: the p halves at least with every sample more, and alpha is above the smallest positive number.
    while least_p(samples, samples) >= alpha && samples < MOST_EXACT {
        samples += 1;
    }
    samples
}

/// Twice the rank of each sample among all, first those of `base`; equal ones share their mean rank, so that twice it is
/// whole. And Σ(t³ − t) over the groups of t equal samples.
fn doubled_ranks(base: &[f64], new: &[f64]) -> (Vec<u64>, f64) {
    let value = |index: usize| if index < base.len() { base[index] } else { new[index - base.len()] };
    let mut order: Vec<usize> = (0..base.len() + new.len()).collect();
    order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
    let mut ranks = vec![0; order.len()];
    let (mut below, mut tied) = (0u64, 0.0);
    for equal in order.chunk_by(|&a, &b| value(a) == value(b)) {
        let count = equal.len() as u64;
        equal.iter().for_each(|&index| ranks[index] = 2 * below + count + 1);
        below += count;
        tied += (count as f64).powi(3) - count as f64;
    }
    (ranks, tied)
}

/// Share of the ways to draw `drawn` of the ranks whose sum is at least as far from its expectation as `seen`.
fn exact(ranks: &[u64], drawn: usize, seen: u64) -> f64 {
    let most = usize::try_from(ranks.iter().sum::<u64>()).unwrap_or(usize::MAX);
    let width = most + 1;
    // ways[k][s]: how many sets of k of the ranks so far have the sum s. Below 2^50 each, so exact in a float.
    let mut ways = vec![0.0f64; (drawn + 1) * width];
    ways[0] = 1.0;
    for (used, &rank) in ranks.iter().enumerate() {
        let rank = usize::try_from(rank).unwrap_or(usize::MAX);
        for k in (1..=drawn.min(used + 1)).rev() {
            let (fewer, these) = ways[(k - 1) * width..(k + 1) * width].split_at_mut(width);
            for sum in rank..width {
                these[sum] += fewer[sum - rank];
            }
        }
    }
    let all = &ways[drawn * width..];
    // The expectation is drawn/all of the whole; both sides times `ranks.len()`, so that all is whole numbers.
    let distance = |sum: u64| (sum as f64 * ranks.len() as f64 - drawn as f64 * most as f64).abs();
    let far = distance(seen);
    let outside: f64 =
        all.iter().enumerate().filter(|(sum, _)| distance(*sum as u64) >= far).map(|(_, ways)| ways).sum();
    (outside / all.iter().sum::<f64>()).min(1.0)
}

fn normal(u: f64, base: f64, new: f64, tied: f64) -> f64 {
    let all = base + new;
    let variance = base * new / 12.0 * (all + 1.0 - tied / (all * (all - 1.0)));
    if variance <= 0.0 {
        return 1.0;
    }
    let distance = ((u - base * new / 2.0).abs() - 0.5).max(0.0);
    complementary_error(distance / (2.0 * variance).sqrt()).min(1.0)
}

/// erfc(x) for x ≥ 0 with a relative error below 1.2e-7 (W. H. Press et al., *Numerical Recipes in C*, second edition,
/// 1992, section 6.2, `erfcc`).
fn complementary_error(x: f64) -> f64 {
    const COEFFICIENTS: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let t = 1.0 / (1.0 + 0.5 * x);
    let polynomial = COEFFICIENTS.iter().rev().fold(0.0, |sum, coefficient| sum * t + coefficient);
    t * (polynomial - x * x).exp()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(base: &[f64], new: &[f64], u: f64, p: f64, digits: f64) {
        let found = test(base, new);
        assert_eq!(found.u, u, "{found:?}");
        assert!((found.p / p - 1.0).abs() < digits, "{found:?}");
    }

    #[test]
    fn the_published_probabilities_of_mann_and_whitney_come_out() {
        // Table I of Mann and Whitney (1947): P(U ≤ u) for runs of 3 and 3, 4 and 4, 5 and 4 samples; ours is two-sided.
        for (n, m, table) in [
            (3, 3, &[0.050, 0.100, 0.200, 0.350, 0.500][..]),
            (4, 4, &[0.014, 0.029, 0.057, 0.100, 0.171, 0.243, 0.343, 0.443]),
            (4, 5, &[0.008, 0.016, 0.032, 0.056, 0.095, 0.143, 0.206, 0.278, 0.365, 0.452]),
        ] {
            for (u, one_sided) in table.iter().enumerate() {
                // `new` lies above exactly `u` pairs: start below all, then move one sample up over u others.
                let base: Vec<f64> = (0..m).map(|i| 10.0 * f64::from(i)).collect();
                let mut left = u as i32;
                let new: Vec<f64> = (0..n)
                    .map(|i| {
                        let over = left.min(m);
                        left -= over;
                        10.0 * f64::from(over) - 5.0 + f64::from(i) / 100.0
                    })
                    .collect();
                let found = test(&base, &new);
                assert_eq!(found.u, u as f64);
                assert!((found.p / 2.0 - one_sided).abs() < 0.000_51, "{n} and {m}, U = {u}: {found:?}");
            }
        }
    }

    #[test]
    fn the_example_of_hollander_and_wolfe_comes_out() {
        // Permeability of the human chorioamnion (1973, page 69), the example of R's `wilcox.test`: W = 35, one-sided p
        // 0.1272.
        let at_term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let early = [1.15, 0.88, 0.90, 0.74, 1.21];
        check(&early, &at_term, 35.0, 2.0 * 0.1272, 1e-3);
    }

    #[test]
    fn ozone_in_may_and_august_differ_as_r_says() {
        // R's `wilcox.test(Ozone ~ Month, airquality, subset = Month %in% c(5, 8))`: W = 127.5, p = 0.0001208; with ties,
        // so normal.
        let may = [
            41, 36, 12, 18, 28, 23, 19, 8, 7, 16, 11, 14, 18, 14, 34, 6, 30, 11, 1, 11, 4, 32, 23, 45, 115,
            37,
        ];
        let august = [
            39, 9, 16, 78, 35, 66, 122, 89, 110, 44, 28, 65, 22, 59, 23, 31, 44, 21, 9, 45, 168, 73, 76, 118,
            84, 85,
        ];
        let [may, august] = [may, august].map(|days| days.map(f64::from));
        check(&august, &may, 127.5, 0.000_120_8, 1e-3);
        check(&may, &august, 676.0 - 127.5, 0.000_120_8, 1e-3);
    }

    #[test]
    fn so_few_samples_cannot_tell_anything() {
        assert_eq!((least_p(3, 3), least_p(4, 4)), (2.0 / 20.0, 2.0 / 70.0));
        assert_eq!((least_p(1, 1), least_p(2, 8)), (1.0, 2.0 / 45.0));
        assert_eq!((enough(0.05), enough(0.01), enough(0.001)), (4, 5, 7));
        assert_eq!(test(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).p, least_p(3, 3));
    }

    #[test]
    fn equal_samples_do_not_differ() {
        assert_eq!(test(&[1.0; 4], &[1.0; 6]).p, 1.0);
        assert_eq!(test(&[1.0; 400], &[1.0; 600]).p, 1.0);
    }

    /// Every way to share out the samples, one by one.
    fn brute(base: &[f64], new: &[f64]) -> f64 {
        let all: Vec<f64> = base.iter().chain(new).copied().collect();
        let u = |is_new: &dyn Fn(usize) -> bool| -> f64 {
            let pairs = (0..all.len()).filter(|i| is_new(*i)).flat_map(|i| {
                (0..all.len()).filter(|j| !is_new(*j)).map(move |j| (i, j)).collect::<Vec<_>>()
            });
            pairs
                .map(|(i, j)| {
                    if all[i] > all[j] {
                        1.0
                    } else if all[i] == all[j] {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum()
        };
        let middle = (base.len() * new.len()) as f64 / 2.0;
        let seen = (u(&|i| i >= base.len()) - middle).abs();
        let sets = (0u32..1 << all.len()).filter(|set| set.count_ones() as usize == new.len());
        let far: Vec<bool> = sets.map(|set| (u(&|i| set & (1 << i) != 0) - middle).abs() >= seen).collect();
        far.iter().filter(|far| **far).count() as f64 / far.len() as f64
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn ties_are_counted_out_too(
            base in prop::collection::vec(0u8..5, 1..5), new in prop::collection::vec(0u8..5, 1..5),
        ) {
            let [base, new] = [base, new].map(|run| run.into_iter().map(f64::from).collect::<Vec<_>>());
            let (found, expected) = (test(&base, &new).p, brute(&base, &new));
            prop_assert!((found - expected).abs() < 1e-12, "{found} for {expected}");
        }

        #[test]
        fn the_normal_continues_the_exact(
            base in prop::collection::vec(0.0..1.0f64, 25), new in prop::collection::vec(0.1..1.1f64, 25),
        ) {
            let found = test(&base, &new);
            let normal = normal(found.u, 25.0, 25.0, 0.0);
            prop_assert!((found.p - normal).abs() < 0.01, "{found:?} and {normal}");
        }

        #[test]
        fn the_order_of_the_runs_does_not_matter(
            base in prop::collection::vec(0.0..1.0f64, 1..40), new in prop::collection::vec(0.0..1.0f64, 1..40),
        ) {
            let [forth, back] = [test(&base, &new), test(&new, &base)];
            prop_assert!((forth.p - back.p).abs() < 1e-9 && forth.p > 0.0 && forth.p <= 1.0);
        }
    }
}
