//! A goroutine, and the states it goes through.
//!
//! ```text
//! spawn ─▶ Runnable ──run──▶ Running ──return──▶ Dead
//!             ▲ ▲  ▲            │ │ │
//!             │ │  └───yield────┘ │ └─suspend(Park)─▶ Parking ──commit──▶ Waiting
//!             │ └──── token came: commit fails ──────────┘                  │
//!             └──────────────────── unpark ─────────────────────────────────┘
//!
//! state     token (`token.rs`)   queued   stack owned by
//! Runnable  any but Parked       yes      whoever takes it out of the queue
//! Running   any but Parked       no       the worker running it
//! Parking   Empty or Notified    no       its worker, or the goroutine that came next on this thread: it has left the stack
//! Leaving   Pledged, or any      maybe    likewise, until it is declared to have left (`ties.rs`)
//! Waiting   Parked               no       no one, until an `unpark` takes the token out of Parked: then its caller
//! Waiting   Pledged              no       no one, until the one that it was told to lets it go on (`park.rs`)
//! Dead      any                  no       its processor, which keeps the stack, or the pool
//! ```
//!
//! No field holds the state: it follows from where the one right to run the goroutine is. That right is a [`Runnable`],
//! which cannot be copied. It is created once (`Runnable::new`, or `Seeds::sow` for one that has no stack yet), moves through queues (each element comes out once), ends
//! in `park`, `leave` or `end`, and is created anew by `unpark`, of which only one finds `Parked`, or by `go_on`, which is called
//! once. That one alone may come early: while the goroutine is Leaving there are two, and who has the new one uses it, but for
//! queueing, only when the old one has ended (`ties.rs`).
//!
//! **Where it lives.** At the top of its stack's slot (`stack/`): no allocation, and the line that a switch touches
//! anyway. (One that has not begun may lie elsewhere: `seed.rs`.) Slots are never unmapped, nor used for anything else. So
//! a [`GoroutineRef`] needs no count: it is valid for ever, only the goroutine may be another one than it was. What a stale
//! holder may touch is atomic, and valid when all bytes are zero (the page of a slot in the pool may have been given back to
//! the kernel). A stale `unpark` leaves a token, or wakes whoever parks there now: a spurious wake, which the contract of
//! `park` allows. Who has pledged to wait for one other alone does not notice it.
//!
//! **Its runtime** is a raw pointer: counting would cost two shared writes a goroutine. A goroutine that has not ended
//! keeps its runtime in memory all the same: while it runs, the worker does; and when a runtime stops with goroutines
//! left, it leaks itself (`Runtime::stop`).
//!
//! Rejected: `Arc<Goroutine>` (an allocation and some ten counts for each goroutine's life; spawn and join took 370 ns
//! with it, and the list of all goroutines that it then needs had a lock).
#![allow(unsafe_code, reason = "the goroutine lies in memory of its stack, and its fiber in a shared cell")]

mod fetch;
pub(crate) mod seed;
mod sight;
mod ties;

pub(crate) use self::sight::{Sight, all, find};
use self::ties::Ties;
use crate::current;
use crate::direct::Left;
use crate::fiber::{Exit, Fiber, Suspend};
use crate::foreign::Sleeper;
use crate::os::page_bytes;
use crate::park::WaitReason;
use crate::primitives::atomic::{
    AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Relaxed, Release},
    fence,
};
use crate::queue::Element;
use crate::runtime::Runtime;
use crate::stack::{self, Class, Stack};
use crate::token::{Notified, Token};
use crate::trace;
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, offset_of};
use std::ops::{Deref, Range};
use std::panic::Location;
use std::ptr::{self, NonNull};

/// In place of a reason's code.
const NEVER_WAITED: u8 = u8::MAX;

/// What is known about a goroutine before it has a stack.
#[derive(Clone, Copy)]
pub(crate) struct Birth {
    /// From 1 (main), not reused.
    pub(crate) id: u64,
    pub(crate) site: &'static Location<'static>,
    /// Whether it stays on one thread.
    pub(crate) pinned: bool,
}

