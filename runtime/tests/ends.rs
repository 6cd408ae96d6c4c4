//! The end of a runtime with goroutines alive in every kind of wait: none of them runs again, what they own is leaked, and
//! whoever tries to wake one from outside does no harm.

use corefit_runtime::net::{TcpListener, UnixStream};
use corefit_runtime::sync::{Barrier, Condvar, Mutex, Semaphore, WaitGroup};
use corefit_runtime::{Config, blocking, chan, go, select, spawn_pinned, time, yield_now};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// Counts those that go on after their wait, or are dropped.
struct Watch(Arc<AtomicUsize>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn goroutines_in_every_wait_are_left_where_they_are() {
    let ended = Arc::new(AtomicUsize::new(0));
    for procs in [1, 2, 4] {
        let watch = {
            let ended = Arc::clone(&ended);
            move || Watch(Arc::clone(&ended))
        };
        Config::new().procs(procs).run(move || {
            let begun = Arc::new(AtomicUsize::new(0));
            let start = |wait: Box<dyn FnOnce() + Send>| {
                let (watch, begun) = (watch(), Arc::clone(&begun));
                drop(go(move || {
                    let _watch = watch;
                    begun.fetch_add(1, SeqCst);
                    wait();
                }));
            };
            let (tx, rx) = chan::<u8>(0);
            let (theirs, group) = (rx.clone(), WaitGroup::new());
            group.add(1);
            start(Box::new(move || {
                let _ = theirs.recv();
            }));
            start(Box::new(
                move || select! { recv(rx) -> _got => {}, timeout(Duration::from_secs(3600)) => {} },
            ));
            start(Box::new(|| time::sleep(Duration::from_secs(3600))));
            start(Box::new(move || group.wait()));
            start(Box::new(|| drop(Semaphore::new(0).acquire())));
            start(Box::new(|| {
                let _ = Barrier::new(2).wait();
            }));
            start(Box::new(|| {
                drop(
                    go(|| {
                        loop {
                            yield_now()
                        }
                    })
                    .join(),
                )
            }));
            start(Box::new(|| drop(TcpListener::bind(("127.0.0.1", 0)).unwrap().accept())));
            start(Box::new(|| {
                let (mut one, _other) = UnixStream::pair().unwrap();
                let _ = one.read(&mut [0]);
            }));
            start(Box::new(|| {
                let mutex = Mutex::new(());
                drop(Condvar::new().wait(mutex.lock()));
            }));
            start(Box::new(|| drop(spawn_pinned(|| time::sleep(Duration::from_secs(3600))).join())));
            start(Box::new(|| {
                loop {
                    yield_now()
                }
            }));
            start(Box::new(|| blocking(|| thread::sleep(Duration::from_millis(2)))));
            while begun.load(SeqCst) < 13 {
                yield_now();
            }
            std::mem::forget(tx);
        });
    }
    // The blocking calls are over by now.
    thread::sleep(Duration::from_millis(20));
    // The body of a blocking call may have ended before its runtime did.
    assert!(ended.load(SeqCst) <= 3, "{} of those that waited went on", ended.load(SeqCst));
}

#[test]
fn waking_goroutines_of_a_runtime_that_has_ended_does_no_harm() {
    for procs in [1, 2] {
        let went_on = Arc::new(AtomicUsize::new(0));
        let (senders, (done_tx, done_rx)) = (Arc::new(Mutex::new(Vec::new())), chan::<()>(0));
        let (theirs, ours) = (Arc::clone(&senders), Arc::clone(&went_on));
        Config::new().procs(procs).run(move || {
            for _ in 0..20 {
                let ((tx, rx), (begun, has_begun)) = (chan::<u8>(0), chan(0));
                theirs.lock().push(tx);
                let went_on = Arc::clone(&ours);
                drop(go(move || {
                    begun.send(()).unwrap();
                    let _ = rx.recv();
                    went_on.fetch_add(1, SeqCst);
                }));
                has_begun.recv().unwrap();
            }
            yield_now();
            drop(done_tx);
        });
        assert!(done_rx.recv().is_err());
        // Each of these finds a goroutine that waits, and wakes it: in vain.
        let senders = std::mem::take(&mut *senders.lock());
        let threads: Vec<_> =
            senders.into_iter().map(|tx| thread::spawn(move || tx.try_send(1).is_ok())).collect();
        threads.into_iter().for_each(|thread| {
            thread.join().unwrap();
        });
        // And the next runtime is not disturbed by them.
        Config::new().procs(procs).run(|| {
            let parts: Vec<_> = (0..100).map(|n| go(move || n)).collect();
            assert_eq!(parts.into_iter().map(|part| part.join().unwrap()).sum::<i32>(), 4950);
        });
        assert_eq!(went_on.load(SeqCst), 0);
    }
}

#[test]
fn threads_that_wake_while_the_runtime_ends_do_no_harm() {
    for round in 0..50 {
        let (tx, rx) = chan::<usize>(0);
        let waker = thread::spawn(move || (0..1000).filter(|n| tx.try_send(*n).is_ok()).count());
        Config::new().procs(1 + round % 2).run(move || {
            for _ in 0..4 {
                let rx = rx.clone();
                drop(go(move || while rx.recv().is_ok() {}));
            }
            (0..round).for_each(|_| yield_now());
        });
        waker.join().unwrap();
    }
}
