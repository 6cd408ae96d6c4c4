//! One table over the CPU quotas of a target, and which rule derives its worker count from the limit best.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::number::{percent, procs, quantity};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::plan::LimitRule;
use crate::recommend::{AtQuota, Comparison, RuleLoss};

/// A loss that would be shown as `0.0 %` is not shown.
const SHOWN_LOSS: f64 = 0.000_5;

/// Table and sentence. Ends with a line end.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut table = plain(["quota", "take", "best", "throughput", "floor", "round", "ceil", "ceil+1"]);
    for quota in &comparison.quotas {
        table.add_row(row(quota));
    }
    right(&mut table, 0..=3);
    let mut text =
        format!("{} by CPU quota {}\n", comparison.target.bold(), format!("({})", comparison.unit).dimmed());
    let _ = writeln!(text, "{}", table_text(&table));
    text.push_str("  floor … ceil+1: the worker count that each makes of the quota, and its loss\n");
    text.push_str(&paragraph("→ ", &sentence(comparison)));
    text
}

fn row(quota: &AtQuota) -> Vec<String> {
    let mut cells = vec![
        quota.cpus.to_string(),
        procs(quota.recommended_procs),
        procs(quota.best_procs),
        quantity(quota.best_throughput, ""),
    ];
    cells.extend(quota.rules.iter().map(cell));
    cells
}

fn cell(rule: &RuleLoss) -> String {
    match rule.loss {
        None => format!("{}: –", rule.procs),
        Some(loss) if loss < SHOWN_LOSS => format!("{}: best", rule.procs),
        Some(loss) => format!("{}: −{}", rule.procs, percent(loss)),
    }
}

/// Which rule fits, in a sentence with the numbers of all.
#[must_use]
pub fn sentence(comparison: &Comparison) -> String {
    let Some(best) = comparison.best_rule else {
        return "no rule was measured at every quota; leave out `--procs` to measure them all".to_owned();
    };
    let loses = |rule: LimitRule| match comparison.worst(rule) {
        None => format!("{} was not measured at every quota", rule.name()),
        Some((_, loss)) if loss < SHOWN_LOSS => format!("{} loses nothing", rule.name()),
        Some((cpus, loss)) => format!("{} loses up to {} (at {cpus})", rule.name(), percent(loss)),
    };
    let others = |is_alike: bool| {
        let rules = LimitRule::ALL.into_iter().filter(move |rule| *rule != best);
        let of_kind = rules.filter(|rule| comparison.alike.contains(rule) == is_alike);
        of_kind.map(loses).collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("`{}` of the limit fits this program best: {}", best.name(), loses(best));
    for (lead, part) in [("; as well within 2 %: ", others(true)), ("; worse: ", others(false))] {
        if !part.is_empty() {
            let _ = write!(text, "{lead}{part}");
        }
    }
    let measured = comparison.quotas.iter().flat_map(|quota| &quota.rules).filter(|rule| rule.loss.is_some());
    if measured.into_iter().any(|rule| rule.loss_p95.is_none()) {
        text.push_str(" (too few rounds to be sure)");
    }
    text
}
