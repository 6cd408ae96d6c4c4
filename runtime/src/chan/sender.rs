//! The sending half of a channel.

use crate::primitives::Arc;
use std::fmt;
use std::panic::Location;

use crate::chan::channel::Channel;
use crate::chan::error::{SendError, TrySendError};
use crate::trace::{self, Op, Site};

/// The sending half of a channel made by [`chan`](crate::chan()). Clones send to the same channel; the channel is closed
/// when [`close`](Self::close) is called or the last of them is dropped.
///
/// ```
/// use corefit_runtime::chan::{SendError, TrySendError, chan};
///
/// let (sender, receiver) = chan(1);
/// sender.send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// assert_eq!((sender.len(), sender.capacity()), (1, 1));
/// sender.close();
/// assert_eq!(sender.send(3), Err(SendError(3)));
/// // What was buffered is not lost.
/// assert_eq!(receiver.recv(), Ok(1));
/// ```
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Self {
        Self { channel }
    }

    pub(super) fn channel(&self) -> &Channel<T> {
        &self.channel
    }

    /// Sends `value`, and waits while the buffer is full; with capacity 0, until a receiver takes it. Senders that wait
    /// go on in the order they came.
    ///
    /// # Errors
    /// The channel is closed, or its last receiver is gone, before the value was taken over. It comes back.
    #[track_caller]
    #[inline(always)]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if trace::is_on() {
            self.note_send(Location::caller());
        }
        self.channel.send(value, Location::caller())
    }

    #[cold]
    #[inline(never)]
    fn note_send(&self, site: Site) {
        self.channel.note(Op::Send, site);
    }

    /// Sends `value` if that is possible without waiting: a place is free or a receiver waits.
    ///
    /// # Errors
    /// It is not, or the channel is closed. The value comes back.
    #[track_caller]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        let result = self.channel.try_send(value);
        if result.is_ok() {
            self.channel.note(Op::Send, Location::caller());
        }
        result
    }

    /// Closes the channel, for all senders: sends fail from now on, also those that wait; receivers still get what is
    /// buffered. Closing twice does no harm.
    #[track_caller]
    pub fn close(&self) {
        self.channel.note(Op::Close, Location::caller());
        self.channel.close();
    }

    /// Values buffered at this moment; always 0 for capacity 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.channel.lock().len()
    }

    /// Whether nothing is buffered at this moment.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values can be buffered.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.channel.lock().capacity()
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.add_sender();
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.channel.drop_sender();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}
