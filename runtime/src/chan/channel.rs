//! A channel: its moves under a lock, and waiting for one to become possible.
//!
//! The lock is held for one move and released before anyone is unparked, anything waits, and any value is dropped.

use std::pin::pin;
use std::time::Instant;

use crate::chan::error::{RecvTimeoutError, SendError, TryRecvError, TrySendError};
use crate::chan::state::{Alarm, Move, Moves, Offered, Place, RECEIVERS, SENDERS, State, Took};
use crate::park::{WaitReason, park_until};
use crate::primitives::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Relaxed},
};
use crate::sync::crowd::unpark;
use crate::sync::line::{End, Rank};
use crate::trace::{self, Op, Site};

#[derive(Debug)]
pub(super) struct Channel<T> {
    moves: Moves<T>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// For traces.
    capacity: usize,
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
        let capacity = state.capacity();
        Self {
            moves: Moves::new(state),
            senders: AtomicUsize::new(1),
            receivers: AtomicUsize::new(1),
            capacity,
        }
    }

    /// The right to make a move, with an alarm that is due delivered.
    #[inline]
    pub(super) fn lock(&self) -> Move<'_, T> {
        let turn = self.moves.lock();
        if turn.alarm_at().is_some() { self.ring(turn) } else { turn }
    }

    #[cold]
    fn ring<'l>(&'l self, mut turn: Move<'l, T>) -> Move<'l, T> {
        let Some(woken) = turn.ring(Instant::now()) else { return turn };
        drop(turn);
        woken.unpark();
        self.moves.lock()
    }

    /// Its line, for seats in it.
    pub(super) fn moves(&self) -> &Moves<T> {
        &self.moves
    }

    #[inline]
    pub(super) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let offered = self.lock().offer(value);
        match offered {
            Offered::Taken(receiver) => {
                unpark(receiver);
                Ok(())
            }
            Offered::Full(value) => Err(TrySendError::Full(value)),
            Offered::Closed(value) => Err(TrySendError::Closed(value)),
        }
    }

    #[inline(always)]
    pub(super) fn send(&self, value: T, site: Site) -> Result<(), SendError<T>> {
        let mut turn = self.lock();
        match turn.offer(value) {
            Offered::Taken(receiver) => {
                drop(turn);
                unpark(receiver);
                Ok(())
            }
            Offered::Closed(value) => Err(SendError(value)),
            Offered::Full(value) => self.wait_to_send(turn, value, site),
        }
    }

    #[inline(always)]
    fn wait_to_send(&self, turn: Move<'_, T>, value: T, site: Site) -> Result<(), SendError<T>> {
        let why = (WaitReason::ChanSend, self.address());
        trace::note_call(self.address(), site);
        let mut seat = pin!(Place::to_stay(&self.moves, SENDERS, Some(value), why));
        seat.as_mut().sit(turn, Rank::Last);
        match seat.stay(why) {
            End::Served => Ok(()),
            End::Refused => Err(SendError(unsent(seat.as_mut().note()))),
        }
    }

    #[inline]
    pub(super) fn try_recv(&self) -> Result<T, TryRecvError> {
        let took = self.lock().take();
        match took {
            Took::Value(value, sender) => {
                unpark(sender);
                Ok(value)
            }
            Took::Empty => Err(TryRecvError::Empty),
            Took::Closed => Err(TryRecvError::Closed),
        }
    }

    /// Receives; waits until `deadline` at most, or as long as it takes.
    #[inline(always)]
    pub(super) fn recv(&self, deadline: Option<Instant>, site: Site) -> Result<T, RecvTimeoutError> {
        let mut turn = self.lock();
        match turn.take() {
            Took::Value(value, sender) => {
                drop(turn);
                unpark(sender);
                Ok(value)
            }
            Took::Closed => Err(RecvTimeoutError::Closed),
            Took::Empty => match earlier(deadline, turn.alarm_at()) {
                None => self.wait_to_recv(turn, site),
                Some(wake_at) => self.wait_to_recv_until(turn, deadline, wake_at, site),
            },
        }
    }

    #[inline(always)]
    fn wait_to_recv(&self, turn: Move<'_, T>, site: Site) -> Result<T, RecvTimeoutError> {
        let why = (WaitReason::ChanRecv, self.address());
        trace::note_call(self.address(), site);
        let mut seat = pin!(Place::to_stay(&self.moves, RECEIVERS, None, why));
        seat.as_mut().sit(turn, Rank::Last);
        match seat.stay(why) {
            End::Served => Ok(received(seat.as_mut().note())),
            End::Refused => Err(RecvTimeoutError::Closed),
        }
    }

    #[inline(never)]
    fn wait_to_recv_until(
        &self,
        turn: Move<'_, T>,
        deadline: Option<Instant>,
        wake_at: Instant,
        site: Site,
    ) -> Result<T, RecvTimeoutError> {
        let mut seat = pin!(Place::new(&self.moves, RECEIVERS, None));
        seat.as_mut().sit(turn, Rank::Last);
        trace::note_call(self.address(), site);
        while seat.end().is_none() {
            park_until(WaitReason::ChanRecv, self.address(), wake_at);
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
            // Delivers the alarm if it is due.
            drop(self.lock());
        }
        match seat.leave() {
            Some(End::Served) => Ok(received(seat.as_mut().note())),
            Some(End::Refused) => Err(RecvTimeoutError::Closed),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// Closes it for sending; what is buffered can still be received.
    pub(super) fn close(&self) {
        let woken = self.lock().close();
        woken.unpark();
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
            let mut turn = self.lock();
            let woken = turn.close();
            let unreceived = turn.drain();
            drop(turn);
            woken.unpark();
            drop(unreceived);
        }
    }

    /// Records an operation on it.
    #[inline(always)]
    pub(super) fn note(&self, op: Op, site: Site) {
        trace::note_op(op, self.address(), self.capacity, Some(site));
    }

    /// What reports and traces know the channel by.
    pub(super) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }
}

/// The value of a sender that has not been served.
pub(super) fn unsent<T>(note: &mut Option<T>) -> T {
    note.take().expect("a sender's value stays in its seat until it is taken")
}

/// The value of a receiver that has been served.
pub(super) fn received<T>(note: &mut Option<T>) -> T {
    note.take().expect("a receiver is served with a value")
}

/// The earlier of two deadlines; `None` is never.
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
