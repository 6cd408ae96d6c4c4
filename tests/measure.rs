//! Samples of real small programs, through the real launcher.

mod corefit;
#[cfg(corefit_linux)]
#[path = "measure/linux.rs"]
mod linux;

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use ::corefit::measure::{self, Conditions, Sample, Status, counters};
use ::corefit::target::Invocation;

use corefit::{is_running, text};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_corefit");

/// For what takes a moment: much less than the sleeps that a failure would wait for.
const PATIENCE: Duration = Duration::from_secs(120);

fn conditions() -> Conditions {
    Conditions {
        timeout: PATIENCE,
        counters: true,
        keep_output: true,
        poll_run_queue: false,
        quota: None,
        cpus: None,
    }
}

fn invocation(program: &str, args: &[&str]) -> Invocation {
    Invocation {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        ..Invocation::default()
    }
}

fn shell(script: &str) -> Invocation {
    invocation("sh", &["-c", script])
}

fn run(invocation: &Invocation, conditions: &Conditions) -> Sample {
    measure::sample_by(Path::new(LAUNCHER), invocation, conditions).expect("the program starts")
}

/// A sample of a shell script that is expected to go well.
#[track_caller]
fn ok(script: &str) -> Sample {
    let sample = run(&shell(script), &conditions());
    assert_eq!(
        (sample.status, &sample.remarks),
        (Status::Ok, &vec![]),
        "{}",
        String::from_utf8_lossy(&sample.stderr)
    );
    sample
}

#[test]
fn a_program_that_succeeds_is_ok_with_everything_that_is_always_there() {
    let sample = ok("echo out; echo err >&2");
    assert_eq!((sample.exit_code, sample.signal), (Some(0), None));
    assert_eq!((text(&sample.stdout), text(&sample.stderr)), ("out", "err"));
    assert!(sample.wall_s > 0.0 && sample.wall_s < PATIENCE.as_secs_f64());
    assert!(sample.started_unix_s > 1.7e9);
    assert!(sample.user_s.is_some() && sample.sys_s.is_some());
    assert!(sample.max_rss_bytes.is_none_or(|bytes| bytes > 100_000));
    assert_eq!(sample.report, None);
}

#[test]
fn an_exit_code_is_a_failure_with_the_last_words() {
    let sample = run(&shell("echo first >&2; echo 'no such table' >&2; exit 3"), &conditions());
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(3)));
    assert_eq!(sample.remarks, ["exited with code 3", "its last words: first / no such table"]);
}

#[test]
fn the_end_of_standard_error_is_there_even_where_output_is_not_kept() {
    let conditions = Conditions { keep_output: false, ..conditions() };
    let sample = run(&shell("echo out; head -c 9000 /dev/zero >&2; echo broken >&2; exit 1"), &conditions);
    assert_eq!((sample.stdout.len(), sample.stderr.len()), (0, 4096));
    assert!(sample.stderr.ends_with(b"broken\n"));
}

#[test]
fn signals_are_failures_but_sigkill_is_somebody_elses() {
    let aborted = run(&shell("kill -ABRT $$"), &conditions());
    assert_eq!((aborted.status, aborted.signal, aborted.exit_code), (Status::Failed, Some(6), None));
    assert_eq!(aborted.remarks, ["died of SIGABRT"]);
    let killed = run(&shell("kill -KILL $$"), &conditions());
    assert_eq!((killed.status, killed.signal), (Status::Killed, Some(9)));
}

#[test]
fn a_program_that_hangs_is_stopped_with_all_its_children() {
    let conditions = Conditions { timeout: Duration::from_millis(300), ..conditions() };
    let sample = run(&shell("trap '' TERM INT; sleep 1000 & echo $!; wait"), &conditions);
    assert_eq!((sample.status, sample.exit_code, sample.signal), (Status::Timeout, None, Some(9)));
    assert!(sample.wall_s >= 0.2);
    assert!(sample.user_s.is_some());
    assert!(!is_running(text(&sample.stdout)));
}

