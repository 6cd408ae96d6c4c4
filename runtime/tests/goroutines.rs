//! Goroutines as a user sees them: results, panics, many of them, and runtimes one after another.

use corefit_runtime::sync::Barrier;
use corefit_runtime::{Builder, Config, checkpoint, go, metrics, run, spawn_pinned, try_go, yield_now};
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

#[test]
fn main_s_result_comes_back() {
    assert_eq!(run(|| 1 + 1), 2);
}

#[test]
fn runtimes_follow_each_other() {
    for n in 0..20 {
        assert_eq!(Config::new().procs(2).run(move || go(move || n).join().unwrap()), n);
    }
}

#[test]
fn runtimes_run_side_by_side() {
    let threads: Vec<_> = (0..3)
        .map(|n| {
            thread::spawn(move || {
                Config::new().procs(1 + n % 2).run(move || {
                    let parts: Vec<_> = (0..100).map(|part| go(move || part * n)).collect();
                    parts.into_iter().map(|part| part.join().unwrap()).sum::<usize>()
                })
            })
        })
        .collect();
    let sums: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(sums, [0, 4950, 9900]);
}

#[test]
fn a_panic_is_the_error_of_join_and_the_others_go_on() {
    let (error, other) = Config::new().procs(2).run(|| {
        let panics = go(|| panic!("on purpose"));
        let other = go(|| 7);
        let error: Box<dyn std::any::Any + Send> = panics.join().unwrap_err();
        (*error.downcast::<&str>().unwrap(), other.join().unwrap())
    });
    assert_eq!((error, other), ("on purpose", 7));
}

#[test]
fn try_go_starts_a_goroutine_or_says_why_not() {
    assert_eq!(run(|| try_go(|| 3).unwrap().join().unwrap()), 3);
    let dropped = Arc::new(());
    let theirs = Arc::clone(&dropped);
    let error = try_go(move || drop(theirs)).unwrap_err();
    assert!(error.to_string().contains("outside a runtime"), "{error}");
    assert_eq!(Arc::strong_count(&dropped), 1, "what it captured is dropped");
}

#[test]
fn what_a_goroutine_without_a_stack_captured_is_dropped_outside_of_the_spawn() {
    // Its destructor waits, which it could not while the processor is borrowed.
    struct Waits(Arc<AtomicUsize>);
    impl Drop for Waits {
        fn drop(&mut self) {
            assert_eq!(go(|| 1).join().unwrap(), 1);
            self.0.fetch_add(1, SeqCst);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let waits = Waits(Arc::clone(&drops));
    Config::new().procs(1).run(move || {
        let error = Builder::new().stack_size(1 << 40).spawn(move || drop(waits)).unwrap_err();
        assert!(error.to_string().contains("more than the largest"), "{error}");
    });
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn a_panic_of_main_goes_on_in_the_caller() {
    let caught = thread::spawn(|| run(|| panic!("main, on purpose"))).join();
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "main, on purpose");
}

#[test]
fn a_runtime_in_a_runtime_is_refused() {
    let message = run(|| go(|| run(|| ())).join().unwrap_err().downcast::<&str>().map(|text| *text));
    assert!(message.unwrap().contains("inside a goroutine"));
}

#[test]
fn a_goroutine_outside_a_runtime_is_refused() {
    let message = thread::spawn(|| go(|| ())).join().unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("outside a runtime"), "{message}");
}

#[test]
fn a_tree_of_joins_counts_its_leaves() {
    fn leaves(depth: u32) -> u64 {
        if depth == 0 {
            return 1;
        }
        let left = go(move || leaves(depth - 1));
        let right = go(move || leaves(depth - 1));
        left.join().unwrap() + right.join().unwrap()
    }
    for procs in [1, 2, 4] {
        assert_eq!(Config::new().procs(procs).run(|| leaves(11)), 2048);
    }
}

#[test]
fn twenty_thousand_live_at_once() {
    let (sum, counts) = Config::new().procs(2).run(|| {
        let turn = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..20_000_usize)
            .map(|n| {
                let turn = Arc::clone(&turn);
                go(move || {
                    turn.fetch_add(1, SeqCst);
                    yield_now();
                    n
                })
            })
            .collect();
        let sum = handles.into_iter().map(|handle| handle.join().unwrap()).sum::<usize>();
        // The last one leaves its stack a moment after its result is there.
        while metrics().goroutines_alive > 1 {
            yield_now();
        }
        (sum, metrics())
    });
    assert_eq!(sum, 199_990_000);
    assert_eq!((counts.goroutines, counts.goroutines_alive), (20_001, 1));
}

