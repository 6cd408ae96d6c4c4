//! The binary, driven from outside: every subcommand, every exit code, the files it leaves.

mod corefit;

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use corefit::{Corefit, Done, column, has_child, interrupt, permitted, wait_for_rows, wait_until};
use serde_json::Value;

/// A quick sweep of a workload sized for tests.
fn quick_sweep(corefit: &Corefit, workload: &str) -> Value {
    let done = corefit.run(&["sweep", workload, "--quick", "--scale", "0.1", "--json", "--out", "p"]);
    done.assert_code(0);
    done.json()
}

#[test]
fn list_names_every_workload_with_its_unit_and_expectation() {
    let corefit = Corefit::new();
    let list = corefit.run(&["list", "--json"]).json();
    let entries = list.as_array().expect("an array");
    assert!(entries.len() >= 21, "{}", entries.len());
    for entry in entries {
        for key in ["name", "about", "scaling", "unit"] {
            assert!(!entry[key].as_str().expect(key).is_empty(), "{entry}");
        }
    }
    let text = corefit.run(&["list"]);
    text.assert_code(0);
    assert!(text.out.contains("ping_pong"));
    assert!(text.out.lines().all(|line| line.chars().count() <= 80), "wider than 80 columns:\n{}", text.out);
}

#[test]
fn run_shows_one_sample_and_gives_its_row_as_json() {
    let corefit = Corefit::new();
    let row = corefit.run(&["run", "mandelbrot", "--procs", "2", "--scale", "0.1", "--json"]).json();
    assert_eq!(row["status"], "ok");
    assert_eq!(row["procs"], 2);
    assert!(row["throughput"].as_f64().expect("a throughput") > 0.0);
    assert!(row["max_rss_bytes"].as_f64().expect("a peak") > 0.0);
    let text = corefit.run(&["run", "mandelbrot", "--scale", "0.1"]);
    text.assert_code(0);
    assert!(text.out.contains("throughput") && text.out.contains("/s"), "{}", text.out);
}

#[test]
fn costs_measures_both_kinds_at_each_count_and_judges_what_is_said() {
    let corefit = Corefit::new();
    let done = corefit.run(&["costs", "--counts", "1,200", "--rounds", "2", "--json"]);
    done.assert_code(0);
    assert_eq!(done.err, "", "nothing but the document");
    let document = done.json();
    assert_eq!(document["schema"], 1);
    // On a machine so slow that two do not fit into a minute it is one, and said.
    let is_whole = document["rounds"] == 2;
    let remarks = document["remarks"].as_array().expect("remarks");
    assert!(is_whole || document["rounds"] == 1, "{document}");
    assert_eq!(remarks.iter().any(|remark| remark.as_str().unwrap().contains("rounds fitted")), !is_whole);
    let rows = document["rows"].as_array().expect("rows");
    let of = |row: &Value| {
        (row["kind"].as_str().expect("a kind").to_owned(), row["count"].as_u64().expect("a count"))
    };
    let expected = [("goroutine", 1), ("goroutine", 200), ("thread", 1), ("thread", 200)];
    assert_eq!(
        rows.iter().map(of).collect::<Vec<_>>(),
        expected.map(|(kind, count)| (kind.to_owned(), count))
    );
    for row in rows {
        for key in
            ["resident_bytes", "address_bytes", "create_s", "end_s", "spawn_join_s", "switch_s", "os_threads"]
        {
            let figure = |part: &str| row[key][part].as_f64().unwrap_or_else(|| panic!("{key}: {row}"));
            assert!(
                0.0 < figure("min") && figure("min") <= figure("median") && figure("median") <= figure("max")
            );
        }
    }
    let (goroutines, threads) = (&rows[1], &rows[3]);
    let most = |row: &Value, key: &str| row[key]["max"].as_f64().expect("a number");
    // Sizes, not times: those depend on what else runs.
    assert!(most(goroutines, "resident_bytes") > 4096.0, "a page and more: {goroutines}");
    assert!(most(goroutines, "os_threads") < 50.0, "{goroutines}");
    assert!(most(threads, "os_threads") >= 200.0, "{threads}");
    assert!(most(threads, "address_bytes") > 1048576.0, "{threads}");
    let claims = document["claims"].as_array().expect("claims");
    assert_eq!(claims.len(), 5);
    for claim in claims {
        assert!(
            ["holds", "differs", "unknown"].contains(&claim["verdict"].as_str().expect("a verdict")),
            "{claim}"
        );
    }
}

