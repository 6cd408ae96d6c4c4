//! Many producers, one consumer, one channel.
//!
//! - **Models**: logging, metrics, any actor that owns a state and is told by many.
//! - **Op**: one message made, sent and consumed. Unit: `messages/s`.
//! - **Expected**: gains until the consumer is busy all the time, here at up to (1.25 + c)/(0.25 + c) with c µs for the
//!   channel; then flat, then falling as more producers fight for the channel.
//! - **Blocks on**: one bounded channel, nearly always full.

use std::hint::black_box;
use std::time::Instant;

use corefit_runtime::chan::{Receiver, Sender};
use corefit_runtime::{chan, go};

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "fan_in",
    about: "many producers, one consumer, one channel",
    scaling: "until the consumer is busy all the time",
    unit: "messages/s",
    policy: None,
    parameters: &[],
    run,
};

/// Messages at scale 1, of all producers together.
const MESSAGES: u64 = 250_000;
const PRODUCERS: usize = 100;
/// Messages that the channel holds.
const CAPACITY: usize = 64;
/// Steps to make a message: 1 µs at 3 GHz.
const PRODUCE_STEPS: u64 = STEPS_PER_US;
/// Steps to consume a message: a quarter of that.
const CONSUME_STEPS: u64 = STEPS_PER_US / 4;
/// One message in so many is timed, so that the clock does not show.
const TIMED_EVERY: u64 = 16;

#[derive(Clone, Copy, Debug)]
struct Message {
    producer: usize,
    value: u64,
    /// When it was offered to the channel, if it is timed.
    sent: Option<Instant>,
}

/// What the consumer keeps of a producer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ledger {
    messages: u64,
    /// The values so far, each carried further: it depends on their order.
    value: u64,
}

impl Ledger {
    /// Takes note of the next message, by the one way (`compute`) or the other (`expected`) of going along a chain.
    fn enter(&mut self, value: u64, chain: fn(u64, u64) -> u64) {
        self.messages += 1;
        self.value = chain(self.value ^ value, CONSUME_STEPS);
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let each = settings.scaled(MESSAGES, 1_000).div_ceil(PRODUCERS as u64);
    let ops = each * PRODUCERS as u64;
    let mut latencies_ns = Vec::with_capacity((ops / TIMED_EVERY) as usize + PRODUCERS);
    let watch = Stopwatch::start();
    let (sender, messages) = chan(CAPACITY);
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let sender = sender.clone();
            go(move || produce(producer, each, &sender))
        })
        .collect();
    drop(sender);
    let ledgers = consume(&messages, &mut latencies_ns);
    join_all(producers)?;
    let timed = watch.stop();
    check(&ledgers, each)?;
    Ok(Outcome { ops, timed, latency_ns: Some(histogram(latencies_ns)) })
}

/// Makes and sends `count` messages.
fn produce(producer: usize, count: u64, sender: &Sender<Message>) -> Result<(), Failure> {
    for index in 0..count {
        let value = make_message(first_value(producer, index));
        let sent = index.is_multiple_of(TIMED_EVERY).then(Instant::now);
        let sending = sender.send(Message { producer, value, sent });
        sending.map_err(|error| Failure(format!("the consumer ended before its last message: {error}")))?;
    }
    Ok(())
}

/// What a message is made from: different for every message of every producer.
fn first_value(producer: usize, index: u64) -> u64 {
    (producer as u64) << 32 | index
}

#[inline(never)]
fn make_message(value: u64) -> u64 {
    black_box(chain::compute(value, PRODUCE_STEPS))
}

/// Takes messages until no more come; a ledger for each producer.
#[inline(never)]
fn consume(messages: &Receiver<Message>, latencies_ns: &mut Vec<u64>) -> Vec<Ledger> {
    let mut ledgers = vec![Ledger::default(); PRODUCERS];
    for Message { producer, value, sent } in messages {
        latencies_ns.extend(sent.map(|sent| nanoseconds(sent.elapsed())));
        ledgers[producer].enter(value, chain::compute);
    }
    ledgers
}

/// Checks that the messages of every producer came, all of them, in order and with the right value.
fn check(ledgers: &[Ledger], each: u64) -> Result<(), Failure> {
    ledgers.iter().enumerate().try_for_each(|(producer, ledger)| {
        expect_equal(&format!("the ledger of producer {producer}"), *ledger, expected_ledger(producer, each))
    })
}

fn expected_ledger(producer: usize, each: u64) -> Ledger {
    let mut ledger = Ledger::default();
    for index in 0..each {
        ledger.enter(chain::expected(first_value(producer, index), PRODUCE_STEPS), chain::expected);
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(values: impl IntoIterator<Item = u64>) -> Ledger {
        let mut ledger = Ledger::default();
        values.into_iter().for_each(|value| ledger.enter(value, chain::compute));
        ledger
    }

    #[test]
    fn a_message_that_is_lost_or_doubled_or_swapped_or_wrong_is_noticed() {
        let values: Vec<u64> = (0..4).map(|index| make_message(first_value(7, index))).collect();
        let [a, b, c, d] = values[..] else { panic!("four values") };
        let is_noticed = |values: &[u64]| ledger(values.iter().copied()) != expected_ledger(7, 4);
        assert!(!is_noticed(&[a, b, c, d]));
        for wrong in [&[a, b, c][..], &[a, b, c, d, d], &[a, c, b, d], &[a, b, c, d + 1]] {
            assert!(is_noticed(wrong), "{wrong:?}");
        }
        assert!(check(&[expected_ledger(0, 4), ledger([a, b, c])], 4).is_err());
    }
}
