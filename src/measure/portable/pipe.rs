//! How much a pipe holds: what the system gives.

use std::io;
use std::os::fd::OwnedFd;

/// Bytes that a pipe holds at least: macOS begins with these and gives up to four times as much to a busy one.
const LEAST_BYTES: usize = 16 << 10;

/// How much the pipe holds, bytes.
pub(super) fn widen(_pipe: &OwnedFd) -> io::Result<usize> {
    Ok(LEAST_BYTES)
}
