//! The order in which goroutines run, and how many there are at a time.

use crate::{Config, go};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

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
