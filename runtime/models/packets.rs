//! The result on its way to whoever joins: it arrives once, with what was written before; dropped ends leave nothing.

use crate::packet::packet;
use crate::primitives::Arc;
use crate::tracked::Tracked;
use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use loom::thread;

/// A result whose drops are counted, and watched.
#[derive(Debug)]
struct Watched {
    data: Tracked,
    drops: Arc<AtomicUsize>,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.data.set(0);
        // Publishes nothing.
        self.drops.fetch_add(1, Relaxed);
    }
}

fn watched(drops: &Arc<AtomicUsize>) -> Watched {
    let data = Tracked::new(0);
    data.set(7);
    Watched { data, drops: Arc::clone(drops) }
}

#[test]
fn a_result_arrives_with_what_was_written_before() {
    crate::check(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (promise, receipt) = packet();
        let theirs = Arc::clone(&drops);
        let goroutine = thread::spawn(move || promise.complete(Ok(watched(&theirs))));
        let result = receipt.wait().unwrap();
        assert_eq!((result.data.get(), drops.load(Relaxed)), (7, 0));
        drop(result);
        goroutine.join().unwrap();
        assert_eq!(drops.load(Relaxed), 1);
    });
}

#[test]
fn a_result_is_there_when_it_is_said_to_be() {
    crate::check(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (promise, receipt) = packet();
        let theirs = Arc::clone(&drops);
        let goroutine = thread::spawn(move || promise.complete(Ok(watched(&theirs))));
        if receipt.is_done() {
            assert_eq!(receipt.wait().unwrap().data.get(), 7);
        } else {
            drop(receipt);
        }
        goroutine.join().unwrap();
        assert_eq!(drops.load(Relaxed), 1, "dropped once, by either end");
    });
}

#[test]
fn two_ends_that_are_dropped_leave_nothing() {
    crate::check(|| {
        let (promise, receipt) = packet::<Watched>();
        let goroutine = thread::spawn(move || drop(promise));
        drop(receipt);
        goroutine.join().unwrap();
    });
}
