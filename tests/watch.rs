//! A sweep that is watched from outside while it is measured.

mod corefit;

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use corefit::{Corefit, Done, wait_until};

#[test]
fn a_running_sweep_can_be_watched_to_its_end() {
    let corefit = Corefit::new();
    // Each sample lasts until the file is there.
    let script = "until test -e go; do sleep 0.05; done; echo x={procs}00";
    let args = [
        "sweep",
        "--procs",
        "1,2",
        "--rounds",
        "2..2",
        "--warmup",
        "0",
        "--no-flamegraph",
        "--json",
        "--timeout",
        "600s",
        "--out",
        "p",
        "--name",
        "app",
        "--metric",
        r"x=(\d+)",
        "--",
        "sh",
        "-c",
        script,
    ];
    let sweep = corefit.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until(|| corefit.path("p/app/sweep.json").exists(), "the sweep does not start");

    let once = corefit.run(&["watch", "p", "--once"]);
    once.assert_code(0);
    assert!(once.out.starts_with("p/app: being measured\napp · round 0 · 0 samples\n"), "{}", once.out);

    let mut watch = corefit.command(&["watch", "p/app"]);
    let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(watch.stdout.take().expect("a pipe"));
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert_eq!(first, "app · round 0 · 0 samples\n");
    corefit.write("go", "");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let watched = Done::of(watch.wait_with_output().unwrap());
    let swept = Done::of(sweep.wait_with_output().unwrap());
    swept.assert_code(0);
    watched.assert_code(0);
    let view = rest.split_once("p/app: ended\n").unwrap_or_else(|| panic!("no end: {rest}")).1;
    assert!(view.contains("app · round 2 · 4 samples · best so far 2 procs: 200 metric"), "{view}");
    assert!(view.contains("take 2"), "{view}");
    assert!(watched.err.is_empty() && !rest.contains('\u{1b}'), "{}", watched.err);

    let after = corefit.run(&["watch", "p"]);
    after.assert_code(0);
    assert!(
        after.out.starts_with("p/app: not being measured\n") && after.out.contains("take 2"),
        "{}",
        after.out
    );
}

#[test]
fn where_no_sweep_is_there_is_nothing_to_watch() {
    let done = Corefit::new().run(&["watch", "p"]);
    done.assert_code(2);
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
}
