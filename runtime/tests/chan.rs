//! Channels, between threads and between goroutines.

mod ground;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use corefit_runtime::chan::{RecvError, RecvTimeoutError, Sender, TryRecvError, TrySendError};
use corefit_runtime::{chan, yield_now};
use ground::{Ground, Task, everywhere};

/// Counts how often a value is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Producers that each send `(producer, 0), (producer, 1), …`.
fn producers(ground: Ground, count: usize, values: usize, tx: Sender<(usize, usize)>) -> Vec<Task<()>> {
    (0..count)
        .map(|producer| {
            let tx = tx.clone();
            ground.spawn(move || (0..values).for_each(|n| tx.send((producer, n)).expect("a receiver")))
        })
        .collect()
}

/// Each consumer saw each producer's values in order; together they saw each value once.
fn check_exactly_once(consumed: Vec<Vec<(usize, usize)>>, producers: usize, values: usize) {
    for seen in &consumed {
        for producer in 0..producers {
            assert!(seen.iter().filter(|value| value.0 == producer).is_sorted(), "out of order: {seen:?}");
        }
    }
    let mut all: Vec<_> = consumed.into_iter().flatten().collect();
    all.sort_unstable();
    let expected = (0..producers).flat_map(|producer| (0..values).map(move |n| (producer, n)));
    assert!(all.into_iter().eq(expected), "a value was lost or came twice");
}

#[test]
fn a_buffered_channel_keeps_the_order() {
    let (tx, rx) = chan(3);
    (0..3).for_each(|n| tx.send(n).unwrap());
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert_eq!((tx.len(), tx.capacity(), rx.len(), rx.capacity(), rx.is_empty()), (3, 3, 3, 3, false));
    assert_eq!([rx.recv(), rx.recv(), rx.recv()], [Ok(0), Ok(1), Ok(2)]);
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert!(tx.is_empty());
}

#[test]
fn a_rendezvous_send_ends_when_its_value_is_received() {
    everywhere(|ground| {
        let (tx, rx) = chan(0);
        let is_sent = Arc::new(AtomicBool::new(false));
        let sender = {
            let is_sent = is_sent.clone();
            ground.spawn(move || {
                tx.send(7).unwrap();
                is_sent.store(true, SeqCst);
            })
        };
        (0..10).for_each(|_| yield_now());
        assert!(!is_sent.load(SeqCst));
        assert_eq!(rx.recv(), Ok(7));
        sender.join();
        assert!(is_sent.load(SeqCst));
        assert_eq!(rx.recv(), Err(RecvError));
    });
}

#[test]
fn try_send_meets_only_a_receiver_that_waits() {
    everywhere(|ground| {
        let (tx, rx) = chan(0);
        assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
        let receiver = ground.spawn(move || rx.recv());
        while tx.try_send(2).is_err() {
            yield_now();
        }
        assert_eq!(receiver.join(), Ok(2));
        assert_eq!(tx.try_send(3), Err(TrySendError::Closed(3)));
    });
}

#[test]
fn every_value_is_received_exactly_once_and_in_order() {
    everywhere(|ground| {
        for capacity in [0, 1, 3, 100] {
            let (tx, rx) = chan(capacity);
            let sending = producers(ground, 3, 400, tx);
            let consumers: Vec<_> = (0..3)
                .map(|_| {
                    let rx = rx.clone();
                    ground.spawn(move || rx.into_iter().collect::<Vec<_>>())
                })
                .collect();
            drop(rx);
            sending.into_iter().for_each(Task::join);
            check_exactly_once(consumers.into_iter().map(Task::join).collect(), 3, 400);
        }
    });
}

#[test]
fn nothing_is_lost_without_waiting_either() {
    everywhere(|ground| {
        let (tx, rx) = chan(2);
        let senders: Vec<_> = (0..2)
            .map(|producer| {
                let tx = tx.clone();
                ground.spawn(move || {
                    for n in 0..300 {
                        while tx.try_send((producer, n)).is_err() {
                            yield_now();
                        }
                    }
                })
            })
            .collect();
        drop(tx);
        let mut seen = Vec::new();
        loop {
            match rx.try_recv() {
                Ok(value) => seen.push(value),
                Err(TryRecvError::Empty) => yield_now(),
                Err(TryRecvError::Closed) => break,
            }
        }
        senders.into_iter().for_each(Task::join);
        check_exactly_once(vec![seen], 2, 300);
    });
}

#[test]
fn timeouts_that_race_with_sends_lose_nothing() {
    everywhere(|ground| {
        for capacity in [0, 1] {
            let (tx, rx) = chan(capacity);
            let sending = producers(ground, 2, 200, tx);
            let consumers: Vec<_> = (0_u64..2)
                .map(|consumer| {
                    let rx = rx.clone();
                    ground.spawn(move || {
                        let mut seen = Vec::new();
                        for round in 0.. {
                            match rx.recv_timeout(Duration::from_micros((round + consumer) % 5)) {
                                Ok(value) => seen.push(value),
                                Err(RecvTimeoutError::Timeout) => yield_now(),
                                Err(RecvTimeoutError::Closed) => break,
                            }
                        }
                        seen
                    })
                })
                .collect();
            sending.into_iter().for_each(Task::join);
            check_exactly_once(consumers.into_iter().map(Task::join).collect(), 2, 200);
        }
    });
}

