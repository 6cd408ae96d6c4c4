//! Everything at once, for as long as one likes: `soak SECONDS [SEED]`, see `scripts/soak`.
//!
//! One short runtime follows another. Each runs a random mix of scenarios side by side, while the number of processors
//! goes up and down; `GOMAXPROCS` bounds it. Each scenario checks a law of conservation: what was sent arrives once, what
//! was counted under a lock adds up, no more are inside than permits, every goroutine is joined. A round's seed is printed
//! before it begins. A round that takes longer than `PATIENCE` is a hang: the seed is said again, and SIGQUIT makes the
//! runtime list its goroutines.

mod channels;
mod locks;
mod outside;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use corefit_runtime::sync::Mutex;
use corefit_runtime::{
    Builder, Config, JoinHandle, blocking, chan, checkpoint, go, gomaxprocs, time, try_go, yield_now,
};

/// How long a round may take. A round takes some 10 ms on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A part of a round: its name, and what it does.
type Scenario = (&'static str, fn(Random));

/// All of them.
const SCENARIOS: [Scenario; 22] = [
    ("tree", tree),
    ("stream", channels::stream),
    ("rendezvous", channels::rendezvous),
    ("selects", channels::selects),
    ("timeouts", channels::timeouts),
    ("queue", locks::queue),
    ("readers", locks::readers),
    ("permits", locks::permits),
    ("meetings", locks::meetings),
    ("sleepers", outside::sleepers),
    ("tcp", outside::tcp),
    ("unix", outside::unix),
    ("blockers", outside::blockers),
    ("panics", panics),
    ("sizes", sizes),
    ("hogs", hogs),
    ("closers", channels::closers),
    ("drops", channels::drops),
    ("limits", channels::limits),
    ("udp", outside::udp),
    ("listener", outside::listener),
    ("foreigners", outside::foreigners),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let (Some(Ok(seconds)), seed) = (args.next(), args.next()) else {
        eprintln!("usage: soak SECONDS [SEED]");
        return ExitCode::from(2);
    };
    let replayed = seed.map(|seed| seed.expect("a seed is a number"));
    let most = Config::new().run(|| gomaxprocs(0));
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>() != Some(&ON_PURPOSE) {
            eprintln!("{info}");
        }
    }));
    let rounds = Arc::new(AtomicU64::new(0));
    watch(&rounds);
    let (start, mut seeds) = (Instant::now(), Random(u64::from(std::process::id()) << 32));
    while start.elapsed() < Duration::from_secs(seconds) {
        let seed = replayed.unwrap_or_else(|| seeds.next());
        println!("seed {seed}");
        round(seed, most);
        rounds.fetch_add(1, SeqCst);
    }
    println!("{} rounds in {seconds} s, GOMAXPROCS={most}: nothing lost", rounds.load(SeqCst));
    ExitCode::SUCCESS
}

/// Ends the process with a report when a round takes too long.
fn watch(rounds: &Arc<AtomicU64>) {
    let rounds = Arc::clone(rounds);
    thread::spawn(move || {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = rounds.load(SeqCst);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                println!("the round hangs");
                let quit = Command::new("kill").args(["-QUIT", &std::process::id().to_string()]).status();
                thread::sleep(Duration::from_secs(2));
                eprintln!("asking for a report: {quit:?}");
                std::process::abort();
            }
        }
    });
}

/// One runtime, from its start to its end.
fn round(seed: u64, most: usize) {
    let mut random = Random(seed);
    let procs = 1 + random.below(most);
    Config::new().procs(procs).run(move || {
        let is_over = Arc::new(AtomicBool::new(false));
        let resizer = random.chance(2).then(|| {
            let (mut random, is_over) = (random.fork(), Arc::clone(&is_over));
            go(move || {
                while !is_over.load(SeqCst) {
                    gomaxprocs(1 + random.below(most));
                    pause(&mut random);
                }
            })
        });
        let scenarios: Vec<_> = (0..1 + random.below(6))
            .map(|_| {
                let (name, scenario) = SCENARIOS[random.below(SCENARIOS.len())];
                let random = random.fork();
                (name, go(move || scenario(random)))
            })
            .collect();
        if random.chance(4) {
            leave_behind(&mut random);
        }
        for (name, handle) in scenarios {
            assert!(handle.join().is_ok(), "seed {seed}: scenario {name} failed");
        }
        is_over.store(true, SeqCst);
        if let Some(resizer) = resizer {
            resizer.join().expect("the resizer does not panic");
        }
    });
}

