//! The stacks that a processor keeps: those at hand for who starts next, and the right to some that are yet to be made.

use super::Core;
use crate::goroutine::Runnable;
use crate::goroutine::seed::Seeds;
use crate::overflow::fatal;
use crate::stack::{self, Class, Stack, StackError};
use std::mem;

/// Stacks a processor keeps for itself, and how many it gives to the pool at a time.
pub(super) const STACKS_KEPT: usize = 64;
const STACKS_MOVED: usize = 32;

impl Core {
    /// A stack of `class`: no lock and no system call if this processor has one left.
    pub(crate) fn take_stack(&mut self, class: Class) -> Result<Stack, StackError> {
        if class != Class::DEFAULT {
            return stack::acquire(class);
        }
        if let Some(stack) = self.stacks.pop() {
            // Far apart as they are, stacks cost most by their first line: that of the one after the next comes early.
            if let [.., after_next, _] = &*self.stacks {
                after_next.prefetch();
            }
            self.stats().stack_pool_hits.bump();
            return Ok(stack);
        }
        stack::refill(class, &mut self.stacks, &mut self.claims)?;
        Ok(self.stacks.pop().expect("a refill adds at least one"))
    }

    /// Whether a goroutine may start as a seed: then there is room for it, and the right to a stack is its own. It is to have a
    /// stack at once if one is at hand, or since it cannot be a seed.
    #[inline(always)]
    pub(crate) fn reserve_for_seed(&mut self) -> bool {
        self.stacks.is_empty() && self.reserve()
    }

    #[inline(never)]
    fn reserve(&mut self) -> bool {
        // First, since where address space is short a stack is worth more than places for seeds.
        if self.claims == 0 {
            self.claims = stack::claim();
        }
        if self.claims == 0 || !self.seeds.has_room() {
            return false;
        }
        self.claims -= 1;
        true
    }

    /// Gives a seed, which is to run, its stack.
    pub(crate) fn sprout(&mut self, seed: Runnable) -> Runnable {
        // The seed's.
        self.claims += 1;
        if self.claims > STACKS_KEPT {
            stack::unclaim(STACKS_MOVED);
            self.claims -= STACKS_MOVED;
        }
        match self.take_stack(Class::DEFAULT) {
            Ok(stack) => seed.sprout(stack, &mut self.seeds),
            Err(error) => fatal(format_args!("goroutine {} cannot begin: {error}", seed.id())),
        }
    }

    /// Takes the stack of a goroutine that has ended.
    pub(crate) fn keep_stack(&mut self, stack: Stack) {
        let class = stack.class();
        if class != Class::DEFAULT {
            stack::release(class, [stack]);
            return;
        }
        if self.stacks.len() >= STACKS_KEPT {
            stack::release(class, self.stacks.drain(..STACKS_MOVED));
        }
        self.stacks.push(stack);
    }

    /// Gives all stacks to the pool, and the places of seeds to the others.
    pub(crate) fn release_stacks(&mut self) {
        stack::release(Class::DEFAULT, self.stacks.drain(..));
        stack::unclaim(mem::take(&mut self.claims));
        self.seeds = Seeds::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Body;
    use crate::fiber::Suspend;
    use crate::goroutine::Birth;
    use crate::os::BATCH;
    use crate::packet::packet;
    use crate::runtime::Runtime;
    use std::panic::Location;

    #[test]
    fn a_seed_takes_a_claim_with_it_and_leaves_it_where_it_sprouts() {
        let runtime = Runtime::new(1).unwrap();
        let mut core = runtime.new_cores(1).next().unwrap();
        let mut seeds = Vec::new();
        // None where a guard may be refused.
        while seeds.len() < 100 && core.reserve_for_seed() {
            let birth = Birth { id: 1, site: Location::caller(), pinned: false };
            let before = core.claims;
            seeds.push(core.seeds.sow(birth, &runtime, Body::new(|| (), packet().0)));
            assert_eq!(core.claims, before);
        }
        let sown = seeds.len();
        assert!((core.claims + sown).is_multiple_of(BATCH), "whole batches were claimed");
        for seed in seeds {
            let (before, stack) = (core.claims, stack::acquire(Class::DEFAULT).unwrap());
            core.keep_stack(stack);
            let mut grown = core.sprout(seed);
            let after = if before == STACKS_KEPT { before + 1 - STACKS_MOVED } else { before + 1 };
            assert_eq!(core.claims, after);
            assert_eq!(grown.resume(), Suspend::End);
            stack::release(Class::DEFAULT, [grown.end()]);
        }
        core.release_stacks();
        assert_eq!(core.claims, 0);
        std::mem::forget(runtime);
    }
}
