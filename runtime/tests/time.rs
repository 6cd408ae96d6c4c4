//! Time, for threads and for goroutines. No test here depends on how long anything takes beyond what it asked for.

mod ground;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use corefit_runtime::chan::{RecvError, RecvTimeoutError, TryRecvError};
use corefit_runtime::time::{Elapsed, after, interval, sleep, timeout};
use corefit_runtime::{Config, chan, select};
use ground::{Task, everywhere};

const MS: Duration = Duration::from_millis(1);

#[test]
fn sleep_lasts_at_least_as_long_as_asked() {
    everywhere(|ground| {
        let sleepers: Vec<_> = (0..4)
            .map(|n| {
                ground.spawn(move || {
                    let start = Instant::now();
                    sleep(n * MS);
                    start.elapsed() >= n * MS
                })
            })
            .collect();
        assert!(sleepers.into_iter().all(Task::join));
    });
}

#[test]
fn after_gives_the_time_once_and_then_closes() {
    everywhere(|_| {
        let start = Instant::now();
        let rx = after(2 * MS);
        assert!(rx.recv().unwrap() >= start + 2 * MS);
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
        assert!(after(Duration::ZERO).try_recv().is_ok());
        assert_eq!(after(Duration::from_secs(3600)).recv_timeout(MS), Err(RecvTimeoutError::Timeout));
    });
}

#[test]
fn after_wakes_one_of_several_receivers_and_ends_the_others() {
    everywhere(|ground| {
        for _ in 0..10 {
            let rx = after(MS);
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let rx = rx.clone();
                    ground.spawn(move || rx.recv().is_ok())
                })
                .collect();
            assert_eq!(receivers.into_iter().map(Task::join).filter(|got| *got).count(), 1);
        }
    });
}

#[test]
fn a_select_wakes_for_the_first_of_several_times() {
    everywhere(|_| {
        let (_tx, idle) = chan::<u8>(0);
        let (late, soon) = (after(Duration::from_secs(3600)), after(MS));
        assert!(select! {
            recv(idle) -> _ => false,
            recv(late) -> _ => false,
            recv(soon) -> time => time.is_ok(),
        });
        assert!(select! {
            recv(late) -> _ => false,
            recv(after(MS)) -> time => time.is_ok(),
            timeout(Duration::from_secs(3600)) => false,
        });
        assert!(select! { recv(late) -> _ => false, timeout(MS) => true });
    });
}

#[test]
fn an_interval_ticks_once_a_period_and_skips_what_was_missed() {
    everywhere(|_| {
        let start = Instant::now();
        let mut ticks = interval(2 * MS);
        assert!(ticks.next().unwrap() >= start + 2 * MS);
        // Sleeps over several ticks: one is waiting, and the next one is in the future again.
        sleep(7 * MS);
        let late = ticks.next().unwrap();
        assert!(late >= start + 9 * MS);
        // The start of the interval is not before `start`, so the next point of its grid is not before 10 ms.
        assert!(ticks.next().unwrap() >= start + 10 * MS, "a missed tick was made up for");
    });
}

#[test]
fn timeout_gives_the_result_or_says_that_time_passed() {
    let (results, finished) = Config::new().procs(2).run(|| {
        let in_time = timeout(Duration::from_secs(3600), || 5);
        let (tx, rx) = chan(0);
        let (done_tx, done) = chan(1);
        let too_late = timeout(MS, move || {
            let value = rx.recv().expect("sent after the time has passed");
            done_tx.send(value).expect("a receiver");
        });
        tx.send(6).expect("the goroutine goes on");
        ((in_time, too_late), done.recv())
    });
    assert_eq!(results, (Ok(5), Err(Elapsed)));
    assert_eq!(finished, Ok(6));
    assert!(Elapsed.to_string().contains("time passed"));
}

#[test]
fn a_panic_under_a_timeout_goes_on_in_the_caller() {
    let panic = Config::new().procs(2).run(|| {
        std::panic::catch_unwind(AssertUnwindSafe(|| {
            timeout(Duration::from_secs(3600), || std::panic::resume_unwind(Box::new("inside")))
        }))
        .map(|_: Result<(), Elapsed>| ())
        .unwrap_err()
    });
    assert_eq!(panic.downcast_ref(), Some(&"inside"));
}
