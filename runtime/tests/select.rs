//! `select!`, between threads and between goroutines.

mod ground;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use corefit_runtime::chan::{Receiver, RecvError, Sender};
use corefit_runtime::{chan, select, yield_now};
use ground::{Task, everywhere};

#[test]
fn the_ready_arm_runs_and_its_value_is_the_result() {
    everywhere(|_| {
        let (_idle_tx, idle) = chan::<u8>(0);
        let (tx, rx) = chan(1);
        tx.send(5).unwrap();
        let got = select! {
            recv(idle) -> _ => 0,
            recv(rx) -> msg => msg.unwrap(),
        };
        assert_eq!(got, 5);
        let sent = select! {
            recv(rx) -> _ => false,
            send(tx, 6) -> res => res.is_ok(),
        };
        assert!(sent);
        assert_eq!(rx.recv(), Ok(6));
    });
}

#[test]
fn default_runs_only_if_nothing_is_ready() {
    let (tx, rx) = chan(1);
    let poll = || {
        select! {
            recv(rx) -> msg => msg.ok(),
            default => None,
        }
    };
    assert_eq!(poll(), None);
    tx.send(1).unwrap();
    assert_eq!(poll(), Some(1));
    let full = select! {
        send(tx, 2) -> res => { res.unwrap(); false }
        default => true
    };
    assert!(!full);
    assert!(select! { send(tx, 3) -> _ => false, default => true });
    assert!(select! { default => true });
}

#[test]
fn timeout_runs_when_nothing_becomes_ready() {
    everywhere(|ground| {
        let (tx, rx) = chan::<u8>(0);
        let mut waited = false;
        select! {
            recv(rx) -> _ => {}
            send(tx, 1) -> _ => {}
            timeout(Duration::from_millis(1)) => waited = true,
        }
        assert!(waited);
        let sender = ground.spawn(move || tx.send(2).unwrap());
        let got = select! {
            recv(rx) -> msg => msg,
            timeout(Duration::MAX) => Err(RecvError),
        };
        assert_eq!(got, Ok(2));
        sender.join();
        assert!(select! { timeout(Duration::ZERO) => true });
    });
}

#[test]
fn closed_channels_are_ready() {
    everywhere(|ground| {
        let (tx, rx) = chan::<u8>(0);
        let (dead_tx, dead_rx) = chan::<u8>(0);
        drop(dead_rx);
        let returned = select! {
            recv(rx) -> _ => None,
            send(dead_tx, 9) -> res => res.err().map(|error| error.0),
        };
        assert_eq!(returned, Some(9));
        let closer = ground.spawn(move || drop(tx));
        let (_idle_tx, idle) = chan::<u8>(0);
        assert!(select! {
            recv(idle) -> _ => false,
            recv(rx) -> msg => msg == Err(RecvError),
        });
        closer.join();
    });
}

#[test]
fn an_arm_may_break_return_and_use_the_question_mark() {
    fn first_even(rx: &Receiver<u32>) -> Result<u32, RecvError> {
        loop {
            select! {
                recv(rx) -> msg => {
                    let value = msg?;
                    if value % 2 == 0 {
                        return Ok(value);
                    }
                    continue;
                }
                timeout(Duration::from_secs(60)) => break,
            }
        }
        Err(RecvError)
    }
    let (tx, rx) = chan(4);
    [1, 3, 4, 5].into_iter().for_each(|n| tx.send(n).unwrap());
    drop(tx);
    assert_eq!(first_even(&rx), Ok(4));
    assert_eq!(first_even(&rx), Err(RecvError));
}

#[test]
fn a_body_may_consume_the_channels() {
    let (tx, rx) = chan(1);
    select! {
        send(tx, 1) -> _ => drop(tx),
        recv(rx) -> _ => drop(rx),
    }
}

#[test]
fn patterns_and_temporary_halves_work() {
    struct Halves {
        tx: Sender<(u8, u8)>,
        rx: Receiver<(u8, u8)>,
    }
    let (tx, rx) = chan(1);
    let halves = Box::new(Halves { tx, rx });
    select! { send(&halves.tx, (1, 2)) -> Ok(()) | Err(_) => {} }
    let (got,) = select! { recv(halves.rx.clone()) -> msg => (msg,) };
    assert_eq!(got, Ok((1, 2)));
}

#[test]
fn values_not_sent_are_dropped_before_the_body_runs() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    everywhere(|_| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = chan(0);
        select! {
            send(tx, Counted(drops.clone())) -> _ => {}
            default => assert_eq!(drops.load(SeqCst), 1),
        }
        select! {
            send(tx, Counted(drops.clone())) -> _ => {}
            send(tx, Counted(drops.clone())) -> _ => {}
            recv(rx) -> _ => {}
            timeout(Duration::from_micros(1)) => assert_eq!(drops.load(SeqCst), 3),
        }
    });
}

#[test]
fn ready_arms_are_chosen_equally_often() {
    let halves: Vec<_> = (0..3).map(|_| chan(1)).collect();
    let [(a_tx, a), (b_tx, b), (c_tx, c)] = &halves[..] else { panic!("three channels") };
    let mut chosen = [0_u32; 3];
    for _ in 0..3000 {
        for tx in [a_tx, b_tx, c_tx] {
            // Full unless it was chosen.
            let _ = tx.try_send(());
        }
        let arm = select! {
            recv(a) -> _ => 0,
            recv(b) -> _ => 1,
            recv(c) -> _ => 2,
        };
        chosen[arm] += 1;
    }
    // 1000 each are expected, with a standard deviation of 26: eleven of them off is not chance.
    assert!(chosen.iter().all(|count| count.abs_diff(1000) < 286), "{chosen:?}");
}

