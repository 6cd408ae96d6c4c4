//! How much a pipe holds.

use std::io;
use std::os::fd::OwnedFd;

/// Bytes a pipe is asked to hold: the most the kernel gives without privilege (`fs.pipe-max-size`).
const WANTED_BYTES: usize = 1 << 20;

/// Lets the pipe hold as much as it may; how much that is, bytes.
pub(super) fn widen(pipe: &OwnedFd) -> io::Result<usize> {
    // A user at his limit of pipe memory keeps the default size, and we drain more often.
    let capacity = rustix::pipe::fcntl_setpipe_size(pipe, WANTED_BYTES)
        .or_else(|_refused| rustix::pipe::fcntl_getpipe_size(pipe))?;
    Ok(capacity)
}
