//! What a channel consists of inside its section, and the moves of the game; nothing here waits.
//!
//! ```text
//!                 place free, no receiver waits
//!          ┌──────────────▶ buffer ────────────────────────┐
//!  offer ──┼─ a receiver waits: its seat gets the value ───┼─▶ take
//!          └─ neither: the sender sits down with its value ┘
//! ```
//! Between two moves this holds (open: not decided elsewhere, see `sync::claim`):
//! - an open receiver waits only if the buffer is empty and no sender is open;
//! - an open sender waits only if the buffer is full, so values come out in the order they were sent;
//! - of a closed channel nobody is open.
//!
//! Whoever serves a waiter moves the value (out of a sender's seat, into a receiver's), ends its wait and gets it back
//! `Granted`, to be unparked once the section is left. Values are moved here, never dropped: their drop is the user's code.

use std::collections::VecDeque;
use std::time::Instant;

use crate::sync::claim::Claim;
use crate::sync::crowd::{Crowd, Granted};
use crate::sync::line::{End, Line, Seat, Section};

/// Bytes of buffer that are reserved at once; a larger buffer grows when it is used. Guess.
const RESERVED_BYTES: usize = 64 << 10;

/// The queue of those who wait to send.
pub(super) const SENDERS: usize = 0;
/// The queue of those who wait to receive.
pub(super) const RECEIVERS: usize = 1;

/// A channel's state, and its queues. The note of a seat is a sender's value until it is taken, a receiver's once it is
/// there.
pub(super) type Moves<T> = Line<State<T>, Option<T>, 2>;
/// One move.
pub(super) type Move<'l, T> = Section<'l, State<T>, Option<T>, 2>;
/// A place in one of the queues.
pub(super) type Place<'l, T> = Seat<'l, State<T>, Option<T>, 2>;

#[derive(Debug)]
pub(super) struct State<T> {
    buffer: VecDeque<T>,
    capacity: usize,
    is_closed: bool,
    alarm: Option<Alarm<T>>,
}

/// A value that arrives by itself, once, and closes the channel: a timer without a goroutine. It is delivered by whoever
/// looks first after its time, and those who wait wake up for it.
#[derive(Debug)]
pub(super) struct Alarm<T> {
    pub(super) at: Instant,
    pub(super) value: fn(Instant) -> T,
}

/// What became of a value on offer.
#[derive(Debug)]
#[must_use]
pub(super) enum Offered<T> {
    /// Taken over; unpark the receiver, if one waited for it.
    Taken(Option<Granted>),
    Full(T),
    Closed(T),
}

/// What there was to take.
#[derive(Debug)]
#[must_use]
pub(super) enum Took<T> {
    /// A value; unpark the sender that could go on because of it.
    Value(T, Option<Granted>),
    Empty,
    Closed,
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let reserved = capacity.min(RESERVED_BYTES / size_of::<T>().max(1));
        Self { buffer: VecDeque::with_capacity(reserved), capacity, is_closed: false, alarm: None }
    }

    pub(super) fn with_alarm(alarm: Alarm<T>) -> Self {
        Self { alarm: Some(alarm), ..Self::new(1) }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Takes what is buffered out, for nobody will receive it.
    #[must_use]
    pub(super) fn drain(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.buffer)
    }

    /// When a value will arrive by itself.
    #[inline]
    pub(super) fn alarm_at(&self) -> Option<Instant> {
        self.alarm.as_ref().map(|alarm| alarm.at)
    }
}

