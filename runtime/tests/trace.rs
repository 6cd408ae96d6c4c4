//! The trace against what a program is known to do. Each program runs in a child, which is this binary again.
#![allow(clippy::unwrap_used, reason = "a test, though without the harness that tells clippy so")]

mod cases;

use cases::{CHILD, Case};
use corefit_runtime::trace::{End, Event, Op, Trace, What};
use corefit_runtime::{Builder, Config, blocking, chan, go, spawn_pinned, time, yield_now};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

const CASES: [Case; 13] = [
    ("handshake", handshake, every_spawn_park_and_unpark_is_there_with_who_why_and_where),
    ("storm", storm, the_laws_of_order_hold_under_load),
    ("crowd", crowd, the_laws_of_order_hold_where_workers_come_and_go),
    ("race", race, a_join_that_finds_the_result_after_all_goes_on),
    ("calls", calls, blocking_calls_and_their_length_are_there),
    ("busy", busy, the_cpu_time_of_a_run_is_that_of_its_thread),
    ("joins", joins, level_sync_has_the_joins_that_did_not_wait),
    ("limited", limited, what_is_dropped_is_counted_and_told),
    ("deadlock", deadlock, the_trace_of_a_deadlock_is_whole),
    ("quit", quit, the_trace_is_whole_after_sigquit),
    ("overflow", overflow, the_trace_is_whole_after_a_stack_overflow),
    ("twice", twice, runtimes_that_follow_each_other_share_the_file),
    ("nothing", nothing, settings_that_cannot_be_used_are_told_and_do_no_harm),
];

fn main() -> ExitCode {
    cases::run(&CASES)
}

/// Where a child's trace goes; removed when dropped.
struct Place(PathBuf);

