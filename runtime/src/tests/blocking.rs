//! Blocking calls: no processor inside, threads used again, and not more of them than there may be.

use crate::{Config, JoinHandle, blocking, chan, current, go, spawn_pinned, sync, time, yield_now};
use std::collections::HashSet;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Whether the goroutine that runs here holds a processor.
fn holds_processor() -> bool {
    current::with(|context| context.with_core(|core| core.is_some())).expect("a goroutine runs here")
}

#[test]
fn the_processor_is_handed_off_before_the_closure_starts() {
    Config::new().procs(1).run(|| {
        assert!(holds_processor());
        let (send, receive) = mpsc::channel();
        // Runs only when this goroutine has let go of the only processor, and without its help: it waits as a thread does.
        let other = go(move || send.send(thread::current().id()).expect("it is received"));
        let (inside, ran_here) = blocking(move || {
            let ran_on = receive.recv().expect("it is sent");
            (holds_processor(), ran_on == thread::current().id())
        });
        assert!(!inside && !ran_here);
        assert!(holds_processor());
        other.join().expect("it does not panic");
    });
}

/// Calls `wait` inside a blocking call while the only processor has something to do, and again after it: no processor may
/// be held after the wait either.
#[track_caller]
fn check_wait(wait: impl FnOnce() + Send + 'static) {
    let (inside, stayed) = Config::new().procs(1).run(move || {
        blocking(move || {
            let thread = thread::current().id();
            wait();
            (holds_processor(), thread::current().id() == thread)
        })
    });
    assert!(!inside, "it holds a processor while it may block");
    assert!(stayed, "it left its thread");
}

#[test]
fn a_closure_that_waits_for_a_goroutine_holds_no_processor_afterwards() {
    check_wait(|| {
        let (send, receive) = chan(0);
        let sender = go(move || send.send(1));
        assert_eq!(receive.recv(), Ok(1));
        assert_eq!(sender.join().expect("it does not panic"), Ok(()));
    });
}

#[test]
fn nor_does_one_that_locks_sleeps_yields_or_times_out() {
    check_wait(|| {
        let lock = Arc::new(sync::Mutex::new(0));
        let theirs = Arc::clone(&lock);
        let guard = lock.lock();
        let other = go(move || *theirs.lock() += 1);
        yield_now();
        drop(guard);
        other.join().expect("it does not panic");
        assert_eq!(*lock.lock(), 1);
    });
    check_wait(|| time::sleep(Duration::from_millis(1)));
    check_wait(yield_now);
    check_wait(|| {
        let (_send, receive) = chan::<u8>(0);
        assert!(receive.recv_timeout(Duration::from_millis(1)).is_err());
    });
}

#[test]
fn a_pinned_goroutine_may_wait_inside_a_blocking_call_too() {
    Config::new().procs(1).run(|| {
        let (send, receive) = chan(0);
        let pinned = spawn_pinned(move || blocking(move || (receive.recv(), holds_processor())));
        send.send(4).expect("it is received");
        assert_eq!(pinned.join().expect("it does not panic"), (Ok(4), false));
    });
}

#[test]
fn while_closures_wait_for_each_other_the_processor_serves_others() {
    Config::new().procs(1).run(|| {
        let (send, receive) = chan(0);
        // Two closures that pass values on, as threads do, and between them a goroutine that needs the processor.
        let (back, got) = mpsc::channel();
        let first =
            go(move || blocking(move || (0..100).for_each(|n| send.send(n).expect("it is received"))));
        let second = go(move || {
            blocking(move || receive.iter().for_each(|n| back.send(n).expect("it is received")));
        });
        for n in 0..100 {
            while got.try_recv() != Ok(n) {
                yield_now();
            }
        }
        first.join().expect("it does not panic");
        second.join().expect("it does not panic");
    });
}

#[test]
fn threads_are_used_again() {
    let (threads, machines) = Config::new().procs(1).run(|| {
        let threads: HashSet<_> = (0..200).map(|_| blocking(|| thread::current().id())).collect();
        (threads.len(), current::runtime().expect("in a runtime").synced.lock().next_machine)
    });
    // The one that blocks, the one that has the processor meanwhile, and the one in the poller; and one more for each that
    // the system has taken off the CPU just before it is idle.
    assert!(
        threads <= 20 && machines <= 20,
        "{threads} threads of {machines} workers for one call at a time"
    );
}

#[test]
fn beyond_the_most_threads_a_call_fails_with_what_to_do() {
    const MOST: usize = 4;
    Config::new().procs(1).run(|| {
        current::runtime().expect("in a runtime").synced.lock().most_machines = MOST;
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let (begun, begins) = chan(MOST);
        // There is always someone who needs the processor.
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let theirs = Arc::clone(&stop);
        let busy = go(move || {
            while !theirs.load(std::sync::atomic::Ordering::SeqCst) {
                yield_now();
            }
        });
        let calls: Vec<JoinHandle<()>> = (0..MOST)
            .map(|_| {
                let (gate, begun) = (Arc::clone(&gate), begun.clone());
                go(move || {
                    blocking(move || {
                        begun.send(()).expect("there is room");
                        drop(gate.lock());
                    });
                })
            })
            .collect();
        let held = Arc::clone(&gate);
        let held = held.lock();
        // One thread has the processor, so one call too many is made; all others have begun.
        (1..MOST).for_each(|_| begins.recv().expect("one begins"));
        while !calls.iter().any(JoinHandle::is_finished) {
            yield_now();
        }
        drop(held);
        drop(open);
        let failed: Vec<String> = calls
            .into_iter()
            .filter_map(|call| call.join().err())
            .map(|panic| *panic.downcast::<String>().expect("it panics with a text"))
            .collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed[0].starts_with("a blocking call needs one more thread"), "{failed:?}");
        assert!(failed[0].contains("there are 4 already") && failed[0].contains("Semaphore"), "{failed:?}");
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        busy.join().expect("it does not panic");
        // There are threads again.
        assert_eq!(blocking(|| 5), 5);
    });
}
