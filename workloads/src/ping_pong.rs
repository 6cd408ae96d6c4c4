//! A ball that goes to and fro between two goroutines.
//!
//! - **Models**: request and reply between two parties that never work at the same time.
//! - **Op**: one round trip, two rendezvous. Unit: `trips/s`.
//! - **Expected**: best at 1 processor. Only one of the two can go on at any time; on one processor a hand-over is a
//!   switch, across two it is a wake-up. With `pairs=N` up to N processors can gain.
//! - **Blocks on**: rendezvous channels.

use std::fmt::Display;
use std::time::{Duration, Instant};

use corefit_runtime::chan::{Receiver, Sender};
use corefit_runtime::{chan, go};

use crate::chain::{self, step};
use crate::crew::{expect_equal, join, join_all};
use crate::latency::{histogram, nanoseconds};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Parameter, Settings, Workload};

const PAIRS: Parameter = Parameter {
    name: "pairs",
    default: "1",
    about: "pairs that play, from 1 to 5000",
    accepts: |value| value.parse::<u64>().is_ok_and(|pairs| (1..=MOST_PAIRS).contains(&pairs)),
};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "ping_pong",
    about: "two goroutines and a ball over rendezvous channels",
    scaling: "none: one of the two always waits",
    unit: "trips/s",
    policy: None,
    parameters: &[PAIRS],
    run,
};

/// Round trips at scale 1, of all pairs together.
const ROUND_TRIPS: u64 = 650_000;
/// One round trip in so many is timed: two clock reads take as long as a tenth of it.
const TIMED_EVERY: u64 = 16;
const MOST_PAIRS: u64 = 5_000;

/// What a pair did.
#[derive(Clone, Debug)]
struct Rally {
    /// The ball's value after the last round trip.
    ball: u64,
    latencies_ns: Vec<u64>,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let pairs: u64 = settings.read(&PAIRS)?;
    let round_trips = settings.scaled(ROUND_TRIPS, 100).div_ceil(pairs);
    let watch = Stopwatch::start();
    let rallies: Vec<_> = (0..pairs).map(|pair| go(move || play(pair, round_trips))).collect();
    let rallies = join_all(rallies)?;
    let timed = watch.stop();
    check(&rallies, round_trips)?;
    let latencies_ns = rallies.into_iter().flat_map(|rally| rally.latencies_ns);
    Ok(Outcome { ops: pairs * round_trips, timed, latency_ns: Some(histogram(latencies_ns)) })
}

/// Starts the other player and serves.
fn play(first_ball: u64, round_trips: u64) -> Result<Rally, Failure> {
    let (to_other, from_me) = chan(0);
    let (to_me, from_other) = chan(0);
    let other = go(move || pong(&from_me, &to_me));
    let rally = ping(first_ball, round_trips, &to_other, &from_other);
    drop(to_other);
    join(other)?;
    rally
}

/// Sends the ball and waits for it, `round_trips` times.
#[inline(never)]
fn ping(
    first_ball: u64,
    round_trips: u64,
    to_other: &Sender<u64>,
    from_other: &Receiver<u64>,
) -> Result<Rally, Failure> {
    let mut ball = first_ball;
    let mut latencies = Vec::<Duration>::with_capacity((round_trips / TIMED_EVERY + 1) as usize);
    for round_trip in 0..round_trips {
        let served = round_trip.is_multiple_of(TIMED_EVERY).then(Instant::now);
        to_other.send(ball).map_err(gone)?;
        ball = from_other.recv().map_err(gone)?;
        latencies.extend(served.map(|served| served.elapsed()));
    }
    Ok(Rally { ball, latencies_ns: latencies.into_iter().map(nanoseconds).collect() })
}

/// Returns every ball, one step further, until no more come.
#[inline(never)]
fn pong(from_other: &Receiver<u64>, to_other: &Sender<u64>) -> Result<(), Failure> {
    for ball in from_other {
        to_other.send(step(ball)).map_err(gone)?;
    }
    Ok(())
}

fn gone(error: impl Display) -> Failure {
    Failure(format!("the other player left in the middle of a round trip: {error}"))
}

fn check(rallies: &[Rally], round_trips: u64) -> Result<(), Failure> {
    (0..).zip(rallies).try_for_each(|(pair, rally)| {
        let expected = chain::expected(pair, round_trips);
        expect_equal(&format!("the ball of pair {pair}"), rally.ball, expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;
    use corefit_runtime::Config;

    #[test]
    fn a_ball_that_went_once_less_or_to_another_pair_is_noticed() {
        let rally = |pair, round_trips| Config::new().procs(2).run(move || play(pair, round_trips)).unwrap();
        check(&[rally(0, 40), rally(1, 40)], 40).unwrap();
        assert!(check(&[rally(0, 40), rally(1, 39)], 40).is_err());
        assert!(check(&[rally(1, 40), rally(0, 40)], 40).is_err());
    }

    #[test]
    fn one_round_trip_in_sixteen_is_timed() {
        let rally = Config::new().procs(1).run(|| play(0, 100)).unwrap();
        assert_eq!(rally.latencies_ns.len(), 7);
    }

    #[test]
    fn no_pairs_and_too_many_are_refused() {
        for bad in ["0", "5001", "-1", "two"] {
            let failure = Trial::of(&WORKLOAD).set("pairs", bad).expect_failure();
            assert!(failure.contains("parameter `pairs`"), "{failure}");
        }
    }
}
