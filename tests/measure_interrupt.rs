//! An interruption ends the sample under way. In a file of its own: the signal is for the whole process.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use corefit::measure::{self, Conditions, Status};
use corefit::target::Invocation;
use rustix::process::{Signal, getpid, kill_process};

#[test]
fn an_interruption_kills_the_sample_and_the_tool_lives_on() {
    let conditions = Conditions {
        timeout: Duration::from_secs(500),
        counters: false,
        keep_output: true,
        poll_run_queue: false,
        quota: None,
        cpus: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let invocation = Invocation {
        program: "sh".into(),
        args: vec!["-c".into(), "trap '' INT TERM; sleep 1000 & >ready; wait".into()],
        env: vec![],
        directory: Some(folder.path().into()),
        ..Invocation::default()
    };
    measure::watch_interrupts().unwrap();
    measure::watch_interrupts().unwrap();
    assert!(!measure::interrupted());

    let before = Instant::now();
    let ready = folder.path().join("ready");
    let interrupter = thread::spawn(move || {
        while !ready.exists() && before.elapsed() < Duration::from_secs(50) {
            thread::sleep(Duration::from_millis(10));
        }
        kill_process(getpid(), Signal::TERM).unwrap();
    });
    let sample =
        measure::sample_by(Path::new(env!("CARGO_BIN_EXE_corefit")), &invocation, &conditions).unwrap();
    interrupter.join().unwrap();

    assert!(measure::interrupted());
    assert_eq!((sample.status, sample.signal), (Status::Killed, Some(9)));
    assert_eq!(sample.remarks, ["was stopped by an interruption"]);
    assert!(before.elapsed() < Duration::from_secs(400));
}
