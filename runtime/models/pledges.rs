//! Pledges: who waits for one other alone goes on when that one says so, once, and not before it has left its stack.

use crate::packet::packet;
use crate::park::{WaitReason, Waiter, park};
use crate::sync::line::{End, Line, Rank, Seat, Section};
use crate::tracked::Tracked;
use loom::thread;
use std::pin::pin;
use std::sync::Arc;

const WHY: (WaitReason, usize) = (WaitReason::Join, 0);

fn wait(line: &Line<bool>, section: Section<'_, bool, ()>) {
    let mut seat = pin!(Seat::to_stay(line, 0, (), WHY));
    seat.as_mut().sit(section, Rank::Last);
    assert_eq!(seat.stay(WHY), End::Served);
}

/// Serves the one who waits: it is in the queue when the lock is free.
fn serve(line: &Line<bool>) {
    let mut section = line.lock();
    *section = true;
    let granted = section.claim_first(0).expect("it waits").end(End::Served);
    drop(section);
    granted.unpark();
}

/// Someone who knows the waiter from before unparks it in vain, and neither ends its wait nor takes its turn to go on.
#[test]
fn who_has_pledged_waits_for_the_one_that_it_told() {
    crate::check(|| {
        let shared = Arc::new((Line::<bool>::new(false), Tracked::new(0)));
        let section = shared.0.lock();
        let stale = Waiter::current();
        let stray = thread::spawn(move || stale.unpark());
        let theirs = Arc::clone(&shared);
        let other = thread::spawn(move || {
            theirs.1.set(7);
            serve(&theirs.0);
        });
        wait(&shared.0, section);
        assert_eq!(shared.1.get(), 7);
        other.join().unwrap();
        stray.join().unwrap();
    });
}

/// The next wait is for something else, and ends by that: nothing of the pledge is left, nor of who came in vain.
#[test]
fn a_wait_after_a_pledge_is_as_any() {
    crate::check(|| {
        let line = Arc::new(Line::<bool>::new(false));
        let section = line.lock();
        let waiter = Waiter::current();
        let data = Arc::new(Tracked::new(0));
        let (theirs, their_data) = (Arc::clone(&line), Arc::clone(&data));
        let other = thread::spawn(move || {
            serve(&theirs);
            their_data.set(1);
            waiter.unpark();
        });
        wait(&line, section);
        park(WaitReason::Join, 0);
        assert_eq!(data.get(), 1);
        other.join().unwrap();
    });
}

/// A pledge of which no one was told is withdrawn: the promise is kept just before.
#[test]
fn a_join_is_told_or_finds_the_result() {
    crate::check(|| {
        let (promise, receipt) = packet();
        let stale = Waiter::current();
        let other = thread::spawn(move || {
            let value = Tracked::new(0);
            value.set(3);
            promise.complete(Ok(value));
            stale.unpark();
        });
        assert_eq!(receipt.wait().unwrap().get(), 3);
        other.join().unwrap();
    });
}
