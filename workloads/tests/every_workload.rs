//! What holds for all workloads alike, at the smallest scale.

use std::collections::{BTreeMap, BTreeSet};

use corefit_runtime::Config;
use corefit_workloads::{Outcome, Settings, Workload, all, find, report};

fn settings() -> Settings {
    Settings { scale: 1e-3, input: None, params: BTreeMap::new() }
}

#[track_caller]
fn run(workload: &'static Workload, procs: usize, settings: Settings) -> Outcome {
    Config::new()
        .procs(procs)
        .run(move || (workload.run)(&settings))
        .unwrap_or_else(|failure| panic!("`{}` at {procs} procs: {failure}", workload.name))
}

#[test]
fn every_workload_does_the_same_work_at_1_2_and_4_procs() {
    for workload in all() {
        let name = workload.name;
        let outcomes = [1, 2, 4].map(|procs| run(workload, procs, settings()));
        for outcome in &outcomes {
            assert!(
                outcome.ops > 0 && !outcome.timed.elapsed().is_zero(),
                "`{name}` did nothing: {outcome:?}"
            );
            assert_eq!(outcome.ops, outcomes[0].ops, "`{name}`");
            let latencies = outcome.latency_ns.as_ref().map(|latency| latency.len());
            assert!(latencies.is_none_or(|latencies| (1..=outcome.ops).contains(&latencies)), "`{name}`");
        }
    }
}

#[test]
fn every_workload_reports_itself_in_one_line() {
    for workload in all() {
        let line = report::execute(workload, &settings()).unwrap();
        assert!(!line.contains('\n'), "`{}`: {line}", workload.name);
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let throughput = line["ops"].as_u64().unwrap() as f64 / line["elapsed_s"].as_f64().unwrap();
        assert!(throughput.is_finite() && throughput > 0.0, "`{}`: {line}", workload.name);
    }
}

#[test]
fn every_workload_is_described_and_found_by_its_name() {
    let names: BTreeSet<&str> = all().iter().map(|workload| workload.name).collect();
    assert_eq!(names.len(), all().len(), "two workloads have the same name");
    for workload in all() {
        assert_eq!(find(workload.name).map(|found| found.name), Some(workload.name));
        assert!(workload.unit.ends_with("/s"), "`{}`: {}", workload.name, workload.unit);
        assert!(!workload.about.is_empty() && !workload.scaling.is_empty(), "`{}`", workload.name);
        assert!(report::check_params(workload, &BTreeMap::from([("no such".into(), "1".into())])).is_err());
        for parameter in workload.parameters {
            let given = BTreeMap::from([(parameter.name.to_owned(), parameter.default.to_owned())]);
            report::check_params(workload, &given).unwrap();
        }
    }
    assert!(find("no such").is_none());
}

#[test]
fn a_default_that_is_given_changes_nothing() {
    for workload in all().iter().filter(|workload| !workload.parameters.is_empty()) {
        let defaults = workload.parameters.iter().map(|parameter| (parameter.name, parameter.default));
        let params = defaults.map(|(name, default)| (name.to_owned(), default.to_owned())).collect();
        let given = run(workload, 2, Settings { params, ..settings() });
        assert_eq!(given.ops, run(workload, 2, settings()).ops, "`{}`", workload.name);
    }
}

#[test]
fn wordcount_counts_the_words_of_a_file() {
    let input = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/../LICENSE-MIT").into());
    let text = include_bytes!("../../LICENSE-MIT");
    let words = text.split(|byte| !byte.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).count();
    let outcome = run(find("wordcount").unwrap(), 2, Settings { input, ..settings() });
    assert_eq!(outcome.ops, words as u64);
}

#[test]
fn the_readme_has_every_workload_and_its_parameters_in_the_order_of_the_list() {
    let rows =
        include_str!("../README.md").lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let rows: Vec<(&str, &str)> = rows.collect();
    let names: Vec<&str> = all().iter().map(|workload| workload.name).collect();
    assert_eq!(rows.iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);
    for (workload, (name, row)) in all().iter().zip(rows) {
        for parameter in workload.parameters {
            let cell = format!("`{}={}`", parameter.name, parameter.default);
            assert!(row.contains(&cell), "`{name}` lacks {cell} in the readme");
        }
    }
}

#[test]
fn every_parameter_accepts_its_default_and_not_everything() {
    for parameter in all().iter().flat_map(|workload| workload.parameters) {
        assert!((parameter.accepts)(parameter.default), "{parameter:?}");
        assert!(!(parameter.accepts)("no such value"), "{parameter:?}");
    }
}
