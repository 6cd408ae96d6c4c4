//! The curve as a picture of its own, for a document or a talk: it needs no page around it, and is always on white.
//!
//! It is drawn by what draws it in the report; here are the lines above and below it, and its colours. A PNG is the same
//! picture with its letters as outlines of a font that comes with the tool, so that it looks the same on every machine.

mod letters;
mod png;

use std::fmt::Write as _;

use letters::width;
pub use png::png;

use super::answer::verdict;
use super::html::text::escape;
use super::html::{Subject, curve, head};
use super::markdown::{capitalised, whereabouts};
use crate::results::Recommendation;

/// Room at the left and right of everything.
const MARGIN: f64 = 20.0;
/// From one line of text to the next.
const LINE: f64 = 22.0;
/// A key of the legend, and the room after its name.
const KEY: f64 = 22.0;
const GAP: f64 = 22.0;

/// The picture as an SVG document. Pointing at a worker count shows its figures, where the viewer can.
#[must_use]
pub fn svg(subject: &Subject<'_>) -> String {
    letters::as_text(&drawing(subject))
}

/// The picture with its texts as [`letters`] takes them.
fn drawing(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let unit = &manifest.command.unit;
    let title = format!("{}: throughput ({unit}) against procs", manifest.target);
    let mut page = Page { body: String::new(), y: 14.0 };
    page.lines("title", &title);
    let said = subject.answer.map_or_else(|| head::nothing_said(subject), verdict);
    page.lines("lead", &capitalised(&said));
    let odd = head::badges(subject);
    if !odd.is_empty() {
        page.lines("odd", &odd.join("; "));
    }
    if let Some(answer) = subject.answer {
        page.curve(subject, answer);
        page.legend(answer);
    }
    page.lines("note", &whereabouts(manifest));
    page.whole(&title)
}

/// A page that is filled from the top down.
struct Page {
    body: String,
    /// Where the next line begins.
    y: f64,
}

impl Page {
    /// Text as wide as the page, in as many lines as it takes.
    fn lines(&mut self, class: &str, text: &str) {
        let room = curve::WIDTH;
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_owned() } else { format!("{line} {word}") };
            if !line.is_empty() && width(class, &longer) > room {
                self.line(class, &line);
                word.clone_into(&mut line);
            } else {
                line = longer;
            }
        }
        self.line(class, &line);
    }

    fn line(&mut self, class: &str, text: &str) {
        self.y += LINE;
        self.text(class, MARGIN, self.y, text);
    }

    /// Text in the form that [`letters`] looks for.
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escape(text);
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>");
    }

    fn curve(&mut self, subject: &Subject<'_>, answer: &Recommendation) {
        let (y, width, height) = (self.y + 12.0, curve::WIDTH, curve::HEIGHT);
        let place = format!(
            "<svg x=\"{MARGIN}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" overflow=\"visible\" "
        );
        self.body.push_str(&curve::alone(&subject.saved.rows, answer).replacen("<svg ", &place, 1));
        self.y = y + height;
    }

    fn legend(&mut self, answer: &Recommendation) {
        let mut x = MARGIN;
        self.y += LINE;
        for (class, name) in curve::keys(answer) {
            let all = KEY + 7.0 + width("key", &name);
            if x > MARGIN && x + all > curve::WIDTH + MARGIN {
                (x, self.y) = (MARGIN, self.y + LINE);
            }
            let (middle, end, y) = (x + KEY / 2.0, x + KEY, self.y - 4.5);
            let key = match class {
                "dots" => format!("<path class=\"dots\" d=\"M{middle:.1} {y:.1}h0\"/>"),
                "median" => format!("<path class=\"mark median\" d=\"M{middle:.1} {y:.1}h0\"/>"),
                "close" => {
                    let top = y - 6.0;
                    format!(
                        "<rect class=\"close\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{KEY}\" height=\"12\"/>"
                    )
                }
                line => format!("<path class=\"line {line}\" d=\"M{x:.1} {y:.1}H{end:.1}\"/>"),
            };
            self.body.push_str(&key);
            self.text("key", x + KEY + 7.0, self.y, &name);
            x += all + GAP;
        }
        self.y += 4.0;
    }

    fn whole(&self, title: &str) -> String {
        let (width, height) = (curve::WIDTH + 2.0 * MARGIN, (self.y + 18.0).ceil());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\"><title>{}</title><style>{}</style>\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{}</svg>\n",
            escape(title),
            include_str!("picture.css"),
            self.body
        )
    }
}

#[cfg(test)]
mod tests;
