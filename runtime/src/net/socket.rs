//! What all sockets share: trying an operation, waiting while it would block, and trying again.

use crate::primitives::atomic::{AtomicU64, Ordering::Relaxed};
use std::io;
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use crate::net::habit::Habit;
use crate::netpoll::{Direction, Pollable};
use crate::os;
use crate::sources::{Drained, LastDrained, Mark};
use rustix::net::RecvFlags;

/// A non-blocking socket of std's type `S`, known to the netpoller.
#[derive(Debug)]
pub(super) struct Socket<S> {
    /// Declared before `inner`, so dropped before the descriptor is closed.
    pollable: Pollable,
    inner: S,
    /// When it was last seen that there is nothing to read, see `receive_all`.
    drained: LastDrained,
    habit: Habit,
    pub(super) read_timeout: Timeout,
    pub(super) write_timeout: Timeout,
}

impl<S: AsFd> Socket<S> {
    /// Makes `inner` non-blocking and known to the netpoller.
    pub(super) fn new(inner: S) -> io::Result<Self> {
        os::prepare_socket(inner.as_fd())?;
        let pollable = Pollable::new(inner.as_fd().as_raw_fd())?;
        Ok(Self {
            pollable,
            inner,
            drained: LastDrained::default(),
            habit: Habit::default(),
            read_timeout: Timeout::none(),
            write_timeout: Timeout::none(),
        })
    }

    /// The same socket under another descriptor, with the timeouts as they are now.
    pub(super) fn try_clone(&self, clone: impl FnOnce(&S) -> io::Result<S>) -> io::Result<Self> {
        let twin = Self::new(clone(&self.inner)?)?;
        twin.read_timeout.copy(&self.read_timeout);
        twin.write_timeout.copy(&self.write_timeout);
        Ok(twin)
    }

    /// For what never blocks: addresses and options.
    pub(super) fn inner(&self) -> &S {
        &self.inner
    }

    /// Does what reads, or accepts, within the read timeout.
    pub(super) fn read<T>(&self, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.run(Direction::Read, &self.read_timeout, operation)
    }

    /// Does what writes within the write timeout.
    pub(super) fn write<T>(&self, operation: impl FnMut(&S) -> io::Result<T>) -> io::Result<T> {
        self.run(Direction::Write, &self.write_timeout, operation)
    }

    /// Waits until it may be ready in `direction`; `TimedOut` at the deadline.
    pub(super) fn wait(&self, direction: Direction, deadline: Option<Instant>) -> io::Result<()> {
        self.pollable.wait(direction, deadline)
    }

    /// Whether to wait for something to read without having tried, on the guess that there was no more at `mark`. Not where
    /// time is short: something that is there would be said to have come too late.
    fn may_rely_on(&self, mark: Mark) -> bool {
        !self.habit.must_try() && self.read_timeout.get().is_none() && self.pollable.may_wait_in_doubt(mark)
    }

