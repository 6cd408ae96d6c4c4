//! Go's benchmark format, which `benchstat -col /procs` reads: <https://go.dev/design/14313-benchmark-format>.
//!
//! A sample is a line: the target as the benchmark's name, its worker count as the part `/procs=N`, then values with their
//! units. A unit whose name says nothing of what is better has a line `Unit` that does.

use std::io::{self, Write};

use crate::results::{SampleRow, Saved};

/// A unit, and what is measured in it.
type Figure = (&'static str, fn(&SampleRow) -> Option<f64>);

/// What stands for itself; `benchstat` knows that less of these is better, and scales them by their suffix.
const FIGURES: [Figure; 4] = [
    ("cpu-sec/op", |row| cpu_s(row).zip(row.ops).map(|(cpu_s, ops)| cpu_s / ops)),
    ("p50-latency-sec", |row| row.latency_p50_s),
    ("p99-latency-sec", |row| row.latency_p99_s),
    ("peak-RSS-bytes", |row| row.max_rss_bytes.map(|bytes| bytes as f64)),
];

fn cpu_s(row: &SampleRow) -> Option<f64> {
    row.user_s.zip(row.sys_s).map(|(user_s, sys_s)| user_s + sys_s)
}

/// Writes every successful sample of every target.
///
/// # Errors
/// The writer's.
pub fn benchfmt(sweeps: &[Saved], to: &mut dyn Write) -> io::Result<()> {
    writeln!(to, "goos: {}\ngoarch: {}", std::env::consts::OS, go_arch(std::env::consts::ARCH))?;
    let mut units: Vec<String> = sweeps.iter().map(|saved| unit(&saved.manifest.command.unit)).collect();
    units.sort_unstable();
    units.dedup();
    units.iter().try_for_each(|unit| writeln!(to, "Unit {unit} better=higher"))?;
    for saved in sweeps {
        let machine = &saved.manifest.machine;
        let cpu = machine.cpu_model.as_deref().unwrap_or(&machine.id);
        writeln!(to, "cpu: {}", line(cpu))?;
        writeln!(to, "corefit-version: {}", line(&saved.manifest.corefit_version))?;
        let unit = unit(&saved.manifest.command.unit);
        let mut rows: Vec<&SampleRow> = saved.rows.iter().filter(|row| row.is_ok()).collect();
        // Columns come in the order of the lines, and the first is what the others are compared with.
        rows.sort_by_key(|row| row.procs);
        for row in rows {
            let Some(throughput) = row.throughput else { continue };
            let iterations = row.ops.map_or(1.0, |ops| ops.round().max(1.0));
            write!(to, "{}/procs={} {iterations:.0} {throughput} {unit}", name(&row.target), row.procs)?;
            for (unit, figure) in FIGURES {
                figure(row).map_or(Ok(()), |value| write!(to, " {value} {unit}"))?;
            }
            writeln!(to)?;
        }
    }
    Ok(())
}

/// `Benchmark` and the target, whose first letter may not be a small one.
fn name(target: &str) -> String {
    let mut letters = target.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    format!("Benchmark{}{}", first.map(String::from).unwrap_or_default(), letters.as_str())
}

/// A unit is one word.
fn unit(unit: &str) -> String {
    let words: Vec<&str> = unit.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let unit = words.join("_");
    if unit.is_empty() { "ops/s".to_owned() } else { unit }
}

fn line(text: &str) -> String {
    crate::quote::one_line(text.trim())
}

/// What Go calls an architecture.
fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::results::fixtures;

    #[test]
    fn a_sample_is_a_line_with_its_worker_count_in_the_name() {
        let mut failed = fixtures::row("ping_pong", 4, 1);
        failed.status = "failed".to_owned();
        let mut timed = fixtures::row("ping_pong", 2, 1);
        (timed.user_s, timed.sys_s) = (Some(0.75), Some(0.25));
        let mut manifest = fixtures::manifest("ping_pong");
        manifest.command.unit = "round trips/s".to_owned();
        let rows = vec![fixtures::row("ping_pong", 1, 1), timed, failed];
        let mut text = Vec::new();
        benchfmt(&[Saved { folder: PathBuf::from("p"), manifest, rows }], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        let expected = [
            "Unit round_trips/s better=higher",
            "cpu: m1",
            "corefit-version: 0.1.0",
            "BenchmarkPing_pong/procs=1 100 100 round_trips/s",
            "BenchmarkPing_pong/procs=2 100 200 round_trips/s 0.01 cpu-sec/op",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn names_and_units_are_words_of_the_format() {
        assert_eq!(
            (name("sort"), name("-x"), name("9p")),
            ("BenchmarkSort".into(), "Benchmark-x".into(), "Benchmark9p".into())
        );
        assert_eq!((unit("a\tb\nc"), unit("")), ("a_b_c".into(), "ops/s".into()));
    }
}
