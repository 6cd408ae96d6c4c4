//! Whether the confidence is honest: simulated sweeps, planned and decided as real ones are, of curves that are known.
//!
//! The right answer of a sweep is what the policy gives on its curve without noise, over the same worker counts. Of all
//! answers given with 70 to 90 % confidence, 70 to 90 % should be right.
//!
//! Run: `scripts/calibrate [LEAST] [SEED]`: until each bin of the confidence holds LEAST decisions (300);
//! with 0, equal points only.

use std::process::ExitCode;

use corefit::plan::Policy;
use corefit::recommend::decide;
use corefit::simulate::noise::normal;
use corefit::simulate::{Samples, Sweep, plan, sweep};
use fastrand::Rng;

/// Lower ends of the bins, and the upper end of the last.
const BINS: [f64; 6] = [0.0, 0.5, 0.7, 0.9, 0.95, 1.0 + 1e-9];
/// What a bin's share of right answers may lie outside of its ends.
const SLACK: f64 = 0.03;
/// Sweeps of each regime between two looks at whether the bins are full.
const BATCH: u64 = 120;
/// Sweeps of each regime at most, so that an absurd LEAST ends too.
const MOST: u64 = 1_000_000;
/// Sweeps over equal points.
const EQUALS: u64 = 2000;

/// How a simulated sweep is measured.
struct Regime {
    procs: Vec<u32>,
    tolerance: f64,
    /// Standard deviation of a sample, and once more of what a round has in common.
    noise: f64,
}

/// A kind of curve: log throughput at each worker count, drawn at random.
type Family = (&'static str, fn(&[f64], &Shape) -> Vec<f64>);

/// The random numbers that make a curve.
struct Shape {
    sigma: f64,
    kappa: f64,
    /// Worker count of a cap, cliff or bend.
    bend: f64,
    /// Standard normal numbers, one a worker count.
    bumps: Vec<f64>,
    /// Size of bumps.
    bump: f64,
}

const FAMILIES: [Family; 11] = [
    ("USL", |n, s| map(n, |n| usl(n, s.sigma, s.kappa))),
    ("Amdahl", |n, s| map(n, |n| usl(n, s.sigma, 0.0))),
    ("hard cap", |n, s| map(n, |n| usl(n.min(s.bend), 0.3 * s.sigma, 0.0))),
    ("flat, 1 % bumps", |_, s| s.bumps.iter().map(|x| 0.01 * x).collect()),
    ("USL, 1 to 3 % bumps", |n, s| bumpy(n, s, |n| usl(n, s.sigma, s.kappa))),
    ("cap, 1 to 3 % bumps", |n, s| bumpy(n, s, |n| usl(n.min(s.bend), 0.3 * s.sigma, 0.0))),
    ("linear", |n, s| map(n, |n| usl(n, 0.01 * s.sigma, 0.0))),
    ("retrograde", |n, s| map(n, |n| usl(n, 0.3 + 3.0 * s.sigma, 0.1 * s.kappa * n_most(s)))),
    ("quota cliff", |n, s| {
        map(n, |n| if n <= s.bend { n.ln() } else { s.bend.ln() - 0.05 - 1.5 * s.sigma * (1.0 - s.bend / n) })
    }),
    ("NUMA step", |n, s| {
        map(n, |n| usl(n.min(s.bend), 0.5 * s.sigma, 0.0) + 0.5 * usl((n / s.bend).max(1.0), 0.3, 0.01))
    }),
    ("SMT bend", |n, s| map(n, |n| (n.min(s.bend) + 0.25 * (n.min(2.0 * s.bend) - s.bend).max(0.0)).ln())),
];

fn map(n: &[f64], law: impl Fn(f64) -> f64) -> Vec<f64> {
    n.iter().map(|&n| law(n)).collect()
}

fn bumpy(n: &[f64], shape: &Shape, law: impl Fn(f64) -> f64) -> Vec<f64> {
    n.iter().zip(&shape.bumps).map(|(&n, bump)| law(n) + shape.bump * bump).collect()
}

/// Logarithm of the Universal Scalability Law.
fn usl(n: f64, sigma: f64, kappa: f64) -> f64 {
    (n / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))).ln()
}

/// The largest worker count, by the size of what was drawn for it.
fn n_most(shape: &Shape) -> f64 {
    if shape.bumps.len() > 10 { 16.0 } else { 64.0 }
}

