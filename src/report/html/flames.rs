//! Flame graphs: each in a frame of its own, where it can be zoomed and searched but reach nothing else.
//!
//! The graphs bring inferno's script. The frame is sandboxed: whatever a symbol is called, it stays in there.

use std::fmt::Write as _;

use super::Subject;
use super::text::escape;
use crate::report::number::in_procs;
use crate::results::{Flame, Note};

/// Height of a frame in pixels whose graph does not say its own.
const HEIGHT: f64 = 640.0;

/// Comes before a graph: it may not change the address of its frame, which its script tries on each zoom; it is laid out when
/// its frame has a width, which one out of sight has not yet; and it begins at the bottom, where the roots are. The style sheet
/// limits the height of a frame on the screen, where it is scrolled, and not on paper.
const PRELUDE: &str = include_str!("frame.html");

/// What starts a graph's script, and what starts it in a frame.
const START: [&str; 2] = ["onload=\"init(evt)\"", "onload=\"whenSeen()\""];

/// The section: tabs where there are several, why there is none where there is none.
pub(super) fn section(subject: &Subject<'_>) -> String {
    let flames = ordered(subject.flames);
    let body = if flames.is_empty() { format!("<p>{}</p>", missing(subject)) } else { tabs(&flames) };
    format!("<section id=\"flames\"><h2>Where the time goes: flame graphs</h2>{body}</section>")
}

/// On-CPU graphs first, then off-CPU, then differences; each by worker count.
fn ordered(flames: &[Flame]) -> Vec<(Kind, &Flame)> {
    let mut flames: Vec<(Kind, &Flame)> = flames.iter().map(|flame| (kind(&flame.name), flame)).collect();
    flames.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.name.cmp(&b.1.name)));
    flames
}

/// What a graph shows, by the name of its file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    OnCpu(u32),
    OffCpu(u32),
    Difference(u32, u32),
    OffCpuDifference(u32, u32),
    Other(String),
}

fn kind(name: &str) -> Kind {
    let number = |text: &str| text.parse::<u32>().ok();
    let pair = |text: &str| text.split_once('-').and_then(|(a, b)| number(a).zip(number(b)));
    let on = name.strip_prefix("procs-").and_then(number).map(Kind::OnCpu);
    let off = || name.strip_prefix("off-cpu-procs-").and_then(number).map(Kind::OffCpu);
    let difference = || name.strip_prefix("diff-").and_then(pair).map(|(a, b)| Kind::Difference(a, b));
    let of_off = ["off-cpu-diff-", "diff-off-cpu-"];
    let off_difference = || {
        let ends = of_off.iter().find_map(|start| name.strip_prefix(start)).and_then(pair);
        ends.map(|(a, b)| Kind::OffCpuDifference(a, b))
    };
    on.or_else(off)
        .or_else(difference)
        .or_else(off_difference)
        .unwrap_or_else(|| Kind::Other(name.to_owned()))
}

impl Kind {
    fn label(&self) -> String {
        match self {
            Self::OnCpu(n) => format!("on CPU, {}", in_procs((*n).into())),
            Self::OffCpu(n) => format!("off CPU, {}", in_procs((*n).into())),
            Self::Difference(a, b) => format!("difference {a} → {b}"),
            Self::OffCpuDifference(a, b) => format!("off CPU, difference {a} → {b}"),
            Self::Other(name) => name.clone(),
        }
    }

    fn about(&self) -> &'static str {
        match self {
            Self::OnCpu(_) => "width is CPU time. Click a frame to zoom, the lowest one to go back.",
            Self::OffCpu(_) => {
                "width is time spent waiting. Click a frame to zoom, the lowest one to go back."
            }
            Self::Difference(..) | Self::OffCpuDifference(..) => {
                "red frames take more of the time at the second count, blue ones less. Click a frame to zoom."
            }
            Self::Other(_) => "click a frame to zoom, the lowest one to go back.",
        }
    }
}

