//! The workloads that corefit measures out of the box, one file each, all on its green-thread runtime.
//!
//! ```
//! use corefit_workloads::{Settings, find};
//!
//! let sieve = find("sieve").unwrap();
//! let settings = Settings { scale: 0.01, input: None, params: Default::default() };
//! let outcome = corefit_runtime::Config::new().procs(2).run(move || (sieve.run)(&settings));
//! assert!(outcome.unwrap().ops > 0);
//! ```
#![forbid(unsafe_code)]

mod chain;
mod crew;
mod fan_out;
mod latency;
mod loopback;
mod random;
mod settings;
mod stopwatch;
#[cfg(test)]
mod trial;
mod word;
mod zipf;

pub mod report;

pub mod fan_in;
pub mod mandelbrot;
pub mod matmul;
pub mod nqueens;
pub mod ping_pong;
pub mod pipeline;
pub mod sieve;
pub mod sort;
pub mod spawn_storm;
pub mod wordcount;

pub mod amdahl;
pub mod echo_server;
pub mod false_sharing;
pub mod file_io;
pub mod http_server;
pub mod memory_stream;
pub mod mixed_service;
pub mod mutex_counter;
pub mod rwlock_cache;
pub mod sleepers;
pub mod starvation;

use std::collections::BTreeMap;
use std::path::PathBuf;

use hdrhistogram::Histogram;
pub use stopwatch::Timed;

/// A bundled workload: what it is, and the function that does it.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Its name: also the name of its module.
    pub name: &'static str,
    /// What it models, in a few words (one line of `corefit list`).
    pub about: &'static str,
    /// What the text-book expects of its scaling, in a few words.
    pub scaling: &'static str,
    /// Unit of its throughput, such as `tiles/s`.
    pub unit: &'static str,
    /// Policy by which it is judged if none is given, as `--policy` takes it; `None` means the knee.
    pub policy: Option<&'static str>,
    /// What `--param` can set.
    pub parameters: &'static [Parameter],
    /// Does the work once, as the main goroutine of a runtime.
    pub run: fn(&Settings) -> Result<Outcome, Failure>,
}

/// A parameter of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name, as in `--param NAME=VALUE`.
    pub name: &'static str,
    /// Its value if not given.
    pub default: &'static str,
    /// What it does, and what it may be where that is not plain.
    pub about: &'static str,
    /// Whether it may have this value.
    pub accepts: fn(&str) -> bool,
}

/// How a workload is sized and set. Every parameter has been checked to be one of the workload's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Factor on the amount of work; 1 is about 0.3 s at one processor.
    pub scale: f64,
    /// A file for the workloads that read one.
    pub input: Option<PathBuf>,
    /// Parameters given, by name.
    pub params: BTreeMap<String, String>,
}

/// What a workload did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Operations done.
    pub ops: u64,
    /// What they cost, without setting up and checking.
    pub timed: Timed,
    /// Latency of one operation in nanoseconds, where an operation has one.
    pub latency_ns: Option<Histogram<u64>>,
}

/// Why a workload has no result: its own check failed, or it could not be set up. One line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// All workloads, in the order of their families: compute, communicate, contend, block, shape.
#[must_use]
pub fn all() -> &'static [Workload] {
    &[
        mandelbrot::WORKLOAD,
        sort::WORKLOAD,
        matmul::WORKLOAD,
        wordcount::WORKLOAD,
        nqueens::WORKLOAD,
        sieve::WORKLOAD,
        ping_pong::WORKLOAD,
        pipeline::WORKLOAD,
        fan_in::WORKLOAD,
        spawn_storm::WORKLOAD,
        mutex_counter::WORKLOAD,
        rwlock_cache::WORKLOAD,
        false_sharing::WORKLOAD,
        memory_stream::WORKLOAD,
        echo_server::WORKLOAD,
        http_server::WORKLOAD,
        sleepers::WORKLOAD,
        file_io::WORKLOAD,
        mixed_service::WORKLOAD,
        amdahl::WORKLOAD,
        starvation::WORKLOAD,
    ]
}

/// The workload called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    all().iter().find(|workload| workload.name == name)
}
