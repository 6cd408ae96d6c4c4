//! Calls that block their thread: the processor is given to another worker first.

use crate::account::Missing;
use crate::current::{self, Context};
use crate::fiber::{Suspend, catch, suspend};
use crate::goroutine::{GoroutineRef, Runnable};
use crate::machine::Mail;
use crate::primitives::Arc;
use crate::processor::Core;
use crate::runtime::Runtime;
use crate::trace;
use std::any::Any;
use std::panic::resume_unwind;
use std::thread;

/// Runs `f`, which may block its thread. The processor is handed off before `f` starts; the goroutine waits for a
/// processor after it ends, and may go on on another thread. `f` itself stays on one thread and holds no processor: if it
/// waits on a channel or the like, it blocks that thread. Outside a runtime, and within another `blocking`, this is a
/// call of `f`.
///
/// # Panics
/// If `f` does, and if there is work for the processor but no thread for it: there are 10,000 already, or the system
/// refuses one.
///
/// ```
/// use corefit_runtime::{Config, blocking, go};
///
/// let lines = Config::new().procs(1).run(|| {
///     let other = go(|| 1 + 1);
///     // While the system reads, the one processor runs `other`.
///     let text = blocking(|| std::fs::read_to_string("/proc/self/status")).unwrap();
///     assert_eq!(other.join().unwrap(), 2);
///     text.lines().count()
/// });
/// assert!(lines > 0);
/// ```
pub fn blocking<T>(f: impl FnOnce() -> T) -> T {
    let Some((runtime, goroutine, mut core)) = take_core() else { return f() };
    let index = core.processor.index;
    core.end_sample(&goroutine, &runtime);
    core.stats().handoffs.bump();
    enter(&runtime, core);
    trace::note(|lane| lane.blocking_begin());
    // Caught, since no goroutine changes threads while it unwinds.
    let result = catch(f);
    trace::note(|lane| lane.blocking_end());
    leave(&runtime, goroutine, index);
    drop(runtime);
    result.unwrap_or_else(|payload| go_on_unwinding(payload))
}

/// Keep in step with `catch`: the panic may have been caught on another thread.
#[cold]
#[inline(never)]
fn go_on_unwinding(payload: Box<dyn Any + Send>) -> ! {
    resume_unwind(payload)
}

/// The processor of the running goroutine, if it holds one.
#[inline(never)]
fn take_core() -> Option<(Arc<Runtime>, GoroutineRef, Box<Core>)> {
    current::with(|context| {
        let goroutine = context.goroutine()?;
        let core = context.take_core()?;
        Some((Arc::clone(&context.runtime), goroutine, core))
    })
    .flatten()
}

/// This thread gives its processor away at once.
#[inline(never)]
fn note_left() {
    let _ = current::with(|context| context.note_left(true));
}

/// This thread has just got a processor.
#[inline(never)]
fn note_back() {
    let _ = current::with(Context::note_call_ended);
}

/// Gives the processor to the running goroutine.
#[inline(never)]
fn set_core(mut core: Box<Core>, id: u64) {
    // What its worker granted was for another goroutine, and this one may be tied to its thread by now.
    core.settle_direct();
    current::with(|context| {
        core.set_running(id);
        context.set_core(core);
    })
    .expect("a goroutine runs here");
}

fn enter(runtime: &Runtime, core: Box<Core>) {
    set_blocked(runtime, true);
    note_left();
    if let Err((error, core)) = runtime.hand_off(core) {
        note_back();
        set_blocked(runtime, false);
        let id = current::with_goroutine(|goroutine| goroutine.id()).expect("a goroutine runs here");
        set_core(core, id);
        panic!("a blocking call needs one more thread to run other goroutines: {error}");
    }
}

/// Notes that this thread is in a blocking call, or that it no longer is.
#[inline(never)]
fn set_blocked(runtime: &Runtime, is_blocked: bool) {
    current::with(|context| {
        context.is_blocked.set(is_blocked);
        runtime.count_blocked(is_blocked);
    })
    .expect("a goroutine runs here");
}

/// Waits for a processor.
fn leave(runtime: &Runtime, goroutine: GoroutineRef, index: usize) {
    let may_switch = !thread::panicking();
    if runtime.is_stopping() {
        abandon(runtime, may_switch);
    }
    match runtime.take_idle(Some(index)) {
        Some(mut core) => {
            let Core { span, processor, .. } = &mut *core;
            span.attribute(Missing::Io, &processor.stats.sums);
            go_on(runtime, goroutine, core, may_switch);
        }
        // The worker queues it, and is free for others.
        None if may_switch => {
            set_blocked(runtime, false);
            suspend(Suspend::Yield);
        }
        None => wait_on_thread(runtime, goroutine),
    }
}

/// Lets the running goroutine go on with `core`, unless the runtime ends.
fn go_on(runtime: &Runtime, goroutine: GoroutineRef, core: Box<Core>, may_switch: bool) {
    note_back();
    set_blocked(runtime, false);
    // Looked at after the lock in `set_blocked`: a `stop` that still counted this thread as blocked, and does not wait
    // for it, had the lock before, so the end is seen here.
    if runtime.is_stopping() {
        drop(core);
        set_blocked(runtime, true);
        abandon(runtime, may_switch);
    }
    set_core(core, goroutine.id());
}

/// Ends the running goroutine, which holds no processor: the runtime ends.
fn abandon(runtime: &Runtime, may_switch: bool) -> ! {
    if may_switch {
        // The worker ends at once; `stop` waits for it.
        set_blocked(runtime, false);
        suspend(Suspend::Abandon);
    }
    // A goroutine that unwinds keeps its thread, which stays counted as blocked.
    sleep_for_ever();
}

/// Waits, without leaving the stack, until a worker finds the goroutine in the queue and sends its processor here.
#[allow(unsafe_code, reason = "the goroutine gives away the right to run itself")]
fn wait_on_thread(runtime: &Runtime, goroutine: GoroutineRef) {
    let machine = current::with(|context| Arc::clone(&context.machine)).expect("a goroutine runs here");
    if !goroutine.ties.is_pinned() {
        runtime.bind(goroutine, Arc::clone(&machine));
    }
    // SAFETY: it runs here, and goes on only when the mail brings the `Runnable` back, which ends in the match.
    let runnable = unsafe { Runnable::of_running(goroutine) };
    runtime.inject([runnable]);
    runtime.wake_one();
    match machine.receive() {
        Mail::Run(core, _) | Mail::Core(core) => {
            if !goroutine.ties.is_pinned() {
                runtime.unbind(goroutine);
            }
            go_on(runtime, goroutine, core, false);
        }
        Mail::Stop => sleep_for_ever(),
    }
}

fn sleep_for_ever() -> ! {
    loop {
        thread::park();
    }
}
