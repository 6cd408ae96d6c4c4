//! The counters against programs that are known to do a thing exactly so often.

use corefit_runtime::{Config, Metrics, Stretch, blocking, chan, checkpoint, go, metrics, yield_now};
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
fn every_time_that_a_hog_gives_way_is_counted_and_was_asked_for() {
    let counted = Config::new().procs(1).run(|| {
        let (others_ran, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (others, over) = (Arc::clone(&others_ran), Arc::clone(&is_over));
        let hog = go(move || {
            let give_way = |times| {
                let mut gave_way = 0;
                while gave_way < times {
                    let before = others_ran.load(SeqCst);
                    checkpoint();
                    // On one processor, others run only if this one has given way.
                    gave_way += u64::from(others_ran.load(SeqCst) != before);
                }
            };
            // By then main waits, and the other is the only one to give way to.
            give_way(2);
            let before = metrics().preemptions;
            give_way(3);
            is_over.store(true, SeqCst);
            (metrics().preemptions - before, metrics())
        });
        let other = go(move || {
            while !over.load(SeqCst) {
                others.fetch_add(1, SeqCst);
                yield_now();
            }
        });
        let counted = hog.join().unwrap();
        other.join().unwrap();
        counted
    });
    let (given_way, counts) = counted;
    // One may come when the other is not in this queue, and then lets no one run.
    assert!(given_way >= 3 && counts.preemptions <= counts.preemptions_asked, "{given_way} {counts:?}");
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
    let (counts, longest) = Config::new().procs(1).run(|| {
        let mut longest = Duration::ZERO;
        for _ in 0..2 * SAMPLED {
            // What follows is another run. It begins after `begun` is read, and ends before the closure starts.
            let begun = Instant::now();
            yield_now();
            let blocked = blocking(move || {
                let blocked = begun.elapsed();
                spin(Duration::from_micros(200));
                blocked
            });
            longest = longest.max(blocked);
        }
        (metrics(), longest)
    });
    // Some microseconds, unless the system took the CPU away. A bucket's middle may be an eighth off.
    let p50_s = counts.run_length_p50_s.unwrap();
    assert!(p50_s <= longest.as_secs_f64() * 9.0 / 8.0, "{p50_s} of at most {longest:?}");
}

#[test]
fn a_processor_without_work_idles_for_lack_of_it() {
    let costs = Config::new().procs(2).run(|| {
        let stretch = Stretch::begin();
        // Alone: the other processor has nothing to do, however slow the machine is.
        while stretch.begun().elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        stretch.end()
    });
    let times = costs.times;
    assert_eq!(
        times.idle_lock + times.idle_channel + times.idle_io + times.idle_sleep,
        Duration::ZERO,
        "{times:?}"
    );
    let without = times.idle_slack + times.idle_critical + times.waking + times.searching;
    let share = without.as_secs_f64() / costs.elapsed.as_secs_f64();
    // What it was about when the stretch began or ended counts as a whole or not at all.
    assert!(share < 2.0, "{costs:?}");
    assert!(times.busiest_goroutine <= times.goroutines_run, "{times:?}");
}

#[test]
fn a_processor_idles_for_what_its_next_goroutine_waited_for() {
    let idle = |wait: fn()| {
        Config::new().procs(1).run(move || {
            let stretch = Stretch::begin();
            wait();
            stretch.end().times
        })
    };
    let slept = idle(|| corefit_runtime::time::sleep(Duration::from_millis(20)));
    assert!(slept.idle_sleep > Duration::ZERO && slept.idle_channel.is_zero(), "{slept:?}");
    let blocked = idle(|| blocking(|| std::thread::sleep(Duration::from_millis(20))));
    assert!(blocked.idle_io > Duration::ZERO && blocked.idle_sleep.is_zero(), "{blocked:?}");
}
