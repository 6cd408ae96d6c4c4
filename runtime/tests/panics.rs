//! Panics in the user's code inside every primitive: the panic arrives at `join`, and the primitive goes on working.
//! And waits of every kind in destructors while a panic unwinds.

#![allow(clippy::unwrap_used, reason = "a test, also in its functions that are not marked as one")]

use corefit_runtime::chan::Receiver;
use corefit_runtime::net::UnixStream;
use corefit_runtime::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use corefit_runtime::{Config, blocking, chan, go, select, spawn_pinned, time, try_go, yield_now};
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const ON_PURPOSE: &str = "on purpose";

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic_any(ON_PURPOSE);
        }
    }
}

/// Runs `f`, in which the panic must come, and not another one.
#[track_caller]
fn explodes<R>(f: impl FnOnce() -> R) {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(f()))).expect_err("the panic comes through");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&ON_PURPOSE));
}

/// Keeps the messages of panics on purpose out of the output.
fn quietly() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&ON_PURPOSE) {
            before(info);
        }
    }));
}

/// A primitive, and what is done to it.
type Case = (&'static str, fn());

const CASES: [Case; 17] = [
    ("a goroutine's body", body),
    ("a result that no one takes", result),
    ("a payload whose own drop panics", payload),
    ("a buffered value dropped with its channel", buffered),
    ("a value given back by a closed channel", refused),
    ("a value under recv_timeout's end", iterated),
    ("the body of a select", select_body),
    ("the value of a select arm that lost", select_loser),
    ("a mutex", mutex),
    ("a lock for many readers", rwlock),
    ("a condition", condvar),
    ("a closure that runs once", once),
    ("a permit", permit),
    ("a barrier", barrier),
    ("a group", group),
    ("a blocking call", blocking_call),
    ("a timeout", timeout),
];

#[test]
fn every_primitive_survives_a_panic_of_the_user_s_code() {
    quietly();
    for procs in [1, 2] {
        for (name, case) in CASES {
            let ended = Config::new().procs(procs).run(move || go(case).join());
            assert!(ended.is_ok(), "{name} at {procs}");
        }
    }
}

fn body() {
    for start in [go::<(), fn()>, spawn_pinned::<(), fn()>] {
        let payload = start(|| panic_any(ON_PURPOSE)).join().unwrap_err();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&ON_PURPOSE));
    }
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

