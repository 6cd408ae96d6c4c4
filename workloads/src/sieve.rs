//! Hoare's prime sieve: a goroutine for every prime.
//!
//! - **Models**: communicating sequential processes, all coordination and no work (Hoare, CACM 1978, section 6.1; the
//!   example of the Go specification).
//! - **Op**: one number handed from one goroutine to the next. Unit: `messages/s`.
//! - **Expected**: gains while the filters that can go on at once are many and hand over on their own processor, then
//!   nothing: a wake-up of another processor costs far more than the division that it is for.
//! - **Blocks on**: rendezvous channels.

use corefit_runtime::chan::{Receiver, SendError, Sender};
use corefit_runtime::{JoinHandle, chan, go};

use crate::crew::{expect_equal, join, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "sieve",
    about: "Hoare's prime sieve: a goroutine a prime, rendezvous channels",
    scaling: "some, then none: every hop is a rendezvous",
    unit: "messages/s",
    policy: None,
    parameters: &[],
    run,
};

/// Messages at scale 1, about.
const MESSAGES: u64 = 1_300_000;
/// Primes at most, each a goroutine.
const MOST_PRIMES: usize = 15_000;

/// What the sieve must find, and with how many messages.
#[derive(Clone, Debug, PartialEq)]
struct Primes {
    /// The first primes, in order.
    found: Vec<u32>,
    /// Numbers handed over until the last of them is found.
    messages: u64,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let expected = primes_for(settings.scaled(MESSAGES, 1_000));
    let last = *expected.found.last().expect("there is a first prime");
    let watch = Stopwatch::start();
    let found = sieve(last)?;
    let timed = watch.stop();
    check(&found, &expected)?;
    Ok(Outcome { ops: expected.messages, timed, latency_ns: None })
}

/// The shortest list of primes that takes `wanted` messages. A number goes through the filters of all primes up to its
/// smallest factor, where it ends; a prime goes through those of all before it and is then received as a prime.
fn primes_for(wanted: u64) -> Primes {
    let mut primes = Primes { found: Vec::new(), messages: 0 };
    for number in 2.. {
        let mut small = primes.found.iter().take_while(|prime| *prime * *prime <= number);
        if let Some(filters_before) = small.position(|prime| number % prime == 0) {
            primes.messages += filters_before as u64 + 1;
            continue;
        }
        primes.found.push(number);
        primes.messages += primes.found.len() as u64;
        if primes.messages >= wanted || primes.found.len() == MOST_PRIMES {
            break;
        }
    }
    primes
}

fn sieve(last: u32) -> Result<Primes, Failure> {
    let (numbers, mut candidates) = chan(0);
    let source = go(move || generate(&numbers, last));
    let mut found = Vec::new();
    let mut filters: Vec<JoinHandle<Result<u64, Failure>>> = Vec::new();
    while let Ok(prime) = candidates.recv() {
        found.push(prime);
        let (passed, next) = chan(0);
        filters.push(go(move || filter(prime, &candidates, &passed)));
        candidates = next;
    }
    join(source)?;
    let messages = found.len() as u64 + join_all(filters)?.into_iter().sum::<u64>();
    Ok(Primes { found, messages })
}

/// Sends the numbers from 2 to `last`.
#[inline(never)]
fn generate(numbers: &Sender<u32>, last: u32) -> Result<(), Failure> {
    (2..=last).try_for_each(|number| numbers.send(number)).map_err(gone)
}

/// Passes on what `prime` does not divide; how many numbers came.
#[inline(never)]
fn filter(prime: u32, candidates: &Receiver<u32>, passed: &Sender<u32>) -> Result<u64, Failure> {
    let mut messages = 0;
    for number in candidates {
        messages += 1;
        if number % prime != 0 {
            passed.send(number).map_err(gone)?;
        }
    }
    Ok(messages)
}

fn gone(error: SendError<u32>) -> Failure {
    Failure(format!("a filter ended before its last number: {error}"))
}

fn check(found: &Primes, expected: &Primes) -> Result<(), Failure> {
    expect_equal("the number of primes", found.found.len(), expected.found.len())?;
    expect_equal("the last prime", found.found.last(), expected.found.last())?;
    expect_equal("the sum of the primes", sum(found), sum(expected))?;
    expect_equal("the number of messages", found.messages, expected.messages)
}

fn sum(primes: &Primes) -> u64 {
    primes.found.iter().map(|prime| u64::from(*prime)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    #[test]
    fn primes_and_messages_are_as_counted_by_hand() {
        // 2 is received; 3 passes one filter and is received; 4 ends in the first; 5 passes two and is received.
        assert_eq!(primes_for(7), Primes { found: vec![2, 3, 5], messages: 1 + 2 + 1 + 3 });
        let thousand = primes_for(2_760_000);
        assert_eq!((thousand.found[99], thousand.found[999]), (541, 7_919));
    }

    #[test]
    fn the_sieve_finds_the_primes_with_the_messages_foretold() {
        for wanted in [1, 10, 100, 1_000] {
            let expected = primes_for(wanted);
            let last = *expected.found.last().unwrap();
            let found = Config::new().procs(2).run(move || sieve(last)).unwrap();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_missing_or_a_wrong_prime_or_a_lost_message_is_noticed() {
        let expected = primes_for(500);
        check(&expected, &expected).unwrap();
        let wrong = |change: fn(&mut Primes)| {
            let mut found = expected.clone();
            change(&mut found);
            check(&found, &expected).unwrap_err().to_string()
        };
        assert!(wrong(|primes| primes.found.truncate(1)).contains("the number of primes"));
        assert!(wrong(|primes| *primes.found.last_mut().unwrap() += 2).contains("the last prime"));
        assert!(wrong(|primes| primes.found[3] = 9).contains("the sum of the primes"));
        assert!(wrong(|primes| primes.messages -= 1).contains("the number of messages"));
    }
}
