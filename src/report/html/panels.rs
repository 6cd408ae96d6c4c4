//! The smaller pictures: speedup, efficiency, latency, CPU time per operation, each against worker counts.

use super::Subject;
use super::chart::{Chart, ProcsAxis, Size, figure};
use super::curve::law;
use super::facts::{self, column};
use super::scale::Spread;
use super::text::{Unit, escape};
use crate::plan::Policy;
use crate::report::number;
use crate::results::{Recommendation, SampleRow};
use crate::target::Procs;

/// Two of them stand side by side on a screen, and one fills a telephone.
pub(super) const SIZE: Size = Size { width: 470.0, height: 290.0 };

/// Ratio of the largest to the smallest latency from which the axis is logarithmic.
const LOG_FROM: f64 = 20.0;

/// One line of a picture, a value or none for each worker count.
pub(super) struct Series {
    /// Its colour and dashes, as the style sheet names them.
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) values: Vec<(f64, Option<f64>)>,
}

/// All of them that can be drawn; a sentence for each that cannot.
pub(super) fn section(subject: &Subject<'_>, answer: &Recommendation) -> String {
    let points = facts::by_point(&subject.saved.rows);
    let panels =
        [speedup(answer), efficiency(answer), latency(answer, &points), cpu(answer, &points)].concat();
    format!("<section id=\"scaling\"><h2>How it scales</h2><div class=\"grid\">{panels}</div></section>")
}

pub(super) fn measured_axis(answer: &Recommendation) -> ProcsAxis {
    let counts: Vec<f64> = answer.points.iter().map(|point| point.procs).collect();
    let end = counts[counts.len() - 1];
    ProcsAxis { counts, end, slot: 0.0 }
}

/// A picture of several series; the last in the list is drawn on top.
pub(super) fn picture(
    axis: &ProcsAxis,
    answer: &Recommendation,
    unit: Unit<'_>,
    series: &[Series],
    limit: Option<f64>,
    what: &str,
) -> String {
    let values = || series.iter().flat_map(|one| &one.values).filter_map(|(_, value)| *value);
    let high = values().chain(limit).fold(0.0, f64::max);
    let low = values().filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    let is_log = unit == Unit::Seconds && series.len() > 2 && high > LOG_FROM * low;
    let (spread, range) = match is_log {
        true => (Spread::Log, [low / 1.3, high * 1.3]),
        false => (Spread::Even, [0.0, if high > 0.0 { high * 1.1 } else { 1.0 }]),
    };
    let mut chart = Chart::new(SIZE, axis, unit, spread, range);
    chart.axes();
    chart.at_procs("chosen", answer.recommended_procs);
    if let Some(limit) = limit {
        let axis_end = axis.end;
        chart.line("limit", [(axis.counts[0], Some(limit)), (axis_end, Some(limit))]);
    }
    for one in series {
        let shown = one.values.iter().map(|(n, value)| (*n, value.filter(|value| !is_log || *value > 0.0)));
        chart.line(one.class, shown.clone());
        if !one.class.contains("plain") {
            chart.marks(one.class, shown);
        }
    }
    let said = axis.counts.iter().enumerate().map(|(index, n)| {
        let lines: Vec<String> = series
            .iter()
            .rev()
            .filter_map(|one| Some(format!("{}: {}", one.name, unit.text(one.values.get(index)?.1?))))
            .collect();
        (*n, format!("{}\n{}", number::in_procs(*n), lines.join("\n")))
    });
    chart.hits(said.collect::<Vec<_>>());
    chart.svg("", what)
}

/// Names of the lines, below a picture.
pub(super) fn legend(series: &[Series]) -> String {
    let items: String = series
        .iter()
        .rev()
        .map(|one| format!("<li><i class=\"key line {}\"></i>{}</li>", one.class, escape(&one.name)))
        .collect();
    format!("<ul class=\"legend\" aria-label=\"Legend\">{items}</ul>")
}

fn speedup(answer: &Recommendation) -> String {
    let values: Vec<(f64, Option<f64>)> = answer.points.iter().map(|p| (p.procs, p.speedup)).collect();
    if values.iter().all(|(_, value)| value.is_none()) {
        let why = "Speedup and efficiency compare with one worker, and 1 was not measured with success.";
        return figure("Speedup and efficiency", why, "");
    }
    let axis = measured_axis(answer);
    let most = values.iter().filter_map(|(_, value)| *value).fold(1.0, f64::max);
    // The ideal line is drawn as far as it leaves room to see the rest.
    let ideal = |n: f64| (n <= most * 1.6).then_some(n);
    let mut series = vec![Series {
        class: "ideal plain",
        name: "ideal".to_owned(),
        values: answer.points.iter().map(|p| (p.procs, ideal(p.procs))).collect(),
    }];
    if let Some(law) = law(&answer.model).filter(|_| answer.points.len() > 1) {
        let single = answer.points.iter().find(|point| point.procs == 1.0).map(|point| point.throughput);
        let of_law = |n: f64| single.map(|single| law.throughput(n) / single);
        series.push(Series {
            class: "model plain",
            name: "model".to_owned(),
            values: answer.points.iter().map(|p| (p.procs, of_law(p.procs))).collect(),
        });
    }
    series.push(Series { class: "first", name: "measured".to_owned(), values });
    let svg = picture(
        &axis,
        answer,
        Unit::Times,
        &series,
        None,
        "Speedup against procs; the table Points has the values.",
    );
    figure("Speedup", "Throughput over that of one worker.", &(svg + &legend(&series)))
}

