//! What runs on this thread: the one thread-local of the runtime.
//!
//! A goroutine migrates between threads at every suspension, and compilers keep the *address* of a thread-local over a
//! call. So no function here returns such an address, all are `#[inline(never)]`, and the closures they take do not
//! suspend: each call reads the thread-local anew, on the thread that it runs on. Three do suspend, `leave`, `yield_now` and
//! `park`: they look before the switch only.
//!
//! The processor is *lent* while someone works with it. Whoever looks at it again meanwhile finds that the thread holds none,
//! which is always a safe answer.
#![allow(unsafe_code, reason = "the thread-local points to the frame of the worker's main function")]

use crate::direct;
use crate::fiber::{Exit, Fiber, Suspend};
use crate::goroutine::{GoroutineRef, Runnable};
use crate::machine::Machine;
use crate::outside::Accounts;
use crate::park::Plan;
use crate::pieces::Pieces;
use crate::primitives::Arc;
use crate::processor::Core;
use crate::runtime::Runtime;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::thread;

/// What a worker knows about itself. Lives in the frame of its main function.
pub(crate) struct Context {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) machine: Arc<Machine>,
    /// The processor, while a goroutine runs with it: none in a blocking call.
    core: Held,
    /// The goroutine that runs now.
    goroutine: Cell<Option<GoroutineRef>>,
    /// Whether this thread is in a blocking call, and counted as such: its goroutine does not leave its stack then.
    pub(crate) is_blocked: Cell<bool>,
    /// What the kernel says of its thread.
    accounts: Accounts,
}

impl Context {
    pub(crate) fn new(runtime: Arc<Runtime>, machine: Arc<Machine>) -> Self {
        Self {
            runtime,
            machine,
            core: Held::default(),
            goroutine: Cell::new(None),
            is_blocked: Cell::new(false),
            accounts: Accounts::default(),
        }
    }

    /// `goroutine` begins to run with `core`.
    pub(crate) fn begin(&self, core: Box<Core>, goroutine: GoroutineRef) {
        self.core.set(core);
        self.goroutine.set(Some(goroutine));
    }

    /// Another goroutine goes on with what this thread has.
    pub(crate) fn set_goroutine(&self, goroutine: GoroutineRef) {
        self.goroutine.set(Some(goroutine));
    }

    /// The goroutine that ran here has left its stack for the worker's: the right to run it, and the processor, unless it
    /// gave that away.
    pub(crate) fn end(&self) -> (Runnable, Option<Box<Core>>) {
        let goroutine = self.goroutine.take().expect("`begin` was told of one");
        // SAFETY: what `begin` was told to run, or who went on directly after it. Only one of them runs at a time, and that
        // one has left its stack.
        (unsafe { Runnable::of_running(goroutine) }, self.core.take())
    }

    pub(crate) fn goroutine(&self) -> Option<GoroutineRef> {
        self.goroutine.get()
    }

    /// This thread gives its processor away, to sleep or `for_call`.
    pub(crate) fn note_left(&self, for_call: bool) {
        self.accounts.leave(self.machine.id, for_call, &self.runtime.stats);
    }

    /// This thread begins, without a processor.
    pub(crate) fn note_begun(&self) {
        self.accounts.begin(&self.runtime.stats);
    }

    /// This thread has a processor again; since when, if that was looked at.
    pub(crate) fn note_back(&self) -> Option<u64> {
        self.accounts.come_back(self.machine.id, &self.runtime.stats, || self.runtime.now_ns())
    }

    /// This thread has a processor again, at the end of a call.
    pub(crate) fn note_call_ended(&self) {
        self.accounts.end_call(self.machine.id, &self.runtime.stats);
    }

    pub(crate) fn take_core(&self) -> Option<Box<Core>> {
        self.core.take()
    }

    pub(crate) fn set_core(&self, core: Box<Core>) {
        self.core.set(core);
    }

    /// Calls `f` with the processor, if this thread holds one.
    #[inline(always)]
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(Option<&mut Core>) -> R) -> R {
        f(self.lend_core().as_deref_mut())
    }

    /// The processor, if this thread holds one.
    #[inline(always)]
    pub(crate) fn lend_core(&self) -> Option<Lent<'_>> {
        self.core.lend()
    }
}

/// The processor that a thread holds, where whoever runs on it finds it.
///
/// It stays where it is while it is lent, and a flag says so. Were it taken out and put back, each access would read what the
/// one before had just written: a chain through memory, from goroutine to goroutine, of some 8 cycles a link, which no
/// processor runs ahead of. A flag is guessed, and the guess is right.
#[derive(Default)]
struct Held {
    /// From `Box::into_raw`, or null.
    core: Cell<*mut Core>,
    is_lent: Cell<bool>,
}

