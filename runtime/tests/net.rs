//! Sockets on loopback, for threads and for goroutines.

mod ground;

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use corefit_runtime::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use corefit_runtime::yield_now;
use ground::{Ground, Task, everywhere};

const LOOPBACK: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);
const MS: Duration = Duration::from_millis(1);

/// A path for a socket, gone at the end of the test.
struct SocketPath(PathBuf);

impl SocketPath {
    fn new(test: &str, ground: Ground) -> Self {
        let name = format!("corefit-runtime-{test}-{ground:?}-{}", std::process::id());
        let path = Self(std::env::temp_dir().join(name));
        // May be left from a run that was killed.
        let _ = std::fs::remove_file(&path.0);
        path
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Sends back what comes until the other side is done.
fn echo(mut stream: impl Read + Write) -> io::Result<usize> {
    let (mut buf, mut total) = ([0; 256], 0);
    loop {
        match stream.read(&mut buf)? {
            0 => return Ok(total),
            count => stream.write_all(&buf[..count])?,
        }
        total += 1;
    }
}

/// Sends `rounds` different messages and expects each back.
fn ask(mut stream: impl Read + Write, name: u8, rounds: u8) {
    for round in 0..rounds {
        let (message, mut answer) = ([name, round, 7], [0; 3]);
        stream.write_all(&message).expect("the echo server reads");
        stream.read_exact(&mut answer).expect("the echo server answers");
        assert_eq!(answer, message);
    }
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(LOOPBACK).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("a bound address")).expect("a listener");
    let (server, peer) = listener.accept().expect("a connection");
    assert_eq!(peer, client.local_addr().expect("a connected address"));
    (client, server)
}

#[test]
fn a_tcp_server_echoes_to_many_clients() {
    everywhere(|ground| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = ground.spawn(move || {
            let streams = listener.incoming().take(8).map(io::Result::unwrap);
            let echoes: Vec<_> = streams.map(|stream| ground.spawn(move || echo(stream).unwrap())).collect();
            echoes.into_iter().map(Task::join).all(|answers| answers >= 1)
        });
        let clients: Vec<_> = (0..8)
            .map(|name| {
                ground.spawn(move || {
                    let stream = TcpStream::connect(address).unwrap();
                    stream.set_nodelay(true).unwrap();
                    assert!(stream.nodelay().unwrap());
                    assert_eq!(stream.peer_addr().unwrap(), address);
                    ask(&stream, name, 20);
                })
            })
            .collect();
        clients.into_iter().for_each(Task::join);
        assert!(server.join());
    });
}

#[test]
fn more_than_the_buffers_hold_goes_through_whole_and_in_order() {
    everywhere(|ground| {
        const WORDS: u32 = 1 << 20;
        let (mut client, mut server) = tcp_pair();
        let writer = ground.spawn(move || {
            for start in (0..WORDS).step_by(1 << 12) {
                let bytes: Vec<u8> = (start..start + (1 << 12)).flat_map(u32::to_le_bytes).collect();
                client.write_all(&bytes).unwrap();
            }
        });
        let (mut word, mut buf) = (0_u32, vec![0; 1 << 16]);
        while word < WORDS {
            server.read_exact(&mut buf).unwrap();
            for bytes in buf.chunks_exact(4) {
                assert_eq!(bytes, word.to_le_bytes());
                word += 1;
            }
        }
        assert_eq!(server.read(&mut buf).unwrap(), 0);
        writer.join();
    });
}

#[test]
fn one_stream_is_read_and_written_at_the_same_time() {
    everywhere(|ground| {
        let (client, server) = tcp_pair();
        let server = ground.spawn(move || echo(&server).unwrap());
        let client = Arc::new(client);
        let reader = {
            let client = client.clone();
            ground.spawn(move || {
                let mut bytes = Vec::new();
                (&*client).read_to_end(&mut bytes).unwrap();
                bytes
            })
        };
        let mut twin = client.try_clone().unwrap();
        for n in 0..200 {
            let message = [n; 3];
            let (one, other) = message.split_at(1);
            assert_eq!(twin.write_vectored(&[IoSlice::new(one), IoSlice::new(other)]).unwrap(), 3);
        }
        twin.flush().unwrap();
        twin.shutdown(Shutdown::Write).unwrap();
        assert!(reader.join().into_iter().eq((0..200).flat_map(|n| [n; 3])));
        assert!(server.join() >= 1);
    });
}

