//! Locks and meeting points, between threads and between goroutines.

mod ground;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicIsize;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use corefit_runtime::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use corefit_runtime::yield_now;
use ground::{Ground, Task, everywhere};

/// Runs `count` of `work`, numbered, at the same time.
fn together<T: Send + 'static>(
    ground: Ground,
    count: usize,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
) -> Vec<T> {
    let work = Arc::new(work);
    let tasks: Vec<_> = (0..count)
        .map(|n| {
            let work = work.clone();
            ground.spawn(move || work(n))
        })
        .collect();
    tasks.into_iter().map(Task::join).collect()
}

#[test]
fn a_mutex_excludes() {
    everywhere(|ground| {
        let mutex = Arc::new(Mutex::new((0_u64, 0_u64)));
        let shared = mutex.clone();
        together(ground, 4, move |_| {
            for n in 0..500 {
                let mut guard = shared.lock();
                guard.0 += 1;
                if n % 64 == 0 {
                    yield_now();
                }
                guard.1 += 1;
                assert_eq!(guard.0, guard.1, "two in the critical section");
            }
        });
        assert_eq!(*mutex.lock(), (2000, 2000));
    });
}

#[test]
fn a_mutex_whose_owner_hogs_it_still_serves_the_others() {
    everywhere(|ground| {
        let mutex = Arc::new(Mutex::new(0_u32));
        let is_over = Arc::new(AtomicBool::new(false));
        let hog = {
            let (mutex, is_over) = (mutex.clone(), is_over.clone());
            ground.spawn(move || {
                while !is_over.load(SeqCst) {
                    let mut guard = mutex.lock();
                    *guard = guard.wrapping_add(1);
                    // Long enough that a waiter starves, and the lock is taken again at once.
                    let until = Instant::now() + Duration::from_micros(300);
                    while Instant::now() < until {
                        std::hint::spin_loop();
                    }
                }
            })
        };
        for _ in 0..10 {
            drop(mutex.lock());
            yield_now();
        }
        is_over.store(true, SeqCst);
        hog.join();
    });
}

/// Whoever is woken by an unlock runs on another processor if this one does not let it: how soon depends on how soon an
/// idle CPU wakes up, here that it does.
#[test]
fn a_woken_waiter_is_not_left_behind_a_busy_processor() {
    corefit_runtime::Config::new().procs(2).run(|| {
        let mutex = Arc::new(Mutex::new(()));
        for _ in 0..20 {
            let has_passed = Arc::new(AtomicBool::new(false));
            let guard = mutex.lock();
            let waiter = {
                let (mutex, has_passed) = (mutex.clone(), has_passed.clone());
                Ground::Goroutines.spawn(move || {
                    drop(mutex.lock());
                    has_passed.store(true, SeqCst);
                })
            };
            (0..3).for_each(|_| yield_now());
            drop(guard);
            while !has_passed.load(SeqCst) {
                std::hint::spin_loop();
            }
            waiter.join();
        }
    });
}

#[test]
fn a_mutex_is_released_by_a_panic() {
    everywhere(|_| {
        let mutex = Mutex::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _guard = mutex.lock();
            std::panic::resume_unwind(Box::new("in the section"));
        }));
        assert!(panicked.is_err());
        assert_eq!(*mutex.lock(), 1);
    });
}

#[test]
fn an_rwlock_has_many_readers_or_one_writer() {
    everywhere(|ground| {
        let lock = Arc::new(RwLock::new((0_u64, 0_u64)));
        // Readers inside, or -1 for a writer.
        let inside = Arc::new(AtomicIsize::new(0));
        let (shared, count) = (lock.clone(), inside.clone());
        together(ground, 4, move |n| {
            for round in 0..300 {
                if (round + n) % 4 == 0 {
                    let mut guard = shared.write();
                    assert_eq!(count.swap(-1, SeqCst), 0, "a writer is not alone");
                    guard.0 += 1;
                    if round % 16 == 0 {
                        yield_now();
                    }
                    guard.1 += 1;
                    assert_eq!(count.swap(0, SeqCst), -1, "a writer was not alone");
                } else {
                    let guard = shared.read();
                    assert!(count.fetch_add(1, SeqCst) >= 0, "a reader beside a writer");
                    if round % 16 == 0 {
                        yield_now();
                    }
                    assert_eq!(guard.0, guard.1);
                    count.fetch_sub(1, SeqCst);
                }
            }
        });
        assert_eq!(*lock.read(), (300, 300));
        assert_eq!(inside.load(SeqCst), 0);
    });
}

#[test]
fn a_writer_that_has_waited_long_holds_off_new_readers() {
    everywhere(|ground| {
        let lock = Arc::new(RwLock::new(0));
        let first = lock.read();
        let writer = {
            let lock = lock.clone();
            ground.spawn(move || *lock.write() = 1)
        };
        while lock.try_read().is_some() {
            yield_now();
        }
        assert_eq!(*first, 0);
        let reader = {
            let lock = lock.clone();
            ground.spawn(move || *lock.read())
        };
        drop(first);
        assert_eq!(reader.join(), 1, "the reader overtook the writer");
        writer.join();
    });
}

#[test]
fn a_condvar_hands_every_item_of_a_queue_over_once() {
    everywhere(|ground| {
        let queue = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let shared = queue.clone();
        let consumers = ground.spawn(move || {
            together(ground, 3, move |_| {
                let mut taken = Vec::new();
                loop {
                    let mut items = shared.0.lock();
                    while items.is_empty() {
                        items = shared.1.wait(items);
                    }
                    match items.pop().flatten() {
                        Some(item) => taken.push(item),
                        None => return taken,
                    }
                }
            })
        });
        for n in 0..300 {
            queue.0.lock().insert(0, Some(n));
            queue.1.notify_one();
        }
        queue.0.lock().splice(0..0, [None; 3]);
        queue.1.notify_all();
        let mut taken: Vec<i32> = consumers.join().into_iter().flatten().collect();
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..300));
    });
}

