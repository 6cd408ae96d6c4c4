//! Timed waits.

use crate::park::{WaitReason, Waiter, park_until, sleep_until};
use crate::{Config, chan, current, go, time, yield_now};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn sleep(duration: Duration) {
    park_long(Instant::now() + duration);
}

/// Waits as something that others may wake too.
fn park_long(deadline: Instant) {
    while Instant::now() < deadline {
        park_until(WaitReason::Sleep, 0, deadline);
    }
}

/// Waits for the timer alone.
fn pledge(deadline: Instant) {
    assert!(sleep_until(deadline), "a goroutine that can leave its stack");
}

const MS: Duration = Duration::from_millis(1);

/// The order in which sleepers wake that go to sleep within `time` from now, each by the next of `waits`; `None` if one came too
/// late for that.
fn wake_order(time: Duration, waits: [fn(Instant); 2]) -> Option<Vec<u32>> {
    Config::new().procs(1).run(move || {
        let order = Arc::new(Mutex::new(Vec::new()));
        let start = Instant::now() + time;
        let handles: Vec<_> = [7_u32, 2, 9, 1, 4]
            .map(|n| {
                let order = Arc::clone(&order);
                go(move || {
                    let deadline = start + n * MS;
                    let is_in_time = Instant::now() < start;
                    waits[n as usize % 2](deadline);
                    order.lock().unwrap().push(n);
                    is_in_time
                })
            })
            .into();
        let is_in_time: Vec<bool> = handles.into_iter().map(|handle| handle.join().unwrap()).collect();
        is_in_time
            .into_iter()
            .all(|is_in_time| is_in_time)
            .then(|| Arc::into_inner(order).unwrap().into_inner().unwrap())
    })
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    const WAITS: [[fn(Instant); 2]; 3] = [[park_long, park_long], [pledge, pledge], [park_long, pledge]];
    for waits in WAITS {
        let order = (0..12).find_map(|doublings| wake_order((5 << doublings) * MS, waits));
        assert_eq!(order, Some(vec![1, 2, 4, 7, 9]));
    }
}

#[test]
fn who_sleeps_is_not_woken_by_what_it_waited_for_before() {
    for procs in [1, 2] {
        Config::new().procs(procs).run(|| {
            let (waiter, done) = (Waiter::current(), Arc::new(AtomicBool::new(false)));
            let theirs = Arc::clone(&done);
            let waker = go(move || {
                while !theirs.load(SeqCst) {
                    waiter.unpark();
                    yield_now();
                }
            });
            let before = crate::metrics();
            for us in [1, 30, 500, 3_000] {
                let start = Instant::now();
                pledge(start + Duration::from_micros(us));
                assert!(start.elapsed() >= Duration::from_micros(us));
            }
            assert!(crate::metrics().parks - before.parks >= 4);
            done.store(true, SeqCst);
            waker.join().unwrap();
        });
    }
}

#[test]
fn who_only_sleeps_is_not_swept_out_with_those_whose_wait_is_over() {
    const SLEEPERS: usize = 10;
    const HOUR: Duration = Duration::from_secs(3600);
    Config::new().procs(1).run(|| {
        let timers = || current::runtime().unwrap().timers.len();
        let _for_ever: Vec<_> = (0..SLEEPERS).map(|_| go(|| pledge(Instant::now() + HOUR))).collect();
        while timers() < SLEEPERS {
            yield_now();
        }
        for _ in 0..200 {
            let (send, receive) = chan(1);
            go(move || send.send(()).unwrap());
            receive.recv_timeout(HOUR).unwrap();
        }
        assert!((SLEEPERS..100).contains(&timers()), "{}", timers());
    });
}

#[test]
fn who_cannot_leave_its_stack_sleeps_on_its_thread() {
    struct SleepsWhenDropped;
    impl Drop for SleepsWhenDropped {
        fn drop(&mut self) {
            let start = Instant::now();
            assert!(!sleep_until(start + MS));
            time::sleep(MS);
            assert!(start.elapsed() >= MS);
        }
    }
    Config::new().procs(1).run(|| {
        crate::blocking(|| assert!(!sleep_until(Instant::now() + MS)));
        let unwinds = go(|| {
            let _sleeps = SleepsWhenDropped;
            panic!("as it should");
        });
        assert!(unwinds.join().is_err());
    });
    drop(SleepsWhenDropped);
}

#[test]
fn a_sleep_is_not_shorter_than_asked_for() {
    for procs in [1, 2] {
        Config::new().procs(procs).run(|| {
            for us in [0, 50, 300, 2_000] {
                let duration = Duration::from_micros(us);
                for sleep in [sleep, time::sleep] {
                    let start = Instant::now();
                    sleep(duration);
                    assert!(start.elapsed() >= duration);
                }
            }
        });
    }
}

#[test]
fn thousands_sleep_at_once() {
    let count = Config::new().procs(2).run(|| {
        let handles: Vec<_> = (0..3_000_u64)
            .map(|n| {
                go(move || {
                    for round in 0..3 {
                        let sleep = if n % 2 == 0 { sleep } else { time::sleep };
                        sleep(Duration::from_micros((n * 7 + round * 13) % 3_000));
                    }
                })
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).count()
    });
    assert_eq!(count, 3_000);
}

#[test]
fn a_timed_wait_ends_with_the_unpark() {
    Config::new().procs(2).run(|| {
        for _ in 0..500 {
            let (waiter, done) = (Waiter::current(), Arc::new(AtomicBool::new(false)));
            let theirs = Arc::clone(&done);
            let waker = go(move || {
                theirs.store(true, SeqCst);
                waiter.unpark();
            });
            let hour = Instant::now() + Duration::from_secs(3_600);
            while !done.load(SeqCst) {
                park_until(WaitReason::Condvar, 0, hour);
            }
            waker.join().unwrap();
        }
        let runtime = crate::current::runtime().unwrap();
        assert!(runtime.timers.len() < 200, "void timers are swept: {}", runtime.timers.len());
    });
}

#[test]
fn timers_fire_beside_goroutines_that_only_yield() {
    Config::new().procs(1).run(|| {
        let done = Arc::new(AtomicBool::new(false));
        let yielders: Vec<_> = (0..3)
            .map(|_| {
                let done = Arc::clone(&done);
                go(move || {
                    while !done.load(SeqCst) {
                        yield_now();
                    }
                })
            })
            .collect();
        sleep(3 * MS);
        done.store(true, SeqCst);
        yielders.into_iter().for_each(|yielder| yielder.join().unwrap());
    });
}

#[test]
fn a_sleep_in_a_blocking_call_works() {
    Config::new().procs(1).run(|| crate::blocking(|| sleep(MS)));
    Config::new().procs(1).run(|| crate::blocking(|| time::sleep(MS)));
}
