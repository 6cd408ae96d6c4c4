//! Who sleeps, who is woken: idle processors, spinning workers, and how no work is left behind.
//!
//! A worker without work looks into the other queues while it still holds its processor: it *spins*. Then it gives the
//! processor back and sleeps. Whoever makes work visible wakes one worker, unless one spins, which will find it; a
//! spinning worker that finds work wakes the next one. So there is at most one wake-up under way at a time, and they go
//! on for as long as they find something. As in Go (`wakep`, `findRunnable`). Which worker is woken: `sleepers.rs`.
//!
//! ```text
//! submit:   queue a goroutine        FENCE   read idle, spinning; idle > 0 and no one spins? wake one
//! release:  idle += 1, spinning -= 1 FENCE   read all queues; one has something? take a processor again
//! found:    spinning -= 1, then as submit: read idle, spinning, wake one
//! ```
//! The counts and fences are in `wakeups.rs`.
//!
//! One fence is first. If it is `submit`'s, then `release` sees the goroutine. If it is `release`'s, then `submit` sees
//! the idle processor and no spinning. If `submit` sees another spinning worker, that one goes through `release` or
//! `found` later, whose fence comes after. So a goroutine is never queued while a processor is idle and no one looks.
//! The global queue is simpler: it is filled, and looked at before a processor becomes idle, under the same lock.
//!
//! A processor that was the only one when its holder last looked has a private queue (`run_queue.rs`) and submits without
//! a fence and without a wake: no other is idle. If one is added meanwhile (`set_procs`), the holder sees it when it next
//! looks for work (`Runtime::refresh`): it shares its queue and wakes a worker, as any submitter. Those that found nothing
//! before have gone to sleep, so the rule above holds from that moment on.
//!
//! One exception is made on purpose: who is next on a processor that has learned to be lazy may wait for up to 0.2 ms, or
//! until that processor's goroutine comes to a scheduling point (`lazy.rs`).
//!
//! `idle > 0` with no worker spinning also means that someone sleeps in the poller or is about to: a worker that gives
//! its processor back takes the poller if no one has it, and `hand_off` starts a worker if something must be waited for.
//!
//! Rejected: a wake-up for each goroutine (workers fight over little work), and none on local pushes (may: 10 ms until
//! another worker looks).

use crate::account::Span;
use crate::machine::{Machine, Mail};
use crate::os::Bell;
use crate::primitives::{Arc, MutexGuard};
use crate::processor::{Core, Processor};
use crate::runtime::{Runtime, Synced};
use crate::sleepers::{Chosen, current_cpu};
use crate::timers::NEVER;
use crate::worker;
use std::{hint, io, mem, thread};

/// Most workers of a runtime. As in Go.
pub(crate) const MOST_MACHINES: usize = 10_000;

/// Turns of the pause after which a goroutine that is next on another processor counts as stuck there. About 1 to 3 µs
/// (a turn takes 40 to 140 cycles): much longer than a hand-over from a goroutine that is about to wait.
const PAUSE_TURNS: u32 = 64;

/// What came of giving a processor back.
pub(crate) enum Released {
    /// It is idle, or out of use.
    Gone,
    /// There is work after all. The worker counts as spinning if it is said so.
    Again { core: Box<Core>, is_spinning: bool },
}

impl Runtime {
    /// Wakes a worker for work that the caller has made visible, if need be.
    pub(crate) fn wake_one(&self) {
        if self.wakeups.must_wake() {
            self.wake();
        }
    }

    /// As `wake_one`, for work on `core`, which learns from it.
    pub(crate) fn wake_one_for(&self, core: &mut Core) {
        if self.wakeups.must_wake() {
            if core.laziness.wakes(self.stats.wakes_in_vain.get()) && self.alertness.ask() {
                self.alarm.ring();
            }
            self.wake();
        }
    }

