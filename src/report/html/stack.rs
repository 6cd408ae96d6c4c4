//! Where the time of the processors goes at each worker count: one column a count, its parts stacked to the whole.

use std::fmt::Write as _;

use super::chart::{Chart, ProcsAxis, Size, placed_again};
use super::panels::measured_axis;
use super::scale::Spread;
use super::tables;
use super::text::{Unit, cell, escape};
use crate::report::number::{in_procs, percent, seconds};
use crate::results::{Recommendation, Stack, StackPart};

const WIDE: Size = Size { width: 1080.0, height: 320.0 };
const NARROW: Size = Size { width: 400.0, height: 300.0 };
/// A part that is nowhere a larger share is in the table only.
const SHOWN_SHARE: f64 = 0.002;
/// Widest column, pixels.
const WIDEST: f64 = 64.0;

const DESCRIPTION: &str =
    "Parts of the processors’ time at each worker count; the table below has the values.";

/// The section; nothing where no CPU time was measured.
pub(super) fn section(answer: &Recommendation) -> String {
    if answer.stack.is_empty() {
        return String::new();
    }
    let shown: Vec<usize> = (0..StackPart::NAMES.len()).filter(|part| is_shown(answer, *part)).collect();
    let axis = measured_axis(answer);
    let pictures = wide(&axis, answer, &shown) + &narrow(&axis, answer, &shown);
    let keys: String = shown
        .iter()
        .map(|part| {
            let (name, about) = StackPart::NAMES[*part];
            format!("<li><i class=\"key part part{part}\"></i><b>{}</b> {about}</li>", words(name))
        })
        .collect();
    format!(
        "<section id=\"stack\"><h2>Where the processors’ time goes</h2><p>Each column is all that procs processors have while one \
         operation is done. What grows from the smallest count to a larger one is what scaling costs there; what no \
         measurement accounts for is left empty.</p><figure>{pictures}<ul class=\"legend parts\" \
         aria-label=\"Legend\">{keys}</ul></figure>{}</section>",
        table(answer)
    )
}

fn is_shown(answer: &Recommendation, part: usize) -> bool {
    answer.stack.iter().any(|stack| share(stack, part).is_some_and(|share| share >= SHOWN_SHARE))
}

/// Share of the part of that place in [`StackPart::NAMES`].
fn share(stack: &Stack, part: usize) -> Option<f64> {
    of_name(stack, StackPart::NAMES[part].0)?.share
}

fn of_name<'a>(stack: &'a Stack, name: &str) -> Option<&'a StackPart> {
    stack.parts.iter().find(|part| part.name == name)
}

/// A name as words.
fn words(name: &str) -> String {
    escape(&name.replace('-', " "))
}

fn chart<'a>(axis: &'a ProcsAxis, answer: &Recommendation, shown: &[usize], size: Size) -> Chart<'a> {
    let sum = |stack: &Stack| shown.iter().filter_map(|part| share(stack, *part)).sum::<f64>();
    let high = answer.stack.iter().map(sum).fold(1.0, f64::max);
    let mut chart = Chart::new(size, axis, Unit::Share, Spread::Even, [0.0, high]);
    chart.axes();
    chart
}

fn wide(axis: &ProcsAxis, answer: &Recommendation, shown: &[usize]) -> String {
    let mut chart = chart(axis, answer, shown, WIDE);
    columns(&mut chart, answer, shown);
    let said = answer.stack.iter().map(|stack| (stack.procs, said(stack))).collect::<Vec<_>>();
    chart.hits(said);
    chart.svg("wide", DESCRIPTION)
}

/// The same columns, placed again; what is said of them stands in the wide picture.
fn narrow(axis: &ProcsAxis, answer: &Recommendation, shown: &[usize]) -> String {
    let original = chart(axis, answer, shown, WIDE);
    let mut chart = chart(axis, answer, shown, NARROW);
    let placed = placed_again("stack-columns", [(&original.x, &chart.x), (&original.y, &chart.y)]);
    chart.push(&format!("<use {placed}/>"));
    chart.hits(answer.stack.iter().map(|stack| (stack.procs, String::new())));
    chart.svg("narrow", DESCRIPTION)
}

fn columns(chart: &mut Chart<'_>, answer: &Recommendation, shown: &[usize]) {
    let places: Vec<f64> = answer.stack.iter().map(|stack| chart.x.at(stack.procs)).collect();
    let nearest = places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let room = 2.0 * (places[0] - chart.left() - 1.0);
    let width = (nearest * 0.72).min(WIDEST).min(room).max(1.0);
    chart.push("<g id=\"stack-columns\">");
    // One path a part keeps a page of many columns small.
    let mut below = vec![0.0; answer.stack.len()];
    for part in shown {
        let mut path = String::new();
        for (index, stack) in answer.stack.iter().enumerate() {
            let share = share(stack, *part).unwrap_or(0.0);
            if share <= 0.0 {
                continue;
            }
            let (upper, lower) = (chart.y.at(below[index] + share), chart.y.at(below[index]));
            let _ = write!(
                path,
                "M{:.1} {lower:.1}h{width:.1}V{upper:.1}h-{width:.1}z",
                places[index] - width / 2.0
            );
            below[index] += share;
        }
        chart.push(&format!("<path class=\"part part{part}\" d=\"{path}\"/>"));
    }
    chart.push("</g>");
}

/// The parts of a column, the largest first.
fn said(stack: &Stack) -> String {
    let mut parts: Vec<(&StackPart, f64)> =
        stack.parts.iter().filter_map(|part| Some((part, part.share?))).collect();
    parts.retain(|(_, share)| *share >= SHOWN_SHARE);
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let lines: Vec<String> = parts
        .iter()
        .map(|(part, share)| format!("{}: {}", part.name.replace('-', " "), percent(*share)))
        .collect();
    format!(
        "{}: {} an operation\n{}\nunexplained: {}",
        in_procs(stack.procs),
        seconds(stack.whole_s_per_op),
        lines.join("\n"),
        percent(stack.unexplained)
    )
}

/// All parts with their values: a row a part, a column a worker count.
fn table(answer: &Recommendation) -> String {
    let count = answer.stack.len();
    let stacks: Vec<&Stack> = (0..count)
        .filter(|place| tables::is_shown(*place, count))
        .map(|place| &answer.stack[place])
        .collect();
    let heads: String = stacks
        .iter()
        .map(|stack| format!("<th scope=\"col\">{}</th>", escape(&in_procs(stack.procs))))
        .collect();
    let mut rows = String::new();
    for (name, about) in StackPart::NAMES {
        let shares = || stacks.iter().map(|stack| of_name(stack, name).and_then(|part| part.share));
        if shares().all(|share| share.is_none()) {
            continue;
        }
        let cells: String = shares().map(|share| cell(name, share, Unit::Share)).collect();
        let _ = write!(rows, "<tr><th scope=\"row\" title=\"{about}\">{}</th>{cells}</tr>", words(name));
    }
    let last = |name: &str, of: fn(&Stack) -> f64, unit: Unit<'_>| {
        let cells: String = stacks.iter().map(|stack| cell(name, Some(of(stack)), unit)).collect();
        format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", words(name))
    };
    rows += &last("unexplained", |stack| stack.unexplained, Unit::Share);
    rows += &last("whole-of-an-operation", |stack| stack.whole_s_per_op, Unit::Seconds);
    format!(
        "<details><summary>The parts as a table</summary>{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Parts of the processors’ time\"><table><thead><tr><th scope=\"col\">part</th>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table></div></details>",
        tables::thinned(count, "sweep.json")
    )
}
