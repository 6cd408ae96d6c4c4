//! Waiting for the first of several channel operations: what `select!` expands to.
//!
//! 1. **Try** every arm once, in random order. The first that can go on at once is the answer.
//! 2. **Queue** in every channel, in the order of their addresses, one seat an arm, all with one shared `Claim`. Under
//!    each channel's lock, look again: if the arm has become ready, withdraw the claim, leave all queues and start
//!    again. Each arm holds its seat in its own frame and calls the next arm from there, so nothing is allocated.
//! 3. **Park.** A counterpart that comes to one of the channels claims the select for that arm, with one compare-and-swap,
//!    and completes the arm in the same critical section; for every other counterpart the select is not there any
//!    more. The deadline withdraws the claim by the same compare-and-swap.
//! 4. **Leave** all queues: with the outcome from the arm that was claimed, with the unsent value from the others.
//!
//! *No wake-up is lost.* An arm is looked at and queued in one critical section. Whoever makes it ready later finds
//! the seat, and claims the select, unless it is decided already.
//!
//! *Two selects that are each other's counterpart* never both withdraw for ever. A select withdraws at some channel
//! because another, open, is already queued there. In the order of addresses that other one is past this channel, so
//! what it withdraws for, if it does, is at a higher address; the last of such a chain cannot withdraw: it parks, or has
//! been claimed. So each round of withdrawals leaves one select that the next try can claim.
//!
//! Locking all channels at once, as Go does, was rejected: it needs raw locks of different types held together, and a
//! second look costs less than that.

use std::cell::Cell;
use std::panic::Location;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::chan::channel::{Channel, earlier, received, unsent};
use crate::chan::dice::shuffle;
use crate::chan::error::{RecvError, SendError, TryRecvError, TrySendError};
use crate::chan::receiver::Receiver;
use crate::chan::sender::Sender;
use crate::chan::state::{Place, RECEIVERS, SENDERS};
use crate::park::{WaitReason, Waiter, park, park_until};
use crate::sync::claim::Claim;
use crate::sync::line::{End, Rank};
use crate::trace::{self, Op, Site};

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
    /// Queues as arm `index`, has `others` queue and wait, leaves the queue and keeps what came of it. The result is that
    /// of `others`; if the operation need not wait, it does not queue, and the result is that of `give_up`.
    fn stand(&mut self, wait: &Wait, index: usize, others: &mut dyn FnMut() -> Waited) -> Waited;
}

/// What the arms of a waiting select share.
#[derive(Debug)]
pub struct Wait {
    waiter: Waiter,
    claim: Claim,
    deadline: Option<Instant>,
    /// When one of the channels will have a value by itself.
    alarm_at: Cell<Option<Instant>>,
}

/// How a wait went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Waited {
    /// An arm was claimed, or the deadline has passed.
    Decided,
    /// Neither, and no arm can be claimed any more: try again.
    Again,
}

/// An arm that receives.
#[derive(Debug)]
pub struct RecvArm<'a, T> {
    channel: &'a Channel<T>,
    outcome: Option<Result<T, RecvError>>,
}

/// An arm that sends.
#[derive(Debug)]
pub struct SendArm<'a, T> {
    channel: &'a Channel<T>,
    /// The value while it is here: not in the queue, not sent.
    value: Option<T>,
    outcome: Option<Result<(), SendError<T>>>,
}

impl<'a, T> RecvArm<'a, T> {
    /// Receives from `receiver`.
    #[inline]
    pub fn new(receiver: &'a Receiver<T>) -> Self {
        Self { channel: receiver.channel(), outcome: None }
    }

    /// The result, if this is the arm that was chosen.
    #[inline]
    #[track_caller]
    pub fn into_outcome(self) -> Option<Result<T, RecvError>> {
        match self.outcome {
            Some(Ok(_)) => self.channel.note(Op::Receive, Location::caller()),
            Some(Err(RecvError)) => self.channel.note(Op::ReceiveClosed, Location::caller()),
            None => {}
        }
        self.outcome
    }
}

impl<'a, T> SendArm<'a, T> {
    /// Sends `value` to `sender`.
    #[inline]
    pub fn new(sender: &'a Sender<T>, value: T) -> Self {
        Self { channel: sender.channel(), value: Some(value), outcome: None }
    }

    /// The result, if this is the arm that was chosen; otherwise the value is dropped.
    #[inline]
    #[track_caller]
    pub fn into_outcome(self) -> Option<Result<(), SendError<T>>> {
        if let Some(Ok(())) = self.outcome {
            self.channel.note(Op::Send, Location::caller());
        }
        self.outcome
    }
}

impl<T> Arm for RecvArm<'_, T> {
    fn address(&self) -> usize {
        self.channel.address()
    }

    fn attempt(&mut self) -> bool {
        self.outcome = match self.channel.try_recv() {
            Ok(value) => Some(Ok(value)),
            Err(TryRecvError::Closed) => Some(Err(RecvError)),
            Err(TryRecvError::Empty) => None,
        };
        self.outcome.is_some()
    }

    fn stand(&mut self, wait: &Wait, index: usize, others: &mut dyn FnMut() -> Waited) -> Waited {
        let turn = self.channel.lock();
        if turn.is_ready(RECEIVERS, &wait.claim) {
            drop(turn);
            return wait.give_up();
        }
        wait.note_alarm(turn.alarm_at());
        let mut seat = pin!(Place::of_arm(self.channel.moves(), RECEIVERS, wait.arm(index), None));
        seat.as_mut().sit(turn, Rank::Last);
        let waited = others();
        self.outcome = seat.leave().map(|end| match end {
            End::Served => Ok(received(seat.as_mut().note())),
            End::Refused => Err(RecvError),
        });
        waited
    }
}

