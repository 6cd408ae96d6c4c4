//! TCP.

use std::io;
use std::net::{Shutdown, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::AddressFamily;

use crate::net::socket::{Socket, as_fd, byte_stream, resolve, timeouts};
use crate::netpoll::Direction;
use crate::os;

/// Like [`std::net::TcpListener`]; waiting parks the goroutine, not its thread.
///
/// ```
/// use corefit_runtime::net::{TcpListener, TcpStream};
/// use corefit_runtime::{go, run};
/// use std::io::{Read, Write};
///
/// let answer = run(|| -> std::io::Result<String> {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?;
///     go(move || {
///         // A goroutine for each connection costs little.
///         for stream in listener.incoming() {
///             go(move || -> std::io::Result<u64> {
///                 let stream = stream?;
///                 std::io::copy(&mut &stream, &mut &stream)
///             });
///         }
///     });
///     let mut stream = TcpStream::connect(address)?;
///     stream.write_all(b"echo")?;
///     stream.shutdown(std::net::Shutdown::Write)?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer)?;
///     Ok(answer)
/// });
/// assert_eq!(answer.unwrap(), "echo");
/// ```
#[derive(Debug)]
pub struct TcpListener {
    socket: Socket<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens on `address`; port 0 lets the kernel choose one. If it stands for several, the first that works is taken.
    ///
    /// # Errors
    /// None of the addresses can be had; the error is that of the last.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let inner = std::net::TcpListener::bind(&resolve(address)?[..])?;
        Ok(Self { socket: Socket::new(inner)? })
    }

    /// Waits for a connection and takes it; gives who connected too.
    ///
    /// # Errors
    /// Those of `accept(2)`. Most concern this connection only (`ConnectionAborted`) or pass (out of descriptors).
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (inner, peer) = self.socket.read(std::net::TcpListener::accept)?;
        Ok((TcpStream { socket: Socket::new(inner)? }, peer))
    }

    /// Accepts for ever.
    pub fn incoming(&self) -> TcpIncoming<'_> {
        TcpIncoming { listener: self }
    }

    /// The address it listens on, with the port that was chosen.
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
        Ok(Self { socket: self.socket.try_clone(std::net::TcpListener::try_clone)? })
    }
}

as_fd!(TcpListener);

/// Accepts for ever; see [`TcpListener::incoming`].
#[derive(Debug)]
pub struct TcpIncoming<'a> {
    listener: &'a TcpListener,
}

impl Iterator for TcpIncoming<'_> {
    type Item = io::Result<TcpStream>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.listener.accept().map(|(stream, _)| stream))
    }
}

/// Like [`std::net::TcpStream`]; waiting parks the goroutine, not its thread.
///
/// A shared reference reads and writes too, so one goroutine can read while another writes.
///
/// An example is at [`TcpListener`].
#[derive(Debug)]
pub struct TcpStream {
    socket: Socket<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to `address`. If it stands for several, they are tried in order.
    ///
    /// # Errors
    /// None of the addresses can be connected to; the error is that of the last.
    pub fn connect<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let mut last_error = None;
        for address in resolve(address)? {
            match Self::connect_until(&address, None) {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.expect("`resolve` gives at least one address"))
    }

    /// Connects to `address`, within `timeout`.
    ///
    /// # Errors
    /// The connection fails, or the time passed (`TimedOut`), or the timeout is zero (`InvalidInput`).
    pub fn connect_timeout(address: &SocketAddr, timeout: Duration) -> io::Result<Self> {
        if timeout.is_zero() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "connecting takes longer than a timeout of zero",
            ));
        }
        Self::connect_until(address, Instant::now().checked_add(timeout))
    }

    fn connect_until(address: &SocketAddr, deadline: Option<Instant>) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let descriptor = os::stream_socket(family)?;
        let is_connected = match rustix::net::connect(&descriptor, address) {
            Ok(()) => true,
            // Interrupted or not, the kernel goes on connecting.
            Err(Errno::INPROGRESS | Errno::INTR) => false,
            Err(error) => return Err(error.into()),
        };
        let socket = Socket::new(std::net::TcpStream::from(descriptor))?;
        if !is_connected {
            await_connection(&socket, deadline)?;
        }
        Ok(Self { socket })
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

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket.inner().set_nodelay(nodelay)
    }

    /// Whether small writes are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    /// Those of `getsockopt(2)`.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.inner().nodelay()
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
        Ok(Self { socket: self.socket.try_clone(std::net::TcpStream::try_clone)? })
    }

    timeouts!();
}

byte_stream!(TcpStream, receive_all);
as_fd!(TcpStream);

/// Waits until a connection under way is there or has failed.
fn await_connection(socket: &Socket<std::net::TcpStream>, deadline: Option<Instant>) -> io::Result<()> {
    loop {
        socket.wait(Direction::Write, deadline)?;
        if let Some(error) = socket.inner().take_error()? {
            return Err(error);
        }
        // Neither failed nor connected is possible: a wait may end early.
        match socket.inner().peer_addr() {
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
            result => return result.map(drop),
        }
    }
}
