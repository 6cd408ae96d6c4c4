//! One sample for people.

use std::fmt::Write as _;

use owo_colors::OwoColorize;

use super::number::{bytes, count, quantity, seconds};
use crate::results::SampleRow;
use crate::target::Target;

/// One line: what `-v` says of each sample.
#[must_use]
pub fn line(row: &SampleRow, unit: &str) -> String {
    let throughput = row.throughput.map_or_else(|| "–".to_owned(), |value| quantity(value, unit));
    let wall = row.wall_s.map_or_else(|| "–".to_owned(), seconds);
    format!(
        "{} · round {} · {} · {} · {wall} · {throughput}",
        row.target,
        row.round,
        row.procs.phrase(),
        row.status
    )
}

/// The whole sample, a fact a line; what was not measured is left out.
#[must_use]
pub fn text(target: &Target, row: &SampleRow) -> String {
    let mut text = format!("{} at {}: {}", target.name.bold(), row.procs.phrase(), row.status);
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = write!(text, "\n  {name:<18}{value}");
        }
    };
    fact("throughput", row.throughput.map(|value| quantity(value, &target.unit)));
    fact(
        "operations",
        row.ops.map(|ops| format!("{ops} in {}", seconds(row.elapsed_s.or(row.wall_s).unwrap_or(f64::NAN)))),
    );
    fact("wall time", row.wall_s.map(seconds));
    fact("latency", latency(row));
    fact(
        "CPU time",
        row.user_s
            .zip(row.sys_s)
            .map(|(user, sys)| format!("{} user, {} kernel", seconds(user), seconds(sys))),
    );
    fact("run-queue wait", row.run_queue_wait_s.map(seconds));
    fact("peak memory", row.max_rss_bytes.map(bytes));
    fact("switches", row.context_switches.map(count));
    fact("migrations", row.cpu_migrations.map(count));
    fact("page faults", row.page_faults.map(count));
    fact("instructions", per_cycle(row));
    fact("cache misses", row.cache_misses.map(count));
    fact("goroutines", row.goroutines.map(count));
    fact("scheduler", scheduler(row));
    text
}

fn latency(row: &SampleRow) -> Option<String> {
    let named = [
        ("p50", row.latency_p50_s),
        ("p90", row.latency_p90_s),
        ("p99", row.latency_p99_s),
        ("p99.9", row.latency_p999_s),
        ("max", row.latency_max_s),
    ];
    let parts: Vec<String> = named
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name} {}", seconds(value))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn per_cycle(row: &SampleRow) -> Option<String> {
    let instructions = row.instructions?;
    let rate =
        row.cycles.map_or_else(String::new, |cycles| format!(", {:.2} a cycle", instructions / cycles));
    Some(format!("{}{rate}", quantity(instructions, "")))
}

fn scheduler(row: &SampleRow) -> Option<String> {
    let named = [
        ("parks", row.parks),
        ("wakes", row.wakes),
        ("steals", row.steals),
        ("handoffs", row.handoffs),
        ("preemptions", row.preemptions),
    ];
    let parts: Vec<String> = named
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{} {name}", count(value))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
