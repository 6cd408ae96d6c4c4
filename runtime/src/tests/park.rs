//! Storms of park and unpark.

use crate::park::{WaitReason, Waiter, park};
use crate::sync::line::{End, Line, Rank, Seat};
use crate::{Config, blocking, chan, current, go, gomaxprocs, metrics, yield_now};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A cell that passes values on, one at a time: the simplest thing that parks both sides.
#[derive(Default)]
struct Baton(Mutex<Passing>);

#[derive(Default)]
struct Passing {
    value: Option<usize>,
    waiters: Vec<Waiter>,
}

impl Baton {
    fn with<R>(&self, mut f: impl FnMut(&mut Option<usize>) -> Option<R>) -> R {
        loop {
            let woken = {
                let mut passing = self.0.lock().unwrap();
                match f(&mut passing.value) {
                    Some(result) => Ok((result, std::mem::take(&mut passing.waiters))),
                    None => {
                        passing.waiters.push(Waiter::current());
                        Err(())
                    }
                }
            };
            match woken {
                Ok((result, waiters)) => {
                    waiters.iter().for_each(Waiter::unpark);
                    return result;
                }
                Err(()) => park(WaitReason::ChanRecv, std::ptr::from_ref(self).addr()),
            }
        }
    }

    fn put(&self, value: usize) {
        self.with(|cell| if cell.is_none() { cell.replace(value).map_or(Some(()), |_| None) } else { None });
    }

    fn take(&self) -> usize {
        self.with(Option::take)
    }
}

fn relay(procs: usize, rounds: usize) {
    let sum = Config::new().procs(procs).run(move || {
        let batons: Vec<_> = (0..4).map(|_| Arc::new(Baton::default())).collect();
        let runners: Vec<_> = batons
            .windows(2)
            .map(|pair| {
                let (from, to) = (Arc::clone(&pair[0]), Arc::clone(&pair[1]));
                go(move || (0..rounds).for_each(|_| to.put(from.take() + 1)))
            })
            .collect();
        let first = Arc::clone(&batons[0]);
        let source = go(move || (0..rounds).for_each(|n| first.put(n)));
        let sum: usize = (0..rounds).map(|_| batons[3].take()).sum();
        source.join().unwrap();
        runners.into_iter().for_each(|runner| runner.join().unwrap());
        sum
    });
    assert_eq!(sum, rounds * (rounds - 1) / 2 + 3 * rounds);
}

#[test]
fn a_relay_loses_nothing_on_one_processor() {
    relay(1, 5_000);
}

#[test]
fn a_relay_loses_nothing_on_several_processors() {
    relay(2, 5_000);
    relay(4, 5_000);
}

#[test]
fn threads_outside_and_goroutines_wake_each_other() {
    let (up, down) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
    let (their_up, their_down) = (Arc::clone(&up), Arc::clone(&down));
    let outside = thread::spawn(move || (0..2_000).for_each(|_| their_down.put(their_up.take() + 1)));
    let sum: usize = Config::new().procs(2).run(move || {
        (0..2_000)
            .map(|n| {
                up.put(n);
                down.take()
            })
            .sum()
    });
    outside.join().unwrap();
    assert_eq!(sum, 2_000 * 1_999 / 2 + 2_000);
}

#[test]
fn two_runtimes_wake_each_other() {
    let (up, down) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
    let (their_up, their_down) = (Arc::clone(&up), Arc::clone(&down));
    let other = thread::spawn(move || {
        Config::new().procs(1).run(move || (0..2_000).for_each(|_| their_down.put(their_up.take() + 1)));
    });
    let sum: usize = Config::new().procs(1).run(move || {
        (0..2_000)
            .map(|n| {
                up.put(n);
                down.take()
            })
            .sum()
    });
    other.join().unwrap();
    assert_eq!(sum, 2_000 * 1_999 / 2 + 2_000);
}

