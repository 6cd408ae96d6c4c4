//! Spawning, switching and checking, one operation each, on a runtime with one processor or two: to catch regressions.
//! Claims about scaling come from sweeps, and comparisons with other runtimes from `examples/peer.rs`.
//!
//! Run: `cargo bench -p corefit-runtime`. Each sample is a whole run of `OPS` operations inside a fresh runtime, long
//! enough that two processors overlap.

mod run;

use corefit_runtime::{blocking, checkpoint, go, yield_now};
use divan::Bencher;
use run::{PROCS, bench};

/// Operations a sample: 10 ms and more of most of them.
const OPS: usize = 100_000;

fn main() {
    divan::main();
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn spawn_join(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, OPS, || {
        for _ in 0..OPS {
            go(|| {}).join().expect("it does not panic");
        }
    });
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn spawn_join_in_batches(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, OPS, || {
        for _ in 0..OPS / 1000 {
            let batch: Vec<_> = (0..1000).map(|_| go(|| {})).collect();
            for goroutine in batch {
                goroutine.join().expect("it does not panic");
            }
        }
    });
}

#[divan::bench(args = [2, 1000], sample_count = 10)]
fn switch(bencher: Bencher<'_, '_>, goroutines: usize) {
    bench(bencher, 1, OPS, move || {
        let all: Vec<_> = (0..goroutines)
            .map(|_| {
                go(move || {
                    for _ in 0..OPS / goroutines {
                        yield_now();
                    }
                })
            })
            .collect();
        for goroutine in all {
            goroutine.join().expect("it does not panic");
        }
    });
}

#[divan::bench(sample_count = 10)]
fn check(bencher: Bencher<'_, '_>) {
    bench(bencher, 1, OPS, || (0..OPS).for_each(|_| checkpoint()));
}

#[divan::bench(sample_count = 10)]
fn blocking_call(bencher: Bencher<'_, '_>) {
    const CALLS: usize = OPS / 100;
    bench(bencher, 1, CALLS, || (0..CALLS).for_each(|_| blocking(|| ())));
}
