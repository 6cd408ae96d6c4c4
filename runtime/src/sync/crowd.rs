//! Waiters that may go on and do not know it yet.

use crate::park::Waiter;

/// How many fit without memory of their own. Guess: most locks and channels have fewer waiters than that.
const FEW: usize = 6;

/// A waiter that has been granted what it waits for: to be unparked once the section is left.
#[derive(Debug)]
#[must_use = "the waiter sleeps until it is unparked"]
pub(crate) struct Granted(pub(super) Waiter);

impl Granted {
    #[inline]
    pub(crate) fn unpark(self) {
        self.0.unpark();
    }
}

/// Unparks who was granted, if anyone was.
#[inline]
pub(crate) fn unpark(granted: Option<Granted>) {
    if let Some(granted) = granted {
        granted.unpark();
    }
}

/// Any number of them, in order.
#[derive(Debug)]
#[must_use = "the waiters sleep until they are unparked"]
pub(crate) struct Crowd {
    few: [Option<Granted>; FEW],
    count: usize,
    more: Vec<Granted>,
}

impl Crowd {
    pub(crate) const fn new() -> Self {
        Self { few: [const { None }; FEW], count: 0, more: Vec::new() }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn push(&mut self, granted: Granted) {
        match self.few.get_mut(self.count) {
            Some(place) => *place = Some(granted),
            None => self.more.push(granted),
        }
        self.count += 1;
    }

    /// Unparks them in the order they came.
    pub(crate) fn unpark(self) {
        self.few.into_iter().take(self.count).flatten().chain(self.more).for_each(Granted::unpark);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_kept_until_unparked() {
        for count in [0, 1, FEW, FEW + 3] {
            let mut crowd = Crowd::new();
            (0..count).for_each(|_| crowd.push(Granted(Waiter::current())));
            assert_eq!(crowd.count, count);
            crowd.unpark();
        }
        // The token that this left must not end another test's wait on this thread.
        crate::park::park(crate::park::WaitReason::Join, 0);
    }
}
