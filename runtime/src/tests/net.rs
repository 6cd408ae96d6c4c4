//! Descriptors through the poller, on loopback and socket pairs.

use crate::netpoll::{Direction, Pollable};
use crate::{Config, go, yield_now};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// A socket as `net` makes them.
struct Socket<S> {
    pollable: Pollable,
    inner: S,
}

impl<S: AsRawFd> Socket<S> {
    fn new(inner: S) -> Self {
        Self { pollable: Pollable::new(inner.as_raw_fd()).unwrap(), inner }
    }

    fn retry<R>(&self, direction: Direction, mut f: impl FnMut(&S) -> io::Result<R>) -> io::Result<R> {
        loop {
            match f(&self.inner) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.pollable.wait(direction, None)?
                }
                other => return other,
            }
        }
    }
}

impl<S> Socket<S>
where
    S: AsRawFd,
    for<'a> &'a S: Read + Write,
{
    fn read_exact(&self, mut bytes: &mut [u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.retry(Direction::Read, |mut socket| socket.read(bytes))?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes = &mut bytes[count..];
        }
        Ok(())
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = self.retry(Direction::Write, |mut socket| socket.write(bytes))?;
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

fn pair() -> (Socket<UnixStream>, Socket<UnixStream>) {
    let (left, right) = UnixStream::pair().unwrap();
    left.set_nonblocking(true).unwrap();
    right.set_nonblocking(true).unwrap();
    (Socket::new(left), Socket::new(right))
}

fn echo(procs: usize, clients: usize, rounds: u32) {
    Config::new().procs(procs).run(move || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = go(move || {
            let listener = Socket::new(listener);
            for _ in 0..clients {
                let (stream, _) = listener.retry(Direction::Read, TcpListener::accept).unwrap();
                stream.set_nonblocking(true).unwrap();
                let _serves = go(move || {
                    let stream = Socket::new(stream);
                    let mut bytes = [0; 4];
                    while stream.read_exact(&mut bytes).is_ok() {
                        stream.write_all(&bytes).unwrap();
                    }
                });
            }
        });
        let clients: Vec<_> = (0..clients)
            .map(|_| {
                go(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    stream.set_nonblocking(true).unwrap();
                    let stream = Socket::new(stream);
                    for n in 0..rounds {
                        stream.write_all(&n.to_ne_bytes()).unwrap();
                        let mut bytes = [0; 4];
                        stream.read_exact(&mut bytes).unwrap();
                        assert_eq!(u32::from_ne_bytes(bytes), n);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().unwrap());
        server.join().unwrap();
    });
}

#[test]
fn echoes_come_back_on_one_processor() {
    echo(1, 8, 200);
}

#[test]
fn echoes_come_back_on_two_processors() {
    echo(2, 8, 200);
}

#[test]
fn the_network_is_served_beside_goroutines_that_only_yield() {
    Config::new().procs(1).run(|| {
        let done = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&done);
        let yielder = go(move || {
            while !theirs.load(SeqCst) {
                yield_now();
            }
        });
        let (left, right) = pair();
        let server = go(move || {
            let mut byte = [0];
            for _ in 0..20 {
                right.read_exact(&mut byte).unwrap();
                right.write_all(&byte).unwrap();
            }
        });
        for n in 0..20 {
            let mut byte = [0];
            left.write_all(&[n]).unwrap();
            left.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [n]);
        }
        done.store(true, SeqCst);
        yielder.join().unwrap();
        server.join().unwrap();
    });
}

#[test]
fn a_full_buffer_makes_the_writer_wait() {
    const BYTES: usize = 4 << 20;
    Config::new().procs(2).run(|| {
        let (left, right) = pair();
        let writer = go(move || left.write_all(&vec![7; BYTES]).unwrap());
        let mut bytes = vec![0; BYTES];
        right.read_exact(&mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 7));
        writer.join().unwrap();
    });
}

#[test]
fn many_readers_of_one_socket_miss_nothing() {
    const BYTES: usize = 3_000;
    for procs in [1, 2] {
        Config::new().procs(procs).run(|| {
            let (left, right) = pair();
            let (right, got) = (Arc::new(right), Arc::new(AtomicUsize::new(0)));
            let readers: Vec<_> = (0..6)
                .map(|_| {
                    let (right, got) = (Arc::clone(&right), Arc::clone(&got));
                    go(move || {
                        let mut byte = [0];
                        while right.retry(Direction::Read, |mut socket| socket.read(&mut byte)).unwrap() == 1
                        {
                            got.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            for chunk in [[1; 3]; BYTES / 3] {
                left.write_all(&chunk).unwrap();
                yield_now();
            }
            // Each byte arrives although readers stop after one: a lost edge would leave some unread for ever.
            while got.load(SeqCst) < BYTES {
                yield_now();
            }
            drop(left);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
        });
    }
}

#[test]
fn a_deadline_ends_the_wait() {
    let wait = || {
        let (_left, right) = pair();
        let deadline = Instant::now() + Duration::from_millis(2);
        let error = right.pollable.wait(Direction::Read, Some(deadline)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(Instant::now() >= deadline);
        // Writable at once.
        right.pollable.wait(Direction::Write, Some(Instant::now() + Duration::from_secs(60))).unwrap();
    };
    Config::new().procs(1).run(move || {
        wait();
        crate::blocking(wait);
    });
    wait();
}

#[test]
fn a_socket_made_outside_is_served_inside_and_in_the_next_runtime() {
    let (left, right) = pair();
    let (left, right) = (Arc::new(left), Arc::new(right));
    for _ in 0..2 {
        let (left, right) = (Arc::clone(&left), Arc::clone(&right));
        Config::new().procs(1).run(move || {
            let reader = go(move || {
                let mut byte = [0];
                right.read_exact(&mut byte).unwrap();
                byte
            });
            yield_now();
            left.write_all(&[3]).unwrap();
            assert_eq!(reader.join().unwrap(), [3]);
        });
    }
    let writer = thread::spawn(move || left.write_all(&[4]).unwrap());
    let mut byte = [0];
    right.read_exact(&mut byte).unwrap();
    writer.join().unwrap();
    assert_eq!(byte, [4]);
}
