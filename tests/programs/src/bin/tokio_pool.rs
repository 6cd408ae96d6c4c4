//! A tokio program that does not scale beyond two workers: each job holds one of two permits while it blocks its worker.
//!
//! Its worker count is whatever tokio takes it for, which `TOKIO_WORKER_THREADS` sets.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const JOBS: usize = 8;
const JOB: Duration = Duration::from_millis(40);
const PERMITS: usize = 2;

/// How many permits are free, and who waits for one.
struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("threads for the workers");
    let permits = Arc::new(Permits { free: Mutex::new(PERMITS), freed: Condvar::new() });
    let begun = Instant::now();
    let spawn = |_| {
        let permits = Arc::clone(&permits);
        runtime.spawn(async move { job(&permits) })
    };
    let jobs: Vec<_> = (0..JOBS).map(spawn).collect();
    for job in jobs {
        runtime.block_on(job).expect("no job panics");
    }
    println!("{:.3} jobs/s", JOBS as f64 / begun.elapsed().as_secs_f64());
}

/// Blocks its worker on purpose: asleep, not computing, so that the shape does not depend on the CPUs there are.
fn job(permits: &Permits) {
    let free = permits.free.lock().expect("no job panics");
    *permits.freed.wait_while(free, |free| *free == 0).expect("no job panics") -= 1;
    thread::sleep(JOB);
    *permits.free.lock().expect("no job panics") += 1;
    permits.freed.notify_one();
}
