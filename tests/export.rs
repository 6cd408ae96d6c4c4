//! Saved sweeps in the formats of other tools, and every JSON document against the schema that is published for it.

mod corefit;

use std::fs;

use corefit::{Corefit, column, schema};
use serde_json::Value;

/// A sweep of a command whose throughput is known, in `p/app`: 100 at 1, 200 at 2, a failure at 3.
fn sweep(corefit: &Corefit) -> Value {
    let script = "test {procs} != 3 || exit 1; echo x={procs}00";
    let options = ["--json", "--unit", "req/s", "--metric", r"x=(\d+)", "--", "sh", "-c", script];
    let done = corefit.small_sweep("app", "1,2,3", 4, &options);
    done.assert_code(1);
    done.json()
}

/// What `corefit export` writes.
fn export(corefit: &Corefit, format: &str) -> String {
    let done = corefit.run(&["export", "p", "--format", format]);
    done.assert_code(0);
    assert_eq!(done.err, "", "{format}");
    done.out
}

/// Fails the test unless `document` is what `corefit schema NAME` says, and unless the schema refuses it without `field`.
#[track_caller]
fn check(corefit: &Corefit, name: &str, document: &Value, field: &str) {
    let done = corefit.run(&["schema", name]);
    done.assert_code(0);
    let schema = done.json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
    let faults = schema::faults(&schema, document);
    assert!(faults.is_empty(), "{name}: {faults:#?}");
    let mut spoilt = document.clone();
    let object = if spoilt.is_array() { &mut spoilt[0] } else { &mut spoilt };
    assert!(object.as_object_mut().expect("an object").remove(field).is_some(), "{name} has no {field}");
    assert!(!schema::faults(&schema, &spoilt).is_empty(), "{name}: a document without `{field}` passes");
}

#[test]
fn every_document_is_what_its_schema_says() {
    let corefit = Corefit::new();
    let document = sweep(&corefit);
    check(&corefit, "sweep", &document, "sweeps");
    let manifest: Value = serde_json::from_str(&corefit.read("p/app/sweep.json")).unwrap();
    check(&corefit, "manifest", &manifest, "plan");
    check(&corefit, "export", &serde_json::from_str(&export(&corefit, "json")).unwrap(), "sweeps");
    let answer = corefit.run(&["recommend", "p/app", "--json", "--explain"]).json();
    check(&corefit, "recommendation", &answer, "recommended_procs");
    corefit.write("two.csv", "target,procs,throughput\na,1,1\na,2,2\nb,1,1\nb,2,1\n");
    let answers = corefit.run(&["recommend", "two.csv", "--json"]).json();
    check(&corefit, "recommendation", &answers, "recommendations");
    let compared = corefit.run(&["compare", "p/app", "p/app", "--json"]).json();
    check(&corefit, "compare", &compared, "targets");
    check(&corefit, "list", &corefit.run(&["list", "--json"]).json(), "scaling");
    check(&corefit, "doctor", &corefit.run(&["doctor", "--json"]).json(), "counters");
    let row = corefit.run(&["run", "mandelbrot", "--scale", "0.1", "--json"]).json();
    check(&corefit, "run", &row, "wall_s");
    let costs = corefit.run(&["costs", "--counts", "1", "--rounds", "1", "--json"]).json();
    check(&corefit, "costs", &costs, "rows");
}

#[test]
fn every_column_of_the_journal_is_in_the_schema_and_described() {
    let corefit = Corefit::new();
    sweep(&corefit);
    let header = corefit.read("p/app/samples.csv");
    let schema = corefit.run(&["schema", "run"]).json();
    let properties = schema["properties"].as_object().expect("properties");
    let columns: Vec<&str> = header.lines().next().expect("a header").split(',').collect();
    assert_eq!(properties.len(), columns.len());
    for column in columns {
        let described = properties.get(column).unwrap_or_else(|| panic!("no {column}"));
        // A type of its own is described where it is defined.
        assert!(
            described["description"].is_string() || described["$ref"].is_string(),
            "{column}: {described}"
        );
    }
}

#[test]
fn markdown_is_a_table_of_the_points_with_the_chosen_one_marked() {
    let corefit = Corefit::new();
    sweep(&corefit);
    let text = export(&corefit, "markdown");
    let lines = text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| !line.is_empty());
    let rows: Vec<&str> = lines.filter(|line| line.starts_with("| ")).collect();
    assert!(text.starts_with("### `app`\n\n**Take 2: 2.00× the throughput of 1"), "{text}");
    assert!(rows[0].starts_with("| procs | throughput | speedup | efficiency |"), "{text}");
    assert!(rows[1].starts_with("| 1 | 100 req/s | 1.00× | 100 % |"), "{text}");
    assert!(rows[2].starts_with("| **2** | **200 req/s** | **2.00×** | **100 %** |"), "{text}");
    assert!(text.contains("- Note: 4 of 4") || text.contains("- Note: 2 of 2"), "failures are told: {text}");
    let cells = |row: &str| row.replace("\\|", "").matches('|').count();
    assert!(rows.iter().all(|row| cells(row) == cells(rows[0])), "{text}");
}