    fn run<T>(
        &self,
        direction: Direction,
        timeout: &Timeout,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        // A peer that always has something ready must not keep the processor for this goroutine.
        crate::checkpoint();
        let mut deadline = None;
        loop {
            match operation(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if deadline.is_none() {
                        deadline = timeout.deadline();
                    }
                    self.wait(direction, deadline)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<S: AsFd> AsFd for Socket<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

/// Reads what is there, up to the length of `buf`.
///
/// By the system call itself, here and in `send`, not by the C library: its functions are cancellation points, which took
/// 8 % of a round trip of 64 bytes, and leave errors in a thread-local.
pub(super) fn receive<S: AsFd>(socket: &Socket<S>, buf: &mut [u8]) -> io::Result<usize> {
    socket.read(|stream| {
        let (count, _) = rustix::net::recv(stream, &mut *buf, RecvFlags::empty())?;
        Ok(count)
    })
}

/// As `receive`, from a socket whose reads end early only when all has been read. After such a read the next one waits
/// without trying first; after one that was given all it asked for, it does where it would be tried in vain by habit.
///
/// So it is with TCP, but for urgent data, and what is to be read when the other side has closed: then the kernel has no
/// further event, and every read tries (`Source::mark`). Not with Unix sockets, whose reads also end at descriptors that
/// were sent along.
pub(super) fn receive_all<S: AsFd>(socket: &Socket<S>, buf: &mut [u8]) -> io::Result<usize> {
    let asked = buf.len();
    let drained = socket.drained.load().filter(|seen| asked > 0 && socket.pollable.is_drained(seen.mark));
    let guess = drained.filter(|seen| seen.is_guess).map(|seen| seen.mark);
    let waits_first = guess.map_or(drained.is_some(), |mark| socket.may_rely_on(mark));
    let (mut must_wait, mut tries, mut is_doubt_settled, mut mark) = (waits_first, 0, false, None);
    let count = socket.read(|stream| {
        if mem::take(&mut must_wait) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if tries == 0 && waits_first {
            // No event came: it was woken to find out.
            is_doubt_settled = guess.is_some_and(|mark| socket.pollable.is_drained(mark));
        }
        tries += 1;
        mark = socket.pollable.mark();
        let (count, _) = rustix::net::recv(stream, &mut *buf, RecvFlags::empty())?;
        Ok(count)
    })?;
    let has_found = tries == 1;
    match guess {
        Some(_) if !waits_first => socket.habit.tried(has_found),
        Some(_) if is_doubt_settled => socket.habit.waited_in_vain(has_found),
        _ => {}
    }
    if let Some(mark) = mark.filter(|_| count > 0) {
        socket.drained.store(Drained { mark, is_guess: count == asked });
    }
    Ok(count)
}

/// Writes as much of `buf` as there is room for.
pub(super) fn send<S: AsFd>(socket: &Socket<S>, buf: &[u8]) -> io::Result<usize> {
    socket.write(|stream| Ok(rustix::net::send(stream, buf, os::SEND_FLAGS)?))
}

/// How long an operation may wait, in nanoseconds; 0 stands for as long as it takes.
#[derive(Debug)]
pub(super) struct Timeout(AtomicU64);

impl Timeout {
    fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    fn copy(&self, other: &Self) {
        // ORDERING: Relaxed, both; a setting by itself, it publishes nothing.
        self.0.store(other.0.load(Relaxed), Relaxed);
    }

    pub(super) fn set(&self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout.is_some_and(|timeout| timeout.is_zero()) {
            let text = "a timeout of zero is no timeout: use `None` to wait as long as it takes";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let ns = timeout.map_or(0, |timeout| u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX));
        // ORDERING: Relaxed; as in `copy`.
        self.0.store(ns, Relaxed);
        Ok(())
    }

    pub(super) fn get(&self) -> Option<Duration> {
        // ORDERING: Relaxed; as in `copy`.
        match self.0.load(Relaxed) {
            0 => None,
            ns => Some(Duration::from_nanos(ns)),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.get().and_then(|timeout| Instant::now().checked_add(timeout))
    }
}

/// The addresses that `address` stands for; at least one.
pub(super) fn resolve<A: ToSocketAddrs>(address: A) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = look_up(address)?.collect();
    if addresses.is_empty() { Err(no_address()) } else { Ok(addresses) }
}

/// The first of the addresses that `address` stands for.
pub(super) fn resolve_first<A: ToSocketAddrs>(address: A) -> io::Result<SocketAddr> {
    look_up(address)?.next().ok_or_else(no_address)
}

fn look_up<A: ToSocketAddrs>(address: A) -> io::Result<A::Iter> {
    // A name is looked up by calls that block, and the addresses found come in memory of their own. What is an address
    // already comes without; handing the processor over for it would be a waste.
    if std::mem::needs_drop::<A::Iter>() {
        crate::blocking(|| address.to_socket_addrs())
    } else {
        address.to_socket_addrs()
    }
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "the name stands for no address")
}

/// The timeouts of a socket type, whose field `socket` is a [`Socket`].
macro_rules! timeouts {
    () => {
        /// How long a read may wait; `None` is as long as it takes. A read that takes longer fails with `TimedOut`.
        ///
        /// # Errors
        /// The timeout is zero.
        pub fn set_read_timeout(&self, timeout: Option<::std::time::Duration>) -> ::std::io::Result<()> {
            self.socket.read_timeout.set(timeout)
        }

        /// How long a write may wait; `None` is as long as it takes. A write that takes longer fails with `TimedOut`.
        ///
        /// # Errors
        /// The timeout is zero.
        pub fn set_write_timeout(&self, timeout: Option<::std::time::Duration>) -> ::std::io::Result<()> {
            self.socket.write_timeout.set(timeout)
        }

        /// How long a read may wait.
        ///
        /// # Errors
        /// None; as in std.
        pub fn read_timeout(&self) -> ::std::io::Result<Option<::std::time::Duration>> {
            Ok(self.socket.read_timeout.get())
        }

        /// How long a write may wait.
        ///
        /// # Errors
        /// None; as in std.
        pub fn write_timeout(&self) -> ::std::io::Result<Option<::std::time::Duration>> {
            Ok(self.socket.write_timeout.get())
        }
    };
}
pub(super) use timeouts;

/// `Read` and `Write` for a stream type and for a shared reference to it.
macro_rules! byte_stream {
    ($stream:ident, $receive:ident) => {
        impl ::std::io::Read for &$stream {
            fn read(&mut self, buf: &mut [u8]) -> ::std::io::Result<usize> {
                $crate::net::socket::$receive(&self.socket, buf)
            }

            fn read_vectored(&mut self, bufs: &mut [::std::io::IoSliceMut<'_>]) -> ::std::io::Result<usize> {
                self.socket.read(|mut stream| stream.read_vectored(bufs))
            }
        }

        impl ::std::io::Read for $stream {
            fn read(&mut self, buf: &mut [u8]) -> ::std::io::Result<usize> {
                (&*self).read(buf)
            }

            fn read_vectored(&mut self, bufs: &mut [::std::io::IoSliceMut<'_>]) -> ::std::io::Result<usize> {
                (&*self).read_vectored(bufs)
            }
        }

        impl ::std::io::Write for &$stream {
            fn write(&mut self, buf: &[u8]) -> ::std::io::Result<usize> {
                $crate::net::socket::send(&self.socket, buf)
            }

            fn write_vectored(&mut self, bufs: &[::std::io::IoSlice<'_>]) -> ::std::io::Result<usize> {
                self.socket.write(|mut stream| stream.write_vectored(bufs))
            }

            fn flush(&mut self) -> ::std::io::Result<()> {
                Ok(())
            }
        }

        impl ::std::io::Write for $stream {
            fn write(&mut self, buf: &[u8]) -> ::std::io::Result<usize> {
                (&*self).write(buf)
            }

            fn write_vectored(&mut self, bufs: &[::std::io::IoSlice<'_>]) -> ::std::io::Result<usize> {
                (&*self).write_vectored(bufs)
            }

            fn flush(&mut self) -> ::std::io::Result<()> {
                Ok(())
            }
        }
    };
}
pub(super) use byte_stream;

/// The descriptor of a socket type, for what is not offered here.
macro_rules! as_fd {
    ($socket:ident) => {
        impl ::std::os::fd::AsFd for $socket {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                self.socket.as_fd()
            }
        }
    };
}
pub(super) use as_fd;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::sleep;
    use crate::{Config, go, yield_now};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn a_timeout_is_kept_and_zero_is_refused() {
        let timeout = Timeout::none();
        assert_eq!(timeout.get(), None);
        timeout.set(Some(Duration::from_millis(3))).unwrap();
        assert_eq!(timeout.set(Some(Duration::ZERO)).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(timeout.get(), Some(Duration::from_millis(3)));
        timeout.set(Some(Duration::MAX)).unwrap();
        assert!(timeout.get() > Some(Duration::from_secs(1 << 33)));
        timeout.set(None).unwrap();
        assert_eq!(timeout.get(), None);
        assert_eq!(timeout.deadline(), None);
    }

    #[test]
    fn addresses_resolve_to_themselves_and_nothing_is_refused() {
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert_eq!(resolve(address).unwrap(), [address]);
        assert_eq!(resolve("127.0.0.1:80").unwrap(), [address]);
        assert_eq!(resolve(&[][..]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(resolve_first(&[address, address][..]).unwrap(), address);
        assert_eq!(resolve_first(&[][..]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn interrupted_operations_are_tried_again() {
        let (stream, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = Socket::new(stream).unwrap();
        let mut tries = 0;
        let result = socket.read(|_| {
            tries += 1;
            match tries {
                1 => Err(io::ErrorKind::Interrupted.into()),
                2 => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(()),
            }
        });
        assert_eq!((result.unwrap_err().kind(), tries), (io::ErrorKind::ConnectionReset, 2));
    }

    const LAST: u8 = 1;

    #[test]
    fn a_peer_that_lets_wait_is_asked_again() {
        if cfg!(any(corefit_portable_os, not(target_os = "linux"))) {
            // There a read always tries (`os/portable/poller.rs`): no habit forms.
            return;
        }
        Config::new().procs(1).run(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let server = Arc::new(Socket::new(listener.accept().unwrap().0).unwrap());
            let read = Arc::new(AtomicUsize::new(0));
            let (theirs, their_read) = (server.clone(), read.clone());
            let reader = go(move || {
                let mut message = [0];
                while message != [LAST] {
                    assert_eq!(receive_all(&theirs, &mut message).unwrap(), 1);
                    their_read.fetch_add(1, SeqCst);
                }
            });
            let mut count = 0;
            let mut send = |message, pause: fn()| {
                pause();
                client.write_all(&[message]).unwrap();
                count += 1;
                while read.load(SeqCst) < count {
                    yield_now();
                }
                // It asks again, or waits without.
                yield_now();
            };
            // Each is waited for, though not briefly where the machine is busy.
            let became_sure = (0..100_000).any(|_| {
                send(0, || ());
                server.habit.is_sure()
            });
            assert!(became_sure, "it never waits without asking");
            // Others run, and so doubts are accepted.
            let busy = Arc::new(AtomicUsize::new(1));
            let is_busy = busy.clone();
            let other = go(move || {
                while is_busy.load(SeqCst) > 0 {
                    yield_now();
                }
            });
            let tries = (0..1000).take_while(|_| {
                send(0, || sleep(Duration::from_millis(3)));
                server.habit.is_sure()
            });
            assert!(tries.count() < 1000, "to wait without asking saves nothing here");
            busy.store(0, SeqCst);
            other.join().unwrap();
            send(LAST, || ());
            reader.join().unwrap();
        });
    }
}
