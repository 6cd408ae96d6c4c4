//! The parts that all pictures are made of: a frame with its axes, lines, bands, dots, and what the pointer finds.
//!
//! Everything is drawn here as static SVG, so that it shows without a script and on paper; the script only shows values.

use std::fmt::Write as _;

use super::scale::{Scale, Spread, label, procs_ticks};
use super::text::{Axis, Unit, escape, exact};

/// Size of a picture, in its own pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Room around the plot for labels.
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 42.0;
/// Pixels that the label of a worker count takes at least.
const LABEL_WIDTH: f64 = 26.0;
/// Largest over smallest worker count from which the axis is logarithmic.
const LOG_FROM: f64 = 8.0;

/// A picture with both axes settled.
pub(super) struct Chart<'a> {
    pub(super) size: Size,
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) unit: Unit<'a>,
    /// The axis that worker counts share.
    pub(super) procs: &'a ProcsAxis,
    body: String,
}

/// The worker counts that an axis shows.
#[derive(Clone, Debug)]
pub(super) struct ProcsAxis {
    /// Measured ones, ascending; not empty.
    pub(super) counts: Vec<f64>,
    /// Where the axis ends: the largest that was measured, or beyond it.
    pub(super) end: f64,
    /// Pixels kept free at the right for what has no worker count.
    pub(super) slot: f64,
}

impl ProcsAxis {
    fn spread(&self) -> Spread {
        let (first, last) = (self.counts[0], self.counts[self.counts.len() - 1]);
        if last > LOG_FROM * first { Spread::Log } else { Spread::Even }
    }

    /// The scale over `places`, with a little room at both ends.
    fn scale(&self, [from, to]: [f64; 2]) -> Scale {
        let room = ((to - from) / 24.0).min(30.0);
        let (first, last) = (self.counts[0], self.end);
        Scale::new(self.spread(), [first, last], [from + room, to - room])
    }
}

impl<'a> Chart<'a> {
    /// An empty picture for values from `low` to `high`.
    pub(super) fn new(
        size: Size,
        procs: &'a ProcsAxis,
        unit: Unit<'a>,
        spread: Spread,
        values: [f64; 2],
    ) -> Self {
        let x = procs.scale([LEFT, size.width - RIGHT - procs.slot]);
        let y = Scale::new(spread, values, [size.height - BOTTOM, TOP]);
        Self { size, x, y, unit, procs, body: String::new() }
    }

    pub(super) fn left(&self) -> f64 {
        LEFT
    }

    pub(super) fn right(&self) -> f64 {
        self.size.width - RIGHT - self.procs.slot
    }

    pub(super) fn top(&self) -> f64 {
        TOP
    }

    pub(super) fn bottom(&self) -> f64 {
        self.size.height - BOTTOM
    }

    /// Adds any element.
    pub(super) fn push(&mut self, element: &str) {
        self.body.push_str(element);
    }

    /// Lines across at round values, with labels, and worker counts below.
    pub(super) fn axes(&mut self) {
        self.value_axis();
        let most = ((self.right() - self.left()) / LABEL_WIDTH) as usize;
        let ticks = procs_ticks(&self.x, &self.procs.counts, most);
        let bottom = self.bottom();
        let mut free_from = f64::NEG_INFINITY;
        for tick in ticks {
            let (place, text) = (self.x.at(tick), super::super::number::procs(tick));
            let half = text.len() as f64 * 3.6 + 3.0;
            let _ = write!(self.body, "<path class=\"tick\" d=\"M{place:.1} {bottom:.1}v5\"/>",);
            if place - half >= free_from {
                let _ = write!(
                    self.body,
                    "<text class=\"x\" x=\"{place:.1}\" y=\"{:.1}\">{}</text>",
                    bottom + 18.0,
                    escape(&text)
                );
                free_from = place + half;
            }
        }
        let _ = write!(
            self.body,
            "<path class=\"base\" d=\"M{:.1} {bottom:.1}H{:.1}\"/>\
             <text class=\"name end\" x=\"{:.1}\" y=\"{:.1}\">procs</text>",
            self.left(),
            self.right(),
            self.right(),
            bottom + 36.0
        );
    }

    fn value_axis(&mut self) {
        let ticks = self.y.ticks(5);
        let shared = self.unit.axis(self.y.values[1]);
        // Times over several decades have no unit in which all are short.
        let is_each = self.unit == Unit::Seconds && self.y.spread == Spread::Log;
        for tick in &ticks {
            let text = if is_each { round_time(*tick) } else { label(*tick, &ticks, shared.factor) };
            let place = self.y.at(*tick);
            let _ = write!(
                self.body,
                "<path class=\"grid\" d=\"M{:.1} {place:.1}H{:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
                self.left(),
                self.right(),
                self.left() - 7.0,
                place + 4.0
            );
        }
        if !is_each {
            let _ =
                write!(self.body, "<text class=\"name\" x=\"2\" y=\"14\">{}</text>", escape(&shared.label));
        }
    }