#[test]
fn a_yield_lets_the_others_run() {
    let order = Config::new().procs(1).run(|| {
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let handles: Vec<_> = (0..3)
            .map(|n| {
                let order = Arc::clone(&order);
                go(move || {
                    for _ in 0..3 {
                        order.lock().unwrap().push(n);
                        yield_now();
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        Arc::into_inner(order).unwrap().into_inner().unwrap()
    });
    for round in order.chunks(3) {
        assert_eq!(round.iter().collect::<HashSet<_>>().len(), 3, "{order:?}");
    }
}

#[test]
fn a_checkpoint_without_a_request_is_nothing() {
    run(|| (0..1000).for_each(|_| checkpoint()));
    checkpoint();
}

#[test]
fn a_loop_with_checkpoints_lets_others_run_on_one_processor() {
    let counts = Config::new().procs(1).run(|| {
        let done = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&done);
        let hog = go(move || {
            while theirs.load(SeqCst) == 0 {
                checkpoint();
            }
        });
        yield_now();
        done.store(1, SeqCst);
        hog.join().unwrap();
        metrics()
    });
    assert!(counts.preemptions >= 1 && counts.preemptions_asked >= 1, "{counts:?}");
}

thread_local! {
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

#[inline(never)]
fn visit() -> thread::ThreadId {
    VISITS.set(VISITS.get() + 1);
    thread::current().id()
}

#[test]
fn goroutines_that_migrate_count_on_the_thread_they_are_on() {
    let visits = Config::new().procs(4).run(|| {
        let counts = Arc::new(std::sync::Mutex::new(std::collections::HashMap::new()));
        let handles: Vec<_> = (0..64)
            .map(|_| {
                let counts = Arc::clone(&counts);
                go(move || {
                    for _ in 0..200 {
                        let before = (thread::current().id(), VISITS.get());
                        let id = visit();
                        // Nothing ran on this thread in between, so it is the same one and one more.
                        assert_eq!((id, VISITS.get()), (before.0, before.1 + 1));
                        *counts.lock().unwrap().entry(id).or_insert(0_usize) += 1;
                        yield_now();
                    }
                })
            })
            .collect();
        handles.into_iter().for_each(|handle| handle.join().unwrap());
        Arc::into_inner(counts).unwrap().into_inner().unwrap()
    });
    assert_eq!(visits.values().sum::<usize>(), 64 * 200);
}

#[test]
fn a_pinned_goroutine_stays_on_its_thread() {
    Config::new().procs(2).run(|| {
        let others: Vec<_> = (0..4).map(|_| go(|| (0..200).for_each(|_| yield_now()))).collect();
        // Both are alive at once: a thread whose goroutine has ended may serve the next one.
        let meeting = Arc::new(Barrier::new(2));
        let pinned: Vec<_> = (0..2)
            .map(|_| {
                let meeting = Arc::clone(&meeting);
                spawn_pinned(move || {
                    let id = thread::current().id();
                    meeting.wait();
                    for n in 0..100_u32 {
                        yield_now();
                        assert_eq!(thread::current().id(), id);
                        assert_eq!(go(move || n).join().unwrap(), n);
                        assert_eq!(thread::current().id(), id);
                    }
                    id
                })
            })
            .collect();
        let ids: HashSet<_> = pinned.into_iter().map(|handle| handle.join().unwrap()).collect();
        assert_eq!(ids.len(), 2);
        others.into_iter().for_each(|handle| handle.join().unwrap());
    });
}

#[test]
fn a_large_stack_holds_large_frames() {
    fn deep(depth: usize) -> usize {
        let frame = std::hint::black_box([depth as u8; 4096]);
        if depth == 0 {
            0
        } else {
            deep(depth - 1) + usize::from(std::hint::black_box(frame)[1] == depth as u8)
        }
    }
    assert_eq!(run(|| Builder::new().stack_size(1 << 20).spawn(|| deep(50)).unwrap().join().unwrap()), 50);
    let error = run(|| Builder::new().stack_size(1 << 40).spawn(|| ()).map(|_| ()).unwrap_err().to_string());
    assert!(error.contains("ask for less"), "{error}");
}

#[test]
fn goroutines_left_behind_do_not_run_again() {
    let runs = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&runs);
    Config::new().procs(2).run(move || {
        for _ in 0..10 {
            let runs = Arc::clone(&theirs);
            drop(go(move || {
                loop {
                    runs.fetch_add(1, SeqCst);
                    yield_now();
                }
            }));
        }
        while theirs.load(SeqCst) < 100 {
            yield_now();
        }
    });
    let after = runs.load(SeqCst);
    for _ in 0..100 {
        thread::yield_now();
    }
    assert_eq!(runs.load(SeqCst), after);
}

#[test]
fn a_yield_while_unwinding_does_not_switch() {
    struct Yields(thread::ThreadId);
    impl Drop for Yields {
        fn drop(&mut self) {
            assert!(thread::panicking());
            for _ in 0..10 {
                yield_now();
                checkpoint();
            }
            // A join parks: the goroutine keeps its thread while it unwinds.
            assert_eq!(go(|| 3).join().unwrap(), 3);
            assert_eq!(thread::current().id(), self.0);
        }
    }
    for procs in [1, 2] {
        Config::new().procs(procs).run(|| {
            let others: Vec<_> = (0..8).map(|_| go(|| (0..100).for_each(|_| yield_now()))).collect();
            let panics: Vec<_> = (0..4)
                .map(|_| {
                    go(|| {
                        let _yields = Yields(thread::current().id());
                        panic!("on purpose");
                    })
                })
                .collect();
            for handle in panics {
                assert_eq!(*handle.join().unwrap_err().downcast::<&str>().unwrap(), "on purpose");
            }
            others.into_iter().for_each(|handle| handle.join().unwrap());
            assert!(!thread::panicking());
        });
    }
}
