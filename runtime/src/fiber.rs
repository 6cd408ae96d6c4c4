//! A stack with a computation on it: the context switch, and nothing of the scheduler.
#![allow(unsafe_code, reason = "a suspended stack moves between threads")]

use crate::current;
use crate::goroutine::GoroutineRef;
use crate::stack::Stack;
use corosensei::{Coroutine, CoroutineResult};
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// What a goroutine asks of its worker when it leaves its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// Queue me again.
    Yield,
    /// Do not queue me until someone unparks me.
    Park,
    /// Never run me again: the runtime has ended.
    Abandon,
}

/// How a goroutine leaves its stack. Lives on that stack.
pub(crate) type Yielder = corosensei::Yielder<(), Suspend>;

/// A computation on a stack of its own. Dropped unfinished, it is leaked with its stack: others may hold references to
/// what lives there.
pub(crate) struct Fiber(ManuallyDrop<Coroutine<(), Suspend, (), Stack>>);

// SAFETY: a coroutine is not `Send` because what lives on its stack may not be. The closure is `Send` (`new`). What it
// then creates and holds across a suspension is the contract in the docs of `go`; goroutines for which it does not hold
// are started with `spawn_pinned` and resumed on one thread only.
unsafe impl Send for Fiber {}

impl Fiber {
    /// A fiber that will run `body` on `stack`, as `goroutine`. A panic of `body` ends there.
    pub(crate) fn new(stack: Stack, goroutine: GoroutineRef, body: impl FnOnce() + Send + 'static) -> Self {
        Self(ManuallyDrop::new(Coroutine::with_stack(stack, move |yielder: &Yielder, ()| {
            goroutine.set_yielder(yielder);
            if let Err(payload) = catch(body) {
                // Its destructor is user code too, and there is no one left to tell.
                std::mem::forget(payload);
            }
        })))
    }

    /// Runs it until it suspends; `None` if it has ended.
    pub(crate) fn resume(&mut self) -> Option<Suspend> {
        match self.0.resume(()) {
            CoroutineResult::Yield(suspend) => Some(suspend),
            CoroutineResult::Return(()) => None,
        }
    }

    /// The stack of a fiber that has ended.
    pub(crate) fn into_stack(self) -> Stack {
        ManuallyDrop::into_inner(self.0).into_stack()
    }
}

/// Runs `f` and catches its panic.
// Never inlined: catching counts down this thread's panics, a thread-local whose address the code around it must not keep
// over a switch to the next panic.
#[inline(never)]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> thread::Result<R> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Leaves the current goroutine's stack; returns when a worker, maybe on another thread, resumes it.
///
/// # Panics
/// Outside a goroutine.
// Never inlined: no address of a thread-local may be kept over the switch by the code around it.
#[inline(never)]
pub(crate) fn suspend(why: Suspend) {
    let yielder = current::yielder().expect("a goroutine runs here");
    // SAFETY: the running goroutine stored it when it started (`Fiber::new`); it lives at the base of the stack that this
    // very code runs on.
    let yielder = unsafe { &*yielder };
    yielder.suspend(why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::{Birth, Runnable};
    use crate::primitives::Arc;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class};
    use std::panic::Location;

    fn runnable(stack: Stack, body: impl FnOnce() + Send + 'static) -> Runnable {
        let runtime = Runtime::new(1).unwrap();
        let birth = Birth { id: 1, site: Location::caller(), pinned: false };
        let runnable = Runnable::new(birth, &runtime, stack, body);
        // It would be leaked by its `stop`.
        std::mem::forget(runtime);
        runnable
    }

    #[test]
    fn a_body_runs_to_its_end_on_the_stack_it_was_given() {
        let stack = stack::acquire(Class::DEFAULT).unwrap();
        let guard = stack.guard();
        let (send, receive) = std::sync::mpsc::channel();
        let mut runnable = runnable(stack, move || {
            let local = 1;
            send.send((&raw const local).addr()).unwrap();
        });
        assert_eq!(runnable.resume(), None);
        let address = receive.recv().unwrap();
        assert!(address > guard.end && address < guard.start + (64 << 10));
        let stack = runnable.end();
        assert_eq!(stack.guard(), guard);
        stack::release(stack.class(), [stack]);
    }

    #[test]
    fn a_fiber_that_never_ran_is_leaked_with_what_it_captured() {
        let captured = Arc::new(());
        let theirs = Arc::clone(&captured);
        drop(runnable(stack::acquire(Class::DEFAULT).unwrap(), move || drop(theirs)));
        assert_eq!(Arc::strong_count(&captured), 2);
    }
}