fn tabs(flames: &[(Kind, &Flame)]) -> String {
    let mut buttons = String::new();
    let mut panels = String::new();
    for (place, (kind, flame)) in flames.iter().enumerate() {
        let label = escape(&kind.label());
        let is_first = place == 0;
        let focus = if is_first { "0" } else { "-1" };
        let _ = write!(
            buttons,
            "<button type=\"button\" role=\"tab\" id=\"tab-{place}\" aria-controls=\"flame-{place}\" \
             aria-selected=\"{is_first}\" tabindex=\"{focus}\">{label}</button>"
        );
        let _ = write!(
            panels,
            "<div role=\"tabpanel\" id=\"flame-{place}\" aria-labelledby=\"tab-{place}\" class=\"flame\"><p><b>{label}</b>: {}</p>\
             <iframe sandbox=\"allow-scripts allow-modals\" title=\"Flame graph: {label}\" style=\"--height:{:.0}px\" \
             srcdoc='{}'></iframe></div>",
            kind.about(),
            height(&flame.svg),
            document(&flame.svg)
        );
    }
    format!("<div role=\"tablist\" aria-label=\"Flame graphs\">{buttons}</div>{panels}")
}

/// The graph as a document, in single quotes.
fn document(svg: &str) -> String {
    // What comes before the root is for a file of its own.
    let root = svg.find("<svg").map_or("", |place| &svg[place..]);
    let root = root.replacen(START[0], START[1], 1);
    format!("{PRELUDE}{root}").replace('&', "&amp;").replace('\'', "&#39;")
}

/// Height that the root says, in pixels.
fn height(svg: &str) -> f64 {
    let root = svg.find("<svg").map_or("", |place| &svg[place..]);
    let said = root.split_once(" height=\"").and_then(|(_, rest)| rest.split_once('"'));
    said.and_then(|(height, _)| height.parse().ok()).filter(|height: &f64| *height > 0.0).unwrap_or(HEIGHT)
}

/// Why there is no graph.
fn missing(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let of_profiles = |note: &&Note| note.code == "profile";
    let said: Vec<String> =
        manifest.warnings.iter().filter(of_profiles).map(|note| super::text::sentence(&note.text)).collect();
    if !said.is_empty() {
        return format!("None: {}.", said.join("; "));
    }
    let why = match manifest {
        manifest if !manifest.plan.flamegraph => "it was measured with <code>--no-flamegraph</code>",
        _ if subject.answer.is_none() => "no sample succeeded, so there was nothing to profile",
        _ => "the sweep ended before profiles were taken",
    };
    format!("None: {why}. <code>corefit flamegraph</code> draws one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_are_named_and_ordered_by_what_they_show() {
        let names = ["diff-1-4", "x<y", "off-cpu-procs-2", "procs-10", "procs-2"];
        let flames = names.map(|name| Flame { name: name.to_owned(), svg: String::new() });
        let labels: Vec<String> = ordered(&flames).iter().map(|(kind, _)| kind.label()).collect();
        let expected = ["on CPU, 2 procs", "on CPU, 10 procs", "off CPU, 2 procs", "difference 1 → 4", "x<y"];
        assert_eq!(labels, expected);
    }

    #[test]
    fn a_graph_cannot_leave_its_attribute() {
        let svg = "<?xml?><!DOCTYPE svg><svg height=\"80\"><title>it's &lt;b&gt; '></iframe><script>alert(1)</script></title></svg>";
        let flame = Flame { name: "procs-1".to_owned(), svg: svg.to_owned() };
        let html = tabs(&[(kind(&flame.name), &flame)]);
        let attribute = html.split_once("srcdoc='").unwrap().1;
        let inside = &attribute[..attribute.find('\'').unwrap()];
        assert!(inside.contains("alert(1)") && inside.contains("&amp;lt;b&amp;gt;"), "{inside}");
        assert!(!inside.contains("<?xml") && attribute[inside.len()..].starts_with("'></iframe></div>"));
        assert_eq!(height(svg), 80.0);
    }
}
