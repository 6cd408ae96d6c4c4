use super::curve::{KINDS, Kind};
use super::score::{Score, Table, Truth, score};
use super::*;
use crate::plan::ProcsSpec;

const PROCS: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

fn program(kind: Kind, noise: Noise, seed: u64) -> Program {
    let curve = kind.draw(64, &mut fastrand::Rng::with_seed(seed));
    Program { curve, noise, cpus: Some(64.0), single_s: 1.0 }
}

#[test]
fn every_kind_has_the_shape_that_its_name_says() {
    for (seed, kind) in (0..20).flat_map(|seed| KINDS.map(|kind| (seed, kind))) {
        let curve = kind.draw(64, &mut fastrand::Rng::with_seed(seed));
        let x: Vec<f64> = (1..=64).map(|n| curve.throughput(n)).collect();
        let (grows, falls) = (x.is_sorted(), x.is_sorted_by(|a, b| a >= b));
        let best = (0..64).max_by(|a, b| x[*a].total_cmp(&x[*b])).unwrap();
        let is_so = match kind {
            Kind::PeakedUsl => best > 1 && best < 63,
            Kind::Amdahl | Kind::Linear | Kind::HardCap | Kind::SmtBend => grows && !falls,
            Kind::Flat => grows && falls,
            Kind::Retrograde => falls && !grows,
            Kind::QuotaCliff => x[best + 1] < 0.96 * x[best],
            Kind::NumaStep => !grows && !falls,
        };
        assert!(is_so, "{kind}: {x:?}");
    }
}

#[test]
fn noise_has_the_size_that_was_asked_for() {
    let spread = |noise: Noise, rounds: usize, samples: usize| {
        let mut source = noise.source(1);
        let mut all = Vec::new();
        for _ in 0..rounds {
            source.next_round();
            all.extend((0..samples).map(|_| source.next_sample()));
        }
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        (mean, (all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64).sqrt())
    };
    let (mean, within) = spread(Noise { round: 0.0, ..Noise::of(0.03) }, 1, 20_000);
    assert!(mean.abs() < 0.001 && (within - 0.03).abs() < 0.001, "{mean} {within}");
    let (_, across) = spread(Noise { sample: 0.0, ..Noise::of(0.03) }, 20_000, 1);
    assert!((across - 0.03).abs() < 0.001, "{across}");
}

#[test]
fn the_same_seed_gives_the_same_sweep() {
    let program = program(Kind::NumaStep, Noise::of(0.03), 3);
    let run = |seed| {
        let plan = plan(PROCS.to_vec(), seed);
        simulate(&program, &plan, Policy::default(), seed, 50)
    };
    let ((a, answer), (b, again), (c, _)) = (run(1), run(1), run(2));
    assert_eq!((a.done == b.done, answer == again, a.done == c.done), (true, true, false));
}

#[test]
fn without_noise_the_answer_is_the_truth() {
    for kind in KINDS {
        let program = program(kind, Noise::of(0.0), 5);
        let (sweep, answer) = simulate(&program, &plan(PROCS.to_vec(), 1), Policy::default(), 1, 50);
        let truth = Truth::new(&program.curve, &PROCS);
        assert_eq!(answer.recommended_procs, f64::from(truth.knee(0.05)), "{kind}");
        assert_eq!(sweep.stopped, StopReason::Precise, "{kind}");
    }
}

#[test]
fn the_virtual_clock_runs_by_what_the_program_does() {
    let program = program(Kind::Linear, Noise::of(0.0), 1);
    let single = plan(vec![2], 1);
    let sweep = measure(&program, &single, Policy::default(), 1);
    let took_s = sweep.took_s / sweep.done.len() as f64 - STARTING_S;
    assert!((took_s - 0.5).abs() < 1e-9, "half of a second's work each");
}

#[test]
fn the_truth_knows_the_knee_and_what_is_lost_elsewhere() {
    let curve = Kind::Linear.draw(64, &mut fastrand::Rng::with_seed(1));
    let truth = Truth::new(&curve, &PROCS);
    assert_eq!((truth.knee(0.05), truth.knee(0.5), truth.steps_off(0.5, 4)), (64, 32, 3));
    assert!((truth.regret(16) - 0.75).abs() < 1e-9 && truth.regret(3) == 1.0 && truth.regret(64) == 0.0);
}

/// A small fixed part of what `scripts/regret` shows; `docs/planning.md` has the whole. A result changes only with the code.
#[test]
fn of_a_long_range_little_is_measured_and_little_is_lost() {
    let ProcsSpec::List(range) = "1..64".parse().unwrap() else { panic!("a range is a list") };
    let scores = |noise: f64| -> Vec<(Kind, Score)> {
        let curves = KINDS.into_iter().flat_map(|kind| (0..3).map(move |seed| (kind, seed)));
        curves.map(|(kind, seed)| (kind, score(kind, &range, Noise::of(noise), seed))).collect()
    };
    for (noise, most_regret) in [(0.005, 0.02), (0.03, 0.05)] {
        let scores = scores(noise);
        for (kind, score) in &scores {
            assert!(score.regret <= most_regret, "{kind} at noise {noise}: {score:?}");
        }
        let table =
            Table { kind: "all", noise: Some(noise), scores: scores.into_iter().map(|(_, s)| s).collect() };
        assert!(table.quantile(0.5, |s| s.regret) <= 0.005, "{table}");
        assert!(table.mean(|s| s.samples) <= 0.5 && table.mean(|s| s.knee_samples) <= 0.5, "{table}");
        assert!(table.share(|s| s.steps_off <= 1) >= 0.8, "{table}");
        assert!(table.quantile(0.5, |s| s.time_error) <= 0.25, "{table}");
    }
}
