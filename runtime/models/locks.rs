//! Mutual exclusion: one inside at a time, who sees what the last one wrote; nobody waits for ever.

use crate::primitives::Arc;
use crate::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
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

/// Two writers, and a reader that sees whole writes.
#[test]
fn readers_and_writers_exclude_each_other() {
    crate::check(|| {
        let pair = Arc::new(RwLock::new((Tracked::new(0), Tracked::new(0))));
        let theirs = Arc::clone(&pair);
        let writer = thread::spawn(move || write(&theirs));
        let theirs = Arc::clone(&pair);
        let reader = thread::spawn(move || {
            let pair = theirs.read();
            assert_eq!(pair.0.get(), pair.1.get());
        });
        write(&pair);
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(pair.read().0.get(), 2);
    });
}

fn write(pair: &RwLock<(Tracked, Tracked)>) {
    let pair = pair.write();
    pair.0.set(pair.0.get() + 1);
    pair.1.set(pair.1.get() + 1);
}

/// One runs it; whoever comes back sees what it did.
#[test]
fn once_is_done_for_everyone() {
    crate::check(|| {
        let shared = Arc::new((Once::new(), Tracked::new(0)));
        let call = |(once, data): &(Once, Tracked)| {
            once.call_once(|| data.set(data.get() + 1));
            assert_eq!(data.get(), 1);
        };
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || call(&theirs));
        call(&shared);
        other.join().unwrap();
        assert!(shared.0.is_completed());
    });
}

#[test]
fn a_notification_is_not_lost_between_the_look_and_the_wait() {
    crate::check(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || {
            *theirs.0.lock() = true;
            theirs.1.notify_one();
        });
        let mut is_set = shared.0.lock();
        while !*is_set {
            is_set = shared.1.wait(is_set);
        }
        drop(is_set);
        other.join().unwrap();
    });
}

#[test]
fn a_permit_is_held_by_one_and_passed_on() {
    crate::check(|| {
        let shared = Arc::new((Semaphore::new(1), Tracked::new(0)));
        let enter = |(semaphore, data): &(Semaphore, Tracked)| {
            let _permit = semaphore.acquire();
            data.set(data.get() + 1);
        };
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || enter(&theirs));
        enter(&shared);
        other.join().unwrap();
        assert_eq!((shared.0.available(), shared.1.get()), (1, 2));
    });
}

#[test]
fn a_group_is_waited_for_and_what_it_did_is_seen() {
    crate::check(|| {
        let (group, data) = (WaitGroup::new(), Arc::new([Tracked::new(0), Tracked::new(0)]));
        group.add(2);
        let others: Vec<_> = (0..2)
            .map(|n| {
                let (group, data) = (group.clone(), Arc::clone(&data));
                thread::spawn(move || {
                    data[n].set(1);
                    group.done();
                })
            })
            .collect();
        group.wait();
        assert_eq!(data[0].get() + data[1].get(), 2);
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}

/// Two groups of two, one after the other: each has one leader, and whoever has passed sees what the others wrote before.
#[test]
fn a_barrier_is_passed_together() {
    crate::check(|| {
        let shared = Arc::new((Barrier::new(2), [Tracked::new(0), Tracked::new(0)]));
        let pass = |me: usize, (barrier, data): &(Barrier, [Tracked; 2])| {
            let leads = |round| {
                data[me].set(round);
                let is_leader = barrier.wait();
                assert_eq!(data[1 - me].get(), round);
                // Not before the other has looked, either.
                barrier.wait();
                is_leader
            };
            [1, 2].map(leads)
        };
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || pass(1, &theirs));
        let mine = pass(0, &shared);
        let theirs = other.join().unwrap();
        assert!(mine.iter().zip(theirs).all(|(mine, theirs)| *mine != theirs), "one leader");
    });
}

/// Three meet: two wait, and both are let go.
#[test]
fn a_barrier_lets_all_of_a_group_go() {
    crate::check(|| {
        let barrier = Arc::new(Barrier::new(3));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                thread::spawn(move || barrier.wait())
            })
            .collect();
        let leads = usize::from(barrier.wait());
        let leaders = others.into_iter().map(|other| usize::from(other.join().unwrap())).sum::<usize>();
        assert_eq!(leads + leaders, 1);
    });
}

/// Two readers and a writer, in any order: the writer comes after all readers that are in, and those that come later,
/// waiting or not, see what it wrote.
#[test]
fn a_writer_comes_after_all_readers_and_before_the_next() {
    crate::check(|| {
        let pair = Arc::new(RwLock::new((Tracked::new(0), Tracked::new(0))));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let pair = Arc::clone(&pair);
                thread::spawn(move || {
                    let pair = pair.read();
                    assert_eq!(pair.0.get(), pair.1.get());
                })
            })
            .collect();
        write(&pair);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}
