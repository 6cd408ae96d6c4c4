//! Stacks for goroutines: carved out of a few large reservations, guarded, pooled, and their memory given back.
//!
//! Address space is cheap and mappings are not: Linux allows 65,530 mappings a process (`vm.max_map_count`), and a stack
//! with a guard page made by `mprotect` costs two. So each size class reserves large pieces, and a guard is
//! `MADV_GUARD_INSTALL` (Linux 6.13), which makes no mapping. A million stacks are then a few dozen mappings. How memory is
//! had elsewhere: `os/portable/memory.rs`.
//!
//! A reservation is never unmapped. A stack in the pool is *warm* (its pages are there) or *cold* (its pages were given
//! back to the kernel; the guard stays). Warm ones are reused first, the latest first. No goroutine's end makes a system
//! call: what is not needed again is given back by `trim`, which sysmon calls.
//!
//! Processors take stacks of the smallest class in batches (`refill`), and make fresh ones in batches that grow while no
//! others are to be had: a program with few goroutines pays for few, one that starts a million makes 64 at a time.
//!
//! A goroutine that has not begun has the right to a stack that is to be made (`claim`), and mostly gets one that another has left.
//!
//! The top of each slot is left to a *header*, the goroutine itself (`goroutine.rs`).

mod reservation;

use crate::os::memory::{give_back, guard, guard_may_fail, populate};
use crate::os::{BATCH, MEMORY_HINTS, page_bytes};
use crate::prefetch::prefetch;
use crate::primitives::Mutex;
use reservation::Reservation;
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr;

/// Bytes of address space of a stack of each class, guard page included; as powers of two.
const CLASS_BITS: [u32; 5] = [16, 18, 20, 23, 26];

/// Warm stacks of a class that `trim` leaves alone.
const WARM_KEPT: usize = 64;

/// Warm stacks that a processor takes at a time.
const WARM_TAKEN: usize = 32;

/// Stacks that one call of `trim` gives back at most: about 1 ms, so that sysmon is not late for anything else.
const TRIMMED: usize = 4096;

/// Distances of stack tops, bytes times a number from 0 to 31: else the hot end of every stack would lie in the same
/// sets of the caches. With 16, yields of 1000 take 6 % longer; more would leave less than half of the first page.
const COLOUR_BYTES: usize = 64;
const COLOURS: usize = 32;

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
        let colour = (bottom >> CLASS_BITS[class.0]) % COLOURS * COLOUR_BYTES;
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
        let class = CLASS_BITS.iter().position(|bits| bytes <= 1 << bits);
        class.map(Self).ok_or(StackError::TooLarge { bytes })
    }

    /// Bytes of address space of such a stack, guard page included.
    pub(crate) fn bytes(self) -> usize {
        1 << CLASS_BITS[self.0]
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
                let most = Class(CLASS_BITS.len() - 1).bytes();
                write!(f, "a stack of {bytes} bytes is more than the largest of {most} bytes; ask for less")
            }
            Self::Reserve(error) => {
                write!(f, "no address space for its stack: {error}; {}", MEMORY_HINTS.reserve)
            }
            Self::Guard(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
                write!(f, "no mapping for the guard page of its stack: {error}; {}", MEMORY_HINTS.guard)
            }
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

    /// Brings its header and the lines on either side into the cache, if the page is there.
    pub(crate) fn prefetch(&self) {
        prefetch(ptr::without_provenance(self.header().address() - 64), 3);
    }

    /// Its header, just above its base.
    pub(crate) fn header(&self) -> Header {
        Header::of(self.bottom, self.class)
    }
}

#[allow(unsafe_code, reason = "corosensei asks for a promise about the memory")]
// SAFETY: `bottom..bottom + bytes` lies in a reservation (`Reservation::carve`) that is readable, writable and never
// unmapped; `acquire` gives out only stacks whose lowest page is guarded; the smallest class leaves 45 KiB, with pages of 16.
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
    /// The fewest warm stacks there were since `trim` last judged: so many were not needed.
    fewest_warm: usize,
    /// Of the oldest warm stacks, how many `trim` has yet to give back.
    surplus: usize,
    cold: Vec<Stack>,
    /// Carved, but the guard could not be had.
    unguarded: Vec<Stack>,
    /// How many of those, or of what is left to carve, are someone's (`claim`).
    claimed: usize,
    /// Stacks to make ready at a time when no warm ones are left, 1 to `BATCH`.
    batch: usize,
    reservation: Reservation,
}

