//! Scenarios of channels, selects and timed waits.

use crate::{Random, join_all, micros, pause};
use corefit_runtime::chan::{RecvTimeoutError, TryRecvError, TrySendError};
use corefit_runtime::{chan, go, select, time};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Several senders and receivers of one channel: each value arrives once, those of a sender in order.
pub(crate) fn stream(random: Random) {
    pass(random, 1);
}

pub(crate) fn rendezvous(random: Random) {
    pass(random, 0);
}

fn pass(mut random: Random, least: usize) {
    let (sender, receiver) = chan::<(usize, usize)>(least + least * random.below(5));
    let (senders, receivers, each) = (1 + random.below(4), 1 + random.below(4), random.below(300));
    let producers: Vec<_> = (0..senders)
        .map(|id| {
            let (sender, mut random) = (sender.clone(), random.fork());
            go(move || {
                for value in 0..each {
                    sender.send((id, value)).expect("a receiver is left");
                    pause(&mut random);
                }
            })
        })
        .collect();
    drop(sender);
    let consumers: Vec<_> = (0..receivers)
        .map(|_| {
            let (receiver, mut random) = (receiver.clone(), random.fork());
            go(move || {
                let mut got = Vec::new();
                for value in &receiver {
                    got.push(value);
                    pause(&mut random);
                }
                got
            })
        })
        .collect();
    join_all(producers);
    let got = join_all(consumers);
    for part in &got {
        for id in 0..senders {
            let own: Vec<_> = part.iter().filter(|(from, _)| *from == id).map(|(_, value)| value).collect();
            assert!(own.is_sorted(), "values of one sender overtook each other");
        }
    }
    let mut all: Vec<_> = got.into_iter().flatten().collect();
    all.sort_unstable();
    let expected: Vec<_> = (0..senders).flat_map(|id| (0..each).map(move |value| (id, value))).collect();
    assert_eq!(all, expected, "each value arrives once");
}

/// Selects on both sides of two channels, with timeouts: what was taken from senders is what receivers got.
pub(crate) fn selects(mut random: Random) {
    let (left, from_left) = chan::<usize>(random.below(3));
    let (right, from_right) = chan::<usize>(random.below(2));
    let each = random.below(200);
    let producers: Vec<_> = (0..1 + random.below(4))
        .map(|_| {
            let (left, right, mut random) = (left.clone(), right.clone(), random.fork());
            go(move || {
                let (mut sum, mut value) = (0, 1);
                while value <= each {
                    let is_sent = select! {
                        send(left, value) -> result => result.is_ok(),
                        send(right, value) -> result => result.is_ok(),
                        timeout(micros(random.below(100))) => false,
                    };
                    if is_sent {
                        sum += value;
                        value += 1;
                    }
                    pause(&mut random);
                }
                sum
            })
        })
        .collect();
    drop((left, right));
    let consumers: Vec<_> = (0..1 + random.below(4))
        .map(|_| {
            let (from_left, from_right, mut random) = (from_left.clone(), from_right.clone(), random.fork());
            go(move || {
                let (mut sum, mut open) = (0, [true; 2]);
                while open != [false; 2] {
                    select! {
                        recv(from_left) -> got => match got {
                            Ok(value) => sum += value,
                            Err(_) => open[0] = false,
                        },
                        recv(from_right) -> got => match got {
                            Ok(value) => sum += value,
                            Err(_) => open[1] = false,
                        },
                        timeout(micros(random.below(300))) => {}
                    }
                    pause(&mut random);
                }
                sum
            })
        })
        .collect();
    let sent: usize = join_all(producers).into_iter().sum();
    let received: usize = join_all(consumers).into_iter().sum();
    assert_eq!(sent, received);
}

/// Timed waits that meet what they wait for: a value is either received or still there.
pub(crate) fn timeouts(mut random: Random) {
    let (sender, receiver) = chan::<usize>(0);
    let each = random.below(100);
    let mut theirs = random.fork();
    let producer = go(move || {
        for value in 0..each {
            time::sleep(micros(theirs.below(60)));
            sender.send(value).expect("the receiver waits for all");
        }
    });
    let mut expected = 0;
    while expected < each {
        if let Ok(value) = receiver.recv_timeout(micros(random.below(60))) {
            assert_eq!(value, expected);
            expected += 1;
        }
    }
    producer.join().expect("all was received");
    let us = random.below(100);
    let result = time::timeout(micros(random.below(100)), move || time::sleep(micros(us)));
    assert!(result.is_ok() || us < 100);
    assert!(time::after(micros(us)).recv().is_ok());
}

