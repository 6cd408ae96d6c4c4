//! Which law the data support: the corrected information criterion of Akaike decides.
//!
//! AICc = n·ln(S/n) + 2k + 2k(k + 1)/(n − k − 1), with n samples, S their squares around the law in log X, and k its
//! parameters and the variance (C. M. Hurvich and C.-L. Tsai, Biometrika 76, 1989). Where it is undefined
//! (n ≤ k + 1) the law is not a candidate.

use super::curve::Curve;
use super::law::{Kind, Law};
use super::solve::{Bounds, Error, Solution, solve, solve_near};

/// A law with how well it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The law, with its ceiling.
    pub law: Law,
    /// Share of the samples' variance that it explains (of log X, or of X for [`fit_usl_as_r`]), at most 1, negative
    /// if a constant explains more; `None` if there is no variance.
    pub r2: Option<f64>,
}

/// A law is confirmed by the first N beyond the ceiling if it predicts the throughput there within this share. Guess.
const CAP_AGREES: f64 = 0.2;
/// A law that misses some worker count by more than this share is no candidate where another one does not: no noise is
/// so large, but the criterion cannot know that when there is one sample a worker count. Guess.
const MISSES: f64 = 0.2;
/// Worst miss of a law that explains no more than a constant does, above which it is no law at all: throughput that
/// falls at once, for one. Guess.
const NO_LAW: f64 = 0.05;
/// Log units; a spread below it is rounding of the input, so it tells no laws apart.
const RESOLUTION: f64 = 1e-9;
/// All laws, the simplest first.
const KINDS: [Kind; 3] = [Kind::Linear, Kind::Amdahl, Kind::Usl];
/// Positions tried between two neighbouring worker counts for a cap that nobody knows.
const CAPS_A_GAP: usize = 4;
/// Neighbouring worker counts between which a cap is looked for, at most; more are thinned out.
const GAPS: usize = 32;
/// The same for the USL, of which a fit takes ten times as long.
const GAPS_OF_USL: usize = 16;

/// A law that was fitted, whether it was taken or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tried {
    /// The law and how well it fits.
    pub fit: Fit,
    /// AICc; the least of those that are plausible wins.
    pub criterion: f64,
    /// Largest miss of a worker count's mean, as a share of the throughput.
    pub miss: f64,
    /// Why it is no candidate, if it is none.
    pub verdict: Verdict,
}

/// What became of a law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has the least AICc.
    Chosen,
    /// Another one has less.
    Beaten,
    /// It misses some worker count by too much, and another law does not.
    Misses,
    /// The best of all, but it explains no more than a constant does.
    SaysNothing,
}

/// The law that AICc chooses, fitted on log X of the samples with N ≤ `ceiling`; beyond it throughput is constant.
/// A lower cap is taken where the data show one: then two worker counts at least lie beyond it.
///
/// `points` has one entry a worker count, ascending: the count, and its throughputs, all positive and not empty.
/// `None` if there are too few worker counts (a law needs one more than it has parameters; the first one beyond the
/// ceiling counts if the law predicts it) or no law says more than a constant.
#[must_use]
pub fn fit(points: &[(f64, &[f64])], ceiling: Option<f64>) -> Option<Fit> {
    let tried = tried(points, ceiling);
    tried.iter().find(|tried| tried.verdict == Verdict::Chosen).map(|tried| tried.fit)
}

