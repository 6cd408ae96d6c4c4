//! What is measured stays: sweeps that are killed, torn or run out of disk go on where they were.

mod corefit;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use corefit::{Corefit, Done, permitted};

/// A sweep of `rounds` rounds whose every sample says the same.
fn sweep<'a>(rounds: &'a str, more: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let fixed =
        ["sweep", "--procs", "1,2", "--warmup", "0", "--no-flamegraph", "--no-counters", "--name", "x"];
    [&fixed[..], &["--rounds", rounds], more, &["--"], command].concat()
}

const SAY: [&str; 3] = ["sh", "-c", "echo x={procs}00"];
const METRIC: [&str; 2] = ["--metric", r"x=(\d+)"];

fn rows(journal: &Path) -> usize {
    fs::read_to_string(journal).map_or(0, |text| text.lines().count().saturating_sub(1))
}

#[test]
fn a_sweep_that_was_killed_goes_on_where_it_was() {
    let corefit = Corefit::new();
    let journal = corefit.path("profiles/x/samples.csv");
    let args = sweep("6..6", &[], &["sleep", "0.2"]);
    let mut child = corefit.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while rows(&journal) < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120), "no rows");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = fs::read_to_string(&journal).unwrap();
    let done = corefit.run(&sweep("6..6", &["--resume"], &["sleep", "0.2"]));
    done.assert_code(0);
    let after = fs::read_to_string(&journal).unwrap();
    assert!(after.starts_with(&before), "rows measured before stay");
    assert_eq!(rows(&journal), 12);
}

#[test]
fn a_sweep_torn_by_a_power_cut_loses_the_torn_row_only() {
    let corefit = Corefit::new();
    corefit.run(&sweep("4..4", &METRIC, &SAY)).assert_code(0);
    let journal = corefit.path("profiles/x/samples.csv");
    let text = fs::read_to_string(&journal).unwrap();
    let whole = text.trim_end().rfind('\n').unwrap() + 1;
    let answer = corefit.run(&["recommend", "profiles/x", "--json"]).json();
    let resume = [&METRIC[..], &["--resume", "--json"]].concat();
    // Every byte is tried by the tests of the journal; here some of them, as a user would.
    for torn in (whole..text.len()).step_by(11) {
        fs::write(&journal, &text[..torn]).unwrap();
        corefit.run(&["recommend", "profiles/x", "--json"]).assert_code(0);
        corefit.run(&["export", "profiles/x", "--format", "csv"]).assert_code(0);
        assert_eq!(fs::read_to_string(&journal).unwrap(), text[..torn], "reading changes nothing");
        let done = corefit.run(&sweep("4..4", &resume, &SAY));
        done.assert_code(0);
        assert!(fs::read_to_string(&journal).unwrap().starts_with(&text[..whole]), "torn at {torn}");
        assert_eq!(rows(&journal), 8, "torn at {torn}");
        let points = done.json()["sweeps"][0]["recommendation"]["points"].clone();
        assert_eq!(points[1]["throughput"], answer["points"][1]["throughput"]);
    }
}

#[test]
fn a_lost_manifest_or_journal_starts_afresh_or_is_told() {
    let corefit = Corefit::new();
    let resume = [&METRIC[..], &["--resume"]].concat();
    corefit.run(&sweep("2..2", &METRIC, &SAY)).assert_code(0);
    fs::write(corefit.path("profiles/x/samples.csv"), "").unwrap();
    corefit.run(&sweep("2..2", &resume, &SAY)).assert_code(0);
    assert_eq!(rows(&corefit.path("profiles/x/samples.csv")), 4);
    for torn in ["", "{\"schema\":1,\"tar"] {
        fs::write(corefit.path("profiles/x/sweep.json"), torn).unwrap();
        let done = corefit.run(&sweep("2..2", &resume, &SAY));
        done.assert_code(2);
        assert_eq!(done.err.lines().count(), 1, "{}", done.err);
        assert!(done.err.contains("sweep.json"), "{}", done.err);
    }
}

/// Runs the binary where no file may grow beyond `kib` KiB.
fn limited(corefit: &Corefit, kib: u32, args: &[&str]) -> Done {
    let script = format!("ulimit -f {kib} && exec \"$0\" \"$@\"");
    Done::of(corefit.command_under(&["bash", "-c", &script], args).output().expect("bash is there"))
}

#[test]
fn a_disk_that_fills_up_ends_with_1_and_a_sweep_goes_on_when_there_is_room() {
    let corefit = Corefit::new();
    let many = sweep("40..40", &METRIC, &SAY);
    let done = limited(&corefit, 8, &many);
    done.assert_code(1);
    assert_eq!(
        done.err.lines().filter(|line| line.starts_with("corefit: cannot write")).count(),
        1,
        "{}",
        done.err
    );
    assert!(done.err.contains("--resume") && !done.err.contains("panicked"), "{}", done.err);
    let journal = corefit.path("profiles/x/samples.csv");
    let before = fs::read_to_string(&journal).unwrap();
    let kept = rows(&journal);
    assert!((10..80).contains(&kept) && before.ends_with('\n'), "{kept} rows, the last one whole");
    let resume = [&METRIC[..], &["--resume"]].concat();
    corefit.run(&sweep("40..40", &resume, &SAY)).assert_code(0);
    assert!(fs::read_to_string(&journal).unwrap().starts_with(&before));
    assert_eq!(rows(&journal), 80);
}

