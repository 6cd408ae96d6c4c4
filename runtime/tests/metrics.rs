//! The counters against programs that are known to do a thing exactly so often.

use corefit_runtime::{Config, Metrics, blocking, chan, checkpoint, go, metrics, yield_now};
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

const TIMES: u64 = 20;

/// More than enough for one of each kind of sample, which are taken 1 in 64 times.
const SAMPLED: usize = 256;

fn spin(length: Duration) {
    let start = Instant::now();
    while start.elapsed() < length {
        spin_loop();
    }
}

/// What is counted while `act` runs as the only thing that main does.
fn counted(procs: usize, act: impl FnOnce() + Send + 'static) -> Metrics {
    Config::new().procs(procs).run(move || {
        act();
        metrics()
    })
}

#[test]
fn a_goroutine_that_waits_so_often_parks_so_often() {
    let counts = counted(1, || {
        let (send, receive) = chan::<u64>(0);
        let waiter = go(move || receive.iter().count());
        for time in 0..TIMES {
            // The other waits by the time this one runs again, so this one does not.
            yield_now();
            send.send(time).unwrap();
        }
        yield_now();
        drop(send);
        while !waiter.is_finished() {
            yield_now();
        }
        assert_eq!(waiter.join().unwrap() as u64, TIMES);
    });
    // One for each value, and one until the close.
    assert_eq!((counts.parks, counts.goroutines, counts.goroutines_alive), (TIMES + 1, 2, 1));
    assert_eq!((counts.steals, counts.handoffs, counts.preemptions), (0, 0, 0));
}

#[test]
fn what_only_another_processor_can_run_is_stolen_each_time() {
    let counts = counted(2, || {
        for _ in 0..TIMES {
            let ran = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&ran);
            drop(go(move || theirs.store(true, SeqCst)));
            // It is behind this one, which does not leave.
            while !ran.load(SeqCst) {
                spin_loop();
            }
        }
    });
    assert_eq!(counts.steals, TIMES);
    assert!(counts.steal_attempts >= TIMES, "{counts:?}");
    // Someone was asleep at first; and a wake-up is for one of the goroutines, main included, or in vain.
    let useful = counts.wakes - counts.wakes_in_vain;
    assert!((1..=TIMES + 1).contains(&useful), "{counts:?}");
}

#[test]
fn nothing_is_stolen_and_no_one_woken_where_there_is_one_processor() {
    let counts = counted(1, || (0..TIMES).for_each(|_| go(|| ()).join().unwrap()));
    assert_eq!((counts.steals, counts.steal_attempts), (0, 0));
}

#[test]
fn every_blocking_call_hands_the_processor_off() {
    let counts = counted(1, || (0..TIMES).for_each(|_| blocking(|| ())));
    assert_eq!((counts.handoffs, counts.parks), (TIMES, 0));
}

#[test]
fn every_time_that_a_hog_gives_way_is_a_preemption() {
    let witnessed = Arc::new(AtomicU64::new(0));
    let theirs = Arc::clone(&witnessed);
    let counts = counted(1, move || {
        let state = Arc::new((AtomicBool::new(false), AtomicBool::new(false)));
        let hogs = Arc::clone(&state);
        let hog = go(move || {
            let (has_begun, is_over) = &*hogs;
            has_begun.store(true, SeqCst);
            while !is_over.load(SeqCst) {
                checkpoint();
            }
        });
        let witness = go(move || {
            let (has_begun, is_over) = &*state;
            while !is_over.load(SeqCst) {
                // On one processor, this runs when the hog has given way, or has not begun.
                if has_begun.load(SeqCst) && theirs.fetch_add(1, SeqCst) == 2 {
                    is_over.store(true, SeqCst);
                }
                yield_now();
            }
        });
        hog.join().unwrap();
        witness.join().unwrap();
    });
    assert_eq!((witnessed.load(SeqCst), counts.preemptions), (3, 3));
    assert!(counts.preemptions_asked >= 3, "{counts:?}");
}

#[test]
fn who_waits_behind_a_hog_is_late_by_its_length() {
    let hogged = Duration::from_millis(20);
    let counts = counted(1, move || {
        let waiting: Vec<_> = (0..SAMPLED).map(|_| go(|| ())).collect();
        spin(hogged);
        waiting.into_iter().for_each(|waiting| waiting.join().unwrap());
    });
    let late_s = counts.sched_latency_p50_s.unwrap();
    assert!(late_s >= hogged.as_secs_f64() * 7.0 / 8.0, "{late_s}");
    assert!(counts.sched_latency_p99_s.unwrap() >= late_s);
}

#[test]
fn runs_are_as_long_as_their_goroutines_compute() {
    let length = Duration::from_micros(100);
    let counts = counted(1, move || {
        let done = Arc::new(AtomicU64::new(0));
        for _ in 0..2 * SAMPLED {
            let done = Arc::clone(&done);
            drop(go(move || {
                spin(length);
                done.fetch_add(1, SeqCst);
            }));
        }
        // Main runs once for all of them, not once for each.
        while done.load(SeqCst) < 2 * SAMPLED as u64 {
            yield_now();
        }
    });
    let p50_s = counts.run_length_p50_s.unwrap();
    assert!(p50_s >= length.as_secs_f64() * 7.0 / 8.0, "{p50_s}");
    assert!(counts.run_length_p99_s.unwrap() >= p50_s);
}

#[test]
fn a_blocking_call_is_no_part_of_a_run() {
    let counts = counted(1, || {
        for _ in 0..2 * SAMPLED {
            blocking(|| spin(Duration::from_micros(200)));
            // What follows is another run.
            yield_now();
        }
    });
    // By the time that it blocks a goroutine has run for some microseconds, if it is not interrupted: as a median.
    let p50_s = counts.run_length_p50_s.unwrap();
    assert!(p50_s < 100e-6, "{p50_s}");
}
