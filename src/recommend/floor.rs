//! The noise floor: how far two identical settings would seem to differ when measured as these were.
//!
//! An A/A check made of the samples that are there. In each round the ratio of the chosen worker count to its closest rival
//! is a difference that they have and the noise of two samples, the round's speed taken out; two identical settings would
//! have the noise only. The mean of so many such differences stays within Student's t times its standard error in 95 of
//! 100 sweeps: that is the floor (a paired t test, W. S. Gosset, Biometrika 6, 1908). A lone worker count is compared with
//! itself, each sample with the one before.

use super::draws::ENOUGH_SAMPLES;
use super::rounds::Rounds;
use crate::stats::mean_and_half_width;

/// The floor between `chosen` and `rival`, as a share of the throughput; `None` below [`ENOUGH_SAMPLES`] rounds that
/// have both, or samples where there is no rival.
pub(super) fn noise_floor(rounds: &Rounds, chosen: usize, rival: Option<usize>) -> Option<f64> {
    let differences = match rival {
        Some(rival) => between(rounds, chosen, rival),
        None => successive(rounds, chosen),
    };
    if differences.len() < ENOUGH_SAMPLES - usize::from(rival.is_none()) {
        return None;
    }
    let (_, half) = mean_and_half_width(&differences);
    Some(half.exp_m1())
}

/// Log ratio of the two in each round that has both. Rows of a plain table have no round in common: their order pairs them.
fn between(rounds: &Rounds, chosen: usize, rival: usize) -> Vec<f64> {
    if rounds.is_table {
        let column = |point: usize| rounds.entries.iter().filter(move |entry| entry.point == point);
        return column(chosen).zip(column(rival)).map(|(a, b)| a.level - b.level).collect();
    }
    let level = |round: &std::ops::Range<usize>, point: usize| {
        rounds.entries[round.clone()].iter().find(|entry| entry.point == point).map(|entry| entry.level)
    };
    rounds.rounds.iter().filter_map(|round| Some(level(round, chosen)? - level(round, rival)?)).collect()
}

/// Log ratio of each sample of a point to the one before.
fn successive(rounds: &Rounds, point: usize) -> Vec<f64> {
    let levels: Vec<f64> =
        rounds.entries.iter().filter(|entry| entry.point == point).map(|entry| entry.level).collect();
    levels.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Observation;
    use super::super::group::group;
    use super::*;

    /// Rounds of two points, the second 1.5 times as fast, with this noise; each round at a speed of its own.
    fn rounds(count: u32, noise: f64, points: u32) -> Rounds {
        let mut random = fastrand::Rng::with_seed(5);
        let mut observations = Vec::new();
        for round in 1..=count {
            let speed = 1.0 + random.f64();
            for n in 1..=points {
                let throughput =
                    speed * (1.0 + 0.5 * f64::from(n - 1)) * (1.0 + noise * (random.f64() - 0.5));
                observations.push(Observation {
                    n: f64::from(n),
                    round: Some(round),
                    throughput,
                    ..Observation::default()
                });
            }
        }
        Rounds::new(&group(&observations), None)
    }

    #[test]
    fn the_floor_follows_the_noise_and_not_the_drift_of_rounds() {
        let floor = |count, noise| noise_floor(&rounds(count, noise, 2), 1, Some(0)).unwrap();
        assert!(floor(8, 0.0) < 1e-9);
        let (little, much) = (floor(8, 0.01), floor(8, 0.1));
        assert!(little < 0.01 && much > 5.0 * little, "{little} and {much}");
        assert!(floor(32, 0.1) < much, "more rounds, lower floor");
    }

    #[test]
    fn two_identical_settings_differ_by_less_than_the_floor_in_about_95_of_100_sweeps() {
        let mut random = fastrand::Rng::with_seed(11);
        let below = (0..400).filter(|_| {
            let sample = |n: f64, round: u32, random: &mut fastrand::Rng| Observation {
                n,
                round: Some(round),
                throughput: 100.0 * (1.0 + 0.1 * random.f64()),
                ..Observation::default()
            };
            let observations: Vec<Observation> =
                (1..=10).flat_map(|round| [1.0, 2.0].map(|n| sample(n, round, &mut random))).collect();
            let rounds = Rounds::new(&group(&observations), None);
            let level = |point: usize| -> f64 {
                rounds
                    .entries
                    .iter()
                    .filter(|entry| entry.point == point)
                    .map(|entry| entry.level / 10.0)
                    .sum()
            };
            (level(0) - level(1)).abs().exp_m1() <= noise_floor(&rounds, 0, Some(1)).unwrap()
        });
        let below = below.count();
        assert!((364..=394).contains(&below), "{below} of 400");
    }

    #[test]
    fn below_four_rounds_there_is_no_floor() {
        assert_eq!(noise_floor(&rounds(3, 0.1, 2), 1, Some(0)), None);
        assert!(noise_floor(&rounds(4, 0.1, 2), 1, Some(0)).is_some());
        assert_eq!(noise_floor(&rounds(3, 0.1, 1), 0, None), None);
        assert!(noise_floor(&rounds(4, 0.1, 1), 0, None).is_some());
    }
}