#[test]
fn costs_prints_tables_that_fit_the_terminal_and_nothing_else() {
    let corefit = Corefit::new();
    let done = corefit.run(&["costs", "--counts", "2", "--rounds", "1", "--color", "never"]);
    done.assert_code(0);
    assert_eq!(done.err, "");
    assert!(done.out.contains("goroutines") && done.out.contains("OS threads"), "{}", done.out);
    assert!(
        done.out.lines().all(|line| line.chars().count() <= 80 && !line.contains('\u{1b}')),
        "{}",
        done.out
    );
}

#[test]
fn bad_usage_is_one_line_and_exit_code_2() {
    let corefit = Corefit::new();
    corefit.write("file", "");
    corefit.write("bad.csv", "procs,throughput\n1,abc\n");
    for args in [
        &["sweep", "--procs", "0", "mandelbrot"][..],
        &["sweep", "--procs", "8..1", "mandelbrot"],
        &["sweep", "--procs", "1..", "mandelbrot"],
        &["sweep", "--procs", "..8", "mandelbrot"],
        &["sweep", "--procs", "", "mandelbrot"],
        &["sweep", "--procs", "1,,2", "mandelbrot"],
        &["sweep", "--procs", "x", "mandelbrot"],
        &["sweep", "--procs", "4097", "mandelbrot"],
        &["sweep", "--procs", "99999999999999999999", "mandelbrot"],
        &["sweep", "--rounds", "0", "mandelbrot"],
        &["sweep", "--rounds", "9..3", "mandelbrot"],
        &["sweep", "--budget", "soon", "mandelbrot"],
        &["sweep", "--timeout", "0", "mandelbrot"],
        &["sweep", "--policy", "best", "mandelbrot"],
        &["sweep", "--precision", "-1", "mandelbrot"],
        &["sweep", "--scale", "0", "mandelbrot"],
        &["sweep", "--param", "padded", "false_sharing"],
        &["sweep", "--param", "nonsense=1", "mandelbrot"],
        &["sweep", "--input", "/no/such", "wordcount"],
        &["sweep", "--name", "../up", "mandelbrot"],
        &["sweep", "no_such"],
        &["sweep", "mandelbrot", "--", "true"],
        &["sweep", "--", "/no/such"],
        &["sweep", "--", "no-such-program-anywhere"],
        &["sweep", "--", "/"],
        &["sweep", "--out", "file/x", "--", "true"],
        &["sweep", "--metric", "([", "--", "true"],
        &["sweep", "--metric", "no group", "--", "true"],
        &["sweep", "--env", "=x", "--", "true"],
        &["sweep", "--ops", "many", "--", "true"],
        &["sweep", "--with-default", "--", "echo", "-j{procs}"],
        &["sweep", "--with-default", "--ops", "{procs}", "--", "true"],
        &["sweep", "mandelbrot", "--metric", "(x)"],
        &["sweep", "mandelbrot", "--env", "N"],
        &["sweep", "mandelbrot", "--unit", "x"],
        &["sweep", "mandelbrot", "--ops", "5"],
        &["sweep", "--scale", "2", "--", "true"],
        &["sweep", "--param", "a=b", "--", "true"],
        &["flamegraph", "mandelbrot", "--env", "N"],
        &["flamegraph", "--scale", "2", "--", "true"],
        &["flamegraph", "-p", "1", "--param", "a=b"],
        &["costs", "--counts", "0"],
        &["costs", "--counts", "1,,2"],
        &["costs", "--rounds", "0"],
        &["run", "no_such"],
        &["run", "mandelbrot", "--procs", "0"],
        &["flamegraph"],
        &["flamegraph", "mandelbrot", "-o", "x.bmp"],
        &["flamegraph", "mandelbrot", "-o", ".pb.gz"],
        &["flamegraph", "mandelbrot", "--procs", "1,2", "-o", "x.pb.gz"],
        &["flamegraph", "mandelbrot", "--procs", "1,2", "-o", "x.json"],
        &["flamegraph", "mandelbrot", "--threads"],
        &["flamegraph", "mandelbrot", "--off-cpu", "--per-thread"],
        &["flamegraph", "mandelbrot", "--off-cpu", "-F", "99"],
        &["flamegraph", "mandelbrot", "--procs", "1,2,3"],
        &["recommend", "missing.csv"],
        &["recommend", "bad.csv"],
        &["export", "missing", "--format", "csv"],
        &["export", ".", "--format", "xml"],
        &["nonsense"],
        &[],
    ] {
        let done = corefit.run(args);
        assert_eq!(done.code, 2, "{args:?}: {}{}", done.out, done.err);
        assert!(!done.err.contains("panicked"), "{args:?}: {}", done.err);
        if !args.is_empty() {
            assert_eq!(done.err.trim().lines().count(), 1, "{args:?}: {}", done.err);
            assert!(done.err.starts_with("corefit: "), "{args:?}: {}", done.err);
        }
    }
    assert!(!corefit.path("profiles").exists(), "a refused sweep leaves nothing");
}

