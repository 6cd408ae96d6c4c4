//! Mutual exclusion: one inside at a time, who sees what the last one wrote; nobody waits for ever.

use crate::primitives::Arc;
use crate::sync::Mutex;
use crate::tracked::Tracked;
use loom::thread;
use std::time::Duration;

fn count_with(threads: usize, rounds: u32) {
    let total = Arc::new(Mutex::new(Tracked::new(0)));
    let others: Vec<_> = (1..threads)
        .map(|_| {
            let total = Arc::clone(&total);
            thread::spawn(move || add(&total, rounds))
        })
        .collect();
    add(&total, rounds);
    others.into_iter().for_each(|other| other.join().unwrap());
    assert_eq!(total.lock().get(), threads as u32 * rounds);
}

fn add(total: &Mutex<Tracked>, rounds: u32) {
    for _ in 0..rounds {
        let guard = total.lock();
        guard.set(guard.get() + 1);
    }
}

#[test]
fn two_that_lock_are_inside_one_at_a_time() {
    crate::check(|| count_with(2, 2));
}

#[test]
fn three_that_lock_are_inside_one_at_a_time() {
    crate::check(|| count_with(3, 1));
}

/// The clock leaps: every waiter that has lost once is starving, and the lock is handed over.
#[test]
fn a_lock_that_is_handed_over_has_one_owner() {
    crate::check_with_clock(Duration::from_secs(1), || count_with(3, 1));
}

#[test]
fn try_lock_sees_what_the_last_owner_wrote() {
    crate::check(|| {
        let total = Arc::new(Mutex::new(Tracked::new(0)));
        let theirs = Arc::clone(&total);
        let other = thread::spawn(move || add(&theirs, 1));
        if let Some(guard) = total.try_lock() {
            guard.set(guard.get() + 1);
        } else {
            add(&total, 1);
        }
        other.join().unwrap();
        assert_eq!(total.lock().get(), 2);
    });
}
