//! CPU quotas that the tool sets, for real: in cgroups of this machine, where it may.
#![cfg(corefit_linux)]

mod corefit;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use corefit::{Corefit, column, is_running, wait_until};
use serde_json::Value;

/// Where groups are made here; `None`, with the reason printed, where the tool may make none.
fn folder(corefit: &Corefit) -> Option<PathBuf> {
    let doctor = corefit.run(&["doctor", "--json"]).json();
    let quotas = &doctor["quotas"];
    // A group may have no more than those above it.
    if let Some(allowed) = doctor["machine"]["quota_cpus"].as_f64().filter(|allowed| *allowed < 1.5) {
        println!("skipped: only {allowed} CPUs are allowed here");
        return None;
    }
    if quotas["available"] == true {
        return Some(quotas["folder"].as_str().expect("a folder").into());
    }
    let why = quotas["why_not"].as_str().expect("a reason");
    assert!(why.contains("systemd-run"), "the way out is told: {why}");
    println!("skipped: {why}");
    None
}

/// One sample of a shell script at one worker count, under `--cpus`; the manifest and the journal.
fn sample(corefit: &Corefit, cpus: &str, options: &[&str], script: &str) -> (Value, String) {
    let fixed = [
        "sweep", "--cpus", cpus, "--procs", "1", "--rounds", "1..1", "--warmup", "0", "--json", "--name", "t",
    ];
    let args: Vec<&str> =
        fixed.iter().chain(options).chain(&["--no-flamegraph", "--", "sh", "-c", script]).copied().collect();
    let done = corefit.run(&args);
    done.assert_code(0);
    (done.json()["sweeps"][0].clone(), corefit.read("profiles/t/samples.csv"))
}

#[test]
fn a_program_without_gomaxprocs_sees_the_quota_and_rounds_it_up() {
    let corefit = Corefit::new();
    if folder(&corefit).is_none() {
        return;
    }
    let script = format!("env -u GOMAXPROCS '{}' doctor --json", env!("CARGO_BIN_EXE_corefit"));
    for (cpus, procs) in [("0.5", "1"), ("1.5", "2")] {
        let metric = r#""default_procs":\s*\{[^}]*"procs":\s*(\d+)"#;
        let (manifest, journal) = sample(&corefit, cpus, &["--metric", metric], &script);
        assert_eq!(column(&journal, "throughput"), [procs]);
        assert_eq!(column(&journal, "cpu_quota"), [cpus]);
        assert_eq!(manifest["plan"]["cpu_quota"].to_string(), cpus);
    }
}

#[test]
fn what_the_quota_holds_back_is_counted_and_named() {
    let corefit = Corefit::new();
    let Some(folder) = folder(&corefit) else { return };
    // Works until it has been held back in many periods, however fast it is and however late it gets the CPU.
    let group = format!("{}/corefit-$PPID-*", folder.display());
    let script = format!("until grep -qE '^nr_throttled ([5-9]|[1-9][0-9])' {group}/cpu.stat; do :; done");
    let (manifest, journal) = sample(&corefit, "0.05", &[], &script);
    let number =
        |name: &str| column(&journal, name)[0].parse::<f64>().unwrap_or_else(|_| panic!("{name} is empty"));
    assert!(number("throttled_s") > 0.0);
    assert!(1.0 <= number("throttled_periods") && number("throttled_periods") <= number("quota_periods"));
    let reasons = manifest["recommendation"]["reasons"].as_array().expect("reasons");
    let reason = reasons.iter().find(|reason| reason["code"] == "quota-throttling").expect("the reason");
    let text = reason["text"].as_str().expect("a text");
    assert!(text.starts_with("the quota of 0.05 CPUs") && text.contains("of its periods"), "{text}");
}

#[test]
fn the_group_goes_with_the_sample_and_takes_daemons_with_it() {
    let corefit = Corefit::new();
    let Some(folder) = folder(&corefit) else { return };
    // A daemon of a daemon: a session of its own, its parent gone.
    let script = "echo $PPID >tool; cat /proc/self/cgroup >groups; \
                  (setsid sh -c '(sleep 1000 & echo $! >daemon); exit' &) ; while [ ! -s daemon ]; do :; done";
    sample(&corefit, "0.5", &[], script);
    let name = format!("corefit-{}-", corefit.read("tool").trim());
    let groups = corefit.read("groups");
    assert!(groups.lines().any(|line| line.contains(&format!("/{name}"))), "{name} in {groups}");
    assert!(!is_running(corefit.read("daemon").trim()));
    let left = fs::read_dir(folder).expect("it was there").flatten();
    assert_eq!(left.filter(|entry| entry.file_name().to_string_lossy().starts_with(&name)).count(), 0);
}

