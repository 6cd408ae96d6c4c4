//! Real programs of known scaling, each measured by corefit, each found right.
//!
//! Their jobs sleep, so that the shapes hold on two noisy CPUs. What needs a compiler that is not there is left out, and
//! a line says so.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const COREFIT: &str = env!("CARGO_BIN_EXE_corefit-under-test");

/// Another worker doubles what these programs do, or adds nothing: halfway between the two, as a ratio. However late a
/// busy machine wakes them, the middle one of the rounds is not off by 40 %.
const KNEE: &str = "knee=0.3";

/// A folder for results, and for programs that have to be compiled first.
fn folder() -> TempDir {
    TempDir::with_prefix("corefit-shapes-").expect("a temporary folder")
}

/// Sweeps with `args`, which end with the program, and gives the exit code and the target's part of the document.
fn sweep(folder: &Path, args: &[&str]) -> (Option<i32>, Value) {
    let fixed =
        ["sweep", "--rounds", "5..5", "--no-flamegraph", "--json", "--name", "shape", "--policy", KNEE];
    let done = Command::new(COREFIT)
        .args(fixed)
        .args(args)
        .current_dir(folder)
        // What whoever runs the tests has set for programs of their own.
        .env_remove("GOMAXPROCS")
        .env_remove("COREFIT_TRACE")
        .stdin(Stdio::null())
        .output()
        .expect("the tool starts");
    let document: Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&done.stderr)));
    (done.status.code(), document["sweeps"][0].clone())
}

/// The answer to a sweep in which every sample succeeds.
#[track_caller]
fn answer(folder: &Path, args: &[&str]) -> Value {
    let (code, sweep) = sweep(folder, args);
    assert_eq!(code, Some(0), "{sweep}");
    sweep["recommendation"].clone()
}

fn has_code(notes: &Value, code: &str) -> bool {
    notes.as_array().is_some_and(|notes| notes.iter().any(|note| note["code"] == code))
}

/// Runs a compiler; `false`, and a line, if it is not there.
fn compiled(compiler: &str, args: &[&str], envs: &[(&str, &Path)]) -> bool {
    let done = Command::new(compiler).args(args).envs(envs.iter().copied()).stdin(Stdio::null()).output();
    let Ok(done) = done else {
        println!("skipped: there is no `{compiler}` here");
        return false;
    };
    assert!(done.status.success(), "{compiler}: {}", String::from_utf8_lossy(&done.stderr));
    true
}

fn text(path: &Path) -> String {
    path.to_str().expect("a plain path").to_owned()
}

#[test]
fn a_tokio_program_with_two_permits_needs_two_workers() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_tokio-pool");
    let metric = ["--metric", "([0-9.]+) jobs/s", "--unit", "jobs/s", "--procs", "1,2,4"];
    let answer = answer(folder.path(), &[&["--preset", "tokio"], &metric[..], &["--", program]].concat());
    assert_eq!(answer["recommended_procs"], 2, "{answer}");
}

#[test]
fn a_rayon_program_that_is_half_serial_has_a_serial_fraction_of_a_half() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_rayon-half");
    let answer = answer(folder.path(), &["--preset", "rayon", "--procs", "1,2,4,8", "--", program]);
    let sigma = answer["model"]["sigma"].as_f64().unwrap_or_else(|| panic!("{answer}"));
    assert!((0.2..0.8).contains(&sigma), "{answer}");
}

#[test]
fn an_openmp_program_with_one_lock_needs_one_worker() {
    let folder = folder();
    let program = text(&folder.path().join("lock"));
    let source = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("c/lock.c"));
    if !compiled("gcc", &["-fopenmp", "-O1", "-o", &program, &source], &[]) {
        return;
    }
    let metric = ["--metric", "took ([0-9.]+) s", "--lower-is-better", "--procs", "1,2,4"];
    let preset = ["--preset", "openmp", "--env", "OMP_WAIT_POLICY=passive"];
    let answer = answer(folder.path(), &[&preset, &metric[..], &["--", &program]].concat());
    assert_eq!(answer["recommended_procs"], 1, "{answer}");
}

/// Compiles a Go program.
fn compiled_go(program: &str, source: &str) -> bool {
    let source = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source));
    // Compiled packages of the standard library stay with the build, since they take most of the time.
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache");
    let envs = [
        ("GOCACHE", cache.as_path()),
        ("GOPATH", cache.as_path()),
        ("GOTOOLCHAIN", Path::new("local")),
        ("CGO_ENABLED", Path::new("0")),
    ];
    compiled("go", &["build", "-o", program, &source], &envs)
}

#[test]
fn a_go_program_with_two_permits_needs_two_workers() {
    let folder = folder();
    let program = text(&folder.path().join("pool"));
    if !compiled_go(&program, "go/pool.go") {
        return;
    }
    let answer =
        answer(folder.path(), &["--preset", "go", "--procs", "1,2,4", "--with-default", "--", &program]);
    assert_eq!(answer["recommended_procs"], 2, "{answer}");
    assert_eq!(answer["default"]["samples"], 5, "{answer}");
}

#[test]
fn the_go_program_of_the_tutorial_says_what_the_tutorial_looks_for() {
    let folder = folder();
    let program = text(&folder.path().join("service-bench"));
    if !compiled_go(&program, "../../docs/tutorial/service_bench.go") {
        return;
    }
    let patterns = ["--metric", "rps: ([0-9.]+)", "--latency-metric", "p99=([0-9.]+ms)", "--procs", "2"];
    let answer = answer(folder.path(), &[&patterns[..], &["--warmup", "0", "--", &program]].concat());
    assert!(answer["points"][0]["latency_p99_s"].as_f64().is_some_and(|p99_s| p99_s > 0.0), "{answer}");
}

#[test]
fn a_program_that_ignores_its_worker_count_is_found_out() {
    let folder = folder();
    let program = env!("CARGO_BIN_EXE_burner");
    let (code, sweep) = sweep(folder.path(), &["--procs", "1,2", "--warmup", "0", "--", program]);
    if code == Some(1) {
        assert!(sweep["warnings"].to_string().contains("exited with code 7"), "{sweep}");
        println!("skipped: its threads do not run side by side here");
        return;
    }
    let answer = &sweep["recommendation"];
    assert!(has_code(&answer["warnings"], "knob-ignored"), "{answer}");
    assert!(answer["confidence"].is_null() && answer["interval"].is_null(), "{answer}");
}
