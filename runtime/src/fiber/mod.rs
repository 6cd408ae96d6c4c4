//! A stack with a computation on it: the context switch, and nothing of the scheduler.
//!
//! There are two ways to switch: an own one for x86-64 Linux (`switch.rs`, in the assembler's words for ELF), and that of
//! corosensei (`portable.rs`) elsewhere, and where `--cfg corefit_portable_switch` asks for it, so that it can be tested on
//! any machine.
//! A fiber lies at a fixed place, in its goroutine; both sides of a switch find it there.
#![allow(unsafe_code, reason = "a suspended stack moves between threads")]

#[cfg(any(test, corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
mod portable;
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(corefit_portable_switch)))]
mod switch;

use crate::current;
#[cfg(any(corefit_portable_switch, not(all(target_arch = "x86_64", target_os = "linux"))))]
pub(crate) use portable::{Exit, Fiber};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(corefit_portable_switch)))]
pub(crate) use switch::{Exit, Fiber};

/// What a goroutine asks of its worker when it leaves its stack.
///
/// As a number it fits into the bits that are 0 in a goroutine's address. 0 is nothing of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Suspend {
    /// Queue me again.
    Yield = 1,
    /// Do not queue me until someone unparks me.
    Park = 2,
    /// I have ended.
    End = 3,
    /// Declare that I have left, as I have pledged to: who lets me go on was told.
    Leave = 4,
    /// Queue me again, behind everyone: my time slice is used up.
    Preempted = 5,
    /// Never run me again: the runtime has ended.
    Abandon = 6,
}

impl Suspend {
    /// Whether it waits for someone.
    #[inline(always)]
    pub(crate) const fn is_wait(self) -> bool {
        matches!(self, Self::Park | Self::Leave)
    }

    /// What it is as a number.
    pub(crate) const fn from_number(number: usize) -> Self {
        match number {
            1 => Self::Yield,
            2 => Self::Park,
            3 => Self::End,
            4 => Self::Leave,
            5 => Self::Preempted,
            _ => Self::Abandon,
        }
    }
}

/// Bytes of a body that is put on its stack as it is. A larger one is boxed: it is written there, before anything runs,
/// without a look at how much room there is, and would go past the guard into another stack. A quarter of a page.
const BODY_BYTES: usize = 1024;

/// Runs the body of a goroutine. A panic ends here.
fn run_body(body: impl FnOnce()) {
    if let Err(payload) = catch(body) {
        // Its destructor is user code too, and there is no one left to tell.
        std::mem::forget(payload);
    }
}

/// Runs `f` and catches its panic.
// Never inlined: catching counts down this thread's panics, a thread-local whose address the code around it must not keep
// over a switch to the next panic.
#[inline(never)]
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> thread::Result<R> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Leaves the current goroutine's stack; returns when it is run again, maybe on another thread.
///
/// # Panics
/// Outside a goroutine.
pub(crate) fn suspend(why: Suspend) {
    assert!(current::leave(why), "a goroutine runs here");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::{Birth, Runnable};
    use crate::primitives::Arc;
    use crate::runtime::Runtime;
    use crate::stack::{self, Class, Stack};
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
        assert_eq!(runnable.resume(), Suspend::End);
        let address = receive.recv().unwrap();
        assert!(address > guard.end && address < guard.start + (64 << 10));
        let stack = runnable.end();
        assert_eq!(stack.guard(), guard);
        stack::release(stack.class(), [stack]);
    }

    #[test]
    fn a_body_that_is_larger_than_its_stack_is_not_put_there() {
        let stack = stack::acquire(Class::DEFAULT).unwrap();
        let guard = stack.guard();
        let large = std::hint::black_box([1_u8; 120 << 10]);
        let (send, receive) = std::sync::mpsc::channel();
        // By reference, so that the body does not copy it to its own frame.
        let mut runnable = runnable(stack, move || send.send((&raw const large).addr()).unwrap());
        assert_eq!(runnable.resume(), Suspend::End);
        let address = receive.recv().unwrap();
        assert!(!(guard.start - large.len()..guard.start + (64 << 10)).contains(&address));
        let stack = runnable.end();
        stack::release(stack.class(), [stack]);
    }

    #[test]
    fn a_fiber_that_never_ran_is_leaked_with_what_it_captured() {
        let captured = Arc::new(());
        let theirs = Arc::clone(&captured);
        drop(runnable(stack::acquire(Class::DEFAULT).unwrap(), move || drop(theirs)));
        assert_eq!(Arc::strong_count(&captured), 2);
    }

    /// Runs a body on a fiber of the type `$fiber` at a place of its own, which leaves its stack `leaves` times.
    macro_rules! round_trips {
        ($fiber:ty, $leaves:expr) => {{
            let stack = stack::acquire(Class::DEFAULT).unwrap();
            let place = Box::into_raw(Box::<$fiber>::new_uninit()).cast::<$fiber>();
            let address = place.addr();
            let sum = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let theirs = Arc::clone(&sum);
            // Large enough to be boxed, and aligned to more than a stack is.
            #[repr(align(128))]
            struct Captured([usize; 200]);
            let captured = Captured(std::array::from_fn(|n| n));
            let fiber = <$fiber>::new(stack, place, move || {
                let (captured, mut float) = (captured, 1.5_f64);
                assert_eq!((&raw const captured).addr() % 128, 0);
                for n in 0..$leaves {
                    theirs.fetch_add(captured.0[n % 200], std::sync::atomic::Ordering::SeqCst);
                    float *= 2.0;
                    // SAFETY: the place of this fiber, on which this runs.
                    unsafe {
                        let place = std::ptr::with_exposed_provenance_mut(address);
                        <$fiber>::exit(Suspend::Park).take(place);
                    }
                }
                assert_eq!(float, 1.5 * 2.0_f64.powi($leaves as i32));
            });
            place.expose_provenance();
            // SAFETY: `place` is of its size, and nobody's yet.
            unsafe { place.write(fiber) };
            for _ in 0..$leaves {
                // SAFETY: it has not ended.
                assert_eq!(unsafe { <$fiber>::resume(place) }, Suspend::Park);
            }
            // SAFETY: as above.
            assert_eq!(unsafe { <$fiber>::resume(place) }, Suspend::End);
            // SAFETY: it has ended, and is read once.
            let stack = unsafe { place.read() }.into_stack();
            stack::release(stack.class(), [stack]);
            assert_eq!(sum.load(std::sync::atomic::Ordering::SeqCst), (0..$leaves).map(|n| n % 200).sum());
        }};
    }

    #[test]
    fn both_ways_to_switch_keep_what_lives_on_the_stack() {
        round_trips!(portable::Fiber, 500_usize);
        round_trips!(Fiber, 500_usize);
    }
}