static POOLS: [Mutex<Pool>; CLASS_BITS.len()] = [const { Mutex::new(Pool::EMPTY) }; CLASS_BITS.len()];

impl Pool {
    const EMPTY: Self = Self {
        warm: Vec::new(),
        fewest_warm: 0,
        surplus: 0,
        cold: Vec::new(),
        unguarded: Vec::new(),
        claimed: 0,
        batch: 1,
        reservation: Reservation::NONE,
    };

    fn note_fewest(&mut self) {
        self.fewest_warm = self.fewest_warm.min(self.warm.len());
    }

    fn take_oldest(&mut self, count: usize) -> Vec<Stack> {
        let taken = self.warm.drain(..count.min(self.warm.len())).collect();
        self.note_fewest();
        taken
    }

    /// Up to `count` of the latest warm stacks.
    fn take_latest(&mut self, count: usize) -> impl Iterator<Item = Stack> + '_ {
        let from = self.warm.len().saturating_sub(count);
        self.fewest_warm = self.fewest_warm.min(from);
        self.warm.drain(from..)
    }

    /// Sees to it that there are `count` stacks to be made that no one has claimed, and says how many there are, of so many: all, as
    /// long as there is address space.
    fn unclaimed(&mut self, class: Class, count: usize) -> (usize, io::Result<()>) {
        loop {
            let to_make = self.unguarded.len() + self.reservation.left(class.bytes());
            let unclaimed = to_make - self.claimed;
            if unclaimed >= count {
                return (count, Ok(()));
            }
            if let Err(error) = self.reservation.extend(class.bytes()) {
                return (unclaimed, Err(error));
            }
        }
    }

    /// `count` stacks without a guard: first those of `claims`, which then are none any more, then others, as many as there is
    /// address space for; but at least one.
    fn take_unguarded(&mut self, class: Class, count: usize, claims: &mut usize) -> io::Result<Vec<Stack>> {
        let claimed = count.min(*claims);
        let (others, result) = self.unclaimed(class, count - claimed);
        let count = claimed + others;
        if count == 0 {
            result?;
        }
        *claims -= claimed;
        self.claimed -= claimed;
        let mut taken = self.unguarded.split_off(self.unguarded.len().saturating_sub(count));
        while taken.len() < count {
            let bottom = self.reservation.carve(class.bytes()).expect("so many are left");
            taken.push(Stack { bottom, class });
        }
        Ok(taken)
    }

    /// Notes that `fresh` will be touched.
    fn begin(&mut self, fresh: &[Stack]) {
        fresh.iter().for_each(|stack| self.reservation.begin(stack.bottom, stack.bytes()));
    }

    /// How many stacks to make ready now; more next time.
    fn next_batch(&mut self) -> usize {
        let batch = self.batch;
        self.batch = (batch * 2).min(BATCH);
        batch
    }

    /// How many warm stacks are to be given back: half of those that were not needed since this was last decided.
    fn judge(&mut self) {
        self.surplus = self.fewest_warm.saturating_sub(WARM_KEPT).div_ceil(2);
        self.fewest_warm = self.warm.len();
    }
}

/// A guarded stack of `class`.
pub(crate) fn acquire(class: Class) -> Result<Stack, StackError> {
    let fresh = {
        let mut pool = POOLS[class.0].lock();
        let warm = pool.take_latest(1).next();
        if let Some(stack) = warm.or_else(|| pool.cold.pop()) {
            return Ok(stack);
        }
        let fresh = pool.take_unguarded(class, 1, &mut 0).map_err(StackError::Reserve)?;
        pool.begin(&fresh);
        fresh
    };
    let mut guarded = guard_all(class, fresh)?;
    Ok(guarded.pop().expect("at least one is guarded, or it is an error"))
}

/// Claims a batch of stacks of the default class that are yet to be made, for `refill`, and says how many. None if there is no
/// address space, or if `refill` might yet be refused a guard.
pub(crate) fn claim() -> usize {
    if guard_may_fail() {
        return 0;
    }
    let mut pool = POOLS[Class::DEFAULT.0].lock();
    let (count, _) = pool.unclaimed(Class::DEFAULT, BATCH);
    pool.claimed += count;
    count
}

