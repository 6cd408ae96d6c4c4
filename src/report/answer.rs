//! One target's answer for people: its points, what to take, why, and what to know before believing it.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{Attribute, Cell};
use owo_colors::OwoColorize;

use super::number::{bar, interval, percent, procs, quantity, times};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::results::{DefaultPoint, Note, Point, REPORT, Recommendation, Saved};
use crate::target::Procs;

/// Cells of the bar beside a point.
const BAR_WIDTH: usize = 12;

/// The answer of a sweep that has just ended, with its files; says so where no sample succeeded.
#[must_use]
pub fn of_target(saved: &Saved, folder: &Path) -> String {
    let mut text = match &saved.manifest.recommendation {
        Some(answer) => with_notes(answer, answer.warnings.iter().filter(|note| !is_of_the_machine(note))),
        None => nothing(saved),
    };
    let report = if folder.join(REPORT).exists() { ", report.html for a browser" } else { "" };
    let flames = if folder.join("flame").exists() { ", flame graphs in flame/" } else { "" };
    let _ = writeln!(text, "  files: {}{report}{flames}", folder.display());
    text
}

/// The answer: table, verdict, reasons, warnings. Ends with a line end.
#[must_use]
pub fn full(answer: &Recommendation) -> String {
    with_notes(answer, &answer.warnings)
}

/// How the codes of notes about the machine begin, which a sweep says once for all its targets.
const OF_THE_MACHINE: &str = "machine-";

fn with_notes<'a>(answer: &Recommendation, notes: impl IntoIterator<Item = &'a Note>) -> String {
    let mut text = format!("{} {}\n", answer.target.bold(), format!("({})", answer.unit).dimmed());
    let _ = writeln!(text, "{}", points(answer));
    text.push_str(&paragraph("→ ", &verdict(answer)));
    let (gain, why): (Vec<_>, Vec<_>) = answer.reasons.iter().partition(|reason| reason.code == GAIN);
    for reason in why.iter().take(REASONS_SHOWN) {
        text.push_str(&paragraph("  why: ", &reason.text));
    }
    for reason in gain {
        text.push_str(&paragraph("  gain: ", &reason.text));
    }
    push_notes(&mut text, notes);
    text
}

fn push_notes<'a>(text: &mut String, notes: impl IntoIterator<Item = &'a Note>) {
    for Note { code, text: what } in notes {
        text.push_str(&paragraph("  note: ", &format!("{what} [{code}]")));
    }
}

/// Whether a sweep says the note once for all its targets.
fn is_of_the_machine(note: &Note) -> bool {
    note.code.starts_with(OF_THE_MACHINE)
}

/// Whether the answer comes from `--quick`, which is said beside every verdict.
pub(super) fn is_quick(answer: &Recommendation) -> bool {
    answer.warnings.iter().any(|note| note.code == "quick")
}

/// A regret that would be shown as `0.0 %` is not shown.
const SHOWN_REGRET: f64 = 0.000_5;

/// Worker counts shown on a terminal, about; of more, which only a table of somebody else's has, an even choice.
const POINTS_SHOWN: usize = 100;

/// Reasons shown on a terminal; the JSON has them all.
const REASONS_SHOWN: usize = 2;

/// Code of the reason that says what is gained over the default, which has a line of its own.
const GAIN: &str = "gain-over-default";

/// What to take, in a sentence: `GOMAXPROCS=2 gives 1.98× …, confidence 99 %`.
#[must_use]
pub fn verdict(answer: &Recommendation) -> String {
    let mut text = format!("take {}", procs(answer.recommended_procs));
    let is_more = answer.recommended_procs > 1.0;
    if let Some(speedup) = chosen(answer).and_then(|point| point.speedup).filter(|_| is_more) {
        let _ = write!(text, ": {} the throughput of 1", times(speedup));
    }
    match answer.confidence {
        Some(confidence) => {
            let _ = write!(text, "; confidence {}", certainty(confidence));
        }
        None => text.push_str("; confidence unknown"),
    }
    if let Some([low, high]) = answer.interval.filter(|[low, high]| low < high) {
        let _ = write!(text, " (95 % interval: {} to {})", procs(low), procs(high));
    }
    if let Some(regret) = answer.regret.filter(|regret| regret.p95 >= SHOWN_REGRET) {
        let _ = write!(text, "; at most {} below the best", percent(regret.p95));
    }
    if let Some(floor) = answer.noise_floor {
        let _ = write!(text, "; noise floor {}", percent(floor));
    }
    if is_quick(answer) {
        text.push_str(" (quick)");
    }
    text
}

/// A confidence as `97 %`; never rounded up to a certainty that a finite number of drawn curves cannot give.
#[must_use]
pub fn certainty(confidence: f64) -> String {
    if confidence > 0.99 { "> 99 %".to_owned() } else { percent(confidence) }
}

/// The point that was chosen.
#[must_use]
pub fn chosen(answer: &Recommendation) -> Option<&Point> {
    answer.points.iter().find(|point| point.procs == answer.recommended_procs)
}

fn points(answer: &Recommendation) -> String {
    let mut table = plain(["", "procs", "throughput", "95 % interval", "speedup", "efficiency", ""]);
    let throughputs = answer.points.iter().map(|point| point.throughput);
    let of_default = answer.default.as_ref().map(|default| default.throughput);
    let best = throughputs.chain(of_default).fold(f64::MIN_POSITIVE, f64::max);
    let (last, stride) = (answer.points.len().saturating_sub(1), answer.points.len().div_ceil(POINTS_SHOWN));
    for (place, point) in answer.points.iter().enumerate() {
        let is_chosen = point.procs == answer.recommended_procs;
        if !(is_chosen || place == last || place.is_multiple_of(stride)) {
            continue;
        }
        let cells = [
            if is_chosen { "→".to_owned() } else { String::new() },
            procs(point.procs),
            quantity(point.throughput, ""),
            point.lo.zip(point.hi).map_or_else(|| "–".to_owned(), |(low, high)| interval(low, high)),
            point.speedup.map_or_else(|| "–".to_owned(), times),
            point.efficiency.map_or_else(|| "–".to_owned(), percent),
            bar(point.throughput / best, BAR_WIDTH),
        ];
        table.add_row(cells.map(|text| {
            let cell = Cell::new(text);
            if is_chosen { cell.add_attribute(Attribute::Bold) } else { cell }
        }));
    }
    if let Some(default) = &answer.default {
        table.add_row(default_cells(default, best));
    }
    right(&mut table, 1..=5);
    let mut text = table_text(&table);
    if stride > 1 {
        let _ =
            write!(text, "\n    one in {stride} of {} worker counts; `--json` has all", answer.points.len());
    }
    text
}

fn default_cells(default: &DefaultPoint, best: f64) -> [String; 7] {
    [
        String::new(),
        Procs::Default.to_string(),
        quantity(default.throughput, ""),
        default.lo.zip(default.hi).map_or_else(|| "–".to_owned(), |(low, high)| interval(low, high)),
        default.speedup.map_or_else(|| "–".to_owned(), times),
        "–".to_owned(),
        bar(default.throughput / best, BAR_WIDTH),
    ]
}

fn nothing(saved: &Saved) -> String {
    let mut text = format!("{}\n", saved.manifest.target.bold());
    text.push_str(&paragraph(
        "  ",
        &format!("no recommendation: none of {} samples succeeded", saved.rows.len()),
    ));
    push_notes(&mut text, saved.manifest.warnings.iter().filter(|note| !is_of_the_machine(note)));
    text
}
