//! Programs that misbehave, swept: each costs its own row and one warning, never the sweep, and leaves nothing behind.

mod corefit;

use corefit::{Corefit, Done, is_running, statuses};
use serde_json::Value;

/// A program that is well at some worker counts and badly off at others. Whoever it leaves behind writes its id to `left`.
const PROGRAM: &str = r#"
daemon() { (setsid sh -c '(sleep 1000 & echo $! >>left; exit) & exec sleep 1000' & echo $! >>left) }
case $GOMAXPROCS in
  2) echo 'no such table' >&2; exit 3 ;;
  3) kill -SEGV $$ ;;
  4) trap '' TERM INT HUP; daemon; echo $$ >>left; while :; do sleep 1000; done ;;
  5) daemon; daemon; while [ "$(wc -l <left)" -lt 4 ]; do :; done ;;
  6) exec </dev/null >&- 2>&-; eval "exec $COREFIT_RESULT_FD>&-" ;;
  7) kill -KILL $$ ;;
  8) ulimit -c 0; exec 9>&1; while :; do :; done & kill -ABRT $$ ;;
esac
"#;

fn manifest(done: &Done) -> Value {
    done.json()["sweeps"][0].clone()
}

#[test]
fn every_misbehaviour_is_one_row_and_one_warning_and_the_sweep_goes_on() {
    let corefit = Corefit::new();
    corefit.write("program", PROGRAM);
    let done = corefit.run(&[
        "sweep",
        "--procs",
        "1..8",
        "--rounds",
        "1..1",
        "--warmup",
        "0",
        "--timeout",
        // One of them hangs; the others have that long for what takes a moment.
        "10s",
        "--no-flamegraph",
        "--name",
        "t",
        "--json",
        "--",
        "sh",
        "program",
    ]);
    done.assert_code(1);
    let journal = corefit.read("profiles/t/samples.csv");
    let mut found = statuses(&journal);
    found.sort_unstable();
    let expected = ["ok", "failed", "failed", "timeout", "ok", "ok", "killed", "failed"];
    let procs = ["1", "2", "3", "4", "5", "6", "7", "8"];
    assert_eq!(found, procs.into_iter().zip(expected).collect::<Vec<_>>());

    let manifest = manifest(&done);
    let warnings = manifest["warnings"].as_array().expect("warnings");
    let failed: Vec<&str> = warnings
        .iter()
        .filter(|warning| warning["code"] == "samples-failed")
        .map(|warning| warning["text"].as_str().expect("a text"))
        .collect();
    let parts = ["at 2 did not succeed: exited with code 3", "at 3", "at 4", "at 7", "at 8"];
    assert_eq!(failed.len(), parts.len(), "{failed:?}");
    for (text, part) in failed.iter().zip(parts) {
        assert!(text.starts_with("1 of 1 samples ") && text.contains(part), "{text} has no {part}");
    }
    assert!(manifest["recommendation"]["recommended_procs"].is_number(), "three of them succeeded");

    let left = corefit.read("left");
    assert!(left.lines().count() >= 5, "the daemons were there: {left}");
    let orphans: Vec<&str> = left.lines().filter(|pid| is_running(pid)).collect();
    assert!(orphans.is_empty(), "{orphans:?}");
}

#[test]
fn a_flood_of_output_is_drained_within_bounded_memory() {
    let corefit = Corefit::new();
    // On standard output, on standard error and on the result descriptor, then what counts.
    let script = "head -c 200000000 /dev/zero; head -c 100000000 /dev/zero >&2; head -c 50000000 /dev/zero >/proc/self/fd/$COREFIT_RESULT_FD; \
                  echo; echo value 7; grep VmHWM /proc/$PPID/status >peak";
    for options in [&["--metric", "value ([0-9]+)"][..], &[]] {
        let fixed =
            ["sweep", "--procs", "1", "--rounds", "1..1", "--warmup", "0", "--no-flamegraph", "--name", "t"];
        let command = ["--json", "--", "sh", "-c", script];
        let args: Vec<&str> = fixed.iter().chain(options).chain(&command).copied().collect();
        let done = corefit.run(&args);
        done.assert_code(0);
        let peak = corefit.read("peak");
        let peak_kib: u64 =
            peak.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number");
        assert!(peak_kib < 150 << 10, "the tool took {peak}");
        let warnings = manifest(&done)["warnings"].to_string();
        assert!(warnings.contains("wrote more than 1 MiB of results"), "{warnings}");
    }
}

#[test]
fn a_profile_of_a_program_that_fails_says_so_with_a_graph_or_without() {
    for (program, word) in [("exit 7", "exited with code 7"), ("kill -SEGV $$", "died of SIGSEGV")] {
        let corefit = Corefit::new();
        let done = corefit.run(&["flamegraph", "-o", "x.folded", "--", "sh", "-c", program]);
        // Where the kernel refuses to sample the program is not started.
        assert!(done.err.contains(word) || done.err.contains("perf_event_paranoid"), "{}", done.err);
        assert_eq!(corefit.path("x.folded").exists(), done.code == 0, "{}", done.err);
    }
}
