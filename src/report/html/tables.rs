//! The tables: every point as in `summary.csv`, the medians of every column, and the samples.

use std::fmt::Write as _;

use super::Subject;
use super::facts::{self, COLUMNS};
use super::text::{Unit, cell, escape, exact};
use crate::report::number::procs;
use crate::results::{Point, Recommendation, SampleRow};

/// Samples that a table of their own is worth; more are in `samples.csv` only.
const SHOWN_SAMPLES: usize = 400;

/// Columns of a table that has one a point, about; of more an even choice.
const SHOWN_POINTS: usize = 40;

/// Whether a table of `count` columns shows the one at `place`; the last is always shown.
pub(super) fn is_shown(place: usize, count: usize) -> bool {
    place + 1 == count || place.is_multiple_of(count.div_ceil(SHOWN_POINTS))
}

/// Says which columns are shown where some are not, and which `file` has all.
pub(super) fn thinned(count: usize, file: &str) -> String {
    match count.div_ceil(SHOWN_POINTS) {
        0 | 1 => String::new(),
        stride => {
            format!("<p class=\"note\">One in {stride} of {count} points; <code>{file}</code> has all.</p>")
        }
    }
}

/// A table that scrolls by itself where it is wider than the page.
fn scrolled(label: &str, table: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">{table}</div>")
}

/// The points, with the columns of `summary.csv`.
pub(super) fn points(answer: &Recommendation) -> String {
    let unit = Unit::Rate("");
    let heads = [
        "procs".to_owned(),
        "samples".to_owned(),
        format!("throughput, {}", answer.unit),
        "95 % from".to_owned(),
        "to".to_owned(),
        "speedup".to_owned(),
        "efficiency".to_owned(),
        "CPU time per op".to_owned(),
        "latency p99".to_owned(),
        "peak memory".to_owned(),
    ];
    let heads: String = heads.iter().map(|head| format!("<th scope=\"col\">{}</th>", escape(head))).collect();
    let mut rows = String::new();
    for point in &answer.points {
        let is_chosen = point.procs == answer.recommended_procs;
        let (class, sign) = if is_chosen { (" class=\"taken\"", " <b>← take</b>") } else { ("", "") };
        let name = procs(point.procs);
        let _ = write!(
            rows,
            "<tr{class} data-procs=\"{}\"><th scope=\"row\">{}{sign}</th>{}</tr>",
            exact(point.procs),
            escape(&name),
            cells(point, unit)
        );
    }
    if let Some(default) = &answer.default {
        let _ = write!(
            rows,
            "<tr data-procs=\"default\"><th scope=\"row\">default</th>{}</tr>",
            cells(&default.as_point(), unit)
        );
    }
    let table =
        format!("<table class=\"points\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>");
    let note = "Throughput is the median over the samples of a point; its interval exists from 6 samples on. The same is in \
                <code>summary.csv</code>.";
    format!(
        "<section id=\"points\"><h2>Points</h2>{}<p class=\"note\">{note}</p></section>",
        scrolled("Points", &table)
    )
}

fn cells(point: &Point, unit: Unit<'_>) -> String {
    [
        cell("samples", Some(f64::from(point.samples)), Unit::Count),
        cell("throughput", Some(point.throughput), unit),
        cell("throughput_lo", point.lo, unit),
        cell("throughput_hi", point.hi, unit),
        cell("speedup", point.speedup, Unit::Times),
        cell("efficiency", point.efficiency, Unit::Share),
        cell("cpu_s_per_op", point.cpu_s_per_op, Unit::Seconds),
        cell("latency_p99_s", point.latency_p99_s, Unit::Seconds),
        cell("max_rss_bytes", point.max_rss_bytes, Unit::Bytes),
    ]
    .concat()
}

/// Medians of what was counted: a row a column of `samples.csv`, a column a point.
pub(super) fn counters(subject: &Subject<'_>) -> String {
    let mut points = facts::by_point(&subject.saved.rows);
    if points.is_empty() {
        return String::new();
    }
    let all = points.len();
    let mut place = 0;
    points.retain(|_, _| {
        place += 1;
        is_shown(place - 1, all)
    });
    let note = thinned(all, "samples.csv");
    let heads: String = points
        .keys()
        .map(|procs| format!("<th scope=\"col\" data-procs=\"{procs}\">{}</th>", escape(&procs.phrase())))
        .collect();
    let mut rows = String::new();
    for column in COLUMNS.iter().filter(|column| column.is_measured(&subject.saved.rows)) {
        let cells: String = points
            .values()
            .map(|rows| match column.median(rows) {
                Some(value) => {
                    format!("<td data-value=\"{}\">{}</td>", exact(value), escape(&column.unit.text(value)))
                }
                None => "<td class=\"none\">–</td>".to_owned(),
            })
            .collect();
        let (name, label) = (column.name, escape(column.label));
        let _ = write!(
            rows,
            "<tr data-column=\"{name}\"><th scope=\"row\" title=\"{name}\">{label}</th>{cells}</tr>"
        );
    }
    let table = format!(
        "<table class=\"counters\"><thead><tr><th scope=\"col\">median of a sample</th>{heads}</tr></thead>\
         <tbody>{rows}</tbody></table>"
    );
    format!("<section id=\"counters\"><h2>Counters</h2>{note}{}</section>", scrolled("Counters", &table))
}

/// Every sample as a row, where they are few enough.
pub(super) fn samples(rows: &[SampleRow], unit: &str) -> String {
    if rows.len() > SHOWN_SAMPLES {
        return format!("<p class=\"note\">All {} samples are in <code>samples.csv</code>.</p>", rows.len());
    }
    let mut body = String::new();
    for (place, row) in rows.iter().enumerate() {
        let _ = write!(
            body,
            "<tr data-sample=\"{place}\"><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>{}{}</tr>",
            place + 1,
            row.procs,
            row.round,
            escape(&row.status),
            cell("throughput", row.throughput, Unit::Rate("")),
            cell("wall_s", row.wall_s, Unit::Seconds),
        );
    }
    let heads: String = ["sample", "procs", "round", "status"]
        .into_iter()
        .map(str::to_owned)
        .chain([format!("throughput, {unit}"), "wall time".to_owned()])
        .map(|head| format!("<th scope=\"col\">{}</th>", escape(&head)))
        .collect();
    let table = format!("<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>");
    format!(
        "<details><summary>All {} samples as a table</summary>{}</details>",
        rows.len(),
        scrolled("Samples", &table)
    )
}
