//! Goroutines that change threads all the time and look at what belongs to a thread: `migrate SECONDS`. For the build
//! in which a compiler is most likely to keep the address of a thread-local over a switch: profile `torture`.
//!
//! What is checked after each switch: a thread-local read through a function that is not inlined names the thread that
//! the kernel says this is; an error number is that of the call just made; panics, random numbers and the runtime's own
//! state are the present thread's. Prints also how often a function that reads a thread-local *before and after* a wait
//! was given the first thread's: what the docs of `go` warn of.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::panic::catch_unwind;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use corefit_runtime::{Config, blocking, chan, go, metrics, select, yield_now};

thread_local! {
    static KERNEL_ID: Cell<u64> = const { Cell::new(0) };
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

#[cfg(target_os = "linux")]
fn kernel_id() -> u64 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs().into()
}

#[cfg(target_os = "macos")]
fn kernel_id() -> u64 {
    let mut id = 0;
    // SAFETY: 0 stands for the calling thread, and `id` has room for the answer.
    assert_eq!(unsafe { libc::pthread_threadid_np(0, &raw mut id) }, 0, "the thread exists");
    id
}

/// The kernel's id of this thread, as the thread-local has it.
#[inline(never)]
fn noted_id() -> u64 {
    KERNEL_ID.with(|id| {
        if id.get() == 0 {
            id.set(kernel_id());
        }
        id.get()
    })
}

#[derive(Default)]
struct Counts {
    switches: AtomicU64,
    migrations: AtomicU64,
    misled: AtomicU64,
}

fn main() -> ExitCode {
    let seconds = std::env::args().nth(1).and_then(|argument| argument.parse().ok());
    let Some(seconds) = seconds else {
        eprintln!("usage: migrate SECONDS");
        return ExitCode::from(2);
    };
    std::panic::set_hook(Box::new(|_| ()));
    let end = Instant::now() + Duration::from_secs(seconds);
    let counts = Arc::new(Counts::default());
    let theirs = Arc::clone(&counts);
    let runs = Config::new().procs(4).run(move || {
        let parts: Vec<_> = (0..64_u64)
            .map(|n| {
                let counts = Arc::clone(&theirs);
                go(move || {
                    while Instant::now() < end {
                        (0..50).for_each(|round| wander(n + round, &counts));
                    }
                })
            })
            .collect();
        parts.into_iter().for_each(|part| part.join().expect("all checks hold"));
        metrics().runs
    });
    let [switches, migrations, misled] =
        [&counts.switches, &counts.migrations, &counts.misled].map(|count| count.load(Relaxed));
    println!("{switches} switches, {migrations} to another thread, {runs} runs: all checks hold");
    println!("{misled} times a function that reads a thread-local before and after a switch was misled");
    assert!(migrations > 0, "a torture without migrations shows nothing");
    ExitCode::SUCCESS
}

/// Leaves the stack in one of several ways, and checks where it has come back.
fn wander(step: u64, counts: &Counts) {
    let before = noted_id();
    let turns = TURNS.with(|turns| std::ptr::from_ref(turns).addr());
    match step % 16 {
        0 => blocking(thread::yield_now),
        1 => {
            let (sender, receiver) = chan(0);
            drop(go(move || sender.send(step)));
            assert_eq!(receiver.recv(), Ok(step));
        }
        2 => {
            let (sender, receiver) = chan(0);
            drop(go(move || sender.send(step)));
            select! {
                recv(receiver) -> got => assert_eq!(got, Ok(step)),
                timeout(Duration::from_micros(50)) => {}
            }
        }
        3 => {
            let panics = go(|| {
                yield_now();
                std::panic::panic_any(1_u8);
            });
            assert!(panics.join().is_err());
        }
        4 => {
            // Caught on one thread, thrown again on another.
            let caught = catch_unwind(|| {
                blocking(|| {
                    thread::yield_now();
                    std::panic::panic_any(2_u8)
                })
            });
            assert!(caught.is_err());
        }
        _ => yield_now(),
    }
    counts.switches.fetch_add(1, Relaxed);
    let after = noted_id();
    assert_eq!(after, kernel_id(), "the thread-local of another thread");
    assert_eq!(known_thread(), known_thread());
    assert!(!thread::panicking());
    check_errno(step);
    assert_eq!(HashSet::from([step]).len(), 1);
    counts.migrations.fetch_add(u64::from(before != after), Relaxed);
    let is_same = TURNS.with(|turns| std::ptr::from_ref(turns).addr()) == turns;
    counts.misled.fetch_add(u64::from(is_same != (before == after)), Relaxed);
}

#[inline(never)]
fn known_thread() -> thread::ThreadId {
    thread::current().id()
}

/// Two calls that fail differently, around a switch.
fn check_errno(step: u64) {
    let missing = || std::fs::metadata("/no/such/file").expect_err("it is missing");
    let refused = || std::fs::read("/").expect_err("a directory");
    assert_eq!(missing().kind(), io::ErrorKind::NotFound);
    if step.is_multiple_of(3) {
        yield_now();
    }
    assert_eq!(refused().kind(), io::ErrorKind::IsADirectory);
}
