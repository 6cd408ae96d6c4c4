//! What the scheduler's own calls cost, and whether a switch costs more where there are many goroutines.
//!
//! Run: `cargo bench -p corefit-runtime --bench scheduler`. A sample of `switch` is a round of switches among goroutines that
//! live as long as the bench, so that starting them is not in it; the others are whole runs inside a fresh runtime.

mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use corefit_runtime::sync::{Barrier, WaitGroup};
use corefit_runtime::{Config, blocking, chan, checkpoint, go, gomaxprocs, metrics, yield_now};
use divan::Bencher;
use divan::counter::ItemsCount;
use run::{PROCS, bench};

/// Switches a sample, at least: some 50 ms of them, beside which waking the goroutine that waits for them does not show.
const SWITCHES: usize = 1_000_000;
/// Operations a sample of the rest.
const OPS: usize = 100_000;

fn main() {
    divan::main();
}

/// In each round all yield equally often between two meetings, which are a switch each too.
#[divan::bench(args = [2, 1000, 100_000], sample_count = 10)]
fn switch(bencher: Bencher<'_, '_>, goroutines: usize) {
    let turns = (SWITCHES / goroutines).max(20);
    let ((ask, asked), (answer, answered)) = (chan::<()>(0), chan::<()>(0));
    let runtime = thread::spawn(move || {
        Config::new().procs(1).run(move || {
            let meeting = Arc::new(Barrier::new(goroutines + 1));
            let is_over = Arc::new(AtomicBool::new(false));
            for _ in 0..goroutines {
                let (meeting, is_over) = (Arc::clone(&meeting), Arc::clone(&is_over));
                go(move || {
                    loop {
                        meeting.wait();
                        if is_over.load(Relaxed) {
                            break;
                        }
                        (0..turns).for_each(|_| yield_now());
                        meeting.wait();
                    }
                });
            }
            for () in &asked {
                meeting.wait();
                meeting.wait();
                answer.send(()).expect("the bench waits");
            }
            is_over.store(true, Relaxed);
            meeting.wait();
        });
    });
    let round = || {
        ask.send(()).expect("the runtime lives");
        answered.recv().expect("the runtime lives");
    };
    // The first touches every stack.
    round();
    bencher.counter(ItemsCount::new(goroutines * (turns + 2))).bench_local(round);
    drop(ask);
    runtime.join().expect("it does not panic");
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn spawn_detached(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, OPS, || {
        for _ in 0..OPS / 1000 {
            let running = WaitGroup::new();
            running.add(1000);
            for _ in 0..1000 {
                let running = running.clone();
                go(move || running.done());
            }
            running.wait();
        }
    });
}

/// Beside one that waits for the processor: the check finds now and then that the time slice is over.
#[divan::bench(sample_count = 10)]
fn check_beside_another(bencher: Bencher<'_, '_>) {
    const CHECKS: usize = 100 * OPS;
    bench(bencher, 1, CHECKS, || {
        let other = go(|| (0..CHECKS / 2).for_each(|_| checkpoint()));
        (0..CHECKS / 2).for_each(|_| checkpoint());
        other.join().expect("it does not panic");
    });
}

/// Each call hands the processor to another worker, which runs the one that yields, and then wants it back.
#[divan::bench(args = PROCS, sample_count = 10)]
fn blocking_call_beside_another(bencher: Bencher<'_, '_>, procs: usize) {
    const CALLS: usize = OPS / 100;
    bench(bencher, procs, CALLS, || {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let other = go(move || {
            while !seen.load(Relaxed) {
                yield_now();
            }
        });
        (0..CALLS).for_each(|_| blocking(|| ()));
        is_over.store(true, Relaxed);
        other.join().expect("it does not panic");
    });
}

#[divan::bench(sample_count = 10)]
fn read_gomaxprocs(bencher: Bencher<'_, '_>) {
    bench(bencher, 2, OPS, || assert!((0..OPS).all(|_| gomaxprocs(0) == 2)));
}

/// Up and down count as two.
#[divan::bench(sample_count = 10)]
fn set_gomaxprocs(bencher: Bencher<'_, '_>) {
    const CHANGES: usize = OPS / 10;
    bench(bencher, 1, CHANGES, || {
        for _ in 0..CHANGES / 2 {
            assert_eq!(gomaxprocs(2), 1);
            assert_eq!(gomaxprocs(1), 2);
        }
    });
}

/// Sums over the processors, so that it takes longer where there are more.
#[divan::bench(args = [1, 64], sample_count = 10)]
fn read_metrics(bencher: Bencher<'_, '_>, procs: usize) {
    const READS: usize = OPS / 100;
    bench(bencher, procs, READS, || assert!((0..READS).all(|_| metrics().goroutines == 1)));
}