/// Goroutines that are alive when the runtime ends.
fn leave_behind(random: &mut Random) {
    let (sender, receiver) = chan::<u8>(0);
    drop(go(move || receiver.recv()));
    std::mem::forget(sender);
    drop(go(|| time::sleep(Duration::from_secs(3_600))));
    let us = random.below(3_000);
    drop(go(move || blocking(|| thread::sleep(micros(us)))));
    drop(go(|| {
        loop {
            yield_now();
        }
    }));
}

fn micros(us: usize) -> Duration {
    Duration::from_micros(us as u64)
}

/// A moment in which others run: none, a switch, or some time.
fn pause(random: &mut Random) {
    match random.below(8) {
        0..4 => {}
        4 => yield_now(),
        5 => time::sleep(micros(random.below(200))),
        6 => checkpoint(),
        _ => (0..random.below(2_000)).for_each(|_| std::hint::spin_loop()),
    }
}

fn join_all<T>(handles: Vec<JoinHandle<T>>) -> Vec<T> {
    handles.into_iter().map(|handle| handle.join().unwrap_or_else(|_| panic!("a part failed"))).collect()
}

/// A tree of goroutines counts its leaves.
fn tree(mut random: Random) {
    fn leaves(depth: usize, mut random: Random) -> usize {
        if depth == 0 {
            pause(&mut random);
            return 1;
        }
        let children: Vec<_> = (0..2)
            .map(|_| {
                let random = random.fork();
                go(move || leaves(depth - 1, random))
            })
            .collect();
        join_all(children).into_iter().sum()
    }
    let depth = random.below(9);
    assert_eq!(leaves(depth, random), 1 << depth);
}

const ON_PURPOSE: &str = "on purpose";

/// Never returns.
fn panic_on_purpose() {
    std::panic::panic_any(ON_PURPOSE)
}

/// Stacks of every size, some of them used deep, and closures of every size.
fn sizes(mut random: Random) {
    fn deep(bytes: usize) -> usize {
        let frame = std::hint::black_box([1_u8; 1024]);
        let below = if bytes > 2048 { deep(bytes - 2048) } else { 0 };
        below + usize::from(std::hint::black_box(frame)[random_index(bytes)])
    }
    fn random_index(bytes: usize) -> usize {
        bytes % 1024
    }
    let parts: Vec<_> = (0..1 + random.below(30))
        .map(|_| {
            let bytes = 1 << (12 + random.below(9));
            let used = random.below(bytes / 4);
            let (large, mut random) = ([7_u8; 3000], random.fork());
            let started = Builder::new().stack_size(bytes).spawn(move || {
                pause(&mut random);
                let expected = used.div_ceil(2048).max(1);
                assert!(deep(used).abs_diff(expected) <= 1);
                pause(&mut random);
                large.iter().map(|byte| usize::from(*byte)).sum::<usize>()
            });
            started.expect("stacks are to be had")
        })
        .collect();
    assert!(join_all(parts).into_iter().all(|sum| sum == 21_000));
    assert_eq!(try_go(|| 1).expect("one more").join().expect("it does not panic"), 1);
}

/// Goroutines that compute with checks beside others that wait.
fn hogs(mut random: Random) {
    let hogs: Vec<_> = (0..1 + random.below(3))
        .map(|_| {
            let turns = random.below(200_000);
            go(move || {
                let mut sum = 0_usize;
                for turn in 0..turns {
                    sum = std::hint::black_box(sum.wrapping_add(turn));
                    checkpoint();
                }
                sum == turns * turns.saturating_sub(1) / 2
            })
        })
        .collect();
    outside::sleepers(random.fork());
    assert!(join_all(hogs).into_iter().all(|is_right| is_right));
}

/// Panics while a destructor waits: every one arrives at `join`, and releases its lock.
fn panics(mut random: Random) {
    struct Counts(Arc<Mutex<usize>>, Option<JoinHandle<()>>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.1.take().expect("dropped once").join().expect("it does nothing");
            let mut count = self.0.lock();
            yield_now();
            *count += 1;
        }
    }
    let (count, each) = (Arc::new(Mutex::new(0)), random.below(20));
    let parts: Vec<_> = (0..each)
        .map(|_| {
            let (count, mut random) = (Arc::clone(&count), random.fork());
            go(move || {
                let _counts = Counts(Arc::clone(&count), Some(go(|| ())));
                pause(&mut random);
                std::panic::panic_any(ON_PURPOSE);
            })
        })
        .collect();
    for part in parts {
        let payload = part.join().expect_err("it panics");
        assert_eq!(payload.downcast_ref::<&str>(), Some(&ON_PURPOSE));
    }
    assert_eq!(*count.lock(), each);
}

/// SplitMix64 (Steele and others, "Fast splittable pseudorandom number generators", 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, exclusive.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 32).expect("32 bits") % end.max(1)
    }

    /// True once in `times`.
    fn chance(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// A stream of its own.
    fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
