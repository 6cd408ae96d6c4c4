//! A program that ignores its worker count: eight threads compute whatever it is told.
//!
//! It ends once its CPU time is 1.3 times its wall time, which shows that more than one of them ran at once; with exit
//! code 7 if that does not come about, as on a machine of one CPU.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

const THREADS: usize = 8;
const RATIO: f64 = 1.3;
/// Long enough for what comes before and after `main` not to matter.
const SHORTEST: Duration = Duration::from_millis(400);
const LONGEST: Duration = Duration::from_secs(5);

static IS_OVER: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(burn);
        }
        let shown = watch(begun);
        // ORDERING: Relaxed; pairs with the load in `burn`. The flag publishes no other data.
        IS_OVER.store(true, Ordering::Relaxed);
        if shown { ExitCode::SUCCESS } else { ExitCode::from(7) }
    })
}

fn burn() {
    let mut number = 1u64;
    // ORDERING: Relaxed; pairs with the store in `main`. The flag publishes no other data.
    while !IS_OVER.load(Ordering::Relaxed) {
        for _ in 0..1000 {
            number = black_box(number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// Whether it has shown itself in time.
fn watch(begun: Instant) -> bool {
    while begun.elapsed() < LONGEST {
        thread::sleep(Duration::from_millis(20));
        let now = clock_gettime(ClockId::ProcessCPUTime);
        let cpu_s = now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9;
        if begun.elapsed() >= SHORTEST && cpu_s > RATIO * begun.elapsed().as_secs_f64() {
            return true;
        }
    }
    false
}