#[test]
fn much_output_is_bounded_to_its_last_mebibyte() {
    let script = "head -c 50000000 /dev/zero; echo end; head -c 3000000 /dev/zero >&2";
    let sample = run(&shell(script), &conditions());
    assert_eq!(sample.status, Status::Ok);
    assert_eq!((sample.stdout.len(), sample.stderr.len()), (1 << 20, 1 << 20));
    assert!(sample.stdout.ends_with(b"\0end\n"));
}

#[test]
fn a_program_that_closes_its_descriptors_is_waited_for() {
    let sample = ok("exec </dev/null >&- 2>&-; eval \"exec $COREFIT_RESULT_FD>&-\"; sleep 0.2");
    assert!(sample.wall_s >= 0.2);
}

/// Whether a descriptor of this process stays open over an exec: then whoever started the test left it open.
fn is_inheritable(name: &str) -> bool {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{name}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("2000000");
    u32::from_str_radix(flags.trim(), 8).is_ok_and(|flags| flags & 0o2_000_000 == 0)
}

#[test]
fn standard_input_is_empty_and_only_the_result_descriptor_is_handed_on() {
    // No glob here: the shell would hold the folder open while it expands one.
    let sample = ok(
        "cat; echo $COREFIT_RESULT_FD; for fd in $(seq 3 60); do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done",
    );
    let mut lines = text(&sample.stdout).lines();
    let result = lines.next().unwrap();
    let new: Vec<&str> = lines.filter(|name| !is_inheritable(name)).collect();
    assert_eq!(new, [result]);
}

#[test]
fn arguments_and_variables_arrive_byte_by_byte() {
    let odd = OsString::from_vec(vec![0xff, b' ', b'\n', b'*', 0x80, b'$', b'\'', b'"']);
    let mut invocation = shell("printf '%s|' \"$@\"; printf %s \"$ODD\"");
    invocation.args.extend(["name".into(), odd.clone(), "".into(), "--".into(), "{procs}".into()]);
    invocation.env.push(("ODD".into(), odd.clone()));
    let sample = run(&invocation, &conditions());
    let expected = [odd.as_bytes(), b"||--|{procs}|", odd.as_bytes()].concat();
    assert_eq!(sample.stdout, expected);
}

#[test]
fn the_program_runs_in_the_directory_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("here");
    fs::write(&program, "#!/bin/sh\npwd\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let here = Invocation { directory: Some(folder.path().into()), ..invocation("./here", &[]) };
    let sample = run(&here, &conditions());
    assert_eq!(text(&sample.stdout), folder.path().canonicalize().unwrap().to_str().unwrap());
}

