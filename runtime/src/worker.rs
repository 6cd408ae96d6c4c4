//! What a worker does: wait for a processor, find goroutines, run them.

use crate::account::Missing;
use crate::current::{self, Context};
use crate::fiber::Suspend;
use crate::goroutine::Runnable;
use crate::idle::{NextMark, Released, pause};
use crate::machine::{Machine, Mail};
use crate::os;
use crate::overflow;
use crate::primitives::Arc;
use crate::processor::Core;
use crate::runtime::Runtime;
use crate::stack;
use crate::trace;

/// How often a worker goes round the other processors before it gives up. As in Go.
const STEAL_ROUNDS: u32 = 4;

/// How late the kernel may wake a worker that sleeps until a timer is due, for the sake of fewer wake-ups. Its default,
/// 50 µs, made up half of the lateness of a sleep of 1 ms (94 µs, with this 43). Inherited by processes that a goroutine
/// starts.
const TIMER_SLACK_NS: u64 = 1_000;

/// The main function of a worker's thread. Its first mail is there.
pub(crate) fn main(runtime: Arc<Runtime>, machine: Arc<Machine>) {
    overflow::prepare_thread();
    os::set_timer_slack(TIMER_SLACK_NS);
    let context = Context::new(runtime, machine);
    context.runtime.trace.work(|| current::enter(&context, || work(&context)));
    context.runtime.worker_ended(&context.machine);
}

/// Why a worker stopped running goroutines.
enum Idle {
    /// Its processor is someone else's now.
    Free,
    /// It has given its processor back.
    Released,
    /// It waits for the goroutine that is bound to it.
    Bound,
}

fn work(context: &Context) {
    let (runtime, machine) = (&context.runtime, &context.machine);
    context.note_begun();
    let mut mail = machine.receive();
    loop {
        let back_ns = context.note_back();
        let idle = match mail {
            Mail::Stop => return,
            Mail::Core(core) => serve(context, core, None, back_ns),
            Mail::Run(core, goroutine) => serve(context, core, Some(goroutine), back_ns),
        };
        context.note_left(false);
        mail = match idle {
            Idle::Free => runtime.wait_for_mail(machine, false),
            Idle::Released => runtime.wait_for_mail(machine, true),
            Idle::Bound => runtime.wait_for_bound(machine),
        };
    }
}

/// Runs goroutines with `core`, `first` at once, until the processor is gone. This thread has had it since `back_ns`, or just now.
fn serve(context: &Context, core: Box<Core>, mut first: Option<Runnable>, back_ns: Option<u64>) -> Idle {
    let was_woken = first.is_none();
    trace::note(|lane| lane.processor(core.processor.index));
    let (mut core, mut is_spinning) = (core, was_woken);
    if was_woken {
        let Core { span, processor, .. } = &mut *core;
        let now_ns = back_ns.unwrap_or_else(|| context.runtime.now_ns());
        span.begin_serving(now_ns, &processor.stats.sums);
    }
    loop {
        let goroutine = match first.take() {
            Some(goroutine) if !context.runtime.is_stopping() => {
                core.begin_slice();
                goroutine
            }
            _ => match find(context, core, is_spinning) {
                Some((found, goroutine)) => {
                    core = found;
                    goroutine
                }
                None => {
                    if is_spinning && was_woken {
                        context.runtime.stats.wakes_in_vain.bump_shared();
                    }
                    return Idle::Released;
                }
            },
        };
        is_spinning = false;
        match run(context, core, goroutine) {
            Ran::Goes(back) => core = back,
            Ran::Lost => return Idle::Free,
            Ran::Bound(core) => {
                if let Some(core) = core
                    && let Err((error, _)) = context.runtime.hand_off(core)
                {
                    overflow::fatal(format_args!(
                        "no worker for the processor of a pinned goroutine: {error}"
                    ));
                }
                return Idle::Bound;
            }
        }
    }
}