impl<T> Arm for SendArm<'_, T> {
    fn address(&self) -> usize {
        self.channel.address()
    }

    fn attempt(&mut self) -> bool {
        self.outcome = match self.channel.try_send(unsent(&mut self.value)) {
            Ok(()) => Some(Ok(())),
            Err(TrySendError::Closed(value)) => Some(Err(SendError(value))),
            Err(TrySendError::Full(value)) => {
                self.value = Some(value);
                None
            }
        };
        self.outcome.is_some()
    }

    fn stand(&mut self, wait: &Wait, index: usize, others: &mut dyn FnMut() -> Waited) -> Waited {
        let turn = self.channel.lock();
        if turn.is_ready(SENDERS, &wait.claim) {
            drop(turn);
            return wait.give_up();
        }
        let value = self.value.take();
        let mut seat = pin!(Place::of_arm(self.channel.moves(), SENDERS, wait.arm(index), value));
        seat.as_mut().sit(turn, Rank::Last);
        let waited = others();
        match seat.leave() {
            Some(End::Served) => self.outcome = Some(Ok(())),
            Some(End::Refused) => self.outcome = Some(Err(SendError(unsent(seat.as_mut().note())))),
            None => self.value = seat.as_mut().note().take(),
        }
        waited
    }
}

impl Wait {
    fn new(deadline: Option<Instant>) -> Self {
        Self { waiter: Waiter::current(), claim: Claim::new(), deadline, alarm_at: Cell::new(None) }
    }

    /// What the seat of arm `index` is made of.
    fn arm(&self, index: usize) -> (Waiter, &Claim, usize) {
        (self.waiter, &self.claim, index)
    }

    fn note_alarm(&self, alarm_at: Option<Instant>) {
        self.alarm_at.set(earlier(self.alarm_at.get(), alarm_at));
    }

    /// Waits no more. If an arm was claimed before that is the answer.
    fn give_up(&self) -> Waited {
        if self.claim.withdraw() { Waited::Again } else { Waited::Decided }
    }

    /// Parks until an arm has been claimed, the deadline has passed, or an alarm is due, which the next attempt delivers.
    fn park(&self, object: usize) -> Waited {
        while !self.claim.is_won() {
            let Some(wake_at) = earlier(self.deadline, self.alarm_at.get()) else {
                park(WaitReason::Select, object);
                continue;
            };
            park_until(WaitReason::Select, object, wake_at);
            let now = Instant::now();
            if self.deadline.is_some_and(|deadline| now >= deadline) {
                // Withdrawn now or claimed before: decided either way.
                let _ = self.give_up();
                return Waited::Decided;
            }
            if now >= wake_at {
                return self.give_up();
            }
        }
        Waited::Decided
    }
}

/// Completes one of `arms`, which then has an outcome, or none if patience ends first.
#[track_caller]
pub fn select(arms: &mut [&mut dyn Arm], patience: Patience) {
    let site = Location::caller();
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
        if wait(arms, deadline, site) == Waited::Decided {
            return;
        }
    }
}

/// Queues everywhere and parks until an arm is claimed or the deadline passes.
#[inline(never)]
fn wait(arms: &mut [&mut dyn Arm], deadline: Option<Instant>, site: Site) -> Waited {
    arms.sort_unstable_by_key(|arm| arm.address());
    let object = arms.first().map_or(0, |arm| arm.address());
    trace::note_call(object, site);
    stand(arms, 0, &Wait::new(deadline), object)
}

/// Queues `arms`, the first of which is number `index`, and parks.
fn stand(arms: &mut [&mut dyn Arm], index: usize, wait: &Wait, object: usize) -> Waited {
    match arms.split_first_mut() {
        Some((arm, others)) => arm.stand(wait, index, &mut || stand(others, index + 1, wait, object)),
        None => wait.park(object),
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

        fn stand(&mut self, wait: &Wait, _: usize, others: &mut dyn FnMut() -> Waited) -> Waited {
            if self.is_early {
                self.sender.try_send(1).expect("room");
                return wait.give_up();
            }
            self.sender.try_send(2).expect("room");
            others()
        }
    }

    #[test]
    fn an_arm_that_is_ready_when_it_queues_starts_the_select_again() {
        let ((tx, rx), (idle_tx, idle)) = (chan(1), chan::<u8>(0));
        tx.send(5).unwrap();
        let (mut ready, mut waits) = (RecvArm::new(&rx), RecvArm::new(&idle));
        assert_eq!(
            wait(&mut [&mut ready, &mut waits], Some(Instant::now()), Location::caller()),
            Waited::Again
        );
        // Nobody is left in the queues.
        assert!(idle_tx.try_send(1).is_err());
        assert!(ready.attempt() && ready.into_outcome() == Some(Ok(5)) && waits.into_outcome().is_none());
    }

    #[test]
    fn an_arm_claimed_before_another_is_found_ready_is_the_answer() {
        let ((tx, rx), (_tx, idle)) = (chan(0), chan::<u8>(0));
        let (mut arm, mut other) = (RecvArm::new(&rx), RecvArm::new(&idle));
        let mut meddler = Meddler { sender: &tx, is_early: true };
        assert_eq!(
            wait(&mut [&mut arm, &mut meddler, &mut other], None, Location::caller()),
            Waited::Decided
        );
        assert_eq!((arm.into_outcome(), other.into_outcome()), (Some(Ok(1)), None));
    }

    #[test]
    fn an_arm_claimed_before_the_deadline_is_seen_is_the_answer() {
        let (tx, rx) = chan(0);
        let mut arm = RecvArm::new(&rx);
        let mut meddler = Meddler { sender: &tx, is_early: false };
        assert_eq!(
            wait(&mut [&mut arm, &mut meddler], Some(Instant::now()), Location::caller()),
            Waited::Decided
        );
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
