//! Cases about memory that is limited by `ulimit -v`, which other systems than Linux take no notice of, or counted in `/proc`.

use super::{CHILD, Case, child, outcome};
use corefit_runtime::{Builder, Config, chan, go, time, try_go, yield_now};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const CASES: [Case; 4] = [
    ("no_stacks", no_stacks, running_out_of_stacks_is_an_error_that_says_what_to_do),
    ("no_more", no_more, without_memory_go_panics_and_try_go_says_why_and_the_others_go_on),
    ("no_main", no_main, a_runtime_that_cannot_start_leaves_no_thread),
    ("short", short, a_runtime_that_has_ended_keeps_no_stacks),
];

fn no_stacks() {
    Config::new().procs(1).run(|| {
        let (_open, wait) = chan::<()>(0);
        let mut started = 0;
        let error = loop {
            let wait = wait.clone();
            match Builder::new().stack_size(64 << 20).spawn(move || wait.recv().is_ok()) {
                Ok(_) => started += 1,
                Err(error) => break error,
            }
        };
        println!("{started} {error}");
        // The others go on.
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}

fn running_out_of_stacks_is_an_error_that_says_what_to_do() {
    let binary = std::env::current_exe().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 1500000 && exec \"$0\""]).arg(binary).env(CHILD, "no_stacks");
    let outcome = outcome(&mut limited);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let (started, error) = outcome.stdout.split_once(' ').unwrap();
    assert!((1..=24).contains(&started.parse::<usize>().unwrap()), "{started}");
    assert!(error.starts_with("cannot start a goroutine: no address space"), "{error}");
    assert!(error.contains("ulimit -v"), "{error}");
}

fn no_more() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_expected =
            info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("cannot start"));
        if !is_expected {
            before(info);
        }
    }));
    Config::new().procs(2).run(|| {
        // Only the other processor runs it: its thread has begun before memory runs out. Std aborts if a thread that
        // begins finds none for its signal stack.
        static HAS_BEGUN: AtomicBool = AtomicBool::new(false);
        drop(go(|| HAS_BEGUN.store(true, SeqCst)));
        while !HAS_BEGUN.load(SeqCst) {
            std::hint::spin_loop();
        }
        let (open, wait) = chan::<()>(0);
        let mut started = Vec::new();
        let error = loop {
            let wait = wait.clone();
            match try_go(move || wait.recv().is_err()) {
                Ok(handle) => started.push(handle),
                Err(error) => break error.to_string(),
            }
        };
        let panic = std::panic::catch_unwind(|| drop(go(|| ()))).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>(), Some(&error), "`go` panics with the same words");
        println!("{error}");
        // Those that are there go on, and when they have ended their stacks serve others.
        drop(open);
        assert!(started.into_iter().all(|handle| handle.join().unwrap()));
        assert_eq!(go(|| 1).join().unwrap(), 1);
    });
}

fn without_memory_go_panics_and_try_go_says_why_and_the_others_go_on() {
    let binary = std::env::current_exe().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -v 300000 && exec \"$0\""]).arg(binary).env(CHILD, "no_more");
    let outcome = outcome(&mut limited);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert!(outcome.stdout.starts_with("cannot start a goroutine: no address space"), "{}", outcome.stdout);
}

fn no_main() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    // A thread that was joined is in the kernel's list for a moment more.
    let threads_left = || {
        let start = Instant::now();
        while threads() > 1 && start.elapsed() < Duration::from_secs(60) {
            thread::yield_now();
        }
        threads()
    };
    assert_eq!(threads(), 1);
    let pages: u64 = {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse().unwrap()
    };
    let before = getrlimit(Resource::As);
    // Room for the stack of the watch, not for that of the first goroutine.
    let most = pages * 4096 + (6 << 20);
    setrlimit(Resource::As, Rlimit { current: Some(most), maximum: before.maximum }).unwrap();
    let failed = std::panic::catch_unwind(|| Config::new().procs(1).run(|| ()));
    setrlimit(Resource::As, before).unwrap();
    let message = failed.unwrap_err();
    println!("{} {}", threads_left(), message.downcast_ref::<String>().unwrap());
    assert_eq!(Config::new().procs(1).run(|| 3), 3);
}

fn a_runtime_that_cannot_start_leaves_no_thread() {
    let outcome = outcome(&mut child("no_main"));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert!(
        outcome.stdout.starts_with("1 cannot start a runtime: cannot start a goroutine"),
        "{}",
        outcome.stdout
    );
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn short() {
    let run_one = || {
        Config::new().procs(3).run(|| {
            let parts: Vec<_> = (0..150).map(|_| go(|| (0..3).for_each(|_| yield_now()))).collect();
            parts.into_iter().for_each(|part| part.join().unwrap());
            // All processors but one are idle by then, with the stacks that they have kept.
            time::sleep(Duration::from_micros(300));
        });
    };
    (0..20).for_each(|_| run_one());
    let before = resident_kib();
    (0..200).for_each(|_| run_one());
    println!("{}", resident_kib().saturating_sub(before));
}

fn a_runtime_that_has_ended_keeps_no_stacks() {
    let outcome = outcome(&mut child("short"));
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    let grown_kib: usize = outcome.stdout.trim().parse().unwrap();
    // One stack of each of two processors a runtime would be 1.6 MB.
    assert!(grown_kib < 4_000, "{grown_kib} KiB more after 200 runtimes");
}
