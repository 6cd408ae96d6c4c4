//! Two runs side by side, for people: a row a worker count, `~` where chance may be all there is.

use std::fmt::Write as _;

use comfy_table::{Attribute, Cell, Color};
use owo_colors::OwoColorize;

use super::number::{in_procs, percent, procs, quantity, seconds};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::compare::{Gate, Pair, TargetComparison, Verdict};

/// One target: its table, what follows from it, what to know. Ends with a line end.
#[must_use]
pub fn target(compared: &TargetComparison, gate: Gate) -> String {
    let mut text = format!("{} {}\n", compared.target.bold(), format!("({})", compared.unit).dimmed());
    if compared.points.is_empty() && compared.recommended.is_none() {
        text.push_str("  no worker count in common\n");
    } else {
        let _ = writeln!(text, "{}", rows(compared));
    }
    if let Some(latency) = latency(compared, gate) {
        text.push_str(&paragraph("  ", &latency));
    }
    text.push_str(&paragraph("→ ", &conclusion(compared, gate)));
    for note in &compared.warnings {
        text.push_str(&paragraph("  note: ", &format!("{} [{}]", note.text, note.code)));
    }
    text
}

fn rows(compared: &TargetComparison) -> String {
    let mut table = plain(["procs", "base", "new", "change", "95 % interval", "p", "samples", ""]);
    for pair in &compared.points {
        table.add_row(row(procs(pair.base.procs), pair));
    }
    if let Some(pair) = &compared.default {
        table.add_row(row("default".to_owned(), pair));
    }
    if let Some(pair) = &compared.recommended {
        let [before, now] = [pair.base.procs, pair.new.procs].map(procs);
        let counts = if before == now { before } else { format!("{before} → {now}") };
        table.add_row(row(format!("take {counts}"), pair));
    }
    right(&mut table, 0..=6);
    table_text(&table)
}

fn row(counts: String, pair: &Pair) -> Vec<Cell> {
    let dash = || "–".to_owned();
    let throughput = |value: Option<f64>| value.map_or_else(dash, |value| quantity(value, ""));
    let change = match pair.verdict {
        Verdict::Same | Verdict::TooFew => "~".to_owned(),
        _ => pair.ratio.map_or_else(dash, signed),
    };
    let interval =
        pair.lo.zip(pair.hi).map_or_else(dash, |(lo, hi)| format!("{} … {}", signed(lo), signed(hi)));
    let word = Cell::new(word(pair));
    let word = match pair.verdict {
        _ if pair.is_regression() => word.fg(Color::Red).add_attribute(Attribute::Bold),
        Verdict::Improvement => word.fg(Color::Green),
        _ => word,
    };
    let cells = [
        counts,
        throughput(pair.base.throughput),
        throughput(pair.new.throughput),
        change,
        interval,
        pair.p.map_or_else(dash, probability),
        format!("{}+{}", pair.base.samples, pair.new.samples),
    ];
    cells.into_iter().map(Cell::new).chain([word]).collect()
}

/// The latency at the recommended worker counts, else at the largest that have one, in a sentence.
fn latency(compared: &TargetComparison, gate: Gate) -> Option<String> {
    let pair = compared.pairs().filter(|pair| pair.latency_p99.is_some()).last()?;
    let found = pair.latency_p99?;
    let verdict = match gate.latency.map(percent) {
        None => "no gate".to_owned(),
        Some(allowed) if found.regression => format!("more than the {allowed} allowed"),
        Some(allowed) => format!("no regression beyond {allowed}"),
    };
    Some(format!(
        "p99 at {}: {} → {} ({}, p {}); {verdict}",
        in_procs(pair.new.procs),
        seconds(found.base_s),
        seconds(found.new_s),
        signed(found.ratio),
        probability(found.p)
    ))
}

/// A verdict in a word or two; nothing where there is nothing to say.
fn word(pair: &Pair) -> &'static str {
    match pair.verdict {
        verdict if pair.is_regression() && !verdict.is_regression() => "p99",
        Verdict::Regression => "regression",
        Verdict::Failed => "fails",
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Improvement => "improved",
        Verdict::Same => "",
        Verdict::TooFew => "too few",
    }
}

/// A ratio as a change: `-9.8 %`.
fn signed(ratio: f64) -> String {
    let change = percent(ratio - 1.0);
    if ratio > 1.0 { format!("+{change}") } else { change }
}

