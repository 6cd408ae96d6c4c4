//! Function-entry checks that the compiler inserts: an experiment, see `docs/preemption.md`. Build and run it with
//! `scripts/preempt-by-compiler`; built as usual it shows the same program without checks.
//!
//! `by_compiler cost` prints what functions cost, `by_compiler show` what preemption does to a ticker, to a lock of the
//! standard library, and to a reference into a thread-local. Nothing here calls the runtime but to sleep and to spawn.
#![allow(unsafe_code, reason = "the compiler calls two functions by name")]

use std::cell::Cell;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use corefit_runtime::{Config, go, time};

/// Whether the compiler has inserted checks.
static IS_CHECKED: AtomicBool = AtomicBool::new(false);

/// What a check calls while the gate is open. The compiler inserts no check into functions with such names.
// SAFETY: the name is the sanitizer's, which this program is not linked with.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_guard(_guard: *mut u32) {
    corefit_runtime::checkpoint();
}

/// What each object file with checks calls before `main`.
// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_trace_pc_guard_init(_start: *mut u32, _stop: *mut u32) {
    // ORDERING: Relaxed; before `main`, on its thread.
    IS_CHECKED.store(true, Relaxed);
}

/// A computation and its name.
type Named = (&'static str, fn() -> u64);

fn main() {
    // ORDERING: Relaxed; written before `main`.
    let is_checked = IS_CHECKED.load(Relaxed);
    match std::env::args().nth(1).as_deref() {
        Some("cost") => cost(),
        Some("show") => {
            println!("function-entry checks by the compiler: {}", if is_checked { "yes" } else { "no" });
            ticks();
            lock();
            thread_local_reference();
        }
        _ => {
            eprintln!("usage: by_compiler cost|show");
            std::process::exit(2);
        }
    }
}

#[inline(never)]
fn fibonacci(n: u64) -> u64 {
    if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

#[inline(never)]
fn chain(steps: u64) -> u64 {
    let multiplier = black_box(3_u64);
    (0..steps).fold(1, |value, _| value.wrapping_mul(multiplier).wrapping_add(1))
}

fn sort(count: u64) -> u64 {
    let mut values: Vec<u64> = (0..count).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
    values.sort_unstable_by_key(|value| value.rotate_left(7));
    values[values.len() / 2]
}

fn count(words: u64) -> u64 {
    let mut counts = HashMap::new();
    (0..words).for_each(|n| *counts.entry(n * n % 1013).or_insert(0_u64) += 1);
    counts.values().copied().max().unwrap_or(0)
}

fn text(lines: u64) -> u64 {
    (0..lines)
        .map(|n| format!("{n}: {:.3}", n as f64 / 7.0).split(' ').map(str::len).sum::<usize>() as u64)
        .sum()
}

/// One line each: name and milliseconds.
fn cost() {
    let kernels: [Named; 5] = [
        ("fibonacci(35): calls", || fibonacci(black_box(35))),
        ("chain: a loop without calls", || chain(50_000_000)),
        ("sort of 1M", || sort(1_000_000)),
        ("HashMap, 2M entries", || count(2_000_000)),
        ("format! and split, 300k lines", || text(300_000)),
    ];
    for (name, kernel) in kernels {
        let start = Instant::now();
        black_box(kernel());
        println!("{name}\t{:.2}", start.elapsed().as_secs_f64() * 1e3);
    }
}

/// How late a ticker is beside a hog on the only processor.
fn ticks() {
    let hogs: [Named; 2] =
        [("a hog that calls", || fibonacci(black_box(39))), ("a hog without calls", || chain(300_000_000))];
    for (name, hog) in hogs {
        let mut late: Vec<f64> = Config::new().procs(1).run(move || {
            let start = Instant::now();
            let hog = go(hog);
            let late = (1..300).map(|tick| {
                let due = start + Duration::from_millis(tick);
                time::sleep(due.saturating_duration_since(Instant::now()));
                due.elapsed().as_secs_f64() * 1e3
            });
            let late = late.collect();
            black_box(hog.join().expect("it does not panic"));
            late
        });
        late.sort_unstable_by(f64::total_cmp);
        println!(
            "{name}: a 1 ms tick is late by p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms",
            late[late.len() / 2],
            late[late.len() * 99 / 100],
            late[late.len() - 1]
        );
    }
}

/// Whether another goroutine on the only processor sees a lock of the standard library held.
fn lock() {
    let held = Config::new().procs(1).run(|| {
        let shared = Arc::new(Mutex::new(0));
        let theirs = Arc::clone(&shared);
        let holder = go(move || {
            let mut guard = theirs.lock().expect("it is not poisoned");
            *guard = fibonacci(black_box(36));
        });
        time::sleep(Duration::from_millis(1));
        let is_held = shared.try_lock().is_err();
        holder.join().expect("it does not panic");
        is_held
    });
    println!(
        "a std Mutex whose holder was preempted: {}",
        if held { "seen; `lock()` would have blocked the only processor for ever" } else { "never" }
    );
}

/// How many closures of `LocalKey::with` end on another thread than they began on.
fn thread_local_reference() {
    thread_local! {
        static OWN: Cell<u64> = const { Cell::new(0) };
    }
    let moved: usize = Config::new().procs(2).run(|| {
        let goroutines: Vec<_> = (0..5)
            .map(|_| {
                go(|| {
                    (0..10)
                        .filter(|_| {
                            OWN.with(|own| {
                                let begun_on = thread::current().id();
                                own.set(fibonacci(black_box(34)));
                                thread::current().id() != begun_on
                            })
                        })
                        .count()
                })
            })
            .collect();
        goroutines.into_iter().map(|one| one.join().expect("it does not panic")).sum()
    });
    println!("references into a thread-local that came to another thread: {moved} of 50");
}
