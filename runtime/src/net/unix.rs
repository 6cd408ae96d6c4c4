//! Unix domain sockets.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::{self, SocketAddr};
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix};

use crate::net::socket::{Socket, as_fd, byte_stream, timeouts};
use crate::os;

/// Like [`std::os::unix::net::UnixListener`]; waiting parks the goroutine, not its thread.
///
/// ```
/// use corefit_runtime::net::{UnixListener, UnixStream};
/// use corefit_runtime::{go, run};
/// use std::io::{Read, Write};
///
/// let path = std::env::temp_dir().join(format!("corefit-example-{}", std::process::id()));
/// let place = path.clone();
/// let received = run(move || -> std::io::Result<[u8; 2]> {
///     let listener = UnixListener::bind(&place)?;
///     let client = go(move || UnixStream::connect(place)?.write_all(b"hi"));
///     let (mut stream, _) = listener.accept()?;
///     let mut bytes = [0; 2];
///     stream.read_exact(&mut bytes)?;
///     client.join().unwrap()?;
///     Ok(bytes)
/// });
/// std::fs::remove_file(path).unwrap();
/// assert_eq!(received.unwrap(), *b"hi");
/// ```
#[derive(Debug)]
pub struct UnixListener {
    socket: Socket<net::UnixListener>,
}

impl UnixListener {
    /// Listens at `path`, which must not exist; it stays when the listener is dropped.
    ///
    /// # Errors
    /// The path exists, is too long, or cannot be made.
    pub fn bind<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        Ok(Self { socket: Socket::new(net::UnixListener::bind(path)?)? })
    }

    /// Waits for a connection and takes it; gives who connected too (mostly without a name).
    ///
    /// # Errors
    /// Those of `accept(2)`.
    pub fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (inner, peer) = self.socket.read(net::UnixListener::accept)?;
        Ok((UnixStream { socket: Socket::new(inner)? }, peer))
    }

    /// Accepts for ever.
    pub fn incoming(&self) -> UnixIncoming<'_> {
        UnixIncoming { listener: self }
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// A second handle to the same listener.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone(net::UnixListener::try_clone)? })
    }
}

as_fd!(UnixListener);

/// Accepts for ever; see [`UnixListener::incoming`].
#[derive(Debug)]
pub struct UnixIncoming<'a> {
    listener: &'a UnixListener,
}

impl Iterator for UnixIncoming<'_> {
    type Item = io::Result<UnixStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

/// Like [`std::os::unix::net::UnixStream`]; waiting parks the goroutine, not its thread.
///
/// A shared reference reads and writes too, so one goroutine can read while another writes.
///
/// ```
/// use corefit_runtime::net::UnixStream;
/// use std::io::{Read, Write};
///
/// corefit_runtime::run(|| {
///     let (mut here, mut there) = UnixStream::pair().unwrap();
///     here.write_all(b"over").unwrap();
///     let mut bytes = [0; 4];
///     there.read_exact(&mut bytes).unwrap();
///     assert_eq!(&bytes, b"over");
/// });
/// ```
#[derive(Debug)]
pub struct UnixStream {
    socket: Socket<net::UnixStream>,
}

impl UnixStream {
    /// Connects to the listener at `path`. While the listener's queue is full, it waits in a blocking call; macOS refuses.
    ///
    /// # Errors
    /// Nobody listens there, or the path is too long.
    pub fn connect<P: AsRef<Path>>(path: P) -> io::Result<Self> {
        let path = path.as_ref();
        let address = SocketAddrUnix::new(path)?;
        let descriptor = os::stream_socket(AddressFamily::UNIX)?;
        let inner = match rustix::net::connect(&descriptor, &address) {
            Ok(()) => net::UnixStream::from(descriptor),
            // The queue is full, and the kernel has no event for room in it.
            Err(Errno::AGAIN) => crate::blocking(|| net::UnixStream::connect(path))?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { socket: Socket::new(inner)? })
    }

    /// Two streams without a name that are connected to each other.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = net::UnixStream::pair()?;
        Ok((Self { socket: Socket::new(one)? }, Self { socket: Socket::new(other)? }))
    }

    /// The address of the other side.
    ///
    /// # Errors
    /// Those of `getpeername(2)`.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// Ends reading, writing or both, for all handles; a read that waits gives 0 bytes.
    ///
    /// # Errors
    /// It is not connected any more.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.inner().shutdown(how)
    }

    /// A second handle to the same connection, with the same timeouts.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone(net::UnixStream::try_clone)? })
    }

    timeouts!();
}

byte_stream!(UnixStream, receive);
as_fd!(UnixStream);
