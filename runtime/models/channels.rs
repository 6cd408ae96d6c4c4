//! Channels: each value arrives once, with what was written before it was sent; closing wakes everyone; a select is served
//! by one counterpart.

use crate::chan::select::{Arm, Patience, RecvArm, SendArm, select};
use crate::chan::{Receiver, Sender, chan};
use crate::tracked::Tracked;
use loom::thread;

fn value(number: u32) -> Tracked {
    let value = Tracked::new(0);
    value.set(number);
    value
}

/// Sends 1, and 2, each from a thread, and gives what the receiver saw.
fn two_senders(capacity: usize) {
    let (tx, rx) = chan(capacity);
    let senders: Vec<_> = (1..=2)
        .map(|number| {
            let tx = tx.clone();
            thread::spawn(move || tx.send(value(number)).unwrap())
        })
        .collect();
    let got: u32 = (0..2).map(|_| rx.recv().unwrap().get()).sum();
    assert_eq!(got, 3);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    drop(tx);
    assert!(rx.recv().is_err(), "all are gone");
}

#[test]
fn a_rendezvous_hands_each_value_to_one() {
    crate::check(|| two_senders(0));
}

#[test]
fn a_buffer_of_one_hands_each_value_to_one() {
    crate::check(|| two_senders(1));
}

#[test]
fn two_receivers_share_the_values() {
    crate::check(|| {
        let (tx, rx) = chan(1);
        let receivers: Vec<_> = (0..2)
            .map(|_| {
                let rx = rx.clone();
                thread::spawn(move || rx.recv().map_or(0, |value: Tracked| value.get()))
            })
            .collect();
        tx.send(value(1)).unwrap();
        tx.send(value(2)).unwrap();
        let got: u32 = receivers.into_iter().map(|receiver| receiver.join().unwrap()).sum();
        assert_eq!(got, 3);
    });
}

/// Values of one sender arrive in order, and then the end.
#[test]
fn one_sender_is_received_in_order_until_it_is_dropped() {
    crate::check(|| {
        let (tx, rx) = chan(1);
        let sender = thread::spawn(move || {
            tx.send(value(1)).unwrap();
            tx.send(value(2)).unwrap();
        });
        assert_eq!(rx.recv().unwrap().get(), 1);
        assert_eq!(rx.recv().unwrap().get(), 2);
        assert!(rx.recv().is_err());
        sender.join().unwrap();
    });
}

/// Whoever waits when the channel is closed wakes up; a sender gets its value back.
#[test]
fn closing_ends_every_wait() {
    crate::check(|| {
        let (tx, rx) = chan::<Tracked>(0);
        let theirs = rx.clone();
        let receiver = thread::spawn(move || theirs.recv().map(|value| value.get()));
        let theirs = tx.clone();
        let sender = thread::spawn(move || theirs.send(value(5)).map_err(|back| back.0.get()));
        tx.close();
        let (received, sent) = (receiver.join().unwrap(), sender.join().unwrap());
        match sent {
            Ok(()) => assert_eq!(received.unwrap(), 5),
            Err(back) => assert!(back == 5 && received.is_err()),
        }
        drop(rx);
    });
}

/// The last sender, or the last receiver, to be dropped closes the channel, whoever that is.
#[test]
fn the_last_end_to_be_dropped_closes() {
    crate::check(|| {
        let (tx, rx) = chan::<Tracked>(1);
        let theirs = tx.clone();
        let one = thread::spawn(move || drop(theirs));
        let two = thread::spawn(move || drop(tx));
        assert!(rx.recv().is_err());
        one.join().unwrap();
        two.join().unwrap();
    });
}

/// Two channels, the one at the lower address first: a select goes by it, and a model must do the same in each run.
fn two_channels(capacity: usize) -> [(Sender<Tracked>, Receiver<Tracked>); 2] {
    let mut channels = [chan(capacity), chan(capacity)];
    channels.sort_by_key(|(_, rx)| RecvArm::new(rx).address());
    channels
}

fn receive_from_both(one: &Receiver<Tracked>, other: &Receiver<Tracked>) -> u32 {
    let (mut left, mut right) = (RecvArm::new(one), RecvArm::new(other));
    select(&mut [&mut left, &mut right], Patience::Forever);
    let got = [left.into_outcome(), right.into_outcome()];
    assert_eq!(got.iter().flatten().count(), 1, "one arm is chosen");
    got.into_iter().flatten().map(|value| value.map_or(0, |value| value.get())).sum()
}

/// Two channels claim one select: one wins, and the other's value is not lost.
#[test]
fn a_select_is_claimed_by_one_of_two_channels() {
    crate::check(|| {
        let [(tx1, rx1), (tx2, rx2)] = two_channels(1);
        let one = thread::spawn(move || tx1.send(value(1)).unwrap());
        let two = thread::spawn(move || tx2.send(value(2)).unwrap());
        let first = receive_from_both(&rx1, &rx2);
        one.join().unwrap();
        two.join().unwrap();
        let rest =
            [rx1.try_recv(), rx2.try_recv()].into_iter().flatten().map(|value| value.get()).sum::<u32>();
        assert_eq!(first + rest, 3);
    });
}

/// Two selects that are each other's counterpart meet: one sends, one receives.
#[test]
fn two_selects_meet() {
    crate::check(|| {
        let [(tx1, rx1), (tx2, rx2)] = two_channels(0);
        let (theirs_tx, theirs_rx): (Sender<Tracked>, Receiver<Tracked>) = (tx1.clone(), rx2.clone());
        let other = thread::spawn(move || {
            let (mut send, mut recv) = (SendArm::new(&theirs_tx, value(1)), RecvArm::new(&theirs_rx));
            select(&mut [&mut send, &mut recv], Patience::Forever);
            (send.into_outcome().is_some(), recv.into_outcome().map(|value| value.unwrap().get()))
        });
        let (mut send, mut recv) = (SendArm::new(&tx2, value(2)), RecvArm::new(&rx1));
        select(&mut [&mut send, &mut recv], Patience::Forever);
        let here = (send.into_outcome().is_some(), recv.into_outcome().map(|value| value.unwrap().get()));
        match (here, other.join().unwrap()) {
            ((true, None), (false, Some(2))) | ((false, Some(1)), (true, None)) => {}
            other => panic!("they missed each other: {other:?}"),
        }
    });
}

/// A select whose time is over leaves, or was served: the value is with one of the two.
#[test]
fn a_deadline_and_a_counterpart_race_for_a_select() {
    crate::check(|| {
        let (tx, rx) = chan::<Tracked>(0);
        let sender = thread::spawn(move || {
            let mut arm = SendArm::new(&tx, value(3));
            select(&mut [&mut arm], Patience::Never);
            arm.into_outcome().is_some()
        });
        let mut arm = RecvArm::new(&rx);
        select(&mut [&mut arm], Patience::For(std::time::Duration::ZERO));
        let got = arm.into_outcome().map(|value| value.map(|value| value.get()));
        let was_sent = sender.join().unwrap();
        assert_eq!(got == Some(Ok(3)), was_sent);
    });
}
