//! Waiting for the first of several channel operations: what `select!` expands to.
//!
//! 1. **Try** every arm once, in random order. The first that can go on at once is the answer.
//! 2. **Queue** in every channel, in the order of their addresses, one entry an arm, all with one shared `Claim`. Under
//!    each channel's lock, look again: if the arm has become ready, withdraw the claim, leave all queues and start
//!    again.
//! 3. **Park.** A counterpart that comes to one of the channels claims the select for that arm, with one compare-and-swap,
//!    and completes the arm in the same critical section; for every other counterpart the select is not there any
//!    more. The deadline withdraws the claim by the same compare-and-swap.
//! 4. **Leave** all queues: with the outcome from the arm that was claimed, with the unsent value from the others.
//!
//! *No wake-up is lost.* An arm is looked at and queued in one critical section. Whoever makes it ready later finds
//! the entry, and claims the select, unless it is decided already.
//!
//! *Two selects that are each other's counterpart* never both withdraw for ever. A select withdraws at some channel
//! because another, open, is already queued there. In the order of addresses that other one is past this channel, so
//! what it withdraws for, if it does, is at a higher address; the last of such a chain cannot withdraw: it parks, or has
//! been claimed. So each round of withdrawals leaves one select that the next try can claim.
//!
//! Locking all channels at once, as Go does, was rejected: it needs raw locks of different types held together, and a
//! second look costs less than that.

use crate::primitives::Arc;
use std::time::{Duration, Instant};

use crate::chan::channel::{Channel, earlier, received, sent, unpark_all};
use crate::chan::claim::{Claim, Party};
use crate::chan::dice::shuffle;
use crate::chan::error::{RecvError, SendError};
use crate::chan::receiver::Receiver;
use crate::chan::sender::Sender;
use crate::chan::state::{Ended, Offered, Side, Took};
use crate::park::{WaitReason, Waiter, park, park_until};
use crate::sync::wait_list::Key;

/// How long a select waits for an arm.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Not at all: there is a `default`.
    Never,
    /// As long as its `timeout` says.
    For(Duration),
    /// Until an arm is ready.
    Forever,
}

/// One operation of a select, of whatever type.
pub trait Arm {
    /// Where the arm stands in the order of channels.
    fn address(&self) -> usize;
    /// Completes the operation if it need not wait.
    fn attempt(&mut self) -> bool;
    /// Queues as arm `index` of `claim`; false, and not queued, if the operation need not wait.
    fn queue(&mut self, claim: &Enrolment, index: usize) -> bool;
    /// Leaves the queue, if queued, and keeps what came of it.
    fn leave(&mut self);
    /// When the channel will have a value by itself.
    fn alarm_at(&self) -> Option<Instant>;
}

/// The claim of a waiting select, as its arms see it.
#[derive(Debug)]
pub struct Enrolment(Arc<Claim>);

/// An arm that receives.
#[derive(Debug)]
pub struct RecvArm<'a, T> {
    channel: &'a Channel<T>,
    key: Option<Key>,
    outcome: Option<Result<T, RecvError>>,
}

/// An arm that sends.
#[derive(Debug)]
pub struct SendArm<'a, T> {
    channel: &'a Channel<T>,
    /// The value while it is here: not in the queue, not sent.
    value: Option<T>,
    key: Option<Key>,
    outcome: Option<Result<(), SendError<T>>>,
}

impl<'a, T> RecvArm<'a, T> {
    /// Receives from `receiver`.
    pub fn new(receiver: &'a Receiver<T>) -> Self {
        Self { channel: receiver.channel(), key: None, outcome: None }
    }

    /// The result, if this is the arm that was chosen.
    pub fn into_outcome(self) -> Option<Result<T, RecvError>> {
        self.outcome
    }
}

