//! Readiness of a descriptor: whoever waits for it is woken by every event that may be for it.

use crate::goroutine::GoroutineRef;
use crate::park::{WaitReason, park};
use crate::primitives::Arc;
use crate::readiness::{Entered, Readiness};
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;

/// A socket, with the kernel's part of it: what can be read, under the kernel's lock.
#[derive(Default)]
struct Socket {
    readiness: Readiness,
    bytes: Mutex<usize>,
}

impl Socket {
    fn has_bytes(&self) -> bool {
        *self.bytes.lock().unwrap() > 0
    }

    fn try_read(&self) -> bool {
        let mut bytes = self.bytes.lock().unwrap();
        let has_some = *bytes > 0;
        *bytes -= usize::from(has_some);
        has_some
    }

    /// More comes, and the poller is told once.
    fn deliver(&self, count: usize) {
        *self.bytes.lock().unwrap() += count;
        self.readiness.notify(&mut Vec::new());
    }

    /// Reads one byte, however long that takes. Keep in step with `Pollable::park`.
    fn read(&self) {
        if self.try_read() {
            return;
        }
        // Made only now, so that it is not published by the kernel's lock.
        let me = GoroutineRef::current();
        loop {
            if self.waits(me) {
                park(WaitReason::Net, 0);
                let _ = self.readiness.leave(me);
            }
            if self.try_read() {
                return;
            }
        }
    }

    /// Enters; `false` if it is to try again at once.
    fn waits(&self, me: GoroutineRef) -> bool {
        match self.readiness.enter(me) {
            Entered::Ready => return false,
            Entered::WaitsUnsure if self.has_bytes() => {
                self.readiness.notify(&mut Vec::new());
                return false;
            }
            Entered::Waits | Entered::WaitsUnsure => {}
        }
        true
    }

    /// Tries to read one byte, and gives up where it would wait. Whether it was read.
    fn read_in_time(&self) -> bool {
        if self.try_read() {
            return true;
        }
        let me = GoroutineRef::current();
        loop {
            if self.waits(me) && !self.readiness.leave(me) {
                return false;
            }
            if self.try_read() {
                return true;
            }
        }
    }
}

fn readers(socket: &Arc<Socket>, count: usize) -> Vec<thread::JoinHandle<()>> {
    (0..count)
        .map(|_| {
            let socket = Arc::clone(socket);
            thread::spawn(move || socket.read())
        })
        .collect()
}

fn join(readers: Vec<thread::JoinHandle<()>>) {
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn events_between_the_look_and_the_wait_are_not_lost() {
    crate::check(|| {
        let socket = Arc::new(Socket::default());
        let theirs = Arc::clone(&socket);
        let reader = thread::spawn(move || (0..2).for_each(|_| theirs.read()));
        (0..2).for_each(|_| socket.deliver(1));
        join(vec![reader]);
    });
}

/// One event for both: the second to come asks the kernel.
#[test]
fn an_event_that_one_reader_took_is_for_the_other_as_well() {
    crate::check(|| {
        let socket = Arc::new(Socket::default());
        let readers = readers(&socket, 2);
        socket.deliver(2);
        join(readers);
    });
}

#[test]
fn each_of_two_events_finds_a_reader() {
    crate::check(|| {
        let socket = Arc::new(Socket::default());
        let readers = readers(&socket, 2);
        (0..2).for_each(|_| socket.deliver(1));
        join(readers);
    });
}

/// One gives up while an event comes: it reads, or leaves the byte to the other.
#[test]
fn whoever_gives_up_takes_no_event_with_it() {
    crate::check(|| {
        let socket = Arc::new(Socket::default());
        let readers = readers(&socket, 1);
        let theirs = Arc::clone(&socket);
        let impatient = thread::spawn(move || theirs.read_in_time());
        socket.deliver(1);
        if impatient.join().unwrap() {
            socket.deliver(1);
        }
        join(readers);
        assert!(!socket.has_bytes());
    });
}

/// A kernel without a lock of its own: what came before an event is seen by whoever learns of the event, by these words
/// alone. One waits by itself or two do, and each gives up at once.
#[test]
fn what_came_before_an_event_is_seen_after_it() {
    for count in 1..=2 {
        crate::check(move || {
            let shared = Arc::new((Readiness::default(), AtomicBool::new(false)));
            let look = |(readiness, has_bytes): &(Readiness, AtomicBool)| {
                let me = GoroutineRef::current();
                let has_come = match readiness.enter(me) {
                    Entered::Ready => true,
                    Entered::Waits | Entered::WaitsUnsure => readiness.leave(me),
                };
                assert!(!has_come || has_bytes.load(Relaxed), "an event, and nothing there");
            };
            let readers: Vec<_> = (0..count)
                .map(|_| {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || look(&shared))
                })
                .collect();
            shared.1.store(true, Relaxed);
            shared.0.notify(&mut Vec::new());
            join(readers);
        });
    }
}
