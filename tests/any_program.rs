//! Any program as a target, driven from outside: how it is started, what runs around its samples, what is kept of it.

mod corefit;

use std::fs;
use std::process::Stdio;

use corefit::{Corefit, Done, interrupt, is_running, statuses, wait_for_rows};
use serde_json::Value;

/// Sweeps of two rounds at 1 and 2 workers, the results in `p/t`.
const SWEEP: [&str; 10] =
    ["sweep", "--procs", "1,2", "--rounds", "2..2", "--no-flamegraph", "--out", "p", "--name", "t"];

fn sweep(corefit: &Corefit, args: &[&str]) -> Done {
    corefit.run(&[&SWEEP[..], args].concat())
}

/// What `sweep.json` says.
fn manifest(corefit: &Corefit) -> Value {
    serde_json::from_str(&corefit.read("p/t/sweep.json")).expect("a document")
}

/// The text of the warning with this code.
#[track_caller]
fn warning(notes: &Value, code: &str) -> String {
    let note = notes.as_array().expect("an array").iter().find(|note| note["code"] == code);
    note.unwrap_or_else(|| panic!("no {code}: {notes}"))["text"].as_str().expect("a text").to_owned()
}

/// What `samples.csv` says.
fn samples(corefit: &Corefit) -> String {
    corefit.read("p/t/samples.csv")
}

#[test]
fn hooks_run_once_before_each_sample_and_once_after() {
    let corefit = Corefit::new();
    let hooks = [
        "--warmup",
        "1",
        "--setup",
        "echo setup-${GOMAXPROCS-none} >> log",
        "--prepare",
        "echo prepare-{procs}-$GOMAXPROCS-$W >> log",
        "--cleanup",
        "echo cleanup >> log",
        "--env",
        "W=w{procs}",
    ];
    sweep(&corefit, &[&hooks[..], &["--", "sh", "-c", "echo run-{procs} >> log"]].concat()).assert_code(0);
    let log = corefit.read("log");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!((lines.first(), lines.last()), (Some(&"setup-none"), Some(&"cleanup")));
    assert_eq!(lines.len(), 2 + 2 * (1 + 4), "{log}");
    for pair in lines[1..lines.len() - 1].chunks(2) {
        let procs = pair[1].strip_prefix("run-").expect("a run after its preparation");
        assert_eq!(pair[0], format!("prepare-{procs}-{procs}-w{procs}"), "{log}");
    }
}

#[test]
fn a_setup_that_fails_leaves_nothing_measured_but_is_recorded_and_cleaned_up() {
    let corefit = Corefit::new();
    let hooks = ["--setup", "echo no table >&2; exit 4", "--cleanup", "touch cleaned"];
    let done = sweep(&corefit, &[&hooks[..], &["--", "touch", "ran"]].concat());
    done.assert_code(1);
    assert!(
        done.err.contains("`--setup` failed: exited with code 4; its last words: no table"),
        "{}",
        done.err
    );
    assert_eq!(done.err.trim().lines().filter(|line| line.contains("setup")).count(), 1, "{}", done.err);
    assert!(corefit.path("cleaned").exists() && !corefit.path("ran").exists());
    assert!(statuses(&samples(&corefit)).is_empty());
    assert!(warning(&manifest(&corefit)["warnings"], "setup-failed").contains("no table"));
}

#[test]
fn a_preparation_that_fails_is_a_failed_row_and_the_sweep_goes_on() {
    let corefit = Corefit::new();
    let hooks = ["--prepare", "test {procs} != 2 || { echo cold >&2; false; }", "--json"];
    let done = sweep(&corefit, &[&hooks[..], &["--", "true"]].concat());
    done.assert_code(1);
    let samples = samples(&corefit);
    let mut rows = statuses(&samples);
    rows.sort_unstable();
    assert_eq!(rows, [("1", "ok"), ("1", "ok"), ("2", "failed"), ("2", "failed")]);
    let answer = &done.json()["sweeps"][0]["recommendation"];
    let text = warning(&answer["warnings"], "samples-failed");
    assert!(
        text.contains("2 of 2") && text.contains("`--prepare` failed") && text.contains("cold"),
        "{text}"
    );
    let failed = samples.lines().find(|line| line.starts_with("t,2,")).expect("a row");
    assert!(failed.contains(",failed,,,,"), "nothing was measured: {failed}");
}