/// One goroutine, or the place of one. All bytes zero: no one was here yet.
#[repr(C, align(64))]
pub(crate) struct Goroutine {
    /// 0 while no one is here.
    id: AtomicU64,
    pub(crate) token: Token,
    pub(crate) ties: Ties,
    wait_reason: AtomicU8,
    /// Run time so far, estimated from the runs that are measured.
    run_us: AtomicU32,
    runtime: AtomicPtr<Runtime>,
    /// When it was queued, ns of the runtime's clock; 0 if this time is not sampled.
    pub(crate) ready_ns: AtomicU64,
    site: AtomicPtr<Location<'static>>,
    /// Initialized while someone is here; a seed has something else here, and ends with it.
    fiber: UnsafeCell<MaybeUninit<Fiber>>,
    wait_object: AtomicUsize,
    /// Counts the timed waits here: a timer of an older one is void. Goes on counting with the next goroutine.
    pub(crate) timer_epoch: AtomicU64,
    /// The lowest address of its stack.
    bottom: AtomicUsize,
    /// The end, as a cell: behind a place for seeds lies the next one, which changes, and what is in no cell must not while someone
    /// has a reference to it.
    _rest: UnsafeCell<[u8; REST_BYTES]>,
}

const REST_BYTES: usize = stack::HEADER_BYTES - 64 - size_of::<Fiber>();

const _: () = {
    assert!(size_of::<Goroutine>() <= stack::HEADER_BYTES, "the stack leaves room for it");
    assert!(offset_of!(Goroutine, _rest) + REST_BYTES == size_of::<Goroutine>(), "all of it is fields");
    assert!(stack::HEADER_ALIGN.is_multiple_of(align_of::<Goroutine>()), "and aligns it");
};

// SAFETY: all fields but `fiber` are atomics. `fiber` is accessed through a `Runnable` only, of which one at a time is
// used (module docs), and which is passed on through queues, token and ties with Release and Acquire.
unsafe impl Sync for Goroutine {}

/// A goroutine, or the one that took its place since.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GoroutineRef(NonNull<Goroutine>);

// SAFETY: it gives access to a `Goroutine`, which is `Sync` and lives for ever.
unsafe impl Send for GoroutineRef {}
// SAFETY: as above.
unsafe impl Sync for GoroutineRef {}

impl Deref for GoroutineRef {
    type Target = Goroutine;

    fn deref(&self) -> &Goroutine {
        // SAFETY: the header of a slot (`of_slot`) or a place for seeds: aligned, never unmapped, and used for nothing else. All
        // bytes zero, which fresh memory has, are a valid `Goroutine`; all that is written there since are its fields. Behind
        // a place for seeds lies the next one, or zeroes: valid too, in cells all, and no one accesses them from here.
        unsafe { self.0.as_ref() }
    }
}

impl GoroutineRef {
    /// The goroutine whose slot has its header at this address, which comes from `stack`.
    fn of_slot(header: stack::Header) -> Self {
        let header = NonNull::new(ptr::with_exposed_provenance_mut(header.address()));
        Self(header.expect("no stack ends at address 0"))
    }

    /// Leaves its stack; returns when it is run again, maybe on another thread.
    ///
    /// # Safety
    /// It runs here, and that is the way out that it was just given (`current::way_out`).
    // Always inlined: see `fiber/switch.rs`.
    #[inline(always)]
    pub(crate) unsafe fn leave_by(self, exit: Exit) {
        // SAFETY: the caller's promise.
        unsafe { exit.take(self.fiber()) }
    }

    /// Whether its stack is of `class`.
    pub(crate) fn has_stack_of(self, class: Class) -> bool {
        self.stack_bytes() == class.bytes()
    }

    /// Where it is; a multiple of 64. To be kept in a word.
    pub(crate) fn as_ptr(self) -> NonNull<Goroutine> {
        self.0
    }

    /// # Safety
    /// `place` is from `as_ptr`.
    pub(crate) unsafe fn from_ptr(place: NonNull<Goroutine>) -> Self {
        Self(place)
    }

    /// It has pledged to leave its stack (`park.rs`), and goes on: the right to run it, for the caller, who must queue it.
    ///
    /// # Safety
    /// Whoever it was told to lets it go on, once.
    #[inline]
    pub(crate) unsafe fn go_on(self) -> Runnable {
        self.token.redeem();
        let runnable = Runnable(self);
        runnable.note_unpark();
        runnable
    }

    /// Leaves the token, and makes it runnable if it waits.
    #[inline]
    pub(crate) fn unpark(self) {
        if let Some(runnable) = self.notified() {
            runnable.queue();
        }
    }

