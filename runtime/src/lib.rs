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
//!
//! # For who comes from Go
//!
//! | Go | here |
//! |---|---|
//! | `func main()` | the closure of [`run`]; as there, goroutines that live on do not run any more when it returns |
//! | `go f()` | [`go(f)`](go()), whose [`JoinHandle`] may be dropped |
//! | `make(chan T, n)` | [`chan(n)`](chan()): a [`chan::Sender`] and a [`chan::Receiver`], each of which may be cloned |
//! | `close(ch)` | [`chan::Sender::close`], or the drop of the last sender; to send then is an error, no panic |
//! | `v, ok := <-ch`, `for v := range ch` | [`chan::Receiver::recv`], `for v in &receiver` |
//! | `select` | [`select!`], with `default`, and `timeout(duration)` in place of `<-time.After(d)` |
//! | a nil channel, which is never ready | leave the arm out |
//! | `sync.Mutex`, `RWMutex`, `Cond`, `WaitGroup`, `Once` | [`sync`]: a lock holds its value and gives a guard |
//! | `time.Sleep`, `After`, `NewTicker`, `context.WithTimeout` | [`time::sleep`], [`time::after`], [`time::interval`], [`time::timeout`] |
//! | `net.Listen`, `net.Dial`, `SetDeadline` | [`net`]: std's sockets, with timeouts |
//! | `runtime.Gosched`, `GOMAXPROCS`, `LockOSThread` | [`yield_now`], [`gomaxprocs`], [`spawn_pinned`] |
//! | `runtime/metrics` | [`metrics`] |
//! | an unrecovered panic ends the program | it is the `Err` of [`JoinHandle::join`], as with threads |
//! | a stack that grows from 2 kB | 64 KiB of address space, or what [`Builder::stack_size`] says; only touched pages cost memory |
//! | a system call that blocks hands its P off by itself | wrap it in [`blocking()`] |
//! | a goroutine that computes is interrupted | it goes on until it waits or comes to a [`checkpoint`], of which [`preemptible`] puts one into each loop |
//! | out of memory for a stack ends the program | [`try_go`] says so |
//! | `GODEBUG=schedtrace`, `runtime/trace` | `COREFIT_TRACE=FILE`, see [`trace`] |
//! | `all goroutines are asleep - deadlock!`, the dump of SIGQUIT | the same |
//!
//! # What it reads from the environment
//!
//! | variable | meaning |
//! |---|---|
//! | `GOMAXPROCS=N` | processors, 1 to 4096; else the CPUs that may be used and the cgroup's quota decide, see [`default_procs`] |
//! | `COREFIT_TRACE=FILE` | record what goroutines and processors do; `COREFIT_TRACE_LEVEL` and `COREFIT_TRACE_LIMIT` go with it, see [`trace`] |
//! | `COREFIT_HOGS=0` | tell of no goroutine that keeps others waiting for 100 ms and does not check |
#![deny(unsafe_code)]
// A model checker drives single files of this crate (`models/main.rs`); as a whole it runs on std only.
#![cfg(not(loom))]

#[cfg(not(all(any(target_os = "linux", target_os = "macos"), target_pointer_width = "64")))]
compile_error!(
    "corefit-runtime needs 64-bit Linux or macOS: it waits by epoll or kqueue, and reserves address space for a million \
     stacks. On another system use a Linux virtual machine or container"
);

mod account;
mod blocking;
mod body;
#[doc(hidden)]
pub mod cgroup;
pub mod chan;
mod clock;
mod current;
#[cfg_attr(
    any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))),
    allow(dead_code, reason = "no way leads from one goroutine to another there")
)]
mod direct;
mod doubts;
mod earliest;
mod fences;
mod fiber;
mod foreign;
mod global_queue;
mod goroutine;
mod histogram;
mod hogs;
mod idle;
mod lazy;
mod machine;
mod metrics;
pub mod net;
mod netpoll;
mod os;
mod outside;
mod overflow;
mod packet;
mod park;
mod pieces;
mod poller;
mod preempt;
mod prefetch;
mod primitives;
mod private_queue;
mod processor;
mod procs;
mod queue;
mod readiness;
mod report;
mod resize;
mod run_queue;
mod runtime;
mod scheduler;
mod signals;
mod sleepers;
mod slices;
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
pub mod trace;
mod usage;
mod wakeups;
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
pub use metrics::{Costs, Metrics, Stretch, Times, metrics};
pub use preempt::checkpoint;
pub use procs::{DefaultProcs, ProcsReason, default_procs};
pub use scheduler::{Config, gomaxprocs, run, yield_now};
pub use spawn::{Builder, JoinHandle, SpawnError, go, spawn_pinned, try_go};
