//! What runs on this thread: the one thread-local of the runtime.
//!
//! A goroutine migrates between threads at every suspension, and compilers keep the *address* of a thread-local over a
//! call. So no function here returns such an address, all are `#[inline(never)]`, and the closures they take do not
//! suspend: each call reads the thread-local anew, on the thread that it runs on.
#![allow(unsafe_code, reason = "the thread-local points to the frame of the worker's main function")]

use crate::fiber::Yielder;
use crate::goroutine::Goroutine;
use crate::machine::Machine;
use crate::primitives::Arc;
use crate::processor::Core;
use crate::runtime::Runtime;
use std::cell::{Cell, RefCell};
use std::ptr;

/// What a worker knows about itself. Lives in the frame of its main function.
pub(crate) struct Context {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) machine: Arc<Machine>,
    /// The processor, while a goroutine runs with it: none in a blocking call.
    pub(crate) core: RefCell<Option<Box<Core>>>,
    /// The goroutine that runs now.
    pub(crate) goroutine: RefCell<Option<Arc<Goroutine>>>,
    /// Whether this thread is in a blocking call, and counted as such.
    pub(crate) is_blocked: Cell<bool>,
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

/// Calls `f` with this thread's context, if it is a worker. `f` must not suspend.
#[inline(never)]
pub(crate) fn with<R>(f: impl FnOnce(&Context) -> R) -> Option<R> {
    let context = CONTEXT.get();
    if context.is_null() {
        return None;
    }
    // SAFETY: not null, so `enter` set it on this thread and has not returned: the reference it was given is alive.
    // Nothing borrows it mutably, its cells are not `Sync`, and it does not leave this thread.
    Some(f(unsafe { &*context }))
}

/// Calls `f` with the running goroutine, if there is one. `f` must not suspend.
#[inline(never)]
pub(crate) fn with_goroutine<R>(f: impl FnOnce(&Arc<Goroutine>) -> R) -> Option<R> {
    with(|context| context.goroutine.borrow().as_ref().map(f)).flatten()
}

/// Calls `f` with the processor that this thread holds, if it is a goroutine of `runtime` that does. `f` must neither
/// suspend nor call anything that looks at the processor again.
#[inline(never)]
pub(crate) fn with_core_of<R>(runtime: &Runtime, f: impl FnOnce(&mut Core) -> R) -> Option<R> {
    with(|context| {
        if ptr::eq(Arc::as_ptr(&context.runtime), runtime) {
            context.core.borrow_mut().as_deref_mut().map(f)
        } else {
            None
        }
    })
    .flatten()
}

/// The running goroutine.
#[inline(never)]
pub(crate) fn goroutine() -> Option<Arc<Goroutine>> {
    with_goroutine(Arc::clone)
}

/// The runtime whose goroutine runs here.
#[inline(never)]
pub(crate) fn runtime() -> Option<Arc<Runtime>> {
    with(|context| Arc::clone(&context.runtime))
}

/// Remembers how the running goroutine leaves its stack.
#[inline(never)]
pub(crate) fn set_yielder(yielder: &Yielder) {
    let _ = with_goroutine(|goroutine| goroutine.set_yielder(yielder));
}

/// How the running goroutine leaves its stack.
#[inline(never)]
pub(crate) fn yielder() -> Option<*const Yielder> {
    with_goroutine(|goroutine| goroutine.yielder())
}