#[test]
fn a_program_that_cannot_start_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let cases = [
        ("corefit-no-such-program".to_owned(), "cannot find the program"),
        (folder.path().join("absent").to_str().unwrap().to_owned(), "cannot find the program"),
        (String::new(), "cannot find the program"),
        (file("plain", "echo", 0o644), "may not execute"),
        (folder.path().to_str().unwrap().to_owned(), "may not execute"),
        (file("words", "not a program", 0o755), "is no program this machine can execute"),
        (file("script", "#!/no/such/interpreter\n", 0o755), "its interpreter or loader does not exist"),
    ];
    for (program, expected) in cases {
        let error =
            measure::sample_by(Path::new(LAUNCHER), &invocation(&program, &[]), &conditions()).unwrap_err();
        assert!(error.to_string().contains(expected), "{program}: {error}");
        assert!(error.to_string().contains(&format!("`{program}`")), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
    let error = measure::sample_by(Path::new(LAUNCHER), &invocation("a\0b", &[]), &conditions()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_launcher_that_is_none_is_an_error_not_a_hang() {
    let error = measure::sample_by(Path::new("/bin/true"), &shell("true"), &conditions()).unwrap_err();
    assert!(error.to_string().contains("left without a word"), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn the_result_line_is_read() {
    let line = r#"{"ops":12,"elapsed_s":0.25,"latency_s":{"p50":0.001},"runtime":{"steals":4}}"#;
    let mut invocation = shell("eval \"echo \\\"\\$LINE\\\" >&$COREFIT_RESULT_FD\"");
    invocation.env.push(("LINE".into(), line.into()));
    let sample = run(&invocation, &conditions());
    let report = sample.report.unwrap();
    assert_eq!((report.ops, report.elapsed_s), (Some(12.0), Some(0.25)));
    assert_eq!((report.latency_s["p50"], report.runtime["steals"]), (0.001, 4.0));
}

#[test]
fn a_broken_result_line_is_a_remark_and_the_exit_code_decides() {
    let sample = run(&shell("eval \"echo nonsense >&$COREFIT_RESULT_FD\""), &conditions());
    assert_eq!((sample.status, sample.report), (Status::Ok, None));
    assert_eq!(sample.remarks, ["its last result line is not a JSON object: `nonsense`"]);
}

#[test]
fn a_flood_on_the_result_descriptor_is_bounded_and_its_last_line_wins() {
    let script = "out=/proc/$$/fd/$COREFIT_RESULT_FD; head -c 3000000 /dev/zero | tr '\\0' x >$out; \
                  printf '\\n{\"ops\":5}\\n' >$out";
    let sample = run(&shell(script), &conditions());
    assert_eq!(sample.report.and_then(|report| report.ops), Some(5.0));
    assert_eq!(sample.remarks, ["wrote more than 1 MiB of results; only the end was read"]);
}

#[test]
fn counters_that_the_kernel_gives_are_there_and_the_others_are_empty() {
    // Each of them goes to sleep at least once.
    let sample = ok("for i in 1 2 3 4 5; do sleep 0.01; done");
    let counts = &sample.counts;
    let availability = measure::availability();
    if availability.of(counters::Event::TaskClock) == Some(counters::Access::Full) {
        let (task_clock_s, cpu_s) =
            (counts.task_clock_s.unwrap(), sample.user_s.unwrap() + sample.sys_s.unwrap());
        assert!(task_clock_s > 0.0 && task_clock_s < 10.0 * cpu_s + 0.1, "{task_clock_s} {cpu_s}");
        assert!(counts.context_switches.unwrap() >= 5.0);
        assert!(counts.page_faults.unwrap() >= 100.0);
        assert!(counts.cpu_migrations.is_some());
    }
    assert!(counts.context_switches.is_some(), "rusage always tells them");
    for (event, count) in [
        (counters::Event::Cycles, counts.cycles),
        (counters::Event::Instructions, counts.instructions),
        (counters::Event::BranchMisses, counts.branch_misses),
    ] {
        assert_ne!(count, Some(0.0), "{event:?}");
        if !availability.has_pmu() {
            assert_eq!(count, None, "{event:?}");
        }
    }
}

#[test]
fn without_counters_every_count_is_empty() {
    let sample = run(&shell("true"), &Conditions { counters: false, ..conditions() });
    assert_eq!(sample.counts, measure::Counts::default());
}

#[test]
fn between_launch_and_start_the_child_waits_under_the_pid_it_keeps() {
    let mut child = measure::launch_by(Path::new(LAUNCHER), &shell("echo $$"), &conditions()).unwrap();
    let pid = child.pid();
    assert!(!child.wait_up_to(Duration::from_millis(50)));
    child.start().unwrap();
    assert!(child.wait_up_to(PATIENCE));
    let sample = child.finish();
    assert_eq!(text(&sample.stdout), pid.to_string());
}

#[test]
fn a_child_that_is_dropped_is_gone_started_or_not() {
    let waiting = measure::launch_by(Path::new(LAUNCHER), &shell("true"), &conditions()).unwrap();
    let mut running = measure::launch_by(Path::new(LAUNCHER), &shell("sleep 1000"), &conditions()).unwrap();
    running.start().unwrap();
    let pids = [waiting.pid().to_string(), running.pid().to_string()];
    assert!(pids.iter().all(|pid| is_running(pid)));
    drop((waiting, running));
    assert!(!pids.iter().any(|pid| is_running(pid)));
}

#[test]
fn a_child_never_started_is_killed_without_a_wall_time() {
    let child = measure::launch_by(Path::new(LAUNCHER), &shell("true"), &conditions()).unwrap();
    let sample = child.finish();
    assert_eq!((sample.status, sample.wall_s, sample.user_s), (Status::Killed, 0.0, None));
}
