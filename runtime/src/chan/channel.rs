//! A channel: its state under a lock, and waiting for the state to change.
//!
//! The lock is held for one move of `state` and released before anyone is unparked, anything waits, and any value is
//! dropped.

use crate::primitives::MutexGuard;
use crate::primitives::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use std::time::Instant;

use crate::chan::claim::Party;
use crate::chan::error::{RecvTimeoutError, SendError, TryRecvError, TrySendError};
use crate::chan::state::{Alarm, Ended, Offered, Side, State, Took};
use crate::park::{WaitReason, Waiter, park, park_until};
use crate::sync::critical::Critical;

#[derive(Debug)]
pub(super) struct Channel<T> {
    state: Critical<State<T>>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

impl<T> Channel<T> {
    /// A channel with one sender and one receiver.
    pub(super) fn new(capacity: usize) -> Self {
        Self::with_state(State::new(capacity))
    }

    /// A channel that sends to itself; it has one receiver and no sender.
    pub(super) fn with_alarm(alarm: Alarm<T>) -> Self {
        Self::with_state(State::with_alarm(alarm))
    }

    fn with_state(state: State<T>) -> Self {
        Self { state: Critical::new(state), senders: AtomicUsize::new(1), receivers: AtomicUsize::new(1) }
    }

    /// The state, with an alarm that is due delivered.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<T>> {
        let mut state = self.state.lock();
        if state.alarm_at().is_some() {
            let woken = state.ring(Instant::now());
            if !woken.is_empty() {
                drop(state);
                unpark_all(woken);
                state = self.state.lock();
            }
        }
        state
    }

    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let offered = self.lock().offer(value);
        match offered {
            Offered::Taken(receiver) => {
                unpark_all(receiver);
                Ok(())
            }
            Offered::Full(value) => Err(TrySendError::Full(value)),
            Offered::Closed(value) => Err(TrySendError::Closed(value)),
        }
    }

    pub(super) fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut state = self.lock();
        let value = match state.offer(value) {
            Offered::Taken(receiver) => {
                drop(state);
                unpark_all(receiver);
                return Ok(());
            }
            Offered::Closed(value) => return Err(SendError(value)),
            Offered::Full(value) => value,
        };
        let key = state.queue(Party::Alone(Waiter::current()), Side::Send, Some(value));
        drop(state);
        loop {
            park(WaitReason::ChanSend, self.address());
            let mut state = self.lock();
            if state.has_ended(Side::Send, &key) {
                return sent(state.leave(Side::Send, key));
            }
        }
    }

    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let took = self.lock().take();
        match took {
            Took::Value(value, sender) => {
                unpark_all(sender);
                Ok(value)
            }
            Took::Empty => Err(TryRecvError::Empty),
            Took::Closed => Err(TryRecvError::Closed),
        }
    }

    /// Receives; waits until `deadline` at most, or as long as it takes.
    pub(super) fn recv(&self, deadline: Option<Instant>) -> Result<T, RecvTimeoutError> {
        let mut state = self.lock();
        match state.take() {
            Took::Value(value, sender) => {
                drop(state);
                unpark_all(sender);
                return Ok(value);
            }
            Took::Closed => return Err(RecvTimeoutError::Closed),
            Took::Empty => {}
        }
        let key = state.queue(Party::Alone(Waiter::current()), Side::Recv, None);
        let wake_at = earlier(deadline, state.alarm_at());
        drop(state);
        loop {
            match wake_at {
                None => park(WaitReason::ChanRecv, self.address()),
                Some(wake_at) => park_until(WaitReason::ChanRecv, self.address(), wake_at),
            }
            let is_late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let mut state = self.lock();
            if is_late || state.has_ended(Side::Recv, &key) {
                return received(state.leave(Side::Recv, key));
            }
        }
    }

    /// Closes it for sending; what is buffered can still be received.
    pub(super) fn close(&self) {
        let woken = self.lock().close();
        unpark_all(woken);
    }

    pub(super) fn add_sender(&self) {
        // ORDERING: Relaxed; whoever clones has a sender, so the count cannot reach zero meanwhile.
        self.senders.fetch_add(1, Relaxed);
    }

    /// The last sender closes the channel.
    pub(super) fn drop_sender(&self) {
        // ORDERING: AcqRel; pairs with itself: the last one sees everything that other senders did before they left.
        if self.senders.fetch_sub(1, AcqRel) == 1 {
            self.close();
        }
    }

    pub(super) fn add_receiver(&self) {
        // ORDERING: Relaxed; as in `add_sender`.
        self.receivers.fetch_add(1, Relaxed);
    }

    /// The last receiver closes the channel and drops what is buffered.
    pub(super) fn drop_receiver(&self) {
        // ORDERING: AcqRel; as in `drop_sender`.
        if self.receivers.fetch_sub(1, AcqRel) == 1 {
            let mut state = self.lock();
            let woken = state.close();
            let unreceived = state.drain();
            drop(state);
            unpark_all(woken);
            drop(unreceived);
        }
    }

    /// What reports and traces know the channel by.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// The end of a wait to send.
pub(super) fn sent<T>(ended: Ended<T>) -> Result<(), SendError<T>> {
    match ended {
        Ended::Served(_) => Ok(()),
        Ended::Refused(value) | Ended::Left(value) => {
            Err(SendError(value.expect("a sender's value stays in its entry until it is taken")))
        }
    }
}

/// The end of a wait to receive.
pub(super) fn received<T>(ended: Ended<T>) -> Result<T, RecvTimeoutError> {
    match ended {
        Ended::Served(value) => Ok(value.expect("a receiver is served with a value")),
        Ended::Refused(_) => Err(RecvTimeoutError::Closed),
        Ended::Left(_) => Err(RecvTimeoutError::Timeout),
    }
}

/// The earlier of two deadlines; `None` is never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

pub(super) fn unpark_all(woken: impl IntoIterator<Item = Waiter>) {
    woken.into_iter().for_each(|waiter| waiter.unpark());
}
