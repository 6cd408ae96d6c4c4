//! Starting goroutines and waiting for their result.

use std::any::Any;
use std::io;

/// Why a goroutine could not be started.
#[derive(Debug)]
pub struct SpawnError(pub(crate) io::Error);

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot start a goroutine: {}", self.0)
    }
}

impl std::error::Error for SpawnError {}

/// A goroutine's result to come. Dropping it lets the goroutine run on by itself.
#[derive(Debug)]
pub struct JoinHandle<T>(std::thread::JoinHandle<T>);

impl<T> JoinHandle<T> {
    /// Waits for the goroutine to end.
    ///
    /// # Errors
    /// The payload of its panic.
    pub fn join(self) -> Result<T, Box<dyn Any + Send + 'static>> {
        self.0.join()
    }

    /// Whether it has ended, so that `join` would not wait.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

/// Starts `f` as a goroutine of the current runtime.
///
/// # Panics
/// Outside a runtime, and where no stack can be had (see [`Builder::spawn`]).
pub fn go<T, F>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(f).expect("a stack for a goroutine")
}

/// How to start a goroutine.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    stack_size: Option<usize>,
}

impl Builder {
    /// The defaults: 64 KiB of stack.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of address space for its stack, rounded up to a size class.
    #[must_use]
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Starts `f`.
    ///
    /// # Errors
    /// No stack can be had: out of memory or of mappings.
    pub fn spawn<T, F>(self, f: F) -> Result<JoinHandle<T>, SpawnError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        std::thread::Builder::new()
            .stack_size(self.stack_size.unwrap_or(256 << 10))
            .spawn(f)
            .map(JoinHandle)
            .map_err(SpawnError)
    }
}
