//! `index.html`: all targets of a folder on one page, each with its answer and its curve in small.

use std::fmt::Write as _;

use super::super::answer::{certainty, chosen, is_quick};
use super::text::{Unit, cell, escape, exact, sentence, statement};
use super::{about, page};
use crate::report::number::procs;
use crate::results::{Manifest, Recommendation};

/// A target in the folder.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Name of its folder.
    pub folder: &'a str,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// Whether it has a report to lead to.
    pub has_report: bool,
}

/// The page. `left_out` says, a line each, which targets cannot be shown and why.
#[must_use]
pub fn index(entries: &[Entry<'_>], left_out: &[String]) -> String {
    let rows: String = entries.iter().map(row).collect();
    let heads = ["target", "take", "throughput", "speedup", "confidence", "curve", "because", "measured"];
    let class = |head: &str| if head == "because" { " class=\"words\"" } else { "" };
    let heads: String =
        heads.iter().map(|head| format!("<th scope=\"col\"{}>{head}</th>", class(head))).collect();
    let s = if entries.len() == 1 { "" } else { "s" };
    let mut body = format!(
        "<main><h1>{} target{s}</h1><p class=\"lead\">What to take for each, and why. The points of all are in \
         <a href=\"summary.csv\">summary.csv</a>.</p><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"Targets\"><table class=\"index\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>",
        entries.len()
    );
    if !left_out.is_empty() {
        let items: String = left_out.iter().map(|line| format!("<li>{}</li>", sentence(line))).collect();
        let _ = write!(body, "<section><h2>Left out</h2><ul class=\"notes\">{items}</ul></section>");
    }
    body.push_str("</main>");
    page("corefit: all targets", &body, "")
}

fn row(entry: &Entry<'_>) -> String {
    let Manifest { target, recommendation, started_unix_s, .. } = entry.manifest;
    let name = format!("<bdi>{}</bdi>", escape(target));
    let name = match entry.has_report {
        true => format!("<a href=\"{}/report.html\">{name}</a>", address(entry.folder)),
        false => name,
    };
    let when = escape(&about::time(*started_unix_s));
    let Some(answer) = recommendation else {
        return format!(
            "<tr data-target=\"{}\"><th scope=\"row\">{name}</th><td class=\"words\" colspan=\"6\">no recommendation: no sample \
             succeeded, or the sweep did not come to its end</td><td class=\"when\" data-name=\"measured\">{when}</td></tr>",
            escape(target)
        );
    };
    let point = chosen(answer);
    let sure = match (answer.confidence, is_quick(answer)) {
        (Some(confidence), _) => certainty(confidence),
        (None, true) => "quick".to_owned(),
        (None, false) => "–".to_owned(),
    };
    let because = answer.reasons.first().map_or_else(String::new, |reason| statement(&reason.text));
    format!(
        "<tr data-target=\"{}\" data-procs=\"{}\"><th scope=\"row\">{name}</th><td class=\"take\" \
         data-name=\"take\">{}</td>{}{}<td data-name=\"confidence\">{}</td><td data-name=\"curve\">{}</td><td class=\"words\">\
         {because}</td><td class=\"when\" data-name=\"measured\">{when}</td></tr>",
        escape(target),
        exact(answer.recommended_procs),
        escape(&procs(answer.recommended_procs)),
        cell("throughput", point.map(|point| point.throughput), Unit::Rate(&answer.unit)),
        cell("speedup", point.and_then(|point| point.speedup), Unit::Times),
        escape(&sure),
        spark(answer),
    )
}

/// The medians as a line, the recommended one as a dot; one point is no line.
fn spark(answer: &Recommendation) -> String {
    const WIDTH: f64 = 96.0;
    const HEIGHT: f64 = 26.0;
    let count = answer.points.len();
    if count < 2 {
        return "–".to_owned();
    }
    let most = answer.points.iter().map(|point| point.throughput).fold(f64::MIN_POSITIVE, f64::max);
    let place = |index: usize| {
        let x = 4.0 + (WIDTH - 8.0) * index as f64 / (count - 1) as f64;
        (x, HEIGHT - 4.0 - (HEIGHT - 8.0) * answer.points[index].throughput / most)
    };
    let mut line = String::new();
    let mut dot = String::new();
    for (index, point) in answer.points.iter().enumerate() {
        let (x, y) = place(index);
        let _ = write!(line, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
        if point.procs == answer.recommended_procs {
            let _ = write!(dot, "M{x:.1} {y:.1}h0");
        }
    }
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" aria-hidden=\"true\">\
         <path class=\"line first\" d=\"{line}\"/><path class=\"mark taken\" d=\"{dot}\"/></svg>"
    )
}

/// The name of a folder as part of an address.
fn address(folder: &str) -> String {
    let mut safe = String::new();
    for byte in folder.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => safe.push(char::from(byte)),
            byte => drop(write!(safe, "%{byte:02X}")),
        }
    }
    // A name that begins like `x:` would be another scheme.
    format!("./{safe}")
}
