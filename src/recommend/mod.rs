//! Which worker count to take: points, policy, how sure it is, reasons. Pure functions; every number comes from its input.

mod choice;
mod dearer;
mod default;
mod draws;
mod explanation;
mod facts;
mod fit;
mod floor;
mod group;
mod noise;
mod places;
mod policy;
mod quotas;
mod reasons;
mod rounds;
mod scene;
#[cfg(test)]
mod simulation;
mod smooth;
mod stack;
#[cfg(test)]
mod tests;
mod text;
mod waits;
mod walk;
mod warnings;

use self::draws::{DRAWS, Drawing};
use self::facts::Facts;
use self::policy::{Rule, Second};
use self::rounds::Known;
use self::scene::Scene;
use crate::plan::Policy;
use crate::results::{DefaultPoint, Note, Recommendation, Regret, SCHEMA};
pub use explanation::{Alternative, Explanation, Standing};
pub use places::Places;
pub use quotas::{AtQuota, Comparison, RuleLoss, at_quota, compare};
pub use stack::Spent;

/// Everything a decision is made from; by default nothing.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Name of the target.
    pub target: String,
    /// Unit of the throughput.
    pub unit: String,
    /// Successful samples, in the order they were measured.
    pub observations: Vec<Observation>,
    /// Successful samples with no worker count set, likewise; their `n` says nothing.
    pub default: Vec<Observation>,
    /// How the worker count is chosen.
    pub policy: Policy,
    /// CPUs the program could use (affinity or quota, whichever is less); `None` for a plain table: no ceiling.
    pub cpus: Option<f64>,
    /// Fit R's USL (unweighted least squares of X on N, lambda free, no ceiling) whatever the data say.
    pub model: ModelChoice,
    /// Seed of the draws.
    pub seed: u64,
    /// Measured with `--quick`: said beside the answer.
    pub quick: bool,
    /// The target is a bundled workload: its unit, and what its counters mean, are known.
    pub is_workload: bool,
    /// What was noticed while measuring: passed on into the answer's warnings.
    pub warnings: Vec<Note>,
    /// Where in the code its CPU time goes, by the profiles that were taken; empty without any.
    pub places: Places,
}

/// Which model is fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelChoice {
    /// Whichever fits best.
    #[default]
    Auto,
    /// The USL as R's `usl` fits it.
    UslAsR,
}

/// One successful sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Worker count (or average concurrency): positive and finite.
    pub n: f64,
    /// Round it was measured in; `None` in a plain table.
    pub round: Option<u32>,
    /// Positive and finite.
    pub throughput: f64,
    /// Seconds from exec to exit.
    pub wall_s: Option<f64>,
    /// Seconds of the timed part.
    pub elapsed_s: Option<f64>,
    /// Operations done.
    pub ops: Option<f64>,
    /// Latency percentiles, seconds, for latency policies.
    pub latency_p50_s: Option<f64>,
    /// 90th.
    pub latency_p90_s: Option<f64>,
    /// 99th.
    pub latency_p99_s: Option<f64>,
    /// 99.9th.
    pub latency_p999_s: Option<f64>,
    /// CPU time of the process, user and kernel.
    pub user_s: Option<f64>,
    /// Kernel part.
    pub sys_s: Option<f64>,
    /// Peak resident memory.
    pub max_rss_bytes: Option<f64>,
    /// Quota in force.
    pub cpu_quota: Option<f64>,
    /// Throttled by it.
    pub throttled_s: Option<f64>,
    /// Periods of the quota in which it ran out.
    pub throttled_periods: Option<f64>,
    /// Periods of the quota in which anything ran.
    pub quota_periods: Option<f64>,
    /// Runnable but without a CPU.
    pub run_queue_wait_s: Option<f64>,
    /// Thread switches.
    pub context_switches: Option<f64>,
    /// Instructions, cycles and cache misses where there is a PMU.
    pub instructions: Option<f64>,
    /// Cycles.
    pub cycles: Option<f64>,
    /// Last-level cache misses.
    pub cache_misses: Option<f64>,
    /// Goroutine parks of the bundled runtime.
    pub parks: Option<f64>,
    /// Handoffs (blocking calls).
    pub handoffs: Option<f64>,
    /// Where the time of its processors went, if anything is known of it. Boxed for tables of a million rows, which know
    /// nothing of it.
    pub spent: Option<Box<Spent>>,
}

