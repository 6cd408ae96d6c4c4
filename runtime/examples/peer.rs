//! The runtime under the side-by-side benchmarks: `peer BENCH PROCS ITERS` runs one bench, checks its result and prints
//! one line, `bench=… peer=self procs=… iters=… ns_per_op=…`. Exit code 3: no such bench.
//!
//! `scripts/peers` runs it beside Go, may, tokio and threads. So that the ratios mean something each bench does, inside the
//! clock, what the same bench of the other peers does: the same buffers, batches and warm-up (a tenth of ITERS, untimed,
//! but for `spawn_parked_mem`, `sieve` and `timer`), handles allocated before the clock starts, relaxed counters, sockets
//! connected and without delay, memory read before the runtime starts and 50 ms after the last goroutine has parked.
//! Change a bench here only together with its twins.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use corefit_runtime::net::{TcpListener, TcpStream};
use corefit_runtime::sync::{Mutex, Semaphore};
use corefit_runtime::{Config, JoinHandle, chan, go, time, yield_now};

/// Tasks alive at once in the spawn benches.
const BATCH: usize = 1000;
/// Buffer of the buffered channels.
const CHAN_CAP: usize = 128;
/// Producers, and consumers, of the many-to-many channel.
const MPMC_SIDES: usize = 4;
const MUTEX_TASKS: usize = 64;
const TCP_CONNS: usize = 64;
const TCP_MSG: usize = 64;
const TIMER: Duration = Duration::from_millis(10);
const FIB_N: u64 = 27;
/// Below this, fib does not spawn.
const FIB_CUT: u64 = 12;
/// Time for the last goroutines to be parked before memory is read.
const SETTLE: Duration = Duration::from_millis(50);

