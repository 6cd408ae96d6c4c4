//! What a channel consists of under its lock, and the moves of the game; nothing here waits.
//!
//! ```text
//!                 place free, no receiver waits
//!          ┌──────────────▶ buffer ────────────────────────┐
//!  offer ──┼─ a receiver waits: its entry gets the value ──┼─▶ take
//!          └─ neither: the sender queues with its value ───┘
//! ```
//! Between two moves this holds (open: not decided elsewhere, see `claim`):
//! - an open receiver waits only if the buffer is empty and no sender is open;
//! - an open sender waits only if the buffer is full, so values come out in the order they were sent;
//! - of a closed channel nobody is open.
//!
//! Whoever serves a waiter moves the value (out of a sender's entry, into a receiver's), marks the entry and gets the
//! `Waiter` back, to be unparked once the lock is released. The owner of an entry takes it out itself. Values are moved
//! here, never dropped: their drop is the user's code.

use crate::primitives::Arc;
use std::collections::VecDeque;
use std::time::Instant;

use crate::chan::claim::{Claim, Party};
use crate::park::Waiter;
use crate::sync::wait_list::{Key, WaitList};

/// Bytes of buffer that are reserved at once; a larger buffer grows when it is used. Guess.
const RESERVED_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct State<T> {
    buffer: VecDeque<T>,
    capacity: usize,
    is_closed: bool,
    senders: WaitList<Entry<T>>,
    receivers: WaitList<Entry<T>>,
    alarm: Option<Alarm<T>>,
}

/// A value that arrives by itself, once, and closes the channel: a timer without a goroutine. It is delivered by whoever
/// looks first after its time, and those who wait wake up for it.
#[derive(Debug)]
pub(super) struct Alarm<T> {
    pub(super) at: Instant,
    pub(super) value: fn(Instant) -> T,
}

/// One that waits.
#[derive(Debug)]
struct Entry<T> {
    /// A sender's value until it is taken; a receiver's once it is there.
    value: Option<T>,
    progress: Progress,
}

#[derive(Debug)]
enum Progress {
    Waiting(Party),
    /// The value has changed hands.
    Served,
    /// The channel was closed first.
    Refused,
}

/// The two sides of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Send,
    Recv,
}

/// How an entry ended, with the value if it is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended<T> {
    /// Sent (`None`) or received (`Some`).
    Served(Option<T>),
    /// The channel was closed. A sender gets its value back.
    Refused(Option<T>),
    /// Its owner left before anything happened. A sender gets its value back.
    Left(Option<T>),
}

/// What became of a value on offer.
#[derive(Debug)]
#[must_use]
pub(super) enum Offered<T> {
    /// Taken over; unpark the receiver, if one waited for it.
    Taken(Option<Waiter>),
    Full(T),
    Closed(T),
}