/// Every law that [`fit`] chooses among, the simplest first.
#[must_use]
pub fn tried(points: &[(f64, &[f64])], ceiling: Option<f64>) -> Vec<Tried> {
    let curve = Curve::of_logs(points[..inside(points, ceiling)].iter().copied());
    let candidates = candidates(points, &curve, ceiling);
    let misses: Vec<f64> = candidates.iter().map(|candidate| miss(&curve, &candidate.law())).collect();
    let is_far = |index: usize| misses[index] > MISSES.ln_1p();
    let is_one_close = (0..misses.len()).any(|index| !is_far(index));
    let plausible = |index: &usize| !is_one_close || !is_far(*index);
    // The first of equals is the simplest one.
    let best = (0..candidates.len())
        .filter(plausible)
        .min_by(|&a, &b| candidates[a].criterion.total_cmp(&candidates[b].criterion));
    let tried = candidates.iter().enumerate().map(|(index, candidate)| {
        let fit = candidate.fit(&curve);
        let says_nothing = fit.r2.is_none_or(|r2| r2 < 1e-6) && misses[index] > NO_LAW.ln_1p();
        let verdict = match best {
            Some(best) if best == index && says_nothing => Verdict::SaysNothing,
            Some(best) if best == index => Verdict::Chosen,
            _ if plausible(&index) => Verdict::Beaten,
            _ => Verdict::Misses,
        };
        Tried { fit, criterion: candidate.criterion, miss: misses[index].exp_m1(), verdict }
    });
    tried.collect()
}

/// How many of `points` lie below the ceiling.
pub(super) fn inside(points: &[(f64, &[f64])], ceiling: Option<f64>) -> usize {
    let limit = ceiling.unwrap_or(f64::INFINITY) * (1.0 + 1e-9);
    points.partition_point(|(n, _)| *n <= limit)
}

/// The laws that so many worker counts can show, without a cap of their own and with one.
fn candidates(points: &[(f64, &[f64])], curve: &Curve, ceiling: Option<f64>) -> Vec<Candidate> {
    let inside = inside(points, ceiling);
    let mut candidates = Vec::new();
    for kind in KINDS {
        let counts = |candidate: &Candidate| {
            let is_confirmed = points.get(inside).is_some_and(|beyond| candidate.predicts(*beyond));
            inside + usize::from(is_confirmed) > kind.parameters()
        };
        candidates.extend(candidate(curve, kind, ceiling).filter(counts));
    }
    for kind in KINDS.into_iter().filter(|kind| inside > kind.parameters() + 1) {
        candidates.extend(capped(curve, kind));
    }
    candidates
}

/// The Universal Scalability Law as R's package `usl` fits it: unweighted least squares of X on N over all samples, λ
/// free, no ceiling, σ and κ in 0..=1. `None` below three worker counts, which cannot fix three parameters.
#[must_use]
pub fn fit_usl_as_r(points: &[(f64, &[f64])]) -> Option<Fit> {
    if points.len() < Kind::Usl.parameters() {
        return None;
    }
    let curve = Curve::of_throughputs(points.iter().copied());
    let solution = solve(&curve, Error::Throughput, AS_R)?;
    Some(Candidate { kind: Kind::Usl, solution, ceiling: None, criterion: 0.0 }.fit(&curve))
}

/// The bounds of R's `usl`.
pub(super) const AS_R: Bounds = Bounds { sigma: 1.0, kappa: 1.0 };

struct Candidate {
    kind: Kind,
    solution: Solution,
    ceiling: Option<f64>,
    /// AICc; the least wins.
    criterion: f64,
}

impl Candidate {
    /// Whether the mean log throughput of `point` is within [`CAP_AGREES`] of what the law says.
    fn predicts(&self, point: (f64, &[f64])) -> bool {
        let curve = Curve::of_logs([point]);
        (curve.y[0] - self.law().throughput(point.0).ln()).abs() <= CAP_AGREES.ln_1p()
    }

    fn law(&self) -> Law {
        let Solution { sigma, kappa, lambda, .. } = self.solution;
        Law { kind: self.kind, sigma, kappa, lambda, ceiling: self.ceiling }
    }

    fn fit(&self, curve: &Curve) -> Fit {
        let total = curve.total_square();
        let r2 = 1.0 - (self.solution.squares + curve.pure_error) / total;
        Fit { law: self.law(), r2: (total > RESOLUTION * RESOLUTION && r2.is_finite()).then_some(r2) }
    }
}