#[test]
fn a_mistyped_workload_gets_a_suggestion() {
    let done = Corefit::new().run(&["sweep", "mandelbrott"]);
    assert!(done.err.contains("mandelbrot`"), "{}", done.err);
}

#[test]
fn help_and_version_are_results() {
    let corefit = Corefit::new();
    for args in [&["--help"][..], &["sweep", "--help"], &["--version"]] {
        let done = corefit.run(args);
        done.assert_code(0);
        assert!(!done.out.is_empty() && done.err.is_empty(), "{args:?}");
    }
}

#[test]
fn a_quick_sweep_leaves_its_files_and_says_quick() {
    let corefit = Corefit::new();
    let document = quick_sweep(&corefit, "mandelbrot");
    let sweep = &document["sweeps"][0];
    assert_eq!(document["schema"], 1);
    assert_eq!(sweep["target"], "mandelbrot");
    let answer = &sweep["recommendation"];
    assert!(
        answer["warnings"].as_array().unwrap().iter().any(|w| w["text"].as_str().unwrap().contains("quick"))
    );
    let samples = corefit.read("p/mandelbrot/samples.csv");
    assert!(column(&samples, "status").iter().all(|status| *status == "ok"));
    let points = answer["points"].as_array().unwrap();
    assert!(points.len() >= 3);
    assert_eq!(column(&samples, "round").len(), 3 * points.len());
    assert!(points.iter().all(|point| point["lo"].is_null() && point["samples"] == 3));
    let chosen = answer["recommended_procs"].to_string();
    let folded = corefit.read(&format!("p/mandelbrot/flame/procs-{chosen}.folded"));
    assert!(folded.contains("mandelbrot"), "its own functions are in it: {folded}");
    let svg = corefit.read(&format!("p/mandelbrot/flame/procs-{chosen}.svg"));
    assert!(svg.contains("</svg>"));
    let summary = corefit.read("p/mandelbrot/summary.csv");
    assert_eq!(column(&summary, "recommended").iter().filter(|flag| **flag == "true").count(), 1);
    assert_eq!(corefit.read("p/summary.csv").lines().count(), summary.lines().count());
}

#[test]
fn recommend_gives_the_sweeps_own_answer_again() {
    let corefit = Corefit::new();
    let document = quick_sweep(&corefit, "nqueens");
    let again = corefit.run(&["recommend", "p/nqueens", "--json"]).json();
    assert_eq!(again, document["sweeps"][0]["recommendation"]);
    let saved: Value = serde_json::from_str(&corefit.read("p/nqueens/sweep.json")).unwrap();
    assert_eq!(again, saved["recommendation"]);
    let text = corefit.run(&["recommend", "p"]);
    text.assert_code(0);
    assert!(text.out.contains("take ") && text.out.contains("quick"), "{}", text.out);
}

#[test]
fn export_gives_every_sample_as_csv_and_json() {
    let corefit = Corefit::new();
    quick_sweep(&corefit, "sort");
    let csv = corefit.run(&["export", "p", "--format", "csv"]);
    csv.assert_code(0);
    assert_eq!(csv.out, corefit.read("p/sort/samples.csv"));
    corefit.run(&["export", "p/sort", "--format", "json", "-o", "sort.json"]).assert_code(0);
    let json: Value = serde_json::from_str(&corefit.read("sort.json")).unwrap();
    let rows = json["sweeps"][0]["samples"].as_array().expect("samples");
    assert_eq!(rows.len(), csv.out.lines().count() - 1);
}

#[test]
fn a_command_is_measured_by_its_metric() {
    let corefit = Corefit::new();
    let args = ["--rounds", "4..4", "--no-flamegraph", "--json", "--out", "c", "--metric", r"x=(\d+)"];
    let done = corefit
        .run(&[&["sweep", "--procs", "1,2"], &args[..], &["--", "sh", "-c", "echo x={procs}00"]].concat());
    done.assert_code(0);
    let document = done.json();
    let answer = &document["sweeps"][0]["recommendation"];
    assert_eq!(answer["recommended_procs"], 2);
    assert_eq!(answer["points"][0]["throughput"], 100.0);
    let folder = document["sweeps"][0]["target"].as_str().unwrap();
    let samples = corefit.read(&format!("c/{folder}/samples.csv"));
    assert!(column(&samples, "ops").iter().all(|ops| ops.is_empty()), "with a metric, ops is not measured");
}

