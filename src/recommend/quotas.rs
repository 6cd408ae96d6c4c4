//! Which rule derives the worker count from a CPU limit best: floor, round, ceil, or one more.
//!
//! At each quota every rule names a worker count, and what is lost there against the best one measured is its loss. The
//! rule that fits is the one whose largest loss over the quotas is smallest; of those that are alike within the
//! planner's precision, the one of the fewest workers, since workers cost memory and switches.

use serde::Serialize;

use super::draws::{DRAWS, Drawing, Draws};
use super::rounds::Known;
use super::{Evidence, INSIDE_NOISE, group};
use crate::plan::LimitRule;
use crate::results::Recommendation;

/// What a rule loses at one quota.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct RuleLoss {
    /// The rule.
    pub rule: LimitRule,
    /// The worker count that it gives.
    pub procs: u32,
    /// Share of the best throughput that is lost at that worker count; `None` if it was not measured.
    pub loss: Option<f64>,
    /// The loss that 95 % of the drawn curves do not exceed; `None` below 4 rounds.
    pub loss_p95: Option<f64>,
    /// 99th percentile of the latency there, seconds, where the program reports it.
    pub latency_p99_s: Option<f64>,
}

/// A target at one quota.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AtQuota {
    /// The quota, in CPUs.
    pub cpus: f64,
    /// Name of the target under it.
    pub target: String,
    /// The worker count to take, by the sweep's policy.
    pub recommended_procs: f64,
    /// The one of the highest throughput.
    pub best_procs: f64,
    /// Throughput there.
    pub best_throughput: f64,
    /// What each rule loses.
    pub rules: Vec<RuleLoss>,
}

/// A target over several quotas.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Comparison {
    /// Name of the target, without a quota.
    pub target: String,
    /// Unit of its throughput.
    pub unit: String,
    /// One a quota, ascending.
    pub quotas: Vec<AtQuota>,
    /// The rule that fits best; `None` if none was measured at every quota.
    pub best_rule: Option<LimitRule>,
    /// The rules that do as well within the precision, the best among them.
    pub alike: Vec<LimitRule>,
}

/// The target at the quota `cpus`, from its samples and the answer they gave; `None` if there is no usable sample.
#[must_use]
pub fn at_quota(evidence: &Evidence, answer: &Recommendation, cpus: f64) -> Option<AtQuota> {
    let groups = group::group(&evidence.observations);
    let known = Known::new(&groups, None);
    let estimate = &known.estimate;
    let best = estimate.best(|_| true);
    let rules = LimitRule::ALL.map(|rule| {
        let procs = rule.procs(cpus);
        let point = groups.iter().position(|group| group.n == f64::from(procs));
        let p95 = |point| {
            let draws = Draws::new(&known, &[point, best])?;
            let drawing = Drawing { seed: evidence.seed, most: DRAWS };
            Some(draws.decide(drawing, point, best, |_| point).loss(0.95))
        };
        let loss = point.map(|point| estimate.loss(point, best));
        let measured = answer.points.iter().find(|point| point.procs == f64::from(procs));
        let latency_p99_s = measured.and_then(|point| point.latency_p99_s);
        RuleLoss { rule, procs, loss, loss_p95: point.and_then(p95), latency_p99_s }
    });
    Some(AtQuota {
        cpus,
        target: evidence.target.clone(),
        recommended_procs: answer.recommended_procs,
        best_procs: groups.get(best)?.n,
        best_throughput: groups[best].throughput(),
        rules: rules.to_vec(),
    })
}

/// Compares the rules over `quotas`; `None` if there are none.
#[must_use]
pub fn compare(target: &str, unit: &str, quotas: Vec<AtQuota>) -> Option<Comparison> {
    if quotas.is_empty() {
        return None;
    }
    let mut comparison = Comparison {
        target: target.to_owned(),
        unit: unit.to_owned(),
        quotas,
        best_rule: None,
        alike: Vec::new(),
    };
    let worst: Vec<(LimitRule, f64)> =
        LimitRule::ALL.into_iter().filter_map(|rule| Some((rule, comparison.worst(rule)?.1))).collect();
    let least = worst.iter().map(|(_, loss)| *loss).min_by(f64::total_cmp);
    let alike = worst.iter().filter(|(_, loss)| least.is_some_and(|least| *loss <= least + INSIDE_NOISE));
    comparison.alike = alike.map(|(rule, _)| *rule).collect();
    comparison.best_rule = comparison.alike.first().copied();
    Some(comparison)
}

