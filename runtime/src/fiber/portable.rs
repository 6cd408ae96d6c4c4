//! The switch of corosensei, for where there is no own one.

use super::{BODY_BYTES, Suspend, run_body};
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

    /// Runs it until it suspends; `None` if it has ended.
    ///
    /// # Safety
    /// It lies where it was said to; it has not ended, and no one else runs it.
    pub(crate) unsafe fn resume(this: *mut Self) -> Option<Suspend> {
        // SAFETY: no one else runs it; and the fiber itself accesses another field.
        let coroutine = unsafe { &mut (*this).coroutine };
        match coroutine.resume(()) {
            CoroutineResult::Yield(suspend) => Some(suspend),
            CoroutineResult::Return(()) => None,
        }
    }

    /// Leaves its stack; returns when it is resumed.
    ///
    /// # Safety
    /// The caller runs on that stack.
    pub(crate) unsafe fn leave(this: *mut Self, why: Suspend) {
        // SAFETY: written when it began to run, by itself.
        let yielder = unsafe { (*this).yielder };
        // SAFETY: it lives at the base of the stack that this very code runs on.
        unsafe { &*yielder }.suspend(why);
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
