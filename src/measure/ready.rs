//! Waiting until a server serves, by asking it as its clients will.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::child::{Child, wait_any};
use super::interrupt;
use crate::quote::one_line;
use crate::target::Ready;

/// How long one try may take: to connect, to write, and for each read of the answer. Guess.
const TRY: Duration = Duration::from_millis(500);
/// The pause after the first try; the next are longer. Guess.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// The longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// Bytes of an answer that are read: its status is in the first dozen.
const ANSWER_BYTES: usize = 512;

/// Whether somebody serves already where a server is to be started, said in one line.
///
/// # Errors
/// In one line: its address cannot be found.
pub fn taken(ready: &Ready) -> Result<Option<String>, String> {
    let Some(address) = address(ready) else { return Ok(None) };
    let resolved = resolve(&address).map_err(|error| {
        format!("cannot find the address of `--ready {}`: {error}", one_line(&ready.to_string()))
    })?;
    let is_taken = resolved.iter().any(|address| connect(address).is_ok());
    let text =
        format!("something listens on {address} before the server is started; stop it, or take another port");
    Ok(is_taken.then_some(text))
}

/// What to connect to, if it shows by a connection that a server is ready.
fn address(ready: &Ready) -> Option<String> {
    match ready {
        Ready::Tcp(address) => Some(address.clone()),
        Ready::Http(url) => Some(url.address()),
        Ready::Line(_) => None,
    }
}

/// Waits until `server`, started, serves; in one line why it never does. At an interruption it says nothing of interest.
pub(super) fn wait(server: &mut Child, ready: &Ready, limit: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let Err(why) = probe(server, ready) else { return Ok(()) };
        let left = limit.saturating_sub(begun.elapsed());
        if wait_any(&mut [server], Instant::now().checked_add(pause.min(left))) {
            return Err("the server ended before it was ready".to_owned());
        }
        if interrupt::interrupted() || left.is_zero() {
            let limit_s = limit.as_secs_f64();
            return Err(format!("the server was not ready after {limit_s} s: {why}"));
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

/// One try; in one line why it failed.
fn probe(server: &Child, ready: &Ready) -> Result<(), String> {
    let shown = one_line(&ready.to_string());
    let why = match ready {
        Ready::Line(_) if server.has_found_line() => return Ok(()),
        Ready::Line(_) => format!("no line of its output matches `{shown}`"),
        Ready::Tcp(address) => match try_each(address, |_stream| Ok(())) {
            Ok(()) => return Ok(()),
            Err(error) => format!("`{shown}` does not accept: {error}"),
        },
        Ready::Http(url) => match try_each(&url.address(), |stream| status(stream, &url.request())) {
            Ok(200..400) => return Ok(()),
            Ok(status) => format!("`{shown}` answers with status {status}"),
            Err(error) => format!("`{shown}` does not answer: {error}"),
        },
    };
    Err(why)
}

/// Does `what` with a connection to the first of the addresses of `address` that accepts one.
fn try_each<T>(address: &str, what: impl Fn(TcpStream) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(address)? {
        match connect(&address).and_then(&what) {
            Ok(value) => return Ok(value),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    Ok(address.to_socket_addrs()?.collect())
}

fn connect(address: &SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, TRY)?;
    // A port that nobody listens on may be the one that the kernel gave to our end: then we have reached ourselves.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Asks, and reads the status of the answer.
fn status(mut stream: TcpStream, request: &str) -> io::Result<u16> {
    stream.set_read_timeout(Some(TRY))?;
    stream.set_write_timeout(Some(TRY))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; ANSWER_BYTES];
    while answer.len() < ANSWER_BYTES && !answer.contains(&b'\n') {
        match stream.read(&mut buffer)? {
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    parse_status(&answer).ok_or_else(|| io::Error::other("the answer is not HTTP"))
}

/// `HTTP/1.1 200 OK`: the number.
fn parse_status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let mut words = std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)).ok()?.split(' ');
    words.next()?.strip_prefix("HTTP/")?;
    words.next()?.parse().ok().filter(|status| (100..600).contains(status))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_status_is_the_second_word_of_an_http_answer() {
        assert_eq!(parse_status(b"HTTP/1.1 200 OK\r\nServer: x\r\n"), Some(200));
        assert_eq!(parse_status(b"HTTP/1.0 404\r\n"), Some(404));
        assert_eq!(parse_status(b"HTTP/1.1 503"), Some(503));
        for nonsense in
            [&b""[..], b"SSH-2.0-x\r\n", b"HTTP/1.1", b"HTTP/1.1 x", b"HTTP/1.1 99999 y", b"\xff\xfe"]
        {
            assert_eq!(parse_status(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn an_answer_that_comes_in_pieces_is_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for piece in ["HTTP/1.1 30", "2 Found\r\n", "\r\n"] {
                stream.write_all(piece.as_bytes()).unwrap();
            }
            let mut request = [0; 16];
            let read = stream.read(&mut request).unwrap();
            assert!(request[..read].starts_with(b"GET /health"));
        });
        let Ok(Ready::Http(url)) = format!("http://{address}/health").parse() else { panic!("a URL") };
        assert_eq!(status(connect(&address).unwrap(), &url.request()).unwrap(), 302);
        server.join().unwrap();
    }

    #[test]
    fn a_port_is_taken_while_somebody_listens_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tcp: Ready = format!("tcp:{address}").parse().unwrap();
        let said = taken(&tcp).unwrap().unwrap();
        assert!(said.contains(&address), "{said}");
        assert!(taken(&format!("http://{address}/").parse().unwrap()).unwrap().is_some());
        assert_eq!(taken(&"line:x".parse().unwrap()).unwrap(), None);
        assert!(taken(&"tcp:no-such-host.invalid:80".parse().unwrap()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_answer_is_read_without_a_panic(answer in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse_status(&answer);
        }
    }
}