    /// Leaves the token, and gives the right to run it to the caller, who must queue it, if it was parked.
    pub(crate) fn unpark_into(self, ready: &mut Vec<Runnable>) {
        if let Some(runnable) = self.notified() {
            runnable.prefetch_woken();
            ready.push(runnable);
        }
    }

    /// Leaves the token; the right to run it, if it was parked.
    #[inline]
    fn notified(self) -> Option<Runnable> {
        match self.token.notify() {
            Notified::Parked => {
                let runnable = Runnable(self);
                runnable.note_unpark();
                return Some(runnable);
            }
            Notified::Blocked => self.wake_thread(),
            Notified::Awake => self.note_awake(),
        }
        None
    }

    /// As `Slot::mark` has it.
    pub(crate) fn mark(self) -> usize {
        self.0.addr().get()
    }

    /// Records that it was unparked in vain, or before it parks, if it is of this thread's runtime: another one may be gone.
    fn note_awake(self) {
        trace::note(|lane| {
            // ORDERING: Relaxed; the address is only compared.
            let its = self.runtime.load(Relaxed).cast_const();
            if current::with(|context| ptr::eq(its, &*context.runtime)) == Some(true) {
                lane.notify(self.id());
            }
        });
    }

    #[cold]
    fn wake_thread(self) {
        if let Some(sleeper) = Sleeper::of_goroutine(self) {
            sleeper.unpark();
        }
    }
}

/// The right to run a goroutine. Dropped, it leaves the goroutine where it is for ever.
#[must_use = "a goroutine that is not queued never runs again"]
#[derive(Debug)]
pub(crate) struct Runnable(GoroutineRef);

// SAFETY: a pointer into a slot is not null, and comes back as it was. The right may be used by another thread: the
// fiber is `Send`.
unsafe impl Element for Runnable {
    type Target = Goroutine;

    fn into_raw(self) -> *mut Goroutine {
        self.0.0.as_ptr()
    }

    unsafe fn from_raw(raw: *mut Goroutine) -> Self {
        // SAFETY: from `into_raw` (the caller's promise), hence not null.
        Self(GoroutineRef(unsafe { NonNull::new_unchecked(raw) }))
    }
}

impl Deref for Runnable {
    type Target = Goroutine;

    fn deref(&self) -> &Goroutine {
        &self.0
    }
}

impl Runnable {
    /// A goroutine of `runtime` that will run `body` on `stack`.
    pub(crate) fn new(
        birth: Birth,
        runtime: &Runtime,
        stack: Stack,
        body: impl FnOnce() + Send + 'static,
    ) -> Self {
        let goroutine = GoroutineRef::of_slot(stack.header());
        goroutine.settle(birth, runtime, &stack);
        let fiber = Fiber::new(stack, goroutine.fiber(), body);
        // SAFETY: whoever owned the `Stack` had the slot for itself; so this is the only `Runnable` of it, and no one
        // else accesses the fiber.
        unsafe { goroutine.fiber().write(fiber) };
        // ORDERING: Release; pairs with the Acquire in `sight`: who sees the id sees the rest.
        goroutine.id.store(birth.id, Release);
        Self(goroutine)
    }

    /// The right to run the goroutine that runs here, or that has just left its stack for the worker's.
    ///
    /// # Safety
    /// It is taken once: that goroutine goes on only when it is given the `Runnable` back, or is resumed.
    pub(crate) unsafe fn of_running(goroutine: GoroutineRef) -> Self {
        Self(goroutine)
    }

    pub(crate) fn goroutine(&self) -> GoroutineRef {
        self.0
    }

    /// Runs it on this thread until it suspends or ends, and says which.
    // Always inlined: see `fiber/switch.rs`.
    #[inline(always)]
    pub(crate) fn resume(&mut self) -> Suspend {
        // SAFETY: `new` wrote it there. The right to run it is exclusive; who has seen it end calls `end`.
        unsafe { Fiber::resume(self.0.fiber()) }
    }

    /// The way of the goroutine that runs here to the stack of this one, which runs then.
    pub(crate) fn exit_to(self, left: Left) -> Exit {
        // SAFETY: `new` wrote its fiber. The right to run it is exclusive: it is now with the goroutine, as after `resume`.
        unsafe { Fiber::exit_to(self.0.fiber(), left) }
    }