impl<'a, T> SendArm<'a, T> {
    /// Sends `value` to `sender`.
    pub fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self { channel: sender.channel(), value: Some(value), key: None, outcome: None }
    }

    /// The result, if this is the arm that was chosen; otherwise the value is dropped.
    pub fn into_outcome(self) -> Option<Result<(), SendError<T>>> {
        self.outcome
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn address(&self) -> usize {
        self.channel.address()
    }

    fn attempt(&mut self) -> bool {
        let took = self.channel.lock().take();
        self.outcome = match took {
            Took::Value(value, sender) => {
                unpark_all(sender);
                Some(Ok(value))
            }
            Took::Closed => Some(Err(RecvError)),
            Took::Empty => None,
        };
        self.outcome.is_some()
    }

    fn queue(&mut self, Enrolment(claim): &Enrolment, index: usize) -> bool {
        let mut state = self.channel.lock();
        let may_queue = !state.is_ready(Side::Recv, claim);
        if may_queue {
            self.key = Some(state.queue(Party::Arm(Arc::clone(claim), index), Side::Recv, None));
        }
        may_queue
    }

    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let ended = self.channel.lock().leave(Side::Recv, key);
        if !matches!(ended, Ended::Left(_)) {
            self.outcome = Some(received(ended).or(Err(RecvError)));
        }
    }

    fn alarm_at(&self) -> Option<Instant> {
        self.channel.lock().alarm_at()
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn address(&self) -> usize {
        self.channel.address()
    }

    fn attempt(&mut self) -> bool {
        let value = self.value.take().expect("the value is here between attempts");
        let offered = self.channel.lock().offer(value);
        self.outcome = match offered {
            Offered::Taken(receiver) => {
                unpark_all(receiver);
                Some(Ok(()))
            }
            Offered::Closed(value) => Some(Err(SendError(value))),
            Offered::Full(value) => {
                self.value = Some(value);
                None
            }
        };
        self.outcome.is_some()
    }

    fn queue(&mut self, Enrolment(claim): &Enrolment, index: usize) -> bool {
        let mut state = self.channel.lock();
        let may_queue = !state.is_ready(Side::Send, claim);
        if may_queue {
            let party = Party::Arm(Arc::clone(claim), index);
            self.key = Some(state.queue(party, Side::Send, self.value.take()));
        }
        may_queue
    }

    fn leave(&mut self) {
        let Some(key) = self.key.take() else { return };
        let ended = self.channel.lock().leave(Side::Send, key);
        match ended {
            Ended::Left(value) => self.value = value,
            ended => self.outcome = Some(sent(ended)),
        }
    }

    fn alarm_at(&self) -> Option<Instant> {
        self.channel.lock().alarm_at()
    }
}

/// Completes one of `arms`, which then has an outcome, or none if patience ends first.
pub fn select(arms: &mut [&mut dyn Arm], patience: Patience) {
    let deadline = match patience {
        // A deadline past the end of the clock is none.
        Patience::For(timeout) => Instant::now().checked_add(timeout),
        Patience::Never | Patience::Forever => None,
    };
    loop {
        shuffle(arms);
        if arms.iter_mut().any(|arm| arm.attempt()) || matches!(patience, Patience::Never) {
            return;
        }
        if wait(arms, deadline) {
            return;
        }
    }
}

/// Queues everywhere and parks until an arm is claimed or the deadline passes. False: an arm has become ready while
/// queueing, try again.
fn wait(arms: &mut [&mut dyn Arm], deadline: Option<Instant>) -> bool {
    arms.sort_unstable_by_key(|arm| arm.address());
    let enrolment = Enrolment(Arc::new(Claim::new(Waiter::current())));
    let claim = &enrolment.0;
    let are_queued = arms.iter_mut().enumerate().all(|(index, arm)| arm.queue(&enrolment, index));
    let is_decided = if are_queued {
        park_until_claimed(arms, claim, deadline);
        true
    } else {
        // An arm that was queued before may have been claimed meanwhile; then that is the answer.
        claim.withdraw().is_err()
    };
    arms.iter_mut().for_each(|arm| arm.leave());
    is_decided
}

