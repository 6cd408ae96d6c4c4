//! `corefit compare` from outside: the regression gate, its exit codes, its document.

mod corefit;

use corefit::{Corefit, Done};
use serde_json::Value;

/// A table with six samples at 1 and at 2 procs, these around `at_two`.
fn table(at_two: f64) -> String {
    let noise = [0.0, 0.4, -0.3, 0.2, -0.5, 0.1];
    let rows = noise.map(|noise| format!("1,{}\n2,{}\n", 100.0 + noise, at_two + noise));
    format!("procs,throughput\n{}", rows.concat())
}

/// Sweeps a program that says `value` at every worker count but 1, where it says 100.
fn sweep(corefit: &Corefit, out: &str, name: &str, rounds: &str, value: &str) -> Done {
    let script = format!("if [ $GOMAXPROCS = 1 ]; then echo x=100; else echo x={value}; fi");
    let rest =
        ["--no-flamegraph", "--no-counters", "--json", "--metric", r"x=(\d+)", "--out", out, "--name", name];
    let args =
        [&["sweep", "--procs", "1,2", "--rounds", rounds], &rest[..], &["--", "sh", "-c", &script]].concat();
    corefit.run(&args)
}

#[track_caller]
fn compared(corefit: &Corefit, args: &[&str], code: i32) -> Value {
    let done = corefit.run(&[&["compare", "--json"], args].concat());
    done.assert_code(code);
    done.json()
}