#[test]
fn a_lower_metric_can_be_the_better_one() {
    let corefit = Corefit::new();
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1,2",
        "--rounds",
        "4..4",
        "--no-flamegraph",
        "--json",
        "--name",
        "cost",
        "--metric",
        r"t=([0-9.]+)",
        "--lower-is-better",
        "--",
        "sh",
        "-c",
        "echo t=$((8 / GOMAXPROCS))",
    ]);
    done.assert_code(0);
    let answer = &done.json()["sweeps"][0]["recommendation"];
    assert_eq!(answer["recommended_procs"], 2);
    assert_eq!(answer["points"][0]["throughput"], 0.125);
}

#[test]
fn what_the_recommended_count_gains_over_the_default_is_told() {
    let corefit = Corefit::new();
    let fixed = ["sweep", "--procs", "1,2", "--rounds", "6..6", "--no-flamegraph", "--name", "unset"];
    let script = "echo x=$((${W:-0} * 100 + 50)) g=${GOMAXPROCS-none}";
    let command =
        ["--with-default", "--env", "W", "--metric", r"x=(\d+)", "--json", "--", "sh", "-c", script];
    let done = corefit.run(&[&fixed[..], &command].concat());
    done.assert_code(0);
    let answer = done.json()["sweeps"][0]["recommendation"].clone();
    assert_eq!((&answer["recommended_procs"], &answer["default"]["samples"]), (&2.into(), &6.into()));
    assert_eq!(answer["default"]["gain"], 4.0);
    assert_eq!(answer["default"]["gain_interval"], serde_json::json!([4.0, 4.0]));
    assert_eq!(answer["points"].as_array().map(Vec::len), Some(2));
    let samples = corefit.read("profiles/unset/samples.csv");
    assert_eq!(column(&samples, "procs").iter().filter(|procs| **procs == "default").count(), 6);
    let summary = corefit.read("profiles/unset/summary.csv");
    assert_eq!(column(&summary, "procs"), ["1", "2", "default"]);
    assert_eq!(column(&summary, "recommended"), ["false", "true", "false"]);
    let table = corefit.run(&["recommend", "profiles/unset/samples.csv", "--json"]).json();
    let gain = |answer: &Value| answer["default"]["gain_interval"].clone();
    assert_eq!((&table["recommended_procs"], gain(&table)), (&2.into(), gain(&answer)), "any CSV will do");
    let text = corefit.run(&["recommend", "profiles/unset"]);
    text.assert_code(0);
    assert!(text.out.contains("gain: 2 procs gain 400 % over the default"), "{}", text.out);
    assert_eq!(corefit.run(&["recommend", "profiles/unset", "--json"]).json(), answer);

    let resume = ["--resume", "--env", "W", "--metric", r"x=(\d+)", "--", "sh", "-c", script];
    let refused = corefit.run(&[&fixed[..], &resume].concat());
    refused.assert_code(2);
    assert!(refused.err.contains("plan.with_default"), "{}", refused.err);
}

#[test]
fn the_default_leaves_the_variables_as_the_user_has_them() {
    let corefit = Corefit::new();
    let fixed = ["sweep", "--procs", "3", "--rounds", "1..1", "--no-flamegraph", "--with-default"];
    let script = "case $GOMAXPROCS-$W in 3-3|7-) ;; *) echo $GOMAXPROCS-$W >&2; exit 1;; esac";
    let mut command = corefit.command(&[&fixed[..], &["--env", "W", "--", "sh", "-c", script]].concat());
    let done = Done::of(command.env("GOMAXPROCS", "7").output().expect("the binary starts"));
    done.assert_code(0);
}

#[test]
fn a_command_finds_its_worker_count_in_the_variables_asked_for() {
    let corefit = Corefit::new();
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "3",
        "--rounds",
        "1..1",
        "--warmup",
        "0",
        "--no-flamegraph",
        "--name",
        "env",
        "--env",
        "PLAIN",
        "--env",
        "TEMPLATE=n-{procs}-x",
        "--",
        "sh",
        "-c",
        "test $GOMAXPROCS-$PLAIN-$TEMPLATE = 3-3-n-3-x",
    ]);
    done.assert_code(0);
}

#[test]
fn a_program_reports_its_own_operations_on_the_result_descriptor() {
    let corefit = Corefit::new();
    let line = r#"{"ops":500,"elapsed_s":0.25,"latency_s":{"p99":0.003}}"#;
    let script = format!("echo '{line}' >&$COREFIT_RESULT_FD");
    // Not every `sh` takes a descriptor of two digits after `>&`.
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1",
        "--rounds",
        "1..1",
        "--no-flamegraph",
        "--json",
        "--name",
        "told",
        "--",
        "bash",
        "-c",
        &script,
    ]);
    done.assert_code(0);
    let samples = corefit.read("profiles/told/samples.csv");
    assert_eq!(column(&samples, "throughput"), ["2000"]);
    assert_eq!(column(&samples, "latency_p99_s"), ["0.003"]);
}