/// The next goroutine to run; `None` if the processor was given back. Ends the worker's spinning.
fn find(context: &Context, mut core: Box<Core>, mut is_spinning: bool) -> Option<(Box<Core>, Runnable)> {
    let runtime = &context.runtime;
    loop {
        if !core.is_of(runtime.generation()) {
            runtime.refresh(&mut core);
        }
        if !core.must_release()
            && let Some(goroutine) = look_everywhere(runtime, &mut core, &mut is_spinning)
        {
            if is_spinning {
                let Core { span, processor, .. } = &mut *core;
                let missing = Missing::until(goroutine.waited_for());
                span.found(runtime.now_ns(), missing, &processor.stats.sums);
                runtime.wakeups.end_spinning();
                // The next one looks for more.
                runtime.wake_one();
            }
            return Some((core, goroutine));
        }
        match runtime.release(&context.machine, core, is_spinning) {
            Released::Gone => return None,
            Released::Again { core: again, is_spinning: spins } => (core, is_spinning) = (again, spins),
        }
    }
}

fn look_everywhere(runtime: &Runtime, core: &mut Core, is_spinning: &mut bool) -> Option<Runnable> {
    if core.is_clock_due() {
        let now_ns = core.now_ns(runtime);
        core.looked_at_clock(now_ns);
        if core.is_glance_due() {
            // Exactly: no timer is early.
            queue(runtime, core, runtime.glance(runtime.now_ns()));
            runtime.take_waiting(core);
            core.look_at_used_up(runtime.has_used_up());
        }
    }
    if let Some(first) = core.take_urgent() {
        return Some(first);
    }
    if core.is_turn_of_used_up()
        && let Some(goroutine) = runtime.take_used_up(core)
    {
        return Some(goroutine);
    }
    if let Some(next) = core.take_next(runtime) {
        return Some(next);
    }
    core.begin_slice();
    core.queue.pop().or_else(|| look_further(runtime, core, is_spinning))
}

/// The next goroutine for a processor whose own queue is empty.
#[cold]
fn look_further(runtime: &Runtime, core: &mut Core, is_spinning: &mut bool) -> Option<Runnable> {
    trace::note(|lane| lane.searches());
    if let Some(goroutine) = runtime.take_global_share(core) {
        return Some(goroutine);
    }
    if !runtime.poller.is_asleep() {
        queue(runtime, core, runtime.look(runtime.now_ns()));
        if let Some(goroutine) = core.take_urgent().or_else(|| core.queue.pop()) {
            return Some(goroutine);
        }
    }
    if *is_spinning || runtime.may_spin() {
        if !*is_spinning {
            *is_spinning = true;
            core.span.begin_search(runtime.now_ns());
            runtime.wakeups.begin_spinning();
        }
        if let Some(stolen) = steal(runtime, core) {
            return Some(stolen);
        }
    }
    runtime.take_used_up(core)
}

/// Queues what a look found (`Core::put_outside`), and wakes a worker for it.
fn queue(runtime: &Runtime, core: &mut Core, ready: Vec<Runnable>) {
    if !ready.is_empty() {
        runtime.queue_outside(core, ready);
        runtime.wake_one();
    }
}

/// Takes half of another processor's queue; in the last round also who is next there, if it is stuck.
fn steal(runtime: &Runtime, core: &mut Core) -> Option<Runnable> {
    let processors = runtime.processors();
    for round in 1..=STEAL_ROUNDS {
        let start = core.random() as usize;
        for offset in 0..processors.len() {
            let victim = &processors[start.wrapping_add(offset) % processors.len()];
            if victim.index == core.processor.index {
                continue;
            }
            core.stats().steal_attempts.bump();
            if let Some((first, count)) = core.queue.steal_from(victim) {
                core.stats().steals.add(count as u64);
                return Some(first);
            }
            if round == STEAL_ROUNDS {
                let next = NextMark::of(victim);
                if next.is_empty() {
                    continue;
                }
                pause();
                if next.is_stuck(victim)
                    && let Some(goroutine) = victim.next.take_if(next.mark())
                {
                    core.stats().steals.bump();
                    return Some(goroutine);
                }
            }
        }
    }
    None
}