/// A gain at most this large is inside the noise that the planner leaves (its default precision).
const INSIDE_NOISE: f64 = 0.02;
/// Share of the drawn curves on which more workers than CPUs must win to be taken.
const SURE: f64 = 0.95;
/// Busy part of the one CPU it could use, from which a program computes more than it waits. Guess.
const CPU_BOUND: f64 = 0.7;
/// Busy part of all CPUs there are, from which they are full: start and end of a process keep none busy. Guess.
const NEARLY_FULL: f64 = 0.9;
/// CPU time over wall may exceed the worker count by this share: beside the workers, a runtime has helpers.
const KNOB_TOLERANCE: f64 = 0.1;

/// Decides; `None` if there is no observation at all. The same evidence gives the same answer, bit for bit.
#[must_use]
pub fn decide(evidence: &Evidence) -> Option<Recommendation> {
    decide_with(evidence, DRAWS)
}

/// As [`decide`], with at most `draws` drawn curves (at least 1): for simulations of thousands of sweeps.
#[must_use]
pub fn decide_with(evidence: &Evidence, draws: usize) -> Option<Recommendation> {
    judge(evidence, draws, recommendation)
}

/// Decides again and says how: everything that led to the answer of [`decide`].
#[must_use]
pub fn explain(evidence: &Evidence) -> Option<Explanation> {
    judge(evidence, DRAWS, |scene| Explanation::new(scene, recommendation(scene)))
}

