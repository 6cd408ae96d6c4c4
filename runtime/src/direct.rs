//! From goroutine to goroutine, without the worker in between.
//!
//! A goroutine that parks, yields or ends mostly finds another one at the head of its processor's queue. Then it does the
//! worker's few steps itself and switches to that one at once: half of the switches, and none of the worker's questions
//! that the state of the processor has answered (`Core::take_directly`). Whatever is out of the ordinary is left to the
//! worker, which is gone back to as if the one that leaves had been resumed by it.
//!
//! ```text
//! worker:   resume A ······································ resume returns: B left
//! A:                 runs, parks: B is next │ ·············
//! B:                                        └ A is parked; goes on, leaves
//! ```
//!
//! What is to be done with the one that leaves must wait until its stack is left: declared parked or queued, it may be run
//! elsewhere at once. So who comes next does it, as the first thing, in [`arrive`]; which one and what for is the message
//! of the switch ([`Left`]). Only what no other thread can see is done before ([`take`]): one that yields goes to the end of a
//! private queue, and the stack of one that ends to those of its processor.
//!
//! What makes it quick is less that there are fewer instructions than that none waits for the one before: what goes from one
//! goroutine to the next lies in the processor, which stays where it is (`current.rs`), not on a stack that is being left.
#![allow(unsafe_code, reason = "the right to run a goroutine passes through the switch as an address")]

use crate::current::{self, Context};
use crate::fiber::{Exit, Suspend};
use crate::goroutine::{Goroutine, GoroutineRef, Runnable};
use crate::processor::Core;
use crate::queue::Element;
use crate::runtime::Runtime;
use crate::stack::Class;
use crate::{trace, worker};
use std::ptr;

/// The bits of a goroutine's address that say why it has left.
const WHY: usize = 7;

const _: () = assert!(align_of::<Goroutine>() > WHY, "there is room in an address");

/// The goroutine that has left its stack for that of another one, and why. Passed through the switch.
pub(crate) struct Left(usize);

impl Left {
    /// There is nothing to do, or the worker was there before.
    const NO_ONE: Self = Self(0);

    fn new(goroutine: GoroutineRef, why: Suspend) -> Self {
        Self(goroutine.as_ptr().expose_provenance().get() | why as usize)
    }

    /// As the message of a switch.
    pub(crate) fn into_message(self) -> usize {
        self.0
    }

    /// `None` if there is nothing to do.
    ///
    /// # Safety
    /// `message` is from `into_message` or 0, and this is the only call for it.
    pub(crate) unsafe fn from_message(message: usize) -> Option<Self> {
        (message != 0).then_some(Self(message))
    }

    #[inline(always)]
    fn into_parts(self) -> (Runnable, usize) {
        let place = ptr::with_exposed_provenance_mut(self.0 & !WHY);
        // SAFETY: a goroutine's address, from `new`; it has left its stack, and `self` is used once (`from_message`).
        (unsafe { Runnable::from_raw(place) }, self.0 & WHY)
    }
}

/// How `goroutine`, which runs here and leaves at once, goes to the next one; `None` if the worker has to see to it.
#[inline(always)]
pub(crate) fn exit(context: &Context, goroutine: GoroutineRef, why: Suspend) -> Option<Exit> {
    if !Exit::CAN_BE_DIRECT || matches!(why, Suspend::Preempted | Suspend::Abandon) {
        return None;
    }
    let (mut core, runtime) = (context.lend_core()?, &*context.runtime);
    let (next, left) = if core.may_go_directly(runtime) {
        take(&mut core, runtime, goroutine, why)?
    } else {
        take_traced(&mut core, runtime, goroutine, why)?
    };
    worker::end_latency(runtime, &mut core, &next);
    drop(core);
    context.set_goroutine(next.goroutine());
    Some(next.exit_to(left))
}

/// As `take`, where all is traced; else `None`.
#[cold]
#[inline(never)]
fn take_traced(
    core: &mut Core,
    runtime: &Runtime,
    goroutine: GoroutineRef,
    why: Suspend,
) -> Option<(Runnable, Left)> {
    // Whether all that is to be traced is known before the switch; else the worker sees to it.
    let is_known = match why {
        Suspend::Yield | Suspend::Leave => true,
        Suspend::End => goroutine.has_stack_of(Class::DEFAULT),
        // It may be that the token has come.
        _ => false,
    };
    if !is_known || !trace::is_on() {
        return None;
    }
    trace::note_direct(why, || {
        let taken = core.with_traced_grant(runtime, |core| take(core, runtime, goroutine, why))?;
        let id = taken.0.id();
        Some((taken, id))
    })
}

/// Who runs next. If no other thread can see what is to be done with `goroutine`, which leaves at once, it is done here, before
/// the switch; else who arrives is told.
#[inline(always)]
fn take(
    core: &mut Core,
    runtime: &Runtime,
    goroutine: GoroutineRef,
    why: Suspend,
) -> Option<(Runnable, Left)> {
    // SAFETY: it runs here, and leaves its stack before anyone else on this thread, who has the processor, can run it or
    // use its stack: no other thread has access to a private queue, or to the stacks that a processor keeps.
    let runnable = || unsafe { Runnable::of_running(goroutine) };
    match why {
        Suspend::Yield => {
            if let Ok(first) = core.rotate_directly(runnable()) {
                return Some((first, Left::NO_ONE));
            }
        }
        Suspend::End if goroutine.has_stack_of(Class::DEFAULT) => {
            let next = core.take_directly(runtime)?;
            core.stats().ended.bump();
            core.keep_stack(runnable().end());
            return Some((next, Left::NO_ONE));
        }
        _ => {}
    }
    let next = core.take_directly(runtime)?;
    if why.is_wait() {
        core.stats().parks.bump();
    }
    Some((next, Left::new(goroutine, why)))
}

/// Does what is to be done with the goroutine that has just left its stack for the one that runs now.
#[inline(always)]
pub(crate) fn arrive(left: Left) {
    let (runnable, why) = left.into_parts();
    if why == Suspend::Leave as usize {
        runnable.leave();
    } else if why != Suspend::Park as usize {
        arrive_late(runnable, Suspend::from_number(why));
    } else if let Err(again) = runnable.park() {
        arrive_late(again, Suspend::Park);
    }
}

/// As the worker does it, but that someone runs here already: another worker may help whoever is queued.
// Never inlined: it looks at a thread-local after a switch.
#[inline(never)]
fn arrive_late(runnable: Runnable, why: Suspend) {
    let done = current::with(|context| {
        let runtime = &*context.runtime;
        context.with_core(|core| match (why, core) {
            (Suspend::End, core) => worker::end(runtime, core, runnable),
            // The token came first, which is as if it came now.
            (Suspend::Park, core) => runtime.ready(core, runnable),
            (_, Some(core)) => {
                runtime.stamp(core, &runnable);
                core.put_last(runtime, runnable);
                if !core.queue.is_private() {
                    runtime.wake_one();
                }
            }
            (_, None) => worker::queue_again(runtime, None, runnable),
        });
    });
    debug_assert!(done.is_some(), "a worker runs what switches directly");
}
