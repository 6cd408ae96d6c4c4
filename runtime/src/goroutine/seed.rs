//! Goroutines that have not begun: they have no stack yet.
//!
//! A stack that no one was on is a fresh page, 1.7 µs in the kernel, and a program that starts many goroutines at once starts
//! them long before they run. So where its processor has no stack at hand, a goroutine starts as a *seed*: the first line of a
//! `Goroutine` in a place of its own, with what it is to do in the packet of its result (`body.rs`). Whoever takes it out of a queue to
//! run it lets it *sprout*: it gets a stack, and moves to the top of that for the rest of its life. By then others have ended, and it
//! gets one of theirs, which is in the cache. So of 100,000 goroutines that sleep for 10 ms, 21,000 stacks are touched; and where the
//! stacks must be fresh, all processors that run goroutines make them, not only the one that spawns.
//!
//! A seed has the right to a stack that is yet to be made (`stack::claim`). So it is the spawner who is told that there is no more,
//! and a sprout fails only when memory has run out.
//!
//! It counts as bound to a worker (`Ties::is_bound`), so that no one runs it as it is by mistake.
//!
//! Places are as lasting as slots of stacks, and for the same reason: whoever joins, or reports, may look at one that is
//! someone else's by then. There are `MOST` of them. Beyond that, and for any class of stack but the smallest, a goroutine gets
//! its stack at once.
//!
//! Measured (two CPUs, medians): `timer` of 100,000 took 332 ms at one processor, with seeds 111; a million goroutines that
//! park took 2214 ns each to start at two processors, with seeds 1136. With bodies of their own in seeds of two lines, and an
//! address of a stack in each, `timer` took 7 % longer at one processor and at two: a page fault for 64 goroutines more, and lists.

use super::{Birth, Goroutine, GoroutineRef, Runnable};
use crate::body::Body;
use crate::fiber::Fiber;
use crate::os::memory::map;
use crate::primitives::Mutex;
use crate::primitives::atomic::{
    AtomicPtr,
    Ordering::{Relaxed, Release},
    fence,
};
use crate::runtime::Runtime;
use crate::stack::Stack;
use std::mem::{self, offset_of};
use std::ops::Range;
use std::ptr::{self, NonNull};

/// In place of a wait's reason: this is a seed.
const SEED: u8 = u8::MAX - 1;

/// Bytes of a place: of a `Goroutine` the part up to its fiber, in place of which is what is sown. The rest of it lies in the next place,
/// and is not touched here.
const PLACE_BYTES: usize = 64;

/// Most places: 8 MiB of them.
const MOST: usize = 128 << 10;

/// Places that are moved between a processor and all others at a time; and most that a processor keeps.
const BATCH: usize = 64;
const KEPT: usize = 1024;

/// What a seed has in place of a fiber.
#[repr(C)]
struct Sown {
    /// Makes the goroutine: `sprout` of the body's type.
    sprout: AtomicPtr<()>,
    /// A `Body` as a word.
    body: AtomicPtr<()>,
}

const _: () = {
    assert!(offset_of!(Goroutine, fiber) + size_of::<Sown>() <= PLACE_BYTES, "it lies in its place alone");
    assert!(size_of::<Sown>() <= size_of::<Fiber>(), "and in the fiber's");
    assert!(offset_of!(Goroutine, fiber).is_multiple_of(align_of::<Sown>()), "and is aligned there");
    assert!(PLACE_BYTES.is_multiple_of(align_of::<Goroutine>()), "as the place is");
};

/// A place for a seed that no one is in.
#[derive(Debug)]
struct Place(GoroutineRef);

/// All places.
struct Places {
    /// Those that no processor keeps.
    spare: Vec<Place>,
    /// Where they lie, side by side.
    first: Option<GoroutineRef>,
    /// How many there are, of `MOST`.
    count: usize,
}

static PLACES: Mutex<Places> = Mutex::new(Places { spare: Vec::new(), first: None, count: 0 });

impl Places {
    /// Moves a batch into `list`, fewer if there are not so many.
    fn take(&mut self, list: &mut Vec<Place>) {
        if self.spare.is_empty() {
            list.extend(self.fresh());
        }
        let from = self.spare.len().saturating_sub(BATCH);
        list.extend(self.spare.drain(from..));
    }