#[test]
fn a_regression_ends_with_3_and_says_where() {
    let corefit = Corefit::new();
    corefit.write("old.csv", &table(190.0));
    corefit.write("new.csv", &table(150.0));
    let done = corefit.run(&["compare", "old.csv", "new.csv", "--color", "never"]);
    done.assert_code(3);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(
        done.err.starts_with("corefit: regression: `old` has 21 % less throughput at 2 procs"),
        "{}",
        done.err
    );
    assert!(done.out.contains('~') && done.out.contains("-21 %") && done.out.contains("6+6"), "{}", done.out);
    assert!(done.out.lines().all(|line| line.chars().count() <= 80), "{}", done.out);
    let document = compared(&corefit, &["old.csv", "new.csv"], 3);
    assert_eq!((&document["schema"], &document["regression"]), (&1.into(), &true.into()));
    let target = &document["targets"][0];
    let verdicts: Vec<&str> =
        target["points"].as_array().unwrap().iter().map(|point| point["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["same", "regression"]);
    let point = &target["points"][1];
    assert_eq!((&point["base"]["procs"], &point["new"]["samples"]), (&2.0.into(), &6.into()));
    assert!((point["p"].as_f64().unwrap() - 2.0 / 924.0).abs() < 1e-9, "{point}");
    assert!(point["lo"].as_f64().unwrap() < point["ratio"].as_f64().unwrap(), "{point}");
    assert_eq!(target["recommended"]["verdict"], "regression");
}

#[test]
fn no_regression_within_the_threshold_or_of_the_same_program() {
    let corefit = Corefit::new();
    corefit.write("old.csv", &table(190.0));
    corefit.write("slower.csv", &table(184.0));
    let verdict = |args: &[&str], code| {
        compared(&corefit, args, code)["targets"][0]["points"][1]["verdict"].as_str().unwrap().to_owned()
    };
    assert_eq!(verdict(&["old.csv", "old.csv"], 0), "same");
    assert_eq!(verdict(&["old.csv", "slower.csv"], 0), "slower");
    assert_eq!(verdict(&["old.csv", "slower.csv", "--threshold", "2"], 3), "regression");
    assert_eq!(verdict(&["old.csv", "slower.csv", "--threshold", "2", "--alpha", "0.001"], 0), "too-few");
    assert_eq!(verdict(&["slower.csv", "old.csv", "--threshold", "2"], 0), "improvement");
}

#[test]
fn too_few_samples_say_how_many_are_needed_and_close_no_gate() {
    let corefit = Corefit::new();
    corefit.write("old.csv", "procs,throughput\n1,100\n1,101\n");
    corefit.write("new.csv", "procs,throughput\n1,50\n1,51\n");
    let done = corefit.run(&["compare", "old.csv", "new.csv"]);
    done.assert_code(0);
    let said = done.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("where p < 0.05 takes 4 of each; measure with `--rounds 4`"), "{}", done.out);
}

#[test]
fn sweeps_are_matched_by_name_and_at_the_recommended_counts() {
    let corefit = Corefit::new();
    for (out, value) in [("a", "190"), ("b", "120")] {
        sweep(&corefit, out, "kept", "4..4", value).assert_code(0);
        sweep(&corefit, out, out, "1..1", value).assert_code(0);
    }
    let document = compared(&corefit, &["a", "b"], 3);
    let targets = document["targets"].as_array().unwrap();
    assert_eq!(targets.len(), 1);
    assert_eq!(targets[0]["recommended"]["new"]["procs"], 2.0);
    let codes: Vec<&str> =
        document["warnings"].as_array().unwrap().iter().map(|note| note["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["only-in-base", "only-in-new"]);
    assert_eq!(compared(&corefit, &["a/kept", "a/kept"], 0)["regression"], false);
    let lonely = compared(&corefit, &["a/a", "b/b"], 0);
    let notes = lonely["targets"][0]["warnings"].to_string();
    assert!(notes.contains("different-target") && notes.contains("different-command"), "{notes}");
    assert!(notes.contains("too-few-samples"), "{notes}");
}

#[test]
fn a_program_that_no_longer_works_closes_the_gate() {
    let corefit = Corefit::new();
    sweep(&corefit, "a", "x", "4..4", "190").assert_code(0);
    sweep(&corefit, "b", "x", "4..4", "none").assert_code(1);
    let done = corefit.run(&["compare", "a", "b"]);
    done.assert_code(3);
    assert!(done.err.contains("every sample fails at 2 procs, where 4 succeeded before"), "{}", done.err);
}

#[test]
fn what_cannot_be_compared_is_one_line_and_exit_code_2() {
    let corefit = Corefit::new();
    corefit.write("a.csv", "target,procs,throughput\nx,1,100\ny,1,100\n");
    corefit.write("b.csv", "target,procs,throughput\nu,1,100\nv,1,100\n");
    corefit.write("bad.csv", "procs,throughput\n1,x\n");
    sweep(&corefit, "c", "x", "1..1", "5").assert_code(0);
    let manifest = corefit.read("c/x/sweep.json");
    for folder in ["d", "empty"] {
        std::fs::create_dir(corefit.path(folder)).unwrap();
    }
    corefit.write("d/sweep.json", &manifest.replace("\"unit\": \"", "\"unit\": \"kilo"));
    corefit.write("d/samples.csv", &corefit.read("c/x/samples.csv"));
    for (args, part) in [
        (&["a.csv", "b.csv"][..], "no target in both"),
        (&["a.csv", "missing"], "missing"),
        (&["a.csv", "bad.csv"], "line 2"),
        (&["a.csv", "empty"], "no sweep"),
        (&["c", "d"], "cannot compare `x`"),
        (&["a.csv"], "<NEW>"),
        (&["a.csv", "a.csv", "--threshold=-1"], "--threshold"),
        (&["a.csv", "a.csv", "--threshold", "100"], "--threshold"),
        (&["a.csv", "a.csv", "--threshold", "nan"], "--threshold"),
        (&["a.csv", "a.csv", "--alpha", "0"], "--alpha"),
        (&["a.csv", "a.csv", "--alpha", "1"], "--alpha"),
        (&["a.csv", "a.csv", "--latency-threshold", "-1"], "--latency-threshold"),
    ] {
        let done = corefit.run(&[&["compare"], args].concat());
        done.assert_code(2);
        assert_eq!(done.err.lines().count(), 1, "{args:?}: {}", done.err);
        assert!(done.err.contains(part), "{args:?}: {}", done.err);
    }
}
