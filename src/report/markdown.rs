//! Saved sweeps as Markdown, for a pull request: what to take, the points, why, and where that was measured.

use std::fmt::Write as _;

use super::answer::verdict;
use super::number::{interval, percent, procs, quantity, seconds, times};
use super::stack;
use crate::machine::Machine;
use crate::quote;
use crate::results::{Manifest, Point, Recommendation, Saved};
use crate::target::Procs;

/// Every target, a heading each. Ends with a line end.
#[must_use]
pub fn text(sweeps: &[Saved]) -> String {
    let targets: Vec<String> = sweeps.iter().map(|saved| target(&saved.manifest)).collect();
    targets.join("\n")
}

fn target(manifest: &Manifest) -> String {
    let mut text = format!("### `{}`\n\n", manifest.target);
    match &manifest.recommendation {
        Some(answer) => push_answer(&mut text, answer),
        None => text.push_str("No recommendation: no sample succeeded, or the sweep has not ended.\n"),
    }
    let _ = writeln!(text, "\n<sub>{}</sub>", plain(&provenance(manifest)));
    text
}

fn push_answer(text: &mut String, answer: &Recommendation) {
    let _ = writeln!(text, "**{}**\n", plain(&capitalised(&verdict(answer))));
    text.push_str(&points(answer));
    text.push_str(&stack(answer));
    for (lead, notes) in [("", &answer.reasons), ("Note: ", &answer.warnings)] {
        for (place, note) in notes.iter().enumerate() {
            let gap = if place == 0 { "\n" } else { "" };
            let _ = writeln!(text, "{gap}- {lead}{}", plain(&note.text));
        }
    }
}

/// What a column says of a point; `None` where nothing was measured.
type Column = (String, Box<dyn Fn(&Point) -> Option<String>>);

fn points(answer: &Recommendation) -> String {
    let unit = answer.unit.clone();
    let mut columns: Vec<Column> = vec![
        ("throughput".to_owned(), Box::new(move |point| Some(quantity(point.throughput, &unit)))),
        ("95 % interval".to_owned(), Box::new(|point| Some(interval(point.lo?, point.hi?)))),
        ("speedup".to_owned(), Box::new(|point| point.speedup.map(times))),
        ("efficiency".to_owned(), Box::new(|point| point.efficiency.map(percent))),
        ("CPU time per op".to_owned(), Box::new(|point| point.cpu_s_per_op.map(seconds))),
        ("p99 latency".to_owned(), Box::new(|point| point.latency_p99_s.map(seconds))),
    ];
    let mut rows: Vec<(String, Point)> =
        answer.points.iter().map(|point| (procs(point.procs), point.clone())).collect();
    rows.extend(answer.default.iter().map(|default| (Procs::Default.to_string(), default.as_point())));
    // A column of dashes says nothing.
    columns.retain(|(_, cell)| rows.iter().any(|(_, point)| cell(point).is_some()));
    let heads: Vec<&str> = columns.iter().map(|(head, _)| head.as_str()).collect();
    let mut text = format!("| procs | {} |\n|---:|{}\n", heads.join(" | "), "---:|".repeat(heads.len()));
    for (name, point) in &rows {
        let cells = columns.iter().map(|(_, cell)| cell(point).unwrap_or_else(|| "–".to_owned()));
        let cells = std::iter::once(name.clone()).chain(cells).map(|cell| plain(&cell));
        let is_chosen = point.procs == answer.recommended_procs;
        let cells: Vec<String> =
            cells.map(|cell| if is_chosen { format!("**{cell}**") } else { cell }).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Where the time of the processors went, a row a part; empty where that was not measured.
fn stack(answer: &Recommendation) -> String {
    let shown = stack::shown(&answer.stack);
    if shown.is_empty() {
        return String::new();
    }
    let heads: Vec<String> = shown.iter().map(|stack| procs(stack.procs)).collect();
    let mut text = format!(
        "\nWhere the time of the processors goes, by procs:\n\n| part | {} |\n|---|{}\n",
        heads.join(" | "),
        "---:|".repeat(heads.len())
    );
    for (_, part, shares) in stack::shares(&shown) {
        let _ = writeln!(text, "| {part} | {} |", shares.join(" | "));
    }
    text
}

/// Where and how it was measured, in a line.
fn provenance(manifest: &Manifest) -> String {
    let procs = manifest.plan.procs.first().copied().map_or(Procs::Default, Procs::Count);
    format!("{}; first command: {}", whereabouts(manifest), manifest.command.command_line(procs))
}

/// On which machine it was measured, and by which version.
pub(super) fn whereabouts(manifest: &Manifest) -> String {
    let Machine { cpu_model, kernel, id, .. } = &manifest.machine;
    let cpus = manifest.machine.under(manifest.plan.cpu_quota).usable_cpus();
    let cpu = cpu_model.as_deref().unwrap_or("unknown CPU");
    let kernel = kernel.as_ref().map_or_else(String::new, |kernel| format!(", kernel {kernel}"));
    let s = if cpus == 1.0 { "" } else { "s" };
    format!("{cpus} CPU{s} of {cpu}{kernel} (machine {id}); corefit {}", manifest.corefit_version)
}

pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Text that Markdown takes as it is: names and command lines are somebody else's.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for letter in quote::one_line(text).chars() {
        match letter {
            '<' => plain.push_str("&lt;"),
            '|' | '*' | '_' | '\\' | '[' | '#' => plain.extend(['\\', letter]),
            _ => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use crate::results::{Stack, StackPart, fixtures};

    #[test]
    fn the_stack_is_a_table_of_what_is_worth_a_row() {
        let stack = |procs: f64, work: f64, lock: Option<f64>| Stack {
            procs,
            samples: 6,
            whole_s_per_op: 1e-3,
            parts: StackPart::NAMES
                .iter()
                .map(|(name, _)| {
                    let share = match *name {
                        "useful-work" => Some(work),
                        "lock-wait" => lock,
                        _ => None,
                    };
                    StackPart { name: (*name).to_owned(), share, s_per_op: share.map(|share| share * 1e-3) }
                })
                .collect(),
            unexplained: 1.0 - work - lock.unwrap_or(0.0),
        };
        let mut answer = fixtures::recommendation("app");
        assert_eq!(super::stack(&answer), "");
        answer.stack = vec![stack(1.0, 0.98, None), stack(2.0, 0.6, Some(0.38))];
        let text = super::stack(&answer);
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            table,
            [
                "| part | 1 | 2 |",
                "|---|---:|---:|",
                "| useful-work | 98 % | 60 % |",
                "| lock-wait | – | 38 % |",
                "| unexplained | 2.0 % | 2.0 % |"
            ]
        );
    }
}
