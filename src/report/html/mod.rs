//! The report of a target and the index over all, as pages that need nothing else: no network, no other file, no script
//! to be read. Pictures are drawn here as SVG; the script shows values under the pointer, switches tabs and the theme.
//!
//! A figure carries its exact value (`value`, `data-value`) and the name of its column, so that a program can compare it with
//! `summary.csv` and `samples.csv`.

mod about;
mod again;
mod chart;
pub(super) mod curve;
mod drift;
mod facts;
mod flames;
pub(super) mod head;
mod index;
mod panels;
mod scale;
mod stack;
mod tables;
pub(super) mod text;

#[cfg(test)]
mod contrast;
#[cfg(test)]
mod tests;

use serde_json::json;

pub use index::{Entry, index};
use text::escape;

use crate::results::{Flame, Recommendation, Saved};

/// Everything a report is made from.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Manifest and samples.
    pub saved: &'a Saved,
    /// The manifest's answer, or what the samples of a sweep say that did not come to its end; `None` if none succeeded.
    pub answer: Option<&'a Recommendation>,
    /// The flame graphs, in any order.
    pub flames: &'a [Flame],
    /// Whether `index.html` lies beside the target's folder.
    pub has_index: bool,
}

impl Subject<'_> {
    /// Whether the sweep was ended before it could decide.
    fn is_unfinished(&self) -> bool {
        self.saved.manifest.recommendation.is_none() && self.answer.is_some()
    }
}

/// The report of one target.
#[must_use]
pub fn report(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let of_answer =
        |section: &dyn Fn(&Recommendation) -> String| subject.answer.map_or_else(String::new, section);
    let sections = [
        format!("<section id=\"answer\">{}</section>", head::section(subject)),
        head::warnings(subject),
        of_answer(&|answer| panels::section(subject, answer)),
        of_answer(&stack::section),
        flames::section(subject),
        of_answer(&tables::points),
        tables::counters(subject),
        drift::section(subject, subject.answer),
        of_answer(&about::model),
        about::reproduce(subject),
        about::not_measured(subject),
        about::machine(manifest),
    ];
    let back = if subject.has_index {
        "<nav class=\"back\"><a href=\"../index.html\">← all targets</a></nav>"
    } else {
        ""
    };
    let body = format!("{back}<main>{}</main>", sections.concat());
    page(&format!("{} · corefit", manifest.target), &body, &data(subject))
}

/// The samples for the script, in the order they were measured: worker count, round, status, throughput.
fn data(subject: &Subject<'_>) -> String {
    let samples: Vec<_> = subject
        .saved
        .rows
        .iter()
        .map(|row| json!([row.procs, row.round, if row.is_ok() { "" } else { &row.status }, row.throughput]))
        .collect();
    let document = json!({ "unit": subject.saved.manifest.command.unit, "samples": samples });
    format!("<script type=\"application/json\" id=\"data\">{}</script>", text::json(&document.to_string()))
}

/// A page that loads nothing: its policy forbids what it does not hold itself.
fn page(title: &str, body: &str, data: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\
         <link rel=\"icon\" href=\"data:,\"><title>{}</title><style>{}</style></head>\
         <body><header class=\"bar\"><span class=\"brand\">corefit</span>\
         <button type=\"button\" id=\"theme\" hidden>dark</button></header>\
         {body}<div id=\"tip\" role=\"status\" aria-live=\"polite\" hidden></div>{data}<script>{}</script></body></html>\n",
        escape(title),
        include_str!("page.css"),
        include_str!("page.js"),
    )
}