    /// Wakes a worker, which counts as spinning already.
    #[cold]
    fn wake(&self) {
        let waker = self.waker(true);
        let chosen = {
            let mut synced = self.synced.lock();
            // At the end of the runtime no one is woken for work.
            let core = if self.is_stopping() { None } else { synced.idle_cores.pop() };
            let chosen = core.and_then(|mut core| match self.choose_machine(&mut synced, &waker) {
                Some(chosen) => {
                    let now_ns = self.now_ns();
                    synced.taken(now_ns, &mut core);
                    core.span.begin_waking(now_ns);
                    Some((chosen, core))
                }
                None => {
                    synced.idle_cores.push(core);
                    None
                }
            });
            if chosen.is_none() {
                // Within the lock: whoever makes a processor idle after this, and whoever then relies on its second look
                // or sees that it is idle, finds no one spinning.
                self.wakeups.end_spinning();
            }
            self.publish(&synced);
            chosen
        };
        let Some((chosen, core)) = chosen else { return };
        self.alarm.work_begins();
        self.stats.wakes.bump_shared();
        if let Err((error, Mail::Core(core) | Mail::Run(core, _))) = self.start(chosen, Mail::Core(core)) {
            // No thread is to be had. Those there are will do the work.
            self.synced.lock().start_error = Some(error);
            self.wakeups.end_spinning();
            self.put_back(core);
        }
    }

    /// Gives `mail` to `chosen`; gives it back if there is no thread.
    fn start(&self, chosen: Chosen, mail: Mail) -> Result<(), (io::Error, Mail)> {
        match chosen {
            Chosen::Idle(machine) => machine.send(mail),
            Chosen::Poller(machine, bell) => {
                machine.send(mail);
                bell.ring();
            }
            Chosen::Fresh(machine) => {
                machine.send(mail);
                let name = format!("corefit-{}", machine.id);
                let (runtime, theirs) = (self.counted(), Arc::clone(&machine));
                let spawned = thread::Builder::new().name(name).spawn(move || worker::main(runtime, theirs));
                if let Err(error) = spawned {
                    self.synced.lock().machines.retain(|other| !Arc::ptr_eq(other, &machine));
                    return Err((error, machine.receive()));
                }
            }
        }
        Ok(())
    }

    /// Puts a processor with empty queues to the idle ones or, if there are too many, out of use.
    fn put_back(&self, core: Box<Core>) {
        let mut synced = self.synced.lock();
        self.put_back_locked(&mut synced, core);
    }

    /// As `put_back`; when it was.
    fn put_back_locked(&self, synced: &mut Synced, mut core: Box<Core>) -> u64 {
        let now_ns = self.now_ns();
        core.set_running(0);
        if synced.live > synced.target || self.is_stopping() {
            synced.global.extend(core.queue.drain());
            core.release_stacks();
            core.span = Span::default();
            synced.live -= 1;
            synced.busy.note(now_ns, synced.live.saturating_sub(synced.idle_cores.len()));
            synced.retired_cores.push(core);
        } else {
            synced.put_idle(now_ns, core);
        }
        self.publish(synced);
        now_ns
    }

    /// Gives back the processor of the worker `machine`, which found no work. `wait_for_mail` follows if it is gone.
    pub(crate) fn release(&self, machine: &Arc<Machine>, core: Box<Core>, is_spinning: bool) -> Released {
        let given_ns = {
            let mut synced = self.synced.lock();
            let has_work = !synced.global.is_empty() || !core.queue.is_empty();
            if has_work && synced.live <= synced.target && !self.is_stopping() {
                return Released::Again { core, is_spinning };
            }
            let given_ns = self.put_back_locked(&mut synced, core);
            synced.leaving.push(Arc::clone(machine));
            given_ns
        };
        if is_spinning {
            self.wakeups.end_spinning();
        }
        self.wakeups.released();
        if !self.is_stopping()
            && self.has_visible_work()
            && let Some(core) = self.take_again(machine)
        {
            self.wakeups.begin_spinning();
            self.count_outside_since(given_ns);
            return Released::Again { core, is_spinning: true };
        }
        self.count_outside_since(given_ns);
        Released::Gone
    }

    /// An idle processor for `machine`, which has just given one back, unless it was chosen meanwhile.
    fn take_again(&self, machine: &Arc<Machine>) -> Option<Box<Core>> {
        let mut synced = self.synced.lock();
        let is_there = !synced.idle_cores.is_empty() && synced.has_left(machine);
        is_there.then(|| self.take_idle_locked(synced, None)).flatten()
    }

    /// This thread, which has not slept since, has been without a processor since `given_ns`. On a CPU or waiting for one,
    /// which is another part of the time: the processor that idled meanwhile did not idle besides.
    fn count_outside_since(&self, given_ns: u64) {
        if self.stats.is_in_stretch() {
            self.stats.outside_cpu_ns.add_shared(self.now_ns().saturating_sub(given_ns));
        }
    }