#[test]
fn a_result_line_that_cannot_be_used_is_told() {
    let corefit = Corefit::new();
    let sweep =
        ["sweep", "--procs", "1", "--rounds", "2..2", "--no-flamegraph", "--json", "--name", "odd", "--"];
    let done = corefit.run(&[&sweep[..], &["sh", "-c", "echo garbage >&$COREFIT_RESULT_FD"]].concat());
    done.assert_code(0);
    let warnings = done.json()["sweeps"][0]["recommendation"]["warnings"].clone();
    let odd = warnings.as_array().unwrap().iter().find(|warning| warning["code"] == "odd-samples");
    let text = odd.unwrap_or_else(|| panic!("{warnings}"))["text"].as_str().unwrap();
    assert!(text.starts_with("2 of 2 samples") && text.contains("garbage"), "{text}");
}

#[test]
fn a_failing_program_is_recorded_and_nothing_is_recommended() {
    let corefit = Corefit::new();
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1,2",
        "--rounds",
        "3..3",
        "--no-flamegraph",
        "--json",
        "--name",
        "bad",
        "--",
        "sh",
        "-c",
        "echo it broke >&2; exit 3",
    ]);
    done.assert_code(1);
    let sweep = &done.json()["sweeps"][0];
    assert!(sweep["recommendation"].is_null());
    assert!(sweep["warnings"].to_string().contains("it broke"), "its last words are quoted: {sweep}");
    let again = corefit.run(&["recommend", "profiles/bad", "--json"]);
    again.assert_code(1);
    assert!(again.json().is_null());
    assert_eq!(again.err.lines().count(), 1, "{}", again.err);
    let samples = corefit.read("profiles/bad/samples.csv");
    assert!(column(&samples, "status").iter().all(|status| *status == "failed"));
    assert!(column(&samples, "exit_code").iter().all(|code| *code == "3"));
}

#[test]
fn a_program_that_fails_at_one_worker_count_loses_only_that() {
    let corefit = Corefit::new();
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1,2,3",
        "--rounds",
        "4..4",
        "--no-flamegraph",
        "--json",
        "--name",
        "part",
        "--",
        "sh",
        "-c",
        "test {procs} != 2",
    ]);
    done.assert_code(1);
    let document = done.json();
    let answer = &document["sweeps"][0]["recommendation"];
    let measured: Vec<_> =
        answer["points"].as_array().unwrap().iter().map(|p| p["procs"].as_u64().unwrap()).collect();
    assert_eq!(measured, [1, 3]);
    assert!(answer["warnings"].as_array().unwrap().iter().any(|w| w["code"] == "samples-failed"), "{answer}");
    let samples = corefit.read("profiles/part/samples.csv");
    assert_eq!(
        column(&samples, "status").iter().filter(|s| **s == "failed").count(),
        2,
        "twice running, then out"
    );
}

#[test]
fn a_hanging_program_is_stopped_at_the_timeout() {
    let corefit = Corefit::new();
    let begun = Instant::now();
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1",
        "--rounds",
        "2..2",
        "--warmup",
        "0",
        "--timeout",
        "300ms",
        "--no-flamegraph",
        "--name",
        "hang",
        "--",
        "sleep",
        "1000",
    ]);
    done.assert_code(1);
    assert!(begun.elapsed() < Duration::from_secs(500), "it did not wait for the program");
    let samples = corefit.read("profiles/hang/samples.csv");
    assert_eq!(column(&samples, "status"), ["timeout", "timeout"]);
}

#[test]
fn an_interrupted_sweep_keeps_its_samples_and_goes_on_with_resume() {
    let corefit = Corefit::new();
    let args = [
        "sweep",
        "--procs",
        "1,2",
        "--rounds",
        "8..8",
        "--timeout",
        "1000s",
        "--metric",
        r"x=(\d+)",
        "--no-flamegraph",
        "--name",
        "long",
        "--",
        "sh",
        "-c",
        // The fifth run (one warms up, three leave rows) does not end before it is told to.
        "echo x=1; echo >>runs; test -e go || test $(wc -l <runs) -lt 5 || sleep 1000",
    ];
    let mut child = corefit.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let journal = corefit.path("profiles/long/samples.csv");
    wait_for_rows(&journal, 3);
    interrupt(child.id());
    let status = child.wait().unwrap();
    let mut message = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut message).unwrap();
    assert_eq!(status.code(), Some(130), "{message}");
    assert!(message.contains("--resume"), "{message}");
    let before = fs::read_to_string(&journal).unwrap();
    let rows = before.lines().count();
    assert_eq!(rows, 4, "{before}");
    corefit.write("go", "");
    let done = corefit.run(&[&args[..5], &["--resume"], &args[5..]].concat());
    done.assert_code(0);
    let after = fs::read_to_string(&journal).unwrap();
    assert!(after.starts_with(&before), "rows measured before stay");
    assert_eq!(after.lines().count(), 17);
}