    /// A line through `points`, values against worker counts; broken where a value is none.
    pub(super) fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, Option<f64>)>) {
        let mut path = String::new();
        let mut is_broken = true;
        for (n, value) in points {
            let Some(value) = value else {
                is_broken = true;
                continue;
            };
            let command = if is_broken { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.x.at(n), self.y.at(value));
            is_broken = false;
        }
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    /// A round mark at each value.
    pub(super) fn marks(&mut self, class: &str, points: impl IntoIterator<Item = (f64, Option<f64>)>) {
        let mut path = String::new();
        for (n, value) in points {
            if let Some(value) = value {
                let _ = write!(path, "M{:.1} {:.1}h0", self.x.at(n), self.y.at(value));
            }
        }
        let _ = write!(self.body, "<path class=\"mark {class}\" d=\"{path}\"/>");
    }

    /// A vertical line at `n` from top to bottom.
    pub(super) fn at_procs(&mut self, class: &str, n: f64) {
        let _ = write!(
            self.body,
            "<path class=\"{class}\" d=\"M{:.1} {:.1}V{:.1}\"/>",
            self.x.at(n),
            self.top(),
            self.bottom()
        );
    }

    /// Text at a place of the picture.
    pub(super) fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let _ =
            write!(self.body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(text));
    }

    /// What the pointer, or the arrow keys, find: a column for each worker count, with what is to be said of it. The text
    /// stands in the column's title, which shows without a script too; an empty one is that of the same column in the wide
    /// picture beside this.
    pub(super) fn hits(&mut self, points: impl IntoIterator<Item = (f64, String)>) {
        let points: Vec<(f64, String)> = points.into_iter().collect();
        let places: Vec<f64> = points.iter().map(|(n, _)| self.x.at(*n)).collect();
        let between = |a: usize, b: usize| (places[a] + places[b]) / 2.0;
        for (index, (n, text)) in points.iter().enumerate() {
            let from = if index == 0 { self.left() } else { between(index - 1, index) };
            let last = (places[index] + 60.0).min(self.right());
            let to = if index + 1 < places.len() { between(index, index + 1) } else { last.max(from) };
            let title = match text.as_str() {
                "" => String::new(),
                text => format!("<title>{}</title>", escape(text)),
            };
            let _ = write!(
                self.body,
                "<rect class=\"hit\" x=\"{from:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\" data-x=\"{:.1}\" \
                 data-procs=\"{}\">{title}</rect>",
                self.top(),
                (to - from).max(0.5),
                self.bottom() - self.top(),
                places[index],
                exact(*n)
            );
        }
    }

    /// The whole picture, described by `description` for whoever does not see it.
    pub(super) fn svg(self, class: &str, description: &str) -> String {
        let [low, high] = self.y.values;
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\" data-low=\"{}\" \
             data-high=\"{}\" data-spread=\"{}\" data-top=\"{:.1}\" data-bottom=\"{:.1}\">{}</svg>",
            self.size.width,
            self.size.height,
            escape(description),
            exact(low),
            exact(high),
            self.y.name(),
            self.top(),
            self.bottom(),
            self.body
        )
    }
}

/// A round number of seconds in the unit that makes it short: `100 ns`, `20 ms`.
fn round_time(seconds: f64) -> String {
    // The unit of what is a hair less than 1 of it, too.
    let Axis { factor, label: unit } = Unit::Seconds.axis(seconds * 1.000_1);
    format!("{} {unit}", label(seconds, &[], factor))
}

/// Attributes of a `use` that shows the element `id` of another picture in the place that it has in this one; `axes` are
/// both pictures' scales of x and of y.
pub(super) fn placed_again(id: &str, axes: [(&Scale, &Scale); 2]) -> String {
    let [(a, e), (d, f)] = axes.map(|(original, here)| here.onto(original));
    format!("href=\"#{id}\" transform=\"matrix({a:.5} 0 0 {d:.5} {e:.3} {f:.3})\"")
}

/// A picture with its head and a sentence below it.
pub(super) fn figure(head: &str, caption: &str, picture: &str) -> String {
    format!(
        "<figure class=\"panel\"><figcaption><h3>{}</h3><p>{caption}</p></figcaption>{picture}</figure>",
        escape(head)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_every_decade_are_short() {
        let shown = [1e-8, 10f64.powi(-6), 2.0 * 10f64.powi(-4), 10f64.powi(-3), 0.5, 20.0].map(round_time);
        assert_eq!(shown, ["10 ns", "1 µs", "200 µs", "1 ms", "500 ms", "20 s"]);
    }
}