#[test]
fn a_receive_times_out_on_an_empty_channel_only() {
    everywhere(|_| {
        let (tx, rx) = chan(1);
        assert_eq!(rx.recv_timeout(Duration::from_millis(1)), Err(RecvTimeoutError::Timeout));
        tx.send(1).unwrap();
        assert_eq!(rx.recv_timeout(Duration::ZERO), Ok(1));
        tx.send(2).unwrap();
        assert_eq!(rx.recv_timeout(Duration::MAX), Ok(2));
        tx.close();
        assert_eq!(rx.recv_timeout(Duration::MAX), Err(RecvTimeoutError::Closed));
    });
}

#[test]
fn a_closed_channel_gives_what_is_buffered_and_then_ends() {
    let (tx, rx) = chan(2);
    let other = tx.clone();
    tx.send(1).unwrap();
    other.close();
    other.close();
    assert_eq!(tx.send(2).unwrap_err().into_inner(), 2);
    assert_eq!(tx.try_send(3), Err(TrySendError::Closed(3)));
    assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(rx.recv(), Err(RecvError));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Closed));
}

#[test]
fn the_last_sender_closes_and_not_the_one_before() {
    let (tx, rx) = chan(1);
    drop(tx.clone());
    tx.send(1).unwrap();
    drop(tx);
    assert_eq!((&rx).into_iter().collect::<Vec<_>>(), [1]);
}

#[test]
fn closing_while_others_send_loses_nothing_that_was_sent() {
    everywhere(|ground| {
        for capacity in [0, 2] {
            for _ in 0..20 {
                let (tx, rx) = chan(capacity);
                let senders: Vec<_> = (0..2)
                    .map(|_| {
                        let tx = tx.clone();
                        ground.spawn(move || (0..).take_while(|n| tx.send(*n).is_ok()).count())
                    })
                    .collect();
                let receiver = ground.spawn(move || rx.into_iter().count());
                (0..5).for_each(|_| yield_now());
                tx.close();
                let sent: usize = senders.into_iter().map(Task::join).sum();
                assert_eq!(receiver.join(), sent);
            }
        }
    });
}

#[test]
fn receivers_that_wait_end_when_the_channel_closes() {
    everywhere(|ground| {
        for _ in 0..50 {
            let (tx, rx) = chan::<u8>(0);
            let receivers: Vec<_> = (0..3)
                .map(|_| {
                    let rx = rx.clone();
                    ground.spawn(move || rx.recv())
                })
                .collect();
            drop(tx);
            assert!(receivers.into_iter().all(|receiver| receiver.join() == Err(RecvError)));
        }
    });
}

#[test]
fn senders_get_their_values_back_when_the_last_receiver_goes() {
    everywhere(|ground| {
        for _ in 0..50 {
            let (tx, rx) = chan(1);
            let senders: Vec<_> = (0..3)
                .map(|n| {
                    let tx = tx.clone();
                    ground.spawn(move || tx.send(n).err().map(|error| error.0))
                })
                .collect();
            let received = rx.recv().unwrap();
            drop(rx);
            let mut returned: Vec<i32> = senders.into_iter().filter_map(Task::join).collect();
            // One was received, one may have been buffered and dropped with the receiver.
            assert!(returned.len() == 1 || returned.len() == 2, "{returned:?}");
            returned.push(received);
            returned.sort_unstable();
            returned.dedup();
            assert!(returned.len() >= 2, "a value came twice");
        }
    });
}

#[test]
fn values_are_dropped_exactly_once() {
    everywhere(|ground| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (tx, rx) = chan(2);
        (0..2).for_each(|_| tx.send(Counted(drops.clone())).unwrap());
        let waiting = {
            let (tx, value) = (tx.clone(), Counted(drops.clone()));
            ground.spawn(move || tx.send(value).is_ok())
        };
        drop(rx.recv());
        assert_eq!(drops.load(SeqCst), 1);
        drop(rx);
        waiting.join();
        assert_eq!(drops.load(SeqCst), 3);
        drop(tx.send(Counted(drops.clone())));
        assert_eq!(drops.load(SeqCst), 4);
    });
}

#[test]
fn values_in_a_forgotten_channel_are_dropped_with_it() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = chan(2);
    tx.send(Counted(drops.clone())).unwrap();
    drop(tx);
    assert_eq!(drops.load(SeqCst), 0);
    drop(rx);
    assert_eq!(drops.load(SeqCst), 1);
}

#[test]
fn the_drop_of_a_value_may_use_its_own_channel() {
    struct Nosy(Sender<Nosy>, Arc<AtomicUsize>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.close();
            self.1.fetch_add(1 + self.0.len(), SeqCst);
        }
    }
    let looks = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = chan(1);
    tx.send(Nosy(tx.clone(), looks.clone())).unwrap();
    drop(rx);
    drop(tx.send(Nosy(tx.clone(), looks.clone())));
    assert_eq!(looks.load(SeqCst), 2);
}

#[test]
fn a_huge_capacity_reserves_little() {
    let (tx, rx) = chan::<[u8; 4096]>(usize::MAX);
    (0..100).for_each(|_| tx.send([1; 4096]).unwrap());
    assert_eq!(rx.len(), 100);
}

#[test]
fn a_ring_of_goroutines_passes_one_value_round() {
    everywhere(|ground| {
        let (first_tx, mut rx) = chan(0);
        let mut hops = Vec::new();
        for _ in 0..20 {
            let (tx, next) = chan(0);
            hops.push(ground.spawn(move || rx.into_iter().for_each(|n: u64| tx.send(n + 1).unwrap())));
            rx = next;
        }
        for round in 0..10 {
            first_tx.send(round).unwrap();
            assert_eq!(rx.recv(), Ok(round + 20));
        }
        drop(first_tx);
        hops.into_iter().for_each(Task::join);
    });
}