#[test]
fn what_a_killed_tool_left_is_cleared_away_by_the_next() {
    let corefit = Corefit::new();
    let Some(folder) = folder(&corefit) else { return };
    corefit.write("script", "setsid sleep 1000 & echo $! >daemon; echo $PPID >tool; exec sleep 1000");
    let mut tool = corefit
        .command(&["sweep", "--cpus", "0.5", "--procs", "1", "--", "sh", "script"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let is_written =
        |name: &str| fs::read_to_string(corefit.path(name)).is_ok_and(|text| text.ends_with('\n'));
    wait_until(|| is_written("daemon") && is_written("tool"), "the program does not run");
    tool.kill().expect("it runs");
    tool.wait().expect("it was started here");

    let group = format!("corefit-{}-", corefit.read("tool").trim());
    corefit.run(&["doctor"]).assert_code(0);
    let is_gone = || {
        let names = fs::read_dir(&folder).expect("it is there").flatten().map(|entry| entry.file_name());
        !names.into_iter().any(|name| name.to_string_lossy().starts_with(&group))
    };
    wait_until(is_gone, "the group is still there");
    assert!(!is_running(corefit.read("daemon").trim()), "it was in the group");
}

#[test]
fn quotas_are_compared_with_a_folder_each_and_the_rules_measured() {
    let corefit = Corefit::new();
    if folder(&corefit).is_none() {
        return;
    }
    let args = [
        "sweep",
        "--cpus-sweep",
        "0.5,1.5",
        "--rounds",
        "1..1",
        "--warmup",
        "0",
        "--no-flamegraph",
        "--name",
        "t",
    ];
    let command = ["--", "true"];
    let json: Vec<&str> = args.iter().chain(&["--json"]).chain(&command).copied().collect();
    let done = corefit.run(&json);
    done.assert_code(0);
    let document = done.json();
    let sweeps = document["sweeps"].as_array().expect("sweeps");
    let names: Vec<&str> = sweeps.iter().map(|sweep| sweep["target"].as_str().expect("a name")).collect();
    assert_eq!(names, ["t@cpus-0.5", "t@cpus-1.5"]);
    for (sweep, expected) in sweeps.iter().zip([&[1, 2][..], &[1, 2, 3]]) {
        let procs = sweep["plan"]["procs"].as_array().expect("procs");
        assert!(expected.iter().all(|n| procs.contains(&Value::from(*n))), "{procs:?}");
        assert!(
            corefit
                .path("profiles")
                .join(sweep["target"].as_str().expect("a name"))
                .join("samples.csv")
                .exists()
        );
    }
    let compared = &document["quotas"][0];
    assert_eq!((&compared["target"], compared["quotas"].as_array().map(Vec::len)), (&"t".into(), Some(2)));
    let rules = compared["quotas"][1]["rules"].as_array().expect("rules");
    let rules: Vec<(String, Value)> = rules
        .iter()
        .map(|rule| (rule["rule"].as_str().expect("a name").to_owned(), rule["procs"].clone()))
        .collect();
    let expected = [("floor", 1), ("round", 2), ("ceil", 2), ("ceil+1", 3)];
    assert_eq!(rules, expected.map(|(name, procs)| (name.to_owned(), Value::from(procs))));
    assert!(compared["best_rule"].is_string());

    let text: Vec<&str> = args.iter().chain(&["-q", "--color", "never"]).chain(&command).copied().collect();
    let done = corefit.run(&text);
    done.assert_code(0);
    assert!(done.out.contains("of the limit fits this program best"), "{}", done.out);
    assert!(done.out.lines().all(|line| line.chars().count() <= 80), "{}", done.out);
}

#[test]
fn a_quota_that_cannot_be_is_one_line_and_exit_code_2() {
    let corefit = Corefit::new();
    for options in [
        &["--cpus", "0"][..],
        &["--cpus", "0.009"],
        &["--cpus", "-1"],
        &["--cpus", "half"],
        &["--cpus", "inf"],
        &["--cpus", ""],
        &["--cpus", "4097"],
        &["--cpus-sweep", ""],
        &["--cpus-sweep", "1,"],
        &["--cpus-sweep", "0.5,,1"],
        &["--cpus-sweep", "2,1"],
        &["--cpus-sweep", "1,1"],
        &["--cpus-sweep", "0,1"],
        &["--cpus-sweep", "0.5..2"],
        &["--cpus", "1", "--cpus-sweep", "1,2"],
    ] {
        let args: Vec<&str> = ["sweep", "mandelbrot"].iter().chain(options).copied().collect();
        let done = corefit.run(&args);
        done.assert_code(2);
        assert_eq!(done.err.lines().count(), 1, "{options:?}: {}", done.err);
    }
    assert!(!corefit.path("profiles").exists(), "nothing was begun");
}

#[test]
fn without_permission_the_way_out_is_told_and_nothing_is_measured() {
    let corefit = Corefit::new();
    let Some(folder) = folder(&corefit) else { return };
    // The same file system, read-only, in a mount namespace of its own.
    let script = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && exec \"$@\"";
    let args = ["sweep", "--cpus", "0.5", "--", "true"];
    let wrapper = ["unshare", "-m", "sh", "-c", script, folder.to_str().expect("a plain path")];
    let Ok(output) = corefit.command_under(&wrapper, &args).output() else {
        println!("skipped: no `unshare`");
        return;
    };
    let err = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        println!("skipped: there is room in a group above too");
        return;
    }
    if !err.contains("corefit: ") {
        println!("skipped: no mount can be made here: {err}");
        return;
    }
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.lines().count() == 1 && err.contains("read-only") && err.contains("systemd-run"), "{err}");
    assert!(!corefit.path("profiles").exists(), "nothing was begun");
}
