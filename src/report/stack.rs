//! Where the processors' time goes, as bars of letters and a table of shares: a speedup stack for a terminal.

use std::fmt::Write as _;

use super::number::{percent, procs};
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::results::{Stack, StackPart};

/// Letters of a whole bar.
const WIDTH: usize = 40;
/// Worker counts shown; of more, an even choice.
const SHOWN: usize = 8;
/// A share below which a part has no row of its own.
const WORTH_A_ROW: f64 = 0.002;

/// What each part is drawn with, in the order of [`StackPart::NAMES`].
const LETTERS: [char; 12] = ['#', '+', '?', 'k', 'q', 't', 'l', 'c', 'i', 's', '.', '1'];

/// Bars, and a table of the shares that is their legend. Ends with a line end; empty without stacks.
#[must_use]
pub fn text(stacks: &[Stack]) -> String {
    let shown = shown(stacks);
    if shown.is_empty() {
        return String::new();
    }
    let mut text = paragraph(
        "  ",
        "A bar is the time of all processors, procs × wall time. Of one operation it is the seconds beside it.",
    );
    for stack in &shown {
        let _ =
            writeln!(text, "  {:>5} |{}| {}", procs(stack.procs), bar(stack), seconds(stack.whole_s_per_op));
    }
    let mut heads = vec![String::new(), "part".to_owned()];
    heads.extend(shown.iter().map(|stack| procs(stack.procs)));
    let columns = heads.len();
    let mut table = plain(heads);
    for (letter, name, shares) in shares(&shown) {
        table.add_row([letter.to_string(), name.to_owned()].into_iter().chain(shares));
    }
    right(&mut table, 2..columns);
    for line in table_text(&table).lines() {
        let _ = writeln!(text, "  {line}");
    }
    let missing = not_measured(&shown);
    if !missing.is_empty() {
        let what = format!("not measured, so a part of what is unexplained: {}", missing.join(", "));
        text.push_str(&paragraph("  ", &what));
    }
    text
}

/// Letter, name and share at each worker count of every part that is worth a row, and of what is unexplained.
pub(super) fn shares(stacks: &[&Stack]) -> Vec<(char, &'static str, Vec<String>)> {
    let mut rows = Vec::new();
    for (part, (letter, (name, _))) in LETTERS.iter().zip(StackPart::NAMES).enumerate() {
        let shares: Vec<Option<f64>> =
            stacks.iter().map(|stack| stack.parts.get(part).and_then(|part| part.share)).collect();
        if shares.iter().flatten().any(|share| *share >= WORTH_A_ROW) {
            let cells = shares.into_iter().map(|share| share.map_or_else(|| "–".to_owned(), percent));
            rows.push((*letter, name, cells.collect()));
        }
    }
    rows.push((' ', "unexplained", stacks.iter().map(|stack| percent(stack.unexplained)).collect()));
    rows
}

/// An even choice of the stacks, the last among them.
pub(super) fn shown(stacks: &[Stack]) -> Vec<&Stack> {
    let stride = stacks.len().div_ceil(SHOWN).max(1);
    let last = stacks.len().saturating_sub(1);
    stacks
        .iter()
        .enumerate()
        .filter(|(place, _)| place.is_multiple_of(stride) || *place == last)
        .map(|(_, stack)| stack)
        .collect()
}

/// The letters of one stack: each part as many as its share, rounded so that their sum is.
fn bar(stack: &Stack) -> String {
    let mut text = String::new();
    let (mut sum, mut drawn) = (0.0, 0);
    for (letter, part) in LETTERS.iter().zip(&stack.parts) {
        sum += part.share.unwrap_or(0.0).max(0.0);
        let until = ((sum * WIDTH as f64).round() as usize).min(WIDTH);
        text.extend(std::iter::repeat_n(*letter, until.saturating_sub(drawn)));
        drawn = drawn.max(until);
    }
    text.extend(std::iter::repeat_n(' ', WIDTH - drawn));
    text
}

/// The parts that no stack has.
fn not_measured(stacks: &[&Stack]) -> Vec<&'static str> {
    let is_known =
        |part: usize| stacks.iter().any(|stack| stack.parts.get(part).is_some_and(|p| p.share.is_some()));
    // There is nothing to throttle without a quota.
    StackPart::NAMES
        .iter()
        .enumerate()
        .filter(|(part, (name, _))| !is_known(*part) && *name != "throttling")
        .map(|(_, (name, _))| *name)
        .collect()
}

/// Seconds of an operation in the unit that suits them.
fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-6 => format!("{:.1} ns", s * 1e9),
        s if s < 1e-3 => format!("{:.1} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(procs: f64, shares: &[(&str, f64)]) -> Stack {
        let parts = StackPart::NAMES.iter().map(|(name, _)| {
            let share = shares.iter().find(|(of, _)| of == name).map(|(_, share)| *share);
            StackPart { name: (*name).to_owned(), share, s_per_op: share.map(|share| share * 1e-3 * procs) }
        });
        let unexplained = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
        Stack { procs, samples: 6, whole_s_per_op: 1e-3 * procs, parts: parts.collect(), unexplained }
    }

    #[test]
    fn a_bar_is_as_long_as_what_it_stands_for() {
        let one = stack(1.0, &[("useful-work", 0.9), ("kernel", 0.1)]);
        let two = stack(2.0, &[("useful-work", 0.5), ("kernel", 0.05), ("lock-wait", 0.4)]);
        let text = text(&[one, two]);
        assert!(text.contains(&format!("1 |{}{}| 1.0 ms", "#".repeat(36), "k".repeat(4))), "{text}");
        assert!(text.contains(&format!("2 |{}kk{}  | 2.0 ms", "#".repeat(20), "l".repeat(16))), "{text}");
        let row =
            |name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{text}"));
        assert!(row("lock-wait").contains('–') && row("lock-wait").contains("40 %"), "{text}");
        assert!(row("unexplained").contains("5.0 %"), "{text}");
        assert!(row("not measured").contains("extra-cpu, searching"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn parts_beyond_the_whole_do_not_make_a_longer_bar() {
        assert_eq!(bar(&stack(2.0, &[("useful-work", 0.8), ("kernel", 0.6)])).chars().count(), WIDTH);
        assert_eq!(super::text(&[]), "");
    }

    #[test]
    fn many_worker_counts_are_an_even_choice() {
        let many: Vec<Stack> = (1..=100).map(|n| stack(f64::from(n), &[("useful-work", 1.0)])).collect();
        let shown = shown(&many);
        assert!(shown.len() <= SHOWN + 1 && shown[0].procs == 1.0 && shown.last().unwrap().procs == 100.0);
    }
}
