//! One operation each, on a runtime with one processor or two: to catch regressions. Claims about scaling come from
//! sweeps, and comparisons with other runtimes from `examples/peer.rs`.
//!
//! Run: `cargo bench -p corefit-runtime`. Each sample is a whole run of `OPS` operations inside a fresh runtime, long
//! enough that two processors overlap.

use std::sync::Arc;

use corefit_runtime::sync::{Mutex, RwLock, Semaphore};
use corefit_runtime::{Config, blocking, chan, checkpoint, go, select, yield_now};
use divan::Bencher;
use divan::counter::ItemsCount;

/// Operations a sample: 10 ms and more of most of them.
const OPS: usize = 100_000;

/// Processors.
const PROCS: [usize; 2] = [1, 2];

fn main() {
    divan::main();
}

/// Times `work`, which does `ops` operations, as the main goroutine of a runtime.
fn bench(bencher: Bencher<'_, '_>, procs: usize, ops: usize, work: impl Fn() + Copy + Send + Sync + 'static) {
    bencher.counter(ItemsCount::new(ops)).bench_local(|| Config::new().procs(procs).run(work));
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

#[divan::bench(args = [0, 128], sample_count = 10)]
fn send_receive(bencher: Bencher<'_, '_>, capacity: usize) {
    bench(bencher, 1, OPS, move || {
        let (sender, receiver) = chan(capacity);
        let sending = go(move || (0..OPS).try_for_each(|i| sender.send(i)));
        assert_eq!(receiver.iter().count(), OPS);
        assert!(sending.join().expect("it does not panic").is_ok());
    });
}

#[divan::bench(sample_count = 10)]
fn select_of_two(bencher: Bencher<'_, '_>) {
    bench(bencher, 1, OPS, || {
        let ((left, from_left), (right, from_right)) = (chan(1), chan(1));
        for i in 0..OPS {
            let sent = if i % 2 == 0 { left.send(i) } else { right.send(i) };
            sent.expect("the receivers are here");
            select! {
                recv(from_left) -> value => assert_eq!(value, Ok(i)),
                recv(from_right) -> value => assert_eq!(value, Ok(i)),
            }
        }
    });
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn lock_contended(bencher: Bencher<'_, '_>, procs: usize) {
    const GOROUTINES: usize = 50;
    bench(bencher, procs, OPS, || {
        let total = Arc::new(Mutex::new(0_usize));
        let all: Vec<_> = (0..GOROUTINES)
            .map(|_| {
                let total = Arc::clone(&total);
                go(move || (0..OPS / GOROUTINES).for_each(|_| *total.lock() += 1))
            })
            .collect();
        for goroutine in all {
            goroutine.join().expect("it does not panic");
        }
        assert_eq!(*total.lock(), OPS);
    });
}

#[divan::bench(sample_count = 10)]
fn read_lock(bencher: Bencher<'_, '_>) {
    bench(bencher, 1, OPS, || {
        let value = RwLock::new(1_usize);
        assert_eq!((0..OPS).map(|_| *value.read()).sum::<usize>(), OPS);
    });
}

#[divan::bench(sample_count = 10)]
fn permit(bencher: Bencher<'_, '_>) {
    bench(bencher, 1, OPS, || {
        let semaphore = Semaphore::new(1);
        (0..OPS).for_each(|_| drop(semaphore.acquire()));
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