/// Time, operations, and further figures.
struct Out {
    elapsed: Duration,
    ops: usize,
    more: Vec<(&'static str, f64)>,
}

impl Out {
    fn new(elapsed: Duration, ops: usize) -> Self {
        Self { elapsed, ops, more: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: f64) -> Self {
        self.more.push((name, value));
        self
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [bench, procs, iters] = args.as_slice() else { return usage() };
    let (Ok(procs), Ok(iters)) = (procs.parse::<NonZero<usize>>(), iters.parse::<NonZero<usize>>()) else {
        return usage();
    };
    let (procs, iters) = (procs.get(), iters.get());
    let before = Memory::now();
    let name = bench.clone();
    let Some(out) = Config::new().procs(procs).run(move || measure(&name, iters, before)) else {
        eprintln!("no such bench: {bench}");
        return ExitCode::from(3);
    };
    let ns_per_op = out.elapsed.as_nanos() as f64 / out.ops as f64;
    let mut line = format!("bench={bench} peer=self procs={procs} iters={iters} ns_per_op={ns_per_op:.2}");
    for (name, value) in out.more {
        let _ = write!(line, " {name}={value:.2}");
    }
    println!("{line}");
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: peer BENCH PROCS ITERS, both of them 1 or more");
    ExitCode::from(2)
}

fn measure(bench: &str, n: usize, before: Memory) -> Option<Out> {
    let twice = |run: &dyn Fn(usize) -> Out| {
        run((n / 10).max(1));
        run(n)
    };
    Some(match bench {
        "spawn_join" => twice(&|n| spawn_join(n, BATCH)),
        "spawn_join_one" => twice(&|n| spawn_join(n, 1)),
        "spawn_parked_mem" => parked(n, before),
        "yield_switch_2" => twice(&|n| yield_switch(n, 2)),
        "yield_switch_1000" => twice(&|n| yield_switch(n, 1000)),
        "yield_switch_100000" => twice(&|n| yield_switch(n, 100_000)),
        "chan_unbuf" => twice(&chan_unbuf),
        "chan_buf" => twice(&|n| chan_buf(n, 1)),
        "chan_buf_mpmc" => twice(&|n| chan_buf(n, MPMC_SIDES)),
        "mutex_contended" => twice(&mutex_contended),
        "sieve" => sieve(n),
        "fork_join" => {
            let floor = fib_floor_ns();
            let out = twice(&fork_join);
            out.with("seq_ns", floor.min(fib_floor_ns()))
        }
        "timer" => timer(n),
        "tcp_echo" => twice(&tcp_echo),
        _ => return None,
    })
}

fn join_all<T>(handles: Vec<JoinHandle<T>>) {
    for handle in handles {
        assert!(handle.join().is_ok(), "a goroutine panicked");
    }
}

static COUNTER: AtomicUsize = AtomicUsize::new(0);

fn spawn_join(n: usize, batch: usize) -> Out {
    let before = COUNTER.load(Relaxed);
    let mut handles = Vec::with_capacity(batch);
    let begun = Instant::now();
    let mut left = n;
    while left > 0 {
        let now = batch.min(left);
        for _ in 0..now {
            handles.push(go(|| {
                COUNTER.fetch_add(1, Relaxed);
            }));
        }
        for handle in handles.drain(..) {
            assert!(handle.join().is_ok(), "a goroutine panicked");
        }
        left -= now;
    }
    let elapsed = begun.elapsed();
    assert_eq!(COUNTER.load(Relaxed) - before, n, "lost goroutines");
    Out::new(elapsed, n)
}

fn parked(n: usize, before: Memory) -> Out {
    struct Shared {
        started: AtomicUsize,
        finished: AtomicUsize,
        ready: Semaphore,
        gate: Semaphore,
        done: Semaphore,
    }
    let shared = Arc::new(Shared {
        started: AtomicUsize::new(0),
        finished: AtomicUsize::new(0),
        ready: Semaphore::new(0),
        gate: Semaphore::new(0),
        done: Semaphore::new(0),
    });
    let begun = Instant::now();
    for _ in 0..n {
        let shared = Arc::clone(&shared);
        go(move || {
            if shared.started.fetch_add(1, Relaxed) + 1 == n {
                shared.ready.release(1);
            }
            shared.gate.acquire().forget();
            if shared.finished.fetch_add(1, Relaxed) + 1 == n {
                shared.done.release(1);
            }
        });
    }
    shared.ready.acquire().forget();
    let spawned = begun.elapsed();
    time::sleep(SETTLE);
    let after = Memory::now();
    let begun = Instant::now();
    shared.gate.release(n);
    shared.done.acquire().forget();
    let ended = begun.elapsed();
    let each = |bytes: i64| bytes as f64 / n as f64;
    Out::new(spawned, n)
        .with("bytes_per_task", each(after.rss_bytes - before.rss_bytes))
        .with("kernel_bytes_per_task", each(after.kernel_bytes - before.kernel_bytes))
        .with("teardown_ns_per_task", ended.as_nanos() as f64 / n as f64)
}

fn yield_switch(n: usize, tasks: usize) -> Out {
    let each = (n / tasks).max(1);
    let begun = Instant::now();
    let handles = (0..tasks)
        .map(|_| {
            go(move || {
                for _ in 0..each {
                    yield_now();
                }
            })
        })
        .collect();
    join_all(handles);
    Out::new(begun.elapsed(), each * tasks)
}

fn chan_unbuf(n: usize) -> Out {
    let (ping, pinged) = chan::<usize>(0);
    let (pong, ponged) = chan::<usize>(0);
    let begun = Instant::now();
    let echo = go(move || {
        for _ in 0..n {
            let value = pinged.recv().expect("a ping");
            pong.send(value + 1).expect("a receiver");
        }
    });
    let driver = go(move || {
        for i in 0..n {
            ping.send(i).expect("a receiver");
            assert_eq!(ponged.recv().expect("a pong"), i + 1);
        }
    });
    join_all(vec![echo, driver]);
    Out::new(begun.elapsed(), n)
}

fn chan_buf(n: usize, sides: usize) -> Out {
    let each = (n / sides).max(1);
    let (sender, receiver) = chan::<u64>(CHAN_CAP);
    let sum = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut handles = Vec::new();
    for _ in 0..sides {
        let sender = sender.clone();
        handles.push(go(move || {
            for i in 0..each as u64 {
                sender.send(i).expect("a receiver");
            }
        }));
        let (receiver, sum) = (receiver.clone(), Arc::clone(&sum));
        handles.push(go(move || {
            let local: u64 = (0..each).map(|_| receiver.recv().expect("a message")).sum();
            sum.fetch_add(local, Relaxed);
        }));
    }
    join_all(handles);
    let elapsed = begun.elapsed();
    let each_sum = each as u64 * (each as u64 - 1) / 2;
    assert_eq!(sum.load(Relaxed), sides as u64 * each_sum, "lost messages");
    Out::new(elapsed, each * sides)
}

fn mutex_contended(n: usize) -> Out {
    let each = (n / MUTEX_TASKS).max(1);
    let total = Arc::new(Mutex::new(0usize));
    let begun = Instant::now();
    let handles = (0..MUTEX_TASKS)
        .map(|_| {
            let total = Arc::clone(&total);
            go(move || {
                for _ in 0..each {
                    *total.lock() += 1;
                }
            })
        })
        .collect();
    join_all(handles);
    let elapsed = begun.elapsed();
    let counted = *total.lock();
    assert_eq!(counted, each * MUTEX_TASKS, "lost increments");
    Out::new(elapsed, counted)
}

fn sieve(n: usize) -> Out {
    let begun = Instant::now();
    let (sender, mut receiver) = chan::<u64>(0);
    go(move || {
        for i in 2.. {
            if sender.send(i).is_err() {
                break;
            }
        }
    });
    let mut prime = 0;
    for _ in 0..n {
        prime = receiver.recv().expect("a number");
        let (sender, next) = chan::<u64>(0);
        let input = std::mem::replace(&mut receiver, next);
        go(move || {
            for value in &input {
                if value % prime != 0 && sender.send(value).is_err() {
                    break;
                }
            }
        });
    }
    Out::new(begun.elapsed(), n).with("last_prime", prime as f64)
}

#[inline(never)]
fn fib_seq(n: u64) -> u64 {
    if n < 2 { n } else { fib_seq(n - 1) + fib_seq(n - 2) }
}

fn fib(n: u64) -> u64 {
    if n <= FIB_CUT {
        return fib_seq(n);
    }
    let other = go(move || fib(n - 1));
    let here = fib(n - 2);
    other.join().expect("fib does not panic") + here
}

/// Best time of a sequential fib: the floor of `fork_join`.
fn fib_floor_ns() -> f64 {
    let one = || {
        let begun = Instant::now();
        black_box(fib_seq(black_box(FIB_N)));
        begun.elapsed().as_nanos() as f64
    };
    (0..20).map(|_| one()).fold(f64::INFINITY, f64::min)
}

fn fork_join(n: usize) -> Out {
    let begun = Instant::now();
    for _ in 0..n {
        assert_eq!(black_box(fib(black_box(FIB_N))), 196_418);
    }
    Out::new(begun.elapsed(), n)
}

fn timer(n: usize) -> Out {
    let late_ns: Arc<Vec<AtomicU64>> = Arc::new((0..n).map(|_| AtomicU64::new(0)).collect());
    let mut handles = Vec::with_capacity(n);
    let begun = Instant::now();
    for i in 0..n {
        let late_ns = Arc::clone(&late_ns);
        handles.push(go(move || {
            let asleep = Instant::now();
            time::sleep(TIMER);
            let late = asleep.elapsed().saturating_sub(TIMER);
            late_ns[i].store(late.as_nanos() as u64, Relaxed);
        }));
    }
    join_all(handles);
    let elapsed = begun.elapsed();
    let mut late: Vec<u64> = late_ns.iter().map(|late| late.load(Relaxed)).collect();
    late.sort_unstable();
    let at_us = |share: f64| late[((n as f64 * share) as usize).min(n - 1)] as f64 / 1e3;
    Out::new(elapsed, n)
        .with("overshoot_p50_us", at_us(0.50))
        .with("overshoot_p99_us", at_us(0.99))
        .with("overshoot_max_us", at_us(1.0))
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket option");
    let mut buffer = [0u8; TCP_MSG];
    while stream.read_exact(&mut buffer).is_ok() {
        if stream.write_all(&buffer).is_err() {
            break;
        }
    }
}

fn tcp_echo(n: usize) -> Out {
    let each = (n / TCP_CONNS).max(1);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = go(move || {
        let serving = (0..TCP_CONNS).map(|_| listener.accept().expect("a connection").0);
        let handles: Vec<_> = serving.map(|stream| go(move || serve(stream))).collect();
        join_all(handles);
    });
    let streams: Vec<TcpStream> = (0..TCP_CONNS)
        .map(|_| {
            let stream = TcpStream::connect(address).expect("a connection");
            stream.set_nodelay(true).expect("a socket option");
            stream
        })
        .collect();
    let begun = Instant::now();
    let clients = streams
        .into_iter()
        .map(|mut stream| {
            go(move || {
                let mut buffer = [0u8; TCP_MSG];
                for i in 0..each {
                    buffer[0] = i as u8;
                    stream.write_all(&buffer).expect("a server");
                    stream.read_exact(&mut buffer).expect("an echo");
                    assert_eq!(buffer[0], i as u8, "wrong echo");
                }
            })
        })
        .collect();
    join_all(clients);
    let elapsed = begun.elapsed();
    assert!(server.join().is_ok(), "the server panicked");
    Out::new(elapsed, each * TCP_CONNS)
}

/// Resident memory of the process, and the kernel's own memory (of the whole machine), in bytes.
#[derive(Clone, Copy)]
struct Memory {
    rss_bytes: i64,
    kernel_bytes: i64,
}

impl Memory {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let machine = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = ["KernelStack:", "PageTables:", "SUnreclaim:"];
        Self {
            rss_bytes: bytes_of(&status, "VmRSS:"),
            kernel_bytes: kernel.iter().map(|key| bytes_of(&machine, key)).sum(),
        }
    }
}

/// The figure of a `Key:   123 kB` line.
fn bytes_of(text: &str, key: &str) -> i64 {
    let figure =
        text.lines().find_map(|line| line.strip_prefix(key)).and_then(|rest| rest.split_whitespace().next());
    figure.and_then(|kib| kib.parse::<i64>().ok()).unwrap_or(0) * 1024
}
