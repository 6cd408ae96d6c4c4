//! Sweeps of programs that do not exist: the throughput at every worker count is known, so it is known which answer is
//! right. The planner and the decision are those of a real sweep; only the measuring is made up, on a clock of its own.
//!
//! For tests, `scripts/regret` and `scripts/calibrate`, which simulate thousands of sweeps. The tool itself never simulates.

pub mod curve;
pub mod noise;
pub mod score;

use std::time::Duration;

use self::curve::Curve;
use self::noise::{Noise, Source};
use crate::plan::forecast::time_left;
use crate::plan::rounds::{Done, Next, StopReason, next};
use crate::plan::{Plan, Policy, Rounds};
use crate::recommend::{Evidence, ModelChoice, Observation, Places, decide_with};
use crate::results::Recommendation;
use crate::target::Procs;

/// A program of which everything is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Its throughput without noise.
    pub curve: Curve,
    /// How samples scatter around it.
    pub noise: Noise,
    /// CPUs that it can use; `None`: unknown, as in a plain table.
    pub cpus: Option<f64>,
    /// How long a sample takes at one worker by the virtual clock, seconds; less where throughput is higher, since the
    /// work is the same.
    pub single_s: f64,
}

/// What starting and reaping a sample takes beside the program itself, seconds. As measured by `scripts/sample-cost`.
const STARTING_S: f64 = 0.003;

impl Program {
    /// A sample by the virtual clock: throughput and wall time.
    fn sample(&self, procs: u32, level: f64) -> (f64, f64) {
        let throughput = self.curve.throughput(procs) * level.exp();
        (throughput, self.single_s * self.curve.throughput(1) / throughput)
    }
}

/// What a simulated sweep measures.
pub trait Samples {
    /// From here on it is another round.
    fn next_round(&mut self);

    /// One more sample at `procs` workers: its throughput, and by the virtual clock its wall time in seconds.
    fn next_sample(&mut self, procs: u32) -> (f64, f64);
}

impl Samples for (&Program, Source) {
    fn next_round(&mut self) {
        self.1.next_round();
    }

    fn next_sample(&mut self, procs: u32) -> (f64, f64) {
        self.0.sample(procs, self.1.next_sample())
    }
}

/// A sweep that was simulated.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Every sample, in the order it was taken.
    pub done: Vec<Done>,
    /// Why it ended.
    pub stopped: StopReason,
    /// Time it took by the virtual clock, seconds.
    pub took_s: f64,
    /// How it was measured, and judged.
    pub plan: Plan,
    /// See `plan`.
    pub policy: Policy,
    /// What the decision is made from.
    pub evidence: Evidence,
}

impl Sweep {
    /// The decision, by at most `draws` drawn curves: 2000 are what a real sweep takes, 200 are enough for an interval.
    ///
    /// # Panics
    /// Never: a simulated sample has a throughput.
    #[must_use]
    pub fn decide(&self, draws: usize) -> Recommendation {
        decide_with(&self.evidence, draws).expect("the first round has samples")
    }

    /// After `round`: the time that was left, and the estimate that was made of it, seconds.
    #[must_use]
    pub fn time_left(&self, round: u32) -> [f64; 2] {
        let until: Vec<Done> = self.done.iter().copied().filter(|sample| sample.round <= round).collect();
        let spent_s: f64 = until.iter().map(|sample| sample.wall_s + STARTING_S).sum();
        let estimate = time_left(&self.plan, self.policy, &until, Duration::from_secs_f64(spent_s));
        [self.took_s - spent_s, estimate.as_secs_f64()]
    }
}

/// A plan of `procs` as a sweep of a command has it by default. Change the fields to plan otherwise.
#[must_use]
pub fn plan(procs: Vec<u32>, seed: u64) -> Plan {
    Plan {
        procs,
        grid: Vec::new(),
        exhaustive: false,
        with_default: false,
        rounds: Rounds { min: 6, max: 30 },
        precision: 0.02,
        budget_s: None,
        budget_is_explicit: false,
        timeout_s: 60.0,
        warmup: 1,
        seed,
        counters: false,
        flamegraph: false,
        quick: false,
        cpu_quota: None,
        pin: None,
    }
}

/// Measures `program` as `plan` says until the planner stops, and decides with at most `draws` drawn curves. The noise
/// follows from `seed`, the order from that of the plan.
#[must_use]
pub fn simulate(
    program: &Program,
    plan: &Plan,
    policy: Policy,
    seed: u64,
    draws: usize,
) -> (Sweep, Recommendation) {
    let sweep = measure(program, plan, policy, seed);
    let recommendation = sweep.decide(draws);
    (sweep, recommendation)
}

/// Measures without deciding.
#[must_use]
pub fn measure(program: &Program, plan: &Plan, policy: Policy, seed: u64) -> Sweep {
    let mut samples = (program, program.noise.source(seed));
    sweep(program.curve.kind.name(), program.cpus, plan, policy, &mut samples)
}

/// Takes `samples` of `target` as `plan` says until the planner stops.
#[must_use]
pub fn sweep(
    target: &str,
    cpus: Option<f64>,
    plan: &Plan,
    policy: Policy,
    samples: &mut impl Samples,
) -> Sweep {
    let mut done: Vec<Done> = Vec::new();
    let mut now_s = 0.0;
    let stopped = loop {
        let spent = Duration::from_secs_f64(now_s);
        let (round, order) = match next(plan, policy, &done, spent, Duration::ZERO) {
            Next::Stop(reason) => break reason,
            Next::Round { round, order } => (round, order),
        };
        samples.next_round();
        for procs in order {
            let Procs::Count(n) = procs else { continue };
            let (throughput, wall_s) = samples.next_sample(n);
            done.push(Done { round, procs, throughput: Some(throughput), wall_s });
            now_s += wall_s + STARTING_S;
        }
    };
    let evidence = evidence(target, cpus, plan, policy, &done);
    Sweep { done, stopped, took_s: now_s, plan: plan.clone(), policy, evidence }
}

fn evidence(target: &str, cpus: Option<f64>, plan: &Plan, policy: Policy, done: &[Done]) -> Evidence {
    let observations = done.iter().filter_map(|sample| {
        Some(Observation {
            n: f64::from(sample.procs.count()?),
            round: Some(sample.round),
            throughput: sample.throughput?,
            wall_s: Some(sample.wall_s),
            ..Observation::default()
        })
    });
    Evidence {
        target: target.to_owned(),
        unit: "ops/s".to_owned(),
        observations: observations.collect(),
        default: Vec::new(),
        policy,
        cpus,
        model: ModelChoice::Auto,
        seed: plan.seed,
        quick: plan.quick,
        is_workload: false,
        warnings: Vec::new(),
        places: Places::default(),
    }
}

#[cfg(test)]
mod tests;