/// Senders and receivers that wait, try or give up, until someone closes the channel at some moment: what was taken over
/// is what was received.
pub(crate) fn closers(mut random: Random) {
    let (sender, receiver) = chan::<usize>(random.below(3));
    let senders: Vec<_> = (0..1 + random.below(3))
        .map(|_| {
            let (sender, mut random) = (sender.clone(), random.fork());
            go(move || {
                let mut sent = 0;
                loop {
                    let is_sent = match random.below(3) {
                        0 => sender.send(1).map_err(|_closed| true),
                        1 => sender.try_send(1).map_err(|error| matches!(error, TrySendError::Closed(_))),
                        _ => select! {
                            send(sender, 1) -> result => result.map_err(|_closed| true),
                            timeout(micros(random.below(50))) => Err(false),
                        },
                    };
                    match is_sent {
                        Ok(()) => sent += 1,
                        Err(true) => return sent,
                        Err(false) => pause(&mut random),
                    }
                }
            })
        })
        .collect();
    let receivers: Vec<_> = (0..1 + random.below(3))
        .map(|_| {
            let (receiver, mut random) = (receiver.clone(), random.fork());
            go(move || {
                let mut received = 0;
                loop {
                    let got = match random.below(3) {
                        0 => receiver.recv().map_err(|_closed| true),
                        1 => receiver.try_recv().map_err(|error| error == TryRecvError::Closed),
                        _ => receiver
                            .recv_timeout(micros(random.below(50)))
                            .map_err(|error| error == RecvTimeoutError::Closed),
                    };
                    match got {
                        Ok(value) => received += value,
                        Err(true) => return received,
                        Err(false) => pause(&mut random),
                    }
                }
            })
        })
        .collect();
    time::sleep(micros(random.below(2_000)));
    sender.close();
    let sent: usize = join_all(senders).into_iter().sum();
    let received: usize = join_all(receivers).into_iter().sum();
    assert_eq!(sent, received);
}

/// Values that end anywhere: received, given back, lost with their channel, in an arm that was not chosen. Each is dropped
/// once.
pub(crate) fn drops(mut random: Random) {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let parts: Vec<_> = (0..1 + random.below(6))
        .map(|_| {
            let (dropped, mut random) = (Arc::clone(&dropped), random.fork());
            go(move || {
                let mut made = 0;
                let mut value = || {
                    made += 1;
                    Counted(Arc::clone(&dropped))
                };
                for _ in 0..random.below(30) {
                    let (sender, receiver) = chan(random.below(3));
                    let mut theirs = random.fork();
                    let other = go(move || {
                        pause(&mut theirs);
                        let _ = receiver.recv_timeout(micros(theirs.below(30)));
                        let _ = receiver.try_recv();
                    });
                    let _ = sender.try_send(value());
                    select! {
                        send(sender, value()) -> _sent => {},
                        timeout(micros(random.below(30))) => {}
                    }
                    if random.chance(2) {
                        let _ = sender.send(value());
                    }
                    other.join().expect("it takes what it gets");
                }
                made
            })
        })
        .collect();
    let made: usize = join_all(parts).into_iter().sum();
    assert_eq!(dropped.load(SeqCst), made);
}

/// Calls under a time limit that return, panic, or come too late.
pub(crate) fn limits(mut random: Random) {
    let parts: Vec<_> = (0..random.below(20))
        .map(|n| {
            let mut random = random.fork();
            go(move || {
                let (limit, needs) = (micros(random.below(300)), micros(random.below(300)));
                let start = Instant::now();
                let result = time::timeout(limit, move || {
                    time::sleep(needs);
                    n
                });
                let took = start.elapsed();
                assert!(
                    if result == Ok(n) { took >= needs } else { took >= limit },
                    "{result:?} after {took:?}"
                );
                let panics = go(move || time::timeout(Duration::from_secs(60), crate::panic_on_purpose));
                assert!(panics.join().is_err(), "the panic goes on in the caller");
            })
        })
        .collect();
    join_all(parts);
    let (start, period) = (Instant::now(), micros(50 + random.below(300)));
    let ticks = random.below(6);
    assert_eq!(time::interval(period).take(ticks).count(), ticks);
    assert!(start.elapsed() >= period * u32::try_from(ticks.saturating_sub(1)).expect("a few"));
}
