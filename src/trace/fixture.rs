//! A trace for tests: of a small program, recorded by this test process run again.

use std::path::Path;
use std::process::Command;

use corefit_runtime::trace::Trace;
use corefit_runtime::{Config, blocking, chan, go};

/// The variable that makes this test binary the program.
const PROGRAM: &str = "COREFIT_TEST_TRACED";

/// What is recorded: three goroutines that each send one value, one that makes a blocking call.
#[test]
fn traced_program() {
    if std::env::var_os(PROGRAM).is_none() {
        return;
    }
    Config::new().procs(1).run(|| {
        let (send, receive) = chan::<u32>(0);
        let senders: Vec<_> = (0..3)
            .map(|value| {
                let send = send.clone();
                go(move || send.send(value).unwrap())
            })
            .collect();
        let sum: u32 = (0..3).map(|_| receive.recv().unwrap()).sum();
        assert_eq!(sum, 3);
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        go(|| blocking(|| ())).join().unwrap();
    });
}

/// The trace of that program.
pub(super) fn trace() -> Trace {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trace");
    record(&path);
    // The file stays readable without its name.
    Trace::open(&path).unwrap()
}

fn record(path: &Path) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "trace::fixture::traced_program"])
        .env(PROGRAM, "1")
        .env("COREFIT_TRACE", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}
