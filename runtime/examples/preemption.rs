//! Preemption and blocking calls in numbers: `preemption [checks] [slices] [starvation] [blocking]`, all by default.
//!
//! - `checks`: what the checks of `#[preemptible]` cost, per loop iteration and per call.
//! - `slices`: how long goroutines that check run before they let others run: 10 ms are wanted.
//! - `starvation`: how late a 1 ms ticker is beside a goroutine that computes, with and without checks.
//! - `blocking`: how long it takes until others go on when the last processor goes into a blocking call.
//!
//! All on one processor and, where it says so, on two. Times are medians, percentiles and the worst.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use corefit_runtime::{Config, blocking, go, preemptible, time};

/// What can be shown, by name.
const PARTS: [(&str, fn()); 4] =
    [("checks", checks), ("slices", slices), ("starvation", starvation), ("blocking", go_on)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|wanted| PARTS.iter().all(|(name, _)| name != wanted)) {
        eprintln!("preemption: no part `{unknown}`; there are checks, slices, starvation and blocking");
        std::process::exit(2);
    }
    for (name, show) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            show();
        }
    }
}

/// Prints one line: `name`, then 50th and 99th percentile and the most of `times`.
fn print(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    println!(
        "{name:36} p50 {:9.1} us   p99 {:9.1} us   max {:9.1} us   of {}",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

/// Twice the same functions: `plain` without and `checked` with checks.
macro_rules! twice {
    ($($text:tt)*) => {
        mod plain { $($text)* }
        #[corefit_runtime::preemptible]
        mod checked { $($text)* }
    };
}

twice! {
    /// A chain of multiplications: nothing overlaps but the check.
    #[inline(never)]
    pub(super) fn chain(steps: u64, multiplier: u64) -> u64 {
        let mut value = 1_u64;
        for _ in 0..steps {
            value = value.wrapping_mul(multiplier).wrapping_add(1);
        }
        value
    }

    /// Additions that the compiler makes vectors of.
    #[inline(never)]
    pub(super) fn sum(values: &[u64]) -> u64 {
        let mut sum = 0_u64;
        for value in values {
            sum = sum.wrapping_add(*value);
        }
        sum
    }

    #[inline(never)]
    pub(super) fn fibonacci(n: u64) -> u64 {
        if n < 2 { n } else { fibonacci(n - 1) + fibonacci(n - 2) }
    }
}

/// Nanoseconds a step of `work`, which has `steps`: the median of 15 runs.
fn ns_per_step(steps: u64, mut work: impl FnMut() -> u64) -> f64 {
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            black_box(work());
            start.elapsed().as_nanos() as f64 / steps as f64
        })
        .collect();
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn checks() {
    const STEPS: u64 = 2_000_000;
    let values: Vec<u64> = (0..4096).collect();
    let rounds = STEPS / 4096;
    // Calls of fibonacci(27).
    let calls = 832_040;
    let sums = |sum: fn(&[u64]) -> u64| (0..rounds).map(|_| sum(black_box(&values))).sum();
    let print = |name: &str, plain: f64, checked: f64| {
        println!(
            "{name:36} {plain:6.2} ns plain   {checked:6.2} ns checked   {:6.2} ns a check",
            checked - plain
        );
    };
    let all = |name: &str| {
        let chains = |chain: fn(u64, u64) -> u64| ns_per_step(STEPS, || chain(STEPS, black_box(3)));
        print(&format!("{name}: a step of a chain"), chains(plain::chain), chains(checked::chain));
        let ns = |sum| ns_per_step(rounds * 4096, || sums(sum));
        print(&format!("{name}: an addition (vectors)"), ns(plain::sum), ns(checked::sum));
        let ns = |fibonacci: fn(u64) -> u64| ns_per_step(calls, || fibonacci(black_box(27)));
        print(&format!("{name}: a call of fibonacci"), ns(plain::fibonacci), ns(checked::fibonacci));
    };
    all("quiet");
    // Another processor is asked in vain: the checks here look closer. The goroutine is a hog, and told to be one.
    let (stop, theirs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let watched = Arc::clone(&stop);
    let hog = thread::spawn(move || {
        Config::new().procs(1).run(move || {
            while !watched.load(Relaxed) {
                theirs.store(true, Relaxed);
            }
        });
    });
    thread::sleep(Duration::from_millis(50));
    all("a hog elsewhere");
    stop.store(true, Relaxed);
    hog.join().expect("the hog does not panic");
}

/// Computes until `deadline`, and adds to `runs` how long it ran each time before others did.
#[preemptible]
fn compute_in_turns(who: usize, last: &AtomicUsize, deadline: Instant) -> Vec<Duration> {
    let mut runs = Vec::new();
    let mut begun = Instant::now();
    let mut now = begun;
    while now < deadline {
        let before = now;
        now = Instant::now();
        if last.swap(who, Relaxed) != who {
            // The others ran between the last look at the clock and this one.
            runs.push(before - begun);
            begun = now;
        }
    }
    // The first was none, or began before the others were there.
    runs.split_off(runs.len().min(2))
}

fn slices() {
    for goroutines in [2, 4] {
        let runs: Vec<Duration> = Config::new().procs(1).run(move || {
            let last = Arc::new(AtomicUsize::new(usize::MAX));
            let deadline = Instant::now() + Duration::from_secs(4);
            let all: Vec<_> = (0..goroutines)
                .map(|who| {
                    let last = Arc::clone(&last);
                    go(move || compute_in_turns(who, &last, deadline))
                })
                .collect();
            all.into_iter().flat_map(|one| one.join().expect("it does not panic")).collect()
        });
        print(&format!("a run of one of {goroutines} that check"), runs);
    }
}

fn starvation() {
    fn late(hog: fn(u64, u64) -> u64) -> Vec<Duration> {
        Config::new().procs(1).run(move || {
            let hog = go(move || black_box(hog(400_000_000, black_box(3))));
            let start = Instant::now();
            let late = (1..500)
                .map(|tick| {
                    let due = start + Duration::from_millis(tick);
                    time::sleep(due.saturating_duration_since(Instant::now()));
                    due.elapsed()
                })
                .collect();
            hog.join().expect("it does not panic");
            late
        })
    }
    print("a tick beside a hog without checks", late(plain::chain));
    print("a tick beside a hog with checks", late(checked::chain));
}

fn go_on() {
    for procs in [1, 2] {
        let times: Vec<Duration> = Config::new().procs(procs).run(move || {
            let lanes: Vec<_> = (0..procs).map(|_| go(block_and_look)).collect();
            lanes.into_iter().flat_map(|lane| lane.join().expect("it does not panic")).collect()
        });
        print(&format!("to go on while all of {procs} block"), times);
    }
}

/// How long after each of 1,000 blocking calls began the goroutine that was next ran.
fn block_and_look() -> Vec<Duration> {
    (0..1_000)
        .map(|_| {
            let other = go(Instant::now);
            let begun = Instant::now();
            blocking(|| thread::sleep(Duration::from_millis(1)));
            other.join().expect("it does not panic").saturating_duration_since(begun)
        })
        .collect()
}
