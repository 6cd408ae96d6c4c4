//! Channels, `select!`, locks and meeting points, one operation each, alone and contended, on one processor and on two: to
//! catch regressions.
//!
//! Run: `cargo bench -p corefit-runtime --bench communication`. Each sample is a whole run of `OPS` operations inside a
//! fresh runtime, long enough that two processors overlap.

mod run;

use std::sync::Arc;

use corefit_runtime::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use corefit_runtime::{chan, go, select};
use divan::Bencher;
use run::{PROCS, bench};

/// Operations a sample.
const OPS: usize = 100_000;

/// Goroutines that want the same thing, in the contended benches.
const CROWD: usize = 50;

fn main() {
    divan::main();
}

/// Has `CROWD` goroutines do `OPS` times `work` together on one `shared` thing.
fn crowd<S: Send + Sync + 'static>(shared: S, work: impl Fn(&S) + Copy + Send + 'static) {
    let shared = Arc::new(shared);
    let all: Vec<_> = (0..CROWD)
        .map(|_| {
            let shared = Arc::clone(&shared);
            go(move || (0..OPS / CROWD).for_each(|_| work(&shared)))
        })
        .collect();
    for goroutine in all {
        goroutine.join().expect("it does not panic");
    }
}

mod channel {
    use super::*;

    /// `sides` goroutines send to as many that receive.
    fn pass(capacity: usize, sides: usize) {
        let (sender, receiver) = chan(capacity);
        let sending: Vec<_> = (0..sides)
            .map(|_| {
                let sender = sender.clone();
                go(move || (0..OPS / sides).try_for_each(|value| sender.send(value)))
            })
            .collect();
        drop(sender);
        let receiving: Vec<_> = (0..sides)
            .map(|_| {
                let receiver = receiver.clone();
                go(move || receiver.iter().count())
            })
            .collect();
        for goroutine in sending {
            assert!(goroutine.join().expect("it does not panic").is_ok());
        }
        let received = receiving.into_iter().map(|goroutine| goroutine.join().expect("it does not panic"));
        assert_eq!(received.sum::<usize>(), OPS);
    }

    #[divan::bench(args = PROCS, consts = [0, 1, 128], sample_count = 10)]
    fn one_to_one<const CAPACITY: usize>(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || pass(CAPACITY, 1));
    }

    #[divan::bench(args = PROCS, consts = [0, 1, 128], sample_count = 10)]
    fn four_to_four<const CAPACITY: usize>(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || pass(CAPACITY, 4));
    }

    #[divan::bench(sample_count = 10)]
    fn send_and_receive_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let (sender, receiver) = chan(1);
            for value in 0..OPS {
                assert!(sender.send(value).is_ok());
                assert_eq!(receiver.recv(), Ok(value));
            }
        });
    }

    #[divan::bench(sample_count = 10)]
    fn try_receive_from_empty(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let (_sender, receiver) = chan::<usize>(1);
            assert!((0..OPS).all(|_| receiver.try_recv().is_err()));
        });
    }
}

mod select {
    use super::*;

    #[divan::bench(sample_count = 10)]
    fn of_two_one_ready(bencher: Bencher<'_, '_>) {
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
    fn of_two_waiting(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || {
            let ((left, from_left), (right, from_right)) = (chan(0), chan(0));
            let sending =
                go(move || (0..OPS).try_for_each(|i| if i % 2 == 0 { left.send(i) } else { right.send(i) }));
            for i in 0..OPS {
                select! {
                    recv(from_left) -> value => assert_eq!(value, Ok(i)),
                    recv(from_right) -> value => assert_eq!(value, Ok(i)),
                }
            }
            assert!(sending.join().expect("it does not panic").is_ok());
        });
    }
}

mod lock {
    use super::*;

    #[divan::bench(sample_count = 10)]
    fn mutex_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let total = Mutex::new(0_usize);
            (0..OPS).for_each(|_| *total.lock() += 1);
            assert_eq!(total.into_inner(), OPS);
        });
    }

    #[divan::bench(args = PROCS, sample_count = 10)]
    fn mutex_contended(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || crowd(Mutex::new(0_usize), |total| *total.lock() += 1));
    }

    #[divan::bench(sample_count = 10)]
    fn read_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let value = RwLock::new(1_usize);
            assert_eq!((0..OPS).map(|_| *value.read()).sum::<usize>(), OPS);
        });
    }

    #[divan::bench(sample_count = 10)]
    fn write_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let value = RwLock::new(0_usize);
            (0..OPS).for_each(|_| *value.write() += 1);
            assert_eq!(value.into_inner(), OPS);
        });
    }

    #[divan::bench(args = PROCS, sample_count = 10)]
    fn read_contended(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || crowd(RwLock::new(1_usize), |value| assert_eq!(*value.read(), 1)));
    }

    #[divan::bench(args = PROCS, sample_count = 10)]
    fn write_contended(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || crowd(RwLock::new(0_usize), |value| *value.write() += 1));
    }
}

mod meeting {
    use super::*;

    /// Two goroutines that take turns: an operation is one turn.
    #[divan::bench(args = PROCS, sample_count = 10)]
    fn condvar(bencher: Bencher<'_, '_>, procs: usize) {
        fn take_turns((turns, changed): &(Mutex<usize>, Condvar), parity: usize) {
            for _ in 0..OPS / 2 {
                let mut turns = turns.lock();
                while *turns % 2 != parity {
                    turns = changed.wait(turns);
                }
                *turns += 1;
                drop(turns);
                changed.notify_one();
            }
        }
        bench(bencher, procs, OPS, || {
            let shared = Arc::new((Mutex::new(0), Condvar::new()));
            let other = {
                let shared = Arc::clone(&shared);
                go(move || take_turns(&shared, 1))
            };
            take_turns(&shared, 0);
            other.join().expect("it does not panic");
        });
    }

    #[divan::bench(sample_count = 10)]
    fn wait_group_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let group = WaitGroup::new();
            for _ in 0..OPS {
                group.add(1);
                group.done();
            }
            group.wait();
        });
    }

    #[divan::bench(args = PROCS, sample_count = 10)]
    fn wait_group_contended(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || {
            let group = WaitGroup::new();
            group.add(OPS);
            let done = group.clone();
            let all = go(move || crowd(done, WaitGroup::done));
            group.wait();
            all.join().expect("it does not panic");
        });
    }

    #[divan::bench(sample_count = 10)]
    fn once_done_before(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let once = Once::new();
            (0..OPS).for_each(|_| divan::black_box(&once).call_once(|| {}));
        });
    }

    #[divan::bench(sample_count = 10)]
    fn permit_alone(bencher: Bencher<'_, '_>) {
        bench(bencher, 1, OPS, || {
            let semaphore = Semaphore::new(1);
            (0..OPS).for_each(|_| drop(semaphore.acquire()));
        });
    }

    #[divan::bench(args = PROCS, sample_count = 10)]
    fn permit_contended(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || crowd(Semaphore::new(2), |semaphore| drop(semaphore.acquire())));
    }

    /// An operation is one arrival.
    #[divan::bench(args = PROCS, sample_count = 10)]
    fn barrier_of_two(bencher: Bencher<'_, '_>, procs: usize) {
        bench(bencher, procs, OPS, || {
            let barrier = Arc::new(Barrier::new(2));
            let other = {
                let barrier = Arc::clone(&barrier);
                go(move || (0..OPS / 2).filter(|_| barrier.wait()).count())
            };
            let led = (0..OPS / 2).filter(|_| barrier.wait()).count();
            assert_eq!(led + other.join().expect("it does not panic"), OPS / 2);
        });
    }
}
