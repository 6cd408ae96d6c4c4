//! The number of processors, changed under load.

use crate::{Config, JoinHandle, chan, current, go, gomaxprocs, yield_now};
use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// Counts the goroutines that execute at once, against how many may.
///
/// The limit is raised before the number of processors is, and lowered after it was seen to be lower. A section looks at
/// the epoch before and after it counts: if the limit was changed meanwhile, the count says nothing.
#[derive(Default)]
struct Meter {
    executing: AtomicUsize,
    limit: AtomicUsize,
    epoch: AtomicUsize,
    compared: AtomicUsize,
    most: AtomicUsize,
}

impl Meter {
    fn set_limit(&self, limit: usize) {
        self.epoch.fetch_add(1, SeqCst);
        self.limit.store(limit, SeqCst);
        self.epoch.fetch_add(1, SeqCst);
    }

    /// A section of code that does not let go of its processor.
    fn section(&self) {
        let (before, limit) = (self.epoch.load(SeqCst), self.limit.load(SeqCst));
        let count = self.executing.fetch_add(1, SeqCst) + 1;
        if before.is_multiple_of(2) && before == self.epoch.load(SeqCst) {
            assert!(count <= limit, "{count} goroutines execute at once, {limit} may");
            self.compared.fetch_add(1, SeqCst);
        }
        self.most.fetch_max(count, SeqCst);
        (0..20).for_each(|_| spin_loop());
        self.executing.fetch_sub(1, SeqCst);
    }
}

/// Sets the number of processors to `procs`, and raises the meter's limit in time.
fn resize(meter: &Meter, procs: usize) {
    let before = gomaxprocs(0);
    if procs > meter.limit.load(SeqCst) {
        meter.set_limit(procs);
    }
    assert_eq!(gomaxprocs(procs), before);
    assert_eq!(gomaxprocs(0), procs);
}

/// Waits until no more than `procs` processors are in use, and lowers the limit to that.
fn settle(meter: &Meter, procs: usize) {
    let runtime = current::runtime().expect("in a runtime");
    // The others give their processors up when they next come to a scheduling point.
    while runtime.live() > procs {
        yield_now();
    }
    meter.set_limit(procs);
}

/// A pair that passes `0..count` through a channel with sections between; the sum of what came.
fn pair(meter: &Arc<Meter>, done: &Arc<AtomicBool>) -> (JoinHandle<usize>, JoinHandle<usize>) {
    let (send, receive) = chan(2);
    let (theirs, done) = (Arc::clone(meter), Arc::clone(done));
    let sender = go(move || {
        let mut sent = 0;
        while !done.load(SeqCst) {
            theirs.section();
            send.send(1).expect("it is received");
            sent += 1;
        }
        sent
    });
    let theirs = Arc::clone(meter);
    let receiver = go(move || {
        receive
            .iter()
            .map(|one: usize| {
                theirs.section();
                yield_now();
                one
            })
            .sum()
    });
    (sender, receiver)
}

#[test]
fn ten_thousand_changes_under_load_lose_nothing_and_let_no_one_too_many_execute() {
    const CHANGES: usize = 10_000;
    let meter = Arc::new(Meter::default());
    let theirs = Arc::clone(&meter);
    Config::new().procs(1).run(move || {
        let meter = theirs;
        meter.set_limit(1);
        let done = Arc::new(AtomicBool::new(false));
        let pairs: Vec<_> = (0..3).map(|_| pair(&meter, &done)).collect();
        for change in 0..CHANGES {
            // 1, 2 and 3: each follows each.
            let procs = [1, 2, 3, 2, 1, 3][change % 6];
            resize(&meter, procs);
            // Not each time: these wait for the system to let other workers run.
            if change.is_multiple_of(100) {
                settle(&meter, procs);
            } else if change.is_multiple_of(5) {
                yield_now();
            }
        }
        done.store(true, SeqCst);
        for (sender, receiver) in pairs {
            let sent = sender.join().expect("it does not panic");
            assert_eq!(receiver.join().expect("it does not panic"), sent);
            assert!(sent > 0);
        }
    });
    assert!(meter.compared.load(SeqCst) > 0, "no count was compared");
    assert!(meter.most.load(SeqCst) <= 3);
}