/// A curve, by turns of each family. In every other sweep the knee and its neighbour are moved to where they miss or meet
/// the tolerance by no more than the noise of a sample: near-ties are what makes a decision hard.
fn curve(sweep: u64, regime: &Regime, random: &mut Rng) -> Vec<f64> {
    let n: Vec<f64> = regime.procs.iter().copied().map(f64::from).collect();
    let most = n[n.len() - 1];
    let shape = Shape {
        sigma: 0.2 * random.f64().powi(2),
        kappa: 4.0 * random.f64().powi(2) / (most * most),
        bend: 1.0 + random.f64() * most,
        bump: 0.01 + 0.02 * random.f64(),
        bumps: n.iter().map(|_| normal(random)).collect(),
    };
    let family = FAMILIES[(sweep / 2) as usize % FAMILIES.len()];
    let mut levels = family.1(&n, &shape);
    if sweep.is_multiple_of(2) {
        return levels;
    }
    let best = highest(&levels);
    let knee = right(&levels, regime.tolerance);
    let moved = 1 + random.usize(..2);
    for level in levels.iter_mut().skip(knee).take(moved) {
        let near = best + (1.0 - regime.tolerance).ln() + regime.noise * (2.0 * random.f64() - 1.0);
        *level = near.min(best);
    }
    levels
}

fn highest(levels: &[f64]) -> f64 {
    levels.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// The knee of a curve without noise.
fn right(levels: &[f64], tolerance: f64) -> usize {
    let best = highest(levels);
    let is_within = |level: &f64| 1.0 - (level - best).exp() <= tolerance + 1e-9;
    levels.iter().position(is_within).expect("the best is within any tolerance of itself")
}

/// Samples of a curve.
struct Measured<'a> {
    levels: &'a [f64],
    regime: &'a Regime,
    random: &'a mut Rng,
    /// Whether something disturbs 15 % of the samples, and then slows them by about twice the noise.
    is_disturbed: bool,
    /// What the round has in common.
    shift: f64,
}

impl Samples for Measured<'_> {
    fn next_round(&mut self) {
        self.shift = self.regime.noise * normal(self.random);
    }

    fn next_sample(&mut self, procs: u32) -> (f64, f64) {
        let noise = self.regime.noise;
        let point = self.regime.procs.iter().position(|&n| n == procs).expect("a planned worker count");
        let mut log = self.levels[point] + self.shift + noise * normal(self.random);
        if self.is_disturbed && self.random.f64() < 0.15 {
            log += 2.0 * noise * self.random.f64().max(1e-12).ln();
        }
        (log.exp(), 1.0)
    }
}

/// The sweep, until the planner stops it. 30 % of them are disturbed.
fn measure(levels: &[f64], regime: &Regime, seed: u64, random: &mut Rng) -> Sweep {
    let is_disturbed = random.f64() < 0.3;
    let policy = Policy::Knee { tolerance: regime.tolerance };
    let mut samples = Measured { levels, regime, random, is_disturbed, shift: 0.0 };
    sweep("simulated", None, &plan(regime.procs.clone(), seed), policy, &mut samples)
}

/// Decisions by how sure they were.
#[derive(Clone, Default)]
struct Reliability {
    decisions: [u32; 5],
    said: [f64; 5],
    hits: [u32; 5],
    rounds: u64,
}

impl Reliability {
    fn add(&mut self, confidence: f64, is_hit: bool, rounds: u32) {
        let bin = BINS.iter().rposition(|&low| confidence >= low).expect("no confidence is below 0");
        self.decisions[bin] += 1;
        self.said[bin] += confidence;
        self.hits[bin] += u32::from(is_hit);
        self.rounds += u64::from(rounds);
    }

    fn join(&mut self, other: &Self) {
        for bin in 0..self.decisions.len() {
            self.decisions[bin] += other.decisions[bin];
            self.said[bin] += other.said[bin];
            self.hits[bin] += other.hits[bin];
        }
        self.rounds += other.rounds;
    }

    fn fewest(&self) -> u32 {
        self.decisions[1..].iter().copied().min().unwrap_or(0)
    }

    fn hit(&self, bin: usize) -> f64 {
        f64::from(self.hits[bin]) / f64::from(self.decisions[bin])
    }

    fn is_honest(&self) -> bool {
        (1..5).all(|bin| (BINS[bin] - SLACK..=BINS[bin + 1] + SLACK).contains(&self.hit(bin)))
    }

    /// A row of the table: sweeps, rounds, share of right answers, and of each bin decisions, said and hit.
    fn row(&self, name: &str) -> String {
        let sweeps: u32 = self.decisions.iter().sum();
        let right = f64::from(self.hits.iter().sum::<u32>()) / f64::from(sweeps);
        let rounds = self.rounds as f64 / f64::from(sweeps);
        let mut text = format!("| {name} | {sweeps} | {rounds:.1} | {:.1} |", 100.0 * right);
        for bin in 0..5 {
            let count = self.decisions[bin];
            text += &match count {
                0 => " – |".to_owned(),
                _ => format!(
                    " {count}: {:.1} / {:.1} |",
                    100.0 * self.said[bin] / f64::from(count),
                    100.0 * self.hit(bin)
                ),
            };
        }
        text
    }
}

