//! What comes next, and what a goroutine that leaves may do itself: go to the next one, and queue one where that is all to be done. See `direct.rs`.
//!
//! The worker says, when it lets one run, how many may follow each other, so that each asks for one number only.

use super::{Core, GLANCE_NS, NEXT_RUNS};
use crate::goroutine::Runnable;
use crate::runtime::Runtime;
use crate::trace;

impl Core {
    /// Whoever was queued to run next, unless it was so too often in a row: then it goes to the end.
    #[inline(always)]
    pub(crate) fn take_next(&mut self, runtime: &Runtime) -> Option<Runnable> {
        let next = self.queue.take_next()?;
        if self.next_runs < NEXT_RUNS {
            self.next_runs += 1;
            return Some(next);
        }
        self.put_last(runtime, next);
        None
    }

    /// Whether the goroutine that leaves may go to the next one itself (`direct.rs`). Else the worker has something to do.
    #[inline(always)]
    pub(crate) fn may_go_directly(&mut self, runtime: &Runtime) -> bool {
        (self.direct_left > 0 || self.renew_direct(runtime)) && self.is_of(runtime.generation())
    }

    /// A grant is used up: if all that is to be done is to read the clock, and that says that no more is, there is another one.
    #[cold]
    fn renew_direct(&mut self, runtime: &Runtime) -> bool {
        if self.traced_left > 0 {
            return false;
        }
        let ends_by_clock = self.direct > 0 && self.clock_runs + self.direct >= self.clock_every;
        if !ends_by_clock || self.until_run - self.direct <= 1 {
            return false;
        }
        self.settle_direct();
        let now_ns = self.now_ns(runtime);
        if now_ns.saturating_sub(self.glanced_ns) >= GLANCE_NS {
            return false;
        }
        self.looked_at_clock(now_ns);
        self.grant_direct(true);
        self.direct_left > 0
    }

    /// Who runs next, if that one may be gone to directly; else the worker finds all as it would.
    #[inline(always)]
    pub(crate) fn take_directly(&mut self, runtime: &Runtime) -> Option<Runnable> {
        if let Some(next) = self.take_next(runtime) {
            let next = match self.ready_to_go(next) {
                Ok(next) => next,
                Err(not_yet) => {
                    self.next_runs -= 1;
                    self.queue.put_next(not_yet);
                    return None;
                }
            };
            self.begin_direct(&next, false);
            return Some(next);
        }
        let first = self.queue.pop_usual()?;
        let first = self.ready_to_go(first).map_err(|not_yet| self.put_first(runtime, not_yet)).ok()?;
        self.begin_direct(&first, true);
        Some(first)
    }

    /// `runnable`, which may be gone to: on a stack that it has left, and not tied to a thread. Else gives it back; also one for which a stack must
    /// be made first, which takes more room than may be left on the one that is left.
    #[inline(always)]
    fn ready_to_go(&mut self, runnable: Runnable) -> Result<Runnable, Runnable> {
        if runnable.ties.is_free() {
            return Ok(runnable);
        }
        if runnable.is_seed() && !self.stacks.is_empty() { Ok(self.sprout(runnable)) } else { Err(runnable) }
    }

    /// Queues `runnable` at the end, and says who runs next, as `take_directly`; gives it back if that is not all to be done.
    #[inline(always)]
    pub(crate) fn rotate_directly(&mut self, runnable: Runnable) -> Result<Runnable, Runnable> {
        if !self.can_queue_plainly() {
            return Err(runnable);
        }
        let first = self.queue.rotate(runnable)?;
        self.until_latency -= 1;
        self.begin_direct(&first, true);
        Ok(first)
    }

    /// Notes that `runnable` executes after the one before left directly, maybe in a slice of its own (as `begin_slice`, but no one
    /// here has used up one before).
    #[inline(always)]
    fn begin_direct(&mut self, runnable: &Runnable, in_own_slice: bool) {
        self.direct_left -= 1;
        let processor = &*self.processor;
        if in_own_slice {
            self.next_runs = 0;
            processor.bump_slices();
            processor.wish.forget();
        }
        processor.bump_runs();
        processor.set_running(runnable.id());
    }

    /// The worker lets a goroutine run: says how many may follow before it has to do something in between, because the clock
    /// is to be looked at, this run or that one is measured, or others than the queue's first have their turn.
    pub(crate) fn grant_direct(&mut self, is_allowed: bool) {
        debug_assert_eq!(self.direct, 0, "the grant before is settled");
        let is_plain = is_allowed
            && self.run_began_ns == 0
            && !self.must_release
            && !self.turn.is_now
            && !self.processor.is_used_up()
            && self.processor.urgent.is_empty();
        if is_plain {
            let until_clock = self.clock_every.saturating_sub(self.clock_runs);
            self.direct = until_clock.min(self.until_run - 1);
            self.direct_left = self.direct;
            if trace::is_on() {
                std::mem::swap(&mut self.direct_left, &mut self.traced_left);
            }
        }
    }

    /// What `take` finds with a grant for traced goroutines, if there is one: `may_go_directly` said no.
    pub(crate) fn with_traced_grant<R>(
        &mut self,
        runtime: &Runtime,
        take: impl FnOnce(&mut Self) -> Option<R>,
    ) -> Option<R> {
        if self.traced_left == 0 || !self.is_of(runtime.generation()) {
            return None;
        }
        std::mem::swap(&mut self.direct_left, &mut self.traced_left);
        let taken = take(self);
        std::mem::swap(&mut self.direct_left, &mut self.traced_left);
        taken
    }

    /// The worker has its processor back: those that followed each other count as any.
    pub(crate) fn settle_direct(&mut self) {
        let ran = self.direct - self.direct_left - self.traced_left;
        if ran > 0 {
            self.urgent_runs = 0;
        }
        self.clock_runs += ran;
        self.until_run -= ran;
        (self.direct, self.direct_left, self.traced_left) = (0, 0, 0);
    }

    /// Whether nothing more need be done for a goroutine than queue it: no latency is measured, and no other worker may help.
    #[inline(always)]
    pub(crate) fn can_queue_plainly(&self) -> bool {
        self.queue.is_private() && self.until_latency > 1
    }

    /// Whether nothing more need be done for a goroutine that is to run next; and no one is to make way for it.
    #[inline(always)]
    pub(crate) fn can_put_next_plainly(&self) -> bool {
        self.can_queue_plainly() && self.queue.has_no_private_next()
    }

    /// As `put_next`, where that is all to be done.
    #[inline(always)]
    pub(crate) fn put_next_plainly(&mut self, runnable: Runnable) {
        self.until_latency -= 1;
        let kicked = self.queue.put_next(runnable);
        debug_assert!(kicked.is_none(), "no one was to run next");
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::Arc;
    use crate::processor::Processor;

    #[test]
    fn what_is_left_of_a_grant_does_not_count_as_run() {
        let (processor, ends) = Processor::new(0);
        let mut core = Core::new(Arc::new(processor), ends);
        for (direct_left, traced_left) in [(3, 0), (0, 3)] {
            let (clock_runs, until_run) = (core.clock_runs, core.until_run);
            (core.direct, core.direct_left, core.traced_left) = (5, direct_left, traced_left);
            // Once.
            (0..2).for_each(|_| core.settle_direct());
            assert_eq!((core.clock_runs, core.until_run), (clock_runs + 2, until_run - 2));
        }
    }
}
