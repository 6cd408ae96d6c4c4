//! Goroutines for Rust: many green threads on a few OS threads.
//!
//! A *goroutine* (G) is a computation with a small stack of its own. A *worker* (M) is an OS thread. A *processor* (P)
//! is the right to run goroutines; there are `GOMAXPROCS` of them, and a worker needs one. A goroutine that waits for a
//! channel, a lock, time or the network leaves its worker to others; one that calls into the system through [`blocking()`]
//! gives its processor to another worker first.
//!
//! ```
//! let sum = corefit_runtime::run(|| {
//!     let parts: Vec<_> = (0..4).map(|n| corefit_runtime::go(move || n * n)).collect();
//!     parts.into_iter().map(|part| part.join().unwrap()).sum::<i32>()
//! });
//! assert_eq!(sum, 14);
//! ```
//!
//! What a goroutine must not hold while it waits is said in [`go`], under Soundness.
#![deny(unsafe_code)]

mod blocking;
mod cgroup;
pub mod chan;
mod current;
mod fences;
mod fiber;
mod foreign;
mod goroutine;
mod histogram;
mod idle;
mod machine;
mod metrics;
pub mod net;
mod netpoll;
mod overflow;
mod packet;
mod park;
mod poller;
mod primitives;
mod processor;
mod procs;
mod queue;
mod report;
mod resize;
mod runtime;
mod scheduler;
mod signals;
mod spawn;
mod stack;
pub mod sync;
mod sysmon;
#[cfg(test)]
mod tests;
pub mod time;
mod timers;
mod token;
mod worker;

pub use blocking::blocking;
pub use chan::chan;
pub use metrics::{Metrics, metrics};
pub use procs::{DefaultProcs, ProcsReason, default_procs};
pub use scheduler::{Config, checkpoint, gomaxprocs, run, yield_now};
pub use spawn::{Builder, JoinHandle, SpawnError, go, spawn_pinned, try_go};