#[test]
fn an_interrupted_run_or_flame_graph_ends_with_130() {
    let corefit = Corefit::new();
    for args in
        [&["run", "amdahl", "--scale", "100"][..], &["flamegraph", "amdahl", "--scale", "100", "-o", "x.svg"]]
    {
        let child = corefit.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(|| has_child(child.id()), "nothing is measured");
        interrupt(child.id());
        let done = Done::of(child.wait_with_output().unwrap());
        done.assert_code(130);
        assert_eq!(done.err.lines().filter(|line| line.contains("interrupted")).count(), 1, "{}", done.err);
        assert!(!corefit.path("x.svg").exists());
    }
}

#[test]
fn a_sample_is_taken_in_a_container_whose_session_began_outside() {
    let ways = [
        &["unshare", "--pid", "--fork", "--mount-proc"][..],
        &["unshare", "-Ur", "--pid", "--fork", "--mount-proc"],
    ];
    let Some(unshare) = permitted(&ways, &["true"]) else { return };
    let corefit = Corefit::new();
    let fixed = ["sweep", "--procs", "1", "--rounds", "1..1", "--no-flamegraph", "--json", "--name", "boxed"];
    let args = [&fixed[..], &["--", "sh", "-c", "sleep 0.01 & wait"]].concat();
    let done = Done::of(corefit.command_under(unshare, &args).output().unwrap());
    done.assert_code(0);
    assert_eq!(done.json()["sweeps"][0]["recommendation"]["points"][0]["samples"], 1, "{}", done.out);
}

#[test]
fn resume_refuses_another_command_line() {
    let corefit = Corefit::new();
    let sweep = |rest: &[&str]| {
        let fixed = ["sweep", "--procs", "1", "--rounds", "1..1", "--no-flamegraph", "--name", "same"];
        corefit.run(&[&fixed[..], rest].concat())
    };
    sweep(&["--", "true"]).assert_code(0);
    sweep(&["--resume", "--", "true"]).assert_code(0);
    let refused = sweep(&["--resume", "--", "false"]);
    refused.assert_code(2);
    assert_eq!(refused.err.trim().lines().count(), 1, "{}", refused.err);
}

#[test]
fn a_second_sweep_of_the_same_folder_is_refused_while_the_first_runs() {
    let corefit = Corefit::new();
    let args = [
        "sweep",
        "--procs",
        "1",
        "--rounds",
        "9..9",
        "--timeout",
        "1000s",
        "--no-flamegraph",
        "--name",
        "locked",
        "--",
        "sleep",
        "1000",
    ];
    let mut first = corefit.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| has_child(first.id()), "nothing is measured");
    let second = corefit.run(&args);
    interrupt(first.id());
    first.wait().unwrap();
    second.assert_code(2);
    assert!(second.err.contains("locked"), "{}", second.err);
}

#[test]
fn a_new_sweep_keeps_the_one_before() {
    let corefit = Corefit::new();
    for _ in 0..2 {
        corefit
            .run(&[
                "sweep",
                "--procs",
                "1",
                "--rounds",
                "1..1",
                "--no-flamegraph",
                "--name",
                "twice",
                "--",
                "true",
            ])
            .assert_code(0);
    }
    assert!(corefit.path("profiles/twice.prev/samples.csv").exists());
}

#[test]
fn any_csv_can_be_decided_on() {
    let corefit = Corefit::new();
    corefit.write("t.csv", "procs,throughput\n1,100\n2,190\n4,340\n8,520\n16,610\n");
    let answer = corefit.run(&["recommend", "t.csv", "--json"]).json();
    assert_eq!(answer["recommended_procs"], 16);
    assert!(answer["confidence"].is_null());
    corefit.write("frac.csv", "load,rate\n0.5,50\n1.5,140\n3.25,270\n6.0,400\n");
    let columns = ["--procs-column", "load", "--throughput-column", "rate"];
    let answer =
        corefit.run(&[&["recommend", "frac.csv", "--model", "usl", "--json"], &columns[..]].concat()).json();
    assert_eq!(answer["model"]["kind"], "usl");
    let missing = corefit.run(&["recommend", "frac.csv"]);
    missing.assert_code(2);
    assert!(missing.err.contains("load"), "it names the columns there are: {}", missing.err);
}