impl<T> Move<'_, T> {
    /// Sends without waiting.
    #[inline]
    pub(super) fn offer(&mut self, value: T) -> Offered<T> {
        if self.is_closed {
            return Offered::Closed(value);
        }
        if let Some(mut receiver) = self.claim_first(RECEIVERS) {
            *receiver.note() = Some(value);
            return Offered::Taken(Some(receiver.end(End::Served)));
        }
        if self.buffer.len() == self.capacity {
            return Offered::Full(value);
        }
        self.buffer.push_back(value);
        Offered::Taken(None)
    }

    /// Receives without waiting.
    #[inline]
    pub(super) fn take(&mut self) -> Took<T> {
        let Some(value) = self.buffer.pop_front() else {
            return match self.take_sent() {
                Some((sent, sender)) => Took::Value(sent, Some(sender)),
                None if self.is_closed => Took::Closed,
                None => Took::Empty,
            };
        };
        let sender = self.take_sent().map(|(sent, sender)| {
            // It takes the place that became free, behind those that were sent before.
            self.buffer.push_back(sent);
            sender
        });
        Took::Value(value, sender)
    }

    /// The value of the first sender that waits.
    #[inline]
    fn take_sent(&mut self) -> Option<(T, Granted)> {
        let mut sender = self.claim_first(SENDERS)?;
        let sent = sender.note().take().expect("a waiting sender holds its value");
        Some((sent, sender.end(End::Served)))
    }

    /// Whether an operation that waits in `queue` with `claim` need not wait.
    pub(super) fn is_ready(&self, queue: usize, claim: &Claim) -> bool {
        let has_room = match queue {
            SENDERS => self.buffer.len() < self.capacity,
            _ => !self.buffer.is_empty(),
        };
        self.is_closed || has_room || self.is_anyone_open_to(1 - queue, claim)
    }

    /// Closes the channel: ends everyone that waits. Unpark them.
    pub(super) fn close(&mut self) -> Crowd {
        self.is_closed = true;
        let mut crowd = Crowd::new();
        for queue in [SENDERS, RECEIVERS] {
            while let Some(waiting) = self.claim_first(queue) {
                crowd.push(waiting.end(End::Refused));
            }
        }
        crowd
    }

    /// Delivers the alarm's value if its time has come. Unpark whom it wakes.
    #[must_use]
    pub(super) fn ring(&mut self, now: Instant) -> Option<Crowd> {
        let alarm = self.alarm.take_if(|alarm| alarm.at <= now)?;
        let served = match self.offer((alarm.value)(now)) {
            Offered::Taken(receiver) => receiver,
            Offered::Full(_) | Offered::Closed(_) => None,
        };
        let mut crowd = self.close();
        if let Some(receiver) = served {
            crowd.push(receiver);
        }
        Some(crowd)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::line::Rank;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::time::Duration;

    type Seated<'l, T> = Pin<Box<Place<'l, T>>>;

    /// Sits down in `queue`, as a sender with its value or as a receiver.
    fn queue<T>(moves: &Moves<T>, queue: usize, value: Option<T>) -> Seated<'_, T> {
        let mut seat = Box::pin(Place::new(moves, queue, value));
        seat.as_mut().sit(moves.lock(), Rank::Last);
        seat
    }

    fn leave<T>(mut seat: Seated<'_, T>) -> (Option<End>, Option<T>) {
        (seat.leave(), seat.as_mut().note().take())
    }

    fn taken<T>(moves: &Moves<T>) -> Option<T> {
        match moves.lock().take() {
            Took::Value(value, _) => Some(value),
            Took::Empty | Took::Closed => None,
        }
    }

    #[test]
    fn a_waiting_receiver_gets_the_value_in_its_seat() {
        let moves = Moves::new(State::new(3));
        let seat = queue(&moves, RECEIVERS, None);
        assert_eq!(seat.end(), None);
        assert!(matches!(moves.lock().offer("a"), Offered::Taken(Some(_))));
        assert_eq!(leave(seat), (Some(End::Served), Some("a")));
        assert_eq!(moves.lock().len(), 0);
    }

    #[test]
    fn a_waiting_sender_moves_up_into_the_buffer() {
        let moves = Moves::new(State::new(1));
        assert!(matches!(moves.lock().offer(1), Offered::Taken(None)));
        assert!(matches!(moves.lock().offer(2), Offered::Full(2)));
        let seat = queue(&moves, SENDERS, Some(2));
        assert!(matches!(moves.lock().take(), Took::Value(1, Some(_))));
        assert_eq!(leave(seat), (Some(End::Served), None));
        assert_eq!(taken(&moves), Some(2));
    }

    #[test]
    fn closing_refuses_all_who_wait() {
        let moves = Moves::new(State::new(0));
        let senders: Vec<_> = (0..2).map(|n| queue(&moves, SENDERS, Some(n))).collect();
        assert_eq!(moves.lock().close().len(), 2);
        for (n, seat) in (0..).zip(senders) {
            assert_eq!(leave(seat), (Some(End::Refused), Some(n)));
        }
        assert!(matches!(moves.lock().offer(9), Offered::Closed(9)));
        assert!(matches!(moves.lock().take(), Took::Closed));
    }

    #[test]
    fn an_arm_decided_elsewhere_is_passed_over() {
        let moves = Moves::new(State::new(0));
        let claim = Claim::new();
        let mut arm =
            Box::pin(Place::of_arm(&moves, RECEIVERS, (crate::park::Waiter::current(), &claim, 0), None));
        arm.as_mut().sit(moves.lock(), Rank::Last);
        let plain = queue(&moves, RECEIVERS, None);
        assert!(claim.withdraw());
        assert!(matches!(moves.lock().offer(5), Offered::Taken(Some(_))));
        assert_eq!(leave(arm), (None, None));
        assert_eq!(leave(plain), (Some(End::Served), Some(5)));
    }

    #[test]
    fn a_select_is_never_its_own_counterpart() {
        let moves = Moves::<u8>::new(State::new(0));
        let (claim, other) = (Claim::new(), Claim::new());
        let mut arm =
            Box::pin(Place::of_arm(&moves, RECEIVERS, (crate::park::Waiter::current(), &claim, 0), None));
        arm.as_mut().sit(moves.lock(), Rank::Last);
        assert!(!moves.lock().is_ready(SENDERS, &claim));
        assert!(moves.lock().is_ready(SENDERS, &other));
        assert!(claim.withdraw());
        assert!(!moves.lock().is_ready(SENDERS, &other));
        let _alone = queue(&moves, RECEIVERS, None);
        assert!(moves.lock().is_ready(SENDERS, &claim));
    }

    #[test]
    fn an_alarm_delivers_once_and_closes() {
        let at = Instant::now();
        let moves = Moves::new(State::with_alarm(Alarm { at, value: |now| now }));
        assert!(
            at.checked_sub(Duration::from_secs(1)).is_none_or(|early| moves.lock().ring(early).is_none())
        );
        assert_eq!(moves.lock().alarm_at(), Some(at));
        let seat = queue(&moves, RECEIVERS, None);
        let late = at + Duration::from_secs(1);
        assert_eq!(moves.lock().ring(late).map(|woken| woken.len()), Some(1));
        assert_eq!(leave(seat), (Some(End::Served), Some(late)));
        assert_eq!(moves.lock().alarm_at(), None);
        assert!(matches!(moves.lock().take(), Took::Closed));
    }

    /// Takes out the receivers that have been served, in the order they came.
    fn collect(receivers: &mut Vec<Seated<'_, u32>>, received: &mut Vec<u32>) {
        for seat in std::mem::take(receivers) {
            match seat.end() {
                None => receivers.push(seat),
                Some(_) => received.extend(leave(seat).1),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 64 }))]

        /// Whatever happens, values come out in the order in which they went in, and each is received, given back or
        /// still inside: none is lost, none twice.
        #[test]
        fn values_are_conserved_and_stay_in_order(
            capacity in 0..4_usize,
            steps in proptest::collection::vec((0..13_u8, any::<usize>()), 0..120),
        ) {
            let moves = Moves::new(State::new(capacity));
            let (mut senders, mut receivers) = (Vec::new(), Vec::new());
            let (mut received, mut returned) = (Vec::new(), Vec::new());
            let mut sent = 0;
            for (step, pick) in steps {
                match step {
                    0..=4 => {
                        let offered = moves.lock().offer(sent);
                        match offered {
                            Offered::Taken(_) => {}
                            Offered::Full(value) if step > 1 => senders.push(queue(&moves, SENDERS, Some(value))),
                            Offered::Full(value) | Offered::Closed(value) => returned.push(value),
                        }
                        sent += 1;
                    }
                    5..=9 => {
                        let took = moves.lock().take();
                        match took {
                            Took::Value(value, _) => received.push(value),
                            Took::Empty if step > 6 => receivers.push(queue(&moves, RECEIVERS, None)),
                            Took::Empty | Took::Closed => {}
                        }
                    }
                    10 if !senders.is_empty() => {
                        let (end, value) = leave(senders.remove(pick % senders.len()));
                        prop_assert_eq!(end == Some(End::Served), value.is_none());
                        returned.extend(value);
                    }
                    11 if !receivers.is_empty() => {
                        prop_assert_eq!(leave(receivers.remove(pick % receivers.len())), (None, None));
                    }
                    12 if pick % 8 == 0 => drop(moves.lock().close()),
                    _ => {}
                }
                collect(&mut receivers, &mut received);
                prop_assert!(moves.lock().len() <= capacity);
            }
            received.extend(std::iter::from_fn(|| taken(&moves)));
            for seat in senders {
                returned.extend(leave(seat).1);
            }
            prop_assert!(received.is_sorted(), "{:?}", received);
            received.append(&mut returned);
            received.sort_unstable();
            prop_assert!(received.into_iter().eq(0..sent));
        }
    }
}