#[test]
fn reads_time_out_and_work_afterwards() {
    everywhere(|_| {
        let (client, mut server) = tcp_pair();
        let mut byte = [0];
        server.set_read_timeout(Some(2 * MS)).unwrap();
        assert_eq!(server.read_timeout().unwrap(), Some(2 * MS));
        assert_eq!(server.read(&mut byte).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(server.try_clone().unwrap().read(&mut byte).unwrap_err().kind(), ErrorKind::TimedOut);
        server.set_read_timeout(None).unwrap();
        (&client).write_all(&[9]).unwrap();
        let mut halves = [0; 2];
        let (one, other) = halves.split_at_mut(1);
        assert_eq!(server.read_vectored(&mut [IoSliceMut::new(one), IoSliceMut::new(other)]).unwrap(), 1);
        assert_eq!(halves, [9, 0]);
        assert_eq!(
            server.set_read_timeout(Some(Duration::ZERO)).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    });
}

#[test]
fn writes_time_out_when_nobody_reads() {
    everywhere(|_| {
        let (mut client, server) = tcp_pair();
        client.set_write_timeout(Some(2 * MS)).unwrap();
        assert_eq!((client.read_timeout().unwrap(), client.write_timeout().unwrap()), (None, Some(2 * MS)));
        let bytes = vec![0; 1 << 16];
        let error = loop {
            if let Err(error) = client.write(&bytes) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(server);
    });
}

#[test]
fn a_peer_that_closes_ends_reads_and_breaks_writes() {
    everywhere(|ground| {
        let (mut client, server) = tcp_pair();
        let closer = ground.spawn(move || drop(server));
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        closer.join();
        let error = loop {
            match client.write_all(&[1]) {
                Ok(()) => yield_now(),
                Err(error) => break error,
            }
        };
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    });
}

#[test]
fn who_expects_nothing_more_finds_what_is_there() {
    everywhere(|ground| {
        for others_are_busy in [false, true] {
            let ((mut client, mut server), ends) = (tcp_pair(), Arc::new(AtomicBool::new(!others_are_busy)));
            let busy = {
                let ends = ends.clone();
                ground.spawn(move || {
                    while !ends.load(SeqCst) {
                        yield_now();
                    }
                })
            };
            let server = ground.spawn(move || {
                let mut message = [0; 8];
                while server.read_exact(&mut message).is_ok() {
                    server.write_all(&message).unwrap();
                }
            });
            // One at a time for long enough to make it a habit, then some at once.
            for count in [1; 100].into_iter().chain([2, 3, 10, 1, 2]) {
                let (messages, mut answers) =
                    (vec![count; 8 * usize::from(count)], vec![0; 8 * usize::from(count)]);
                client.write_all(&messages).unwrap();
                client.read_exact(&mut answers).unwrap();
                assert_eq!(answers, messages);
            }
            drop(client);
            server.join();
            ends.store(true, SeqCst);
            busy.join();
        }
    });
}

#[test]
fn a_shutdown_ends_a_read_that_waits() {
    everywhere(|ground| {
        let (client, server) = tcp_pair();
        let client = Arc::new(client);
        let reader = {
            let client = client.clone();
            ground.spawn(move || (&*client).read(&mut [0; 8]).unwrap())
        };
        (0..10).for_each(|_| yield_now());
        client.shutdown(Shutdown::Both).unwrap();
        assert_eq!(reader.join(), 0);
        drop(server);
    });
}

#[test]
fn connecting_to_nobody_is_refused() {
    use rustix::net::{AddressFamily, SocketType, bind, socket};
    everywhere(|ground| {
        // A port that is taken, so that no one else gets it meanwhile, but not listened at.
        let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&silent, &SocketAddr::from(LOOPBACK)).unwrap();
        let silent = std::net::TcpListener::from(silent);
        let address = silent.local_addr().unwrap();
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let refused = TcpStream::connect_timeout(&address, Duration::from_secs(60)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        // The first address that answers is taken.
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        let addresses = [address, listener.local_addr().unwrap()];
        assert_eq!(TcpStream::connect(&addresses[..]).unwrap().peer_addr().unwrap(), addresses[1]);
        let path = SocketPath::new("nobody", ground);
        assert_eq!(UnixStream::connect(&path.0).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn connecting_to_a_full_queue_times_out() {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    everywhere(|_| {
        let full = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&full, &SocketAddr::from(LOOPBACK)).unwrap();
        listen(&full, 0).unwrap();
        let full = std::net::TcpListener::from(full);
        let address = full.local_addr().unwrap();
        // The kernel takes a connection or two before it drops further requests.
        let connected: Vec<_> = (0..8).map(|_| TcpStream::connect_timeout(&address, 20 * MS)).collect();
        let last = connected.last().unwrap().as_ref().unwrap_err();
        assert_eq!(last.kind(), ErrorKind::TimedOut);
        let zero = TcpStream::connect_timeout(&address, Duration::ZERO).unwrap_err();
        assert_eq!(zero.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn a_second_handle_accepts_too() {
    everywhere(|ground| {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        let address = listener.local_addr().unwrap();
        let twin = listener.try_clone().unwrap();
        let accepting = [listener, twin].map(|listener| ground.spawn(move || listener.accept().unwrap()));
        let clients = [(); 2].map(|()| TcpStream::connect(address).unwrap());
        let peers = accepting.map(|task| task.join().1);
        assert!(clients.iter().all(|client| peers.contains(&client.local_addr().unwrap())));
    });
}

#[test]
fn datagrams_go_to_and_fro() {
    everywhere(|ground| {
        let server = UdpSocket::bind(LOOPBACK).unwrap();
        let address = server.local_addr().unwrap();
        let echo = ground.spawn(move || {
            let mut buf = [0; 16];
            for _ in 0..20 {
                let (count, peer) = server.recv_from(&mut buf).unwrap();
                assert_eq!(server.send_to(&buf[..count], peer).unwrap(), count);
            }
        });
        let client = UdpSocket::bind(LOOPBACK).unwrap();
        assert!(client.peer_addr().is_err());
        client.connect(address).unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        let mut buf = [0; 16];
        for n in 0..20 {
            client.send(&[n, n]).unwrap();
            assert_eq!(client.recv(&mut buf).unwrap(), 2);
            assert_eq!(buf[..2], [n, n]);
        }
        echo.join();
        let twin = client.try_clone().unwrap();
        twin.set_read_timeout(Some(MS)).unwrap();
        assert_eq!(twin.recv_from(&mut buf).unwrap_err().kind(), ErrorKind::TimedOut);
    });
}

#[test]
fn a_unix_server_echoes_to_many_clients() {
    everywhere(|ground| {
        let path = SocketPath::new("echo", ground);
        let listener = UnixListener::bind(&path.0).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(&*path.0));
        let server = ground.spawn(move || {
            let streams = listener.incoming().take(4).map(io::Result::unwrap);
            let echoes: Vec<_> = streams.map(|stream| ground.spawn(move || echo(stream).unwrap())).collect();
            echoes.into_iter().map(Task::join).all(|answers| answers >= 1)
        });
        let clients: Vec<_> = (0..4)
            .map(|name| {
                let path = path.0.clone();
                ground.spawn(move || {
                    let stream = UnixStream::connect(&path).unwrap();
                    assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(&*path));
                    ask(stream, name, 20);
                })
            })
            .collect();
        clients.into_iter().for_each(Task::join);
        assert!(server.join());
    });
}

#[test]
fn connecting_to_a_full_unix_queue_waits() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket};
    everywhere(|ground| {
        let path = SocketPath::new("full", ground);
        let queue = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        bind(&queue, &SocketAddrUnix::new(&path.0).unwrap()).unwrap();
        listen(&queue, 0).unwrap();
        let queue = std::os::unix::net::UnixListener::from(queue);
        let is_full = Arc::new(AtomicBool::new(false));
        let acceptor = {
            let is_full = is_full.clone();
            std::thread::spawn(move || {
                while !is_full.load(SeqCst) {
                    std::thread::yield_now();
                }
                [(); 3].map(|()| queue.accept().is_ok())
            })
        };
        // One fits in.
        let mut connected = vec![UnixStream::connect(&path.0).unwrap()];
        is_full.store(true, SeqCst);
        connected.extend((0..2).map(|_| UnixStream::connect(&path.0).unwrap()));
        assert_eq!(acceptor.join().unwrap(), [true; 3]);
        assert_eq!(connected.len(), 3);
    });
}

#[test]
fn a_pair_is_connected_and_shows_its_descriptor() {
    everywhere(|ground| {
        let (mut one, other) = UnixStream::pair().unwrap();
        assert!(rustix::io::fcntl_getfd(one.as_fd()).is_ok());
        assert!(one.local_addr().unwrap().is_unnamed());
        let echoing = ground.spawn(move || echo(other).unwrap());
        ask(&one, 1, 5);
        one.write_all(b"bye").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut rest = String::new();
        one.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "bye");
        assert!(echoing.join() >= 6);
    });
}
