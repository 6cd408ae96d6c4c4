//! A small HTTP/1.1 server.
//!
//! - **Models**: a web service: connections that are kept alive, and for each request a goroutine that runs a handler
//!   of 20 µs of compute.
//! - **Op**: one request, from a client's first byte to the last one of its response. Unit: `requests/s`.
//! - **Expected**: good at first, then below linear: handlers run in parallel, the kernel's network path less so.
//! - **Blocks on**: the network, over loopback, and the end of the handler.

use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::time::Instant;

use corefit_runtime::go;
use corefit_runtime::net::TcpStream;

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{self, cannot, expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::loopback::Server;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "http_server",
    about: "HTTP/1.1 keep-alive, a goroutine per request",
    scaling: "good at first, then the kernel's network path",
    unit: "requests/s",
    policy: None,
    parameters: &[],
    run,
};

/// Connections, each with a client that waits for a response before it asks again.
const CLIENTS: usize = 32;
/// Requests of each client at scale 1.
const REQUESTS: u64 = 450;
/// Steps of a handler: 20 µs at 3 GHz.
const HANDLER_STEPS: u64 = 20 * STEPS_PER_US;
/// Largest body that is read, in bytes; those of this workload are below 64.
const LARGEST_BODY: usize = 1 << 16;

/// A request or response: its first line and its body. Headers other than the body's length are skipped.
#[derive(Debug, PartialEq)]
struct Message {
    first_line: String,
    body: Vec<u8>,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let requests = settings.scaled(REQUESTS, 2);
    let (server, streams) = Server::start(CLIENTS, serve_connection)?;
    let watch = Stopwatch::start();
    let clients: Vec<_> =
        (0..).zip(streams).map(|(client, stream)| go(move || ask(&stream, client, requests))).collect();
    let latencies_ns = join_all(clients)?;
    let timed = watch.stop();
    let served = server.join()?;
    expect_equal("the requests served on each connection", served, vec![requests; CLIENTS])?;
    let ops = CLIENTS as u64 * requests;
    Ok(Outcome { ops, timed, latency_ns: Some(histogram(latencies_ns.into_iter().flatten())) })
}

/// The server's side of a connection, until the client closes it; how many requests it served.
#[inline(never)]
fn serve_connection(stream: TcpStream) -> Result<u64, Failure> {
    let mut reader = BufReader::new(&stream);
    let mut served = 0;
    while let Some(request) = read_message(&mut reader).map_err(cannot("read a request"))? {
        let response = crew::join(go(move || Ok(handle(&request))))?;
        (&stream).write_all(response.as_bytes()).map_err(cannot("write a response"))?;
        served += 1;
    }
    Ok(served)
}

/// The handler: prices an order. Its goroutine lives for one request.
#[inline(never)]
fn handle(request: &Message) -> String {
    let path =
        request.first_line.strip_prefix("GET /orders/").and_then(|rest| rest.strip_suffix(" HTTP/1.1"));
    let (status, body) = match path.and_then(|order| order.parse().ok()) {
        Some(order) => ("200 OK", order_json(order, black_box(chain::compute(order, HANDLER_STEPS)))),
        None => ("404 Not Found", String::new()),
    };
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn order_json(order: u64, price: u64) -> String {
    format!("{{\"order\":{order},\"price\":{price}}}")
}

/// One client: `requests` requests, each response checked; how long each took, in nanoseconds.
#[inline(never)]
fn ask(stream: &TcpStream, client: u64, requests: u64) -> Result<Vec<u64>, Failure> {
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut latencies_ns = Vec::with_capacity(requests as usize);
    for request in 0..requests {
        let order = client * requests + request;
        let start = Instant::now();
        writer.write_all(request_for(order).as_bytes()).map_err(cannot("write a request"))?;
        let response = read_message(&mut reader).map_err(cannot("read a response"))?;
        latencies_ns.push(nanoseconds(start.elapsed()));
        expect_equal("a response", response, Some(expected_response(order)))?;
    }
    Ok(latencies_ns)
}

fn request_for(order: u64) -> String {
    format!("GET /orders/{order} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")
}

fn expected_response(order: u64) -> Message {
    let body = order_json(order, chain::expected(order, HANDLER_STEPS)).into_bytes();
    Message { first_line: "HTTP/1.1 200 OK".to_owned(), body }
}

/// Reads up to the end of the next message; `None` if there is none before the end.
///
/// # Errors
/// The connection's, or that what came is no HTTP message.
fn read_message(reader: &mut impl BufRead) -> io::Result<Option<Message>> {
    let Some(first_line) = read_line(reader)? else { return Ok(None) };
    let mut length = 0;
    loop {
        let header = read_line(reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if header.is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length =
                value.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
    if length > LARGEST_BODY {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a body of {length} bytes is too long"),
        ));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Some(Message { first_line, body }))
}

/// The next line without its end; `None` at the end.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    let read = reader.read_line(&mut line)?;
    line.truncate(line.trim_end().len());
    Ok((read > 0).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(CLIENTS as u64 * 2);
    }

    #[test]
    fn messages_come_one_after_the_other_out_of_one_stream() {
        let mut bytes = b"A\r\nX: y\r\ncontent-length: 3\r\n\r\nabcB\r\n\r\n".as_slice();
        let message = |first_line: &str, body: &[u8]| {
            Some(Message { first_line: first_line.to_owned(), body: body.to_owned() })
        };
        assert_eq!(read_message(&mut bytes).unwrap(), message("A", b"abc"));
        assert_eq!(read_message(&mut bytes).unwrap(), message("B", b""));
        assert_eq!(read_message(&mut bytes).unwrap(), None);
    }

    #[test]
    fn a_torn_or_senseless_message_is_an_error() {
        for bad in ["A\r\n", "A\r\nContent-Length: 9\r\n\r\nabc", "A\r\nContent-Length: -1\r\n\r\n"] {
            assert!(read_message(&mut bad.as_bytes()).is_err(), "{bad:?}");
        }
        let too_long = format!("A\r\nContent-Length: {}\r\n\r\n", LARGEST_BODY + 1);
        assert!(read_message(&mut too_long.as_bytes()).unwrap_err().to_string().contains("too long"));
    }

    #[test]
    fn a_handled_request_gives_the_response_that_is_expected_and_no_other() {
        let request = read_message(&mut request_for(7).as_bytes()).unwrap().unwrap();
        let response = read_message(&mut handle(&request).as_bytes()).unwrap().unwrap();
        assert_eq!(response, expected_response(7));
        assert_ne!(response, expected_response(8));
    }

    #[test]
    fn an_unknown_path_is_not_found() {
        let request = Message { first_line: "GET /orders/x HTTP/1.1".to_owned(), body: Vec::new() };
        assert!(handle(&request).starts_with("HTTP/1.1 404 "));
    }
}
