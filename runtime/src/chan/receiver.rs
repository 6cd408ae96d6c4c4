//! The receiving half of a channel, and iteration over what it receives.

use crate::primitives::Arc;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::Location;
use std::time::{Duration, Instant};

use crate::chan::channel::Channel;
use crate::chan::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::trace::{self, Op, Site};

/// The receiving half of a channel made by [`chan`](crate::chan()). Clones receive from the same channel, each value
/// once. When the last of them is dropped the channel is closed, and what is buffered is dropped.
///
/// ```
/// use corefit_runtime::chan::{RecvError, RecvTimeoutError, TryRecvError, chan};
/// use std::time::Duration;
///
/// let (sender, receiver) = chan(2);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// assert_eq!(receiver.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
/// sender.send("last").unwrap();
/// drop(sender);
/// for word in &receiver {
///     assert_eq!(word, "last");
/// }
/// assert_eq!(receiver.recv(), Err(RecvError));
/// ```
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Receiver<T> {
    pub(super) fn new(channel: Arc<Channel<T>>) -> Self {
        Self { channel }
    }

    pub(super) fn channel(&self) -> &Channel<T> {
        &self.channel
    }

    /// Receives a value, and waits while there is none. Receivers that wait are served in the order they came.
    ///
    /// # Errors
    /// The channel is closed and everything in it has been received.
    #[track_caller]
    #[inline(always)]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.receive(None, Location::caller()).map_err(|error| {
            debug_assert_eq!(
                error,
                RecvTimeoutError::Closed,
                "without a deadline only a close ends the wait"
            );
            RecvError
        })
    }

    /// Receives a value if that is possible without waiting: one is buffered or a sender waits.
    ///
    /// # Errors
    /// There is none now, or, if the channel is closed, there will be none.
    #[track_caller]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        let result = self.channel.try_recv();
        match result {
            Ok(_) => self.channel.note(Op::Receive, Location::caller()),
            Err(TryRecvError::Closed) => self.channel.note(Op::ReceiveClosed, Location::caller()),
            Err(TryRecvError::Empty) => {}
        }
        result
    }

    /// Receives a value, and waits for at most `timeout`.
    ///
    /// # Errors
    /// None came in time, or the channel is closed and everything in it has been received.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        // A deadline past the end of the clock is none.
        self.receive(Instant::now().checked_add(timeout), Location::caller())
    }

    #[inline(always)]
    fn receive(&self, deadline: Option<Instant>, site: Site) -> Result<T, RecvTimeoutError> {
        let result = self.channel.recv(deadline, site);
        if trace::is_on() {
            self.note_received(result.as_ref().err(), site);
        }
        result
    }

    #[cold]
    #[inline(never)]
    fn note_received(&self, error: Option<&RecvTimeoutError>, site: Site) {
        match error {
            None => self.channel.note(Op::Receive, site),
            Some(RecvTimeoutError::Closed) => self.channel.note(Op::ReceiveClosed, site),
            Some(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Receives until the channel is closed and empty.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { receiver: self }
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

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.channel.add_receiver();
        Self { channel: Arc::clone(&self.channel) }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.channel.drop_receiver();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("len", &self.len()).field("capacity", &self.capacity()).finish()
    }
}

/// Receives until the channel is closed and empty; see [`Receiver::iter`].
#[derive(Debug)]
pub struct Iter<'a, T> {
    receiver: &'a Receiver<T>,
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

/// Receives until the channel is closed and empty, and owns the receiver.
#[derive(Debug)]
pub struct IntoIter<T> {
    receiver: Receiver<T>,
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.receiver.recv().ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}
impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { receiver: self }
    }
}
