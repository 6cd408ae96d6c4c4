//! The built binary in a folder of its own, which goes away with it.
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod schema;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test and the folder it runs in.
pub(crate) struct Corefit {
    folder: TempDir,
}

/// How a run ended.
pub(crate) struct Done {
    /// Exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Corefit {
    /// A new empty folder.
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::with_prefix("corefit-test-").expect("a temporary folder") }
    }

    /// The binary with `args`, ready to start.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_under(&[], args)
    }

    /// The same at the end of `wrapper`: the words of a command that becomes the one after them.
    pub(crate) fn command_under(&self, wrapper: &[&str], args: &[&str]) -> Command {
        let words = [wrapper, &[env!("CARGO_BIN_EXE_corefit")], args].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.folder.path()).stdin(Stdio::null());
        for name in ["GOMAXPROCS", "COREFIT_TRACE", "COREFIT_TRACE_LEVEL", "COREFIT_TRACE_LIMIT"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs the binary to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().expect("the binary starts"))
    }

    /// A sweep into `p/NAME` in as little time as there is: no warm-up, no profiles, `rounds` rounds of `procs`. `rest` are more
    /// options, and the command.
    pub(crate) fn small_sweep(&self, name: &str, procs: &str, rounds: u32, rest: &[&str]) -> Done {
        let rounds = format!("{rounds}..{rounds}");
        let short = ["sweep", "--warmup", "0", "--no-flamegraph", "--out", "p", "--rounds", &rounds];
        self.run(&[&short, &["--name", name, "--procs", procs][..], rest].concat())
    }

    /// A path in the folder.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// A file of the folder.
    pub(crate) fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_else(|error| panic!("{relative}: {error}"))
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, relative: &str, text: &str) {
        fs::write(self.path(relative), text).expect("the folder can be written");
    }
}

impl Done {
    /// From what the system says.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test, with what was said, unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
    }

    /// Standard output as the one JSON document it has to be.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error}\nstdout: {}\nstderr: {}", self.out, self.err))
    }
}

/// The column of that name in a table whose fields hold no comma.
#[track_caller]
pub(crate) fn column<'a>(csv: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let index =
        header.iter().position(|column| *column == name).unwrap_or_else(|| panic!("no column {name}"));
    lines.map(|line| line.split(',').nth(index).expect("as many fields as the header")).collect()
}

/// Worker count and status of each row of a journal.
#[track_caller]
pub(crate) fn statuses(journal: &str) -> Vec<(&str, &str)> {
    column(journal, "procs").into_iter().zip(column(journal, "status")).collect()
}

/// What a program wrote, without the blanks around it.
#[track_caller]
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program wrote UTF-8").trim()
}

/// The first of `wrappers` under which `probe` succeeds; `None`, which is printed, where this machine permits none.
pub(crate) fn permitted<'a>(wrappers: &[&'a [&'a str]], probe: &[&str]) -> Option<&'a [&'a str]> {
    let is_permitted = |wrapper: &&&[&str]| {
        let trial = Command::new(wrapper[0]).args(&wrapper[1..]).args(probe).stdin(Stdio::null()).output();
        trial.is_ok_and(|output| output.status.success())
    };
    let found = wrappers.iter().find(is_permitted).copied();
    if found.is_none() {
        println!("skipped: not permitted here: {wrappers:?}");
    }
    found
}

/// Waits for what another process does; fails the test after five minutes.
#[track_caller]
pub(crate) fn wait_until(is_so: impl Fn() -> bool, otherwise: &str) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(300), "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits for the header and `rows` rows.
pub(crate) fn wait_for_rows(journal: &Path, rows: usize) {
    let is_there = || fs::read_to_string(journal).is_ok_and(|text| text.lines().count() > rows);
    wait_until(is_there, "rows are missing");
}

/// Whether a process of that id runs (a zombie does not).
pub(crate) fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

/// Whether the process has started another one: a sample, which it does only when it listens to interruptions.
pub(crate) fn has_child(pid: u32) -> bool {
    let pid = pid.to_string();
    fs::read_dir("/proc").expect("it is mounted").flatten().any(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(1)) == Some(&*pid)
    })
}

/// Sends SIGINT; SIGTERM, which does the same, where the tests run with SIGINT ignored, as in the background of a plain
/// shell: the program keeps to that.
pub(crate) fn interrupt(pid: u32) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let ignored =
        status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("a line for ignored signals");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
    let signal = if ignored & (1 << (Signal::INT.as_raw() - 1)) == 0 { Signal::INT } else { Signal::TERM };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}