    /// A batch of places that were never used; none if there are enough, or no memory, which others may need more.
    fn fresh(&mut self) -> impl Iterator<Item = Place> + use<> {
        // One mapping, which takes no memory until it is touched: see `pieces.rs`.
        self.first = self.first.or_else(|| {
            let memory = map(MOST * PLACE_BYTES + size_of::<Goroutine>()).ok()?;
            NonNull::new(ptr::with_exposed_provenance_mut(memory)).map(GoroutineRef)
        });
        let before = self.count;
        self.count = self.first.map_or(0, |_| (before + BATCH).min(MOST));
        places(self.first, before..self.count).map(|place| {
            // ORDERING: Relaxed; published by the lock, and never changed.
            place.wait_reason.store(SEED, Relaxed);
            place.ties.set_bound(true);
            Place(place)
        })
    }
}

/// Some of the places that begin with `first`.
fn places(first: Option<GoroutineRef>, which: Range<usize>) -> impl Iterator<Item = GoroutineRef> {
    first.into_iter().flat_map(move |first| {
        which.clone().map(move |index| {
            // SAFETY: within the mapping, all zero at first, which is a valid `Goroutine`.
            GoroutineRef(unsafe { first.0.byte_add(index * PLACE_BYTES) })
        })
    })
}

/// All places that were ever used.
pub(super) fn all_places() -> impl Iterator<Item = GoroutineRef> {
    let (first, count) = {
        let places = PLACES.lock();
        (places.first, places.count)
    };
    places(first, 0..count)
}

/// The places that a processor keeps.
#[derive(Debug, Default)]
pub(crate) struct Seeds(Vec<Place>);

impl Seeds {
    /// Whether there is a place for one more.
    pub(crate) fn has_room(&mut self) -> bool {
        if self.0.is_empty() {
            PLACES.lock().take(&mut self.0);
        }
        !self.0.is_empty()
    }

    /// A goroutine of `runtime` that will run `body` when it has sprouted. There is room, and a stack is reserved for it.
    pub(crate) fn sow<T, F>(&mut self, birth: Birth, runtime: &Runtime, body: Body<T, F>) -> Runnable
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let place = self.0.pop().expect("there is room").0;
        // ORDERING: Release fence; as in `settle`.
        fence(Release);
        // ORDERING: Relaxed, this and the next: as in `settle`.
        place.runtime.store(ptr::from_ref(runtime).cast_mut(), Relaxed);
        // ORDERING: Relaxed; as above.
        place.ready_ns.store(0, Relaxed);
        // ORDERING: Relaxed; as above.
        place.site.store(ptr::from_ref(birth.site).cast_mut(), Relaxed);
        let sown = place.sown();
        let sprout: unsafe fn(GoroutineRef, Stack) -> Runnable = sprout::<T, F>;
        // ORDERING: Relaxed; as above.
        sown.sprout.store(sprout as *mut (), Relaxed);
        // ORDERING: Relaxed; as above.
        sown.body.store(body.into_word().as_ptr(), Relaxed);
        // ORDERING: Release; as in `Runnable::new`.
        place.id.store(birth.id, Release);
        Runnable(place)
    }

    /// Takes the place of one that has sprouted.
    fn keep(&mut self, place: Place) {
        if self.0.len() >= KEPT {
            PLACES.lock().spare.extend(self.0.drain(KEPT - BATCH..));
        }
        self.0.push(place);
    }
}

impl Drop for Seeds {
    fn drop(&mut self) {
        PLACES.lock().spare.append(&mut self.0);
    }
}

impl Goroutine {
    /// What a seed has in place of a fiber.
    fn sown(&self) -> &Sown {
        debug_assert!(self.is_seed());
        // SAFETY: there is room and it is aligned (asserted above); in a place for seeds no one writes a fiber, and all bytes zero
        // are valid.
        unsafe { &*self.fiber.get().cast() }
    }

    /// Whether it has yet to sprout.
    pub(crate) fn is_seed(&self) -> bool {
        // ORDERING: Relaxed; a place of seeds says so for ever, and no other place does.
        self.wait_reason.load(Relaxed) == SEED
    }

    /// Where a seed's body waits.
    pub(super) fn body(&self) -> *const u8 {
        // ORDERING: Relaxed; only fetched.
        self.sown().body.load(Relaxed).cast_const().cast()
    }
}

impl Runnable {
    /// The goroutine of a seed, which has a stack now. The place goes to `seeds`.
    pub(crate) fn sprout(self, stack: Stack, seeds: &mut Seeds) -> Self {
        let place = self.0;
        // ORDERING: Relaxed; written before the right was created, with which it was passed on.
        let sprout = self.sown().sprout.load(Relaxed).cast_const();
        // SAFETY: `sow` wrote it there, of this type.
        let sprout: unsafe fn(GoroutineRef, Stack) -> Self = unsafe { mem::transmute(sprout) };
        // SAFETY: the body is of the type that this is for (`sow`), and read once: the right to run it is exclusive, and
        // is another one now.
        let grown = unsafe { sprout(place, stack) };
        // ORDERING: Release; pairs with the Acquire in `sight`: who sees that it is not here sees it on its stack, where reports
        // look later.
        place.id.store(0, Release);
        seeds.keep(Place(place));
        grown
    }
}

