//! What runs on this thread: the one thread-local of the runtime.
//!
//! A goroutine migrates between threads at every suspension, and compilers keep the *address* of a thread-local over a
//! call. So no function here returns such an address, all are `#[inline(never)]`, and the closures they take do not
//! suspend: each call reads the thread-local anew, on the thread that it runs on.
//!
//! The processor is taken out of its cell while someone works with it. Whoever looks at it again meanwhile finds that the
//! thread holds none, which is always a safe answer.
#![allow(unsafe_code, reason = "the thread-local points to the frame of the worker's main function")]

use crate::fiber::Yielder;
use crate::goroutine::{GoroutineRef, Runnable};
use crate::machine::Machine;
use crate::primitives::Arc;
use crate::processor::Core;
use crate::runtime::Runtime;
use std::cell::Cell;
use std::ptr;

/// What a worker knows about itself. Lives in the frame of its main function.
pub(crate) struct Context {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) machine: Arc<Machine>,
    /// The processor, while a goroutine runs with it: none in a blocking call.
    core: Cell<Option<Box<Core>>>,
    /// The goroutine that runs now.
    goroutine: Cell<Option<GoroutineRef>>,
    /// Whether this thread is in a blocking call, and counted as such: its goroutine does not leave its stack then.
    pub(crate) is_blocked: Cell<bool>,
}

impl Context {
    pub(crate) fn new(runtime: Arc<Runtime>, machine: Arc<Machine>) -> Self {
        Self {
            runtime,
            machine,
            core: Cell::new(None),
            goroutine: Cell::new(None),
            is_blocked: Cell::new(false),
        }
    }

    /// `goroutine` begins to run with `core`.
    pub(crate) fn begin(&self, core: Box<Core>, goroutine: GoroutineRef) {
        self.core.set(Some(core));
        self.goroutine.set(Some(goroutine));
    }

    /// The goroutine has left its stack: the processor, unless it gave that away.
    pub(crate) fn end(&self) -> Option<Box<Core>> {
        self.goroutine.set(None);
        self.core.take()
    }

    pub(crate) fn goroutine(&self) -> Option<GoroutineRef> {
        self.goroutine.get()
    }

    pub(crate) fn take_core(&self) -> Option<Box<Core>> {
        self.core.take()
    }

    pub(crate) fn set_core(&self, core: Box<Core>) {
        self.core.set(Some(core));
    }

    /// Calls `f` with the processor, if this thread holds one.
    pub(crate) fn with_core<R>(&self, f: impl FnOnce(Option<&mut Core>) -> R) -> R {
        match self.core.take() {
            Some(mut core) => {
                let result = f(Some(&mut core));
                self.core.set(Some(core));
                result
            }
            None => f(None),
        }
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
pub(crate) fn with_goroutine<R>(f: impl FnOnce(GoroutineRef) -> R) -> Option<R> {
    with(|context| context.goroutine().map(f)).flatten()
}

/// Queues `runnable`, next on this thread's processor if it holds one, if this thread is a worker of `runtime`; else
/// gives it back.
#[inline(never)]
pub(crate) fn ready(runtime: *const Runtime, runnable: Runnable) -> Option<Runnable> {
    let mut runnable = Some(runnable);
    let _ = with(|context| {
        if ptr::eq(Arc::as_ptr(&context.runtime), runtime)
            && let Some(runnable) = runnable.take()
        {
            context.with_core(|core| context.runtime.ready(core, runnable));
        }
    });
    runnable
}

/// The running goroutine.
#[inline(never)]
pub(crate) fn goroutine() -> Option<GoroutineRef> {
    with_goroutine(|goroutine| goroutine)
}

/// The runtime whose goroutine runs here.
#[inline(never)]
pub(crate) fn runtime() -> Option<Arc<Runtime>> {
    with(|context| Arc::clone(&context.runtime))
}

/// Whether this thread is a worker of `runtime`.
#[inline(never)]
pub(crate) fn is_of(runtime: &Runtime) -> bool {
    with(|context| ptr::eq(Arc::as_ptr(&context.runtime), runtime)).unwrap_or(false)
}

/// Whether this thread is a worker of a runtime.
#[inline(never)]
pub(crate) fn is_worker() -> bool {
    !CONTEXT.get().is_null()
}

/// How the running goroutine leaves its stack; `None` if none runs here, and in a blocking call, which stays on its thread.
#[inline(never)]
pub(crate) fn yielder() -> Option<*const Yielder> {
    with(|context| {
        let goroutine = context.goroutine().filter(|_| !context.is_blocked.get())?;
        Some(goroutine.yielder())
    })
    .flatten()
}
