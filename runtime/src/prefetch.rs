//! Fetching memory into the cache before it is needed.
#![allow(unsafe_code, reason = "the instruction's intrinsic is unsafe")]

pub(crate) const LINE_BYTES: usize = 64;

/// Fetches `lines` cache lines from `address` on, without waiting for them. A hint: any address will do.
#[inline]
pub(crate) fn prefetch(address: *const u8, lines: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..lines {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: it accesses nothing, and faults at no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.wrapping_add(line * LINE_BYTES).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (address, lines);
}