#[test]
fn unparks_from_many_sides_wake_one_sleeper_each_time() {
    Config::new().procs(4).run(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let sleeper = Waiter::current();
        let wakers: Vec<_> = (0..8)
            .map(|_| {
                let (count, sleeper) = (Arc::clone(&count), sleeper);
                go(move || {
                    for _ in 0..500 {
                        count.fetch_add(1, SeqCst);
                        sleeper.unpark();
                        yield_now();
                    }
                })
            })
            .collect();
        while count.load(SeqCst) < 8 * 500 {
            park(WaitReason::Semaphore, 0);
        }
        wakers.into_iter().for_each(|waker| waker.join().unwrap());
    });
}

/// Counts who executes at once.
#[derive(Default)]
struct Meter {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Meter {
    fn work(&self) {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        for _ in 0..50 {
            std::hint::spin_loop();
        }
        self.now.fetch_sub(1, SeqCst);
    }
}

#[test]
fn resizing_a_thousand_times_under_load_loses_no_one_and_exceeds_no_limit() {
    const MOST: usize = 6;
    let (meter, runs) = Config::new().procs(MOST).run(|| {
        let meter = Arc::new(Meter::default());
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..20)
            .map(|_| {
                let (meter, stop) = (Arc::clone(&meter), Arc::clone(&stop));
                go(move || {
                    let mut runs = 0_usize;
                    while !stop.load(SeqCst) || runs < 10 {
                        meter.work();
                        runs += 1;
                        if runs.is_multiple_of(8) {
                            assert_eq!(go(|| 1).join().unwrap(), 1)
                        } else {
                            yield_now()
                        }
                    }
                    runs
                })
            })
            .collect();
        let mut before = MOST;
        for n in 0..1_000 {
            let target = 1 + n * 7 % MOST;
            assert_eq!(gomaxprocs(target), before);
            assert_eq!(gomaxprocs(0), target);
            before = target;
            yield_now();
        }
        stop.store(true, SeqCst);
        let runs: usize = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
        (meter, runs)
    });
    assert_eq!(meter.now.load(SeqCst), 0);
    assert!(meter.most.load(SeqCst) <= MOST && runs >= 200);
}

