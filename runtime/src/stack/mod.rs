//! Stacks for goroutines: carved out of a few large reservations, guarded, pooled, and their memory given back.
//!
//! Address space is cheap and mappings are not: Linux allows 65,530 mappings a process (`vm.max_map_count`), and a stack
//! with a guard page made by `mprotect` costs two. So each size class reserves large pieces, and a guard is
//! `MADV_GUARD_INSTALL` (Linux 6.13), which makes no mapping. A million stacks are then a few dozen mappings.
//!
//! A reservation is never unmapped. A stack in the pool is *warm* (its pages are there) or *cold* (its pages were given
//! back to the kernel; the guard stays). Warm ones are reused first, the latest first.
//!
//! The top of each slot is left to a *header*, the goroutine itself (`goroutine.rs`).

mod reservation;

use crate::primitives::Mutex;
pub(crate) use reservation::page_bytes;
use reservation::{Reservation, give_back, guard};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;

/// Bytes of address space of a stack of each class, guard page included.
const CLASS_BYTES: [usize; 5] = [64 << 10, 256 << 10, 1 << 20, 8 << 20, 64 << 20];

/// Bytes of warm stacks a class keeps before it gives half of them back. Guess: 4096 stacks of the smallest class, each
/// with one or two touched pages.
const WARM_BYTES: usize = 256 << 20;

/// Warm stacks of a class that `trim` leaves alone.
const WARM_KEPT: usize = 64;

/// Distances of stack tops, bytes times a number from 0 to 15: else the hot end of every stack would lie in the same
/// sets of the first-level cache.
const COLOUR_BYTES: usize = 64;
const COLOURS: usize = 16;

/// Bytes at the top of each stack's slot that are the header's, and what their address is a multiple of.
pub(crate) const HEADER_BYTES: usize = 128;
pub(crate) const HEADER_ALIGN: usize = COLOUR_BYTES;

/// Where a slot's header is: memory that is readable, writable, never unmapped, and used for nothing else. Zeroed at
/// first, and again whenever the stack's memory was given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header(usize);

impl Header {
    /// The header of the slot of `class` at `bottom`.
    fn of(bottom: usize, class: Class) -> Self {
        let colour = (bottom / class.bytes()) % COLOURS * COLOUR_BYTES;
        Self(bottom + class.bytes() - colour - HEADER_BYTES)
    }

    pub(crate) fn address(self) -> usize {
        self.0
    }
}

/// A size class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Class(usize);

impl Class {
    /// The smallest class: 64 KiB.
    pub(crate) const DEFAULT: Self = Self(0);

    /// The smallest class with at least `bytes`.
    pub(crate) fn holding(bytes: usize) -> Result<Self, StackError> {
        let class = CLASS_BYTES.iter().position(|&class| bytes <= class);
        class.map(Self).ok_or(StackError::TooLarge { bytes })
    }

    fn bytes(self) -> usize {
        CLASS_BYTES[self.0]
    }
}

/// Why there is no stack.
#[derive(Debug)]
pub(crate) enum StackError {
    /// Larger than the largest class.
    TooLarge { bytes: usize },
    /// The kernel gave no address space.
    Reserve(io::Error),
    /// The kernel gave no guard page without a mapping, and no mapping either.
    Guard(io::Error),
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => {
                let most = CLASS_BYTES[CLASS_BYTES.len() - 1];
                write!(f, "a stack of {bytes} bytes is more than the largest of {most} bytes; ask for less")
            }
            Self::Reserve(error) => write!(
                f,
                "no address space for its stack: {error}; raise `ulimit -v` or set vm.overcommit_memory to 0 or 1"
            ),
            Self::Guard(error) if error.raw_os_error() == Some(libc::ENOMEM) => write!(
                f,
                "no mapping for the guard page of its stack: {error}; before Linux 6.13 each stack takes two \
                 mappings: raise vm.max_map_count (`sysctl vm.max_map_count=1000000`)"
            ),
            Self::Guard(error) => write!(f, "no guard page for its stack: {error}"),
        }
    }
}

