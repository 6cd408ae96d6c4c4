//! The samples in the order they were measured, each against the median of its worker count: a machine that slows down, or
//! something else that ran for a while, shows as a step or a slope that all worker counts share.

use std::fmt::Write as _;

use super::Subject;
use super::chart::{Size, placed_again};
use super::scale::{Scale, Spread, label};
use super::tables;
use super::text::exact;
use crate::results::{Recommendation, SampleRow};
use crate::target::Procs;

const WIDE: Size = Size { width: 1080.0, height: 250.0 };
const NARROW: Size = Size { width: 400.0, height: 230.0 };
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 42.0;
/// Deviation that the axis shows at least, as a share.
const LEAST: f64 = 0.05;
/// Rounds up to which each has its line.
const LINED_ROUNDS: usize = 60;

/// The section; `answer` gives the medians.
pub(super) fn section(subject: &Subject<'_>, answer: Option<&Recommendation>) -> String {
    let rows = &subject.saved.rows;
    if rows.is_empty() {
        return String::new();
    }
    let unit = &subject.saved.manifest.command.unit;
    let pictures = answer.map_or_else(String::new, |answer| {
        let ratios: Vec<Option<f64>> = rows.iter().map(|row| ratio(row, answer)).collect();
        [("wide", WIDE), ("narrow", NARROW)]
            .into_iter()
            .map(|(class, size)| picture(rows, &ratios, size, class))
            .collect()
    });
    let failed = rows.iter().filter(|row| !row.is_ok()).count();
    let crosses = match failed {
        0 => String::new(),
        1 => " The cross is the sample that did not succeed.".to_owned(),
        failed => format!(" Crosses are the {failed} samples that did not succeed."),
    };
    format!(
        "<section id=\"samples\"><h2>Samples in time order</h2><p>Each sample against the median of its procs. A slope or \
         a step that all share is the machine, not the program.{crosses}</p><figure>{pictures}</figure>{}</section>",
        tables::samples(rows, unit)
    )
}

/// Throughput over the median of its point; `None` if it did not succeed.
fn ratio(row: &SampleRow, answer: &Recommendation) -> Option<f64> {
    let throughput = row.throughput.filter(|_| row.is_ok())?;
    let median = match row.procs {
        Procs::Default => answer.default.as_ref()?.throughput,
        Procs::Count(n) => answer.points.iter().find(|point| point.procs == f64::from(n))?.throughput,
    };
    Some(throughput / median).filter(|ratio| ratio.is_finite())
}

fn picture(rows: &[SampleRow], ratios: &[Option<f64>], size: Size, class: &str) -> String {
    let furthest = ratios.iter().flatten().map(|ratio| (ratio - 1.0).abs()).fold(LEAST, f64::max);
    let low = ratios.iter().flatten().copied().fold(1.0 - LEAST, f64::min) - furthest * 0.08;
    let high = ratios.iter().flatten().copied().fold(1.0 + LEAST, f64::max) + furthest * 0.08;
    let x = Scale::new(Spread::Even, [1.0, rows.len() as f64], x_places(size));
    let y = Scale::new(Spread::Even, [low, high], y_places(size));
    let mut body = rounds(rows, &x, size);
    axes(&mut body, &x, &y, size);
    let mut crosses = String::new();
    let failed = (0..rows.len()).filter(|place| !rows[*place].is_ok());
    for at in failed.map(|place| x.at(place as f64 + 1.0)) {
        let _ = write!(crosses, "M{:.1} {:.1}l6 6m0-6l-6 6", at - 3.0, size.height - BOTTOM - 10.0);
    }
    let dots = dots(ratios, &x, &y, size);
    format!(
        "<svg class=\"chart {class} time\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Samples in the order they were \
         measured, each as a share of the median of its procs.\" data-low=\"{}\" data-high=\"{}\" data-spread=\"even\" \
         data-top=\"{TOP}\" data-bottom=\"{:.1}\" data-left=\"{:.1}\" data-right=\"{:.1}\">{body}\
         {dots}<path class=\"crosses\" d=\"{crosses}\"/></svg>",
        size.width,
        size.height,
        exact(low),
        exact(high),
        size.height - BOTTOM,
        x.places[0],
        x.places[1],
    )
}