/// `kind` without a cap of its own; `None` where AICc is undefined.
fn candidate(curve: &Curve, kind: Kind, ceiling: Option<f64>) -> Option<Candidate> {
    let solution = solve(curve, Error::Logarithm, bounds(kind))?;
    let criterion = criterion(curve, solution.squares, kind.parameters())?;
    Some(Candidate { kind, solution, ceiling, criterion })
}

/// `kind` up to a cap that is fitted too; `None` where AICc is undefined or no place is left for a cap.
fn capped(curve: &Curve, kind: Kind) -> Option<Candidate> {
    let uncapped = solve(curve, Error::Logarithm, bounds(kind))?;
    let squares = |cap: f64| {
        let curve = curve.capped_at(cap);
        let near = solve_near(&curve, Error::Logarithm, bounds(kind), &uncapped);
        near.map_or(f64::INFINITY, |solution| solution.squares)
    };
    // Two worker counts must lie beyond the cap, so the last gap is the third from the end.
    let gaps = curve.n.len().checked_sub(2)?;
    let [most_gaps, caps_a_gap] = if kind == Kind::Usl { [GAPS_OF_USL, 2] } else { [GAPS, CAPS_A_GAP] };
    let stride = gaps.div_ceil(most_gaps).max(1);
    let knots: Vec<f64> = (0..gaps).step_by(stride).map(|i| curve.n[i]).collect();
    let mut caps: Vec<f64> = Vec::new();
    for pair in knots.windows(2) {
        let ratio = (pair[1] / pair[0]).ln();
        caps.extend((0..caps_a_gap).map(|i| pair[0] * (ratio * i as f64 / caps_a_gap as f64).exp()));
    }
    caps.extend(knots.last());
    let first = (0..caps.len()).min_by(|&a, &b| squares(caps[a]).total_cmp(&squares(caps[b])))?;
    let around = [caps[first.saturating_sub(1)], caps[(first + 1).min(caps.len() - 1)]];
    let refined = lowest(squares, around);
    let cap = if squares(refined) < squares(caps[first]) { refined } else { caps[first] };
    let solution = solve(&curve.capped_at(cap), Error::Logarithm, bounds(kind))?;
    let criterion = criterion(curve, solution.squares, kind.parameters() + 1)?;
    Some(Candidate { kind, solution, ceiling: Some(cap), criterion })
}

/// Golden-section search for the lowest value between `ends`, to a millionth of their distance.
fn lowest(value: impl Fn(f64) -> f64, ends: [f64; 2]) -> f64 {
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let [mut low, mut high] = ends;
    for _ in 0..29 {
        let [left, right] = [high - golden * (high - low), low + golden * (high - low)];
        if value(left) <= value(right) {
            high = right;
        } else {
            low = left;
        }
    }
    low + (high - low) / 2.0
}

pub(super) fn bounds(kind: Kind) -> Bounds {
    match kind {
        Kind::Linear => Bounds { sigma: 0.0, kappa: 0.0 },
        Kind::Amdahl => Bounds { sigma: 1.0, kappa: 0.0 },
        Kind::Usl => Bounds { sigma: 1.0, kappa: f64::INFINITY },
    }
}

/// AICc of a law with `parameters` and `squares` around the curve's means; `None` where it is undefined.
fn criterion(curve: &Curve, squares: f64, parameters: usize) -> Option<f64> {
    let n = curve.samples();
    let k = parameters as f64 + 1.0;
    let variance = ((squares + curve.pure_error) / n).max(RESOLUTION * RESOLUTION);
    (n > k + 1.0).then(|| n * variance.ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0))
}