/// Parks until an arm of `claim` has been claimed, or withdraws it at the deadline.
fn park_until_claimed(arms: &[&mut dyn Arm], claim: &Claim, deadline: Option<Instant>) {
    let object = arms.first().map_or(0, |arm| arm.address());
    while claim.winner().is_none() {
        // Looking for alarms also delivers those that are due, perhaps to one of these arms.
        let alarm_at = arms.iter().fold(None, |first, arm| earlier(first, arm.alarm_at()));
        if claim.winner().is_some() {
            return;
        }
        match earlier(deadline, alarm_at) {
            None => park(WaitReason::Select, object),
            Some(wake_at) => park_until(WaitReason::Select, object, wake_at),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            // Withdrawn now or claimed before: decided either way.
            let _ = claim.withdraw();
            return;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::chan::chan;

    /// An arm behind all others that sends to a channel at the worst moment and is never chosen.
    struct Meddler<'a> {
        sender: &'a Sender<u8>,
        /// In between the others queueing and this one, which then claims to be ready, or when all have queued.
        is_early: bool,
    }

    impl Arm for Meddler<'_> {
        fn address(&self) -> usize {
            usize::MAX
        }

        fn attempt(&mut self) -> bool {
            false
        }

        fn queue(&mut self, _: &Enrolment, _: usize) -> bool {
            if self.is_early {
                self.sender.try_send(1).unwrap();
            }
            !self.is_early
        }

        fn leave(&mut self) {}

        fn alarm_at(&self) -> Option<Instant> {
            if !self.is_early {
                self.sender.try_send(2).unwrap();
            }
            None
        }
    }

    #[test]
    fn an_arm_that_is_ready_when_it_queues_starts_the_select_again() {
        let ((tx, rx), (idle_tx, idle)) = (chan(1), chan::<u8>(0));
        tx.send(5).unwrap();
        let (mut ready, mut waits) = (RecvArm::new(&rx), RecvArm::new(&idle));
        assert!(!wait(&mut [&mut ready, &mut waits], Some(Instant::now())));
        // Nobody is left in the queues.
        assert!(idle_tx.try_send(1).is_err());
        assert!(ready.attempt() && ready.into_outcome() == Some(Ok(5)) && waits.into_outcome().is_none());
    }

    #[test]
    fn an_arm_claimed_before_another_is_found_ready_is_the_answer() {
        let ((tx, rx), (_tx, idle)) = (chan(0), chan::<u8>(0));
        let (mut arm, mut other) = (RecvArm::new(&rx), RecvArm::new(&idle));
        let mut meddler = Meddler { sender: &tx, is_early: true };
        assert!(wait(&mut [&mut arm, &mut meddler, &mut other], None));
        assert_eq!((arm.into_outcome(), other.into_outcome()), (Some(Ok(1)), None));
    }

    #[test]
    fn an_arm_claimed_before_the_deadline_is_seen_is_the_answer() {
        let (tx, rx) = chan(0);
        let mut arm = RecvArm::new(&rx);
        let mut meddler = Meddler { sender: &tx, is_early: false };
        assert!(wait(&mut [&mut arm, &mut meddler], Some(Instant::now())));
        assert_eq!(arm.into_outcome(), Some(Ok(2)));
    }

    #[test]
    fn a_deadline_gives_the_value_back_and_leaves_nobody_queued() {
        let (tx, rx) = chan::<u8>(0);
        let (mut sends, mut receives) = (SendArm::new(&tx, 3), RecvArm::new(&rx));
        select(&mut [&mut sends, &mut receives], Patience::For(Duration::ZERO));
        assert_eq!(sends.value, Some(3));
        assert!(rx.try_recv().is_err() && tx.try_send(4).is_err());
        assert!(sends.into_outcome().is_none() && receives.into_outcome().is_none());
    }
}