fn regimes() -> Vec<Regime> {
    let seven: Vec<u32> = (0..7).map(|i| 1 << i).collect();
    let sixteen: Vec<u32> = (1..=16).collect();
    let mut regimes = Vec::new();
    for procs in [seven, sixteen] {
        for tolerance in [0.05, 0.01] {
            regimes.extend([0.005, 0.03].map(|noise| Regime { procs: procs.clone(), tolerance, noise }));
        }
    }
    regimes
}

fn simulate(number: u64, regime: &Regime, random: &mut Rng, into: &mut Reliability) {
    let levels = curve(number, regime, random);
    let sweep = measure(&levels, regime, number, random);
    let rounds = sweep.done.last().map_or(0, |sample| sample.round);
    let answer = decide(&sweep.evidence).expect("every sample succeeded");
    let chosen = regime.procs.iter().position(|&n| f64::from(n) == answer.recommended_procs);
    let confidence = answer.confidence.expect("six rounds at least");
    into.add(confidence, chosen == Some(right(&levels, regime.tolerance)), rounds);
}

const HEAD: &str = "| regime | sweeps | rounds | right, % | below 50 %: decisions: said / hit | 50–70 % | 70–90 % | \
                    90–95 % | 95–100 % |\n|---|---|---|---|---|---|---|---|---|";

/// Sweeps over `count` points of equal throughput: how often more than the smallest is taken, and how often they are called
/// different: the 95 % interval of the choice leaves out the smallest, or, where any may be the best, all but one.
fn equals(count: u32, noise: f64, tolerance: f64) -> String {
    let regime = Regime { procs: (1..=count).collect(), tolerance, noise };
    let (mut more, mut different) = (0u32, 0u32);
    for number in 0..EQUALS {
        let mut random = Rng::with_seed(0xA_A000 + number);
        let sweep = measure(&vec![0.0; count as usize], &regime, number, &mut random);
        let answer = decide(&sweep.evidence).expect("every sample succeeded");
        let [low, high] = answer.interval.expect("six rounds at least");
        more += u32::from(answer.recommended_procs > 1.0);
        different += u32::from(low > 1.0 || (tolerance == 0.0 && low == high));
    }
    let share = |count: u32| 100.0 * f64::from(count) / EQUALS as f64;
    format!(
        "| {count} | {:.1} | {:.0} | {:.1} | {:.1} |",
        100.0 * noise,
        100.0 * tolerance,
        share(more),
        share(different)
    )
}

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("a whole number"));
    let least = u32::try_from(args.next().unwrap_or(300)).expect("a number of decisions");
    let seed = args.next().unwrap_or(1);
    let regimes = regimes();
    let mut tables = vec![Reliability::default(); regimes.len()];
    let mut all = Reliability::default();
    let mut sweeps = 0;
    while all.fewest() < least && sweeps < MOST {
        for (index, (regime, table)) in regimes.iter().zip(&mut tables).enumerate() {
            for sweep in sweeps..sweeps + BATCH {
                let mut random =
                    Rng::with_seed(seed.wrapping_mul(0x9E37_79B9).wrapping_add(sweep * 16 + index as u64));
                simulate(sweep, regime, &mut random, table);
            }
        }
        sweeps += BATCH;
        all = Reliability::default();
        tables.iter().for_each(|table| all.join(table));
    }
    if sweeps > 0 {
        println!("{HEAD}\n{}", all.row("all"));
    }
    for (regime, table) in regimes.iter().zip(&tables).filter(|_| sweeps > 0) {
        let name = format!(
            "{} points, {:.0} %, noise {:.1} %",
            regime.procs.len(),
            100.0 * regime.tolerance,
            100.0 * regime.noise
        );
        println!("{}", table.row(&name));
    }
    println!(
        "\n| equal points | noise, % | tolerance, % | more than the smallest taken, % | called different, % |"
    );
    println!("|---|---|---|---|---|");
    for (count, noise, tolerance) in
        [(2, 0.005, 0.01), (2, 0.03, 0.01), (2, 0.03, 0.05), (2, 0.005, 0.0), (2, 0.03, 0.0), (7, 0.03, 0.01)]
    {
        println!("{}", equals(count, noise, tolerance));
    }
    if sweeps == 0 || all.is_honest() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
