//! Levels drawn together with those of near worker counts, where these show no more than noise.
//!
//! A level rests on the samples of one worker count. Where the curve is smooth its neighbours know of it too: the line
//! through them, weighted by how well each is known and by how near it is, has less noise than the level itself
//! (W. S. Cleveland, J. Am. Stat. Assoc. 74, 1979, local regression). Where they lie off the line by more than noise, as
//! at a cliff, a cap or a single odd worker count, a shorter stretch is tried, and then the level stays as it is.

/// Worker counts that share a line lie at most this far apart from its middle, log units: 35 %. Powers of two have no
/// such neighbours. Of 0.1 to 0.45 it finds most knees in `scripts/regret`; 0.15 to 0.45 differ by less than chance.
const REACH: f64 = 0.3;
/// How the stretch becomes shorter, and how often it is tried.
const SHORTER: f64 = 1.5;
const TRIES: u32 = 3;
/// Worker counts on a line at least: two always fit.
const FEWEST: usize = 3;
/// Worker counts at most: beyond it is a table of loads, and every line would take in hundreds of them.
const MOST: usize = 1024;

/// The `levels` of the worker counts `n`, ascending, with the standard errors that are known of them.
pub(super) fn smooth(n: &[f64], levels: &[f64], errors: &[f64]) -> Vec<f64> {
    if n.len() > MOST {
        return levels.to_vec();
    }
    let smoothed = |point: usize| {
        let reaches = (0..TRIES).map(|times| REACH / SHORTER.powf(f64::from(times)));
        let mut lines = reaches.filter_map(|reach| on_line(n, levels, errors, point, reach));
        lines.next().unwrap_or(levels[point])
    };
    (0..n.len()).map(smoothed).collect()
}

/// Where the line through the worker counts that are near has `point`; `None` if too few are, or they lie off it by more
/// than a standard deviation beyond what their errors make likely.
fn on_line(n: &[f64], levels: &[f64], errors: &[f64], point: usize, reach: f64) -> Option<f64> {
    let distance = |other: usize| (n[other] / n[point]).ln();
    let first = n.partition_point(|other| (other / n[point]).ln() < -reach);
    let end = n.partition_point(|other| (other / n[point]).ln() <= reach);
    if end - first < FEWEST {
        return None;
    }
    let [mut sum, mut x, mut y, mut xx, mut xy] = [0.0; 5];
    for other in first..end {
        let away = distance(other);
        // Tricube: the ends of the stretch count for nothing.
        let weight = (1.0 - (away.abs() / reach).powi(3)).powi(3) / errors[other].powi(2);
        sum += weight;
        x += weight * away;
        y += weight * levels[other];
        xx += weight * away * away;
        xy += weight * away * levels[other];
    }
    let slope = (sum * xy - x * y) / (sum * xx - x * x);
    let level = (y - slope * x) / sum;
    let off = |other: usize| (levels[other] - level - slope * distance(other)) / errors[other];
    let squares: f64 = (first..end).map(|other| off(other).powi(2)).sum();
    let free = (end - first - 2) as f64;
    // Of chi-square, whose variance is twice its degrees of freedom. A line that cannot be told is no number.
    (squares <= free + (2.0 * free).sqrt() && level.is_finite()).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::normal;

    /// Mean square distance from `curve` of 8 to 24 workers, measured with an error of 1 %, raw and smoothed.
    fn squares(curve: impl Fn(f64) -> f64) -> [f64; 2] {
        let n: Vec<f64> = (8..=24).map(f64::from).collect();
        let mut random = fastrand::Rng::with_seed(1);
        let mut sums = [0.0; 2];
        for _ in 0..400 {
            let raw: Vec<f64> = n.iter().map(|n| curve(*n).ln() + 0.01 * normal(&mut random)).collect();
            let smoothed = smooth(&n, &raw, &vec![0.01; n.len()]);
            for (sum, levels) in sums.iter_mut().zip([raw, smoothed]) {
                *sum += n.iter().zip(levels).map(|(n, level)| (level - curve(*n).ln()).powi(2)).sum::<f64>();
            }
        }
        sums.map(|sum| sum / (400.0 * n.len() as f64))
    }

    #[test]
    fn on_a_smooth_curve_neighbours_take_noise_away() {
        let [raw, smoothed] = squares(|n| n / (1.0 + 0.05 * (n - 1.0)));
        assert!(smoothed < 0.6 * raw, "{smoothed} of {raw}");
    }

    #[test]
    fn a_cliff_or_a_cap_is_not_smoothed_away() {
        for curve in [|n: f64| if n <= 16.0 { n } else { 12.0 }, |n: f64| n.min(16.0)] {
            let [raw, smoothed] = squares(curve);
            assert!(smoothed < 1.05 * raw, "{smoothed} of {raw}");
        }
    }

    #[test]
    fn what_is_known_exactly_and_what_has_no_neighbours_stays_as_it_is() {
        let n: Vec<f64> = (1..=16).map(f64::from).collect();
        let curved: Vec<f64> = n.iter().map(|n| (n / (1.0 + 0.1 * n)).ln()).collect();
        assert_eq!(smooth(&n, &curved, &[1e-9; 16]), curved);
        let powers = [1.0, 2.0, 4.0, 8.0];
        assert_eq!(smooth(&powers, &curved[..4], &[0.1; 4]), curved[..4]);
        assert_eq!(smooth(&[1.0], &[3.0], &[0.1]), [3.0]);
    }
}
