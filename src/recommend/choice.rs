//! The choice itself, and how sure it is.

use super::draws::{Drawing, Draws, Spread};
use super::group::Group;
use super::policy::Rule;
use super::rounds::Known;
use super::scene::within;
use super::{INSIDE_NOISE, SURE};

/// What was chosen, and what drawn curves choose where there was enough to draw them from.
pub(super) struct Choice {
    /// Index of the worker count.
    pub(super) chosen: usize,
    /// How many of the worker counts, from the smallest on, it was chosen among.
    pub(super) admitted: usize,
    pub(super) spread: Option<Spread>,
}

/// Applies `rule`. More workers than CPUs are chosen for their throughput only if the gain over the best of the others
/// is measured: more than noise, and on nearly all drawn curves; with too few rounds to draw any, in every sample.
pub(super) fn choose(
    rule: Rule,
    groups: &[Group<'_>],
    known: &Known,
    cpus: Option<f64>,
    drawing: Drawing,
) -> Choice {
    let estimate = &known.estimate;
    let inside = within(groups, cpus);
    let free = decide(rule, known, inside, groups.len(), drawing);
    let is_gain_needed = rule.wants_throughput() && inside > 0 && free.chosen >= inside;
    if !is_gain_needed {
        return free;
    }
    let rival = estimate.best(|point| point < inside);
    let gain = (estimate.level[free.chosen] - estimate.level[rival]).exp_m1();
    let is_sure = match &free.spread {
        Some(spread) => spread.wins >= SURE,
        None => is_always_faster(&groups[free.chosen], &groups[rival]),
    };
    if gain > INSIDE_NOISE && is_sure { free } else { decide(rule, known, inside, inside, drawing) }
}

/// Whether the slowest sample of one is faster than the fastest of the other: by chance one time in 20 with three each.
fn is_always_faster(one: &Group<'_>, other: &Group<'_>) -> bool {
    let slowest = one.throughputs.first().copied().unwrap_or(0.0);
    let fastest = other.throughputs.last().copied().unwrap_or(f64::INFINITY);
    slowest > fastest
}

/// Decides among the first `limit` worker counts; the first `inside` of them have a CPU for each worker.
fn decide(rule: Rule, known: &Known, inside: usize, limit: usize, drawing: Drawing) -> Choice {
    let Known { n, rounds, estimate, .. } = known;
    let may = |point: usize| point < limit;
    let chosen = rule.choose(n, estimate, may);
    let rival = estimate.best(|point| point < inside.max(1));
    // In a plain table every value stands or falls by its own rows; in rounds the rest may have left early.
    let needed: Vec<usize> =
        if rounds.is_table { (0..n.len()).collect() } else { vec![chosen, estimate.best(|_| true)] };
    let spread = Draws::new(known, &needed)
        .map(|draws| draws.decide(drawing, chosen, rival, |curve| rule.choose(n, curve, may)));
    Choice { chosen, admitted: limit, spread }
}
