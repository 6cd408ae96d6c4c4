//! Streams through memory that no core's own cache holds.
//!
//! - **Models**: scans and vector arithmetic on arrays: McCalpin's STREAM triad, `a[i] = b[i] + s·c[i]`.
//! - **Op**: one byte read or written (the line that a store fetches first is not counted, as in STREAM). Unit: `B/s`.
//! - **Expected**: gains until the memory bus is full, then flat: often at a quarter of a socket's cores.
//! - **Blocks on**: nothing but the end of each pass.

use corefit_runtime::go;

use crate::crew::{expect_equal, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "memory_stream",
    about: "STREAM triad on arrays out of cache",
    scaling: "rises until memory is saturated, then flat",
    unit: "B/s",
    policy: None,
    parameters: &[],
    run,
};

/// Passes over all stripes at scale 1.
const PASSES: u64 = 50;
/// Stripes that the arrays are cut into, each with a goroutine in every pass.
const STRIPES: usize = 64;
/// Numbers of a stripe in each of the three arrays: half a MiB. A pass goes once through the 96 MiB of all stripes, so
/// a stripe has left the core's own caches before its next turn.
const STRIPE_LENGTH: usize = 1 << 16;
/// MiB that a pass moves.
const PASS_MIB: u64 = ((STRIPES * 3 * STRIPE_LENGTH * size_of::<u64>()) >> 20) as u64;
/// The factor `s`. Integers, because they wrap: floats would reach infinity or a fixed point, and hide a lost pass.
const FACTOR: u64 = 3;

/// The same piece of the three arrays. All numbers of an array's piece are equal, so one says what all must be.
#[derive(Debug)]
struct Stripe {
    target: Vec<u64>,
    first: Vec<u64>,
    second: Vec<u64>,
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let passes = settings.scaled(PASSES, 1);
    let stripes: Vec<_> = (0..STRIPES).map(|stripe| go(move || Ok(touch(stripe)))).collect();
    let mut stripes = join_all(stripes)?;

    let watch = Stopwatch::start();
    for _ in 0..passes {
        let pass: Vec<_> = stripes.into_iter().map(|stripe| go(move || Ok(triad(stripe)))).collect();
        stripes = join_all(pass)?;
    }
    let timed = watch.stop();

    let checks: Vec<_> =
        stripes.into_iter().enumerate().map(|(i, stripe)| go(move || check(i, passes, &stripe))).collect();
    join_all(checks)?;
    Ok(Outcome { ops: (passes * PASS_MIB) << 20, timed, latency_ns: None })
}

/// What the three arrays hold at first in stripe number `stripe`.
fn initial(stripe: usize) -> [u64; 3] {
    let seed = stripe as u64;
    [seed, seed + 1, seed + 2]
}

/// Makes a stripe and writes to all its pages, so that no pass has to wait for the kernel.
#[inline(never)]
fn touch(stripe: usize) -> Stripe {
    let [target, first, second] = initial(stripe).map(|value| vec![value; STRIPE_LENGTH]);
    Stripe { target, first, second }
}

/// One pass over a stripe. The arrays change places, so that every pass depends on the ones before it.
#[inline(never)]
fn triad(stripe: Stripe) -> Stripe {
    let Stripe { mut target, first, second } = stripe;
    for ((target, first), second) in target.iter_mut().zip(&first).zip(&second) {
        *target = first.wrapping_add(FACTOR.wrapping_mul(*second));
    }
    Stripe { target: first, first: second, second: target }
}

/// Compares every number of a stripe with what `passes` passes over single numbers give.
#[inline(never)]
fn check(number: usize, passes: u64, stripe: &Stripe) -> Result<(), Failure> {
    let expected = (0..passes).fold(initial(number), |[_, first, second], _| {
        [first, second, first.wrapping_add(FACTOR.wrapping_mul(second))]
    });
    for (array, expected) in [&stripe.target, &stripe.first, &stripe.second].into_iter().zip(expected) {
        let wrong = array.iter().find(|value| **value != expected).copied();
        expect_equal(&format!("a number of stripe {number}"), wrong.unwrap_or(expected), expected)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(96 << 20);
    }

    #[test]
    fn a_wrong_number_and_a_lost_pass_are_noticed() {
        let mut stripe = triad(triad(touch(5)));
        check(5, 2, &stripe).unwrap();
        assert!(check(5, 3, &stripe).is_err());
        stripe.first[STRIPE_LENGTH - 1] += 1;
        assert!(check(5, 2, &stripe).unwrap_err().to_string().contains("stripe 5"));
    }
}
