//! How an answer came about, in numbers: what `--explain` shows.

use super::fit;
use super::policy::Rule;
use super::scene::Scene;
use crate::model::Tried;
use crate::plan::Policy;
use crate::results::Recommendation;
use crate::stats;

/// Shares that the other policies are tried with. Those that people use.
const EFFICIENCIES: [f64; 2] = [0.7, 0.5];
const TOLERANCES: [f64; 4] = [0.0, 0.01, 0.05, 0.1];

/// An answer with everything that led to it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The answer.
    pub answer: Recommendation,
    /// How each worker count stands against the best, ascending.
    pub standings: Vec<Standing>,
    /// The share of the best throughput that the policy lets go; `None` if it does not go by throughput.
    pub tolerance: Option<f64>,
    /// Rounds that were measured; `None` for a plain table, whose rows are no rounds.
    pub rounds: Option<u32>,
    /// The policy's own measure was measured nowhere, so the knee was taken.
    pub is_knee_instead: bool,
    /// More workers than CPUs would have been taken, but their gain is not measured well enough: the CPUs.
    pub held_back_at: Option<f64>,
    /// Every law that was tried, the simplest first.
    pub laws: Vec<Tried>,
    /// Worker count up to which laws were fitted: the CPUs or the quota.
    pub ceiling: Option<f64>,
    /// What other policies give, where it is something else.
    pub alternatives: Vec<Alternative>,
}

/// One worker count against the best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// The worker count.
    pub procs: f64,
    /// Its samples.
    pub samples: usize,
    /// The last round that measured it; `None` for a plain table.
    pub last_round: Option<u32>,
    /// Throughput over that of the best, within rounds.
    pub ratio: f64,
    /// Its 95 % interval; `None` for the best itself, and where no worker count has enough samples.
    pub ratio_interval: Option<[f64; 2]>,
    /// What the policy looks at beside throughput: seconds (latency, or CPU time per op).
    pub second: Option<f64>,
    /// Share of the curves that may be behind the samples on which the policy chooses it.
    pub share: Option<f64>,
    /// Whether the policy may choose it by its throughput.
    pub is_within: bool,
}

/// Another policy, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alternative {
    /// The policy.
    pub policy: Policy,
    /// The worker count that it gives from the same samples.
    pub procs: f64,
}

impl Explanation {
    pub(super) fn new(scene: &Scene<'_>, answer: Recommendation) -> Self {
        let tolerance = match scene.rule {
            Rule::Knee(tolerance) | Rule::Cost(tolerance) => Some(tolerance),
            Rule::Efficiency(_) | Rule::Latency(_) => None,
        };
        let is_free = scene.admitted == scene.len();
        let rounds = scene.evidence.observations.iter().filter_map(|o| o.round);
        Self {
            answer,
            standings: standings(scene, tolerance),
            tolerance,
            rounds: if scene.rounds.is_table { None } else { rounds.max() },
            is_knee_instead: matches!(
                (scene.rule, scene.evidence.policy),
                (Rule::Knee(_), Policy::Latency { .. } | Policy::Cost { .. })
            ),
            held_back_at: scene.cpus.filter(|_| !is_free),
            laws: fit::tried(scene),
            ceiling: scene.ceiling,
            alternatives: alternatives(scene),
        }
    }
}

fn standings(scene: &Scene<'_>, tolerance: Option<f64>) -> Vec<Standing> {
    let levels = &scene.estimate.level;
    let noise = scene.noise;
    let best = scene.estimate.best(|point| point < scene.admitted);
    let standing = |point: usize| {
        let group = &scene.groups[point];
        let log = levels[point] - levels[best];
        let half = stats::student_t_between(noise.freedom)
            .map(|t| t * noise.errors[point].hypot(noise.errors[best]))
            .filter(|_| point != best && group.samples.len() > 1);
        let loss = scene.estimate.loss(point, best);
        Standing {
            procs: group.n,
            samples: group.samples.len(),
            last_round: group.samples.iter().filter_map(|sample| sample.round).max(),
            ratio: log.exp(),
            ratio_interval: half.map(|half| [(log - half).exp(), (log + half).exp()]),
            second: scene.estimate.second[point].map(f64::exp),
            share: scene.spread.map(|spread| spread.shares[point]),
            is_within: point < scene.admitted
                && tolerance.is_some_and(|share| loss <= share + super::policy::ROUNDING),
        }
    };
    (0..scene.len()).map(standing).collect()
}

/// What other policies give among the same worker counts, where that is not the answer; each result once.
fn alternatives(scene: &Scene<'_>) -> Vec<Alternative> {
    let n: Vec<f64> = scene.groups.iter().map(|group| group.n).collect();
    let own = scene.evidence.policy;
    let knees = TOLERANCES.map(|tolerance| Policy::Knee { tolerance });
    let efficiencies = EFFICIENCIES.map(|at_least| Policy::Efficiency { at_least });
    let mut found: Vec<Alternative> = Vec::new();
    for policy in knees.into_iter().chain(efficiencies) {
        let rule = Rule::new(policy, scene.estimate);
        let point = rule.choose(&n, scene.estimate, |point| point < scene.admitted);
        let is_new = found.iter().all(|other| other.procs != n[point]);
        if policy != own && point != scene.chosen && is_new {
            found.push(Alternative { policy, procs: n[point] });
        }
    }
    found
}