impl Place {
    fn of(case: &str) -> Self {
        Self(std::env::temp_dir().join(format!("corefit-trace-{case}-{}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may not be there: that is for the test to say.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn child(case: &str, place: &Place) -> Command {
    // A shell starts background jobs with SIGQUIT ignored, and the runtime leaves it so.
    let mut command = Command::new("env");
    command.arg("--default-signal=QUIT").arg(std::env::current_exe().unwrap());
    command.env(CHILD, case).env("COREFIT_TRACE", &place.0).env_remove("GOMAXPROCS").stdin(Stdio::null());
    command
}

struct Recorded {
    trace: Trace,
    events: Vec<Event>,
    output: Output,
}

fn recorded(case: &str, prepare: impl FnOnce(&mut Command) -> &mut Command) -> Recorded {
    let place = Place::of(case);
    let output = prepare(&mut child(case, &place)).output().unwrap();
    read(&place, output)
}

fn read(place: &Place, output: Output) -> Recorded {
    let trace = Trace::open(&place.0).unwrap();
    let mut read = trace.events();
    let events: Vec<Event> = (&mut read).map(Result::unwrap).collect();
    assert_eq!((read.damage(), trace.torn_bytes()), (None, 0));
    drop(read);
    check_order(&events);
    Recorded { trace, events, output }
}

impl Recorded {
    fn stderr(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    /// Checks that it ended so, with nothing to say.
    fn assert_clean(&self) {
        assert_eq!((self.output.status.code(), self.stderr().as_str()), (Some(0), ""));
        assert_eq!((self.trace.end(), self.trace.dropped()), (Some(End::Returned), 0));
    }

    fn count(&self, name: &str) -> usize {
        self.events.iter().filter(|event| event.what.name() == name).count()
    }

    /// The names of what a goroutine did and was done, in order.
    fn story(&self, id: u64) -> Vec<&'static str> {
        let is_about = |event: &&Event| match event.what {
            What::Spawn { goroutine, .. } | What::Unpark { goroutine } => goroutine == id,
            What::Run | What::Park { .. } | What::End { .. } | What::Yield { .. } | What::GoOn => {
                event.goroutine == id
            }
            _ => false,
        };
        self.events.iter().filter(is_about).map(|event| event.what.name()).collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runnable,
    Running { worker: u32 },
    Parked,
    Ended,
}

/// The laws: a goroutine is made runnable before it runs, it runs and stops in turns, on one worker at a time, and a
/// worker runs one goroutine at a time.
fn check_order(events: &[Event]) {
    let mut states: HashMap<(u32, u64), State> = HashMap::new();
    let mut workers: HashMap<(u32, u32), u64> = HashMap::new();
    for event in events {
        let me = (event.runtime, event.goroutine);
        let track = (event.runtime, event.worker);
        let mut go = |id: u64, from: &[State], to: State| {
            let state = states.get(&(event.runtime, id)).copied();
            assert!(state.is_some_and(|state| from.contains(&state)), "{event:?} in state {state:?}");
            states.insert((event.runtime, id), to);
        };
        let here = State::Running { worker: event.worker };
        match event.what {
            What::Spawn { goroutine, .. } => {
                let before = states.insert((event.runtime, goroutine), State::Runnable);
                assert_eq!(before, None, "spawned twice: {event:?}");
            }
            What::Run => go(me.1, &[State::Runnable], here),
            What::GoOn => go(me.1, &[State::Parked], here),
            What::Park { .. } => go(me.1, &[here], State::Parked),
            What::Yield { .. } => go(me.1, &[here], State::Runnable),
            What::End { .. } => go(me.1, &[here], State::Ended),
            What::Unpark { goroutine } => go(goroutine, &[State::Parked], State::Runnable),
            What::BlockingBegin { .. } | What::BlockingEnd { .. } | What::Sync { .. } => {
                assert_eq!(states.get(&me), Some(&here), "{event:?}");
            }
            _ => {}
        }
        let now = match event.what {
            What::Run | What::GoOn => {
                assert_eq!(workers.get(&track).copied().unwrap_or(0), 0, "two at a time: {event:?}");
                event.goroutine
            }
            What::Park { .. } | What::Yield { .. } | What::End { .. } => 0,
            _ => continue,
        };
        workers.insert(track, now);
    }
}

const ROUNDS: usize = 5;

/// Main starts one goroutine that waits `ROUNDS` times for main to send, and then once for ever.
fn handshake() {
    Config::new().procs(1).run(|| {
        let (send, receive) = chan::<usize>(0);
        let waiter = go(move || while receive.recv().is_ok() {});
        for round in 0..ROUNDS {
            // It parks on the channel, and so does not come to an end of this yield before it does.
            yield_now();
            send.send(round).unwrap();
        }
        yield_now();
        send.close();
        waiter.join().unwrap();
    });
}

fn every_spawn_park_and_unpark_is_there_with_who_why_and_where() {
    let recorded = recorded("handshake", |command| command);
    recorded.assert_clean();
    let spawns: Vec<_> = recorded
        .events
        .iter()
        .filter_map(|event| match event.what {
            What::Spawn { goroutine, place } => Some((event.goroutine, goroutine, place)),
            _ => None,
        })
        .collect();
    let [(0, main, _), (parent, waiter, place)] = spawns[..] else { panic!("{spawns:?}") };
    assert_eq!(parent, main, "main spawned it");
    assert_eq!(recorded.trace.place(place).unwrap().file, file!());
    let mut objects = Vec::new();
    for event in recorded.events.iter().filter(|event| event.goroutine == waiter) {
        if let What::Park { reason, object, .. } = event.what {
            assert_eq!(reason, "chan receive");
            objects.push(object);
        }
    }
    assert_eq!(objects.len(), ROUNDS + 1);
    assert!(objects.iter().all(|&object| object == objects[0] && object != 0), "{objects:?}");
    let unparks: Vec<_> = recorded
        .events
        .iter()
        .filter(|event| event.what == What::Unpark { goroutine: waiter })
        .map(|event| event.goroutine)
        .collect();
    assert_eq!(unparks, vec![main; ROUNDS + 1], "main woke it each time");
    let mut story = vec!["spawn", "run"];
    (0..=ROUNDS).for_each(|_| story.extend(["park", "unpark", "run"]));
    story.push("end");
    assert_eq!(recorded.story(waiter), story);
    let join = recorded.events.iter().find_map(|event| match event.what {
        What::Park { reason: "join", place, .. } => Some(place),
        _ => None,
    });
    assert_eq!(recorded.trace.place(join.unwrap()).unwrap().file, file!(), "where it was called");
}

/// Everything at once on two processors, for more than one buffer of events a worker.
fn storm() {
    Config::new().procs(2).run(|| {
        let (send, receive) = chan::<u64>(4);
        let consumers: Vec<_> = (0..4)
            .map(|_| {
                let receive = receive.clone();
                go(move || receive.iter().sum::<u64>())
            })
            .collect();
        let producers: Vec<_> = (0..4)
            .map(|_| {
                let send = send.clone();
                go(move || {
                    for value in 0..1_500 {
                        send.send(value).unwrap();
                        if value % 16 == 0 {
                            yield_now();
                        }
                        if value % 100 == 0 {
                            go(|| time::sleep(Duration::from_micros(50))).join().unwrap();
                        }
                    }
                })
            })
            .collect();
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        drop(send);
        let sum: u64 = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum();
        assert_eq!(sum, 4 * 1_500 * 1_499 / 2);
    });
}

fn the_laws_of_order_hold_under_load() {
    // The laws are checked in `read`.
    let recorded = recorded("storm", |command| command.env("COREFIT_TRACE_LEVEL", "sync"));
    recorded.assert_clean();
    let joins = 8 + 4 * 15;
    assert_eq!((recorded.count("spawn"), recorded.count("end")), (1 + joins, 1 + joins));
    assert_eq!(recorded.count("join"), joins, "those of goroutines");
    assert!(recorded.events.len() > 3_000, "{}", recorded.events.len());
}

/// More processors than a small machine has, and threads that block and are tied: what others have queued is taken long after the
/// last one stopped.
fn crowd() {
    const BRIEF: Duration = Duration::from_micros(20);
    let all_at_once = |count: u64, body: fn()| {
        let all: Vec<_> = (0..count).map(|_| go(body)).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    };
    let body = move |who: u64| {
        let (send, receive) = chan::<u64>(0);
        let sum = go(move || receive.iter().sum::<u64>());
        for round in 0..60 {
            match (who + round) % 6 {
                0 => blocking(|| std::thread::sleep(BRIEF)),
                1 => all_at_once(1, || time::sleep(BRIEF)),
                2 => (0..20).for_each(|_| yield_now()),
                3 => (0..10).for_each(|value| send.send(value).unwrap()),
                4 => all_at_once(8, yield_now),
                _ => {
                    let (early, late) = chan(1);
                    let sender = go(move || early.send(()));
                    // It comes or it does not.
                    let _ = late.recv_timeout(BRIEF);
                    let _ = sender.join().unwrap();
                }
            }
        }
        drop(send);
        sum.join().unwrap();
    };
    Config::new().procs(8).run(move || {
        let start = |who| if who % 10 == 9 { spawn_pinned(move || body(who)) } else { go(move || body(who)) };
        let all: Vec<_> = (0..40).map(start).collect();
        all.into_iter().for_each(|one| one.join().unwrap());
    });
}

fn the_laws_of_order_hold_where_workers_come_and_go() {
    // The laws are checked in `read`.
    let recorded = recorded("crowd", |command| command);
    recorded.assert_clean();
    for event in &recorded.events {
        if let What::Park { reason: "join" | "chan receive" | "chan send", place, .. } = event.what {
            assert!(recorded.trace.place(place).is_some(), "where it was called: {event:?}");
        }
    }
}

const RACES: usize = 3_000;

/// Joins goroutines that end at that moment: some have ended when the wait is about to begin.
fn race() {
    Config::new().procs(2).run(|| {
        for _ in 0..RACES {
            let begun = Arc::new(AtomicBool::new(false));
            let theirs = Arc::clone(&begun);
            let other = go(move || theirs.store(true, SeqCst));
            while !begun.load(SeqCst) {
                std::hint::spin_loop();
            }
            other.join().unwrap();
        }
    });
}

fn a_join_that_finds_the_result_after_all_goes_on() {
    // The laws are checked in `read`.
    // Main may be long without a check.
    let recorded = recorded("race", |command| command.env("COREFIT_HOGS", "0"));
    recorded.assert_clean();
    assert_eq!(recorded.count("end"), 1 + RACES);
    assert_eq!(recorded.count("park"), recorded.count("go_on") + recorded.count("unpark"));
}

fn calls() {
    Config::new().procs(1).run(|| {
        (0..3).for_each(|_| blocking(|| std::thread::sleep(Duration::from_millis(4))));
    });
}

fn blocking_calls_and_their_length_are_there() {
    let recorded = recorded("calls", |command| command);
    recorded.assert_clean();
    assert_eq!((recorded.count("blocking_begin"), recorded.count("blocking_end")), (3, 3));
    for event in &recorded.events {
        if let What::BlockingEnd { segment } = event.what {
            let (wall_ns, cpu_ns) = (segment.wall_ns.unwrap(), segment.cpu_ns.unwrap());
            assert!(wall_ns >= 4_000_000, "{segment:?}");
            assert!(cpu_ns + 2_000_000 <= wall_ns, "a sleep takes no CPU time: {segment:?}");
        }
    }
}

/// Nanoseconds of CPU time that this thread has used.
fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap()
}

/// A goroutine computes for 60 ms and sleeps, blocking its thread, for 20 ms, and says what its thread's clock says.
fn busy() {
    let cpu_ns = Config::new().procs(1).run(|| {
        go(|| {
            let before = thread_cpu_ns();
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(60) {}
            std::thread::sleep(Duration::from_millis(20));
            thread_cpu_ns() - before
        })
        .join()
        .unwrap()
    });
    println!("{cpu_ns}");
}

fn the_cpu_time_of_a_run_is_that_of_its_thread() {
    let recorded = recorded("busy", |command| command);
    recorded.assert_clean();
    let expected: u64 = String::from_utf8(recorded.output.stdout.clone()).unwrap().trim().parse().unwrap();
    let segment = recorded
        .events
        .iter()
        .filter_map(|event| match event.what {
            What::End { segment } => Some(segment),
            _ => None,
        })
        .max_by_key(|segment| segment.wall_ns)
        .unwrap();
    let (wall_ns, cpu_ns) = (segment.wall_ns.unwrap(), segment.cpu_ns.unwrap());
    assert!(wall_ns >= 80_000_000, "{segment:?}");
    // Besides the bound: the goroutine's start and end, which its own reading does not cover, however long they take
    // on a machine whose hypervisor steals; far less than the 20 ms that were slept.
    assert!(cpu_ns.abs_diff(expected) < recorded.trace.cpu_error_ns() + 8_000_000, "{cpu_ns} for {expected}");
}

fn joins() {
    Config::new().procs(1).run(|| {
        let done = go(|| ());
        yield_now();
        assert!(done.is_finished());
        done.join().unwrap();
    });
}

fn level_sync_has_the_joins_that_did_not_wait() {
    let plain = recorded("joins", |command| command);
    plain.assert_clean();
    assert!(!plain.trace.is_sync());
    assert_eq!((plain.count("join"), plain.count("park")), (0, 0));
    let sync = recorded("joins", |command| command.env("COREFIT_TRACE_LEVEL", "sync"));
    sync.assert_clean();
    assert!(sync.trace.is_sync());
    let join = sync.events.iter().find_map(|event| match event.what {
        What::Sync { op: Op::Join, object, place, .. } => Some((object, place)),
        _ => None,
    });
    let (object, place) = join.unwrap();
    assert!(object != 0 && sync.trace.place(place).unwrap().file == file!());
}

fn limited() {
    Config::new().procs(1).run(|| (0..20_000).for_each(|_| yield_now()));
}

fn what_is_dropped_is_counted_and_told() {
    let all = recorded("limited", |command| command);
    all.assert_clean();
    let cut = recorded("limited", |command| command.env("COREFIT_TRACE_LIMIT", "64K"));
    assert_eq!((cut.output.status.code(), cut.trace.end()), (Some(0), Some(End::Returned)));
    let dropped = cut.trace.dropped();
    assert!(dropped > 0 && cut.events.len() > 1_000);
    // Yielding alone, the program does the same each time.
    assert_eq!(cut.events.len() as u64 + dropped, all.events.len() as u64);
    assert!(cut.stderr().contains(&format!("lacks the last {dropped} events")), "{}", cut.stderr());
}

fn deadlock() {
    Config::new().procs(2).run(|| {
        let (_send, receive) = chan::<u8>(0);
        let theirs = receive.clone();
        drop(go(move || theirs.recv()));
        let _ = receive.recv();
    });
}

fn the_trace_of_a_deadlock_is_whole() {
    let recorded = recorded("deadlock", |command| command);
    assert_eq!((recorded.output.status.code(), recorded.trace.end()), (Some(2), Some(End::Deadlock)));
    assert_eq!((recorded.count("spawn"), recorded.count("park")), (2, 2));
}

fn quit() {
    Config::new().procs(2).run(|| {
        drop(go(|| time::sleep(Duration::from_secs(3_600))));
        time::sleep(Duration::from_millis(1));
        let pid = std::process::id().to_string();
        assert!(blocking(|| Command::new("kill").args(["-QUIT", &pid]).status()).unwrap().success());
        time::sleep(Duration::from_secs(3_600));
    });
}

fn the_trace_is_whole_after_sigquit() {
    let recorded = recorded("quit", |command| command);
    assert_eq!((recorded.output.status.code(), recorded.trace.end()), (Some(2), Some(End::Quit)));
    assert_eq!(recorded.count("spawn"), 2);
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn dig(depth: usize) -> usize {
    dig(std::hint::black_box(depth) + 1) + std::hint::black_box(depth)
}

fn overflow() {
    Config::new().procs(1).run(|| Builder::new().spawn(|| dig(0)).unwrap().join().unwrap());
}

fn the_trace_is_whole_after_a_stack_overflow() {
    use std::os::unix::process::ExitStatusExt;
    let recorded = recorded("overflow", |command| command);
    assert_eq!((recorded.output.status.signal(), recorded.trace.end()), (Some(6), Some(End::Fatal)));
    assert_eq!(recorded.count("spawn"), 2);
    let last_run = recorded.events.iter().rev().find(|event| event.what == What::Run).unwrap();
    assert_eq!(recorded.story(last_run.goroutine), ["spawn", "run"], "it did not come to its end");
}

fn twice() {
    (0..2).for_each(|_| Config::new().procs(1).run(|| go(yield_now).join().unwrap()));
}

fn runtimes_that_follow_each_other_share_the_file() {
    let recorded = recorded("twice", |command| command);
    recorded.assert_clean();
    for runtime in [1, 2] {
        let its = recorded.events.iter().filter(|event| event.runtime == runtime);
        let ends = its.filter(|event| matches!(event.what, What::End { .. })).count();
        assert_eq!(ends, 2, "runtime {runtime}");
    }
}

fn nothing() {
    println!("{}", corefit_runtime::run(|| go(|| 7).join().unwrap()));
}

fn settings_that_cannot_be_used_are_told_and_do_no_harm() {
    let place = Place::of("nothing");
    for (name, value) in [
        ("COREFIT_TRACE", "/nonexistent/trace"),
        ("COREFIT_TRACE", "/dev/null"),
        ("COREFIT_TRACE_LEVEL", "everything"),
        ("COREFIT_TRACE_LIMIT", "much"),
    ] {
        let output = child("nothing", &place).env(name, value).output().unwrap();
        let (out, err) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!((output.status.code(), out.as_str(), err.lines().count()), (Some(0), "7\n", 1), "{err}");
        assert!(err.starts_with("corefit-runtime: not tracing") && err.contains(value), "{err}");
        assert!(!place.0.exists());
    }
}
