//! Everything at once, for as long as one likes: `soak SECONDS [SEED]`, see `scripts/soak`.
//!
//! One short runtime follows another. Each runs a random mix of scenarios side by side, while the number of processors
//! goes up and down; `GOMAXPROCS` bounds it. Each scenario checks a law of conservation: what was sent arrives once, what
//! was counted under a lock adds up, no more are inside than permits, every goroutine is joined. A round's seed is printed
//! before it begins. A round that takes longer than `PATIENCE` is a hang: the seed is said again, and SIGQUIT makes the
//! runtime list its goroutines.

use std::cell::Cell;
use std::io::{Read, Write};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use corefit_runtime::net::{TcpListener, TcpStream, UnixStream};
use corefit_runtime::sync::{Barrier, Condvar, Mutex, Once, RwLock, Semaphore, WaitGroup};
use corefit_runtime::{
    Config, JoinHandle, blocking, chan, checkpoint, go, gomaxprocs, select, spawn_pinned, time, yield_now,
};

/// How long a round may take. A round takes some 10 ms on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A part of a round: its name, and what it does.
type Scenario = (&'static str, fn(Random));

/// All of them.
const SCENARIOS: [Scenario; 15] = [
    ("tree", tree),
    ("stream", stream),
    ("rendezvous", rendezvous),
    ("selects", selects),
    ("timeouts", timeouts),
    ("queue", queue),
    ("readers", readers),
    ("permits", permits),
    ("meetings", meetings),
    ("sleepers", sleepers),
    ("tcp", tcp),
    ("unix", unix),
    ("blockers", blockers),
    ("panics", panics),
    ("foreigners", foreigners),
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

/// Several senders and receivers of one channel: each value arrives once, those of a sender in order.
fn stream(random: Random) {
    pass(random, 1);
}

fn rendezvous(random: Random) {
    pass(random, 0);
}

fn pass(mut random: Random, least: usize) {
    let (sender, receiver) = chan::<(usize, usize)>(least + least * random.below(5));
    let (senders, receivers, each) = (1 + random.below(4), 1 + random.below(4), random.below(300));
    let producers: Vec<_> = (0..senders)
        .map(|id| {
            let (sender, mut random) = (sender.clone(), random.fork());
            go(move || {
                for value in 0..each {
                    sender.send((id, value)).expect("a receiver is left");
                    pause(&mut random);
                }
            })
        })
        .collect();
    drop(sender);
    let consumers: Vec<_> = (0..receivers)
        .map(|_| {
            let (receiver, mut random) = (receiver.clone(), random.fork());
            go(move || {
                let mut got = Vec::new();
                for value in &receiver {
                    got.push(value);
                    pause(&mut random);
                }
                got
            })
        })
        .collect();
    join_all(producers);
    let got = join_all(consumers);
    for part in &got {
        for id in 0..senders {
            let own: Vec<_> = part.iter().filter(|(from, _)| *from == id).map(|(_, value)| value).collect();
            assert!(own.is_sorted(), "values of one sender overtook each other");
        }
    }
    let mut all: Vec<_> = got.into_iter().flatten().collect();
    all.sort_unstable();
    let expected: Vec<_> = (0..senders).flat_map(|id| (0..each).map(move |value| (id, value))).collect();
    assert_eq!(all, expected, "each value arrives once");
}

/// Selects on both sides of two channels, with timeouts: what was taken from senders is what receivers got.
fn selects(mut random: Random) {
    let (left, from_left) = chan::<usize>(random.below(3));
    let (right, from_right) = chan::<usize>(random.below(2));
    let each = random.below(200);
    let producers: Vec<_> = (0..1 + random.below(4))
        .map(|_| {
            let (left, right, mut random) = (left.clone(), right.clone(), random.fork());
            go(move || {
                let (mut sum, mut value) = (0, 1);
                while value <= each {
                    let is_sent = select! {
                        send(left, value) -> result => result.is_ok(),
                        send(right, value) -> result => result.is_ok(),
                        timeout(micros(random.below(100))) => false,
                    };
                    if is_sent {
                        sum += value;
                        value += 1;
                    }
                    pause(&mut random);
                }
                sum
            })
        })
        .collect();
    drop((left, right));
    let consumers: Vec<_> = (0..1 + random.below(4))
        .map(|_| {
            let (from_left, from_right, mut random) = (from_left.clone(), from_right.clone(), random.fork());
            go(move || {
                let (mut sum, mut open) = (0, [true; 2]);
                while open != [false; 2] {
                    select! {
                        recv(from_left) -> got => match got {
                            Ok(value) => sum += value,
                            Err(_) => open[0] = false,
                        },
                        recv(from_right) -> got => match got {
                            Ok(value) => sum += value,
                            Err(_) => open[1] = false,
                        },
                        timeout(micros(random.below(300))) => {}
                    }
                    pause(&mut random);
                }
                sum
            })
        })
        .collect();
    let sent: usize = join_all(producers).into_iter().sum();
    let received: usize = join_all(consumers).into_iter().sum();
    assert_eq!(sent, received);
}

/// Timed waits that meet what they wait for: a value is either received or still there.
fn timeouts(mut random: Random) {
    let (sender, receiver) = chan::<usize>(0);
    let each = random.below(100);
    let mut theirs = random.fork();
    let producer = go(move || {
        for value in 0..each {
            time::sleep(micros(theirs.below(60)));
            sender.send(value).expect("the receiver waits for all");
        }
    });
    let mut expected = 0;
    while expected < each {
        if let Ok(value) = receiver.recv_timeout(micros(random.below(60))) {
            assert_eq!(value, expected);
            expected += 1;
        }
    }
    producer.join().expect("all was received");
    let us = random.below(100);
    let result = time::timeout(micros(random.below(100)), move || time::sleep(micros(us)));
    assert!(result.is_ok() || us < 100);
    assert!(time::after(micros(us)).recv().is_ok());
}

/// A queue with room for three, of a lock and two conditions.
fn queue(mut random: Random) {
    struct Queue {
        items: Mutex<Vec<usize>>,
        has_room: Condvar,
        has_item: Condvar,
    }
    let queue =
        Arc::new(Queue { items: Mutex::new(Vec::new()), has_room: Condvar::new(), has_item: Condvar::new() });
    let (pairs, each) = (1 + random.below(4), random.below(200));
    let producers: Vec<_> = (0..pairs)
        .map(|_| {
            let (queue, mut random) = (Arc::clone(&queue), random.fork());
            go(move || {
                for value in 1..=each {
                    let mut items = queue.items.lock();
                    while items.len() == 3 {
                        items = queue.has_room.wait_timeout(items, micros(random.below(500))).0;
                    }
                    items.push(value);
                    drop(items);
                    queue.has_item.notify_one();
                    pause(&mut random);
                }
            })
        })
        .collect();
    let consumers: Vec<_> = (0..pairs)
        .map(|_| {
            let (queue, mut random) = (Arc::clone(&queue), random.fork());
            go(move || {
                (0..each)
                    .map(|_| {
                        let mut items = queue.items.lock();
                        while items.is_empty() {
                            items = queue.has_item.wait(items);
                        }
                        let value = items.pop().expect("there is one");
                        drop(items);
                        queue.has_room.notify_one();
                        pause(&mut random);
                        value
                    })
                    .sum::<usize>()
            })
        })
        .collect();
    join_all(producers);
    assert_eq!(join_all(consumers).into_iter().sum::<usize>(), pairs * each * (each + 1) / 2);
}

/// Readers never see half of a write, and no write is lost.
fn readers(mut random: Random) {
    let pair = Arc::new(RwLock::new((0_usize, 0_usize)));
    let each = random.below(300);
    let parts: Vec<_> = (0..2 + random.below(6))
        .map(|_| {
            let (pair, mut random) = (Arc::clone(&pair), random.fork());
            go(move || {
                let mut writes = 0;
                for _ in 0..each {
                    if random.chance(5) {
                        let mut pair = pair.write();
                        pair.0 += 1;
                        pause(&mut random);
                        pair.1 += 1;
                        writes += 1;
                    } else {
                        let pair = pair.read();
                        assert_eq!(pair.0, pair.1);
                        pause(&mut random);
                    }
                }
                writes
            })
        })
        .collect();
    let writes: usize = join_all(parts).into_iter().sum();
    assert_eq!(*pair.read(), (writes, writes));
}

/// No more inside than permits; all permits come back.
fn permits(mut random: Random) {
    let total = 1 + random.below(4);
    let shared = Arc::new((Semaphore::new(total), AtomicUsize::new(0)));
    let each = random.below(200);
    let parts: Vec<_> = (0..1 + random.below(8))
        .map(|_| {
            let (shared, mut random) = (Arc::clone(&shared), random.fork());
            go(move || {
                for _ in 0..each {
                    let wanted = 1 + random.below(total);
                    let permit = shared.0.acquire_many(wanted);
                    assert!(shared.1.fetch_add(wanted, SeqCst) + wanted <= total, "too many inside");
                    pause(&mut random);
                    shared.1.fetch_sub(wanted, SeqCst);
                    drop(permit);
                }
            })
        })
        .collect();
    join_all(parts);
    assert_eq!(shared.0.available(), total);
}

/// Barrier, wait group and once: every group has one leader, and everyone sees what was done once.
fn meetings(mut random: Random) {
    let (size, rounds) = (1 + random.below(6), random.below(50));
    let shared = Arc::new((Barrier::new(size), Once::new(), AtomicUsize::new(0), AtomicUsize::new(0)));
    let group = WaitGroup::new();
    group.add(size);
    for _ in 0..size {
        let (shared, group, mut random) = (Arc::clone(&shared), group.clone(), random.fork());
        drop(go(move || {
            for _ in 0..rounds {
                pause(&mut random);
                if shared.0.wait() {
                    shared.2.fetch_add(1, SeqCst);
                }
                shared.1.call_once(|| {
                    pause(&mut random);
                    shared.3.fetch_add(1, SeqCst);
                });
                assert_eq!(shared.3.load(SeqCst), 1);
            }
            group.done();
        }));
    }
    group.wait();
    assert_eq!(shared.2.load(SeqCst), rounds);
}

/// A sleep is never too short.
fn sleepers(mut random: Random) {
    let sleepers: Vec<_> = (0..random.below(300))
        .map(|_| {
            let mut random = random.fork();
            go(move || {
                for _ in 0..random.below(5) {
                    let (start, duration) = (Instant::now(), micros(random.below(2_000)));
                    time::sleep(duration);
                    assert!(start.elapsed() >= duration);
                }
            })
        })
        .collect();
    join_all(sleepers);
}

/// Sends random bytes in random pieces and checks what comes back.
fn converse(stream: impl Read + Write, random: &mut Random) {
    let mut stream = stream;
    for _ in 0..random.below(30) {
        let sent: Vec<u8> = (0..1 + random.below(5_000)).map(|_| random.next() as u8).collect();
        stream.write_all(&sent).expect("the other side reads");
        pause(random);
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).expect("the other side answers");
        assert!(sent == got, "the echo differs");
    }
}

/// Answers until the other side is done.
fn echo(stream: impl Read + Write) {
    let (mut stream, mut buffer) = (stream, [0; 700]);
    loop {
        match stream.read(&mut buffer).expect("a loopback read") {
            0 => return,
            length => stream.write_all(&buffer[..length]).expect("the other side reads"),
        }
    }
}

fn tcp(mut random: Random) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let clients = 1 + random.below(10);
    let server = go(move || {
        let served: Vec<_> = (0..clients)
            .map(|_| {
                let (stream, _) = listener.accept().expect("a client");
                stream.set_nodelay(true).expect("it is connected");
                go(move || echo(stream))
            })
            .collect();
        join_all(served);
    });
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let mut random = random.fork();
            go(move || {
                let stream = TcpStream::connect(address).expect("the server");
                stream.set_nodelay(true).expect("it is connected");
                converse(stream, &mut random);
            })
        })
        .collect();
    join_all(clients);
    server.join().expect("all were served");
}

