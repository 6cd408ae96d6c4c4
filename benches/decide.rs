//! What a sweep computes between samples: the planner's next round, the fit, the whole decision.
//!
//! Run: `cargo bench -p corefit`.

use corefit::plan::Policy;
use corefit::recommend::{Evidence, ModelChoice, Observation, Places, decide};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// Samples of a curve that Amdahl's law gives with 10 % serial work, with 1 % of noise.
fn evidence(points: u32, rounds: u32) -> Evidence {
    let mut random = fastrand::Rng::with_seed(1);
    let mut observations = Vec::new();
    for round in 1..=rounds {
        for n in 1..=points {
            let n = f64::from(n);
            let noise = 1.0 + 0.01 * (random.f64() - 0.5);
            let throughput = noise * 1000.0 / (0.1 + 0.9 / n);
            observations.push(Observation { n, round: Some(round), throughput, ..Observation::default() });
        }
    }
    Evidence {
        target: "bench".to_owned(),
        unit: "ops/s".to_owned(),
        observations,
        default: Vec::new(),
        policy: Policy::default(),
        cpus: None,
        model: ModelChoice::Auto,
        seed: 1,
        quick: false,
        is_workload: false,
        warnings: Vec::new(),
        places: Places::default(),
    }
}

/// Worker counts × rounds, up to the largest sweep anyone makes.
const SIZES: [(u32, u32); 4] = [(3, 6), (7, 30), (64, 30), (256, 50)];

#[divan::bench(args = SIZES)]
fn decision(bencher: Bencher<'_, '_>, (points, rounds): (u32, u32)) {
    let evidence = evidence(points, rounds);
    bencher.bench_local(|| decide(black_box(&evidence)));
}
