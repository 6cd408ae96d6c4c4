//! One table over all targets of a sweep.

use std::fmt::Write as _;
use std::path::Path;

use comfy_table::{Attribute, Cell};

use super::answer::{certainty, chosen, is_quick};
use super::number::{quantity, times};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::machine::Machine;
use crate::measure::Availability;
use crate::results::Manifest;

/// Characters of a reason in the table; the whole of it stands with the target.
const REASON_WIDTH: usize = 30;

/// What to take for each target, and why in a few words.
#[must_use]
pub fn text(manifests: &[&Manifest], machine: &Machine, out: &Path) -> String {
    let mut table = plain(["target", "take", "throughput", "speedup", "confidence", "because"]);
    for manifest in manifests {
        table.add_row(row(manifest));
    }
    right(&mut table, 1..=4);
    let cpus = machine.usable_cpus();
    let mut text = format!("{}\n", table_text(&table));
    let plural = |count: f64| if count == 1.0 { "" } else { "s" };
    let (targets, s) = (manifests.len(), plural(manifests.len() as f64));
    let _ = write!(text, "\n{targets} target{s} on {cpus} CPU{}; files in {}", plural(cpus), out.display());
    text
}

/// Which columns are empty or see less than all, why, and how to get them; nothing if all is counted.
#[must_use]
pub fn not_counted(counters: &Availability) -> String {
    counters.remarks().iter().map(|remark| paragraph("not counted: ", remark)).collect()
}

fn row(manifest: &Manifest) -> Vec<Cell> {
    let name = Cell::new(&manifest.target);
    let Some(answer) = &manifest.recommendation else {
        return vec![
            name,
            Cell::new("–"),
            Cell::new("–"),
            Cell::new("–"),
            Cell::new("–"),
            Cell::new("no sample succeeded"),
        ];
    };
    let point = chosen(answer);
    let confidence = match (answer.confidence, is_quick(answer)) {
        (Some(confidence), _) => certainty(confidence),
        (None, true) => "quick".to_owned(),
        (None, false) => "–".to_owned(),
    };
    vec![
        name,
        Cell::new(answer.recommended_procs).add_attribute(Attribute::Bold),
        Cell::new(point.map_or_else(String::new, |point| quantity(point.throughput, &answer.unit))),
        Cell::new(point.and_then(|p| p.speedup).map_or_else(|| "–".to_owned(), times)),
        Cell::new(confidence),
        Cell::new(answer.reasons.first().map_or_else(String::new, |reason| shortened(&reason.code))),
    ]
}

/// A code as words.
fn shortened(code: &str) -> String {
    code.replace('-', " ").chars().take(REASON_WIDTH).collect()
}
