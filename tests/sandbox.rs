//! The tool where something is forbidden: what is missing is named, and everything else works.
#![cfg(corefit_linux)]

mod corefit;

use corefit::{Corefit, Done, permitted};
use serde_json::Value;

/// Starts the binary below `wrapper`; `None`, with the reason printed, where the wrapper does not work here.
fn run_in(corefit: &Corefit, wrapper: &[&str], args: &[&str]) -> Option<Done> {
    let wrapper = permitted(&[wrapper], &["true"])?;
    let output = corefit.command_under(wrapper, args).env("TMPDIR", "/no/such/folder").output();
    Some(Done::of(output.expect("the trial went well")))
}

/// Forbids a system call, as the filters of containers do, then becomes its arguments.
const FORBID: &str = r#"
import ctypes, os, struct, sys
number, error = int(sys.argv[1]), int(sys.argv[2])
# Load the number; if it is the one, the error; else let it through.
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | error), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(steps), ctypes.addressof(code))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit("no filter can be set: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[3], sys.argv[3:])
"#;

/// The number of `perf_event_open`.
const PERF_EVENT_OPEN: &str = if cfg!(target_arch = "x86_64") { "298" } else { "241" };

#[test]
fn without_perf_events_the_rest_works_and_the_missing_is_named() {
    // EPERM as Docker's filter says it, ENOSYS as others do.
    for error in ["1", "38"] {
        let corefit = Corefit::new();
        let wrapper = ["python3", "-c", FORBID, PERF_EVENT_OPEN, error];
        let Some(doctor) = run_in(&corefit, &wrapper, &["doctor", "--json"]) else { return };
        doctor.assert_code(0);
        let counters = doctor.json()["counters"].to_string();
        assert!(!counters.contains("\"full\""), "{counters}");
        assert_eq!(doctor.json()["profiles"]["source"], "in-process");
        let text = run_in(&corefit, &wrapper, &["doctor"]).expect("it went before");
        assert!(text.out.contains("counted: nothing") && text.out.contains("seccomp"), "{}", text.out);

        let args = ["sweep", "mandelbrot", "--quick", "--scale", "0.3", "--procs", "1,2", "--color", "never"];
        let sweep = run_in(&corefit, &wrapper, &args).expect("it went before");
        sweep.assert_code(0);
        assert!(sweep.out.contains("→ take") && sweep.out.contains("not counted: "), "{}", sweep.out);
        let manifest: Value =
            serde_json::from_str(&corefit.read("profiles/mandelbrot/sweep.json")).expect("JSON");
        let chosen = &manifest["recommendation"]["recommended_procs"];
        let flame = corefit.path(&format!("profiles/mandelbrot/flame/procs-{chosen}.svg"));
        assert!(flame.exists(), "a workload samples itself: {}", sweep.out);

        let args = ["sweep", "--procs", "1,2", "--rounds", "1..1", "--name", "c", "--", "sh", "-c", "exit 0"];
        let command = run_in(&corefit, &wrapper, &args).expect("it went before");
        command.assert_code(0);
        assert!(command.out.contains("perf_event_open"), "{}", command.out);
    }
}

#[test]
fn in_a_user_namespace_samples_are_taken_and_what_is_missing_is_named() {
    let corefit = Corefit::new();
    let wrapper = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--"];
    let args =
        ["sweep", "mandelbrot", "--quick", "--scale", "0.1", "--procs", "1,2", "--no-flamegraph", "--json"];
    let Some(sweep) = run_in(&corefit, &wrapper, &args) else { return };
    sweep.assert_code(0);
    assert!(sweep.json()["sweeps"][0]["recommendation"]["recommended_procs"].is_number());
    let doctor = run_in(&corefit, &wrapper, &["doctor", "--json"]).expect("it went before").json();
    let quotas = &doctor["quotas"];
    let why_not = quotas["why_not"].as_str().unwrap_or_default();
    assert!(quotas["available"] == true || why_not.contains("systemd-run"), "{quotas}");
}

#[test]
fn without_proc_it_is_told_that_it_is_missing() {
    let corefit = Corefit::new();
    let wrapper = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /proc && exec \"$@\"",
        "sh",
    ];
    let Some(done) = run_in(&corefit, &wrapper, &["sweep", "--rounds", "1..1", "--", "true"]) else { return };
    done.assert_code(1);
    assert!(
        done.err.lines().last().is_some_and(|line| line.contains("`/proc` is not mounted here")),
        "{}",
        done.err
    );
}
