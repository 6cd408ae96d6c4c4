//! The picture of the first screen: throughput against worker counts, with everything that the decision rests on.

use std::fmt::Write as _;

use super::chart::{Chart, ProcsAxis, Size, placed_again};
use super::scale::Spread;
use super::text::{Unit, escape};
use super::{Subject, facts};
use crate::model::{Kind, Law};
use crate::report::number::{in_procs, interval, percent, procs, quantity, times};
use crate::results::{Model, Point, Recommendation, SampleRow};
use crate::target::Procs;

/// Size of the picture on a screen, on paper and in a file, in its own pixels.
pub(in crate::report) const WIDTH: f64 = 1080.0;
pub(in crate::report) const HEIGHT: f64 = 392.0;
/// On a screen or on paper, and on a telephone.
const WIDE: Size = Size { width: WIDTH, height: HEIGHT };
const NARROW: Size = Size { width: 400.0, height: 330.0 };
/// Room for the samples of the default.
const SLOT: f64 = 66.0;
/// Share of the largest value that the axis leaves free above it.
const HEADROOM: f64 = 1.08;
/// Widest spread of the dots of one worker count, pixels to both sides.
const JITTER: f64 = 9.0;
/// The golden section, by which dots spread evenly however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_9;
/// Places along the axis at which a law is drawn.
const STEPS: usize = 160;

/// Points up to which a median is as large as it is easy to see.
const FEW: usize = 40;

/// The law that was fitted; `None` if none was.
pub(super) fn law(model: &Model) -> Option<Law> {
    let kinds = [Kind::Linear, Kind::Amdahl, Kind::Usl];
    let kind = kinds.into_iter().find(|kind| kind.name() == model.kind)?;
    let or_none = |value: Option<f64>| value.unwrap_or(0.0);
    let (sigma, kappa) = (or_none(model.sigma), or_none(model.kappa));
    Some(Law { kind, sigma, kappa, lambda: model.lambda?, ceiling: model.ceiling })
}

/// The smallest worker count whose median throughput is within the policy's tolerance of the best's, 5 % if it has none;
/// under the policy `knee` that is what was chosen.
pub(super) fn knee(answer: &Recommendation) -> f64 {
    if answer.policy.takes_the_smallest() {
        return answer.recommended_procs;
    }
    let best = best(answer);
    let close = |point: &&Point| point.throughput >= (1.0 - tolerance(answer)) * best;
    answer.points.iter().find(close).map_or(answer.best_procs, |point| point.procs)
}

fn tolerance(answer: &Recommendation) -> f64 {
    let own = answer.policy.tolerance();
    if own < 1.0 { own } else { 0.05 }
}

fn best(answer: &Recommendation) -> f64 {
    let is_best = |point: &&Point| point.procs == answer.best_procs;
    answer.points.iter().find(is_best).map_or(0.0, |point| point.throughput)
}

/// What perfect scaling from the smallest measured worker count gives at `n`.
fn ideal(answer: &Recommendation, n: f64) -> f64 {
    answer.points.first().map_or(0.0, |first| first.throughput / first.procs * n)
}

/// The worker counts that the axis shows: beyond the largest if a law says what to expect there.
fn axis(answer: &Recommendation, slot: f64) -> ProcsAxis {
    let counts: Vec<f64> = answer.points.iter().map(|point| point.procs).collect();
    let (first, last) = (counts[0], counts[counts.len() - 1]);
    let beyond = if last > 8.0 * first { 1.5 } else { 1.25 };
    let has_law = law(&answer.model).is_some() && counts.len() > 1;
    ProcsAxis { counts, end: if has_law { last * beyond } else { last }, slot }
}

/// The section: picture, legend. There has to be an answer.
pub(super) fn section(subject: &Subject<'_>, answer: &Recommendation) -> String {
    let points = facts::by_point(&subject.saved.rows);
    let default = points.get(&Procs::Default).map_or(&[][..], Vec::as_slice);
    let has_default = answer.default.is_some();
    let description = format!("{} The table Points has all values.", description(answer));
    let mut pictures = String::new();
    for (class, size) in [("wide", WIDE), ("narrow", NARROW)] {
        let axis = axis(answer, if has_default { SLOT } else { 0.0 });
        let chart = drawn(answer, &points, default, &axis, size);
        pictures.push_str(&chart.svg(&format!("{class} samples"), &description));
    }
    format!("<figure id=\"curve\" class=\"hero\">{pictures}{}</figure>", legend(answer))
}