fn efficiency(answer: &Recommendation) -> String {
    let values: Vec<(f64, Option<f64>)> = answer.points.iter().map(|p| (p.procs, p.efficiency)).collect();
    if values.iter().all(|(_, value)| value.is_none()) {
        return String::new();
    }
    let axis = measured_axis(answer);
    let limit = match answer.policy {
        Policy::Efficiency { at_least } => Some(at_least),
        _ => None,
    };
    let perfect = Series {
        class: "ideal plain",
        name: "ideal".to_owned(),
        values: answer.points.iter().map(|p| (p.procs, Some(1.0))).collect(),
    };
    let series = [perfect, Series { class: "first", name: "measured".to_owned(), values }];
    let what = "Efficiency against procs; the table Points has the values.";
    let svg = picture(&axis, answer, Unit::Share, &series, limit, what);
    figure(
        "Efficiency",
        "Speedup over procs: how much of each further worker arrives.",
        &(svg + &legend(&series)),
    )
}

type Samples<'a> = std::collections::BTreeMap<Procs, Vec<&'a SampleRow>>;

/// The median of a column at each worker count.
pub(super) fn medians(answer: &Recommendation, samples: &Samples<'_>, name: &str) -> Vec<(f64, Option<f64>)> {
    let of_point = |n: f64| {
        let rows = samples.get(&Procs::Count(n as u32))?;
        column(name).median(rows)
    };
    answer.points.iter().map(|point| (point.procs, of_point(point.procs))).collect()
}

fn latency(answer: &Recommendation, samples: &Samples<'_>) -> String {
    let percentiles = [
        ("latency_p50_s", "p50", "step1"),
        ("latency_p90_s", "p90", "step2"),
        ("latency_p99_s", "p99", "first"),
        ("latency_p999_s", "p99.9", "step3"),
        ("latency_max_s", "longest", "step4"),
    ];
    let series: Vec<Series> = percentiles
        .into_iter()
        .map(|(name, shown, class)| Series {
            class,
            name: shown.to_owned(),
            values: medians(answer, samples, name),
        })
        .filter(|series| series.values.iter().any(|(_, value)| value.is_some()))
        .collect();
    if series.is_empty() {
        let why = "Not measured: the program reports no latency. For a command, <code>--latency-metric REGEX</code> reads \
                   one from its output.";
        return figure("Latency", why, "");
    }
    let axis = measured_axis(answer);
    let limit = match answer.policy {
        Policy::Latency { limit_s, .. } => Some(limit_s),
        _ => None,
    };
    let what = "Latency percentiles against procs; the table Counters has the values.";
    let svg = picture(&axis, answer, Unit::Seconds, &series, limit, what);
    let caption = match limit {
        Some(limit) => format!(
            "Median over the samples. The dashed line is the policy's limit, {}.",
            number::seconds(limit)
        ),
        None => "Of one operation; median over the samples.".to_owned(),
    };
    figure("Latency", &escape(&caption), &(svg + &legend(&series)))
}

fn cpu(answer: &Recommendation, samples: &Samples<'_>) -> String {
    let values: Vec<(f64, Option<f64>)> = answer.points.iter().map(|p| (p.procs, p.cpu_s_per_op)).collect();
    if values.iter().all(|(_, value)| value.is_none()) {
        let why = "Not measured: the samples count no operations, or no CPU time.";
        return figure("CPU time per operation", why, "");
    }
    let axis = measured_axis(answer);
    let kernel = |n: f64| {
        let rows = samples.get(&Procs::Count(n as u32))?;
        let of_row = |row: &&SampleRow| Some(row.sys_s? / row.ops.filter(|ops| *ops > 0.0)?);
        crate::stats::median(&mut rows.iter().filter_map(of_row).collect::<Vec<_>>())
    };
    let series = [
        Series {
            class: "step1",
            name: "in the kernel".to_owned(),
            values: answer.points.iter().map(|p| (p.procs, kernel(p.procs))).collect(),
        },
        Series { class: "first", name: "all".to_owned(), values },
    ];
    let what = "CPU time per operation against procs; the table Points has the values.";
    let svg = picture(&axis, answer, Unit::Seconds, &series, None, what);
    let caption = "Where it grows, workers are in each other's way.";
    figure("CPU time per operation", caption, &(svg + &legend(&series)))
}