#[test]
fn with_fewer_processors_fewer_execute() {
    Config::new().procs(4).run(|| {
        gomaxprocs(1);
        // The others gave up their processors at the latest when they next looked for work.
        while gomaxprocs(0) != 1 || crate::current::runtime().unwrap().live() != 1 {
            yield_now();
        }
        let meter = Arc::new(Meter::default());
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let meter = Arc::clone(&meter);
                go(move || {
                    for _ in 0..200 {
                        meter.work();
                        yield_now();
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        assert_eq!(meter.most.load(SeqCst), 1);
    });
}

#[test]
fn goroutines_run_while_more_than_all_processors_block() {
    for procs in [1, 2] {
        let counts = Config::new().procs(procs).run(move || {
            let (send, receive) = std::sync::mpsc::channel::<usize>();
            let receive = Arc::new(Mutex::new(receive));
            let blocked: Vec<_> = (0..procs + 2)
                .map(|_| {
                    let receive = Arc::clone(&receive);
                    go(move || blocking(|| receive.lock().unwrap().recv().unwrap()))
                })
                .collect();
            // Each of these threads waits for what this goroutine sends only after it ran often enough.
            while metrics().handoffs < procs as u64 + 2 {
                yield_now();
            }
            (0..procs + 2).for_each(|n| send.send(n).unwrap());
            let mut got: Vec<_> = blocked.into_iter().map(|handle| handle.join().unwrap()).collect();
            got.sort_unstable();
            assert_eq!(got, (0..procs + 2).collect::<Vec<_>>());
            metrics()
        });
        assert_eq!(counts.handoffs, procs as u64 + 2);
    }
}

#[test]
fn a_blocking_call_may_wait_for_goroutines_and_nest() {
    Config::new().procs(1).run(|| {
        let baton = Arc::new(Baton::default());
        let theirs = Arc::clone(&baton);
        let value = blocking(move || {
            let feeder = go(move || theirs.put(41));
            let value = baton.take();
            feeder.join().unwrap();
            yield_now();
            blocking(|| value + 1)
        });
        assert_eq!(value, 42);
    });
}

#[test]
fn a_panic_in_a_blocking_call_is_the_goroutine_s() {
    Config::new().procs(2).run(|| {
        let error = go(|| blocking(|| panic!("blocked, on purpose"))).join().unwrap_err();
        assert_eq!(*error.downcast::<&str>().unwrap(), "blocked, on purpose");
        assert_eq!(go(|| 5).join().unwrap(), 5);
    });
}

#[test]
fn a_blocking_call_in_a_destructor_keeps_its_thread() {
    struct Blocks;
    impl Drop for Blocks {
        fn drop(&mut self) {
            let id = thread::current().id();
            for _ in 0..5 {
                blocking(thread::yield_now);
                assert_eq!(thread::current().id(), id);
            }
        }
    }
    Config::new().procs(1).run(|| {
        let spinners: Vec<_> = (0..3).map(|_| go(|| (0..500).for_each(|_| yield_now()))).collect();
        let panics: Vec<_> = (0..3)
            .map(|_| {
                go(|| {
                    let _blocks = Blocks;
                    panic!("on purpose");
                })
            })
            .collect();
        for handle in panics {
            assert_eq!(*handle.join().unwrap_err().downcast::<&str>().unwrap(), "on purpose");
        }
        spinners.into_iter().for_each(|spinner| spinner.join().unwrap());
    });
}

#[test]
fn the_end_does_not_wait_for_a_blocking_call() {
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (ended, end) = std::sync::mpsc::channel::<()>();
    Config::new().procs(1).run(move || {
        drop(go(move || {
            blocking(move || {
                receive.recv().unwrap();
                ended.send(()).unwrap();
            });
            panic!("a goroutine of a runtime that has ended goes on");
        }));
        while metrics().handoffs == 0 {
            yield_now();
        }
    });
    send.send(()).unwrap();
    end.recv().unwrap();
}

#[test]
fn an_end_that_meets_the_end_of_a_blocking_call_lets_no_one_go_on() {
    let goes_on = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&goes_on);
    Config::new().procs(2).run(move || {
        let (is_ready, may_end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (ready, end) = (Arc::clone(&is_ready), Arc::clone(&may_end));
        drop(go(move || {
            blocking(|| {
                ready.store(true, SeqCst);
                while !end.load(SeqCst) {
                    thread::yield_now();
                }
            });
            theirs.store(true, SeqCst);
        }));
        let runtime = current::runtime().unwrap();
        while !is_ready.load(SeqCst) || !runtime.has_idle() {
            yield_now();
        }
        // The call ends, and waits for this lock to get a processor, when the end begins.
        let synced = runtime.synced.lock();
        may_end.store(true, SeqCst);
        thread::sleep(Duration::from_millis(5));
        runtime.begin_stop();
        drop(synced);
    });
    assert!(!goes_on.load(SeqCst), "a goroutine went on after the end");
}

#[test]
fn stale_waiters_do_not_disturb_those_who_took_the_place() {
    // The goroutines of one runtime end; another one's live on their stacks, park there, and are unparked in vain.
    let stale: Vec<Waiter> = Config::new().procs(1).run(|| {
        let all: Vec<_> = (0..50).map(|_| go(Waiter::current)).collect();
        all.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let stop = Arc::new(AtomicBool::new(false));
    let theirs = Arc::clone(&stop);
    let disturber = thread::spawn(move || {
        let mut rounds = 0_usize;
        while !theirs.load(SeqCst) || rounds == 0 {
            stale.iter().for_each(Waiter::unpark);
            rounds += 1;
        }
    });
    relay(1, 500);
    relay(2, 500);
    stop.store(true, SeqCst);
    disturber.join().unwrap();
}

/// Exchanges values and a lock with another goroutine, and joins one, over and over: it waits for one other alone each time.
fn pledge(procs: usize, is_pinned: bool, known: Arc<Mutex<Vec<Waiter>>>) {
    Config::new().procs(procs).run(move || {
        let ((up, their_up), (their_down, down)) = (chan(0), chan(0));
        let (lock, their_known) = (Arc::new(crate::sync::Mutex::new(0)), Arc::clone(&known));
        let their_lock = Arc::clone(&lock);
        let body = move || {
            their_known.lock().unwrap().push(Waiter::current());
            their_up.iter().for_each(|value| {
                *their_lock.lock() += 1;
                their_down.send(value).unwrap();
            });
        };
        let other = if is_pinned { crate::spawn_pinned(body) } else { go(body) };
        known.lock().unwrap().push(Waiter::current());
        for round in 0..if is_pinned { 50 } else { 300 } {
            let mut count = lock.lock();
            up.send(round).unwrap();
            yield_now();
            *count += 1;
            drop(count);
            assert_eq!(down.recv().unwrap(), round);
            assert_eq!(go(move || round).join().unwrap(), round);
            assert_eq!(*lock.lock(), 2 * (round + 1));
        }
        drop(up);
        other.join().unwrap();
    });
}

#[test]
fn stale_waiters_do_not_disturb_those_who_have_pledged() {
    let (known, stop) = (Arc::new(Mutex::new(Vec::<Waiter>::new())), Arc::new(AtomicBool::new(false)));
    let (theirs, their_stop) = (Arc::clone(&known), Arc::clone(&stop));
    let disturber = thread::spawn(move || {
        while !their_stop.load(SeqCst) {
            theirs.lock().unwrap().iter().for_each(Waiter::unpark);
        }
    });
    for (procs, is_pinned) in [(1, false), (2, false), (4, false), (1, true), (2, true)] {
        pledge(procs, is_pinned, Arc::clone(&known));
        known.lock().unwrap().clear();
    }
    stop.store(true, SeqCst);
    disturber.join().unwrap();
}

#[test]
fn who_is_let_go_on_before_it_has_left_its_stack_is_not_run_before() {
    for pauses in 0..20 {
        Config::new().procs(2).run(move || {
            let (line, stage) = (Arc::new(Line::<()>::new(())), Arc::new(AtomicUsize::new(0)));
            let (their_line, their_stage) = (Arc::clone(&line), Arc::clone(&stage));
            let early = go(move || {
                assert_eq!(their_stage.fetch_add(1, SeqCst), 0, "it begins once");
                let why = (WaitReason::Join, 0);
                let section = their_line.lock();
                let mut seat = pin!(Seat::to_stay(&their_line, 0, (), why));
                seat.as_mut().sit(section, Rank::Last);
                while their_stage.load(SeqCst) < 2 {
                    thread::yield_now();
                }
                // A worker has it by now, or will have soon.
                (0..pauses).for_each(|_| thread::yield_now());
                assert_eq!(seat.stay(why), End::Served);
            });
            loop {
                let granted = line.lock().claim_first(0).map(|first| first.end(End::Served));
                if let Some(granted) = granted {
                    granted.unpark();
                    break;
                }
                yield_now();
            }
            stage.fetch_add(1, SeqCst);
            early.join().unwrap();
            assert_eq!(stage.load(SeqCst), 2);
        });
    }
}

#[test]
fn a_runtime_that_ended_with_sleepers_may_still_be_woken() {
    let sleepers = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&sleepers);
    Config::new().procs(2).run(move || {
        for _ in 0..10 {
            let sleepers = Arc::clone(&theirs);
            drop(go(move || {
                sleepers.lock().unwrap().push(Waiter::current());
                loop {
                    park(WaitReason::Semaphore, 0);
                }
            }));
        }
        while theirs.lock().unwrap().len() < 10 {
            yield_now();
        }
    });
    // They are gone for good, and so is their runtime; this must only do no harm.
    let sleepers = sleepers.lock().unwrap();
    sleepers.iter().chain(sleepers.iter()).for_each(Waiter::unpark);
}

#[test]
fn who_is_next_behind_a_goroutine_that_computes_is_run_by_another_processor() {
    Config::new().procs(2).run(|| {
        let (up, down) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
        let (their_up, their_down) = (Arc::clone(&up), Arc::clone(&down));
        let ran = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&ran);
        let other = go(move || {
            (0..20_000).for_each(|_| their_down.put(their_up.take() + 1));
            their_up.take();
            theirs.store(true, SeqCst);
        });
        // Hand-overs make the processor lazy.
        for n in 0..20_000 {
            up.put(n);
            down.take();
        }
        up.put(0);
        // No scheduling point from here on.
        while !ran.load(SeqCst) {
            std::hint::spin_loop();
        }
        other.join().unwrap();
    });
}
