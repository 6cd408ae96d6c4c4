//! Sweeps of programs whose best worker count is known: how often it is found, and whether the confidence is honest.
//! Fixed seeds, so a result changes only with the code. The bounds are loose; `docs/deciding.md` has the numbers.

use super::*;
use crate::random::normal;

const PROCS: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const SWEEPS: u64 = 60;

/// True log throughput at each of [`PROCS`].
fn curve(kind: u64, random: &mut fastrand::Rng) -> Vec<f64> {
    let largest = PROCS[PROCS.len() - 1];
    let sigma = 0.2 * random.f64();
    let kappa = 2.0 * random.f64().powi(2) / (largest * largest);
    let cap = 1.0 + random.f64() * largest;
    let law = |n: f64, sigma: f64, kappa: f64| (n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))).ln();
    PROCS
        .iter()
        .map(|&n| match kind % 5 {
            0 => law(n, sigma, kappa),
            1 => law(n, sigma, 0.0),
            2 => 0.0,
            3 => n.min(cap).ln(),
            _ => n.ln(),
        })
        .collect()
}

/// Six rounds of a program with this truth; the noise once a sample and once more a round.
fn measured(truth: &[f64], noise: f64, policy: Policy, random: &mut fastrand::Rng) -> Evidence {
    let mut observations = Vec::new();
    for round in 1..=6 {
        let shift = noise * normal(random);
        for (place, level) in truth.iter().enumerate() {
            // Beyond the usual worker counts, the caller names its own.
            let n = PROCS.get(place).copied().unwrap_or(1.0);
            let throughput = (level + shift + noise * normal(random)).exp();
            observations.push(Observation { n, throughput, round: Some(round), ..Observation::default() });
        }
    }
    Evidence {
        target: "simulated".to_owned(),
        unit: "ops/s".to_owned(),
        observations,
        policy,
        seed: 11,
        ..Evidence::default()
    }
}

/// Of one sweep: what the choice really loses, whether it is the one that the truth gives, and what was said.
struct Outcome {
    regret: f64,
    is_hit: bool,
    confidence: f64,
}

fn outcomes(policy: Policy, tolerance: f64, noise: f64) -> Vec<Outcome> {
    (0..SWEEPS)
        .map(|seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            let truth = curve(seed, &mut random);
            let best = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let loss = |level: f64| 1.0 - (level - best).exp();
            let right = truth.iter().position(|&level| loss(level) <= tolerance + 1e-9).unwrap();
            let answer = decide(&measured(&truth, noise, policy, &mut random)).unwrap();
            let chosen = PROCS.iter().position(|&n| n == answer.recommended_procs).unwrap();
            Outcome {
                regret: loss(truth[chosen]),
                is_hit: chosen == right,
                confidence: answer.confidence.unwrap(),
            }
        })
        .collect()
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

#[test]
fn the_throughput_policy_loses_next_to_nothing() {
    for (noise, most) in [(0.005, 0.005), (0.03, 0.015)] {
        let outcomes = outcomes(Policy::Throughput { tolerance: 0.01 }, 0.01, noise);
        let regret = mean(outcomes.iter().map(|o| o.regret));
        assert!(regret < most, "mean regret {regret} at noise {noise}");
        let worst = outcomes.iter().map(|o| o.regret).fold(0.0, f64::max);
        assert!(worst < 0.01 + 3.0 * noise, "worst regret {worst} at noise {noise}");
    }
}

#[test]
fn the_knee_is_found() {
    for (noise, least) in [(0.005, 0.93), (0.03, 0.8)] {
        let outcomes = outcomes(Policy::Knee { tolerance: 0.05 }, 0.05, noise);
        let hits = mean(outcomes.iter().map(|o| f64::from(u8::from(o.is_hit))));
        assert!(hits >= least, "{hits} of the knees found at noise {noise}");
    }
}

