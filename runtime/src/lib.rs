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
#[doc(hidden)]
pub mod cgroup;
pub mod chan;
mod current;
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
mod preempt;
mod primitives;
mod processor;
mod procs;
mod queue;
mod readiness;
mod report;
mod resize;
mod runtime;
mod scheduler;
mod signals;
mod sources;
mod spawn;
mod stack;
pub mod sync;
mod sysmon;
#[cfg(test)]
mod tests;
pub mod time;
mod timer_queue;
mod timers;
mod token;
mod worker;

pub use blocking::blocking;
pub use chan::chan;
/// ```
/// use corefit_runtime::preemptible;
///
/// #[preemptible]
/// fn collatz(mut n: u64) -> u32 {
///     let mut steps = 0;
///     while n != 1 {
///         n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
///         steps += 1;
///     }
///     steps
/// }
/// assert_eq!(corefit_runtime::run(|| corefit_runtime::go(|| collatz(27)).join().unwrap()), 111);
/// ```
///
/// What the compiler refuses:
/// ```compile_fail
/// #[corefit_runtime::preemptible]
/// async fn polled_by_someone_else() {}
/// ```
/// ```compile_fail
/// #[corefit_runtime::preemptible]
/// const fn run_in_the_compiler() {}
/// ```
/// ```compile_fail
/// #[corefit_runtime::preemptible]
/// struct WithoutBody;
/// ```
/// ```compile_fail
/// #[corefit_runtime::preemptible(loops)]
/// fn with_arguments() {}
/// ```
pub use corefit_macros::preemptible;
pub use metrics::{Metrics, metrics};
pub use preempt::checkpoint;
pub use procs::{DefaultProcs, ProcsReason, default_procs};
pub use scheduler::{Config, gomaxprocs, run, yield_now};
pub use spawn::{Builder, JoinHandle, SpawnError, go, spawn_pinned, try_go};
