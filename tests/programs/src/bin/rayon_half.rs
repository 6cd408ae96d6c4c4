//! A rayon program that does half of its work on one worker: Amdahl's law with a serial fraction of 0.5.
//!
//! Its worker count is that of rayon's global pool, which `RAYON_NUM_THREADS` sets. It reports itself to corefit.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use rayon::prelude::*;

/// Half of the work, asleep, so that the shape does not depend on the CPUs there are.
const HALF: Duration = Duration::from_millis(200);
const PARTS: u32 = 8;

fn main() {
    // The pool is there before the clock starts.
    rayon::broadcast(|_| ());
    let begun = Instant::now();
    thread::sleep(HALF);
    (0..PARTS).into_par_iter().with_max_len(1).for_each(|_| thread::sleep(HALF / PARTS));
    report(begun.elapsed());
}

/// One line of JSON, if somebody wants it.
fn report(elapsed: Duration) {
    let Some(descriptor) = env::var_os("COREFIT_RESULT_FD") else { return };
    let path = std::path::Path::new("/proc/self/fd").join(descriptor);
    let mut to = OpenOptions::new().append(true).open(path).expect("the descriptor is open");
    writeln!(to, r#"{{"ops":1,"elapsed_s":{}}}"#, elapsed.as_secs_f64()).expect("corefit reads it");
}
