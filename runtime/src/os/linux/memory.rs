//! Memory for stacks, with what Linux has for many ranges at a time.
//!
//! Most of what a call costs is the call, and for memory given back the flush of other CPUs' translations: so stacks are
//! dealt with in batches, by `process_madvise` with many ranges (Linux 6.14 lets a process name itself). Measured a stack,
//! 64 at a time against one by one: guards 190 ns and 285, first touches 1150 and 1450, memory given back 190 and 1115.
//! Batches of 32 and of 256 were slower at first touches (1400).
#![allow(unsafe_code, reason = "mapping memory is a matter of system calls on addresses")]

use super::super::{BATCH, page_bytes};
use crate::primitives::atomic::{AtomicBool, Ordering::Relaxed};
use std::io;
use std::ptr;

/// `MADV_GUARD_INSTALL` of Linux 6.13; the `libc` crate does not have it.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Maps `bytes` of zeroed memory that costs nothing until it is touched.
pub(crate) fn map(bytes: usize) -> io::Result<usize> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: an anonymous mapping at an address that the kernel chooses touches no memory that is in use.
    let start = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // A huge page would make the first touch of one stack cost the memory of 32. Refused where the kernel has no huge
    // pages, and then not needed.
    // SAFETY: the advice concerns the mapping made above, all of it, and does not change its contents.
    let _ = unsafe { libc::madvise(start, bytes, libc::MADV_NOHUGEPAGE) };
    // Exposed: stacks and headers are accessed by address.
    Ok(start.expose_provenance())
}

/// Ends the mapping of `bytes` at `start`, the end of what `map` made, which nobody uses yet.
pub(crate) fn unmap(start: usize, bytes: usize) {
    // SAFETY: a part of a mapping that `reserve` has just made, and keeps no address of. If it fails, it stays mapped.
    let _ = unsafe { libc::munmap(ptr::with_exposed_provenance_mut(start), bytes) };
}

/// Makes every access to the page at each of `bottoms` (fresh, of a reservation) a fault. Returns how many, from the first,
/// it was done for, and the error if that is not all.
pub(crate) fn guard(bottoms: &[usize]) -> (usize, io::Result<()>) {
    let mut done = advise_many(bottoms, page_bytes(), MADV_GUARD_INSTALL);
    while done < bottoms.len() {
        if let Err(error) = guard_one(bottoms[done]) {
            return (done, Err(error));
        }
        done += 1;
    }
    (done, Ok(()))
}

/// Set once the kernel said that it does not know guard pages.
static UNKNOWN: AtomicBool = AtomicBool::new(false);

/// Whether a guard may be refused for another reason than that memory has run out: there are only so many mappings. Known
/// when there is a guard.
pub(crate) fn guard_may_fail() -> bool {
    // ORDERING: Relaxed; whoever asks has made a guard, or comes after one who did.
    UNKNOWN.load(Relaxed)
}

fn guard_one(page: usize) -> io::Result<()> {
    let address = ptr::with_exposed_provenance_mut(page);
    // ORDERING: Relaxed; guards nothing, whoever misses it asks the kernel again.
    if !UNKNOWN.load(Relaxed) {
        // SAFETY: the page lies in a reservation and in no one's use: the stack has not been given out yet.
        if unsafe { libc::madvise(address, page_bytes(), MADV_GUARD_INSTALL) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
        // ORDERING: Relaxed; as above.
        UNKNOWN.store(true, Relaxed);
    }
    // SAFETY: as above.
    if unsafe { libc::mprotect(address, page_bytes(), libc::PROT_NONE) } == 0 {
        return Ok(());
    }
    Err(io::Error::last_os_error())
}

/// Makes the page at each of `starts` present, all in one call; where that cannot be, the first touch does it.
pub(crate) fn populate(starts: &[usize]) {
    advise_many(starts, page_bytes(), libc::MADV_POPULATE_WRITE);
}

/// Gives the memory of the `bytes` at each of `starts` back to the kernel; they read as zero afterwards. Guard pages stay.
pub(crate) fn give_back(starts: &[usize], bytes: usize) {
    for starts in starts.chunks(BATCH) {
        let done = advise_many(starts, bytes, libc::MADV_DONTNEED);
        for &start in &starts[done..] {
            let address = ptr::with_exposed_provenance_mut(start);
            // SAFETY: the pages lie in a reservation, and the stack they belong to is owned by the caller: no goroutine
            // is on it.
            let failed = unsafe { libc::madvise(address, bytes, libc::MADV_DONTNEED) };
            debug_assert_eq!(failed, 0, "the pages are mapped");
        }
    }
}

/// Gives `advice` for the `bytes` at each of `starts` (at most `BATCH`, in reservations, owned by the caller) in one system
/// call. Returns for how many, from the first, the kernel took it: none where it does not let a process advise itself so.
fn advise_many(starts: &[usize], bytes: usize, advice: libc::c_int) -> usize {
    /// "This thread" in place of a descriptor, since Linux 6.14.
    const PIDFD_SELF: libc::c_int = -10_000;
    // Set once the kernel, or a filter before it, refused.
    static REFUSED: AtomicBool = AtomicBool::new(false);
    // One is cheaper with the call that does one. ORDERING: Relaxed; guards nothing.
    if starts.len() < 2 || REFUSED.load(Relaxed) {
        return 0;
    }
    let mut ranges = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH];
    for (range, &start) in ranges.iter_mut().zip(starts) {
        *range = libc::iovec { iov_base: ptr::with_exposed_provenance_mut(start), iov_len: bytes };
    }
    let (first, count, flags) = (ranges.as_ptr(), starts.len().min(BATCH), 0);
    // SAFETY: `first` points to `count` ranges, filled above. The pages lie in reservations and belong to the caller, who
    // has no use for what is on them.
    let advised =
        unsafe { libc::syscall(libc::SYS_process_madvise, PIDFD_SELF, first, count, advice, flags) };
    if advised < 0 {
        let refusals = [libc::ENOSYS, libc::EPERM, libc::EBADF, libc::EINVAL];
        let refused = io::Error::last_os_error().raw_os_error().is_some_and(|code| refusals.contains(&code));
        // ORDERING: Relaxed; as above.
        REFUSED.fetch_or(refused, Relaxed);
        return 0;
    }
    usize::try_from(advised).expect("it is not negative") / bytes
}