    /// An idle processor; if possible the one with index `own`.
    pub(crate) fn take_idle(&self, own: Option<usize>) -> Option<Box<Core>> {
        self.take_idle_locked(self.synced.lock(), own)
    }

    fn take_idle_locked(&self, mut synced: MutexGuard<'_, Synced>, own: Option<usize>) -> Option<Box<Core>> {
        let at = synced.idle_cores.iter().position(|core| Some(core.processor.index) == own);
        let mut core = match at {
            Some(at) => Some(synced.idle_cores.swap_remove(at)),
            None => synced.idle_cores.pop(),
        };
        if let Some(core) = &mut core {
            synced.taken(self.now_ns(), core);
        }
        self.publish(&synced);
        drop(synced);
        self.alarm.work_begins();
        core
    }

    /// Whether some queue holds a goroutine that its processor is not about to run.
    fn has_visible_work(&self) -> bool {
        let processors = self.processors();
        if self.has_queued() || processors.iter().any(|processor| !processor.is_queue_empty()) {
            return true;
        }
        let next: Vec<_> = processors.iter().map(|processor| NextMark::of(processor)).collect();
        if next.iter().all(NextMark::is_empty) {
            return false;
        }
        pause();
        next.iter().zip(processors.iter()).any(|(mark, processor)| mark.is_stuck(processor))
    }

    /// Gives the processor of a worker that will not return soon to another one.
    ///
    /// # Errors
    /// No further worker can be had, and there is work for it: the processor, and why.
    pub(crate) fn hand_off(&self, mut core: Box<Core>) -> Result<(), (io::Error, Box<Core>)> {
        core.set_running(0);
        let waker = self.waker(false);
        let chosen = {
            let mut synced = self.synced.lock();
            let must_run = !core.queue.is_empty() || !synced.global.is_empty();
            let must_wait =
                synced.polling.is_none() && (self.timers.earliest() != NEVER || self.poller.has_sources());
            if synced.live > synced.target || self.is_stopping() || !(must_run || must_wait) {
                self.put_back_locked(&mut synced, core);
                None
            } else {
                match self.choose_machine(&mut synced, &waker) {
                    Some(chosen) => {
                        core.span.begin_waking(self.now_ns());
                        Some((chosen, core))
                    }
                    None => {
                        let error = format!(
                            "there are {} already, most in blocking calls; let a `sync::Semaphore` bound how many \
                             block at a time",
                            synced.machines.len()
                        );
                        return Err((io::Error::other(error), core));
                    }
                }
            }
        };
        let Some((chosen, core)) = chosen else {
            self.wakeups.released();
            if self.has_visible_work() {
                self.wake_one();
            }
            return Ok(());
        };
        self.wakeups.begin_spinning();
        self.start(chosen, Mail::Core(core)).map_err(|(error, mail)| {
            self.wakeups.end_spinning();
            match mail {
                Mail::Core(core) | Mail::Run(core, _) => (error, core),
                Mail::Stop => unreachable!("a worker without a thread was given a processor"),
            }
        })
    }

    /// Waits, on the thread of `machine`, until it is given something to do. It takes the poller if no one has it. It
    /// `is_leaving` if it comes from `release`.
    pub(crate) fn wait_for_mail(&self, machine: &Arc<Machine>, mut is_leaving: bool) -> Mail {
        machine.falls_asleep_on(current_cpu());
        let bell = loop {
            let mut synced = self.synced.lock();
            if mem::take(&mut is_leaving) && !synced.has_left(machine) {
                drop(synced);
                return machine.receive();
            }
            if self.is_stopping() {
                return Mail::Stop;
            }
            if synced.polling.is_some() {
                synced.idle_machines.push(Arc::clone(machine));
                drop(synced);
                return machine.receive();
            }
            // If no descriptor is to be had: a bell comes back as soon as the worker that was chosen last has left.
            if let Some(bell) = synced.bells.pop().or_else(|| Bell::new().ok().map(Arc::new)) {
                synced.polling = Some((Arc::clone(machine), Arc::clone(&bell)));
                self.poller.arm(&self.timers);
                break bell;
            }
            drop(synced);
            thread::yield_now();
        };
        loop {
            self.poller.sleep(&bell, &self.timers, || self.now_ns());
            if let Some(mail) = self.woken(machine, &bell) {
                return mail;
            }
        }
    }