#[test]
fn benchfmt_has_a_line_for_each_successful_sample() {
    let corefit = Corefit::new();
    sweep(&corefit);
    let text = export(&corefit, "benchfmt");
    assert!(text.contains("\nUnit req/s better=higher\n"), "{text}");
    let lines: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("Benchmark"))
        .map(|line| line.split(' ').collect())
        .collect();
    let of =
        |procs: &str| lines.iter().filter(|line| line[0] == format!("BenchmarkApp/procs={procs}")).count();
    assert_eq!((of("1"), of("2"), lines.len()), (4, 4, 8), "{text}");
    assert!(lines[..4].iter().all(|line| line[0].ends_with("=1")), "the smallest is the base: {text}");
    for line in lines {
        // Name and iterations, then pairs of a value and its unit.
        assert!(line.len() % 2 == 0 && line[1].parse::<u64>().is_ok(), "{line:?}");
        assert!(line[2..].iter().step_by(2).all(|value| value.parse::<f64>().is_ok()), "{line:?}");
        assert_eq!(line[3], "req/s");
    }
}

#[test]
fn hyperfine_reads_what_is_exported_and_its_own_scans_are_decided_on() {
    let corefit = Corefit::new();
    sweep(&corefit);
    let document: Value = serde_json::from_str(&export(&corefit, "hyperfine")).unwrap();
    let results = document["results"].as_array().expect("results");
    let samples = corefit.read("p/app/samples.csv");
    for (result, procs) in results.iter().zip(["1", "2", "3"]) {
        assert_eq!(result["parameters"], serde_json::json!({ "procs": procs }));
        let rows = column(&samples, "procs").into_iter().zip(column(&samples, "wall_s"));
        let walls: Vec<f64> =
            rows.filter(|(at, _)| *at == procs).map(|(_, wall)| wall.parse().unwrap()).collect();
        let times: Vec<f64> =
            result["times"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        assert_eq!(times, walls);
    }
    assert_eq!(results[1]["exit_codes"], serde_json::json!([0, 0, 0, 0]));
    assert_eq!(results[1]["command"], "sh -c 'test 2 != 3 || exit 1; echo x=200'");

    let run = |threads: u32, time: f64| {
        serde_json::json!({ "command": "app", "mean": time, "times": [time, time, time, time],
            "exit_codes": [0, 0, 0, 0], "parameters": { "threads": threads.to_string() } })
    };
    let scan = serde_json::json!({ "results": [run(1, 8.0), run(2, 4.0), run(4, 2.0), run(8, 2.0)] });
    corefit.write("scan.json", &scan.to_string());
    let answer = corefit.run(&["recommend", "scan.json", "--json"]).json();
    assert_eq!((&answer["recommended_procs"], &answer["target"]), (&4.into(), &"scan".into()));
    assert_eq!(answer["points"][3]["throughput"], 0.5);
    let named = corefit.run(&["recommend", "scan.json", "--procs-column", "jobs"]);
    named.assert_code(2);
    assert!(named.err.contains("it has `threads`"), "{}", named.err);
    let manifest = corefit.run(&["recommend", "p/app/sweep.json"]);
    manifest.assert_code(2);
    assert!(manifest.err.contains("give the folder"), "{}", manifest.err);
}

#[test]
fn an_export_over_several_targets_tells_them_apart() {
    let corefit = Corefit::new();
    for name in ["one", "two"] {
        let done = corefit.small_sweep(name, "1,2", 1, &["-q", "--", "true"]);
        done.assert_code(0);
    }
    let samples = export(&corefit, "csv");
    assert_eq!(column(&samples, "target"), ["one", "one", "two", "two"]);
    let document: Value = serde_json::from_str(&export(&corefit, "hyperfine")).unwrap();
    assert_eq!(document["results"][2]["parameters"]["target"], "two");
    assert_eq!(export(&corefit, "markdown").matches("### `").count(), 2);
    let lines = export(&corefit, "benchfmt");
    assert!(
        lines.contains("\nBenchmarkOne/procs=1 1 ") && lines.contains("\nBenchmarkTwo/procs=2 1 "),
        "{lines}"
    );
}

#[test]
fn the_picture_says_what_the_summary_holds() {
    let corefit = Corefit::new();
    sweep(&corefit);
    let picture = corefit.run(&["export", "p/app", "--format", "svg"]);
    picture.assert_code(0);
    assert!(picture.out.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{}", picture.out);
    let summary = corefit.read("p/app/summary.csv");
    for (procs, throughput) in column(&summary, "procs").into_iter().zip(column(&summary, "throughput")) {
        let said = format!("data-procs=\"{procs}\"><title>{procs} proc");
        let (_, said) = picture.out.split_once(&said).unwrap_or_else(|| panic!("{procs}: {}", picture.out));
        assert!(said.contains(&format!(": {throughput} req/s")), "{procs}: {said}");
    }
    assert!(picture.out.contains("samples did not succeed"), "{}", picture.out);
    corefit.run(&["export", "p/app", "--format", "png", "-o", "app.png"]).assert_code(0);
    assert!(fs::read(corefit.path("app.png")).unwrap().starts_with(b"\x89PNG"));
    corefit.small_sweep("other", "1", 1, &["-q", "--", "true"]).assert_code(0);
    let both = corefit.run(&["export", "p", "--format", "svg"]);
    both.assert_code(2);
    assert!(both.out.is_empty() && both.err.contains("`p` has 2"), "{}", both.err);
}