/// Makes the choice and hands over all that is known then; `None` if there is no observation at all.
fn judge<T>(evidence: &Evidence, draws: usize, then: impl FnOnce(&Scene<'_>) -> T) -> Option<T> {
    let groups = group::group(&evidence.observations);
    if groups.is_empty() {
        return None;
    }
    let facts: Vec<Facts> = groups.iter().map(Facts::new).collect();
    let stacks = stack::stacks(&groups);
    let cpus = usable_cpus(evidence);
    let ignored = ignored_knob(evidence, &facts);
    let keeps_busy =
        |least: f64| cpus.filter(|&cpus| most_busy(&facts).is_none_or(|most| most >= least * cpus.min(1.0)));
    // A program whose CPU time stays below its wall time at every setting has no ceiling of CPUs; one CPU or a quota
    // below one is never quite full.
    let ceiling = keeps_busy(if cpus.is_some_and(|cpus| cpus <= 1.0) { NEARLY_FULL } else { 1.0 });
    let fit = fit::fit(evidence, &groups, ceiling);

    let known = Known::new(&groups, Second::of_policy(evidence.policy));
    let rule = Rule::new(evidence.policy, &known.estimate);
    let drawing = Drawing { seed: evidence.seed, most: draws.max(1) };
    let choice = choice::choose(rule, &groups, &known, cpus, drawing);
    let spread = choice.spread.filter(|_| groups.len() > 1 && ignored.is_none());

    Some(then(&Scene {
        evidence,
        groups: &groups,
        facts: &facts,
        stacks: &stacks,
        rounds: &known.rounds,
        estimate: &known.estimate,
        noise: &known.noise,
        rule,
        chosen: choice.chosen,
        admitted: choice.admitted,
        best: known.estimate.best(|_| true),
        spread: spread.as_ref(),
        fit: fit.as_ref(),
        law: fit.as_ref().map(|fit| &fit.law),
        ceiling,
        cpus,
        bound: cpus.filter(|cpus| most_wanted(&facts).is_none_or(|most| most >= CPU_BOUND * cpus.min(1.0))),
        ignored,
    }))
}

fn recommendation(scene: &Scene<'_>) -> Recommendation {
    let evidence = scene.evidence;
    let default = default::compare(scene);
    Recommendation {
        schema: SCHEMA,
        target: evidence.target.clone(),
        unit: evidence.unit.clone(),
        policy: evidence.policy,
        recommended_procs: scene.n(scene.chosen),
        interval: scene.spread.map(|spread| spread.interval(scene.chosen).map(|point| scene.n(point))),
        confidence: scene.spread.map(|spread| spread.shares[scene.chosen]),
        noise_floor: floor::noise_floor(scene.rounds, scene.chosen, closest(scene.estimate, scene.chosen)),
        regret: scene.spread.map(|spread| Regret { p50: spread.loss(0.5), p95: spread.loss(0.95) }),
        best_procs: scene.n(scene.best),
        model: fit::written(scene),
        points: group::points(scene.groups),
        stack: scene.stacks.iter().flatten().cloned().collect(),
        reasons: reasons(scene, default.as_ref()),
        warnings: warnings(scene, default.as_ref()),
        default,
    }
}

fn reasons(scene: &Scene<'_>, default: Option<&DefaultPoint>) -> Vec<Note> {
    let mut notes = reasons::reasons(scene);
    notes.extend(default.map(|default| default::reason(scene, default)));
    notes
}

fn warnings(scene: &Scene<'_>, default: Option<&DefaultPoint>) -> Vec<Note> {
    let mut notes = warnings::warnings(scene);
    notes.extend(default.and_then(default::warning));
    notes
}

/// The CPUs that evidence names, or the quota that its samples ran under if that is less.
fn usable_cpus(evidence: &Evidence) -> Option<f64> {
    let quotas = evidence.observations.iter().filter_map(|o| o.cpu_quota).filter(|quota| *quota > 0.0);
    evidence.cpus.filter(|cpus| *cpus > 0.0).map(|cpus| quotas.fold(cpus, f64::min))
}

/// The other worker count whose throughput is nearest; `None` if there is none.
fn closest(estimate: &rounds::Estimate, chosen: usize) -> Option<usize> {
    let distance = |point: usize| (estimate.level[point] - estimate.level[chosen]).abs();
    let others = (0..estimate.level.len()).filter(|&point| point != chosen);
    others.min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
}

/// The most CPUs that any setting keeps busy; `None` if no CPU time was measured.
fn most_busy(facts: &[Facts]) -> Option<f64> {
    facts.iter().filter_map(|facts| facts.busy).max_by(f64::total_cmp)
}

/// The same, had it never waited for a CPU: on a machine that others use too, a program that computes keeps few CPUs busy,
/// but it does not wait for anything else.
fn most_wanted(facts: &[Facts]) -> Option<f64> {
    facts.iter().filter_map(|facts| facts.wanted.or(facts.busy)).max_by(f64::total_cmp)
}

/// The worker count whose CPU time over wall exceeds it most, if by more than [`KNOB_TOLERANCE`]. Blocking calls of the
/// bundled runtime run beside its processors, so a workload that makes some may exceed them.
fn ignored_knob(evidence: &Evidence, facts: &[Facts]) -> Option<usize> {
    if evidence.is_workload
        && evidence.observations.iter().any(|o| o.handoffs.is_some_and(|handoffs| handoffs > 0.0))
    {
        return None;
    }
    let excess = |facts: &Facts| facts.busy.map_or(0.0, |busy| busy / facts.n);
    let worst = (0..facts.len()).min_by(|&a, &b| excess(&facts[b]).total_cmp(&excess(&facts[a])))?;
    (excess(&facts[worst]) > 1.0 + KNOB_TOLERANCE).then_some(worst)
}