impl Held {
    fn set(&self, core: Box<Core>) {
        debug_assert!(self.core.get().is_null(), "a thread holds one processor");
        self.core.set(Box::into_raw(core));
    }

    /// `None` if there is none, or it is lent.
    fn take(&self) -> Option<Box<Core>> {
        if self.is_lent.get() || self.core.get().is_null() {
            return None;
        }
        // SAFETY: from `set`, and not null, so that it was not taken since; no reference to it is left, for it is not lent.
        Some(unsafe { Box::from_raw(self.core.replace(ptr::null_mut())) })
    }

    /// `None` if there is none, or it is lent.
    #[inline(always)]
    fn lend(&self) -> Option<Lent<'_>> {
        if self.is_lent.get() || self.core.get().is_null() {
            return None;
        }
        self.is_lent.set(true);
        Some(Lent { held: self, core: self.core.get() })
    }
}

/// The processor that this thread holds, while someone works with it.
pub(crate) struct Lent<'a> {
    held: &'a Held,
    core: *mut Core,
}

impl Deref for Lent<'_> {
    type Target = Core;

    #[inline(always)]
    fn deref(&self) -> &Core {
        // SAFETY: from `Held::set`, and not null. It was not lent, and until this is dropped it is neither lent nor taken.
        unsafe { &*self.core }
    }
}

impl DerefMut for Lent<'_> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut Core {
        // SAFETY: as in `deref`.
        unsafe { &mut *self.core }
    }
}

impl Drop for Lent<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.held.is_lent.set(false);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.take());
    }
}

thread_local! {
    static CONTEXT: Cell<*const Context> = const { Cell::new(ptr::null()) };
}

/// Runs `f` with `context` as this thread's context.
pub(crate) fn enter<R>(context: &Context, f: impl FnOnce() -> R) -> R {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            CONTEXT.set(ptr::null());
        }
    }
    CONTEXT.set(context);
    let _leave = Leave;
    f()
}

/// This thread's context. For the functions of this module, which are never inlined.
#[inline(always)]
fn here<'a>() -> Option<&'a Context> {
    // SAFETY: if not null, `enter` set it on this thread and has not returned: the reference it was given is alive.
    // Nothing borrows it mutably, its cells are not `Sync`, and no caller lets it leave this thread, or suspends.
    unsafe { CONTEXT.get().as_ref() }
}

/// Calls `f` with this thread's context, if it is a worker. `f` must not suspend.
#[inline(never)]
pub(crate) fn with<R>(f: impl FnOnce(&Context) -> R) -> Option<R> {
    here().map(f)
}

/// Calls `f` with the running goroutine, if there is one. `f` must not suspend.
#[inline(never)]
pub(crate) fn with_goroutine<R>(f: impl FnOnce(GoroutineRef) -> R) -> Option<R> {
    here()?.goroutine().map(f)
}

/// Queues `runnable`, next on this thread's processor if it holds one, if this thread is a worker of `runtime`; else
/// gives it back.
// What is done most often calls nothing, so that no register need be saved.
#[inline(never)]
pub(crate) fn ready(runtime: *const Runtime, runnable: Runnable) -> Option<Runnable> {
    match here() {
        Some(context) if ptr::eq(Arc::as_ptr(&context.runtime), runtime) => {
            if let Some(mut core) = context.lend_core()
                && core.can_put_next_plainly()
            {
                core.put_next_plainly(runnable);
                return None;
            }
            ready_here(context, runnable)
        }
        _ => Some(runnable),
    }
}

#[cold]
#[inline(never)]
fn ready_here(context: &Context, runnable: Runnable) -> Option<Runnable> {
    context.with_core(|core| context.runtime.ready(core, runnable));
    None
}

/// Lets `goroutine`, which someone here waits for, run next on this thread's processor, if it was queued last. Returns whether
/// others that wait for the processor will run before it.
#[inline(never)]
pub(crate) fn is_behind_others(goroutine: GoroutineRef) -> bool {
    here().is_some_and(|context| {
        context.with_core(|core| {
            core.is_some_and(|core| !core.queue.bring_forward(goroutine) && !core.queue.has_only_next())
        })
    })
}