/// What there was to take.
#[derive(Debug)]
#[must_use]
pub(super) enum Took<T> {
    /// A value; unpark the sender that could go on because of it.
    Value(T, Option<Waiter>),
    Empty,
    Closed,
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let reserved = capacity.min(RESERVED_BYTES / size_of::<T>().max(1));
        Self {
            buffer: VecDeque::with_capacity(reserved),
            capacity,
            is_closed: false,
            senders: WaitList::new(),
            receivers: WaitList::new(),
            alarm: None,
        }
    }

    pub(super) fn with_alarm(alarm: Alarm<T>) -> Self {
        Self { alarm: Some(alarm), ..Self::new(1) }
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sends without waiting.
    pub(super) fn offer(&mut self, value: T) -> Offered<T> {
        if self.is_closed {
            return Offered::Closed(value);
        }
        if let Some(receiver) = claim_first(&mut self.receivers) {
            receiver.value = Some(value);
            return Offered::Taken(receiver.end(Progress::Served));
        }
        if self.buffer.len() == self.capacity {
            return Offered::Full(value);
        }
        self.buffer.push_back(value);
        Offered::Taken(None)
    }

    /// Receives without waiting.
    pub(super) fn take(&mut self) -> Took<T> {
        let buffered = self.buffer.pop_front();
        if buffered.is_none() && self.is_closed {
            return Took::Closed;
        }
        let Some(sender) = claim_first(&mut self.senders) else {
            return buffered.map_or(Took::Empty, |value| Took::Value(value, None));
        };
        let sent = sender.value.take().expect("a waiting sender holds its value");
        let waiter = sender.end(Progress::Served);
        match buffered {
            // The sender's value takes the place that became free, behind those that were sent before.
            Some(value) => {
                self.buffer.push_back(sent);
                Took::Value(value, waiter)
            }
            None => Took::Value(sent, waiter),
        }
    }

    /// Queues a sender with its value, or a receiver without.
    pub(super) fn queue(&mut self, party: Party, side: Side, value: Option<T>) -> Key {
        self.side(side).push_back(Entry { value, progress: Progress::Waiting(party) })
    }

    /// Whether an operation of `side` that `claim` is to wait with need not wait.
    pub(super) fn is_ready(&self, side: Side, claim: &Arc<Claim>) -> bool {
        let (has_room, others) = match side {
            Side::Send => (self.buffer.len() < self.capacity, &self.receivers),
            Side::Recv => (!self.buffer.is_empty(), &self.senders),
        };
        self.is_closed || has_room || others.iter().any(|entry| entry.is_open_to(claim))
    }

    /// Whether the entry has ended without its owner.
    pub(super) fn has_ended(&self, side: Side, key: &Key) -> bool {
        let list = match side {
            Side::Send => &self.senders,
            Side::Recv => &self.receivers,
        };
        !matches!(list.get(key).progress, Progress::Waiting(_))
    }

    /// Takes an entry out, ended or not.
    pub(super) fn leave(&mut self, side: Side, key: Key) -> Ended<T> {
        let Entry { value, progress } = self.side(side).remove(key);
        match progress {
            Progress::Waiting(_) => Ended::Left(value),
            Progress::Served => Ended::Served(value),
            Progress::Refused => Ended::Refused(value),
        }
    }

    /// Closes the channel: ends everyone that waits. Unpark them.
    #[must_use]
    pub(super) fn close(&mut self) -> Vec<Waiter> {
        self.is_closed = true;
        let mut woken = Vec::new();
        for list in [&mut self.senders, &mut self.receivers] {
            while let Some(entry) = claim_first(list) {
                woken.extend(entry.end(Progress::Refused));
            }
        }
        woken
    }

    /// Takes what is buffered out, for nobody will receive it.
    #[must_use]
    pub(super) fn drain(&mut self) -> VecDeque<T> {
        std::mem::take(&mut self.buffer)
    }

    /// When a value will arrive by itself.
    pub(super) fn alarm_at(&self) -> Option<Instant> {
        self.alarm.as_ref().map(|alarm| alarm.at)
    }

    /// Delivers the alarm's value if its time has come. Unpark whom it wakes.
    #[must_use]
    pub(super) fn ring(&mut self, now: Instant) -> Vec<Waiter> {
        let Some(alarm) = self.alarm.take_if(|alarm| alarm.at <= now) else {
            return Vec::new();
        };
        let mut woken = Vec::new();
        if let Offered::Taken(waiter) = self.offer((alarm.value)(now)) {
            woken.extend(waiter);
        }
        woken.extend(self.close());
        woken
    }

    fn side(&mut self, side: Side) -> &mut WaitList<Entry<T>> {
        match side {
            Side::Send => &mut self.senders,
            Side::Recv => &mut self.receivers,
        }
    }
}

impl<T> Entry<T> {
    fn is_open_to(&self, claim: &Arc<Claim>) -> bool {
        matches!(&self.progress, Progress::Waiting(party) if party.is_open_to(claim))
    }

    fn claim(&self) -> bool {
        matches!(&self.progress, Progress::Waiting(party) if party.claim())
    }

    /// Marks the end; gives whom to unpark.
    fn end(&mut self, progress: Progress) -> Option<Waiter> {
        match std::mem::replace(&mut self.progress, progress) {
            Progress::Waiting(party) => Some(party.into_waiter()),
            Progress::Served | Progress::Refused => None,
        }
    }
}

