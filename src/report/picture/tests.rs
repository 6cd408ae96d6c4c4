//! The picture holds what the answer does, whatever the target is called and however little was measured.

use std::path::PathBuf;

use resvg::usvg::roxmltree::{Document, Node};

use super::*;
use crate::report::number::quantity;
use crate::results::{SampleRow, Saved, fixtures};

fn saved(rows: Vec<SampleRow>) -> Saved {
    Saved { folder: PathBuf::from("app"), manifest: fixtures::manifest("app"), rows }
}

fn rows() -> Vec<SampleRow> {
    (1..=3).flat_map(|round| [1, 2].map(|procs| fixtures::row("app", procs, round))).collect()
}

fn subject<'a>(saved: &'a Saved, answer: Option<&'a Recommendation>) -> Subject<'a> {
    Subject { saved, answer, flames: &[], has_index: false }
}

fn number(node: Node<'_, '_>, attribute: &str) -> f64 {
    node.attribute(attribute).and_then(|text| text.parse().ok()).expect("a number")
}

/// Everything that is written in the picture.
fn words(picture: &str) -> String {
    let document = Document::parse(picture).expect("XML");
    let texts = document.descendants().filter(|node| node.has_tag_name("text"));
    texts.filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

#[test]
fn medians_stand_where_their_throughput_is_and_say_it() {
    let (saved, answer) = (saved(rows()), fixtures::recommendation("app"));
    let picture = svg(&subject(&saved, Some(&answer)));
    let document = Document::parse(&picture).unwrap();
    assert!(document.root_element().tag_name().namespace() == Some("http://www.w3.org/2000/svg"));
    let chart = document.descendants().find(|node| node.has_attribute("data-low")).unwrap();
    let [low, high] = ["data-low", "data-high"].map(|end| number(chart, end));
    let [top, bottom] = ["data-top", "data-bottom"].map(|end| number(chart, end));
    let pixel = (high - low) / (bottom - top);
    let medians = chart.children().find(|node| node.attribute("class") == Some("mark median")).unwrap();
    let places = medians.attribute("d").unwrap().split('M').skip(1);
    let drawn: Vec<f64> = places
        .map(|dot| dot.split_once(' ').unwrap().1.trim_end_matches("h0").parse::<f64>().unwrap())
        .map(|y| low + (bottom - y) * pixel)
        .collect();
    assert_eq!(drawn.len(), answer.points.len());
    let said: Vec<&str> = chart
        .descendants()
        .filter(|node| node.has_tag_name("title"))
        .filter_map(|node| node.text())
        .collect();
    for ((point, drawn), said) in answer.points.iter().zip(drawn).zip(said) {
        assert!((point.throughput - drawn).abs() <= 0.051 * pixel, "{point:?}: {drawn}");
        assert!(said.contains(&quantity(point.throughput, &answer.unit)), "{point:?}: {said}");
    }
}

#[test]
fn what_the_picture_is_of_is_written_on_it() {
    let (saved, answer) = (saved(rows()), fixtures::recommendation("app"));
    let words = words(&svg(&subject(&saved, Some(&answer))));
    for part in
        ["app: throughput (ops/s) against procs", "Take 2: 2.00×", "one sample", "model: linear", "procs"]
    {
        assert!(words.contains(part), "{part}: {words}");
    }
}

#[test]
fn a_sweep_of_one_point_or_of_failures_has_a_picture() {
    let one = saved(vec![fixtures::row("app", 1, 1)]);
    let points = fixtures::recommendation("app").points[..1].to_vec();
    let model = crate::results::Model { kind: "none".to_owned(), ..fixtures::recommendation("app").model };
    let answer = Recommendation {
        points,
        model,
        recommended_procs: 1.0,
        best_procs: 1.0,
        ..fixtures::recommendation("app")
    };
    let failed = saved(vec![SampleRow { status: "failed".to_owned(), ..fixtures::row("app", 1, 1) }]);
    for (subject, part) in [
        (subject(&one, Some(&answer)), "Take 1"),
        (subject(&failed, None), "No recommendation: the one sample did not succeed."),
    ] {
        let picture = svg(&subject);
        let words = words(&picture);
        assert!(words.contains(part) && !picture.contains("NaN"), "{words}");
        assert_eq!(png(&subject)[..8], *b"\x89PNG\r\n\x1a\n");
    }
}

#[test]
fn names_stay_text_and_long_ones_are_broken() {
    let mut saved = saved(rows());
    saved.manifest.command.unit = "<b>&\"µ\u{202e}\u{1b}[0m 字".to_owned();
    saved.manifest.machine.cpu_model = Some("a processor of a long name ".repeat(12));
    let answer =
        Recommendation { unit: saved.manifest.command.unit.clone(), ..fixtures::recommendation("app") };
    let subject = subject(&saved, Some(&answer));
    let words = words(&svg(&subject));
    assert!(words.contains("app: throughput (<b>&\"µ\\u{202e}\\u{1b}[0m 字) against procs"), "{words}");
    assert!(words.lines().all(|line| width("note", line) < curve::WIDTH * 1.01), "{words}");
    assert_eq!(png(&subject)[..8], *b"\x89PNG\r\n\x1a\n");
}

#[test]
fn outlines_are_as_wide_as_they_are_said_to_be() {
    let outlines =
        letters::as_outlines("<text class=\"note end\" x=\"100.0\" y=\"20.0\">Take &lt;2 µs</text>");
    let numbers = outlines.split(|letter: char| !(letter.is_ascii_digit() || letter == '.'));
    let places: Vec<f64> = numbers.filter_map(|text| text.parse().ok()).collect();
    let xs: Vec<f64> = places.chunks(2).map(|pair| pair[0]).collect();
    let (from, to) = xs.iter().fold((f64::MAX, 0f64), |(from, to), x| (from.min(*x), to.max(*x)));
    assert!(to <= 100.0 && to > 98.0, "{outlines}");
    assert!((to - from - width("note end", "Take <2 µs")).abs() < 3.0, "{from} to {to}");
}