    /// Declares it parked, which ends the right to run it; gives the right back if the token has come meanwhile.
    pub(crate) fn park(self) -> Result<(), Self> {
        if self.token.commit() { Ok(()) } else { Err(self) }
    }

    /// Declares that it has left its stack as it had pledged to, which ends the right to run it.
    #[inline(always)]
    pub(crate) fn leave(self) {
        self.ties.left();
    }

    /// Takes the stack of one whose `resume` said that it has ended. The place is free for the next one.
    pub(crate) fn end(self) -> Stack {
        // ORDERING: Relaxed; for reports, which check twice.
        self.0.id.store(0, Relaxed);
        // SAFETY: the right is exclusive; it ends here, so that the fiber is not read again.
        unsafe { self.0.fiber().read() }.into_stack()
    }

    /// Whether it belongs to `runtime`.
    pub(crate) fn is_of(&self, runtime: &Runtime) -> bool {
        // ORDERING: Relaxed; written before the right was created, with which it was passed on.
        ptr::eq(self.0.runtime.load(Relaxed), runtime)
    }

    fn runtime(&self) -> &Runtime {
        // ORDERING: Relaxed; as in `is_of`.
        let runtime = self.0.runtime.load(Relaxed).cast_const();
        // SAFETY: `new` got it from a reference, and a goroutine that has not ended keeps its runtime (module docs). It
        // does not end while the right to run it is here.
        unsafe { &*runtime }
    }

    /// Records that it was parked and is now runnable.
    #[inline]
    fn note_unpark(&self) {
        if trace::is_on() {
            self.record_unpark();
        }
    }

    #[cold]
    fn record_unpark(&self) {
        self.runtime().trace.note(|stream| stream.unpark(self.id()));
    }

    /// Queues it with its runtime, as the next of this thread's processor if that is of the same one.
    #[inline]
    pub(crate) fn queue(self) {
        // ORDERING: Relaxed; as in `is_of`.
        let runtime = self.0.runtime.load(Relaxed).cast_const();
        if let Some(foreign) = current::ready(runtime, self) {
            foreign.queue_elsewhere(runtime);
        }
    }

    /// Queues it with its runtime, which is not this thread's.
    #[cold]
    fn queue_elsewhere(self, runtime: *const Runtime) {
        // SAFETY: `new` got it from a reference, and a goroutine that has not ended keeps its runtime (module docs).
        let runtime = unsafe { &*runtime };
        // Counted, since that goroutine may run and end, and its runtime with it, before this function does.
        runtime.counted().ready(None, self);
    }
}

impl Goroutine {
    /// Writes all but the id and the fiber. For the owner of the slot.
    fn settle(&self, birth: Birth, runtime: &Runtime, stack: &Stack) {
        // ORDERING: Release fence; pairs with the Acquire fence in `sight`: who sees a store below sees the id 0 of `end`.
        fence(Release);
        self.token.reset();
        self.ties.reset(birth.pinned);
        // ORDERING: Relaxed, this and the next: published by the Release of the id for reports, and by the queue for
        // whoever runs the goroutine.
        self.runtime.store(ptr::from_ref(runtime).cast_mut(), Relaxed);
        // ORDERING: Relaxed; as above.
        self.ready_ns.store(0, Relaxed);
        // ORDERING: Relaxed; as above.
        self.wait_reason.store(NEVER_WAITED, Relaxed);
        // ORDERING: Relaxed; as above.
        self.run_us.store(0, Relaxed);
        // ORDERING: Relaxed; as above.
        self.site.store(ptr::from_ref(birth.site).cast_mut(), Relaxed);
        // ORDERING: Relaxed; as above.
        self.bottom.store(stack.guard().start, Relaxed);
    }

    /// 0 if no one is here.
    pub(crate) fn id(&self) -> u64 {
        // ORDERING: Relaxed; for the goroutine itself and its worker.
        self.id.load(Relaxed)
    }

    /// Addresses of its guard page.
    pub(crate) fn guard(&self) -> Range<usize> {
        // ORDERING: Relaxed; written before it first ran.
        let bottom = self.bottom.load(Relaxed);
        bottom..bottom + page_bytes()
    }

