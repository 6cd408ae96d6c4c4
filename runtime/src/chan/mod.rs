//! Channels: values pass from goroutine to goroutine, many senders and many receivers, each value to one of them.
//!
//! Between plain threads, and between threads and goroutines, they work as well.

mod channel;
mod dice;
mod error;
mod receiver;
#[doc(hidden)]
pub mod select;
mod select_macro;
mod sender;
mod state;

use std::sync::Arc;
use std::time::Instant;

pub use error::{RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError};
pub use receiver::{IntoIter, Iter, Receiver};
pub use sender::Sender;

use channel::Channel;
use state::Alarm;

/// Makes a channel that buffers up to `capacity` values. With 0 it is a rendezvous: a send waits until its value is
/// received.
///
/// Values come out in the order in which their sends came to the channel. When it is closed, receivers get what is
/// buffered and then an error; senders get their value back.
///
/// ```
/// let (tx, rx) = corefit_runtime::chan(2);
/// tx.send("hello").unwrap();
/// tx.send("goodbye").unwrap();
/// drop(tx);
/// assert_eq!(rx.iter().collect::<Vec<_>>(), ["hello", "goodbye"]);
/// ```
#[must_use]
pub fn chan<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel::new(capacity));
    (Sender::new(Arc::clone(&channel)), Receiver::new(channel))
}

/// A channel that gives the time once, at `at` or when it is looked at later, and is then closed.
pub(crate) fn alarm(at: Instant) -> Receiver<Instant> {
    Receiver::new(Arc::new(Channel::with_alarm(Alarm { at, value: |now| now })))
}
