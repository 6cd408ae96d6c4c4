//! What ends a process: deadlock, SIGQUIT, stack overflow. Each case runs in a child, which is this binary again.

use corefit_runtime::{Builder, Config, JoinHandle, blocking, go, gomaxprocs, yield_now};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;

/// A case: its name, what the child does, and what is checked about it.
type Case = (&'static str, fn(), fn());

const CASES: [Case; 10] = [
    ("deadlock", deadlock, a_deadlock_is_reported_with_every_goroutine),
    ("deadlock_pinned", deadlock_pinned, a_deadlock_of_a_pinned_goroutine_is_reported),
    ("foreign_thread", foreign_thread, no_deadlock_is_reported_while_another_thread_could_help),
    ("blocked", blocked, no_deadlock_is_reported_during_a_blocking_call),
    ("quit", quit, sigquit_reports_all_goroutines),
    ("overflow", overflow, a_stack_overflow_names_the_goroutine),
    ("overflow_main", overflow_main, a_stack_overflow_of_main_names_it_too),
    ("segfault", segfault, another_fault_is_not_taken_for_an_overflow),
    ("bad_variable", print_procs, an_unusable_variable_is_noted_once),
    ("hog", hog, a_hog_is_reported_if_asked_for),
];

const CHILD: &str = "COREFIT_TEST_CHILD";

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        let (_, act, _) = CASES.iter().find(|(case, ..)| *case == name).expect("a known case");
        act();
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, _, check) in CASES.iter().filter(|(name, ..)| name.contains(&filter)) {
        check();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn child(case: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CHILD, case).env_remove("GOMAXPROCS").stdin(Stdio::null());
    command
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn outcome(command: &mut Command) -> Outcome {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Two goroutines that wait for each other, and main for both.
fn cycle(builder: &Builder) -> JoinHandle<()> {
    let (give, take) = mpsc::channel::<JoinHandle<()>>();
    let first = builder
        .clone()
        .spawn(move || {
            let second = loop {
                match take.try_recv() {
                    Ok(second) => break second,
                    Err(_) => yield_now(),
                }
            };
            second.join().unwrap();
        })
        .unwrap();
    let (hand, get) = mpsc::channel::<JoinHandle<()>>();
    let second = go(move || get.recv().unwrap().join().unwrap());
    hand.send(first).unwrap();
    give.send(second).unwrap();
    go(yield_now)
}

fn deadlock() {
    Config::new().procs(2).run(|| {
        cycle(&Builder::new()).join().unwrap();
        // Main waits for one that has been left behind.
        let (give, take) = mpsc::channel::<JoinHandle<()>>();
        let me = go(move || take.recv().unwrap().join().unwrap());
        let other = go(|| cycle_forever());
        give.send(other).unwrap();
        me.join().unwrap();
    });
}

/// Never returns: joins one that joins this one.
fn cycle_forever() {
    let (give, take) = mpsc::channel::<JoinHandle<()>>();
    let (hand, get) = mpsc::channel::<JoinHandle<()>>();
    let first = go(move || take.recv().unwrap().join().unwrap());
    let second = go(move || get.recv().unwrap().join().unwrap());
    hand.send(first).unwrap();
    give.send(second).unwrap();
    let (_never, wait) = mpsc::channel::<JoinHandle<()>>();
    while wait.try_recv().is_err() {
        let (_keep, own) = mpsc::channel::<JoinHandle<()>>();
        drop(own);
        break;
    }
    stuck().join().unwrap();
}

/// A goroutine that never ends and does not run.
fn stuck() -> JoinHandle<()> {
    let (give, take) = mpsc::channel::<JoinHandle<()>>();
    let (hand, get) = mpsc::channel::<JoinHandle<()>>();
    let first = go(move || take.recv().unwrap().join().unwrap());
    let relay = go(move || get.recv().unwrap().join().unwrap());
    hand.send(first).unwrap();
    let outer = go(move || relay.join().unwrap());
    give.send(go(move || drop(outer))).unwrap();
    go(|| ())
}