/// The goroutine of the seed in `place`, on `stack`.
///
/// # Safety
/// `place` holds a seed whose body is a `Body<T, F>`, to be read once.
unsafe fn sprout<T, F>(place: GoroutineRef, stack: Stack) -> Runnable
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // ORDERING: Relaxed; as in `Runnable::sprout`.
    let word = NonNull::new(place.sown().body.load(Relaxed)).expect("`sow` wrote it");
    // ORDERING: Relaxed; as in `is_of`.
    let runtime = place.runtime.load(Relaxed).cast_const();
    // SAFETY: as in `Runnable::runtime`.
    let runtime = unsafe { &*runtime };
    let birth = Birth { id: place.id(), site: place.site().expect("`sow` wrote it"), pinned: false };
    let grown = if Body::<T, F>::IN_PACKET {
        // SAFETY: `sow` had the word of one of this type; it is read once (the contract of this function).
        let body = unsafe { Body::<T, F>::from_packet(word) };
        Runnable::new(birth, runtime, stack, move || body.run())
    } else {
        // SAFETY: as above.
        let body = unsafe { Body::<T, F>::from_box(word) };
        Runnable::new(birth, runtime, stack, move || body.run())
    };
    // ORDERING: Relaxed, both; for the worker, which it is handed to.
    grown.ready_ns.store(place.ready_ns.load(Relaxed), Relaxed);
    grown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiber::Suspend;
    use crate::goroutine::all;
    use crate::packet::packet;
    use crate::stack::{self, Class};
    use std::panic::Location;
    use std::sync::mpsc;

    fn stack() -> Stack {
        stack::acquire(Class::DEFAULT).unwrap()
    }

    fn sow(seeds: &mut Seeds, runtime: &Runtime, id: u64, body: impl FnOnce() + Send + 'static) -> Runnable {
        assert!(seeds.has_room());
        let body = Body::new(body, packet().0);
        seeds.sow(Birth { id, site: Location::caller(), pinned: false }, runtime, body)
    }

    fn end(mut runnable: Runnable) {
        assert_eq!(runnable.resume(), Suspend::End);
        stack::release(Class::DEFAULT, [runnable.end()]);
    }

    #[test]
    fn a_seed_runs_on_the_stack_that_it_is_given_and_its_place_serves_the_next() {
        let (runtime, mut seeds) = (Runtime::new(1).unwrap(), Seeds::default());
        let (send, receive) = mpsc::channel();
        let seed = sow(&mut seeds, &runtime, 5, move || send.send(()).unwrap());
        let place = seed.goroutine();
        assert!(seed.is_seed() && seed.ties.is_bound(), "no one runs it as it is");
        // ORDERING: Relaxed; one thread.
        seed.ready_ns.store(9, Relaxed);
        let (given, theirs) = (stack(), stack());
        let guard = given.guard();
        let grown = seed.sprout(given, &mut seeds);
        assert!(!grown.is_seed() && !grown.ties.is_bound());
        assert_eq!((grown.id(), grown.take_ready_ns(), grown.guard()), (5, Some(9), guard));
        assert_eq!(grown.site().unwrap().file(), file!());
        end(grown);
        assert!(receive.recv().is_ok());
        let next = sow(&mut seeds, &runtime, 6, || ());
        assert_eq!(next.goroutine(), place);
        end(next.sprout(theirs, &mut seeds));
        std::mem::forget(runtime);
    }

    #[test]
    fn reports_see_a_goroutine_once_before_it_sprouts_and_after() {
        let (runtime, mut seeds) = (Runtime::new(1).unwrap(), Seeds::default());
        let ids = || all(&runtime).iter().map(|sight| sight.id).collect::<Vec<_>>();
        let seed = sow(&mut seeds, &runtime, 1, || ());
        assert_eq!(ids(), [1]);
        let grown = seed.sprout(stack(), &mut seeds);
        assert_eq!(ids(), [1]);
        end(grown);
        assert!(ids().is_empty());
        std::mem::forget(runtime);
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let mut places = Places { spare: Vec::new(), first: None, count: MOST - BATCH };
        let mut taken = Vec::new();
        places.take(&mut taken);
        assert_eq!(taken.len(), BATCH);
        places.take(&mut taken);
        assert_eq!(taken.len(), BATCH);
        assert_ne!(taken[0].0, taken[1].0);
    }
}