    /// What `machine`, which slept in the poller, does now; `None`: go on sleeping.
    fn woken(&self, machine: &Arc<Machine>, bell: &Arc<Bell>) -> Option<Mail> {
        let ready = self.look(self.now_ns());
        let mut synced = self.synced.lock();
        if !synced.polling.as_ref().is_some_and(|(polling, _)| Arc::ptr_eq(polling, machine)) {
            // Someone chose this worker: mail has come, or is on its way. The bell may yet ring for it, and then wakes
            // its next owner in vain.
            synced.bells.push(Arc::clone(bell));
            synced.global.extend(ready);
            self.publish(&synced);
            drop(synced);
            return Some(machine.receive());
        }
        if ready.is_empty() && !self.is_stopping() {
            self.poller.arm(&self.timers);
            return None;
        }
        self.poller.disarm();
        synced.polling = None;
        synced.bells.push(Arc::clone(bell));
        if self.is_stopping() {
            return Some(Mail::Stop);
        }
        let Some(mut core) = synced.idle_cores.pop() else {
            // All processors are busy, and their workers look at the global queue.
            synced.global.extend(ready);
            synced.idle_machines.push(Arc::clone(machine));
            self.publish(&synced);
            drop(synced);
            return Some(machine.receive());
        };
        let now_ns = self.now_ns();
        synced.taken(now_ns, &mut core);
        // It wakes itself: what it does until it serves is on its account without a processor still (`outside.rs`).
        core.span.begin_waking(now_ns);
        self.publish(&synced);
        drop(synced);
        self.alarm.work_begins();
        self.wakeups.begin_spinning();
        self.queue_outside(&mut core, ready);
        Some(Mail::Core(core))
    }

    /// Waits, on the thread of `machine`, for the goroutine that is bound to it.
    pub(crate) fn wait_for_bound(&self, machine: &Machine) -> Mail {
        self.synced.lock().bound_waiting += 1;
        let mail = machine.receive();
        self.synced.lock().bound_waiting -= 1;
        mail
    }

    /// Whether a processor is idle.
    pub(crate) fn has_idle(&self) -> bool {
        self.wakeups.idle() > 0
    }

    /// Whether one more worker may spin: at most half as many as are busy. A limit that may be missed by a few.
    pub(crate) fn may_spin(&self) -> bool {
        2 * self.wakeups.spinning() < self.live().saturating_sub(self.wakeups.idle())
    }
}

impl Synced {
    /// Puts a processor with empty queues to the idle ones.
    pub(crate) fn put_idle(&mut self, now_ns: u64, mut core: Box<Core>) {
        self.busy.note(now_ns, self.live.saturating_sub(self.idle_cores.len() + 1));
        let Core { span, processor, .. } = &mut *core;
        span.begin_idle(now_ns, &self.busy, &processor.stats.sums);
        self.idle_cores.push(core);
    }

    /// Notes that `core` has been taken out of the idle ones.
    fn taken(&mut self, now_ns: u64, core: &mut Core) {
        self.busy.note(now_ns, self.live.saturating_sub(self.idle_cores.len()));
        core.span.end_idle(now_ns, &self.busy);
    }

    /// Brings the sums of the processors that are idle now up to date.
    pub(crate) fn settle(&mut self, now_ns: u64) {
        for core in &mut self.idle_cores {
            let Core { span, processor, .. } = &mut **core;
            span.settle(now_ns, &mut self.busy, &processor.stats.sums);
        }
    }
}

/// Who was next on a processor, and at what point.
pub(crate) struct NextMark {
    mark: usize,
    runs: u64,
}

impl NextMark {
    pub(crate) fn of(processor: &Processor) -> Self {
        Self { runs: processor.runs(), mark: processor.next.mark() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.mark == 0
    }

    /// Whether the same goroutine is still next behind the same one that executes.
    pub(crate) fn is_stuck(&self, processor: &Processor) -> bool {
        self.mark != 0 && self.mark == processor.next.mark() && self.runs == processor.runs()
    }

    pub(crate) fn mark(&self) -> usize {
        self.mark
    }
}

/// Waits a moment, see `PAUSE_TURNS`.
pub(crate) fn pause() {
    for _ in 0..PAUSE_TURNS {
        hint::spin_loop();
    }
}