/// Largest distance, in log units, of a worker count's mean from the law.
fn miss(curve: &Curve, law: &Law) -> f64 {
    curve.n.iter().zip(&curve.y).map(|(&n, y)| (y - law.throughput(n).ln()).abs()).fold(0.0, f64::max)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPECSDM91: [(f64, f64); 7] = [
        (1.0, 64.9),
        (18.0, 995.9),
        (36.0, 1652.4),
        (72.0, 1853.2),
        (108.0, 1828.9),
        (144.0, 1775.0),
        (216.0, 1702.2),
    ];
    pub(in super::super) const RAYTRACER: [(f64, f64); 11] = [
        (1.0, 20.0),
        (4.0, 78.0),
        (8.0, 130.0),
        (12.0, 170.0),
        (16.0, 190.0),
        (20.0, 200.0),
        (24.0, 210.0),
        (28.0, 230.0),
        (32.0, 260.0),
        (48.0, 280.0),
        (64.0, 310.0),
    ];
    const SYNTHETIC: [(f64, f64); 6] =
        [(1.0, 1.0), (2.0, 1.8868), (4.0, 3.0769), (6.0, 3.5294), (8.0, 3.5398), (10.0, 3.3557)];

    /// One sample a worker count.
    pub(in super::super) fn with<T>(table: &[(f64, f64)], then: impl FnOnce(&[(f64, &[f64])]) -> T) -> T {
        let points: Vec<(f64, &[f64])> = table.iter().map(|(n, x)| (*n, std::slice::from_ref(x))).collect();
        then(&points)
    }

    #[track_caller]
    fn check(found: f64, wanted: f64, digits: i32) {
        let tolerance = 0.5 * 10f64.powi(1 - digits) * wanted.abs().max(1e-9);
        assert!((found - wanted).abs() <= tolerance, "found {found}, wanted {wanted} to {digits} digits");
    }

    // The published tables and the coefficients that R's `usl` prints for them (its vignette and tests).
    #[test]
    fn the_fit_is_that_of_r_on_the_published_tables() {
        let spec = with(&SPECSDM91, fit_usl_as_r).unwrap().law;
        check(spec.sigma, 0.0277285, 4);
        check(spec.kappa, 0.0001044, 4);
        check(spec.lambda, 89.9952, 6);
        check(spec.peak_procs().unwrap(), 96.5196, 6);
        let ray = with(&RAYTRACER, fit_usl_as_r).unwrap().law;
        check(ray.sigma, 0.05777, 4);
        assert_eq!(ray.kappa, 0.0, "on its bound");
        check(ray.lambda, 21.84884, 6);
        assert_eq!(ray.peak_procs(), None);
        let synthetic = with(&SYNTHETIC, fit_usl_as_r).unwrap().law;
        check(synthetic.sigma, 0.02, 3);
        check(synthetic.kappa, 0.02, 3);
        check(synthetic.lambda, 1.0, 3);
        check(synthetic.peak_procs().unwrap(), 7.0, 3);
    }

    #[test]
    fn too_few_worker_counts_give_the_next_simpler_law_or_none() {
        assert_eq!(with(&[(1.0, 5.0)], |p| fit(p, None)), None);
        let samples = [[100.0, 101.0, 99.0, 100.0], [154.0, 153.0, 155.0, 154.0]];
        let points = [(1.0, samples[0].as_slice()), (2.0, samples[1].as_slice())];
        assert_eq!(fit(&points, None).unwrap().law.kind, Kind::Linear);
        assert_eq!(fit_usl_as_r(&points), None);
    }

    #[test]
    fn a_constant_throughput_follows_no_law() {
        let samples = [5.0; 6];
        assert_eq!(fit(&[(1.0, &samples), (2.0, &samples)], None), None);
    }

    #[test]
    fn a_worker_count_beyond_the_ceiling_that_confirms_it_stands_for_one_more() {
        let samples =
            [[100.0, 101.0, 99.0, 100.0], [154.0, 153.0, 155.0, 154.0], [153.0, 152.0, 154.0, 153.0]];
        let points = [(1.0, &samples[0][..]), (2.0, &samples[1][..]), (4.0, &samples[2][..])];
        let law = fit(&points, Some(2.0)).unwrap().law;
        assert_eq!((law.kind, law.ceiling), (Kind::Amdahl, Some(2.0)));
        check(law.sigma, 0.2987, 3);
        check(law.throughput(4.0), 154.0, 3);
    }

    #[test]
    fn a_throughput_that_falls_at_once_follows_no_law_that_so_few_worker_counts_could_show() {
        let samples = [[100.0, 101.0, 99.0], [40.0, 41.0, 39.0], [38.0, 39.0, 37.0]];
        let points = [(1.0, &samples[0][..]), (2.0, &samples[1][..]), (4.0, &samples[2][..])];
        assert_eq!(fit(&points, Some(2.0)), None);
    }

    #[test]
    fn a_cap_that_nobody_named_is_found() {
        let table: Vec<(f64, f64)> = (1..=12).map(|n| (f64::from(n), 10.0 * f64::from(n).min(5.5))).collect();
        let fit = with(&table, |p| fit(p, None)).unwrap();
        assert_eq!(fit.law.kind, Kind::Linear);
        check(fit.law.ceiling.unwrap(), 5.5, 4);
        check(fit.law.lambda, 10.0, 4);
    }

    #[test]
    fn a_cap_above_contention_and_coherency_is_found() {
        let law = |n: f64| 10.0 * n / (1.0 + 0.02 * (n - 1.0) + 0.004 * n * (n - 1.0));
        let table: Vec<(f64, f64)> = (1..=12).map(|n| (f64::from(n), law(f64::from(n).min(6.5)))).collect();
        let fit = with(&table, |p| fit(p, None)).unwrap();
        assert_eq!(fit.law.kind, Kind::Usl);
        check(fit.law.ceiling.unwrap(), 6.5, 3);
        check(fit.law.sigma, 0.02, 2);
        check(fit.law.kappa, 0.004, 2);
    }

    #[test]
    fn one_bad_sample_changes_no_law() {
        let law = usl(0.04, 0.002, 100.0);
        let ripple = [0.99, 1.0, 1.01, 1.005, 0.995, 1.0];
        for bad in [0.1, 3.0] {
            for at in 0..7 {
                let rows: Vec<(f64, Vec<f64>)> = (0..7)
                    .map(|i| {
                        let (n, x) = law(1 << i);
                        let spoilt = |j: usize| if (i, j) == (at, 2) { bad } else { 1.0 };
                        (n, (0..6).map(|j| x * ripple[(i + j) % 6] * spoilt(j)).collect())
                    })
                    .collect();
                let points: Vec<(f64, &[f64])> = rows.iter().map(|(n, x)| (*n, x.as_slice())).collect();
                let found = fit(&points, None).unwrap().law;
                assert_eq!((found.kind, found.ceiling), (Kind::Usl, None), "{bad} at {at}");
                assert!((found.sigma - 0.04).abs() < 0.006, "{found:?}");
                assert!((found.kappa - 0.002).abs() < 0.0003, "{found:?}");
            }
        }
    }

    #[test]
    fn more_than_linear_growth_is_linear_at_its_bounds() {
        let table: Vec<(f64, f64)> = (1..=6).map(|n| (f64::from(n), f64::from(n).powf(1.15))).collect();
        let fit = with(&table, |p| fit(p, None)).unwrap();
        assert_eq!((fit.law.kind, fit.law.sigma, fit.law.kappa), (Kind::Linear, 0.0, 0.0));
    }

    #[test]
    fn exactly_one_of_the_laws_tried_is_chosen() {
        let verdicts: Vec<Verdict> = with(&SPECSDM91, |p| tried(p, None)).iter().map(|t| t.verdict).collect();
        assert_eq!(verdicts.iter().filter(|verdict| **verdict == Verdict::Chosen).count(), 1, "{verdicts:?}");
        assert!(verdicts.contains(&Verdict::Misses), "a line misses its fall by far: {verdicts:?}");
    }

    #[test]
    fn exact_linear_data_are_not_given_a_law_with_more_parameters() {
        let table: Vec<(f64, f64)> = (1..=12).map(|n| (f64::from(n), 10.0 * f64::from(n))).collect();
        let fit = with(&table, |p| fit(p, None)).unwrap();
        assert_eq!((fit.law.kind, fit.law.ceiling), (Kind::Linear, None));
    }

    #[test]
    fn a_flat_throughput_is_all_serial() {
        let table: Vec<(f64, f64)> = (1..=8).map(|n| (f64::from(n), 7.0)).collect();
        let fit = with(&table, |p| fit(p, None)).unwrap();
        assert_eq!(fit.law.kind, Kind::Amdahl);
        check(fit.law.sigma, 1.0, 9);
        assert_eq!(fit.r2, None, "there is no variance to explain");
    }

    fn usl(sigma: f64, kappa: f64, lambda: f64) -> impl Fn(u32) -> (f64, f64) {
        move |n| {
            let n = f64::from(n);
            (n, lambda * n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0)))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn exact_data_give_the_law_back(sigma in 0.005..0.9f64, kappa in 1e-4..0.5f64, log in -12.0..15.0f64) {
            let table: Vec<(f64, f64)> = (1..=16).map(usl(sigma, kappa, 10f64.powf(log))).collect();
            let ours = with(&table, |p| fit(p, None)).unwrap();
            let as_r = with(&table, fit_usl_as_r).unwrap();
            prop_assert_eq!(ours.law.kind, Kind::Usl);
            for law in [ours.law, as_r.law] {
                prop_assert!((law.sigma - sigma).abs() < 1e-4, "{law:?}");
                prop_assert!((law.kappa - kappa).abs() < 1e-5, "{law:?}");
                prop_assert!((law.lambda / 10f64.powf(log) - 1.0).abs() < 1e-5, "{law:?}");
            }
            prop_assert!(ours.r2.unwrap() > 0.999_999);
        }

        #[test]
        fn another_unit_changes_lambda_only(x in prop::collection::vec(1.0..1000.0f64, 6), log in -12.0..12.0f64) {
            let table: Vec<(f64, f64)> = (1..=6).map(f64::from).zip(x).collect();
            let scale = 10f64.powf(log);
            let scaled: Vec<(f64, f64)> = table.iter().map(|&(n, x)| (n, x * scale)).collect();
            let pair = with(&table, fit_usl_as_r).zip(with(&scaled, fit_usl_as_r));
            if let Some((a, b)) = pair {
                prop_assert!((a.law.sigma - b.law.sigma).abs() < 1e-4);
                prop_assert!((a.law.kappa - b.law.kappa).abs() < 1e-4);
                prop_assert!((a.law.lambda * scale / b.law.lambda - 1.0).abs() < 1e-3);
            }
        }

        #[test]
        fn any_positive_numbers_give_a_finite_law_or_none(
            table in prop::collection::btree_map(0u64..1 << 62, -700.0..700.0f64, 1..9),
            narrow in any::<bool>(),
            ceiling in prop::option::of(0.1..100.0f64),
        ) {
            let place = |bits: u64| if narrow { 0.01 + bits as f64 / 2f64.powi(56) } else { f64::from_bits(bits).max(1e-300) };
            let mut table: Vec<(f64, f64)> = table.into_iter().map(|(n, log)| (place(n), log.exp())).collect();
            table.dedup_by_key(|(n, _)| *n);
            let fits = [with(&table, |p| fit(p, ceiling)), with(&table, fit_usl_as_r)];
            for fit in fits.into_iter().flatten() {
                let numbers = [fit.law.sigma, fit.law.kappa, fit.law.lambda, fit.r2.unwrap_or(0.0), fit.law.peak_procs().unwrap_or(1.0)];
                prop_assert!(numbers.iter().all(|x| x.is_finite()), "{:?}", fit);
                prop_assert!((0.0..=1.0).contains(&fit.law.sigma) && fit.law.kappa >= 0.0 && fit.law.lambda > 0.0);
            }
        }
    }
}