#[test]
fn the_confidence_is_not_far_from_the_share_of_hits() {
    let outcomes = outcomes(Policy::Knee { tolerance: 0.05 }, 0.05, 0.03);
    let said = mean(outcomes.iter().map(|o| o.confidence));
    let hits = mean(outcomes.iter().map(|o| f64::from(u8::from(o.is_hit))));
    assert!((said - hits).abs() < 0.12, "said {said}, hit {hits}");
    let sure = outcomes.iter().filter(|o| o.confidence >= 0.95);
    let sure_hits = mean(sure.map(|o| f64::from(u8::from(o.is_hit))));
    assert!(sure_hits >= 0.9, "{sure_hits} of the sure ones hit");
}

/// Sixteen worker counts with many near-ties, where resampled rounds were 10 to 18 points too sure: wide peaks, a cap and
/// a flat curve, the last two with bumps of 1 %.
#[test]
fn many_near_ties_make_no_false_certainty() {
    let n: Vec<f64> = (1..=16).map(f64::from).collect();
    let mut likely = Vec::new();
    for seed in 0..600 {
        let mut random = fastrand::Rng::with_seed(500 + seed);
        let (sigma, kappa) = (0.1 * random.f64(), 0.02 * random.f64());
        let cap = 1.0 + 15.0 * random.f64();
        let level = |n: f64, bump: f64| match seed % 3 {
            0 => (n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))).ln(),
            1 => n.min(cap).ln() + bump,
            _ => bump,
        };
        let truth: Vec<f64> = n.iter().map(|&n| level(n, 0.01 * normal(&mut random))).collect();
        let best = truth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let right = truth.iter().position(|level| 1.0 - (level - best).exp() <= 0.01 + 1e-9).unwrap();
        let mut evidence = measured(&truth, 0.03, Policy::Throughput { tolerance: 0.01 }, &mut random);
        for (place, sample) in evidence.observations.iter_mut().enumerate() {
            sample.n = n[place % n.len()];
        }
        let answer = decide_with(&evidence, 200).unwrap();
        let confidence = answer.confidence.unwrap();
        if confidence >= 0.5 {
            likely.push((confidence, answer.recommended_procs == n[right]));
        }
    }
    let said = mean(likely.iter().map(|(confidence, _)| *confidence));
    let hits = mean(likely.iter().map(|(_, is_hit)| f64::from(u8::from(*is_hit))));
    assert!(likely.len() > 200, "{} answers are likelier than not", likely.len());
    assert!(said - hits < 0.11, "said {said}, hit {hits}, of {}", likely.len());
}

#[test]
fn two_identical_points_are_called_different_in_one_of_twenty_at_most() {
    for policy in ["knee=0", "throughput", "knee"] {
        let policy: Policy = policy.parse().unwrap();
        let told_apart = (0..400).filter(|seed| {
            let mut random = fastrand::Rng::with_seed(9000 + seed);
            let mut evidence = measured(&[0.0, 0.0], 0.02, policy, &mut random);
            for (place, sample) in evidence.observations.iter_mut().enumerate() {
                sample.n = [1.0, 2.0][place % 2];
            }
            let [low, high] = decide_with(&evidence, 1000).unwrap().interval.unwrap();
            // With a tolerance the smaller of two equals is right; without one each may be the best.
            low > 1.0 || (policy.tolerance() == 0.0 && high < 2.0)
        });
        let found = told_apart.count();
        assert!(found <= 20, "{found} of 400 pairs of equals are told apart by {policy}");
    }
}

#[test]
fn equal_settings_are_seldom_called_different() {
    let truth = vec![0.0; PROCS.len()];
    let choices = (0..SWEEPS).map(|seed| {
        let mut random = fastrand::Rng::with_seed(1000 + seed);
        let evidence = measured(&truth, 0.01, Policy::Knee { tolerance: 0.05 }, &mut random);
        decide(&evidence).unwrap().recommended_procs
    });
    let more = choices.filter(|&n| n > 1.0).count();
    assert!(more <= 1, "{more} of {SWEEPS} flat programs were given more than one worker");
}