/// The curve for a picture of its own: an `svg` element of [`WIDTH`] by [`HEIGHT`] without any style.
pub(in crate::report) fn alone(rows: &[SampleRow], answer: &Recommendation) -> String {
    let points = facts::by_point(rows);
    let default = points.get(&Procs::Default).map_or(&[][..], Vec::as_slice);
    let axis = axis(answer, if answer.default.is_some() { SLOT } else { 0.0 });
    drawn(answer, &points, default, &axis, WIDE).svg("wide", &description(answer))
}

type Samples<'a> = std::collections::BTreeMap<Procs, Vec<&'a SampleRow>>;

fn drawn<'a>(
    answer: &'a Recommendation,
    samples: &Samples<'_>,
    default: &[&SampleRow],
    axis: &'a ProcsAxis,
    size: Size,
) -> Chart<'a> {
    let all = samples.values().flatten().filter_map(|row| row.throughput);
    let most = all.chain(answer.points.iter().filter_map(|point| point.hi)).fold(best(answer), f64::max);
    let high = if most > 0.0 { most * HEADROOM } else { 1.0 };
    let mut chart = Chart::new(size, axis, Unit::Rate(&answer.unit), Spread::Even, [0.0, high]);
    behind(&mut chart, answer);
    chart.axes();
    curves(&mut chart, answer);
    signs(&mut chart, answer);
    dots(&mut chart, answer, samples);
    medians(&mut chart, answer);
    default_slot(&mut chart, answer, default);
    let of_point = |point| if size.width < WIDE.width { String::new() } else { said(answer, point) };
    chart.hits(answer.points.iter().map(|point| (point.procs, of_point(point))));
    chart
}