/// One stack: a guard page at the bottom, usable memory above it. Owned by the goroutine on it, or by the pool.
#[derive(Debug)]
pub(crate) struct Stack {
    bottom: usize,
    class: Class,
}

impl Stack {
    /// Bytes of address space, guard page included.
    pub(crate) fn bytes(&self) -> usize {
        self.class.bytes()
    }

    pub(crate) fn class(&self) -> Class {
        self.class
    }

    /// Addresses of the guard page.
    pub(crate) fn guard(&self) -> Range<usize> {
        self.bottom..self.bottom + page_bytes()
    }

    /// Its header, just above its base.
    pub(crate) fn header(&self) -> Header {
        Header::of(self.bottom, self.class)
    }
}

#[allow(unsafe_code, reason = "corosensei asks for a promise about the memory")]
// SAFETY: `bottom..bottom + bytes` lies in a reservation (`Reservation::carve`) that is readable, writable and never
// unmapped; `acquire` gives out only stacks whose lowest page is guarded; the smallest class leaves 60 KiB.
unsafe impl corosensei::stack::Stack for Stack {
    fn base(&self) -> NonZeroUsize {
        // Aligned to 64, of which 16 are asked for.
        NonZeroUsize::new(self.header().address()).expect("a stack does not end at address 0")
    }

    fn limit(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.bottom).expect("a stack does not begin at address 0")
    }
}

/// The stacks of one class that are in no one's use.
struct Pool {
    warm: Vec<Stack>,
    /// The fewest warm stacks there were since `trim` last looked: so many were not needed.
    fewest_warm: usize,
    cold: Vec<Stack>,
    /// Carved, but the guard could not be had.
    unguarded: Vec<Stack>,
    reservation: Reservation,
}

static POOLS: [Mutex<Pool>; CLASS_BYTES.len()] = [const { Mutex::new(Pool::EMPTY) }; CLASS_BYTES.len()];

impl Pool {
    const EMPTY: Self = Self {
        warm: Vec::new(),
        fewest_warm: 0,
        cold: Vec::new(),
        unguarded: Vec::new(),
        reservation: Reservation::NONE,
    };

    fn note_fewest(&mut self) {
        self.fewest_warm = self.fewest_warm.min(self.warm.len());
    }

    fn take_oldest(&mut self, count: usize) -> Vec<Stack> {
        let taken = self.warm.drain(..count).collect();
        self.note_fewest();
        taken
    }
}

/// A guarded stack of `class`.
pub(crate) fn acquire(class: Class) -> Result<Stack, StackError> {
    let fresh = {
        let mut pool = POOLS[class.0].lock();
        if let Some(stack) = pool.warm.pop().or_else(|| pool.cold.pop()) {
            pool.note_fewest();
            return Ok(stack);
        }
        match pool.unguarded.pop() {
            Some(stack) => stack,
            None => {
                let bottom = pool.reservation.carve(class.bytes()).map_err(StackError::Reserve)?;
                Stack { bottom, class }
            }
        }
    };
    match guard(&fresh.guard()) {
        Ok(()) => Ok(fresh),
        Err(error) => {
            POOLS[class.0].lock().unguarded.push(fresh);
            Err(StackError::Guard(error))
        }
    }
}

/// The headers of all slots there are, in use or not.
pub(crate) fn headers() -> impl Iterator<Item = Header> {
    POOLS.iter().enumerate().flat_map(|(index, pool)| {
        let class = Class(index);
        let slots: Vec<usize> = pool.lock().reservation.carved(class.bytes()).collect();
        slots.into_iter().map(move |bottom| Header::of(bottom, class))
    })
}

/// Takes up to `count` warm stacks of `class`; may be none. No system call.
pub(crate) fn take_warm(class: Class, count: usize) -> Vec<Stack> {
    let mut pool = POOLS[class.0].lock();
    let from = pool.warm.len().saturating_sub(count);
    let taken = pool.warm.split_off(from);
    pool.note_fewest();
    taken
}

