//! What ends a process: deadlock, SIGQUIT, stack overflow. Each case runs in a child, which is this binary again.
#![allow(clippy::unwrap_used, reason = "a test, though without the harness that tells clippy so")]

mod cases;
#[cfg(target_os = "linux")]
#[path = "cases/limits.rs"]
mod limits;
#[cfg(not(target_os = "linux"))]
mod limits {
    pub(crate) const CASES: [super::Case; 0] = [];
}

use cases::{CHILD, Case};
use corefit_runtime::{
    Builder, Config, blocking, chan, checkpoint, go, gomaxprocs, select, spawn_pinned, sync, time, yield_now,
};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

const CASES: [Case; 13] = [
    ("deadlock", deadlock, a_deadlock_is_reported_with_every_goroutine),
    ("reasons", reasons, a_deadlock_report_names_every_reason_and_site),
    ("pinned", pinned, a_deadlock_of_a_pinned_goroutine_is_reported),
    ("foreign", foreign, no_deadlock_is_reported_while_another_thread_could_help),
    ("blocked", blocked, no_deadlock_is_reported_during_a_blocking_call),
    ("quit", quit, sigquit_reports_all_goroutines),
    ("overflow", overflow, a_stack_overflow_names_the_goroutine),
    ("deep", deep, a_stack_overflow_is_told_at_every_size),
    ("first_run", first_run, a_stack_overflow_on_a_worker_s_first_run_is_told),
    ("main_overflow", main_overflow, a_stack_overflow_of_main_names_it_too),
    ("segfault", segfault, another_fault_is_not_taken_for_an_overflow),
    ("variable", variable, an_unusable_variable_is_noted_once),
    ("hog", hog, a_hog_that_keeps_others_waiting_is_reported_once),
];

fn main() -> ExitCode {
    cases::run(&[&CASES[..], &limits::CASES].concat())
}

fn child(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, case).env_remove("GOMAXPROCS").env_remove("COREFIT_HOGS").stdin(Stdio::null());
    command
}

struct Outcome {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

fn outcome(command: &mut Command) -> Outcome {
    use std::os::unix::process::ExitStatusExt;
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (code, signal) = (output.status.code(), output.status.signal());
    Outcome { code, signal, stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn deadlock() {
    Config::new().procs(2).run(|| {
        let (send, receive) = chan::<u8>(0);
        let (sender, receiver) = (send.clone(), receive.clone());
        drop(go(move || sync_wait(&receiver)));
        let lock = std::sync::Arc::new(sync::Mutex::new(()));
        let guard = lock.lock();
        let theirs = std::sync::Arc::clone(&lock);
        drop(go(move || drop(theirs.lock())));
        time::sleep(Duration::from_millis(2));
        let (_never, wait) = chan::<u8>(1);
        println!("before");
        let _ = wait.recv();
        drop((guard, sender, receive));
    });
}

/// Waits for what no one sends.
fn sync_wait(receiver: &corefit_runtime::chan::Receiver<u8>) {
    let _ = receiver.recv();
}

fn a_deadlock_is_reported_with_every_goroutine() {
    let outcome = outcome(&mut child("deadlock"));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), "before\n"), "{}", outcome.stderr);
    let report = &outcome.stderr;
    assert!(report.starts_with("fatal error: all goroutines are asleep - deadlock!\n"), "{report}");
    assert!(report.contains("goroutine 1 [chan receive]:\n"), "{report}");
    assert!(report.contains("[sync.Mutex.Lock]:\n\twaits for 0x"), "{report}");
    assert_eq!(report.matches("spawned at runtime/tests/reports.rs:").count(), 3, "{report}");
}

/// One goroutine for each reason for which nothing outside ends the wait.
fn reasons() {
    use std::sync::Arc;
    Config::new().procs(2).run(|| {
        let (send, receive) = chan::<u8>(0);
        let (full, theirs) = (chan::<u8>(0), receive.clone());
        drop(go(move || sync_wait(&theirs)));
        drop(go(move || full.0.send(1).is_ok() && full.1.recv().is_ok()));
        let theirs = receive.clone();
        drop(go(move || {
            select! {
                recv(theirs) -> _got => {},
                recv(receive) -> _got => {},
            }
        }));
        let locked = Arc::new((sync::Mutex::new(()), sync::RwLock::new(()), sync::Once::new()));
        let held = (locked.0.lock(), locked.1.write());
        let theirs = Arc::clone(&locked);
        drop(go(move || drop(theirs.0.lock())));
        let theirs = Arc::clone(&locked);
        drop(go(move || drop(theirs.1.read())));
        for _ in 0..2 {
            let theirs = Arc::clone(&locked);
            drop(go(move || {
                theirs.2.call_once(|| {
                    sync::Barrier::new(2).wait();
                });
            }));
        }
        drop(go(|| {
            let mutex = sync::Mutex::new(());
            drop(sync::Condvar::new().wait(mutex.lock()));
        }));
        drop(go(|| {
            let group = sync::WaitGroup::new();
            group.add(1);
            group.wait();
        }));
        drop(go(|| drop(sync::Semaphore::new(0).acquire())));
        let (open, nothing) = chan::<u8>(0);
        let _ = go(move || sync_wait(&nothing)).join();
        drop((held, send, open));
    });
}