    /// Bytes of its stack's slot: a power of two, of which guard, header and colour are less than a half.
    pub(crate) fn stack_bytes(&self) -> usize {
        (ptr::from_ref(self).addr() - self.guard().start).next_power_of_two()
    }

    /// Where it was spawned.
    pub(crate) fn site(&self) -> Option<&'static Location<'static>> {
        // ORDERING: Relaxed; read by the goroutine itself, or after its id (see `sight`).
        let site = self.site.load(Relaxed);
        // SAFETY: null, or from a `&'static` reference (`settle`, `sow`).
        unsafe { site.as_ref() }
    }

    /// Where the fiber is, while someone is here.
    fn fiber(&self) -> *mut Fiber {
        self.fiber.get().cast()
    }

    /// Says what it is about to wait for.
    pub(crate) fn set_wait(&self, reason: WaitReason, object: usize) {
        // ORDERING: Relaxed; for reports, which look when it waits.
        self.wait_reason.store(reason.code(), Relaxed);
        // ORDERING: Relaxed; as above.
        self.wait_object.store(object, Relaxed);
    }

    /// What it has waited for last; `None` if it never has.
    pub(crate) fn waited_for(&self) -> Option<WaitReason> {
        // ORDERING: Relaxed; written by the goroutine itself, and passed on with the right to run it.
        WaitReason::from_code(self.wait_reason.load(Relaxed))
    }

    /// Adds to its run time and returns it, microseconds. For the worker that has run it.
    pub(crate) fn add_run_us(&self, more_us: u64) -> u64 {
        // ORDERING: Relaxed; a statistic, passed on with the right to run it.
        let now_us = u64::from(self.run_us.load(Relaxed)) + more_us;
        // ORDERING: Relaxed; as above.
        self.run_us.store(u32::try_from(now_us).unwrap_or(u32::MAX), Relaxed);
        now_us
    }

    /// Its run time counts from now on. For itself.
    pub(crate) fn forget_run(&self) {
        // ORDERING: Relaxed; a statistic.
        self.run_us.store(0, Relaxed);
    }

    /// When it was queued, ns of the runtime's clock, if this time is sampled. For the worker that runs it.
    pub(crate) fn take_ready_ns(&self) -> Option<u64> {
        // ORDERING: Relaxed; written by whoever queued it, from whose queue the worker has it.
        let ready_ns = self.ready_ns.load(Relaxed);
        if ready_ns == 0 {
            return None;
        }
        // ORDERING: Relaxed; as above.
        self.ready_ns.store(0, Relaxed);
        Some(ready_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Class;

    fn goroutine(runtime: &Runtime, id: u64) -> Runnable {
        let stack = stack::acquire(Class::DEFAULT).unwrap();
        Runnable::new(Birth { id, site: Location::caller(), pinned: false }, runtime, stack, || ())
    }

    #[test]
    fn all_sees_those_that_are_alive_and_of_the_runtime() {
        let (runtime, other) = (Runtime::new(1).unwrap(), Runtime::new(1).unwrap());
        let (first, second, foreign) = (goroutine(&runtime, 8), goroutine(&runtime, 7), goroutine(&other, 9));
        second.set_wait(WaitReason::Join, 5);
        second.park().unwrap();
        let ids = |runtime: &Runtime| all(runtime).iter().map(|sight| sight.id).collect::<Vec<_>>();
        assert_eq!(ids(&runtime), [7, 8]);
        assert_eq!(ids(&other), [9]);
        assert_eq!(all(&runtime)[0].waits_for, Some((WaitReason::Join, 5)));
        end(first);
        end(foreign);
        assert_eq!(ids(&runtime), [7]);
        assert!(ids(&other).is_empty());
        drop(other);
        std::mem::forget(runtime);
    }

    fn end(mut runnable: Runnable) {
        assert_eq!(runnable.resume(), Suspend::End);
        let stack = runnable.end();
        stack::release(stack.class(), [stack]);
    }

    #[test]
    fn a_stale_unpark_of_an_ended_goroutine_leaves_a_token_at_most() {
        let runtime = Runtime::new(1).unwrap();
        let runnable = goroutine(&runtime, 1);
        let stale = runnable.goroutine();
        end(runnable);
        let mut ready = Vec::new();
        stale.unpark_into(&mut ready);
        assert!(ready.is_empty());
        stale.unpark();
    }
}
