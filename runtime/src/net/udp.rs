//! UDP.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use crate::net::socket::{Socket, as_fd, resolve, resolve_first, timeouts};

/// Like [`std::net::UdpSocket`]; waiting parks the goroutine, not its thread.
///
/// ```
/// use corefit_runtime::net::UdpSocket;
///
/// let received = corefit_runtime::run(|| -> std::io::Result<usize> {
///     let (here, there) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
///     here.send_to(b"hello", there.local_addr()?)?;
///     let mut datagram = [0; 16];
///     let (length, from) = there.recv_from(&mut datagram)?;
///     assert_eq!((&datagram[..length], from), (&b"hello"[..], here.local_addr()?));
///     Ok(length)
/// });
/// assert_eq!(received.unwrap(), 5);
/// ```
#[derive(Debug)]
pub struct UdpSocket {
    socket: Socket<std::net::UdpSocket>,
}

impl UdpSocket {
    /// A socket at `address`; port 0 lets the kernel choose one. If it stands for several, the first that works is
    /// taken.
    ///
    /// # Errors
    /// None of the addresses can be had; the error is that of the last.
    pub fn bind<A: ToSocketAddrs>(address: A) -> io::Result<Self> {
        let inner = std::net::UdpSocket::bind(&resolve(address)?[..])?;
        Ok(Self { socket: Socket::new(inner)? })
    }

    /// Sets whom [`send`](Self::send) sends to and [`recv`](Self::recv) hears.
    ///
    /// # Errors
    /// None of the addresses can be used; the error is that of the last.
    pub fn connect<A: ToSocketAddrs>(&self, address: A) -> io::Result<()> {
        // Sets an address; nothing is sent and nothing waits.
        self.socket.inner().connect(&resolve(address)?[..])
    }

    /// Sends one datagram to `address` (the first, if it stands for several); gives the bytes sent.
    ///
    /// # Errors
    /// Those of `sendto(2)`; `TimedOut` after the write timeout.
    pub fn send_to<A: ToSocketAddrs>(&self, buf: &[u8], address: A) -> io::Result<usize> {
        let address = resolve_first(address)?;
        self.socket.write(|socket| socket.send_to(buf, address))
    }

    /// Waits for a datagram; gives its bytes, cut off at the end of `buf`, and who sent it.
    ///
    /// # Errors
    /// Those of `recvfrom(2)`; `TimedOut` after the read timeout.
    pub fn recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.read(|socket| socket.recv_from(buf))
    }

    /// Sends one datagram to the connected address; gives the bytes sent.
    ///
    /// # Errors
    /// Those of `send(2)`; it is not connected; `TimedOut` after the write timeout.
    pub fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.socket.write(|socket| socket.send(buf))
    }

    /// Waits for a datagram from the connected address; gives its bytes, cut off at the end of `buf`.
    ///
    /// # Errors
    /// Those of `recv(2)`, also that the other side refused an earlier datagram; `TimedOut` after the read timeout.
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.read(|socket| socket.recv(buf))
    }

    /// The address of this side, with the port that was chosen.
    ///
    /// # Errors
    /// Those of `getsockname(2)`.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().local_addr()
    }

    /// The connected address.
    ///
    /// # Errors
    /// It is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.inner().peer_addr()
    }

    /// A second handle to the same socket, with the same timeouts.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.try_clone(std::net::UdpSocket::try_clone)? })
    }

    timeouts!();
}

as_fd!(UdpSocket);