fn a_deadlock_report_names_every_reason_and_site() {
    let outcome = outcome(&mut child("reasons"));
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    let report = &outcome.stderr;
    #[rustfmt::skip]
    let names = [
        "chan receive", "chan send", "select", "sync.Mutex.Lock", "sync.RwLock", "sync.Once", "barrier",
        "sync.Condvar.Wait", "sync.WaitGroup.Wait", "semacquire", "join",
    ];
    for name in names {
        assert!(report.contains(&format!(" [{name}]:\n")), "no {name} in {report}");
    }
    assert_eq!(report.matches("\ngoroutine ").count(), 12, "{report}");
    assert_eq!(report.matches("\tspawned at runtime/tests/reports.rs:").count(), 12, "{report}");
    assert_eq!(report.matches("\twaits for 0x").count(), 12, "{report}");
}

fn pinned() {
    Config::new().procs(1).run(|| {
        let (_send, receive) = chan::<u8>(0);
        let theirs = receive.clone();
        let _ = spawn_pinned(move || sync_wait(&theirs)).join();
        drop(receive);
    });
}

fn a_deadlock_of_a_pinned_goroutine_is_reported() {
    let outcome = outcome(&mut child("pinned"));
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("[chan receive, pinned]"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("goroutine 1 [join]"), "{}", outcome.stderr);
}

fn foreign() {
    let (send, receive) = chan::<u8>(0);
    let helper = thread::spawn(move || {
        thread::sleep(Duration::from_millis(60));
        send.send(9).unwrap();
    });
    assert_eq!(Config::new().procs(2).run(move || receive.recv().unwrap()), 9);
    helper.join().unwrap();
}