fn unix(mut random: Random) {
    let pairs: Vec<_> = (0..1 + random.below(6))
        .map(|_| {
            let mut random = random.fork();
            let (one, other) = UnixStream::pair().expect("descriptors");
            one.set_read_timeout(Some(Duration::from_millis(1))).expect("not zero");
            let server = go(move || echo(other));
            go(move || {
                let mut nothing = [0];
                if random.chance(3) {
                    let error = (&one).read(&mut nothing).expect_err("nothing was sent");
                    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
                }
                one.set_read_timeout(None).expect("none is fine");
                converse(one, &mut random);
                server.join().expect("the echo ends");
            })
        })
        .collect();
    join_all(pairs);
}

thread_local! {
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// Blocking calls, some of which wait for a goroutine, and pinned goroutines, which stay on their threads.
fn blockers(mut random: Random) {
    let parts: Vec<_> = (0..1 + random.below(12))
        .map(|n| {
            let mut random = random.fork();
            go(move || {
                for value in 0..random.below(20) {
                    let us = random.below(100);
                    let got = blocking(|| {
                        thread::sleep(micros(us));
                        blocking(|| value)
                    });
                    assert_eq!(got, value);
                    pause(&mut random);
                    if random.chance(8) {
                        let (sender, receiver) = chan(0);
                        drop(go(move || sender.send(n)));
                        assert_eq!(blocking(|| receiver.recv()), Ok(n));
                    }
                }
            })
        })
        .collect();
    let pinned: Vec<_> = (0..random.below(3))
        .map(|_| {
            let mut random = random.fork();
            spawn_pinned(move || {
                let id = thread::current().id();
                for visit in 0..random.below(50) {
                    assert_eq!(VISITS.replace(visit + 1), visit);
                    pause(&mut random);
                    if random.chance(4) {
                        blocking(|| thread::sleep(micros(10)));
                    }
                    assert_eq!(thread::current().id(), id);
                }
                VISITS.set(0);
            })
        })
        .collect();
    join_all(parts);
    join_all(pinned);
}

const ON_PURPOSE: &str = "on purpose";

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

/// Threads and goroutines at one lock and on both sides of two channels.
fn foreigners(mut random: Random) {
    let each = random.below(100);
    let total = Arc::new(Mutex::new(0));
    let (ask, asked) = chan::<usize>(random.below(2));
    let (answer, answered) = chan::<usize>(random.below(2));
    let theirs = Arc::clone(&total);
    let thread = thread::spawn(move || {
        for value in &asked {
            *theirs.lock() += 1;
            answer.send(value + 1).expect("the goroutine waits for it");
        }
    });
    for value in 0..each {
        ask.send(value).expect("the thread listens");
        *total.lock() += 1;
        pause(&mut random);
        assert_eq!(answered.recv(), Ok(value + 1));
    }
    drop(ask);
    blocking(|| thread.join()).expect("the thread ends");
    assert_eq!(*total.lock(), 2 * each);
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
