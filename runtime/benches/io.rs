//! Timers and sockets, one operation each, on a runtime with one processor or two: to catch regressions.
//!
//! Run: `cargo bench -p corefit-runtime --bench io`. Each sample is a whole run of many operations inside a fresh runtime.

mod run;

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use corefit_runtime::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use corefit_runtime::{chan, go, time};
use divan::Bencher;
use divan::counter::ItemsCount;
use run::{PROCS, bench};

/// Round trips a sample.
const TRIPS: usize = 2_000;

/// Timed waits a sample.
const WAITS: usize = 20_000;

fn main() {
    divan::main();
}

/// One sleep of 1 ms after the other: what is above 1 ms is lateness.
#[divan::bench(sample_count = 10)]
fn sleep_1_ms(bencher: Bencher<'_, '_>) {
    const SLEEPS: usize = 50;
    bench(bencher, 1, SLEEPS, || (0..SLEEPS).for_each(|_| time::sleep(Duration::from_millis(1))));
}

/// As `sleep_1_ms`, by a thread.
#[divan::bench(sample_count = 10)]
fn thread_sleep_1_ms(bencher: Bencher<'_, '_>) {
    const SLEEPS: usize = 50;
    let sleeps = || (0..SLEEPS).for_each(|_| thread::sleep(Duration::from_millis(1)));
    bencher.counter(ItemsCount::new(SLEEPS)).bench_local(sleeps);
}

/// A timer is added, and all of the same length come due.
#[divan::bench(args = PROCS, sample_count = 10)]
fn many_sleep_at_once(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, WAITS, || {
        let all: Vec<_> = (0..WAITS).map(|_| go(|| time::sleep(Duration::from_millis(1)))).collect();
        for goroutine in all {
            goroutine.join().expect("it does not panic");
        }
    });
}

/// A timer is added and cancelled: what is waited for comes in time.
#[divan::bench(sample_count = 10)]
fn timed_wait_that_ends_in_time(bencher: Bencher<'_, '_>) {
    bench(bencher, 1, WAITS, || {
        let (sender, receiver) = chan(0);
        let sending = go(move || (0..WAITS).for_each(|i| sender.send(i).expect("a receiver")));
        for i in 0..WAITS {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(60)), Ok(i));
        }
        sending.join().expect("it does not panic");
    });
}

/// Bytes go to a goroutine that sends them back.
fn round_trips<S>(mut here: S, mut there: S)
where
    S: Read + Write + Send + 'static,
{
    let echo = go(move || {
        let mut bytes = [0; 64];
        while there.read_exact(&mut bytes).is_ok() {
            there.write_all(&bytes).expect("the other side reads");
        }
    });
    let mut bytes = [7; 64];
    for _ in 0..TRIPS {
        here.write_all(&bytes).expect("the other side reads");
        here.read_exact(&mut bytes).expect("an echo");
    }
    drop(here);
    echo.join().expect("it does not panic");
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn tcp_round_trip(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, TRIPS, || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let here = TcpStream::connect(address).expect("a connection");
        let (there, _) = listener.accept().expect("a connection");
        here.set_nodelay(true).expect("a socket option");
        there.set_nodelay(true).expect("a socket option");
        round_trips(here, there);
    });
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn unix_round_trip(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, TRIPS, || {
        let (here, there) = UnixStream::pair().expect("a pair");
        round_trips(here, there);
    });
}

#[divan::bench(args = PROCS, sample_count = 10)]
fn udp_round_trip(bencher: Bencher<'_, '_>, procs: usize) {
    bench(bencher, procs, TRIPS, || {
        let here = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let there = UdpSocket::bind("127.0.0.1:0").expect("a port");
        here.connect(there.local_addr().expect("an address")).expect("an address");
        there.connect(here.local_addr().expect("an address")).expect("an address");
        let echo = go(move || {
            let mut bytes = [0; 64];
            for _ in 0..TRIPS {
                let count = there.recv(&mut bytes).expect("a datagram");
                there.send(&bytes[..count]).expect("a datagram is sent");
            }
        });
        let mut bytes = [7; 64];
        for _ in 0..TRIPS {
            here.send(&bytes).expect("a datagram is sent");
            assert_eq!(here.recv(&mut bytes).expect("an echo"), 64);
        }
        echo.join().expect("it does not panic");
    });
}