/// Calls `f` with the pieces of memory that this thread's processor keeps, if it holds one. `f` must not suspend.
#[inline(never)]
pub(crate) fn with_pieces<R>(f: impl FnOnce(&mut Pieces) -> R) -> Option<R> {
    here()?.with_core(|core| core.map(|core| f(&mut core.pieces)))
}

/// Counts a lock that was not free at once.
#[inline(never)]
pub(crate) fn count_lock_wait() {
    if let Some(context) = here() {
        context.with_core(|core| {
            if let Some(core) = core {
                core.stats().lock_waits.bump();
            }
        });
    }
}

/// The run time of the running goroutine counts from now on.
#[inline(never)]
pub(crate) fn cut_run() {
    if let Some(context) = here()
        && let Some(goroutine) = context.goroutine()
    {
        goroutine.forget_run();
        context.with_core(|core| core.map(|core| core.cut_sample(&context.runtime)));
    }
}

/// The run of the running goroutine counts up to now, if it is measured, and begins anew.
#[inline(never)]
pub(crate) fn end_run() {
    if let Some(context) = here()
        && let Some(goroutine) = context.goroutine()
    {
        context.with_core(|core| core.map(|core| core.end_sample(&goroutine, &context.runtime)));
    }
}

/// The running goroutine.
#[inline(never)]
pub(crate) fn goroutine() -> Option<GoroutineRef> {
    here()?.goroutine()
}

/// The runtime whose goroutine runs here.
#[inline(never)]
pub(crate) fn runtime() -> Option<Arc<Runtime>> {
    here().map(|context| Arc::clone(&context.runtime))
}

/// Whether this thread is a worker of `runtime`.
#[inline(never)]
pub(crate) fn is_of(runtime: &Runtime) -> bool {
    with(|context| ptr::eq(Arc::as_ptr(&context.runtime), runtime)).unwrap_or(false)
}

/// Whether this thread is a worker of a runtime.
#[inline(never)]
pub(crate) fn is_worker() -> bool {
    here().is_some()
}

/// Leaves the stack of the running goroutine: for that of the next one, or else its worker's. Returns true when it is run
/// again, maybe on another thread; false at once if no goroutine runs here, and in a blocking call, which stays on its thread.
// Never inlined: it looks at a thread-local, but before the switch only. Likewise `yield_now` and `park`, which are apart, so that
// what is done often has places of its own to jump from (`fiber/switch.rs`).
#[inline(never)]
pub(crate) fn leave(why: Suspend) -> bool {
    leave_now(why)
}

/// Queues the running goroutine again, and lets others run; or the thread, where no goroutine can leave its stack.
#[inline(never)]
pub(crate) fn yield_now() {
    if !leave_now(Suspend::Yield) {
        thread::yield_now();
    }
}

#[inline(always)]
fn leave_now(why: Suspend) -> bool {
    let Some(context) = here() else { return false };
    let Some(goroutine) = context.goroutine() else { return false };
    leave_here(context, goroutine, why)
}

/// Leaves the stack of the running goroutine until it is unparked, if `plan` says so. Returns the plan.
#[inline(never)]
pub(crate) fn park(plan: impl FnOnce(&Context) -> Plan) -> Plan {
    let Some(context) = here() else { return Plan::Thread };
    let plan = plan(context);
    if let Plan::Switch(goroutine) = plan {
        leave_here(context, goroutine, Suspend::Park);
    }
    plan
}

/// Leaves the stack of `goroutine`, which runs here, and with it maybe this thread. False at once in a blocking call.
#[inline(always)]
fn leave_here(context: &Context, goroutine: GoroutineRef, why: Suspend) -> bool {
    let exit = way_out_here(context, goroutine, why);
    // SAFETY: it is the one that runs here, since this is its thread's context, and on its stack.
    exit.map(|exit| unsafe { goroutine.leave_by(exit) }).is_some()
}

/// How the goroutine that runs here leaves its stack, which it does at once (`GoroutineRef::leave_by`): who is next is said to
/// run already. `None` if no goroutine runs here, and in a blocking call, which stays on its thread.
#[inline(never)]
pub(crate) fn way_out<const WHY: usize>() -> Option<Exit> {
    let context = here()?;
    way_out_here(context, context.goroutine()?, Suspend::from_number(WHY))
}

#[inline(always)]
fn way_out_here(context: &Context, goroutine: GoroutineRef, why: Suspend) -> Option<Exit> {
    match direct::exit(context, goroutine, why) {
        None if context.is_blocked.get() => None,
        None => Some(Fiber::exit(why)),
        direct => direct,
    }
}
