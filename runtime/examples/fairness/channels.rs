//! Many that want to send, many that want to receive, and arms of a select that are all ready.

use std::time::Duration;

use corefit_runtime::{chan, select};

use crate::crew::{Crew, timed};

/// More than any number of processors here.
const MANY: usize = 64;

fn senders(capacity: usize) -> Crew {
    let mut crew = Crew::default();
    let (sender, receiver) = chan::<usize>(capacity);
    for member in 0..MANY {
        let sender = sender.clone();
        crew.add("senders", move || {
            let (sent, waited) = timed(|| sender.send(member));
            sent.ok().map(|()| waited)
        });
    }
    crew.add("receiver", move || {
        let (received, waited) = timed(|| receiver.recv());
        received.ok().map(|_| waited)
    });
    crew
}

pub(crate) fn senders_on_a_rendezvous() -> Crew {
    senders(0)
}

pub(crate) fn senders_on_a_buffer() -> Crew {
    senders(16)
}

pub(crate) fn receivers() -> Crew {
    let mut crew = Crew::default();
    let (sender, receiver) = chan::<usize>(16);
    for _ in 0..MANY {
        let receiver = receiver.clone();
        crew.add("receivers", move || {
            let (received, waited) = timed(|| receiver.recv());
            received.ok().map(|_| waited)
        });
    }
    let mut next = 0;
    crew.add("sender", move || {
        next += 1;
        let (sent, waited) = timed(|| sender.send(next));
        sent.ok().map(|()| waited)
    });
    crew
}

/// One goroutine selects over four channels whose senders never pause: a sender that gets through less is an arm that is
/// chosen less.
pub(crate) fn select_arms() -> Crew {
    let mut crew = Crew::default();
    let mut ends = Vec::new();
    for arm in 0..4_usize {
        let (sender, receiver) = chan::<usize>(16);
        ends.push(receiver);
        crew.add("arms", move || {
            let (sent, waited) = timed(|| sender.send(arm));
            sent.ok().map(|()| waited)
        });
    }
    crew.add("selector", move || {
        let [a, b, c, d] = ends.as_slice() else { return None };
        let received = select! {
            recv(a) -> value => value,
            recv(b) -> value => value,
            recv(c) -> value => value,
            recv(d) -> value => value,
        };
        received.ok().map(|_| Duration::ZERO)
    });
    crew
}