/// The goroutine drops its result itself, since the handle is gone.
fn result() {
    let ((ended, wait), (gone, is_gone)) = (chan::<()>(0), chan::<()>(0));
    let handle = go(move || {
        let _ended = ended;
        let _ = is_gone.recv();
        Bomb
    });
    drop(handle);
    drop(gone);
    assert!(wait.recv().is_err(), "the goroutine ended");
    yield_now();
    // The handle drops the result.
    let handle = go(|| Bomb);
    while !handle.is_finished() {
        yield_now();
    }
    explodes(|| drop(handle));
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

fn payload() {
    drop(go(|| panic_any(Bomb)));
    let error = go(|| panic_any(Bomb)).join().unwrap_err();
    explodes(|| drop(error));
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

fn buffered() {
    let (tx, rx) = chan(3);
    tx.send(Bomb).unwrap_or_else(|_error| panic!("the channel is open"));
    explodes(|| drop(rx));
    assert!(catch_unwind(AssertUnwindSafe(|| tx.send(Bomb))).is_ok_and(|sent| {
        std::mem::forget(sent.unwrap_err());
        true
    }));
}

fn refused() {
    let (tx, rx) = chan(0);
    let theirs = tx.clone();
    let sender = go(move || explodes(|| theirs.send(Bomb).map_err(drop)));
    while !sender.is_finished() {
        tx.close();
        yield_now();
    }
    sender.join().unwrap();
    assert!(rx.recv().is_err());
}

/// The body of a loop over a channel panics: the rest stays there for others.
fn iterated() {
    let (tx, rx) = chan(2);
    (0..2).for_each(|n| tx.send(n).unwrap());
    explodes(|| {
        for n in &rx {
            if n == 0 {
                panic_any(ON_PURPOSE);
            }
        }
    });
    assert_eq!(rx.recv(), Ok(1));
    assert!(rx.recv_timeout(Duration::ZERO).is_err());
}

fn select_body() {
    let ((tx, rx), (idle, from_idle)) = (chan::<u8>(1), chan::<u8>(0));
    tx.send(1).unwrap();
    explodes(|| {
        select! {
            recv(rx) -> _got => panic_any(ON_PURPOSE),
            recv(from_idle) -> _got => {},
        }
    });
    explodes(|| {
        select! {
            recv(from_idle) -> _got => {},
            timeout(Duration::from_micros(10)) => panic_any(ON_PURPOSE),
        }
    });
    assert!(idle.try_send(1).is_err(), "no one is left in its queue");
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

fn select_loser() {
    let ((tx, rx), (lost, _from_lost)) = (chan::<u8>(1), chan::<Bomb>(0));
    tx.send(1).unwrap();
    explodes(|| {
        select! {
            recv(rx) -> got => assert_eq!(got, Ok(1)),
            send(lost, Bomb) -> _sent => unreachable!("no one receives it"),
        }
    });
    assert!(rx.try_recv().is_err());
    tx.send(2).unwrap();
    assert_eq!(rx.recv(), Ok(2));
}

/// Holds something while `hold` panics, with others waiting for it.
fn contended(hold: impl Fn() + Send + Sync + 'static, use_it: impl Fn() + Send + Sync + 'static) {
    let shared = Arc::new((hold, use_it));
    let parts: Vec<_> = (0..4)
        .map(|n| {
            let shared = Arc::clone(&shared);
            go(move || if n % 2 == 0 { explodes(|| shared.0()) } else { shared.1() })
        })
        .collect();
    parts.into_iter().for_each(|part| part.join().unwrap());
    shared.1();
}

fn mutex() {
    let count = Arc::new(Mutex::new(0));
    let theirs = Arc::clone(&count);
    contended(
        move || {
            let mut count = theirs.lock();
            yield_now();
            *count += 1;
            panic_any(ON_PURPOSE);
        },
        {
            let count = Arc::clone(&count);
            move || *count.lock() += 1
        },
    );
    assert_eq!(*count.lock(), 5);
}

fn rwlock() {
    let count = Arc::new(RwLock::new(0));
    let theirs = Arc::clone(&count);
    contended(
        move || {
            drop(theirs.read());
            let mut count = theirs.write();
            yield_now();
            *count += 1;
            panic_any(ON_PURPOSE);
        },
        {
            let count = Arc::clone(&count);
            move || {
                *count.write() += 1;
            }
        },
    );
    explodes(|| {
        let _read = count.read();
        panic_any(ON_PURPOSE);
    });
    assert_eq!(*count.write(), 5);
}

/// Panics with the lock that `wait` gave back.
fn condvar() {
    let shared = Arc::new((Mutex::new(0), Condvar::new()));
    let waiters: Vec<_> = (0..2)
        .map(|_| {
            let shared = Arc::clone(&shared);
            go(move || {
                let mut turn = shared.0.lock();
                while *turn == 0 {
                    turn = shared.1.wait(turn);
                }
                *turn += 1;
                explodes(|| {
                    let _turn = turn;
                    panic_any(ON_PURPOSE);
                });
            })
        })
        .collect();
    yield_now();
    *shared.0.lock() = 1;
    shared.1.notify_all();
    waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    assert_eq!(*shared.0.lock(), 3);
}

fn once() {
    let (once, runs) = (Arc::new(Once::new()), Arc::new(AtomicUsize::new(0)));
    let parts: Vec<_> = (0..4)
        .map(|_| {
            let (once, runs) = (Arc::clone(&once), Arc::clone(&runs));
            go(move || {
                let _ = catch_unwind(AssertUnwindSafe(|| {
                    once.call_once(|| {
                        yield_now();
                        if runs.fetch_add(1, SeqCst) < 2 {
                            panic_any(ON_PURPOSE);
                        }
                    });
                }));
            })
        })
        .collect();
    parts.into_iter().for_each(|part| part.join().unwrap());
    once.call_once(|| unreachable!("the third one did not panic"));
    assert!(once.is_completed() && runs.load(SeqCst) == 3);
}

fn permit() {
    let semaphore = Arc::new(Semaphore::new(1));
    let (theirs, others) = (Arc::clone(&semaphore), Arc::clone(&semaphore));
    contended(
        move || {
            let _permit = theirs.acquire();
            yield_now();
            panic_any(ON_PURPOSE);
        },
        move || drop(others.acquire()),
    );
    assert_eq!(semaphore.available(), 1);
}

/// The leader panics after the others were let go.
fn barrier() {
    let barrier = Arc::new(Barrier::new(2));
    for _ in 0..2 {
        let theirs = Arc::clone(&barrier);
        let meet = move |barrier: &Barrier| {
            if barrier.wait() {
                panic_any(ON_PURPOSE);
            }
        };
        let other = go(move || meet(&theirs));
        let here = catch_unwind(AssertUnwindSafe(|| meet(&barrier)));
        assert!(here.is_err() != other.join().is_err(), "one leader");
    }
}

fn group() {
    struct Done(WaitGroup);
    impl Drop for Done {
        fn drop(&mut self) {
            self.0.done();
        }
    }
    let group = WaitGroup::new();
    group.add(3);
    for _ in 0..3 {
        let done = Done(group.clone());
        drop(go(move || {
            let _done = done;
            yield_now();
            panic_any(ON_PURPOSE);
        }));
    }
    group.wait();
    let one_too_many = catch_unwind(AssertUnwindSafe(|| group.done()));
    assert!(one_too_many.is_err());
    group.add(1);
    group.done();
    group.wait();
}

fn blocking_call() {
    for _ in 0..3 {
        explodes(|| blocking(|| panic_any(ON_PURPOSE)));
        explodes(|| blocking(|| blocking(|| Bomb)));
        assert_eq!(blocking(|| 1), 1);
    }
}

fn timeout() {
    explodes(|| time::timeout(Duration::from_secs(60), || panic_any(ON_PURPOSE)));
    assert_eq!(time::timeout(Duration::from_secs(60), || 1), Ok(1));
}

/// Calls `wait` while a panic unwinds, on a thread that it must not leave.
struct Waits(Option<Box<dyn FnOnce() + Send>>);

impl Drop for Waits {
    fn drop(&mut self) {
        assert!(thread::panicking());
        let here = thread::current().id();
        self.0.take().expect("dropped once")();
        assert_eq!(thread::current().id(), here, "it kept its thread");
        assert!(thread::panicking(), "the panic is still its own");
    }
}

/// Something to wait for that comes from another goroutine, later.
fn soon(f: impl FnOnce() + Send + 'static) {
    drop(go(move || {
        (0..3).for_each(|_| yield_now());
        f();
    }));
}

/// A kind of wait.
type Wait = (&'static str, fn());

const WAITS: [Wait; 15] = [
    ("receive", || {
        let (tx, rx) = chan(0);
        soon(move || tx.send(1).unwrap());
        assert_eq!(rx.recv(), Ok(1));
    }),
    ("send", || {
        let (tx, rx): (_, Receiver<u8>) = chan(0);
        soon(move || assert_eq!(rx.recv(), Ok(1)));
        tx.send(1).unwrap();
    }),
    ("receive with a timeout", || {
        let (_tx, rx) = chan::<u8>(0);
        assert!(rx.recv_timeout(Duration::from_millis(1)).is_err());
    }),
    ("select", || {
        let ((_tx, rx), (other, from_other)) = (chan::<u8>(0), chan::<u8>(0));
        soon(move || other.send(2).unwrap());
        select! {
            recv(rx) -> got => assert!(got.is_err(), "nothing is sent there"),
            recv(from_other) -> got => assert_eq!(got, Ok(2)),
        }
    }),
    ("mutex", || {
        let mutex = Arc::new(Mutex::new(0));
        let (theirs, (locked, is_locked)) = (Arc::clone(&mutex), chan(0));
        drop(go(move || {
            let mut guard = theirs.lock();
            locked.send(()).unwrap();
            (0..3).for_each(|_| yield_now());
            *guard = 1;
        }));
        is_locked.recv().unwrap();
        assert_eq!(*mutex.lock(), 1);
    }),
    ("readers", || {
        let lock = Arc::new(RwLock::new(0));
        let (theirs, (locked, is_locked)) = (Arc::clone(&lock), chan(0));
        drop(go(move || {
            let mut guard = theirs.write();
            locked.send(()).unwrap();
            (0..3).for_each(|_| yield_now());
            *guard = 1;
        }));
        is_locked.recv().unwrap();
        assert_eq!(*lock.read(), 1);
    }),
    ("condition", || {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let theirs = Arc::clone(&shared);
        soon(move || {
            *theirs.0.lock() = true;
            theirs.1.notify_one();
        });
        let mut is_set = shared.0.lock();
        while !*is_set {
            is_set = shared.1.wait(is_set);
        }
    }),
    ("group", || {
        let group = WaitGroup::new();
        group.add(1);
        let theirs = group.clone();
        soon(move || theirs.done());
        group.wait();
    }),
    ("permit", || {
        let semaphore = Arc::new(Semaphore::new(1));
        let (theirs, (taken, is_taken)) = (Arc::clone(&semaphore), chan(0));
        drop(go(move || {
            let _permit = theirs.acquire();
            taken.send(()).unwrap();
            (0..3).for_each(|_| yield_now());
        }));
        is_taken.recv().unwrap();
        drop(semaphore.acquire());
    }),
    ("barrier", || {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&barrier);
        soon(move || {
            theirs.wait();
        });
        barrier.wait();
    }),
    ("once", || {
        let once = Arc::new(Once::new());
        let (theirs, (begun, has_begun)) = (Arc::clone(&once), chan(0));
        drop(go(move || {
            theirs.call_once(|| {
                begun.send(()).unwrap();
                (0..3).for_each(|_| yield_now());
            });
        }));
        has_begun.recv().unwrap();
        once.call_once(|| unreachable!("another one runs"));
    }),
    ("join", || assert_eq!(go(|| 3).join().unwrap(), 3)),
    ("sleep", || time::sleep(Duration::from_millis(1))),
    ("network", || {
        let (mut one, mut other) = UnixStream::pair().unwrap();
        soon(move || other.write_all(b"x").unwrap());
        let mut got = [0];
        one.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"x");
    }),
    ("blocking call", || blocking(thread::yield_now)),
];

#[test]
fn every_wait_works_in_a_destructor_while_a_panic_unwinds() {
    quietly();
    for procs in [1, 2] {
        for (name, wait) in WAITS {
            let payload = Config::new().procs(procs).run(move || {
                let unwinds = try_go(move || {
                    let _waits = Waits(Some(Box::new(wait)));
                    panic_any(ON_PURPOSE);
                });
                unwinds.unwrap().join().unwrap_err()
            });
            assert_eq!(payload.downcast_ref::<&str>(), Some(&ON_PURPOSE), "{name} at {procs}");
        }
    }
}