#[test]
fn a_select_never_meets_itself() {
    everywhere(|ground| {
        let (tx, rx) = chan(0);
        assert!(select! {
            send(tx, 1) -> _ => false,
            recv(rx) -> _ => false,
            timeout(Duration::from_millis(1)) => true,
        });
        let other = {
            let rx = rx.clone();
            ground.spawn(move || rx.recv())
        };
        assert!(select! {
            recv(rx) -> _ => false,
            send(tx, 2) -> res => res.is_ok(),
        });
        assert_eq!(other.join(), Ok(2));
    });
}

/// Peers that all send and receive on the same channels, in selects only. Every value that was sent has been received.
#[test]
fn selects_that_meet_selects_lose_nothing() {
    everywhere(|ground| {
        for capacity in [0, 1] {
            let (a_tx, a_rx) = chan::<u64>(capacity);
            let (b_tx, b_rx) = chan::<u64>(capacity);
            let peers: Vec<_> = (0_u64..4)
                .map(|peer| {
                    let (a_tx, a_rx, b_tx, b_rx) = (a_tx.clone(), a_rx.clone(), b_tx.clone(), b_rx.clone());
                    ground.spawn(move || {
                        let (mut sent, mut received) = (Vec::new(), Vec::new());
                        let mut next = peer * 10_000;
                        while sent.len() < 200 {
                            select! {
                                send(a_tx, next) -> res => { res.unwrap(); sent.push(next) }
                                recv(b_rx) -> msg => received.push(msg.unwrap()),
                                recv(a_rx) -> msg => received.push(msg.unwrap()),
                                send(b_tx, next) -> res => { res.unwrap(); sent.push(next) }
                            }
                            next += 1;
                        }
                        // Those still sending need someone to receive.
                        drop((a_tx, b_tx));
                        (sent, received, a_rx, b_rx)
                    })
                })
                .collect();
            let drain = [a_rx, b_rx].map(|rx| ground.spawn(move || rx.into_iter().collect::<Vec<_>>()));
            drop((a_tx, b_tx));
            let (mut sent, mut received) = (Vec::new(), Vec::new());
            for peer in peers {
                let (mut peer_sent, mut peer_received, ..) = peer.join();
                sent.append(&mut peer_sent);
                received.append(&mut peer_received);
            }
            received.extend(drain.into_iter().flat_map(Task::join));
            sent.sort_unstable();
            received.sort_unstable();
            assert_eq!(sent, received);
        }
    });
}

/// Selects that send, with values that are given up half of the time, against plain receives with timeouts.
#[test]
fn deadlines_that_race_with_counterparts_lose_nothing() {
    everywhere(|ground| {
        let (tx, rx) = chan::<u64>(0);
        let (other_tx, other_rx) = chan::<u64>(0);
        let senders: Vec<_> = (0_u64..2)
            .map(|sender| {
                let (tx, other_tx) = (tx.clone(), other_tx.clone());
                ground.spawn(move || {
                    let mut sent = Vec::new();
                    for n in 0..400 {
                        let value = sender * 10_000 + n;
                        select! {
                            send(tx, value) -> res => { res.unwrap(); sent.push(value) }
                            send(other_tx, value) -> res => { res.unwrap(); sent.push(value) }
                            timeout(Duration::from_micros(n % 7)) => yield_now(),
                        }
                    }
                    sent
                })
            })
            .collect();
        drop((tx, other_tx));
        let receivers: Vec<_> = [rx, other_rx]
            .into_iter()
            .map(|rx| {
                ground.spawn(move || {
                    let mut received = Vec::new();
                    loop {
                        match rx.recv_timeout(Duration::from_micros(5)) {
                            Ok(value) => received.push(value),
                            Err(corefit_runtime::chan::RecvTimeoutError::Timeout) => yield_now(),
                            Err(corefit_runtime::chan::RecvTimeoutError::Closed) => return received,
                        }
                    }
                })
            })
            .collect();
        let mut sent: Vec<u64> = senders.into_iter().flat_map(Task::join).collect();
        let mut received: Vec<u64> = receivers.into_iter().flat_map(Task::join).collect();
        sent.sort_unstable();
        received.sort_unstable();
        assert_eq!(sent, received);
    });
}

#[test]
fn a_close_ends_selects_that_wait() {
    everywhere(|ground| {
        for _ in 0..50 {
            let (tx, rx) = chan::<u8>(0);
            let (_keep, idle) = chan::<u8>(0);
            let waiting: Vec<_> = (0..3)
                .map(|_| {
                    let (rx, idle) = (rx.clone(), idle.clone());
                    ground.spawn(move || {
                        select! {
                            recv(rx) -> msg => msg,
                            recv(idle) -> msg => msg,
                        }
                    })
                })
                .collect();
            tx.close();
            assert!(waiting.into_iter().all(|task| task.join() == Err(RecvError)));
        }
    });
}
