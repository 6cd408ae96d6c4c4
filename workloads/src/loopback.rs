//! A server and its clients in one process, over loopback.

use std::time::Duration;

use corefit_runtime::net::{TcpListener, TcpStream};
use corefit_runtime::{JoinHandle, go};

use crate::Failure;
use crate::crew::{cannot, join_all};

/// How long a client waits for a byte before it gives up: far longer than any sample, so that only a lost one counts.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that has accepted all its connections. It ends when all clients have closed theirs.
pub(crate) struct Server<T> {
    acceptor: JoinHandle<Result<Vec<T>, Failure>>,
}

impl<T: Send + 'static> Server<T> {
    /// Starts a server on a free port of loopback and connects `clients` clients to it. Each connection is served by
    /// `serve` in a goroutine of its own. Nothing listens any more once all have been accepted.
    ///
    /// # Errors
    /// The port or a connection cannot be had.
    pub(crate) fn start(
        clients: usize,
        serve: fn(TcpStream) -> Result<T, Failure>,
    ) -> Result<(Self, Vec<TcpStream>), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot("listen on loopback"))?;
        let address = listener.local_addr().map_err(cannot("read the port of the server"))?;
        let acceptor = go(move || {
            let accepted = (0..clients).map(|_| {
                let (stream, _) = listener.accept().map_err(cannot("accept a connection"))?;
                stream.set_nodelay(true).map_err(cannot("set TCP_NODELAY"))?;
                Ok(go(move || serve(stream)))
            });
            let accepted = accepted.collect::<Result<Vec<_>, Failure>>()?;
            drop(listener);
            join_all(accepted)
        });
        let streams = (0..clients).map(|_| {
            let stream = TcpStream::connect(address).map_err(cannot("connect to the server"))?;
            stream.set_nodelay(true).map_err(cannot("set TCP_NODELAY"))?;
            stream.set_read_timeout(Some(PATIENCE)).map_err(cannot("set a timeout"))?;
            Ok(stream)
        });
        let streams = streams.collect::<Result<Vec<_>, Failure>>()?;
        Ok((Self { acceptor }, streams))
    }

    /// Waits until the server has ended; what `serve` gave for each connection. The clients must have gone before.
    ///
    /// # Errors
    /// The first failure of a connection, or of accepting one.
    pub(crate) fn join(self) -> Result<Vec<T>, Failure> {
        crate::crew::join(self.acceptor)
    }
}
