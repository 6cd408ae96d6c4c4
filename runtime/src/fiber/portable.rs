//! The switch of corosensei, for where there is no own one.

use super::{BODY_BYTES, Suspend, run_body};
#[cfg(any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
use crate::direct::Left;
use crate::stack::Stack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use std::mem::ManuallyDrop;
use std::ptr;

/// A computation on a stack of its own. Dropped unfinished, it is leaked with its stack: others may hold references to
/// what lives there.
pub(crate) struct Fiber {
    coroutine: ManuallyDrop<Coroutine<(), Suspend, (), Stack>>,
    /// How it leaves its stack. Lives on that stack.
    yielder: *const Yielder<(), Suspend>,
}

/// Where a fiber lies, for the fiber itself.
struct Place(*mut Fiber);

// SAFETY: it is used on the fiber's own stack only.
unsafe impl Send for Place {}

impl Place {
    /// Notes how the fiber that runs here leaves its stack.
    fn set_yielder(&self, yielder: &Yielder<(), Suspend>) {
        // SAFETY: the fiber is there (`new`), and while it runs no one else accesses this field.
        unsafe { (*self.0).yielder = yielder };
    }
}

impl Fiber {
    /// A fiber that will run `body` on `stack`. It must be written to `place` before it is resumed.
    pub(crate) fn new<F: FnOnce() + Send + 'static>(stack: Stack, place: *mut Self, body: F) -> Self {
        if size_of::<F>() > BODY_BYTES || align_of::<F>() > 16 {
            return Self::with(stack, place, Box::new(body));
        }
        Self::with(stack, place, body)
    }

    /// As `new`, for a body that fits.
    fn with(stack: Stack, place: *mut Self, body: impl FnOnce() + Send + 'static) -> Self {
        let place = Place(place);
        let coroutine = Coroutine::with_stack(stack, move |yielder: &Yielder<(), Suspend>, ()| {
            place.set_yielder(yielder);
            run_body(body);
        });
        Self { coroutine: ManuallyDrop::new(coroutine), yielder: ptr::null() }
    }

    /// Runs it until it suspends or ends, and says which.
    ///
    /// # Safety
    /// It lies where it was said to; it has not ended, and no one else runs it.
    pub(crate) unsafe fn resume(this: *mut Self) -> Suspend {
        // SAFETY: no one else runs it; and the fiber itself accesses another field.
        let coroutine = unsafe { &mut (*this).coroutine };
        match coroutine.resume(()) {
            CoroutineResult::Yield(suspend) => suspend,
            CoroutineResult::Return(()) => Suspend::End,
        }
    }

    /// The way of whoever runs here to the worker.
    pub(crate) fn exit(why: Suspend) -> Exit {
        Exit { why }
    }

    /// How it goes on to another: not here (`Exit::CAN_BE_DIRECT`).
    ///
    /// # Safety
    /// None.
    #[cfg(any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
    pub(crate) unsafe fn exit_to(_other: *mut Self, _left: Left) -> Exit {
        unreachable!("no one asks where it cannot be direct")
    }

    /// The lowest address of what it will touch when it is resumed: not known.
    ///
    /// # Safety
    /// None.
    #[cfg(any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
    pub(crate) unsafe fn goes_on_at(_this: *const Self) -> *const u8 {
        ptr::null()
    }

    /// The stack of one that has ended.
    pub(crate) fn into_stack(self) -> Stack {
        ManuallyDrop::into_inner(self.coroutine).into_stack()
    }
}

/// A way out of a goroutine's stack.
pub(crate) struct Exit {
    why: Suspend,
}

impl Exit {
    /// Whether it may lead to another goroutine.
    #[cfg(any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
    pub(crate) const CAN_BE_DIRECT: bool = false;

    /// Leaves the stack of `fiber`; returns when it is gone back to.
    ///
    /// # Safety
    /// The caller runs on that stack, for which this was made just now, on this thread.
    pub(crate) unsafe fn take(self, fiber: *mut Fiber) {
        // SAFETY: written when it began to run, by itself.
        let yielder = unsafe { (*fiber).yielder };
        // SAFETY: it lives at the base of the stack that this very code runs on.
        unsafe { &*yielder }.suspend(self.why);
    }
}