/// Puts stacks of `class` that no goroutine is on any more into the pool; gives memory back if there are many.
pub(crate) fn release(class: Class, stacks: impl IntoIterator<Item = Stack>) {
    let most = (WARM_BYTES / class.bytes()).max(4);
    let surplus = {
        let mut pool = POOLS[class.0].lock();
        pool.warm.extend(stacks);
        if pool.warm.len() > most { pool.take_oldest(most / 2) } else { Vec::new() }
    };
    cool(class, surplus);
}

/// Gives back the memory of half of the stacks that were not needed since the last call; called once in a while.
/// Returns whether there was any.
pub(crate) fn trim() -> bool {
    let mut found = false;
    for (index, pool) in POOLS.iter().enumerate() {
        let surplus = {
            let mut pool = pool.lock();
            let half = pool.fewest_warm.saturating_sub(WARM_KEPT).div_ceil(2);
            let surplus = pool.take_oldest(half);
            pool.fewest_warm = pool.warm.len();
            surplus
        };
        found |= !surplus.is_empty();
        cool(Class(index), surplus);
    }
    found
}

/// Gives the stacks' memory back and pools them as cold. Takes no lock during the system calls.
fn cool(class: Class, stacks: Vec<Stack>) {
    if stacks.is_empty() {
        return;
    }
    for stack in &stacks {
        give_back(stack.bottom + page_bytes()..stack.bottom + stack.bytes());
    }
    POOLS[class.0].lock().cold.extend(stacks);
}

#[cfg(test)]
mod tests {
    use super::*;
    use corosensei::stack::Stack as _;

    #[test]
    fn a_size_is_rounded_up_to_its_class() {
        #[track_caller]
        fn check(bytes: usize, expected: usize) {
            assert_eq!(Class::holding(bytes).unwrap().bytes(), expected);
        }
        check(0, 64 << 10);
        check(64 << 10, 64 << 10);
        check((64 << 10) + 1, 256 << 10);
        check(8 << 20, 8 << 20);
        assert!(Class::holding((64 << 20) + 1).unwrap_err().to_string().contains("67108864"));
    }

    #[test]
    fn stacks_are_aligned_and_do_not_overlap() {
        let class = Class::holding(256 << 10).unwrap();
        let stacks: Vec<Stack> = (0..40).map(|_| acquire(class).unwrap()).collect();
        let mut ranges: Vec<_> = stacks.iter().map(|s| (s.limit().get(), s.base().get())).collect();
        ranges.sort_unstable();
        assert!(ranges.iter().all(|(low, high)| high % 16 == 0 && high - low > 254 << 10));
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        release(class, stacks);
    }

    #[test]
    fn memory_of_stacks_that_were_not_needed_is_given_back() {
        // A class that no other test uses.
        let class = Class::holding(1 << 20).unwrap();
        let count = |f: fn(&Pool) -> usize| f(&POOLS[class.0].lock());
        let stacks: Vec<Stack> = (0..WARM_KEPT + 20).map(|_| acquire(class).unwrap()).collect();
        release(class, stacks);
        trim();
        assert_eq!(count(|pool| pool.cold.len()), 0, "they were needed until now");
        trim();
        assert_eq!(count(|pool| pool.cold.len()), 10, "half of what is above the floor");
        assert_eq!(count(|pool| pool.warm.len()), WARM_KEPT + 10);
        let taken = take_warm(class, 1_000);
        assert_eq!(taken.len(), WARM_KEPT + 10);
        let cold = acquire(class).unwrap();
        assert_eq!(count(|pool| pool.cold.len()), 9);
        release(class, taken.into_iter().chain([cold]));
    }

    #[test]
    fn the_message_names_the_setting_to_raise() {
        let error = StackError::Guard(io::Error::from_raw_os_error(libc::ENOMEM));
        assert!(error.to_string().contains("vm.max_map_count"));
    }
}
