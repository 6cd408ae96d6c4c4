//! A service as most are: a little of everything.
//!
//! - **Models**: requests that compute, take a lock, ask a slow backend, wait for something else, and compute again.
//! - **Op**: one request. Unit: `requests/s`.
//! - **Expected**: gains while the 50 µs of compute of each request fill the processors, then flat: a request waits
//!   for 2 ms whatever the processors, and the number of clients is fixed.
//! - **Blocks on**: a mutex, channels to and from the backend, a timer. Latency: of one request.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corefit_runtime::chan::{Receiver, Sender};
use corefit_runtime::sync::Mutex;
use corefit_runtime::{chan, go, time};

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{expect_equal, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "mixed_service",
    about: "requests that compute, lock, ask a backend, sleep",
    scaling: "gains at first, then flat: the waits remain",
    unit: "requests/s",
    policy: None,
    parameters: &[],
    run,
};

/// Clients, each with one request at a time.
const CLIENTS: u64 = 128;
/// Requests of each client at scale 1.
const REQUESTS: u64 = 40;
/// Sessions in the table behind the lock.
const SESSIONS: u64 = 64;
/// Goroutines of the backend, each with one query at a time.
const BACKENDS: usize = 64;
/// Queries that wait for a backend before a client has to wait to ask.
const QUEUE: usize = 16;
/// How long a backend takes for a query: a database nearby.
const BACKEND_TIME: Duration = Duration::from_millis(1);
/// How long a request waits for something else: a rate limit, a retry.
const PAUSE: Duration = Duration::from_millis(1);
/// Steps of compute before and after the waits: 25 µs each at 3 GHz.
const STEPS: u64 = 25 * STEPS_PER_US;
/// Where the chains of the three computing parts start from a number; different, so that their results are.
const DECODE: u64 = 0x5851_f42d_4c95_7f2d;
const BACKEND: u64 = 0x1405_7b7e_f767_814f;
const RENDER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A question to the backend, and where its answer goes.
struct Query {
    key: u64,
    answer: Sender<u64>,
}

/// What all requests share.
#[derive(Clone)]
struct Service {
    visits: Arc<Mutex<BTreeMap<u64, u64>>>,
    backend: Sender<Query>,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let requests = settings.scaled(REQUESTS, 1);
    let (backend, queries) = chan(QUEUE);
    let service = Service { visits: Arc::new(Mutex::new(BTreeMap::new())), backend };
    let watch = Stopwatch::start();
    let backends: Vec<_> = (0..BACKENDS)
        .map(|_| {
            let queries = queries.clone();
            go(move || Ok(answer_queries(&queries)))
        })
        .collect();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let service = service.clone();
            go(move || send_requests(&service, client, requests))
        })
        .collect();
    let latencies_ns = join_all(clients)?;
    // The backend ends when nobody can ask it any more: the clients have gone, and this is the last sender.
    let Service { visits, backend } = service;
    drop(backend);
    let answered = join_all(backends)?;
    let timed = watch.stop();
    let ops = CLIENTS * requests;
    expect_equal("the number of queries answered", answered.into_iter().sum(), ops)?;
    check_visits(&visits.lock(), ops)?;
    Ok(Outcome { ops, timed, latency_ns: Some(histogram(latencies_ns.into_iter().flatten())) })
}

/// A client's requests, one after the other, each checked; how long each took, in nanoseconds.
fn send_requests(service: &Service, client: u64, requests: u64) -> Result<Vec<u64>, Failure> {
    let mut latencies_ns = Vec::with_capacity(requests as usize);
    for request in 0..requests {
        let number = client * requests + request;
        let start = Instant::now();
        let response = serve_request(service, number)?;
        latencies_ns.push(nanoseconds(start.elapsed()));
        expect_equal("a response", response, expected_response(number))?;
    }
    Ok(latencies_ns)
}

/// All that one request does.
#[inline(never)]
fn serve_request(service: &Service, number: u64) -> Result<u64, Failure> {
    let key = decode(number);
    note_visit(&service.visits, number % SESSIONS);
    let answer = ask_backend(&service.backend, key)?;
    time::sleep(PAUSE);
    Ok(render(answer))
}

#[inline(never)]
fn decode(number: u64) -> u64 {
    black_box(chain::compute(number ^ DECODE, STEPS))
}

#[inline(never)]
fn note_visit(visits: &Mutex<BTreeMap<u64, u64>>, session: u64) {
    *visits.lock().entry(session).or_default() += 1;
}

#[inline(never)]
fn ask_backend(backend: &Sender<Query>, key: u64) -> Result<u64, Failure> {
    let (sender, answer) = chan(1);
    backend
        .send(Query { key, answer: sender })
        .map_err(|error| Failure(format!("cannot ask the backend: {error}")))?;
    answer.recv().map_err(|error| Failure(format!("cannot get an answer of the backend: {error}")))
}

/// One goroutine of the backend, until nobody can ask any more; how many queries it answered.
#[inline(never)]
fn answer_queries(queries: &Receiver<Query>) -> u64 {
    let mut answered = 0;
    for query in queries {
        time::sleep(BACKEND_TIME);
        // A client that has failed and gone does not want its answer; its failure is told elsewhere.
        answered += u64::from(query.answer.send(chain::step(query.key ^ BACKEND)).is_ok());
    }
    answered
}

#[inline(never)]
fn render(answer: u64) -> u64 {
    black_box(chain::compute(answer ^ RENDER, STEPS))
}

/// What [`serve_request`] must give.
fn expected_response(number: u64) -> u64 {
    let answer = chain::step(chain::expected(number ^ DECODE, STEPS) ^ BACKEND);
    chain::expected(answer ^ RENDER, STEPS)
}

/// Requests visit the sessions in turn, so all of them equally.
fn check_visits(visits: &BTreeMap<u64, u64>, requests: u64) -> Result<(), Failure> {
    let expected: BTreeMap<_, _> = (0..SESSIONS).map(|session| (session, requests / SESSIONS)).collect();
    expect_equal("the table of visits", visits, &expected)
}

const _: () = assert!(CLIENTS.is_multiple_of(SESSIONS), "every session gets the same number of requests");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(CLIENTS);
    }

    #[test]
    fn the_computing_parts_give_the_response_that_is_expected() {
        for number in [0, 1, 77] {
            let answer = chain::step(decode(number) ^ BACKEND);
            assert_eq!(render(answer), expected_response(number));
            assert_ne!(render(answer + 1), expected_response(number));
        }
    }

    #[test]
    fn a_lost_visit_is_noticed() {
        let mut visits: BTreeMap<_, _> = (0..SESSIONS).map(|session| (session, 2)).collect();
        check_visits(&visits, 2 * SESSIONS).unwrap();
        visits.insert(9, 1);
        assert!(check_visits(&visits, 2 * SESSIONS).is_err());
    }
}
