//! The stacks that a processor keeps: those at hand for who starts next, and addresses of some that no one was on.

use super::Core;
use crate::goroutine::Runnable;
use crate::goroutine::seed::Seeds;
use crate::overflow::fatal;
use crate::stack::{self, Class, Stack, StackError};

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
        stack::refill(class, &mut self.stacks, &mut self.untouched)?;
        Ok(self.stacks.pop().expect("a refill adds at least one"))
    }

    /// The address of a stack for a seed, for which there is room then; `None` if the goroutine is to have a stack at once: one
    /// that is at hand, or since it cannot be a seed.
    #[inline(always)]
    pub(crate) fn reserve_for_seed(&mut self) -> Option<Stack> {
        if self.stacks.is_empty() { self.reserve() } else { None }
    }

    #[inline(never)]
    fn reserve(&mut self) -> Option<Stack> {
        // First, since where address space is short a stack is worth more than places for seeds.
        if self.untouched.is_empty() {
            stack::reserve(&mut self.untouched);
        }
        if self.untouched.is_empty() || !self.seeds.has_room() {
            return None;
        }
        self.untouched.pop()
    }

    /// Gives a seed, which is to run, its stack.
    pub(crate) fn sprout(&mut self, seed: Runnable) -> Runnable {
        if self.untouched.len() >= STACKS_KEPT {
            stack::unreserve(self.untouched.drain(STACKS_MOVED..));
        }
        self.untouched.push(seed.reserved());
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
        stack::unreserve(self.untouched.drain(..));
        self.seeds = Seeds::default();
    }
}