fn no_deadlock_is_reported_while_another_thread_could_help() {
    let outcome = outcome(&mut child("foreign"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

fn blocked() {
    Config::new().procs(1).run(|| {
        let (send, receive) = chan::<u8>(0);
        drop(go(move || {
            blocking(|| thread::sleep(Duration::from_millis(60)));
            send.send(9).unwrap();
        }));
        assert_eq!(receive.recv(), Ok(9));
    });
}

fn no_deadlock_is_reported_during_a_blocking_call() {
    let outcome = outcome(&mut child("blocked"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
}

/// Says that it is ready once the two others are asleep: on one processor, the last one runs only then.
fn quit() {
    Config::new().procs(1).run(|| {
        drop(go(|| time::sleep(Duration::from_secs(3_600))));
        drop(go(|| {
            yield_now();
            println!("ready");
        }));
        time::sleep(Duration::from_secs(3_600));
    });
}

fn sigquit_reports_all_goroutines() {
    // A shell starts background jobs with SIGQUIT ignored, and the runtime leaves it so.
    let mut command = Command::new("env");
    command.arg("--default-signal=QUIT").arg(std::env::current_exe().unwrap()).env(CHILD, "quit");
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-QUIT", &pid]).status().unwrap().success());
    assert_eq!(process.wait().unwrap().code(), Some(2));
    let mut report = String::new();
    process.stderr.unwrap().read_to_string(&mut report).unwrap();
    assert!(report.starts_with("SIGQUIT: quit\n\ngoroutine 1 [sleep]:\n"), "{report}");
    assert_eq!(report.matches("[sleep]").count(), 2, "{report}");
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn dig(depth: usize) -> usize {
    dig(std::hint::black_box(depth) + 1) + std::hint::black_box(depth)
}

fn overflow() {
    Config::new().procs(2).run(|| Builder::new().spawn(|| dig(0)).unwrap().join().unwrap());
}

fn a_stack_overflow_names_the_goroutine() {
    let outcome = outcome(&mut child("overflow"));
    assert_eq!(outcome.signal, Some(6), "{}", outcome.stderr);
    let line = &outcome.stderr;
    assert!(line.starts_with("fatal error: stack overflow: goroutine "), "{line}");
    assert!(line.contains("spawned at runtime/tests/reports.rs:"), "{line}");
    assert!(line.contains("65536 bytes") && line.contains("Builder::stack_size"), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}

const SIZE: &str = "COREFIT_TEST_SIZE";

fn deep() {
    let bytes = std::env::var(SIZE).unwrap().parse().unwrap();
    Config::new()
        .procs(1)
        .run(move || Builder::new().stack_size(bytes).spawn(|| dig(0)).unwrap().join().unwrap());
}

fn a_stack_overflow_is_told_at_every_size() {
    for bytes in [64 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20] {
        let outcome = outcome(child("deep").env(SIZE, (bytes - 1).to_string()));
        assert_eq!(outcome.signal, Some(6), "{bytes}: {}", outcome.stderr);
        let line = &outcome.stderr;
        assert!(line.starts_with("fatal error: stack overflow: goroutine "), "{line}");
        assert!(line.contains(&format!("stack of {bytes} bytes")) && line.lines().count() == 1, "{line}");
    }
}

/// Another worker must run it, which has run nothing before: this one does not come to a scheduling point.
fn first_run() {
    Config::new().procs(2).run(|| {
        drop(go(|| dig(0)));
        loop {
            std::hint::spin_loop();
        }
    });
}

fn a_stack_overflow_on_a_worker_s_first_run_is_told() {
    let outcome = outcome(&mut child("first_run"));
    assert_eq!(outcome.signal, Some(6), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("fatal error: stack overflow: goroutine "), "{}", outcome.stderr);
}

fn main_overflow() {
    Config::new().procs(1).run(|| dig(0));
}

fn a_stack_overflow_of_main_names_it_too() {
    let outcome = outcome(&mut child("main_overflow"));
    assert_eq!(outcome.signal, Some(6), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("goroutine 1, spawned at"), "{}", outcome.stderr);
}

fn segfault() {
    Config::new().procs(1).run(|| {
        let address = std::ptr::without_provenance::<u8>(16);
        // SAFETY: there is none: no one may read there, and the kernel says so.
        unsafe { address.read_volatile() }
    });
}

fn another_fault_is_not_taken_for_an_overflow() {
    let outcome = outcome(&mut child("segfault"));
    assert_eq!((outcome.signal, outcome.stderr.as_str()), (Some(11), ""));
}

fn variable() {
    for _ in 0..3 {
        println!("{}", corefit_runtime::run(|| gomaxprocs(0)));
    }
}

fn an_unusable_variable_is_noted_once() {
    let bad = outcome(child("variable").env("GOMAXPROCS", "many"));
    assert_eq!(bad.stderr.matches("ignoring GOMAXPROCS=`many`").count(), 1, "{}", bad.stderr);
    assert_eq!(bad.stdout.lines().count(), 3);
    let good = outcome(child("variable").env("GOMAXPROCS", "3"));
    assert_eq!((good.stdout.as_str(), good.stderr.as_str()), ("3\n3\n3\n", ""));
}

/// Runs until `is_over`, checking or not. The longest time between two of its looks at the clock: the system may well have
/// taken its thread off the CPU meanwhile, and then it could not check either.
fn run_until(is_over: impl Fn(Duration) -> bool, check: impl Fn()) -> Duration {
    let start = Instant::now();
    let (mut last, mut longest) = (start, Duration::ZERO);
    while !is_over(start.elapsed()) {
        check();
        let now = Instant::now();
        longest = longest.max(now - last);
        last = now;
    }
    longest
}

/// Prints the longest time that those who check could not.
fn hog() {
    static IS_TOLD: AtomicBool = AtomicBool::new(false);
    // The parent has seen a line on standard error, or does not wait for one.
    let ear = thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        IS_TOLD.store(true, SeqCst);
    });
    let ms = Duration::from_millis;
    let longest = Config::new().procs(1).run(move || {
        // Nobody waits for the processor.
        run_until(|time| time > ms(200), || ());
        // Two of one spawn site, while the other one waits; the first runs until it is told of.
        let is_over = move |time| time > ms(300) && (IS_TOLD.load(SeqCst) || time > ms(60_000));
        let hogs: Vec<_> = (0..2).map(|_| go(move || run_until(is_over, || ()))).collect();
        assert!(hogs.into_iter().all(|hog| hog.join().is_ok()));
        // These check, and wait for each other.
        let others: Vec<_> =
            (0..2).map(|_| go(move || run_until(|time| time > ms(150), checkpoint))).collect();
        others.into_iter().map(|other| other.join().unwrap()).max().unwrap()
    });
    ear.join().unwrap();
    println!("{}", longest.as_millis());
}

fn a_hog_that_keeps_others_waiting_is_reported_once() {
    assert_eq!(outcome(child("hog").env("COREFIT_HOGS", "0")).stderr, "");
    let mut command = child("hog");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut stderr = BufReader::new(process.stderr.take().unwrap());
    let mut report = String::new();
    stderr.read_line(&mut report).unwrap();
    drop(process.stdin.take());
    let mut more = String::new();
    stderr.read_to_string(&mut more).unwrap();
    let output = process.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}{more}");
    let line = include_str!("reports.rs")
        .lines()
        .position(|line| line.contains("go(move || run_until(is_over, || ()))"))
        .unwrap();
    // Who checks gives way for a slice at a time.
    let longest_ms: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(more.is_empty() || longest_ms >= 60, "{longest_ms} ms without a check: {more}");
    assert!(report.contains(&format!("spawned at runtime/tests/reports.rs:{}:", line + 1)), "{report}");
    assert!(report.contains("ms without a check while others wait"), "{report}");
    assert!(report.contains("#[preemptible]"), "{report}");
}
