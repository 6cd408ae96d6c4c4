//! Memory for stacks, by calls that any Unix system has.
#![allow(unsafe_code, reason = "mapping memory is a matter of system calls on addresses")]

use super::super::page_bytes;
use std::io;
use std::ptr;

/// Zeroed memory that costs nothing until it is touched.
const FLAGS: libc::c_int = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
const PROTECTION: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// As in `linux`.
pub(crate) fn map(bytes: usize) -> io::Result<usize> {
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches no memory that is in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, PROTECTION, FLAGS, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // Exposed: stacks and headers are accessed by address.
    Ok(start.expose_provenance())
}

/// As in `linux`.
pub(crate) fn unmap(start: usize, bytes: usize) {
    // SAFETY: a part of a mapping that `map` has just made, and the caller keeps no address of. If it fails, it stays mapped.
    let _ = unsafe { libc::munmap(ptr::with_exposed_provenance_mut(start), bytes) };
}

/// As in `linux`.
pub(crate) fn guard(bottoms: &[usize]) -> (usize, io::Result<()>) {
    for (done, &page) in bottoms.iter().enumerate() {
        let address = ptr::with_exposed_provenance_mut(page);
        // SAFETY: the page lies in a reservation and in no one's use: the stack has not been given out yet.
        if unsafe { libc::mprotect(address, page_bytes(), libc::PROT_NONE) } != 0 {
            return (done, Err(io::Error::last_os_error()));
        }
    }
    (bottoms.len(), Ok(()))
}

/// As in `linux`.
pub(crate) fn guard_may_fail() -> bool {
    true
}

/// The first touch makes it present.
pub(crate) fn populate(_starts: &[usize]) {}

/// As in `linux`. Advice would not do: macOS takes it as leave to keep the memory.
pub(crate) fn give_back(starts: &[usize], bytes: usize) {
    for &start in starts {
        let address = ptr::with_exposed_provenance_mut(start);
        // SAFETY: the pages lie in a reservation, mapped as this maps them, and the stack they belong to is owned by the
        // caller: no goroutine is on it. Whoever looks at a header meanwhile sees it as it was, or all zeroes.
        let mapped = unsafe { libc::mmap(address, bytes, PROTECTION, FLAGS | libc::MAP_FIXED, -1, 0) };
        // Where the kernel refuses, the memory stays.
        debug_assert_ne!(mapped, libc::MAP_FAILED, "the pages are mapped");
    }
}