/// What is left after a goroutine ran.
enum Ran {
    /// The processor, to go on with.
    Goes(Box<Core>),
    /// Nothing: the goroutine, in a blocking call, gave the processor away.
    Lost,
    /// The goroutine left is bound to this worker, which therefore must run nothing else.
    Bound(Option<Box<Core>>),
}

/// Runs `runnable` until it leaves its stack, and does what it asked for.
// Always inlined: see `fiber/switch.rs`.
#[inline(always)]
fn run(context: &Context, mut core: Box<Core>, mut runnable: Runnable) -> Ran {
    let runtime = &*context.runtime;
    if !runnable.ties.is_free() {
        runnable.ties.wait_until_left();
    }
    let is_pinned = runnable.ties.is_pinned();
    if is_pinned || runnable.ties.is_bound() {
        if runnable.is_seed() {
            runnable = core.sprout(runnable);
        } else if let Some(machine) = elsewhere(context, &runnable) {
            machine.send(Mail::Run(core, runnable));
            return Ran::Lost;
        }
    }
    trace::note(|lane| lane.run(runnable.id()));
    loop {
        begin(runtime, &mut core, &runnable);
        core.grant_direct(runnable.ties.is_free());
        let (suspend, mut back);
        (suspend, runnable, back) = switch_to(context, core, runnable);
        if suspend.is_wait()
            && let Some(core) = &back
        {
            core.stats().parks.bump();
        }
        match suspend {
            Suspend::Yield => {
                trace::note(|lane| lane.yielded());
                queue_again(runtime, back.as_deref_mut().filter(|_| !is_pinned), runnable);
                return left(back, is_pinned);
            }
            Suspend::Preempted => {
                trace::note(|lane| lane.yielded());
                let left_ns = back.as_mut().map_or(0, |core| core.end_turn(runtime.now_ns()));
                runtime.inject_used_up(runnable, left_ns);
                runtime.wake_one();
                return left(back, is_pinned);
            }
            Suspend::Park => {
                match runnable.park() {
                    Ok(()) => return left(back, is_pinned),
                    // The token came first: it goes on.
                    Err(again) => runnable = again,
                }
                let Some(again) = back else {
                    queue_again(runtime, None, runnable);
                    return left(None, is_pinned);
                };
                trace::note(|lane| lane.go_on(runnable.id()));
                core = again;
            }
            Suspend::Leave => {
                // Before anyone runs it.
                trace::note(|lane| lane.park_as_pledged());
                runnable.leave();
                return left(back, is_pinned);
            }
            // The right to run it ends here.
            Suspend::Abandon => return left(back, is_pinned),
            Suspend::End => {
                end(runtime, back.as_deref_mut(), runnable);
                return left(back, false);
            }
        }
    }
}

/// The machine, another than this one, that alone may run `runnable`; a pinned goroutine that runs for the first time is
/// bound to this one.
#[cold]
fn elsewhere(context: &Context, runnable: &Runnable) -> Option<Arc<Machine>> {
    match context.runtime.bound_to(runnable.goroutine()) {
        Some(machine) => (!Arc::ptr_eq(&machine, &context.machine)).then_some(machine),
        None => {
            context.runtime.bind(runnable.goroutine(), Arc::clone(&context.machine));
            None
        }
    }
}

/// Lets `runnable` run with `core`, and whoever goes on after it (`direct`). Returns what the last of them asked for when it
/// left its stack, the right to run that one, and the processor, unless it gave that away.
// Always inlined: see `fiber/switch.rs`.
#[inline(always)]
fn switch_to(
    context: &Context,
    core: Box<Core>,
    mut runnable: Runnable,
) -> (Suspend, Runnable, Option<Box<Core>>) {
    context.begin(core, runnable.goroutine());
    let suspend = runnable.resume();
    let (runnable, mut back) = context.end();
    if let Some(core) = &mut back {
        core.settle_direct();
        core.end_sample(&runnable, &context.runtime);
    }
    (suspend, runnable, back)
}

