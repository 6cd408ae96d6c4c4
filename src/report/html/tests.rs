//! A report of the largest sweep that is promised, and of one with nothing in it.

use std::path::PathBuf;

use super::*;
use crate::results::{Point, SampleRow, Stack, StackPart, fixtures};
use crate::target::Procs;

/// Bytes of a report without flame graphs, at most.
const LARGEST: usize = 1_500_000;

fn saved(points: u32, rounds: u32) -> Saved {
    let row = |round: u32, procs: u32| {
        let noise = f64::from(round * 31 % 17) / 170.0;
        let throughput = 1234.5 * f64::from(procs).sqrt() * (1.0 + noise);
        SampleRow {
            throughput: Some(throughput),
            user_s: Some(0.123_456 + noise),
            sys_s: Some(0.012_3),
            max_rss_bytes: Some(5_394_432),
            context_switches: Some(38.0),
            elapsed_s: Some(0.227_413_406),
            latency_p50_s: Some(0.000_123_456 + noise),
            latency_p99_s: Some(0.001_234_567 + noise),
            latency_max_s: Some(0.012_345_678 + noise),
            goroutines: Some(1234.0),
            steals: Some(123.0 + noise),
            run_queue_wait_s: Some(0.001_234 + noise),
            ..fixtures::row("large", procs, round)
        }
    };
    let rows = (1..=rounds).flat_map(|round| (1..=points).map(move |procs| row(round, procs))).collect();
    Saved { folder: PathBuf::from("large"), manifest: fixtures::manifest("large"), rows }
}

fn answer(points: u32) -> Recommendation {
    let template = fixtures::recommendation("large");
    let point = |procs: u32| Point {
        procs: f64::from(procs),
        samples: 50,
        throughput: 1_296.123_456_789 * f64::from(procs).sqrt(),
        lo: Some(1_234.567_890_123 * f64::from(procs).sqrt()),
        hi: Some(1_351.098_765_432 * f64::from(procs).sqrt()),
        speedup: Some(f64::from(procs).sqrt()),
        efficiency: Some(1.0 / f64::from(procs).sqrt()),
        ..template.points[0].clone()
    };
    let stack = (1..=points).map(|procs| stack(f64::from(procs))).collect();
    let points: Vec<Point> = (1..=points).map(point).collect();
    Recommendation { recommended_procs: 128.0, best_procs: 256.0, points, stack, ..template }
}

/// A stack that has every part.
fn stack(procs: f64) -> Stack {
    let parts = StackPart::NAMES.map(|(name, _)| StackPart {
        name: name.to_owned(),
        share: Some(0.08 + 0.003 / procs),
        s_per_op: Some(0.000_123_4 * procs.sqrt()),
    });
    Stack {
        procs,
        samples: 50,
        whole_s_per_op: 0.001_234_5 * procs.sqrt(),
        parts: parts.into(),
        unexplained: 0.004,
    }
}

#[test]
fn a_report_of_12800_samples_is_small_enough_and_shows_them_all() {
    let (saved, answer) = (saved(256, 50), answer(256));
    let page = report(&Subject { saved: &saved, answer: Some(&answer), flames: &[], has_index: true });
    assert!(page.len() <= LARGEST, "{} bytes", page.len());
    assert!(page.contains("data-samples=\"12800\""));
    let path = page.split_once("data-samples=\"12800\"").unwrap().1;
    assert_eq!(path.split_once("/>").unwrap().0.matches("h0").count(), 12_800);
}

#[test]
fn dots_stand_where_their_throughput_is() {
    let (saved, answer) =
        (saved(3, 4), Recommendation { recommended_procs: 2.0, best_procs: 3.0, ..answer(3) });
    let page = report(&Subject { saved: &saved, answer: Some(&answer), flames: &[], has_index: false });
    let svg = page.split_once("<svg class=\"chart wide samples\"").unwrap().1;
    let attribute = |name: &str| -> f64 {
        let rest = svg.split_once(&format!("{name}=\"")).unwrap().1;
        rest.split_once('"').unwrap().0.parse().unwrap()
    };
    let (low, high) = (attribute("data-low"), attribute("data-high"));
    let (top, bottom) = (attribute("data-top"), attribute("data-bottom"));
    let path = svg.split_once("id=\"curve-dots\"").unwrap().1.split_once(" d=\"").unwrap().1;
    let heights = path.split_once('"').unwrap().0.split('M').skip(1).map(|dot| {
        let y = dot.split_once(' ').unwrap().1.trim_end_matches("h0");
        y.parse::<f64>().unwrap()
    });
    let drawn: Vec<f64> = heights.map(|y| low + (bottom - y) / (bottom - top) * (high - low)).collect();
    let mut rows: Vec<&SampleRow> = saved.rows.iter().collect();
    rows.sort_by_key(|row| row.procs);
    // Places are written to a tenth of a pixel.
    let pixel = (high - low) / (bottom - top);
    for (row, drawn) in rows.iter().zip(&drawn) {
        assert!((row.throughput.unwrap() - drawn).abs() <= 0.051 * pixel, "{row:?}: {drawn}");
    }
    assert_eq!(drawn.len(), rows.len());
}

#[test]
fn a_sweep_of_nothing_has_a_report() {
    let saved = Saved { rows: Vec::new(), ..saved(1, 1) };
    let page = report(&Subject { saved: &saved, answer: None, flames: &[], has_index: false });
    assert!(page.contains("No recommendation: no sample was measured."));
    assert!(!page.contains("NaN"));
}

#[test]
fn the_default_stands_beside_the_axis() {
    let mut saved = saved(2, 6);
    for round in 1..=6 {
        saved.rows.push(SampleRow { procs: Procs::Default, ..fixtures::row("large", 2, round) });
    }
    let default = crate::results::DefaultPoint {
        samples: 6,
        throughput: 200.0,
        lo: Some(190.0),
        hi: Some(210.0),
        speedup: Some(2.0),
        gain: 0.1,
        gain_interval: None,
        cpu_s_per_op: None,
        latency_p99_s: None,
        max_rss_bytes: None,
    };
    let answer =
        Recommendation { recommended_procs: 2.0, best_procs: 2.0, default: Some(default), ..answer(2) };
    let page = report(&Subject { saved: &saved, answer: Some(&answer), flames: &[], has_index: false });
    assert!(page.contains("data-procs=\"default\"><title>default, nothing set: 200 ops/s"));
    assert!(page.contains("<tr data-procs=\"default\"><th scope=\"row\">default</th>"));
}
