//! Where a test runs: everything that goroutines may do, plain threads may do as well.

use corefit_runtime::{Config, JoinHandle, go};

/// What the test's concurrent parts are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ground {
    Threads,
    Goroutines,
}

pub(crate) enum Task<T> {
    Thread(std::thread::JoinHandle<T>),
    Goroutine(JoinHandle<T>),
}

impl Ground {
    pub(crate) fn spawn<T: Send + 'static>(self, f: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        match self {
            Self::Threads => Task::Thread(std::thread::spawn(f)),
            Self::Goroutines => Task::Goroutine(go(f)),
        }
    }
}

impl<T> Task<T> {
    /// Its result; its panic goes on here.
    pub(crate) fn join(self) -> T {
        let result = match self {
            Self::Thread(handle) => handle.join(),
            Self::Goroutine(handle) => handle.join(),
        };
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Runs the test on plain threads, then inside a runtime with 2 processors.
pub(crate) fn everywhere(test: fn(Ground)) {
    test(Ground::Threads);
    Config::new().procs(2).run(move || test(Ground::Goroutines));
}