fn left(core: Option<Box<Core>>, is_pinned: bool) -> Ran {
    match core {
        core if is_pinned => Ran::Bound(core),
        Some(core) => Ran::Goes(core),
        None => Ran::Lost,
    }
}

/// Notes that `runnable` begins to run.
fn begin(runtime: &Runtime, core: &mut Core, runnable: &Runnable) {
    // Of another worker's grant, if this processor came out of a blocking call.
    core.settle_direct();
    core.begin_run(runnable.id());
    core.begin_sample(runtime);
    end_latency(runtime, core, runnable);
}

/// Notes how long `runnable`, which runs now, was queued, if that is measured.
#[inline(always)]
pub(crate) fn end_latency(runtime: &Runtime, core: &mut Core, runnable: &Runnable) {
    if let Some(ready_ns) = runnable.take_ready_ns() {
        record_latency(runtime, core, ready_ns);
    }
}

#[cold]
#[inline(never)]
fn record_latency(runtime: &Runtime, core: &mut Core, ready_ns: u64) {
    let waited_ns = core.now_ns(runtime).saturating_sub(ready_ns);
    core.stats().latency.record(waited_ns);
}

/// Queues `runnable` behind the others: on `core`, else globally.
#[inline]
pub(crate) fn queue_again(runtime: &Runtime, core: Option<&mut Core>, runnable: Runnable) {
    match core {
        Some(core) => {
            runtime.stamp(core, &runnable);
            let others_may_help = !core.queue.is_private() && !core.queue.is_empty();
            core.put_last(runtime, runnable);
            if others_may_help && runtime.has_idle() {
                runtime.wake_one();
            }
        }
        None => {
            runtime.inject([runnable]);
            runtime.wake_one();
        }
    }
}

/// `runnable` has ended: its stack goes to the pool.
pub(crate) fn end(runtime: &Runtime, core: Option<&mut Core>, runnable: Runnable) {
    trace::note(|lane| lane.ended());
    runtime.unbind(runnable.goroutine());
    let stack = runnable.end();
    match core {
        Some(core) => {
            core.stats().ended.bump();
            core.keep_stack(stack);
        }
        None => {
            runtime.stats.ended.bump_shared();
            stack::release(stack.class(), [stack]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goroutine::Birth;
    use crate::slices::SLICE_NS;
    use crate::stack::Class;
    use crate::timers::NEVER;
    use std::panic::Location;

    #[test]
    fn those_that_have_used_up_a_slice_come_last_but_have_their_turn() {
        let runtime = Runtime::new(1).unwrap();
        let mut core = runtime.take_idle(None).expect("it is idle");
        let runnable = |id| {
            let birth = Birth { id, site: Location::caller(), pinned: false };
            Runnable::new(birth, &runtime, stack::acquire(Class::DEFAULT).unwrap(), || ())
        };
        let next = |core: &mut Core| look_everywhere(&runtime, core, &mut false).map(|one| one.id());
        core.begin_turn(runtime.now_ns(), SLICE_NS);
        (1..=2).for_each(|id| runtime.inject_used_up(runnable(id), 0));
        runtime.inject_used_up(runnable(0), SLICE_NS / 2);
        runtime.inject([runnable(3)]);
        core.put_last(&runtime, runnable(4));
        assert_eq!([next(&mut core), next(&mut core), next(&mut core)], [Some(4), Some(3), Some(0)]);
        assert!(core.processor.is_used_up());
        // Time passes, and others wait all the while.
        (5..=6).for_each(|id| core.put_last(&runtime, runnable(id)));
        core.looked_at_clock(NEVER - 1);
        core.look_at_used_up(runtime.has_used_up());
        assert_eq!([next(&mut core), next(&mut core), next(&mut core)], [Some(1), Some(5), Some(6)]);
        assert!(!core.processor.is_used_up());
        assert_eq!([next(&mut core), next(&mut core)], [Some(2), None]);
        std::mem::forget(runtime);
    }
}
