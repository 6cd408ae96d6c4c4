//! Goroutines on a few threads: the way in, and what a running goroutine may ask for.

use crate::current;
use crate::overflow;
use crate::primitives::{Arc, Once};
use crate::procs::default_procs;
use crate::runtime::{MOST_PROCS, Runtime};
use crate::signals;
use crate::spawn::Builder;
use crate::sysmon;
use crate::trace;
use std::panic::resume_unwind;
use std::thread;

/// How a runtime is set up.
///
/// ```
/// use corefit_runtime::{Config, gomaxprocs};
///
/// assert_eq!(Config::new().procs(3).run(|| gomaxprocs(0)), 3);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    procs: Option<usize>,
}

impl Config {
    /// The defaults: `GOMAXPROCS`, else affinity and quota.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Processors, whatever the variable says; clamped to 1 to 4096.
    #[must_use]
    pub fn procs(mut self, procs: usize) -> Self {
        self.procs = Some(procs);
        self
    }

    /// Runs `main` as the first goroutine of a new runtime and returns its result; see [`run`].
    ///
    /// # Panics
    /// As [`run`].
    #[track_caller]
    pub fn run<T, F>(self, main: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        assert!(
            !current::is_worker(),
            "`run` was called inside a goroutine: one runtime does not run in another; use `go`"
        );
        overflow::install();
        let procs = self.procs.unwrap_or_else(procs_by_default);
        let runtime = Runtime::new(procs)
            .unwrap_or_else(|error| panic!("cannot start a runtime: no descriptor for its poller: {error}"));
        let _listed = signals::list(&runtime);
        let watch = sysmon::start(&runtime)
            .unwrap_or_else(|error| panic!("cannot start a runtime: no thread for its watch: {error}"));
        let stopping = Arc::clone(&runtime);
        let handle = Builder::new()
            .stack_size(MAIN_STACK_BYTES)
            .spawn_on(&runtime, main, move || stopping.begin_stop())
            .unwrap_or_else(|error| panic!("cannot start a runtime: {error}"));
        if let Err(error) = runtime.check_started() {
            panic!("cannot start a runtime: no thread for its first worker: {error}");
        }
        let result = handle.join();
        drop(watch);
        runtime.trace.end();
        result.unwrap_or_else(|payload| resume_unwind(payload))
    }
}

/// Bytes of stack of the first goroutine: as much as the main thread of a program usually has.
const MAIN_STACK_BYTES: usize = 8 << 20;

/// The default number of processors, with one note on standard error if the variable is unusable.
fn procs_by_default() -> usize {
    let default = default_procs();
    if let Some(value) = &default.ignored_variable {
        static NOTED: Once = Once::new();
        NOTED.call_once(|| {
            eprintln!(
                "corefit-runtime: ignoring GOMAXPROCS=`{value}`: not a number from 1 to {MOST_PROCS}; using {}",
                default.procs
            );
        });
    }
    default.procs
}

/// Runs `main` as the first goroutine of a new runtime with the default number of processors. Returns when `main`
/// returns, as a Go program ends then; goroutines still alive do not run again. A panic of `main` goes on in the caller.
///
/// Before it returns it waits for goroutines that execute at that moment to come to a scheduling point (a wait, a
/// `yield_now`, a `checkpoint`): one that computes for ever without any keeps it from returning. It does not wait for
/// blocking calls. What goroutines still alive own is leaked, their stacks too: others may refer to what lies there.
///
/// Runtimes may follow each other, and run side by side on several threads.
///
/// # Panics
/// If `main` does; inside a goroutine; and if the system gives no thread, descriptor or memory to start with.
///
/// ```
/// let answer = corefit_runtime::run(|| corefit_runtime::go(|| 6 * 7).join().unwrap());
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
pub fn run<T, F>(main: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Config::new().run(main)
}

/// Lets other goroutines run; the current one goes to the end of its processor's queue. Outside a runtime, and in
/// a blocking call, the thread yields. While a panic unwinds it does nothing.
///
/// ```
/// use corefit_runtime::{Config, go, yield_now};
///
/// Config::new().procs(1).run(|| {
///     let other = go(|| ());
///     while !other.is_finished() {
///         yield_now();
///     }
/// });
/// ```
pub fn yield_now() {
    if thread::panicking() && current::goroutine().is_some() {
        return;
    }
    current::yield_now();
}

/// Sets how many goroutines may execute at once, clamped to 4096, and returns the number before; 0 only reads it. Takes
/// effect while running, up and down: fewer as soon as the workers that are too many come to a scheduling point.
/// Outside a runtime it sets nothing and returns the default.
///
/// ```
/// use corefit_runtime::{Config, gomaxprocs};
///
/// Config::new().procs(1).run(|| {
///     assert_eq!(gomaxprocs(4), 1);
///     assert_eq!(gomaxprocs(0), 4);
/// });
/// ```
pub fn gomaxprocs(procs: usize) -> usize {
    match current::runtime() {
        None => default_procs().procs,
        Some(runtime) if procs == 0 => runtime.procs(),
        Some(runtime) => {
            trace::note(|lane| lane.procs(procs));
            runtime.set_procs(procs)
        }
    }
}
