//! hyperfine's JSON, both ways: what `hyperfine --export-json` writes of a scan over a parameter becomes tables, and saved
//! sweeps become what its scripts read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::{Columns, SampleRow, Saved, Table, TableRow};
use crate::quote;
use crate::stats;
use crate::target::Procs;

/// Name of the parameter of an export.
const PARAMETER: &str = "procs";

/// The document.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    results: Vec<Benchmark>,
}

/// One command at one value of each parameter. Times in seconds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Benchmark {
    command: String,
    mean: Option<f64>,
    stddev: Option<f64>,
    median: Option<f64>,
    user: Option<f64>,
    system: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    times: Vec<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    memory_usage_byte: Vec<u64>,
    exit_codes: Vec<Option<i32>>,
    parameters: BTreeMap<String, Parameter>,
}

/// A value: hyperfine writes text, scripts around it numbers too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Parameter {
    Text(String),
    Number(f64),
}

impl Parameter {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// Whether a file's text is JSON, which no table of ours begins like.
pub(super) fn is_json(text: &[u8]) -> bool {
    text.trim_ascii_start().starts_with(b"{")
}

/// The runs in `text`, a table for each value of the other parameters; a run is one operation. Runs that failed are left
/// out. Never empty.
///
/// # Errors
/// Why it cannot be used, in one line.
pub(super) fn tables(text: &[u8], columns: &Columns) -> Result<Vec<Table>, String> {
    let document: Document = serde_json::from_slice(text).map_err(|error| refusal(text, &error))?;
    let parameter = parameter(&document, columns)?;
    let mut tables: Vec<Table> = Vec::new();
    for benchmark in &document.results {
        let rows = rows(benchmark, &parameter)?;
        let target = others(benchmark, &parameter);
        match tables.iter_mut().find(|table| table.target == target) {
            Some(table) => table.rows.extend(rows),
            None => tables.push(Table { target, rows }),
        }
    }
    tables.retain(|table| !table.rows.is_empty());
    if tables.is_empty() {
        return Err("no run in it succeeded".to_owned());
    }
    Ok(tables)
}

/// What a JSON file is that is not hyperfine's.
fn refusal(text: &[u8], error: &serde_json::Error) -> String {
    let value: Option<serde_json::Value> = serde_json::from_slice(text).ok();
    if value.is_some_and(|value| value.get("corefit_version").is_some()) {
        return "it is the manifest of a sweep; give the folder it lies in".to_owned();
    }
    format!("it is neither a CSV nor what `hyperfine --export-json` writes: {error}")
}

/// The parameter that is the worker count: the one asked for, or the only one.
fn parameter(document: &Document, columns: &Columns) -> Result<String, String> {
    let names: BTreeSet<&String> = document.results.iter().flat_map(|run| run.parameters.keys()).collect();
    if names.contains(&columns.procs) {
        return Ok(columns.procs.clone());
    }
    let listed: Vec<String> = names.iter().map(|name| format!("`{}`", quote::one_line(name))).collect();
    match *names.into_iter().collect::<Vec<_>>().as_slice() {
        [] => Err(
            "hyperfine ran it without a parameter; scan one, as in `hyperfine -P procs 1 8 'app -j {procs}'`"
                .to_owned(),
        ),
        // A name of their own is only asked for where there are several.
        [only] if columns.procs == PARAMETER => Ok(only.clone()),
        _ => Err(format!(
            "no parameter `{}`; it has {}; name the worker count's with `--procs-column`",
            quote::one_line(&columns.procs),
            listed.join(", ")
        )),
    }
}

fn rows(benchmark: &Benchmark, parameter: &str) -> Result<Vec<TableRow>, String> {
    let command = quote::one_line(&benchmark.command);
    let value = benchmark.parameters.get(parameter).map(Parameter::text);
    let value =
        value.ok_or_else(|| format!("`{command}` has no parameter `{}`", quote::one_line(parameter)))?;
    let procs = value.trim().parse::<f64>().ok().filter(|procs| procs.is_finite() && *procs > 0.0);
    let procs = procs.ok_or_else(|| {
        let [parameter, value] = [parameter, &value].map(quote::one_line);
        format!("`{parameter}` is `{value}` for `{command}`, which is not a positive number")
    })?;
    let succeeded = |run: &usize| benchmark.exit_codes.get(*run).is_none_or(|code| *code == Some(0));
    let times = benchmark.times.iter().enumerate().filter(|(run, _)| succeeded(run));
    times
        .map(|(_, time_s)| {
            let throughput = Some(1.0 / time_s).filter(|value| value.is_finite() && *value > 0.0);
            let too_quick = || {
                format!("a run of `{command}` took {time_s} s, which is no time; measure more work at once")
            };
            // Rounds are left open: hyperfine measures one value after another, so no two runs belong together.
            let row = |throughput| TableRow { procs: Some(procs), throughput, latency_s: None, round: None };
            throughput.map(row).ok_or_else(too_quick)
        })
        .collect()
}

/// The values of the other parameters, as `opt=O2`; `None` if there are none.
fn others(benchmark: &Benchmark, parameter: &str) -> Option<String> {
    let others = benchmark.parameters.iter().filter(|(name, _)| *name != parameter);
    let named: Vec<String> = others.map(|(name, value)| format!("{name}={}", value.text())).collect();
    (!named.is_empty()).then(|| named.join(","))
}

/// Writes every sample that ran, wall time as hyperfine's time: one benchmark a point. The parameter is `procs`; with
/// several targets there is another one, `target`.
///
/// # Errors
/// The writer's.
pub fn write(sweeps: &[Saved], to: &mut dyn Write) -> io::Result<()> {
    let mut results = Vec::new();
    for saved in sweeps {
        let mut points: Vec<Procs> = saved.rows.iter().map(|row| row.procs).collect();
        points.sort_unstable();
        points.dedup();
        for procs in points {
            let rows: Vec<&SampleRow> =
                saved.rows.iter().filter(|row| row.procs == procs && row.wall_s.is_some()).collect();
            let mut parameters = BTreeMap::from([(PARAMETER.to_owned(), Parameter::Text(procs.to_string()))]);
            if sweeps.len() > 1 {
                parameters.insert("target".to_owned(), Parameter::Text(saved.manifest.target.clone()));
            }
            let command = saved.manifest.command.command_line(procs);
            results.extend((!rows.is_empty()).then(|| benchmark(command, parameters, &rows)));
        }
    }
    serde_json::to_writer_pretty(&mut *to, &Document { results })?;
    to.write_all(b"\n")
}

fn benchmark(command: String, parameters: BTreeMap<String, Parameter>, rows: &[&SampleRow]) -> Benchmark {
    let times: Vec<f64> = rows.iter().filter_map(|row| row.wall_s).collect();
    let of = |figure: fn(&SampleRow) -> Option<f64>| -> Vec<f64> {
        rows.iter().filter_map(|row| figure(row)).collect()
    };
    let mean = mean(&times);
    let squares: f64 = times.iter().map(|time| (time - mean.unwrap_or_default()).powi(2)).sum();
    Benchmark {
        command,
        mean,
        stddev: (times.len() > 1).then(|| (squares / (times.len() - 1) as f64).sqrt()),
        median: stats::median(&mut times.clone()),
        user: self::mean(&of(|row| row.user_s)),
        system: self::mean(&of(|row| row.sys_s)),
        min: times.iter().copied().reduce(f64::min),
        max: times.iter().copied().reduce(f64::max),
        memory_usage_byte: rows.iter().filter_map(|row| row.max_rss_bytes).collect(),
        exit_codes: rows.iter().map(|row| row.exit_code).collect(),
        times,
        parameters,
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::results::fixtures;

    fn read(text: &str, procs: &str) -> Result<Vec<Table>, String> {
        let columns = Columns { procs: procs.to_owned(), throughput: "throughput".to_owned(), latency: None };
        tables(text.as_bytes(), &columns)
    }

    fn scan(runs: &[(&str, &str)]) -> String {
        let runs: Vec<String> = runs
            .iter()
            .map(|(parameters, rest)| format!(r#"{{"command":"app","parameters":{{{parameters}}},{rest}}}"#))
            .collect();
        format!(r#"{{"results":[{}]}}"#, runs.join(","))
    }

    #[test]
    fn a_run_is_an_operation_and_a_failed_one_is_left_out() {
        let text = scan(&[
            (r#""threads":"1""#, r#""times":[0.5,0.25],"exit_codes":[0,0]"#),
            (r#""threads":2"#, r#""times":[0.125,9.0,9.0],"exit_codes":[0,1,null]"#),
        ]);
        let row =
            |procs, throughput| TableRow { procs: Some(procs), throughput, latency_s: None, round: None };
        let expected = vec![row(1.0, 2.0), row(1.0, 4.0), row(2.0, 8.0)];
        assert_eq!(read(&text, "procs").unwrap(), [Table { target: None, rows: expected }]);
    }

    #[test]
    fn other_parameters_make_tables_of_their_own() {
        let run = r#""times":[1.0]"#;
        let text = scan(&[
            (r#""opt":"a","threads":"1""#, run),
            (r#""opt":"b","threads":"1""#, run),
            (r#""opt":"a","threads":"2""#, run),
        ]);
        let tables = read(&text, "threads").unwrap();
        let shape: Vec<(Option<&str>, usize)> =
            tables.iter().map(|table| (table.target.as_deref(), table.rows.len())).collect();
        assert_eq!(shape, [(Some("opt=a"), 2), (Some("opt=b"), 1)]);
        assert!(read(&text, "procs").unwrap_err().contains("it has `opt`, `threads`"));
    }

    #[test]
    fn what_cannot_be_used_is_told_in_one_line() {
        let run = r#""times":[1.0]"#;
        for (text, part) in [
            ("{}".to_owned(), "hyperfine --export-json"),
            (r#"{"corefit_version":"1"}"#.to_owned(), "the folder it lies in"),
            (scan(&[("", run)]), "without a parameter"),
            (scan(&[(r#""n":"fast""#, run)]), "`n` is `fast`"),
            (scan(&[(r#""n":"1""#, r#""times":[0.0]"#)]), "no time"),
            (scan(&[(r#""n":"1""#, r#""times":[1.0],"exit_codes":[1]"#)]), "no run"),
            (scan(&[(r#""n":"1""#, run), (r#""procs":"1""#, run)]), "has no parameter `procs`"),
        ] {
            let why = read(&text, "procs").expect_err(&text);
            assert!(why.contains(part) && !why.contains('\n'), "{why}");
        }
    }

    #[test]
    fn what_is_written_can_be_read_again() {
        let mut rows =
            vec![fixtures::row("true", 2, 1), fixtures::row("true", 1, 1), fixtures::row("true", 1, 2)];
        rows[2].wall_s = Some(0.25);
        rows.iter_mut().for_each(|row| row.exit_code = Some(0));
        let saved = Saved { folder: PathBuf::from("p"), manifest: fixtures::manifest("true"), rows };
        let mut text = Vec::new();
        write(&[saved], &mut text).unwrap();
        assert!(is_json(&text));
        let document: Document = serde_json::from_slice(&text).unwrap();
        let first = &document.results[0];
        assert_eq!((first.mean, first.min, first.median), (Some(0.375), Some(0.25), Some(0.375)));
        assert_eq!(first.command, "true");
        let tables = read(std::str::from_utf8(&text).unwrap(), "procs").unwrap();
        let rates: Vec<(Option<f64>, f64)> =
            tables[0].rows.iter().map(|row| (row.procs, row.throughput)).collect();
        assert_eq!(rates, [(Some(1.0), 2.0), (Some(1.0), 4.0), (Some(2.0), 2.0)]);
    }
}
