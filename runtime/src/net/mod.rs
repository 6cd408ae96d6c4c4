//! Sockets, as std's: waiting parks the goroutine, never its thread.
//!
//! They are std's sockets in non-blocking mode. Every operation is tried at once and, while it would block, waits for the
//! netpoller and is tried again; timeouts are deadlines of that wait.

mod habit;
mod socket;
mod tcp;
mod udp;
mod unix;

pub use tcp::{TcpIncoming, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixIncoming, UnixListener, UnixStream};
