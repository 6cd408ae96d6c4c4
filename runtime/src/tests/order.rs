//! The order in which goroutines run, and how many there are at a time.

use crate::{Config, chan, go, yield_now};
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Goroutines of `tree` that have been started and have not ended, and the most there ever were.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static MOST_ALIVE: AtomicUsize = AtomicUsize::new(0);

/// A task that divides in two, `levels` times, and does one half itself. Returns how many tasks there were.
fn tree(levels: usize) -> usize {
    if levels == 0 {
        return 1;
    }
    MOST_ALIVE.fetch_max(ALIVE.fetch_add(1, SeqCst) + 1, SeqCst);
    let other = go(move || {
        let tasks = tree(levels - 1);
        ALIVE.fetch_sub(1, SeqCst);
        tasks
    });
    tree(levels - 1) + other.join().unwrap()
}

#[test]
fn tasks_that_divide_and_join_are_gone_through_in_depth() {
    assert_eq!(Config::new().procs(1).run(|| tree(14)), 1 << 14);
    // In depth there are 14, and 14 more each time that another one had to have its turn: 1539. In breadth 5147 of 16,384.
    let most = MOST_ALIVE.load(SeqCst);
    assert!(most < 3_000, "{most} at a time");
}

#[test]
fn whoever_yields_directly_is_not_left_behind_one_that_never_checks() {
    Config::new().procs(2).run(|| {
        for _ in 0..20 {
            // Hand-overs make the processor lazy: it wakes no one for the next.
            let (ping, pong) = (chan::chan(0), chan::chan(0));
            let echo = go(move || ping.1.into_iter().for_each(|n: u32| pong.0.send(n).unwrap()));
            for n in 0..2_000 {
                ping.0.send(n).unwrap();
                assert_eq!(pong.1.recv(), Ok(n));
            }
            drop(ping.0);
            echo.join().unwrap();
            let (go_on, is_on) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
            let (theirs, is_on_there) = (go_on.clone(), is_on.clone());
            // Runs next when this one yields, and then computes until this one goes on: on the other processor.
            let computing = go(move || {
                is_on_there.store(true, SeqCst);
                while !theirs.load(SeqCst) {
                    hint::spin_loop();
                }
            });
            while !is_on.load(SeqCst) {
                yield_now();
            }
            go_on.store(true, SeqCst);
            computing.join().unwrap();
        }
    });
}