#[test]
fn a_table_of_very_many_worker_counts_is_shown_in_part() {
    let corefit = Corefit::new();
    let rows: String = (1..=5000).map(|n| format!("{n},{}\n", n.min(777))).collect();
    corefit.write("many.csv", &format!("procs,throughput\n{rows}"));
    let done = corefit.run(&["recommend", "many.csv", "--policy", "knee=0"]);
    done.assert_code(0);
    assert!(done.out.lines().count() < 130, "{}", done.out);
    let is_shown =
        |n: &str| done.out.lines().any(|line| line.split_whitespace().take(2).any(|word| word == n));
    assert!(is_shown("1") && is_shown("777") && is_shown("5000"), "{}", done.out);
    assert!(done.out.contains("one in 50 of 5000 worker counts"), "{}", done.out);
    let all = corefit.run(&["recommend", "many.csv", "--json"]).json();
    assert_eq!(all["points"].as_array().map(Vec::len), Some(5000));
}

#[test]
fn a_flame_graph_shows_the_programs_own_functions() {
    let corefit = Corefit::new();
    let done = corefit.run(&["flamegraph", "mandelbrot", "--procs", "2", "--scale", "2", "-o", "m.svg"]);
    done.assert_code(0);
    assert!(corefit.read("m.folded").contains("mandelbrot"));
    assert!(corefit.read("m.svg").contains("</svg>"));
    let done = corefit.run(&["flamegraph", "mandelbrot", "--procs", "1,2", "-o", "d.svg"]);
    done.assert_code(0);
    for file in ["d.svg", "d.1.folded", "d.2.folded"] {
        assert!(corefit.path(file).exists(), "{file}");
    }
}

#[test]
fn a_difference_as_folded_stacks_has_both_counts_on_a_line() {
    let corefit = Corefit::new();
    corefit.run(&["flamegraph", "amdahl", "--procs", "1,2", "-o", "d.folded"]).assert_code(0);
    let folded = corefit.read("d.folded");
    for line in folded.lines() {
        let mut counts = line.rsplitn(3, ' ');
        let is_count = |field: Option<&str>| field.is_some_and(|field| field.parse::<u64>().is_ok());
        assert!(is_count(counts.next()) && is_count(counts.next()), "{line}");
    }
    assert!(folded.lines().count() > 0);
}

#[test]
fn the_waits_of_a_workload_are_those_of_its_goroutines_in_every_format() {
    let corefit = Corefit::new();
    let waits = |output: &str| {
        let args =
            ["flamegraph", "mutex_counter", "--off-cpu", "--procs", "2", "--scale", "0.1", "-o", output];
        corefit.run(&args).assert_code(0);
    };
    waits("w.svg");
    let folded = corefit.read("w.folded");
    assert!(folded.contains("mutex_counter.rs:") && folded.contains("[run queue]"), "{folded}");
    assert!(corefit.read("w.svg").contains("where its goroutines wait, in µs"));
    waits("w.pb.gz");
    assert!(std::fs::read(corefit.path("w.pb.gz")).unwrap().starts_with(&[0x1f, 0x8b]), "gzip's magic");
    waits("w.json");
    let document: serde_json::Value = serde_json::from_str(&corefit.read("w.json")).unwrap();
    assert_eq!(document["threads"][0]["samples"]["weightType"], "tracing-ms");
    corefit
        .run(&["flamegraph", "mutex_counter", "--off-cpu", "--procs", "1,2", "--scale", "0.1", "-o", "d.svg"])
        .assert_code(0);
    assert!(corefit.read("d.svg").contains("per op"), "both ran to their end");
}

#[test]
fn the_waits_of_a_command_are_its_threads_and_one_that_ends_at_once_makes_no_empty_graph() {
    let corefit = Corefit::new();
    corefit.run(&["flamegraph", "--off-cpu", "-o", "s.folded", "--", "sleep", "0.3"]).assert_code(0);
    let folded = corefit.read("s.folded");
    let waited_us: u64 =
        folded.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(waited_us >= 200_000, "{folded}");
    let done = corefit.run(&["flamegraph", "--off-cpu", "-o", "t.svg", "--", "true"]);
    assert!(done.code == 0 || (done.code == 1 && done.err.contains("no waits")), "{}", done.err);
    assert_eq!(corefit.path("t.svg").exists(), done.code == 0);
}

#[test]
fn doctor_says_what_can_be_measured_here() {
    let corefit = Corefit::new();
    let document = corefit.run(&["doctor", "--json"]).json();
    assert!(document["machine"]["cpus_online"].as_u64().unwrap() >= 1);
    assert!(document["default_procs"]["procs"].as_u64().unwrap() >= 1);
    let text = corefit.run(&["doctor"]);
    text.assert_code(0);
    assert!(text.out.contains("GOMAXPROCS"), "{}", text.out);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let corefit = Corefit::new();
    let mut child = corefit.command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = Done::of(child.wait_with_output().unwrap());
    done.assert_code(0);
    assert!(done.err.is_empty(), "{}", done.err);
}

