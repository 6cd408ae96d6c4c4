//! Samples real processes. They are this test binary, started again: each part of a program under test is an ignored test,
//! which does nothing unless it is asked for by name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use corefit::measure::{self, Conditions};
use corefit::profile::{self, Error, Folded, Profile, Request, Source, Title, self_sample};
use corefit::target::Invocation;

const PART: &str = "COREFIT_TEST_PART";

/// Two threads of work at most, and an end in any case.
const REQUEST: Request =
    Request { frequency_hz: 997, max_samples: Some(60), max_time: Duration::from_secs(10) };

/// A part that runs; ended and reaped when the test is over, however it ends.
struct Running(Child);

impl Running {
    /// Starts a part and waits for the line by which it says that it runs.
    fn start(part: &str, envs: &[(&str, &str)]) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", part, "--include-ignored", "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .envs(envs.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Self(child);
        let output = running.0.stdout.as_mut().unwrap();
        let has_begun =
            BufReader::new(output).lines().map_while(Result::ok).any(|line| line.contains("begun"));
        assert!(has_begun, "`{part}` did not begin");
        running
    }

    fn go_on(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In a part: whether it is asked for. If so, says that it runs, and from then on ends with the one who started it.
fn begins(part: &str) -> bool {
    let is_asked_for = std::env::var(PART).is_ok_and(|asked| asked == part);
    if is_asked_for {
        set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
        println!("begun");
    }
    is_asked_for
}

fn wait_for_a_line() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Uses `seconds` of this thread's CPU time, however busy the machine is.
fn burn(seconds: u64) {
    while cpu_time() < Duration::from_secs(seconds) {
        std::hint::black_box(churn_the_numbers(1_000_000));
    }
}

#[inline(never)]
fn churn_the_numbers(rounds: u64) -> u64 {
    (0..rounds).fold(1, |state: u64, round| {
        std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) ^ round)
    })
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_burns() {
    if begins("part_burns") {
        burn(10);
    }
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_starts_a_process_that_burns() {
    if begins("part_starts_a_process_that_burns") {
        wait_for_a_line();
        let mut running = Running::start("part_burns", &[]);
        running.0.wait().unwrap();
    }
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_sleeps() {
    if begins("part_sleeps") {
        wait_for_a_line();
    }
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_samples_itself() {
    if begins("part_samples_itself") {
        self_sample::run_if_asked(|| burn(1));
    }
}

/// The profile, or `None` where the kernel refuses to sample and says so well.
fn permitted(result: Result<Profile, Error>) -> Option<Profile> {
    match result {
        Ok(profile) => Some(profile),
        Err(error) => {
            let text = error.to_string();
            assert!(error.is_refusal(), "{text}");
            assert!(text.contains("perf_event_paranoid"), "{text}");
            assert_eq!(profile::availability().source, Source::InProcess);
            None
        }
    }
}

#[track_caller]
fn check_that_work_was_found(profile: &Profile) {
    let folded = profile.folded();
    let found: u64 = folded
        .iter()
        .filter(|(frames, _)| frames.iter().any(|frame| frame == "profile::churn_the_numbers"))
        .map(|(_, count)| count)
        .sum();
    assert!(profile.samples >= 50, "{}", profile.provenance());
    assert!(found * 2 > profile.samples, "{found} of {} samples: {folded:#?}", profile.samples);
    assert_eq!(folded.total(), profile.samples);
}

#[test]
fn a_running_process_is_sampled_and_its_function_found() {
    let running = Running::start("part_burns", &[]);
    let Some(profile) = permitted(profile::record_pid(running.0.id(), REQUEST)) else {
        return;
    };
    check_that_work_was_found(&profile);
    let has_callers = |(frames, _): (&[String], u64)| {
        let at = |name: &str| frames.iter().position(|frame| frame == name);
        at("profile::part_burns").is_some_and(|caller| at("profile::burn") > Some(caller))
    };
    assert!(profile.folded().iter().any(has_callers), "{:#?}", profile.folded());
    let drawn = profile::svg(&profile.folded(), &Title::of("burner", "1", &profile)).unwrap();
    let drawn = String::from_utf8(drawn).unwrap();
    assert!(drawn.contains("profile::churn_the_numbers (") && drawn.contains("burner at 1 procs"));
}

fn launched(program: &str, args: &[&str], envs: &[(&str, &str)]) -> measure::Child {
    let invocation = Invocation {
        program: program.into(),
        args: args.iter().map(Into::into).collect(),
        env: envs.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        ..Invocation::default()
    };
    let conditions = Conditions {
        timeout: Duration::from_secs(60),
        counters: false,
        keep_output: false,
        poll_run_queue: false,
        quota: None,
        cpus: None,
    };
    let launcher = Path::new(env!("CARGO_BIN_EXE_corefit"));
    measure::launch_by(launcher, &invocation, &conditions).unwrap()
}

#[test]
fn a_launched_child_is_sampled_without_its_launcher() {
    let program = std::env::current_exe().unwrap();
    let args = ["--exact", "part_burns", "--include-ignored", "--nocapture", "--test-threads=1"];
    let mut child = launched(program.to_str().unwrap(), &args, &[(PART, "part_burns")]);
    let Some(profile) = permitted(profile::record_child(&mut child, REQUEST)) else {
        return;
    };
    assert!(!child.wait_up_to(Duration::ZERO), "the recording leaves the child running");
    check_that_work_was_found(&profile);
    assert!(!profile.folded().mentions("launcher"), "{:#?}", profile.folded());
}

#[test]
fn a_child_that_does_nothing_is_an_error_and_not_an_empty_graph() {
    let mut child = launched("sleep", &["60"], &[]);
    let request = Request { frequency_hz: 1, max_samples: None, max_time: Duration::from_millis(200) };
    let error = profile::record_child(&mut child, request).unwrap_err();
    assert!(matches!(error, Error::NoSamples { .. } | Error::Forbidden { .. }), "{error}");
}

#[test]
fn a_program_that_does_not_exist_is_the_launchers_error() {
    let mut child = launched("/nonexistent/program", &[], &[]);
    let error = profile::record_child(&mut child, REQUEST).unwrap_err();
    assert!(matches!(error, Error::Start(_) | Error::Forbidden { .. }), "{error}");
    assert!(error.is_refusal() || error.exit_code() == 2);
}

#[test]
fn a_process_started_meanwhile_is_followed_into_its_program() {
    let mut running = Running::start("part_starts_a_process_that_burns", &[]);
    let pid = running.0.id();
    let recorder = std::thread::spawn(move || profile::record_pid(pid, REQUEST));
    running.go_on();
    if let Some(profile) = permitted(recorder.join().unwrap()) {
        check_that_work_was_found(&profile);
    }
}

#[test]
fn a_process_that_only_sleeps_is_an_error_and_not_an_empty_graph() {
    let running = Running::start("part_sleeps", &[]);
    // Its own start-up may still be running: look again until it sleeps.
    let request = Request { max_samples: None, max_time: Duration::from_millis(120), ..REQUEST };
    let error = (0..20).find_map(|_| profile::record_pid(running.0.id(), request).err()).unwrap();
    assert!(matches!(error, Error::NoSamples { .. } | Error::Forbidden { .. }), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn a_process_that_has_ended_is_gone() {
    let mut running = Running::start("part_sleeps", &[]);
    running.go_on();
    running.0.wait().unwrap();
    let error = profile::record_pid(running.0.id(), REQUEST).unwrap_err();
    assert!(matches!(error, Error::Gone { .. }), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_program_that_samples_itself_finds_its_innermost_function() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let mut running = Running::start("part_samples_itself", &[(self_sample::VARIABLE, path)]);
    assert!(running.0.wait().unwrap().success());
    let profile = self_sample::read(file.path()).unwrap();
    check_that_work_was_found(&profile);
    let folded: Folded = profile.folded();
    let is_innermost = |(frames, _): (&[String], u64)| {
        frames.last().is_some_and(|frame| frame == "profile::churn_the_numbers")
    };
    assert!(folded.iter().any(is_innermost), "{folded:#?}");
    assert!(profile.warnings.iter().any(|warning| warning.contains("tick")));
}