fn probability(p: f64) -> String {
    if p < 0.0005 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// What the target's comparison comes to, in a sentence.
fn conclusion(compared: &TargetComparison, gate: Gate) -> String {
    if let Some(worst) = worst(compared) {
        return format!("{}: more than the {} allowed", loss(worst), allowed(worst, gate));
    }
    let verdicts: Vec<Verdict> = compared.pairs().map(|pair| pair.verdict).collect();
    if verdicts.is_empty() {
        return "nothing to compare".to_owned();
    }
    if verdicts.iter().all(|verdict| *verdict == Verdict::TooFew) {
        return "too few samples to tell anything".to_owned();
    }
    format!("no regression beyond {}", percent(gate.threshold))
}

/// How much of what `pair` has lost would have been allowed.
#[must_use]
pub fn allowed(pair: &Pair, gate: Gate) -> String {
    let latency = gate.latency.filter(|_| !pair.verdict.is_regression());
    percent(latency.unwrap_or(gate.threshold))
}

/// The regression that costs most, if there is one.
#[must_use]
pub fn worst(compared: &TargetComparison) -> Option<&Pair> {
    let share = |pair: &Pair| pair.ratio.unwrap_or(0.0);
    let regressions = compared.pairs().filter(|pair| pair.is_regression());
    regressions.min_by(|a, b| share(a).total_cmp(&share(b)))
}

/// What a regression is, as `9.8 % less throughput at 2 procs (p 0.002)`.
#[must_use]
pub fn loss(pair: &Pair) -> String {
    let (before, now) = (procs(pair.base.procs), in_procs(pair.new.procs));
    let place = if pair.base.procs == pair.new.procs {
        format!("at {now}")
    } else {
        format!("at the recommended {now} against {before}")
    };
    if let Some(latency) = pair.latency_p99.filter(|_| !pair.verdict.is_regression()) {
        let [longer, p] = [percent(latency.ratio - 1.0), probability(latency.p)];
        return format!("a p99 that is {longer} longer {place} (p {p})");
    }
    match (pair.ratio, pair.p) {
        (Some(ratio), Some(p)) => {
            format!("{} less throughput {place} (p {})", percent(1.0 - ratio), probability(p))
        }
        _ => format!("every sample fails {place}, where {} succeeded before", pair.base.samples),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::{Latencies, Side};

    const GATE: Gate = Gate { threshold: 0.05, alpha: 0.05, latency: None };

    fn pair(ratio: Option<f64>, verdict: Verdict) -> Pair {
        let side = |procs| Side { procs, samples: 6, throughput: Some(100.0) };
        let p = ratio.map(|_| 0.0022);
        let latency_p99 =
            Some(Latencies { base_s: 0.004, new_s: 0.005, ratio: 1.25, p: 0.03, regression: false });
        Pair { base: side(2.0), new: side(2.0), ratio, lo: ratio, hi: ratio, p, verdict, latency_p99 }
    }

    #[test]
    fn the_worst_regression_is_told_with_its_numbers() {
        let compared = TargetComparison {
            target: "x".to_owned(),
            unit: "ops/s".to_owned(),
            points: vec![pair(Some(0.9), Verdict::Regression), pair(Some(0.8), Verdict::Regression)],
            recommended: Some(pair(Some(0.5), Verdict::Same)),
            default: Some(pair(Some(0.4), Verdict::Regression)),
            warnings: Vec::new(),
        };
        let text = target(&compared, GATE);
        assert!(
            text.contains("→ 20 % less throughput at 2 procs (p 0.002): more than the 5.0 % allowed"),
            "{text}"
        );
        assert!(text.contains("p99 at 2 procs: 4.00 ms → 5.00 ms (+25 %, p 0.030); no gate"), "{text}");
        assert!(
            text.contains("default") && text.contains("-10 %") && text.contains('~') && text.contains("6+6"),
            "{text}"
        );
    }

    #[test]
    fn a_longer_latency_is_told_where_it_closes_the_gate() {
        let mut slower = pair(Some(1.0), Verdict::Same);
        slower.latency_p99 = slower.latency_p99.map(|latency| Latencies { regression: true, ..latency });
        let compared = TargetComparison {
            target: "x".to_owned(),
            unit: "ops/s".to_owned(),
            points: vec![slower],
            recommended: None,
            default: None,
            warnings: Vec::new(),
        };
        let text = target(&compared, Gate { latency: Some(0.1), ..GATE });
        let told = "→ a p99 that is 25 % longer at 2 procs (p 0.030): more than the 10 % allowed";
        assert!(text.contains(told) && text.contains("; more than the 10 % allowed"), "{text}");
    }

    #[test]
    fn a_program_that_fails_is_worse_than_a_slow_one() {
        let failed = pair(None, Verdict::Failed);
        assert!(loss(&failed).starts_with("every sample fails at 2 procs"), "{}", loss(&failed));
    }
}