impl Comparison {
    /// Where a rule loses most: the quota, and the loss there. `None` if it was not measured at every quota.
    #[must_use]
    pub fn worst(&self, rule: LimitRule) -> Option<(f64, f64)> {
        let of = |quota: &AtQuota| {
            let loss = quota.rules.iter().find(|loss| loss.rule == rule)?.loss?;
            Some((quota.cpus, loss))
        };
        let losses: Option<Vec<(f64, f64)>> = self.quotas.iter().map(of).collect();
        losses?.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// Where another rule shortens the 99th percentile of the latency most against `rule`: the quota, what `rule` has
    /// there, and the other with its own. `None` if no latency was measured.
    #[must_use]
    pub fn shorter_latency(&self, rule: LimitRule) -> Option<(f64, f64, RuleLoss)> {
        let pairs = self.quotas.iter().flat_map(|quota| {
            let own = quota.rules.iter().find(|loss| loss.rule == rule).and_then(|loss| loss.latency_p99_s);
            let others = quota.rules.iter().filter(|loss| loss.latency_p99_s.is_some());
            others.filter_map(move |other| Some((quota.cpus, own?, *other)))
        });
        let ratio =
            |(_, own, other): &(f64, f64, RuleLoss)| own / other.latency_p99_s.unwrap_or(f64::INFINITY);
        // Of rules that give the same worker count, the first.
        pairs.min_by(|a, b| ratio(b).total_cmp(&ratio(a)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ModelChoice, Observation, Places, decide};
    use super::*;
    use crate::plan::Policy;

    /// Six rounds at each worker count, whose throughput is `curve`.
    fn measured(cpus: f64, procs: &[u32], curve: impl Fn(f64) -> f64) -> AtQuota {
        let noise = |round: u32| 1.0 + 0.001 * f64::from(round % 3);
        let rounds = (1..=6).flat_map(|round| procs.iter().map(move |n| (round, f64::from(*n))));
        let evidence = Evidence {
            target: format!("app@cpus-{cpus}"),
            unit: "ops/s".to_owned(),
            observations: rounds
                .map(|(round, n)| Observation {
                    n,
                    latency_p99_s: (cpus == 1.0).then_some(0.01 * n * n),
                    round: Some(round),
                    throughput: curve(n) * noise(round),
                    ..Observation::default()
                })
                .collect(),
            policy: Policy::default(),
            cpus: Some(cpus),
            model: ModelChoice::Auto,
            seed: 1,
            quick: false,
            is_workload: true,
            warnings: Vec::new(),
            places: Places::default(),
            default: Vec::new(),
        };
        at_quota(&evidence, &decide(&evidence).unwrap(), cpus).unwrap()
    }

    #[test]
    fn a_program_that_scales_needs_the_limit_rounded_up() {
        let at = |cpus: f64| measured(cpus, &[1, 2, 3, 4], |n| 100.0 * n.min(cpus));
        let compared = compare("app", "ops/s", vec![at(0.5), at(1.25), at(2.25)]).unwrap();
        assert_eq!(compared.best_rule, Some(LimitRule::Ceil));
        assert_eq!(compared.alike, [LimitRule::Ceil, LimitRule::CeilPlusOne]);
        let (cpus, loss) = compared.worst(LimitRule::Floor).unwrap();
        assert!(cpus == 1.25 && (loss - 0.2).abs() < 0.01, "{cpus} {loss}");
        let p95 = compared.quotas[1].rules[0].loss_p95.unwrap();
        assert!((p95 - 0.2).abs() < 0.01, "{p95}");
    }

    #[test]
    fn a_program_that_more_workers_slow_down_needs_it_rounded_down() {
        let at = |cpus: f64| measured(cpus, &[1, 2, 3], |n| 100.0 / n);
        let compared = compare("app", "ops/s", vec![at(0.5), at(1.5)]).unwrap();
        assert_eq!((compared.best_rule, compared.alike.len()), (Some(LimitRule::Floor), 1));
    }

    #[test]
    fn the_latency_that_more_workers_cost_is_found() {
        let at = |cpus: f64| measured(cpus, &[1, 2, 3], |n| 100.0 + n);
        let compared = compare("app", "ops/s", vec![at(0.5), at(1.0)]).unwrap();
        let (cpus, own_s, other) = compared.shorter_latency(LimitRule::CeilPlusOne).unwrap();
        assert_eq!((cpus, own_s), (1.0, 0.04));
        assert_eq!((other.rule, other.latency_p99_s), (LimitRule::Floor, Some(0.01)));
    }

    #[test]
    fn a_rule_that_was_not_measured_everywhere_is_not_judged() {
        let compared = compare("app", "ops/s", vec![measured(1.5, &[1, 2], |n| n)]).unwrap();
        assert_eq!(compared.worst(LimitRule::CeilPlusOne), None);
        assert_eq!(compared.alike, [LimitRule::Round, LimitRule::Ceil]);
        assert_eq!(compared.quotas[0].rules[3].loss, None);
        assert_eq!(compare("app", "ops/s", Vec::new()), None);
    }
}
