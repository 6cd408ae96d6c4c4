//! How much the planner's answers lose, how often it finds the knee, what that costs, and how good its estimate of the time
//! left is: over programs with a known curve.
//!
//! Run: `scripts/regret [SWEEPS [KIND]]`: sweeps a kind and noise (200), and one kind only.

use std::process::ExitCode;

use corefit::plan::{ProcsSpec, Range};
use corefit::simulate::curve::{KINDS, Kind};
use corefit::simulate::noise::Noise;
use corefit::simulate::score::{Score, Table, score};

/// Noise of a sample, and as much again of a round.
const NOISES: [f64; 2] = [0.005, 0.03];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let sweeps = args.next().map_or(Ok(200), |text| text.parse::<u64>());
    let only = args.next();
    let is_wanted = |kind: &Kind| only.as_ref().is_none_or(|only| kind.name() == only);
    let kinds: Vec<Kind> = KINDS.into_iter().filter(is_wanted).collect();
    let (Ok(sweeps @ 1..), false) = (sweeps, kinds.is_empty()) else {
        eprintln!("regret: write `regret [SWEEPS [KIND]]`; kinds are {}", KINDS.map(Kind::name).join(", "));
        return ExitCode::from(2);
    };
    let Ok(ProcsSpec::List(range)) = "1..64".parse() else { unreachable!("a range is a list") };
    table(&kinds, &range, sweeps);
    ExitCode::SUCCESS
}

fn table(kinds: &[Kind], range: &Range, sweeps: u64) {
    println!("{}", Table::header());
    let mut all = Vec::new();
    for noise in NOISES {
        let mut of_noise: Vec<Score> = Vec::new();
        for kind in kinds {
            let scores: Vec<Score> =
                (0..sweeps).map(|seed| score(*kind, range, Noise::of(noise), seed)).collect();
            of_noise.extend(&scores);
            println!("{}", Table { kind: kind.name(), noise: Some(noise), scores });
        }
        all.extend(&of_noise);
        println!("{}", Table { kind: "all", noise: Some(noise), scores: of_noise });
    }
    println!("{}", Table { kind: "all", noise: None, scores: all });
}