#[test]
fn a_run_records_a_trace_that_becomes_a_table_and_a_drawing() {
    let corefit = Corefit::new();
    let run = corefit
        .command(&["run", "ping_pong", "--procs", "2", "--scale", "0.02"])
        .env("COREFIT_TRACE", "t")
        .env("COREFIT_TRACE_LEVEL", "sync")
        .output()
        .expect("the binary starts");
    let run = Done::of(run);
    run.assert_code(0);
    assert!(run.err.contains("recorded") && run.err.contains("`t`"), "{}", run.err);
    let table = corefit.run(&["trace", "t", "--format", "csv"]);
    table.assert_code(0);
    assert_eq!(table.err, "");
    let events = column(&table.out, "event");
    for name in ["spawn", "run", "park", "unpark", "send", "receive", "join", "end"] {
        assert!(events.contains(&name), "no {name}");
    }
    let drawing = corefit.run(&["trace", "t", "--format", "chrome", "-o", "t.json"]);
    drawing.assert_code(0);
    assert_eq!((drawing.out.as_str(), drawing.err.as_str()), ("", ""));
    let drawn: Value = serde_json::from_str(&corefit.read("t.json")).expect("one JSON document");
    assert!(drawn["traceEvents"].as_array().expect("an array").len() > events.len() / 4);
    for format in ["csv", "chrome"] {
        let args = ["trace", "t", "--format", format];
        let mut child = corefit.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = Done::of(child.wait_with_output().unwrap());
        assert!(done.err.is_empty(), "a reader that went away: {}", done.err);
    }
}

#[test]
fn a_file_that_is_no_trace_is_refused_in_one_line() {
    let corefit = Corefit::new();
    corefit.write("text", "not a trace at all");
    for file in ["text", "missing", "."] {
        let done = corefit.run(&["trace", file, "--format", "csv"]);
        done.assert_code(2);
        assert_eq!((done.out.as_str(), done.err.lines().count()), ("", 1), "{}", done.err);
        assert!(done.err.contains(&format!("`{file}`")), "{}", done.err);
    }
}

#[test]
fn a_torn_trace_is_read_as_far_as_it_is_whole() {
    let corefit = Corefit::new();
    let run = corefit.command(&["run", "ping_pong", "--scale", "0.02"]).env("COREFIT_TRACE", "t").output();
    Done::of(run.expect("the binary starts")).assert_code(0);
    let bytes = fs::read(corefit.path("t")).expect("a trace");
    fs::write(corefit.path("torn"), &bytes[..bytes.len() - 7]).expect("the folder can be written");
    let done = corefit.run(&["trace", "torn", "--format", "csv"]);
    done.assert_code(0);
    assert!(done.out.lines().count() > 1);
    assert!(done.err.contains("cut off"), "{}", done.err);
}

#[test]
fn a_sweep_records_no_trace_and_says_so() {
    let corefit = Corefit::new();
    let args = ["sweep", "mandelbrot", "--quick", "--scale", "0.05", "--procs", "1,2", "--no-flamegraph"];
    let done = corefit.command(&args).env("COREFIT_TRACE", "t").output().expect("the binary starts");
    let done = Done::of(done);
    done.assert_code(0);
    assert_eq!(done.err.matches("COREFIT_TRACE is left out").count(), 1, "{}", done.err);
    assert!(!corefit.path("t").exists());
}

#[test]
fn the_reasoning_is_plain_text_and_changes_no_answer() {
    let corefit = Corefit::new();
    let rows = (1..=6).flat_map(|round| {
        [(1, 100), (2, 190), (4, 300), (8, 305)].map(|(n, x)| format!("{n},{round},{}\n", x * 100 + round))
    });
    corefit.write("t.csv", &format!("procs,round,throughput\n{}", rows.collect::<String>()));
    let explained = corefit.run(&["recommend", "t.csv", "--explain"]);
    explained.assert_code(0);
    assert!(!explained.out.contains('\u{1b}'), "{}", explained.out);
    assert!(explained.out.lines().all(|line| line.chars().count() <= 80), "{}", explained.out);
    for head in
        ["What was measured", "How sure it is", "Which laws were tried", "What would change the answer"]
    {
        assert!(explained.out.contains(head), "{}", explained.out);
    }
    let plain = corefit.run(&["recommend", "t.csv", "--json"]).json();
    let mut with = corefit.run(&["recommend", "t.csv", "--json", "--explain"]).json();
    let text = with.as_object_mut().expect("an object").remove("explain").expect("the reasoning");
    assert_eq!(text.as_str(), Some(explained.out.as_str()));
    assert_eq!(with, plain);
    assert_eq!(plain["recommended_procs"], 4);
}
