//! Goroutines for Rust: many green threads on a few OS threads.
#![deny(unsafe_code)]

mod blocking;
pub mod chan;
mod metrics;
pub mod net;
mod netpoll;
mod park;
mod procs;
mod scheduler;
mod spawn;
pub mod sync;
pub mod time;

pub use blocking::blocking;
pub use chan::chan;
pub use metrics::{Metrics, metrics};
pub use procs::{DefaultProcs, ProcsReason, default_procs};
pub use scheduler::{Config, checkpoint, gomaxprocs, run, yield_now};
pub use spawn::{Builder, JoinHandle, SpawnError, go};