/// Gives up what `claim` gave.
pub(crate) fn unclaim(claims: usize) {
    POOLS[Class::DEFAULT.0].lock().claimed -= claims;
}

/// Adds at least one guarded stack of `class` to `stacks`, which is empty: warm ones if there are any, else others, those of
/// `claims` (of the default class) first, whose first pages are made present.
pub(crate) fn refill(class: Class, stacks: &mut Vec<Stack>, claims: &mut usize) -> Result<(), StackError> {
    let fresh = {
        let mut pool = POOLS[class.0].lock();
        stacks.extend(pool.take_latest(WARM_TAKEN));
        if !stacks.is_empty() {
            pool.batch = (pool.batch / 2).max(1);
            return Ok(());
        }
        let batch = pool.next_batch();
        let from = pool.cold.len().saturating_sub(batch);
        stacks.extend(pool.cold.drain(from..));
        if stacks.is_empty() {
            let fresh = pool.take_unguarded(class, batch, claims).map_err(StackError::Reserve)?;
            pool.begin(&fresh);
            fresh
        } else {
            Vec::new()
        }
    };
    stacks.extend(guard_all(class, fresh)?);
    let mut tops = [0; BATCH];
    for (top, stack) in tops.iter_mut().zip(&*stacks) {
        *top = stack.bottom + stack.bytes() - page_bytes();
    }
    populate(&tops[..stacks.len().min(BATCH)]);
    Ok(())
}

/// Guards `fresh`, at most `BATCH` stacks; an error if not even one could be.
fn guard_all(class: Class, mut fresh: Vec<Stack>) -> Result<Vec<Stack>, StackError> {
    let mut bottoms = [0; BATCH];
    for (bottom, stack) in bottoms.iter_mut().zip(&fresh) {
        *bottom = stack.bottom;
    }
    let (guarded, result) = guard(&bottoms[..fresh.len()]);
    if guarded < fresh.len() {
        POOLS[class.0].lock().unguarded.extend(fresh.drain(guarded..));
    }
    match result {
        Err(error) if guarded == 0 => Err(StackError::Guard(error)),
        // The others wait for the next try.
        Ok(()) | Err(_) => Ok(fresh),
    }
}

/// The headers of all slots that a goroutine is on, or was.
pub(crate) fn headers() -> impl Iterator<Item = Header> {
    POOLS.iter().enumerate().flat_map(|(index, pool)| {
        let class = Class(index);
        let slots: Vec<usize> = pool.lock().reservation.begun(class.bytes()).collect();
        slots.into_iter().map(move |bottom| Header::of(bottom, class))
    })
}

/// Puts stacks of `class` that no goroutine is on any more into the pool. No system call.
pub(crate) fn release(class: Class, stacks: impl IntoIterator<Item = Stack>) {
    POOLS[class.0].lock().warm.extend(stacks);
}

/// What `trim` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trimmed {
    /// There was nothing to give back.
    Nothing,
    /// It gave back all that it had decided to.
    Done,
    /// There is more to give back: call again soon.
    More,
}

/// Gives back the memory of half of the stacks that were not needed since this was last decided; called once in a while,
/// and again soon while there is more.
pub(crate) fn trim() -> Trimmed {
    let mut trimmed = Trimmed::Nothing;
    for (index, pool) in POOLS.iter().enumerate() {
        let (surplus, left) = {
            let mut pool = pool.lock();
            if pool.surplus == 0 {
                pool.judge();
            }
            let surplus = pool.surplus.min(TRIMMED);
            pool.surplus -= surplus;
            (pool.take_oldest(surplus), pool.surplus)
        };
        trimmed = trimmed.max(match (surplus.is_empty(), left) {
            (true, _) => Trimmed::Nothing,
            (false, 0) => Trimmed::Done,
            (false, _) => Trimmed::More,
        });
        cool(Class(index), surplus);
    }
    trimmed
}