#[test]
fn a_condvar_wait_times_out_without_a_notification() {
    everywhere(|ground| {
        let pair = Arc::new((Mutex::new(false), Condvar::default()));
        let (guard, timed_out) = pair.1.wait_timeout(pair.0.lock(), Duration::from_millis(1));
        assert!(timed_out && !*guard);
        let notifier = {
            let pair = pair.clone();
            ground.spawn(move || {
                *pair.0.lock() = true;
                pair.1.notify_one();
            })
        };
        // The notifier cannot set it before this wait has released the lock.
        let (guard, timed_out) = pair.1.wait_timeout(guard, Duration::MAX);
        assert!(!timed_out && *guard);
        drop(guard);
        notifier.join();
    });
}

#[test]
fn notifying_nobody_is_forgotten() {
    let (mutex, condvar) = (Mutex::new(()), Condvar::new());
    condvar.notify_one();
    condvar.notify_all();
    assert!(condvar.wait_timeout(mutex.lock(), Duration::from_millis(1)).1);
}

#[test]
fn a_wait_group_waits_for_all_and_can_be_used_again() {
    everywhere(|ground| {
        let group = WaitGroup::new();
        let done = Arc::new(AtomicUsize::new(0));
        for round in 1..=20 {
            group.add(3);
            for _ in 0..3 {
                let (group, done) = (group.clone(), done.clone());
                ground.spawn(move || {
                    done.fetch_add(1, SeqCst);
                    group.done();
                });
            }
            let second = {
                let group = group.clone();
                ground.spawn(move || group.wait())
            };
            group.wait();
            assert_eq!(done.load(SeqCst), round * 3);
            second.join();
        }
    });
}

#[test]
fn once_runs_one_closure_and_the_others_wait_for_its_end() {
    everywhere(|ground| {
        for _ in 0..20 {
            let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
            let seen = together(ground, 4, move |_| {
                shared.0.call_once(|| {
                    yield_now();
                    shared.1.fetch_add(1, SeqCst);
                });
                shared.1.load(SeqCst)
            });
            assert_eq!(seen, [1; 4]);
        }
    });
}

#[test]
fn once_tries_again_after_panics() {
    everywhere(|ground| {
        let shared = Arc::new((Once::new(), AtomicUsize::new(0)));
        let panics = together(ground, 4, move |_| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                shared.0.call_once(|| {
                    if shared.1.fetch_add(1, SeqCst) < 2 {
                        std::panic::resume_unwind(Box::new("not yet"));
                    }
                });
            }))
            .is_err()
        });
        assert_eq!(panics.into_iter().filter(|panicked| *panicked).count(), 2);
    });
}

#[test]
fn a_semaphore_never_gives_more_than_it_has() {
    everywhere(|ground| {
        let semaphore = Arc::new(Semaphore::new(3));
        let used = Arc::new(AtomicUsize::new(0));
        let (shared, count) = (semaphore.clone(), used.clone());
        together(ground, 4, move |n| {
            for round in 0..200 {
                let want = 1 + (round + n) % 3;
                let permit = shared.acquire_many(want);
                assert!(count.fetch_add(want, SeqCst) + want <= 3);
                if round % 16 == 0 {
                    yield_now();
                }
                count.fetch_sub(want, SeqCst);
                drop(permit);
            }
        });
        assert_eq!(semaphore.available(), 3);
    });
}

#[test]
fn a_large_request_is_not_overtaken_by_small_ones() {
    everywhere(|ground| {
        let shared = Arc::new((Semaphore::new(2), Mutex::new(Vec::new())));
        let request = |count| {
            let shared = shared.clone();
            ground.spawn(move || {
                let _permit = shared.0.acquire_many(count);
                shared.1.lock().push(count);
            })
        };
        let held = shared.0.acquire();
        let large = request(2);
        // One permit is left all the time; it is refused once the large request waits.
        while shared.0.try_acquire().is_some() {
            yield_now();
        }
        assert_eq!(shared.0.available(), 1);
        let small = request(1);
        (0..10).for_each(|_| yield_now());
        drop(held);
        large.join();
        small.join();
        assert_eq!(*shared.1.lock(), [2, 1]);
        assert_eq!(shared.0.available(), 2);
    });
}

#[test]
fn a_permit_may_be_given_to_another() {
    everywhere(|ground| {
        static SEATS: Semaphore = Semaphore::new(1);
        let permit = SEATS.acquire();
        ground.spawn(move || drop(permit)).join();
        drop(SEATS.acquire());
    });
}

#[test]
fn a_barrier_passes_whole_groups_and_has_one_leader_each() {
    everywhere(|ground| {
        let barrier = Arc::new(Barrier::new(3));
        let arrived = Arc::new(AtomicUsize::new(0));
        let leads = together(ground, 3, move |_| {
            (1..=50)
                .filter(|round| {
                    arrived.fetch_add(1, SeqCst);
                    let is_leader = barrier.wait();
                    assert!(arrived.load(SeqCst) >= round * 3, "passed before the group was complete");
                    barrier.wait();
                    is_leader
                })
                .count()
        });
        assert_eq!(leads.into_iter().sum::<usize>(), 50);
    });
}