#[test]
fn a_disk_that_is_full_from_the_start_ends_with_1_and_leaves_nothing() {
    let corefit = Corefit::new();
    let done = limited(&corefit, 1, &sweep("2..2", &METRIC, &SAY));
    done.assert_code(1);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    assert!(done.err.contains("make room"), "{}", done.err);
    assert_eq!(fs::read_dir(corefit.path("profiles")).unwrap().count(), 0);
}

#[test]
fn a_full_file_system_is_outlived_too() {
    let corefit = Corefit::new();
    let ways = [&["unshare", "-m"][..], &["unshare", "-Urm"]];
    let script = r#"
        mount -t tmpfs -o size=128k tmpfs "$PWD" && cd "$PWD" || exit 9
        head -c 110000 /dev/zero > ballast
        "$0" "$@"; echo "code $?"
        rm ballast
        "$0" "$1" --resume "${@:2}"; echo "code $?"
        echo "lines $(wc -l < profiles/x/samples.csv)"
    "#;
    let Some(way) = permitted(&ways, &["bash", "-c", "mount -t tmpfs tmpfs /mnt"]) else { return };
    let wrapper = [way, &["bash", "-c", script]].concat();
    let mut command = corefit.command_under(&wrapper, &sweep("40..40", &METRIC, &SAY));
    let done = Done::of(command.output().unwrap());
    for said in ["code 1", "code 0", "lines 81"] {
        assert!(done.out.contains(said), "no `{said}` in {}{}", done.out, done.err);
    }
    assert!(done.err.contains("No space left on device"), "{}", done.err);
}

#[test]
fn results_that_cannot_be_printed_are_told() {
    let corefit = Corefit::new();
    corefit.write("t.csv", "procs,throughput\n1,100\n2,190\n");
    let export = ["recommend", "t.csv", "--json"];
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for args in [
        &export[..],
        &["recommend", "t.csv"],
        &["list"],
        &["compare", "t.csv", "t.csv"],
        &["schema", "config"],
    ] {
        let done = Done::of(corefit.command(args).stdout(full()).output().unwrap());
        done.assert_code(1);
        assert_eq!(
            done.err,
            "corefit: cannot write to standard output: No space left on device (os error 28)\n"
        );
    }
    corefit.run(&sweep("1..1", &METRIC, &SAY)).assert_code(0);
    for format in ["csv", "json"] {
        let done = corefit.run(&["export", "profiles", "--format", format, "-o", "/dev/full"]);
        done.assert_code(1);
        assert!(done.err.contains("`/dev/full`") && done.err.contains("make room"), "{}", done.err);
        corefit.run(&["export", "profiles", "--format", format, "-o", "/dev/null"]).assert_code(0);
    }
    let is_file = |path: &str| fs::metadata(path).is_ok_and(|there| there.is_file());
    assert!(!is_file("/dev/null") && !is_file("/dev/full"), "devices stay devices");
}

#[test]
fn a_sweep_that_is_interrupted_while_it_profiles_says_so_and_can_take_the_profiles_later() {
    let corefit = Corefit::new();
    let fixed =
        ["sweep", "--procs", "1", "--rounds", "4..4", "--warmup", "0", "--no-counters", "--name", "x"];
    // The fifth run is the first that is profiled. It interrupts the tool, whose child it is; by SIGTERM, for the tests may be
    // run with SIGINT ignored.
    let script = "echo >>runs; test -e go || test $(wc -l <runs) -lt 5 || { kill -TERM $PPID; sleep 1000; }";
    let command = ["--", "sh", "-c", script];
    let done = corefit.run(&[&fixed[..], &command].concat());
    let notes = |manifest: &str| -> Vec<(String, String)> {
        let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap();
        let notes = manifest["recommendation"]["warnings"].as_array().unwrap().clone();
        let word = |note: &serde_json::Value, of: &str| note[of].as_str().unwrap().to_owned();
        notes.iter().map(|note| (word(note, "code"), word(note, "text"))).collect()
    };
    let are_of =
        |notes: &[(String, String)], wanted: &str| notes.iter().filter(|(code, _)| code == wanted).count();
    let manifest = corefit.read("profiles/x/sweep.json");
    if done.code == 0 && are_of(&notes(&manifest), "profile") > 0 {
        println!("skipped: the kernel refuses to sample here");
        return;
    }
    done.assert_code(130);
    assert_eq!(are_of(&notes(&manifest), "interrupted"), 1, "{manifest}");
    // What was sampled until then may deserve a word of its own: that it is cut, or too little. The interruption has had its.
    let is_said_twice = |(code, text): &(String, String)| code == "profile" && text.contains("interrupted");
    assert!(!notes(&manifest).iter().any(is_said_twice), "{manifest}");
    assert_eq!(rows(&corefit.path("profiles/x/samples.csv")), 4);
    let report = corefit.read("profiles/x/report.html");
    for part in ["<li>interrupted</li>", "Interrupted while profiles were taken"] {
        assert!(report.contains(part), "{part}");
    }
    corefit.write("go", "");
    corefit.run(&[&fixed[..], &["--resume"], &command].concat()).assert_code(0);
    assert_eq!(are_of(&notes(&corefit.read("profiles/x/sweep.json")), "interrupted"), 0);
    assert!(!corefit.read("profiles/x/report.html").contains("interrupted</li>"));
}