/// Gives the stacks' memory back and pools them as cold. Takes no lock during the system calls.
fn cool(class: Class, mut stacks: Vec<Stack>) {
    if stacks.is_empty() {
        return;
    }
    // Neighbours share a page table.
    stacks.sort_unstable_by_key(|stack| stack.bottom);
    let starts: Vec<usize> = stacks.iter().map(|stack| stack.bottom + page_bytes()).collect();
    give_back(&starts, class.bytes() - page_bytes());
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
        assert!(ranges.iter().all(|(low, high)| high % 16 == 0 && high - low > 252 << 10));
        assert!(ranges.windows(2).all(|pair| pair[0].1 <= pair[1].0));
        release(class, stacks);
    }

    /// A pool of its own, with `warm` stacks.
    fn pool(warm: usize) -> Pool {
        let class = Class::holding(1 << 20).unwrap();
        let warm = (0..warm).map(|_| acquire(class).unwrap()).collect();
        Pool { warm, ..Pool::EMPTY }
    }

    #[test]
    fn half_of_what_was_not_needed_is_given_back() {
        let mut pool = pool(WARM_KEPT + 20);
        pool.judge();
        assert_eq!(pool.surplus, 0, "they were needed until now");
        pool.judge();
        assert_eq!(pool.surplus, 10, "half of what is above the floor");
        let taken: Vec<Stack> = pool.take_latest(60).collect();
        pool.warm.extend(taken);
        pool.judge();
        assert_eq!(pool.surplus, 0, "but for 24, all were needed");
    }

    #[test]
    fn the_latest_stacks_are_taken_and_the_oldest_given_back() {
        let mut pool = pool(3);
        let bottoms: Vec<usize> = pool.warm.iter().map(|stack| stack.bottom).collect();
        let latest: Vec<usize> = pool.take_latest(2).map(|stack| stack.bottom).collect();
        assert_eq!(latest, bottoms[1..]);
        let oldest: Vec<usize> = pool.take_oldest(5).iter().map(|stack| stack.bottom).collect();
        assert_eq!(oldest, bottoms[..1], "as many as there are");
    }

    #[test]
    fn batches_of_fresh_stacks_grow_and_each_stack_comes_out_once() {
        // A class that no other test uses.
        let class = Class::holding(64 << 20).unwrap();
        let (mut all, mut sizes) = (Vec::new(), Vec::new());
        for _ in 0..8 {
            let mut batch = Vec::new();
            refill(class, &mut batch, &mut 0).unwrap();
            sizes.push(batch.len());
            all.extend(batch);
        }
        assert_eq!(sizes, [1, 2, 4, 8, 16, 32, BATCH, BATCH]);
        let mut bottoms: Vec<usize> = all.iter().map(|stack| stack.bottom).collect();
        bottoms.sort_unstable();
        bottoms.dedup();
        assert_eq!(bottoms.len(), all.len());
        release(class, all);
        let mut warm = Vec::new();
        refill(class, &mut warm, &mut 0).unwrap();
        assert_eq!(warm.len(), WARM_TAKEN, "warm ones first");
        release(class, warm);
    }

    #[test]
    fn what_is_claimed_is_left_to_whoever_claimed_it() {
        let class = Class::holding(16 << 20).unwrap();
        let mut pool = Pool::EMPTY;
        let fresh = |pool: &mut Pool, count, claims: &mut usize| {
            pool.take_unguarded(class, count, claims).unwrap().len()
        };
        assert_eq!(fresh(&mut pool, 1, &mut 0), 1);
        let (claimed, result) = pool.unclaimed(class, 5);
        assert!(claimed == 5 && result.is_ok());
        pool.claimed += claimed;
        let left = |pool: &Pool| pool.unguarded.len() + pool.reservation.left(class.bytes());
        let others = left(&pool) - claimed;
        // All but what is claimed.
        let taken = pool.take_unguarded(class, others, &mut 0).unwrap();
        assert_eq!((taken.len(), left(&pool)), (others, 5));
        let mut claims = claimed;
        assert_eq!((fresh(&mut pool, 3, &mut claims), claims, pool.claimed, left(&pool)), (3, 2, 2, 2));
        assert_eq!(fresh(&mut pool, 4, &mut claims), 4, "two claimed, and two others");
        assert_eq!((claims, pool.claimed), (0, 0));
        assert!(left(&pool) > 0, "there is more address space");
    }

    #[test]
    fn the_message_says_what_to_do() {
        let error = StackError::Guard(io::Error::from_raw_os_error(libc::ENOMEM));
        assert!(error.to_string().contains(MEMORY_HINTS.guard));
    }
}
