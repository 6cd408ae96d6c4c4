//! A server that sends back what it gets.
//!
//! - **Models**: the least a network service can do: proxies, brokers, game servers; a goroutine per connection.
//! - **Op**: one round trip of 64 bytes, from a client's write to the last byte of its answer. Unit: `echoes/s`.
//! - **Expected**: below linear: nearly all time is the kernel's, in its TCP stack and in waking the other side; clients
//!   and server share the processors.
//! - **Blocks on**: the network, over loopback.

use std::io::{Read, Write};
use std::time::Instant;

use corefit_runtime::go;
use corefit_runtime::net::TcpStream;

use crate::crew::{cannot, expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::loopback::Server;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "echo_server",
    about: "TCP echo on loopback, a goroutine per connection",
    scaling: "below linear: the kernel's network path",
    unit: "echoes/s",
    policy: None,
    parameters: &[],
    run,
};

/// Connections, each with a client that waits for an echo before it sends again.
const CLIENTS: usize = 64;
/// Echoes of each client at scale 1.
const ECHOES: u64 = 1_200;
/// Bytes of a message.
const MESSAGE_BYTES: usize = 64;

type Message = [u8; MESSAGE_BYTES];

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let echoes = settings.scaled(ECHOES, 2);
    let (server, streams) = Server::start(CLIENTS, serve_connection)?;
    let watch = Stopwatch::start();
    let clients: Vec<_> =
        (0..).zip(streams).map(|(client, stream)| go(move || ask(stream, client, echoes))).collect();
    let latencies_ns = join_all(clients)?;
    let timed = watch.stop();
    let served = server.join()?;
    expect_equal(
        "the bytes echoed on each connection",
        served,
        vec![echoes * MESSAGE_BYTES as u64; CLIENTS],
    )?;
    let ops = CLIENTS as u64 * echoes;
    Ok(Outcome { ops, timed, latency_ns: Some(histogram(latencies_ns.into_iter().flatten())) })
}

/// The server's side of a connection, until the client closes it; how many bytes it sent back.
#[inline(never)]
fn serve_connection(mut stream: TcpStream) -> Result<u64, Failure> {
    let mut buffer = [0; MESSAGE_BYTES];
    let mut echoed = 0;
    loop {
        let read = stream.read(&mut buffer).map_err(cannot("read on the server"))?;
        if read == 0 {
            return Ok(echoed);
        }
        stream.write_all(&buffer[..read]).map_err(cannot("write on the server"))?;
        echoed += read as u64;
    }
}

/// One client: `echoes` round trips, each checked; how long each took, in nanoseconds.
#[inline(never)]
fn ask(mut stream: TcpStream, client: u64, echoes: u64) -> Result<Vec<u64>, Failure> {
    let mut latencies_ns = Vec::with_capacity(echoes as usize);
    let mut answer = [0; MESSAGE_BYTES];
    for echo in 0..echoes {
        let message = message(client, echo);
        let start = Instant::now();
        stream.write_all(&message).map_err(cannot("write on a client"))?;
        stream.read_exact(&mut answer).map_err(cannot("read on a client"))?;
        latencies_ns.push(nanoseconds(start.elapsed()));
        expect_equal("an echo", answer, message)?;
    }
    Ok(latencies_ns)
}

/// A message no other client and no other echo has.
fn message(client: u64, echo: u64) -> Message {
    let mut message = [0; MESSAGE_BYTES];
    for (word, bytes) in (0..).zip(message.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&(client << 40 | echo << 8 | word).to_le_bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;
    use corefit_runtime::Config;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(CLIENTS as u64 * 2);
    }

    #[test]
    fn an_echo_of_something_else_is_noticed() {
        fn serve_wrongly(mut stream: TcpStream) -> Result<u64, Failure> {
            stream.write_all(&message(1, 1)).map_err(cannot("write on the server"))?;
            serve_connection(stream)
        }
        let result = Config::new().procs(1).run(|| {
            // Not joined: the client leaves without reading all, which is an error on the server's side.
            let (_server, mut streams) = Server::start(1, serve_wrongly)?;
            ask(streams.remove(0), 0, 1)
        });
        assert!(result.unwrap_err().to_string().starts_with("wrong result: an echo"));
    }
}
