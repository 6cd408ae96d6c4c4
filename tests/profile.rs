//! Samples real processes. They are this test binary, started again: each part of a program under test is an ignored test,
//! which does nothing unless it is asked for by name.
#![cfg(corefit_linux)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use corefit::measure::{self, Conditions};
use corefit::profile::{
    self, Error, Event, Folded, Profile, Request, Source, Split, Time, Title, self_sample,
};
use corefit::target::Invocation;

const PART: &str = "COREFIT_TEST_PART";
/// Names the file into which a part writes how long it has waited.
const WAITED: &str = "COREFIT_TEST_WAITED";

/// Two threads of work at most, and an end in any case.
const REQUEST: Request = Request {
    frequency_hz: 997,
    max_samples: Some(60),
    max_time: Duration::from_secs(10),
    split: Split::Merged,
    time: Time::OnCpu,
};

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
fn part_burns_in_a_goroutine() {
    if begins("part_burns_in_a_goroutine") {
        corefit_runtime::run(|| corefit_runtime::go(|| burn(10)).join().unwrap());
    }
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_burns_in_two_threads() {
    if begins("part_burns_in_two_threads") {
        let burner = |name: &str| std::thread::Builder::new().name(name.into()).spawn(|| burn(10)).unwrap();
        for thread in [burner("first-one"), burner("second-one")] {
            thread.join().unwrap();
        }
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
fn part_waits() {
    if begins("part_waits") {
        wait_for_a_line();
        let [lock_s, pipe_s] = wait_on_a_lock_and_a_pipe();
        std::fs::write(std::env::var(WAITED).unwrap(), format!("{lock_s} {pipe_s}")).unwrap();
    }
}

/// Another thread holds a lock for 30 ms and then keeps a pipe empty for 20 ms, again and again. Seconds that this thread has
/// waited on each, by its own clock.
fn wait_on_a_lock_and_a_pipe() -> [f64; 2] {
    let lock = Arc::new(Mutex::new(()));
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let holder = std::thread::spawn({
        let lock = Arc::clone(&lock);
        move || {
            for _ in 0..10 {
                let held = lock.lock().unwrap();
                writer.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(30));
                drop(held);
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let mut waited_s = [0.0; 2];
    for _ in 0..10 {
        let begun = Instant::now();
        wait_on_the_pipe(&mut reader);
        let at_the_lock = Instant::now();
        wait_on_the_lock(&lock);
        waited_s[0] += at_the_lock.elapsed().as_secs_f64();
        waited_s[1] += (at_the_lock - begun).as_secs_f64();
    }
    holder.join().unwrap();
    waited_s
}

#[inline(never)]
fn wait_on_the_lock(lock: &Mutex<()>) {
    std::hint::black_box(&*lock.lock().unwrap());
}

#[inline(never)]
fn wait_on_the_pipe(pipe: &mut impl Read) {
    pipe.read_exact(std::hint::black_box(&mut [0; 1])).unwrap();
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_samples_itself() {
    if begins("part_samples_itself") {
        self_sample::run_if_asked(|| burn(1));
    }
}

#[test]
#[ignore = "a part, run by the tests"]
fn part_of_many_goroutines_samples_itself() {
    if begins("part_of_many_goroutines_samples_itself") {
        let turn = || {
            std::hint::black_box(churn_the_numbers(10_000));
            corefit_runtime::yield_now();
        };
        self_sample::run_if_asked(|| {
            corefit_runtime::run(move || {
                let work = move || (0..250).for_each(|_| turn());
                let goroutines: Vec<_> = (0..200).map(|_| corefit_runtime::go(work)).collect();
                goroutines.into_iter().for_each(|goroutine| goroutine.join().unwrap());
            });
        });
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
    // A hundred and more, but where another machine takes the CPU away, ticks go with it.
    assert!(profile.samples >= 10, "{}", profile.provenance());
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
    assert!(drawn.contains("profile::churn_the_numbers (") && drawn.contains("burner at 1 processor"));
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
    let request =
        Request { frequency_hz: 1, max_time: Duration::from_millis(200), max_samples: None, ..REQUEST };
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
fn a_goroutine_is_rooted_at_the_function_that_was_spawned() {
    let running = Running::start("part_burns_in_a_goroutine", &[]);
    let Some(profile) = permitted(profile::record_pid(running.0.id(), REQUEST)) else {
        return;
    };
    check_that_work_was_found(&profile);
    let root = |(frames, count): (&[String], u64)| {
        let is_found = frames[0].starts_with("profile::part_burns_in_a_goroutine::{{closure}}")
            && frames.iter().any(|frame| frame == "profile::burn");
        if is_found { count } else { 0 }
    };
    let rooted: u64 = profile.folded().iter().map(root).sum();
    assert!(rooted * 2 > profile.samples, "{rooted} of {}: {:#?}", profile.samples, profile.folded());
}

#[test]
fn threads_are_told_apart_by_name_and_number() {
    let running = Running::start("part_burns_in_two_threads", &[]);
    let request = Request { split: Split::ByThread, max_samples: Some(200), ..REQUEST };
    let Some(profile) = permitted(profile::record_pid(running.0.id(), request)) else {
        return;
    };
    let of = |name: &str| {
        let is_of = |(frames, _): &(&[String], u64)| frames[0].starts_with(name) && frames[0].ends_with(')');
        profile.folded().iter().filter(is_of).map(|(_, count)| count).sum::<u64>()
    };
    let counts = [of("first-one ("), of("second-one (")];
    assert!(counts.iter().all(|&count| count > 0), "{counts:?} {:#?}", profile.folded());
    assert!(counts.iter().sum::<u64>() * 2 > profile.samples);
}

/// Compiles a program of `tests/programs`; `None`, and a line, where there is no compiler.
fn compiled(compiler: &str, flags: &[&str], source: &str, folder: &Path) -> Option<PathBuf> {
    let program = folder.join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(source);
    let done = Command::new(compiler).args(flags).arg("-o").arg(&program).arg(source).output();
    let Ok(done) = done else {
        println!("skipped: there is no `{compiler}` here");
        return None;
    };
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(program)
}

/// Counts of the stacks that have the one function, the other, and either among their frames.
fn counts_of(profile: &Profile, functions: [&str; 2]) -> [u64; 3] {
    let has = |frames: &[String], name: &str| frames.iter().any(|frame| frame == name);
    let mut counts = [0; 3];
    for (frames, count) in profile.folded().iter() {
        let [first, second] = functions.map(|name| has(frames, name));
        for (total, is_there) in counts.iter_mut().zip([first, second, first || second]) {
            *total += if is_there { count } else { 0 };
        }
    }
    counts
}

/// Of a program that burns 3:1 in what its two functions call, by its own clock. Wide bounds: a busy machine loses samples,
/// but none of them more of one function than of the other.
#[track_caller]
fn check_callers(compiler: &str, flags: &[&str], source: &str, functions: [&str; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(compiler, flags, source, folder.path()) else {
        return;
    };
    let mut child = launched(program.to_str().unwrap(), &["2"], &[]);
    let request = Request { max_samples: None, max_time: Duration::from_secs(30), ..REQUEST };
    let Some(profile) = permitted(profile::record_child(&mut child, request)) else {
        return;
    };
    let [first, second, either] = counts_of(&profile, functions);
    assert!(either * 10 > profile.samples * 9, "callers are lost: {:#?}", profile.folded());
    let share = first as f64 / (first + second) as f64;
    assert!((0.6..0.9).contains(&share), "{first} to {second}: {:#?}", profile.folded());
}

#[test]
fn the_callers_of_a_leaf_and_of_libc_are_there_with_frame_pointers_and_without() {
    for flag in ["-fno-omit-frame-pointer", "-fomit-frame-pointer"] {
        check_callers("cc", &["-O2", flag], "c/split.c", ["three_quarters", "one_quarter"]);
    }
}

#[test]
fn names_of_cpp_are_demangled() {
    let functions = ["work::Split<double (*)()>::three_quarters", "work::Split<double (*)()>::one_quarter"];
    check_callers("c++", &["-O2", "-fomit-frame-pointer"], "cpp/split.cpp", functions);
}

/// Runs a compiled program that has to be ended.
fn started(program: &Path, args: &[&str]) -> Running {
    Running(Command::new(program).args(args).stdout(Stdio::piped()).spawn().unwrap())
}

#[test]
fn a_stripped_program_has_functions_by_where_they_begin_and_a_word_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled("cc", &["-O2", "-s"], "c/split.c", folder.path()) else {
        return;
    };
    let running = started(&program, &["30"]);
    let request = Request { max_samples: Some(300), ..REQUEST };
    let Some(profile) = permitted(profile::record_pid(running.0.id(), request)) else {
        return;
    };
    let folded = profile.folded();
    let mut callers: Vec<&str> = folded
        .iter()
        .filter_map(|(frames, _)| {
            frames.iter().rev().map(String::as_str).find(|name| name.starts_with("[program+"))
        })
        .collect();
    callers.sort_unstable();
    callers.dedup();
    assert!(callers.len() >= 2, "functions are told apart: {folded:#?}");
    assert!(profile.warnings.iter().any(|warning| warning.contains("stripped")), "{:?}", profile.warnings);
}

#[test]
fn a_program_that_is_deleted_while_it_runs_keeps_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled("cc", &["-O2"], "c/split.c", folder.path()) else {
        return;
    };
    let running = started(&program, &["30"]);
    let request = Request { max_samples: Some(100), ..REQUEST };
    // The first recording waits until it runs, and the second finds no file.
    if permitted(profile::record_pid(running.0.id(), request)).is_none() {
        return;
    }
    std::fs::remove_file(&program).unwrap();
    let profile = profile::record_pid(running.0.id(), request).unwrap();
    let [.., either] = counts_of(&profile, ["three_quarters", "one_quarter"]);
    assert!(either * 10 > profile.samples * 9, "{:#?}", profile.folded());
}

#[cfg(target_arch = "x86_64")]
#[test]
fn code_made_at_run_time_has_the_names_that_its_program_gives_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled("cc", &["-O2"], "c/jit.c", folder.path()) else {
        return;
    };
    let mut running = started(&program, &[]);
    let output = running.0.stdout.as_mut().unwrap();
    assert!(BufReader::new(output).lines().map_while(Result::ok).any(|line| line == "begun"));
    let profile = permitted(profile::record_pid(running.0.id(), REQUEST));
    std::fs::remove_file(format!("/tmp/perf-{}.map", running.0.id())).unwrap();
    let Some(profile) = profile else {
        return;
    };
    let [made, _, _] = counts_of(&profile, ["JS:*countDown:app.js:1", "main"]);
    assert!(made * 2 > profile.samples, "{:#?}", profile.folded());
}

#[test]
fn waits_are_found_where_they_are_and_for_as_long_as_the_program_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut running = Running::start("part_waits", &[(WAITED, file.path().to_str().unwrap())]);
    let request = Request { time: Time::OffCpu, max_samples: None, ..REQUEST };
    let pid = running.0.id();
    let recorder = std::thread::spawn(move || profile::record_pid(pid, request));
    // The recording has begun when it knows of the wait for this line; if not, it misses the first of ten waits.
    std::thread::sleep(Duration::from_millis(500));
    running.go_on();
    let profile = recorder.join().unwrap().unwrap();
    let own = std::fs::read_to_string(file.path()).unwrap();
    let (own_lock_s, own_pipe_s) = own.split_once(' ').unwrap();
    let own = share(own_lock_s.parse().unwrap(), own_pipe_s.parse().unwrap());
    let folded = profile.folded();
    if profile.source == Source::Proc {
        assert!(folded.total() > 0 && profile.warnings[0].contains("/proc"), "{}", profile.provenance());
        return;
    }
    let waited_us = |name: &str| -> u64 {
        let has = |frames: &[String]| frames.iter().any(|frame| frame.contains(name));
        folded.iter().filter(|(frames, _)| has(frames)).map(|(_, count)| count).sum()
    };
    let seen = share(waited_us("wait_on_the_lock") as f64, waited_us("wait_on_the_pipe") as f64);
    assert!(
        (seen - own).abs() < 0.15,
        "{seen} of the waits on the lock, and by its own clock {own}: {folded:#?}"
    );
    assert_eq!(profile.event, Event::ContextSwitches);
}

fn share(part: f64, rest: f64) -> f64 {
    part / (part + rest)
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

/// Signals come in the middle of fifty thousand switches between stacks.
#[test]
fn goroutines_that_switch_all_the_time_are_sampled_by_themselves_each_on_its_own_stack() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let mut running =
        Running::start("part_of_many_goroutines_samples_itself", &[(self_sample::VARIABLE, path)]);
    assert!(running.0.wait().unwrap().success());
    let profile = self_sample::read(file.path()).unwrap();
    let mut found = 0;
    for (frames, count) in profile.folded().iter() {
        if frames.iter().any(|frame| frame == "profile::churn_the_numbers") {
            found += count;
            let is_beyond_the_switch = frames.iter().any(|frame| frame.contains("corefit_runtime::worker::"));
            assert!(!is_beyond_the_switch, "{frames:?}");
        }
    }
    assert!(found * 2 > profile.samples, "{found} of {}: {:#?}", profile.samples, profile.folded());
}
