//! Park and unpark: no wake-up is lost, and what was written before an unpark is seen after the park.

use crate::park::{WaitReason, Waiter, park};
use crate::primitives::Arc;
use crate::token::{Notified, Token};
use crate::tracked::Tracked;
use loom::thread;

/// Whoever comes first, the park returns, once, and sees what the other wrote.
#[test]
fn an_unpark_is_never_lost_and_publishes() {
    crate::check(|| {
        let data = Arc::new(Tracked::new(0));
        let waiter = Waiter::current();
        let theirs = Arc::clone(&data);
        let other = thread::spawn(move || {
            theirs.set(7);
            waiter.unpark();
        });
        park(WaitReason::Join, 0);
        assert_eq!(data.get(), 7);
        other.join().unwrap();
    });
}

/// With two unparks one park is enough or two are, but a park that follows what both wrote sees both.
#[test]
fn the_last_of_two_unparks_is_seen_as_well() {
    crate::check(|| {
        let data = [Arc::new(Tracked::new(0)), Arc::new(Tracked::new(0))];
        let told = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let waiter = Waiter::current();
        let others: Vec<_> = data
            .iter()
            .map(|data| {
                let (data, told) = (Arc::clone(data), Arc::clone(&told));
                thread::spawn(move || {
                    data.set(1);
                    // Publishes nothing: only the token may.
                    told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    waiter.unpark();
                })
            })
            .collect();
        park(WaitReason::Join, 0);
        let seen: u32 = {
            // A second token is there, or comes, if the first park saw one unpark only.
            let first = told.load(std::sync::atomic::Ordering::Relaxed);
            if first == 1 {
                park(WaitReason::Join, 0);
            }
            first as u32
        };
        assert!(seen >= 1);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(data[0].get() + data[1].get(), 2);
    });
}

/// The stack of a goroutine has one user at a time: the worker that ran it until the commit, then whoever's unpark found
/// it parked; and exactly one of them runs it next.
#[test]
fn the_stack_belongs_to_one_and_it_runs_again_once() {
    crate::check(|| {
        let shared = Arc::new((Token::default(), Tracked::new(0)));
        let run = |(token, stack): &(Token, Tracked)| {
            stack.set(stack.get() + 1);
            token.take();
        };
        let wakers: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || match shared.0.notify() {
                    Notified::Parked => {
                        run(&shared);
                        1
                    }
                    Notified::Awake | Notified::Blocked => 0,
                })
            })
            .collect();
        // The worker: the goroutine has run on its stack and asks to park.
        shared.1.set(1);
        let mut runs = 0;
        if !shared.0.commit() {
            run(&shared);
            runs += 1;
        }
        runs += wakers.into_iter().map(|waker| waker.join().unwrap()).sum::<usize>();
        assert_eq!(runs, 1, "it runs again, and once");
    });
}

/// A goroutine that keeps its thread: the thread's name is published with `Blocked`, and it is woken.
#[test]
fn a_blocked_thread_is_named_before_it_is_woken() {
    crate::check(|| {
        let shared = Arc::new((Token::default(), Tracked::new(0), Tracked::new(0)));
        let theirs = Arc::clone(&shared);
        let me = thread::current();
        let waker = thread::spawn(move || {
            theirs.2.set(1);
            if theirs.0.notify() == Notified::Blocked {
                assert_eq!(theirs.1.get(), 1, "the name is there");
                me.unpark();
            }
        });
        shared.1.set(1);
        if shared.0.block() {
            while !shared.0.is_notified() {
                thread::park();
            }
        }
        assert!(shared.0.take());
        assert_eq!(shared.2.get(), 1);
        waker.join().unwrap();
    });
}