/// The first in the list that can be served, out of the queue. Arms that were decided elsewhere lose their place on
/// the way; their select takes them out.
fn claim_first<T>(list: &mut WaitList<Entry<T>>) -> Option<&mut Entry<T>> {
    while !list.is_empty() {
        if list.front().is_some_and(Entry::claim) {
            return list.pop_front();
        }
        list.pop_front();
    }
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn alone() -> Party {
        Party::Alone(Waiter::current())
    }

    fn taken<T>(state: &mut State<T>) -> Option<T> {
        match state.take() {
            Took::Value(value, _) => Some(value),
            Took::Empty | Took::Closed => None,
        }
    }

    #[test]
    fn a_waiting_receiver_gets_the_value_in_its_entry() {
        let mut state = State::new(3);
        let key = state.queue(alone(), Side::Recv, None);
        assert!(!state.has_ended(Side::Recv, &key));
        assert!(matches!(state.offer("a"), Offered::Taken(Some(_))));
        assert!(state.has_ended(Side::Recv, &key));
        assert_eq!(state.leave(Side::Recv, key), Ended::Served(Some("a")));
        assert_eq!(state.len(), 0);
    }

    #[test]
    fn a_waiting_sender_moves_up_into_the_buffer() {
        let mut state = State::new(1);
        assert!(matches!(state.offer(1), Offered::Taken(None)));
        assert!(matches!(state.offer(2), Offered::Full(2)));
        let key = state.queue(alone(), Side::Send, Some(2));
        assert!(matches!(state.take(), Took::Value(1, Some(_))));
        assert_eq!(state.leave(Side::Send, key), Ended::Served(None));
        assert_eq!(taken(&mut state), Some(2));
    }

    #[test]
    fn closing_refuses_all_who_wait() {
        let mut state = State::new(0);
        let senders: Vec<Key> = (0..2).map(|n| state.queue(alone(), Side::Send, Some(n))).collect();
        assert_eq!(state.close().len(), 2);
        for (n, key) in (0..).zip(senders) {
            assert_eq!(state.leave(Side::Send, key), Ended::Refused(Some(n)));
        }
        assert!(matches!(state.offer(9), Offered::Closed(9)));
        assert!(matches!(state.take(), Took::Closed));
    }

    #[test]
    fn an_arm_decided_elsewhere_is_passed_over() {
        let mut state = State::new(0);
        let claim = Arc::new(Claim::new(Waiter::current()));
        let arm = state.queue(Party::Arm(claim.clone(), 0), Side::Recv, None);
        let plain = state.queue(alone(), Side::Recv, None);
        claim.withdraw().unwrap();
        assert!(matches!(state.offer(5), Offered::Taken(Some(_))));
        assert_eq!(state.leave(Side::Recv, arm), Ended::Left(None));
        assert_eq!(state.leave(Side::Recv, plain), Ended::Served(Some(5)));
    }

    #[test]
    fn an_alarm_delivers_once_and_closes() {
        let at = Instant::now();
        let mut state = State::with_alarm(Alarm { at, value: |now| now });
        assert!(at.checked_sub(Duration::from_secs(1)).is_none_or(|early| state.ring(early).is_empty()));
        assert_eq!(state.alarm_at(), Some(at));
        let key = state.queue(alone(), Side::Recv, None);
        let late = at + Duration::from_secs(1);
        assert_eq!(state.ring(late).len(), 1);
        assert_eq!(state.leave(Side::Recv, key), Ended::Served(Some(late)));
        assert_eq!(state.alarm_at(), None);
        assert!(matches!(state.take(), Took::Closed));
    }

    /// Takes out the receivers that have been served, in the order they came.
    fn collect(state: &mut State<u32>, receivers: &mut Vec<Key>, received: &mut Vec<u32>) {
        for key in std::mem::take(receivers) {
            if state.has_ended(Side::Recv, &key) {
                if let Ended::Served(value) = state.leave(Side::Recv, key) {
                    received.extend(value);
                }
            } else {
                receivers.push(key);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever happens, values come out in the order in which they went in, and each is received, given back or
        /// still inside: none is lost, none twice.
        #[test]
        fn values_are_conserved_and_stay_in_order(
            capacity in 0..4_usize,
            steps in proptest::collection::vec((0..13_u8, any::<usize>()), 0..120),
        ) {
            let mut state = State::new(capacity);
            let (mut senders, mut receivers): (Vec<Key>, Vec<Key>) = (Vec::new(), Vec::new());
            let (mut received, mut returned) = (Vec::new(), Vec::new());
            let mut sent = 0;
            for (step, pick) in steps {
                match step {
                    0..=4 => {
                        match state.offer(sent) {
                            Offered::Taken(_) => {}
                            Offered::Full(value) if step > 1 => {
                                senders.push(state.queue(alone(), Side::Send, Some(value)));
                            }
                            Offered::Full(value) | Offered::Closed(value) => returned.push(value),
                        }
                        sent += 1;
                    }
                    5..=9 => match state.take() {
                        Took::Value(value, _) => received.push(value),
                        Took::Empty if step > 6 => receivers.push(state.queue(alone(), Side::Recv, None)),
                        Took::Empty | Took::Closed => {}
                    },
                    10 if !senders.is_empty() => {
                        let key = senders.remove(pick % senders.len());
                        match state.leave(Side::Send, key) {
                            Ended::Served(value) => prop_assert_eq!(value, None),
                            Ended::Left(value) | Ended::Refused(value) => returned.extend(value),
                        }
                    }
                    11 if !receivers.is_empty() => {
                        let key = receivers.remove(pick % receivers.len());
                        prop_assert_eq!(state.leave(Side::Recv, key), Ended::Left(None));
                    }
                    12 if pick % 8 == 0 => drop(state.close()),
                    _ => {}
                }
                collect(&mut state, &mut receivers, &mut received);
                prop_assert!(state.len() <= capacity);
            }
            received.extend(std::iter::from_fn(|| taken(&mut state)));
            for key in senders {
                if let Ended::Refused(value) | Ended::Left(value) = state.leave(Side::Send, key) {
                    returned.extend(value);
                }
            }
            prop_assert!(received.is_sorted(), "{:?}", received);
            received.append(&mut returned);
            received.sort_unstable();
            prop_assert!(received.into_iter().eq(0..sent));
        }
    }
}