fn x_places(size: Size) -> [f64; 2] {
    [LEFT + 8.0, size.width - RIGHT - 8.0]
}

fn y_places(size: Size) -> [f64; 2] {
    [size.height - BOTTOM, TOP]
}

/// A dot a sample; placed again in the smaller picture.
fn dots(ratios: &[Option<f64>], x: &Scale, y: &Scale, size: Size) -> String {
    if size.width < WIDE.width {
        let (original_x, original_y) =
            (Scale { places: x_places(WIDE), ..*x }, Scale { places: y_places(WIDE), ..*y });
        return format!(
            "<use class=\"dots\" {}/>",
            placed_again("time-dots", [(&original_x, x), (&original_y, y)])
        );
    }
    // Each is written as its distance from the one before, to a tenth of a pixel across and a pixel down: a page of many
    // samples is mostly dots.
    let mut path = String::new();
    let mut before = (0.0, 0.0);
    for (place, ratio) in ratios.iter().enumerate() {
        if let Some(ratio) = ratio {
            let (across, down) = ((x.at(place as f64 + 1.0) * 10.0).round(), y.at(*ratio).round());
            let _ = write!(path, "m{} {}h0", (across - before.0) / 10.0, down - before.1);
            before = (across, down);
        }
    }
    format!("<path class=\"dots\" id=\"time-dots\" d=\"{path}\"/>")
}

/// A faint line where a round begins.
fn rounds(rows: &[SampleRow], x: &Scale, size: Size) -> String {
    let begins: Vec<usize> =
        (1..rows.len()).filter(|place| rows[*place].round != rows[place - 1].round).collect();
    if begins.len() > LINED_ROUNDS {
        return String::new();
    }
    let mut path = String::new();
    for place in begins {
        let _ = write!(path, "M{:.1} {TOP}V{:.1}", x.at(place as f64 + 0.5), size.height - BOTTOM);
    }
    format!("<path class=\"round\" d=\"{path}\"/>")
}

fn axes(body: &mut String, x: &Scale, y: &Scale, size: Size) {
    let ticks = y.ticks(4);
    let (right, bottom) = (size.width - RIGHT, size.height - BOTTOM);
    let shares: Vec<f64> = ticks.iter().map(|tick| tick * 100.0).collect();
    for (tick, share) in ticks.iter().zip(&shares) {
        let (place, text) = (y.at(*tick), label(*share, &shares, 1.0));
        let class = if (tick - 1.0).abs() < 1e-9 { "grid one" } else { "grid" };
        let _ = write!(
            body,
            "<path class=\"{class}\" d=\"M{LEFT} {place:.1}H{right:.1}\"/><text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            LEFT - 7.0,
            place + 4.0
        );
    }
    for tick in x.ticks(if size.width > 600.0 { 10 } else { 5 }) {
        if tick < 1.0 || tick.fract() != 0.0 {
            continue;
        }
        let place = x.at(tick);
        let _ = write!(
            body,
            "<path class=\"tick\" d=\"M{place:.1} {bottom:.1}v5\"/><text class=\"x\" x=\"{place:.1}\" y=\"{:.1}\">{tick}</text>",
            bottom + 18.0
        );
    }
    let _ = write!(
        body,
        "<path class=\"base\" d=\"M{LEFT} {bottom:.1}H{right:.1}\"/><text class=\"name\" x=\"2\" y=\"14\">% of the median</text>\
         <text class=\"name end\" x=\"{right:.1}\" y=\"{:.1}\">sample, in time order</text>",
        bottom + 36.0
    );
}
