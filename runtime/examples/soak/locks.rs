//! Scenarios of locks and meeting points.

use crate::{Random, join_all, micros, pause};
use corefit_runtime::go;
use corefit_runtime::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A queue with room for three, of a lock and two conditions.
pub(crate) fn queue(mut random: Random) {
    struct Queue {
        items: Mutex<Vec<usize>>,
        has_room: Condvar,
        has_item: Condvar,
    }
    let queue =
        Arc::new(Queue { items: Mutex::new(Vec::new()), has_room: Condvar::new(), has_item: Condvar::new() });
    let (pairs, each) = (1 + random.below(4), random.below(200));
    let producers: Vec<_> = (0..pairs)
        .map(|_| {
            let (queue, mut random) = (Arc::clone(&queue), random.fork());
            go(move || {
                for value in 1..=each {
                    let mut items = queue.items.lock();
                    while items.len() == 3 {
                        items = queue.has_room.wait_timeout(items, micros(random.below(500))).0;
                    }
                    items.push(value);
                    drop(items);
                    queue.has_item.notify_one();
                    pause(&mut random);
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..pairs)
        .map(|_| {
            let (queue, mut random) = (Arc::clone(&queue), random.fork());
            go(move || {
                (0..each)
                    .map(|_| {
                        let mut items = queue.items.lock();
                        while items.is_empty() {
                            items = queue.has_item.wait(items);
                        }
                        let value = items.pop().expect("there is one");
                        drop(items);
                        queue.has_room.notify_one();
                        pause(&mut random);
                        value
                    })
                    .sum::<usize>()
            })
        })
        .collect();
    join_all(producers);
    assert_eq!(join_all(consumers).into_iter().sum::<usize>(), pairs * each * (each + 1) / 2);
}

/// Readers never see half of a write, and no write is lost.
pub(crate) fn readers(mut random: Random) {
    let pair = Arc::new(RwLock::new((0_usize, 0_usize)));
    let each = random.below(300);
    let parts: Vec<_> = (0..2 + random.below(6))
        .map(|_| {
            let (pair, mut random) = (Arc::clone(&pair), random.fork());
            go(move || {
                let mut writes = 0;
                for _ in 0..each {
                    if random.chance(5) {
                        let mut pair = pair.write();
                        pair.0 += 1;
                        pause(&mut random);
                        pair.1 += 1;
                        writes += 1;
                    } else {
                        let pair = pair.read();
                        assert_eq!(pair.0, pair.1);
                        pause(&mut random);
                    }
                }
                writes
            })
        })
        .collect();
    let writes: usize = join_all(parts).into_iter().sum();
    assert_eq!(*pair.read(), (writes, writes));
}

/// No more inside than permits; all permits come back.
pub(crate) fn permits(mut random: Random) {
    let total = 1 + random.below(4);
    let shared = Arc::new((Semaphore::new(total), AtomicUsize::new(0)));
    let each = random.below(200);
    let parts: Vec<_> = (0..1 + random.below(8))
        .map(|_| {
            let (shared, mut random) = (Arc::clone(&shared), random.fork());
            go(move || {
                for _ in 0..each {
                    let wanted = 1 + random.below(total);
                    let permit = shared.0.acquire_many(wanted);
                    assert!(shared.1.fetch_add(wanted, SeqCst) + wanted <= total, "too many inside");
                    pause(&mut random);
                    shared.1.fetch_sub(wanted, SeqCst);
                    drop(permit);
                }
            })
        })
        .collect();
    join_all(parts);
    assert_eq!(shared.0.available(), total);
}

/// Barrier, wait group and once: every group has one leader, and everyone sees what was done once.
pub(crate) fn meetings(mut random: Random) {
    let (size, rounds) = (1 + random.below(6), random.below(50));
    let shared = Arc::new((Barrier::new(size), Once::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
    let group = WaitGroup::new();
    group.add(size);
    for _ in 0..size {
        let (shared, group, mut random) = (Arc::clone(&shared), group.clone(), random.fork());
        drop(go(move || {
            for _ in 0..rounds {
                pause(&mut random);
                if shared.0.wait() {
                    shared.2.fetch_add(1, SeqCst);
                }
                shared.1.call_once(|| {
                    pause(&mut random);
                    shared.3.fetch_add(1, SeqCst);
                });
                assert_eq!(shared.3.load(SeqCst), 1);
            }
            group.done();
        }));
    }
    group.wait();
    assert_eq!(shared.2.load(SeqCst), rounds);
}