#[test]
fn a_cleanup_that_fails_is_told_and_the_answer_is_kept() {
    let corefit = Corefit::new();
    let done = sweep(&corefit, &["--cleanup", "exit 9", "--json", "--", "true"]);
    done.assert_code(1);
    assert!(
        done.err.contains("`--cleanup` failed: exited with code 9; what was measured is kept"),
        "{}",
        done.err
    );
    let answer = done.json()["sweeps"][0]["recommendation"].clone();
    assert!(warning(&answer["warnings"], "cleanup-failed").contains("code 9"));
    assert_eq!(corefit.run(&["recommend", "p/t", "--json"]).json(), answer);
}

#[test]
fn an_interrupted_sweep_is_cleaned_up() {
    let corefit = Corefit::new();
    let args = ["--cleanup", "sleep 0.3; echo done > cleaned", "--", "sleep", "0.2"];
    let rounds =
        ["sweep", "--procs", "1", "--rounds", "99..99", "--no-flamegraph", "--out", "p", "--name", "t"];
    let mut command = corefit.command(&[&rounds[..], &args].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    wait_for_rows(&corefit.path("p/t/samples.csv"), 1);
    interrupt(child.id());
    let done = Done::of(child.wait_with_output().expect("it ends"));
    done.assert_code(130);
    assert_eq!(corefit.read("cleaned"), "done\n", "the interruption did not cut it short");
}

#[test]
fn what_a_hook_leaves_running_is_ended() {
    let corefit = Corefit::new();
    let hook = "setsid sh -c 'echo $$ > pid; exec sleep 1000' & while ! test -s pid; do sleep 0.01; done";
    sweep(&corefit, &["--setup", hook, "--", "true"]).assert_code(0);
    let pid = corefit.read("pid");
    assert!(!is_running(pid.trim()), "{pid}");
}

#[test]
fn a_shell_runs_one_word_with_the_worker_count_in_it() {
    let corefit = Corefit::new();
    let metric = ["--metric", r"(\d+)", "--json"];
    let line = "echo {procs} | sed s/$/00/";
    let done = sweep(&corefit, &[&metric[..], &["--shell", "--", line]].concat());
    done.assert_code(0);
    assert_eq!(done.json()["sweeps"][0]["recommendation"]["points"][1]["throughput"], 200.0);
    let array = "x=(7 8 9); echo ${x[1]}";
    let done = sweep(&corefit, &[&metric[..], &["--shell=bash", "--", array]].concat());
    done.assert_code(0);
    assert_eq!(done.json()["sweeps"][0]["recommendation"]["points"][0]["throughput"], 8.0);
}

#[test]
fn each_sample_reads_its_input_from_the_start_in_its_own_directory() {
    let corefit = Corefit::new();
    fs::create_dir(corefit.path("inside")).expect("a folder");
    corefit.write("input", "12\n");
    corefit.write("inside/where", "");
    let started = ["--cwd", "inside", "--stdin", "input", "--metric", r"x=(\d+)", "--warmup", "0"];
    let script = "test -e where && read n && echo x=$n";
    let done = sweep(&corefit, &[&started[..], &["--", "sh", "-c", script]].concat());
    done.assert_code(0);
    assert_eq!(statuses(&samples(&corefit)).iter().filter(|(_, status)| *status == "ok").count(), 4);
    let program = corefit.path("inside/here");
    fs::write(&program, "#!/bin/sh\ntest -e where\n").expect("the folder can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("it is ours");
    sweep(&corefit, &["--cwd", "inside", "--", "./here"]).assert_code(0);
}

#[test]
fn a_preset_sets_what_its_runtime_reads_and_env_wins_over_it() {
    let corefit = Corefit::new();
    let presets = ["go", "tokio", "rayon", "openmp", "jvm"].map(|name| ["--preset", name]).concat();
    let script = "test $GOMAXPROCS-$TOKIO_WORKER_THREADS-$RAYON_NUM_THREADS-$OMP_NUM_THREADS = 3-3-3-x3 && \
                  test \"$JAVA_TOOL_OPTIONS\" = '-Xmx1g -XX:ActiveProcessorCount=3'";
    let once =
        ["sweep", "--procs", "3", "--rounds", "1..1", "--no-flamegraph", "--env", "OMP_NUM_THREADS=x{procs}"];
    let args = [&once[..], &presets, &["--", "sh", "-c", script]].concat();
    let done = corefit.command(&args).env("JAVA_TOOL_OPTIONS", "-Xmx1g").output().expect("the binary starts");
    Done::of(done).assert_code(0);
}

#[test]
fn what_a_failed_sample_printed_is_kept_and_named() {
    let corefit = Corefit::new();
    let script = "seq 100000; for word in one two three four; do echo $word >&2; done; test {procs} = 1";
    let done = sweep(&corefit, &["--json", "--warmup", "0", "--", "sh", "-c", script]);
    done.assert_code(1);
    let text = warning(&done.json()["sweeps"][0]["recommendation"]["warnings"], "samples-failed");
    assert!(text.contains("its last words: two / three / four"), "{text}");
    let [stderr, stdout] = ["stderr", "stdout"].map(|stream| format!("failures/round-1-procs-2.{stream}"));
    assert!(text.ends_with(&format!("its output is in `{stderr}` and `{stdout}`")), "{text}");
    assert_eq!(corefit.read(&format!("p/t/{stderr}")), "one\ntwo\nthree\nfour\n");
    let kept = corefit.read(&format!("p/t/{stdout}"));
    assert!(kept.starts_with("1\n2\n") && kept.ends_with("100000\n"), "{} bytes", kept.len());
    let quiet = sweep(&corefit, &["--json", "--", "sh", "-c", "echo only here; exit 1"]);
    let notes = quiet.json()["sweeps"][0]["warnings"].clone();
    assert!(warning(&notes, "samples-failed").contains("its last words: only here"), "{notes}");
}

#[test]
fn a_sample_without_its_metric_shows_its_output_too() {
    let corefit = Corefit::new();
    let done = sweep(&corefit, &["--json", "--metric", "x=(1)", "--", "echo", "nothing of the kind"]);
    done.assert_code(1);
    let notes = done.json()["sweeps"][0]["warnings"].clone();
    let text = warning(&notes, "samples-failed");
    assert!(text.contains("matches nothing") && text.contains("procs-1.stdout"), "{text}");
}

#[test]
fn a_latency_is_read_from_the_output() {
    let corefit = Corefit::new();
    let script = "echo '99%  '$((GOMAXPROCS * 5)).5ms; echo rps=100";
    let metrics =
        ["--metric", "rps=(.*)", "--latency-metric", r"99% +(\S+)", "--policy", "p99<=8ms", "--json"];
    let done = sweep(&corefit, &[&metrics[..], &["--", "sh", "-c", script]].concat());
    done.assert_code(0);
    let answer = &done.json()["sweeps"][0]["recommendation"];
    assert_eq!(answer["recommended_procs"], 1);
    assert_eq!(answer["points"][1]["latency_p99_s"], 0.0105);
}

#[test]
fn what_cannot_be_asked_of_a_command_is_one_line_and_exit_code_2() {
    let corefit = Corefit::new();
    for args in [
        &["--preset", "tokyo", "--", "true"][..],
        &["--preset", "", "--", "true"],
        &["mandelbrot", "--preset", "go"],
        &["mandelbrot", "--setup", "true"],
        &["mandelbrot", "--shell"],
        &["mandelbrot", "--cwd", "."],
        &["--setup", "make -j{procs}", "--", "true"],
        &["--cleanup", "x{procs}", "--", "true"],
        &["--prepare", "", "--", "true"],
        &["--with-default", "--prepare", "x {procs}", "--", "true"],
        &["--shell", "--", "echo", "two words"],
        &["--shell=no-such-shell", "--", "true"],
        &["--shell", "--"],
        &["--cwd", "/no/such", "--", "true"],
        &["--cwd", "/dev/null", "--", "true"],
        &["--stdin", "/no/such", "--", "true"],
        &["--stdin", "/", "--", "true"],
        &["--latency-metric", "x", "--", "true"],
        &["--latency-metric", "(", "--", "true"],
        &["--", "echo a b"],
    ] {
        let done = sweep(&corefit, args);
        assert_eq!(
            (done.code, done.err.trim().lines().count()),
            (2, 1),
            "{args:?}: {}{}",
            done.out,
            done.err
        );
        assert!(
            done.err.starts_with("corefit: ") && !done.err.contains("panicked"),
            "{args:?}: {}",
            done.err
        );
    }
    assert!(!corefit.path("p").exists(), "a refused sweep leaves nothing");
    let done = sweep(&corefit, &["--preset", "tokyo", "--", "true"]);
    assert!(done.err.contains("did you mean `tokio`?"), "{}", done.err);
}
