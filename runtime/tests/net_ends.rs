//! How reads end: short ones, the end of the stream, resets, urgent data. After a short read a TCP stream's next read waits
//! without trying, so each of these must be seen to come through.

mod ground;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown};
use std::time::Duration;

use corefit_runtime::net::{TcpListener, TcpStream};
use corefit_runtime::{time, yield_now};
use ground::{Task, everywhere};
use rustix::net::SendFlags;

const MS: Duration = Duration::from_millis(1);

/// A connection, of which the first has waited once (so it is known to the poller) and read less than it asked for.
fn pair_after_a_short_read() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let mut reader = TcpStream::connect(listener.local_addr().expect("an address")).expect("a listener");
    let (mut writer, _) = listener.accept().expect("a connection");
    reader.set_read_timeout(Some(MS)).expect("not zero");
    assert_eq!(reader.read(&mut [0; 64]).expect_err("nothing is there").kind(), ErrorKind::TimedOut);
    reader.set_read_timeout(None).expect("none");
    writer.write_all(b"x").expect("a reader");
    assert_eq!(reader.read(&mut [0; 64]).expect("a byte"), 1);
    (reader, writer)
}

/// Lets the poller be looked at, for goroutines and threads alike.
fn let_events_come() {
    time::sleep(2 * MS);
    (0..10).for_each(|_| yield_now());
}

#[test]
fn the_end_that_came_with_the_last_bytes_is_seen_after_them() {
    everywhere(|_| {
        let (mut reader, mut writer) = pair_after_a_short_read();
        writer.write_all(b"last").expect("a reader");
        writer.shutdown(Shutdown::Write).expect("connected");
        let_events_come();
        let mut bytes = [0; 64];
        assert_eq!(reader.read(&mut bytes).expect("bytes"), 4);
        assert_eq!(reader.read(&mut bytes).expect("the end"), 0);
        assert_eq!(reader.read(&mut bytes).expect("the end, again"), 0);
        // One half is closed, the other works.
        reader.write_all(b"answer").expect("a reader");
        drop(reader);
        let mut answer = String::new();
        writer.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer, "answer");
    });
}

#[test]
fn a_read_that_waits_sees_the_end() {
    everywhere(|ground| {
        let (mut reader, writer) = pair_after_a_short_read();
        let reading = ground.spawn(move || reader.read(&mut [0; 64]).expect("the end"));
        let_events_come();
        writer.shutdown(Shutdown::Write).expect("connected");
        assert_eq!(reading.join(), 0);
    });
}

#[test]
fn a_reset_is_an_error_of_the_read_that_waits() {
    everywhere(|ground| {
        let (mut reader, writer) = pair_after_a_short_read();
        let reading = ground.spawn(move || reader.read(&mut [0; 64]).unwrap_err().kind());
        let_events_come();
        rustix::net::sockopt::set_socket_linger(&writer, Some(Duration::ZERO)).expect("a socket option");
        drop(writer);
        assert_eq!(reading.join(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_read_that_urgent_data_cut_short_goes_on() {
    everywhere(|_| {
        let (mut reader, mut writer) = pair_after_a_short_read();
        assert_eq!(rustix::net::send(&writer, b"ab!", SendFlags::OOB).expect("room"), 3);
        writer.write_all(b"cd").expect("room");
        let_events_come();
        let mut bytes = [0; 64];
        assert_eq!(reader.read(&mut bytes).expect("what comes before the mark"), 2);
        assert_eq!(reader.read(&mut bytes).expect("what comes after it"), 2);
        assert_eq!(&bytes[..2], b"cd");
    });
}

#[test]
fn nothing_is_lost_between_short_reads() {
    everywhere(|ground| {
        let (reader, writer) = pair_after_a_short_read();
        const BYTES: usize = 20_000;
        let writing = ground.spawn(move || {
            let mut left = BYTES;
            while left > 0 {
                let count = (left % 97 + 1).min(left);
                (&writer).write_all(&vec![1; count]).expect("a reader");
                left -= count;
                if left.is_multiple_of(5) {
                    yield_now();
                }
            }
            writer.shutdown(Shutdown::Write).expect("connected");
        });
        // Two share the stream, each with reads that are mostly short.
        let clone = reader.try_clone().expect("a descriptor");
        let readers = [reader, clone].map(|mut reader| {
            ground.spawn(move || {
                let (mut bytes, mut total) = ([0; 50], 0);
                loop {
                    match reader.read(&mut bytes).expect("bytes") {
                        0 => return total,
                        count => total += count,
                    }
                }
            })
        });
        writing.join();
        assert_eq!(readers.map(Task::join).into_iter().sum::<usize>(), BYTES);
    });
}