/// Shades: what is close enough to the best, and where nothing was measured.
fn behind(chart: &mut Chart<'_>, answer: &Recommendation) {
    let (top, bottom) = (chart.top(), chart.bottom());
    let last = axis_last(chart);
    let (from, to) = (chart.x.at(last) + 10.0, chart.right());
    if chart.procs.end > last && to > from {
        let (width, height) = (to - from, bottom - top);
        chart.push(&format!(
            "<rect class=\"beyond\" x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
        if width > 76.0 {
            chart.text("note end", to - 5.0, bottom - 7.0, "extrapolated");
        }
    }
    if answer.points.len() > 1 {
        let best = best(answer);
        let (upper, lower) = (chart.y.at(best), chart.y.at(best * (1.0 - tolerance(answer))));
        let (left, width) = (chart.left(), from.min(to) - chart.left());
        chart.push(&format!(
            "<rect class=\"close\" x=\"{left:.1}\" y=\"{upper:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>",
            lower - upper
        ));
    }
}

/// The largest worker count that was measured.
fn axis_last(chart: &Chart<'_>) -> f64 {
    chart.procs.counts[chart.procs.counts.len() - 1]
}

/// The ideal line and the law, which is dashed where nothing was measured.
fn curves(chart: &mut Chart<'_>, answer: &Recommendation) {
    let (first, last, end) = (chart.procs.counts[0], axis_last(chart), chart.procs.end);
    if answer.points.len() < 2 {
        return;
    }
    let high = chart.y.values[1];
    // Cut where it leaves the picture.
    let ideal_end = end.min(high / ideal(answer, 1.0));
    if ideal_end > first {
        let x = chart.x;
        let n = |step: usize| x.value(step as f64 / STEPS as f64);
        let inner = (0..=STEPS).map(n).filter(|n| *n < ideal_end);
        let line: Vec<f64> = inner.chain([ideal_end]).collect();
        chart.line("ideal", line.into_iter().map(|n| (n, Some(ideal(answer, n)))));
    }
    if let Some(law) = law(&answer.model) {
        let x = chart.x;
        let steps = |from: f64, to: f64| {
            let inner = (0..=STEPS).map(|step| x.value(step as f64 / STEPS as f64));
            let mut all: Vec<f64> = [from, to].into_iter().chain(inner).chain(law.ceiling).collect();
            all.retain(|n| (from..=to).contains(n));
            all.sort_by(f64::total_cmp);
            all.into_iter()
                .map(|n| (n, Some(law.throughput(n))))
                .filter(|(_, x)| x.is_some_and(|x| x <= high))
        };
        chart.line("model", steps(first, last));
        if end > last {
            chart.line("model guess", steps(last, end));
        }
    }
}

/// Recommended, best, knee and ceiling, by name.
fn signs(chart: &mut Chart<'_>, answer: &Recommendation) {
    if let Some(ceiling) = answer.model.ceiling.filter(|n| (chart.x.values[0]..chart.x.values[1]).contains(n))
    {
        chart.at_procs("ceiling", ceiling);
        let (x, y) = (chart.x.at(ceiling), chart.bottom() - 7.0);
        // At the right end the name stands before its line, out of the way of what is said there.
        let (class, x) = if x + 120.0 > chart.right() { ("note end", x - 5.0) } else { ("note", x + 5.0) };
        chart.text(class, x, y, &Unit::Cpus.text(ceiling));
    }
    let (chosen, best, knee) = (answer.recommended_procs, answer.best_procs, knee(answer));
    chart.at_procs("chosen", chosen);
    let is_knee = knee == chosen && answer.points.len() > 1;
    let name = if is_knee { "take {} · knee" } else { "take {}" };
    let mut signs = vec![("sign chosen", chosen, name)];
    for (n, name) in [(best, "best {}"), (knee, "knee {}")] {
        if signs.iter().all(|(_, other, _)| *other != n) {
            chart.at_procs("best", n);
            signs.push(("sign", n, name));
        }
    }
    let mut taken: Vec<(f64, f64)> = Vec::new();
    for (class, n, name) in signs {
        let place = chart.x.at(n);
        let text = name.replace("{}", &procs(n));
        // Names that would touch stand in two rows.
        let is_near = taken.iter().any(|(other, _)| (other - place).abs() < 96.0);
        let y = chart.top() - if is_near { 22.0 } else { 8.0 };
        let room = text.len() as f64 * 3.4;
        let x = place.max(chart.left() + room - 20.0).min(chart.size.width - room);
        chart.text(class, x, y, &text);
        taken.push((place, y));
    }
}

/// Every sample, spread a little to the sides. The path is written once, and placed again in the smaller picture: a page of
/// many samples is mostly this.
fn dots(chart: &mut Chart<'_>, answer: &Recommendation, samples: &Samples<'_>) {
    let spread = jitter(chart);
    if chart.size.width < WIDE.width {
        let original = Chart::new(WIDE, chart.procs, chart.unit, Spread::Even, chart.y.values);
        let aside = jitter(&original) * chart.x.onto(&original.x).0;
        let placed = placed_again("curve-dots", [(&original.x, &chart.x), (&original.y, &chart.y)]);
        chart.push(&format!("<use class=\"dots\" data-aside=\"{aside:.2}\" {placed}/>"));
        return;
    }
    let mut path = String::new();
    let mut count = 0;
    for point in &answer.points {
        let of_point = samples.get(&Procs::Count(point.procs as u32)).map_or(&[][..], Vec::as_slice);
        for (index, throughput) in of_point.iter().filter_map(|row| row.throughput).enumerate() {
            let aside = spread * (2.0 * ((index as f64 * GOLDEN + 0.5) % 1.0) - 1.0);
            let (x, y) = (chart.x.at(point.procs) + aside, chart.y.at(throughput));
            let _ = write!(path, "M{x:.1} {y:.1}h0");
            count += 1;
        }
    }
    chart.push(&format!(
        "<path class=\"dots\" id=\"curve-dots\" data-samples=\"{count}\" data-aside=\"{spread:.2}\" d=\"{path}\"/>"
    ));
}

/// How far dots may spread: not into the neighbours.
fn jitter(chart: &Chart<'_>) -> f64 {
    let places: Vec<f64> = chart.procs.counts.iter().map(|n| chart.x.at(*n)).collect();
    let nearest = places.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    (nearest / 3.0).min(JITTER)
}

/// Median and interval of each point.
fn medians(chart: &mut Chart<'_>, answer: &Recommendation) {
    let mut bars = String::new();
    for point in &answer.points {
        if let (Some(lo), Some(hi)) = (point.lo, point.hi) {
            let (x, low, high) = (chart.x.at(point.procs), chart.y.at(lo), chart.y.at(hi));
            let _ = write!(bars, "M{x:.1} {low:.1}V{high:.1}");
        }
    }
    chart.push(&format!("<path class=\"interval\" d=\"{bars}\"/>"));
    let class = if answer.points.len() > FEW { "median many" } else { "median" };
    chart.marks(class, answer.points.iter().map(|point| (point.procs, Some(point.throughput))));
    if let Some(chosen) = super::super::answer::chosen(answer) {
        chart.marks("median taken", [(chosen.procs, Some(chosen.throughput))]);
    }
}

/// The default has no worker count, so it stands beside the axis; a line leads its median across.
fn default_slot(chart: &mut Chart<'_>, answer: &Recommendation, samples: &[&SampleRow]) {
    let Some(default) = &answer.default else { return };
    let x = chart.right() + SLOT / 2.0;
    let y = chart.y.at(default.throughput);
    let mut path = String::new();
    for (index, throughput) in samples.iter().filter_map(|row| row.throughput).enumerate() {
        let aside = JITTER * (2.0 * ((index as f64 * GOLDEN + 0.5) % 1.0) - 1.0);
        let _ = write!(path, "M{:.1} {:.1}h0", x + aside, chart.y.at(throughput));
    }
    let bar = default
        .lo
        .zip(default.hi)
        .map_or_else(String::new, |(lo, hi)| format!("M{x:.1} {:.1}V{:.1}", chart.y.at(lo), chart.y.at(hi)));
    let (left, top, bottom) = (chart.left(), chart.top(), chart.bottom());
    let text = format!("default, nothing set: {}", quantity(default.throughput, &answer.unit));
    chart.push(&format!(
        "<path class=\"default\" d=\"M{left:.1} {y:.1}H{x:.1}\"/><path class=\"dots\" d=\"{path}\"/>\
         <path class=\"interval\" d=\"{bar}\"/><path class=\"mark median\" d=\"M{x:.1} {y:.1}h0\"/>\
         <text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">default</text>\
         <rect class=\"hit\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{SLOT}\" height=\"{:.1}\" data-x=\"{x:.1}\" \
         data-procs=\"default\"><title>{}</title></rect>",
        bottom + 18.0,
        chart.right(),
        bottom - top,
        escape(&text)
    ));
}

/// What is said of a point where the pointer is on it.
pub(super) fn said(answer: &Recommendation, point: &Point) -> String {
    let mut text = format!("{}: {}", in_procs(point.procs), quantity(point.throughput, &answer.unit));
    if let (Some(lo), Some(hi)) = (point.lo, point.hi) {
        let ends = interval(lo, hi);
        let gap = if ends.ends_with(char::is_alphabetic) { "" } else { " " };
        let _ = write!(text, "\n95 % interval {ends}{gap}{}", answer.unit);
    }
    let s = if point.samples == 1 { "" } else { "s" };
    let _ = write!(text, "\n{} sample{s}", point.samples);
    if let Some((speedup, efficiency)) = point.speedup.zip(point.efficiency) {
        let _ = write!(text, "\nspeedup {}, efficiency {}", times(speedup), percent(efficiency));
    }
    if point.procs == answer.recommended_procs {
        text.push_str("\nrecommended");
    }
    text
}

/// Points named in a description; of more, the first, the best and the last.
const DESCRIBED: usize = 12;

fn description(answer: &Recommendation) -> String {
    let is_worth = |point: &&Point| {
        let ends = [answer.points.first(), answer.points.last()];
        answer.points.len() <= DESCRIBED
            || [answer.best_procs, answer.recommended_procs].contains(&point.procs)
            || ends.into_iter().flatten().any(|end| end.procs == point.procs)
    };
    let points: Vec<String> = answer
        .points
        .iter()
        .filter(is_worth)
        .map(|point| format!("{} at {}", quantity(point.throughput, &answer.unit), procs(point.procs)))
        .collect();
    format!(
        "Median throughput against procs: {}. Recommended: {}.",
        points.join(", "),
        procs(answer.recommended_procs)
    )
}

/// What the parts of the picture are: the class that each is drawn with, and its name.
pub(in crate::report) fn keys(answer: &Recommendation) -> Vec<(&'static str, String)> {
    let mut keys = vec![("dots", "one sample".to_owned())];
    let has_interval = answer.points.iter().any(|point| point.lo.is_some());
    keys.push(("median", if has_interval { "median, 95 % interval" } else { "median" }.to_owned()));
    if answer.points.len() > 1 {
        if let Some(law) = law(&answer.model) {
            keys.push(("model", model_name(&law)));
        }
        let from = answer.points[0].procs;
        keys.push((
            "ideal",
            if from == 1.0 { "ideal".to_owned() } else { format!("ideal, from {}", procs(from)) },
        ));
        keys.push(("close", format!("within {} of the best", percent(tolerance(answer)))));
    }
    if answer.default.is_some() {
        keys.push(("default", "default: nothing set".to_owned()));
    }
    keys
}

fn legend(answer: &Recommendation) -> String {
    let items: String = keys(answer)
        .iter()
        .map(|(class, text)| format!("<li><i class=\"key {class}\"></i>{}</li>", escape(text)))
        .collect();
    format!("<ul class=\"legend\" aria-label=\"Legend\">{items}</ul>")
}

/// The law with its parameters.
pub(super) fn model_name(law: &Law) -> String {
    match law.kind {
        Kind::Linear => "model: linear".to_owned(),
        Kind::Amdahl => format!("model: Amdahl, σ = {:.3}", law.sigma),
        Kind::Usl => format!("model: USL, σ = {:.3}, κ = {:.2e}", law.sigma, law.kappa),
    }
}
