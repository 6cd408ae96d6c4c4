//! Scenarios of time, network, blocking calls and threads.

use crate::{Random, join_all, micros, pause};
use corefit_runtime::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use corefit_runtime::sync::Mutex;
use corefit_runtime::{blocking, chan, go, spawn_pinned, time};
use std::cell::Cell;
use std::io::{Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// A sleep is never too short.
pub(crate) fn sleepers(mut random: Random) {
    let sleepers: Vec<_> = (0..random.below(300))
        .map(|_| {
            let mut random = random.fork();
            go(move || {
                for _ in 0..random.below(5) {
                    let (start, duration) = (Instant::now(), micros(random.below(2_000)));
                    time::sleep(duration);
                    assert!(start.elapsed() >= duration);
                }
            })
        })
        .collect();
    join_all(sleepers);
}

/// Sends random bytes in random pieces and checks what comes back.
fn converse(stream: impl Read + Write, random: &mut Random) {
    let mut stream = stream;
    for _ in 0..random.below(30) {
        let sent: Vec<u8> = (0..1 + random.below(5_000)).map(|_| random.next() as u8).collect();
        stream.write_all(&sent).expect("the other side reads");
        pause(random);
        let mut got = vec![0; sent.len()];
        stream.read_exact(&mut got).expect("the other side answers");
        assert!(sent == got, "the echo differs");
    }
}

/// Answers until the other side is done.
fn echo(stream: impl Read + Write) {
    let (mut stream, mut buffer) = (stream, [0; 700]);
    loop {
        match stream.read(&mut buffer).expect("a loopback read") {
            0 => return,
            length => stream.write_all(&buffer[..length]).expect("the other side reads"),
        }
    }
}

pub(crate) fn tcp(mut random: Random) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("it listens");
    let clients = 1 + random.below(10);
    let server = go(move || {
        let served: Vec<_> = (0..clients)
            .map(|_| {
                let (stream, _) = listener.accept().expect("a client");
                stream.set_nodelay(true).expect("it is connected");
                go(move || echo(stream))
            })
            .collect();
        join_all(served);
    });
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let mut random = random.fork();
            go(move || {
                let stream = TcpStream::connect(address).expect("the server");
                stream.set_nodelay(true).expect("it is connected");
                converse(stream, &mut random);
            })
        })
        .collect();
    join_all(clients);
    server.join().expect("all were served");
}

pub(crate) fn unix(mut random: Random) {
    let pairs: Vec<_> = (0..1 + random.below(6))
        .map(|_| {
            let mut random = random.fork();
            let (one, other) = UnixStream::pair().expect("descriptors");
            one.set_read_timeout(Some(Duration::from_millis(1))).expect("not zero");
            let server = go(move || echo(other));
            go(move || {
                let mut nothing = [0];
                if random.chance(3) {
                    let error = (&one).read(&mut nothing).expect_err("nothing was sent");
                    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
                }
                one.set_read_timeout(None).expect("none is fine");
                converse(one, &mut random);
                server.join().expect("the echo ends");
            })
        })
        .collect();
    join_all(pairs);
}

thread_local! {
    static VISITS: Cell<usize> = const { Cell::new(0) };
}

/// Blocking calls, some of which wait for a goroutine, and pinned goroutines, which stay on their threads.
pub(crate) fn blockers(mut random: Random) {
    let parts: Vec<_> = (0..1 + random.below(12))
        .map(|n| {
            let mut random = random.fork();
            go(move || {
                for value in 0..random.below(20) {
                    let us = random.below(100);
                    let got = blocking(|| {
                        thread::sleep(micros(us));
                        blocking(|| value)
                    });
                    assert_eq!(got, value);
                    pause(&mut random);
                    if random.chance(8) {
                        let (sender, receiver) = chan(0);
                        drop(go(move || sender.send(n)));
                        assert_eq!(blocking(|| receiver.recv()), Ok(n));
                    }
                }
            })
        })
        .collect();
    let pinned: Vec<_> = (0..random.below(3))
        .map(|_| {
            let mut random = random.fork();
            spawn_pinned(move || {
                let id = thread::current().id();
                for visit in 0..random.below(50) {
                    assert_eq!(VISITS.replace(visit + 1), visit);
                    pause(&mut random);
                    if random.chance(4) {
                        blocking(|| thread::sleep(micros(10)));
                    }
                    assert_eq!(thread::current().id(), id);
                }
                VISITS.set(0);
            })
        })
        .collect();
    join_all(parts);
    join_all(pinned);
}

/// Threads and goroutines at one lock and on both sides of two channels.
pub(crate) fn foreigners(mut random: Random) {
    let each = random.below(100);
    let total = Arc::new(Mutex::new(0));
    let (ask, asked) = chan::<usize>(random.below(2));
    let (answer, answered) = chan::<usize>(random.below(2));
    let theirs = Arc::clone(&total);
    let thread = thread::spawn(move || {
        for value in &asked {
            *theirs.lock() += 1;
            answer.send(value + 1).expect("the goroutine waits for it");
        }
    });
    for value in 0..each {
        ask.send(value).expect("the thread listens");
        *total.lock() += 1;
        pause(&mut random);
        assert_eq!(answered.recv(), Ok(value + 1));
    }
    drop(ask);
    blocking(|| thread.join()).expect("the thread ends");
    assert_eq!(*total.lock(), 2 * each);
}

/// Datagrams to and fro. The loopback loses none while one is under way at a time.
pub(crate) fn udp(mut random: Random) {
    let pairs: Vec<_> = (0..1 + random.below(4))
        .map(|_| {
            let mut random = random.fork();
            go(move || {
                let server = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
                let client = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
                let (address, rounds) = (server.local_addr().expect("it is bound"), random.below(30));
                let mut theirs = random.fork();
                let answers = go(move || {
                    let mut buffer = [0; 2_000];
                    for _ in 0..rounds {
                        let (length, from) = server.recv_from(&mut buffer).expect("a datagram");
                        pause(&mut theirs);
                        server.send_to(&buffer[..length], from).expect("the client is there");
                    }
                });
                for _ in 0..rounds {
                    let sent: Vec<u8> = (0..1 + random.below(1_500)).map(|_| random.next() as u8).collect();
                    client.send_to(&sent, address).expect("the server is there");
                    let mut got = vec![0; sent.len() + 1];
                    let (length, from) = client.recv_from(&mut got).expect("the answer");
                    assert!(from == address && got[..length] == sent, "the echo differs");
                }
                answers.join().expect("all were answered");
            })
        })
        .collect();
    join_all(pairs);
}

/// A server at a path; clients come and go.
pub(crate) fn listener(mut random: Random) {
    let path = std::env::temp_dir().join(format!("corefit-soak-{}-{:x}", std::process::id(), random.next()));
    let server = UnixListener::bind(&path).expect("a fresh path");
    let count = 1 + random.below(8);
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let (path, mut random) = (path.clone(), random.fork());
            go(move || converse(UnixStream::connect(&path).expect("the server"), &mut random))
        })
        .collect();
    let served: Vec<_> = (0..count)
        .map(|_| {
            let (stream, _) = server.accept().expect("a client");
            go(move || echo(stream))
        })
        .collect();
    join_all(clients);
    join_all(served);
    std::fs::remove_file(&path).expect("it is there");
}
