//! Waiting for time to pass.
//!
//! Nothing here starts a goroutine to wait for a clock: whoever wants the time parks until it has come. So there is
//! nothing to stop and nothing to leak when an interval or a receiver of [`after`] is dropped.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use crate::chan::{Receiver, RecvTimeoutError, alarm, chan};
use crate::park::{self, WaitReason, park, park_until};
use crate::spawn::go;

/// Waits until `duration` has passed, at least.
///
/// ```
/// use corefit_runtime::{go, run, time};
/// use std::time::{Duration, Instant};
///
/// let nap = Duration::from_millis(1);
/// let took = run(move || {
///     let begun = Instant::now();
///     // Nobody occupies a thread meanwhile.
///     let all: Vec<_> = (0..1000).map(|_| go(move || time::sleep(nap))).collect();
///     all.into_iter().for_each(|one| one.join().unwrap());
///     begun.elapsed()
/// });
/// assert!(took >= nap);
/// ```
pub fn sleep(duration: Duration) {
    if duration.is_zero() {
        return;
    }
    match Instant::now().checked_add(duration) {
        Some(deadline) => wait_until(deadline),
        // Past the end of the clock.
        None => loop {
            park(WaitReason::Sleep, 0);
        },
    }
}

fn sleep_until(deadline: Instant) {
    if Instant::now() < deadline {
        wait_until(deadline);
    }
}

/// Waits for `deadline`, which was ahead a moment ago. Reads no clock if nothing else wakes it.
fn wait_until(deadline: Instant) {
    if park::sleep_until(deadline) {
        return;
    }
    while !park_until(WaitReason::Sleep, 0, deadline) && Instant::now() < deadline {}
}

/// A channel that gives the time, once, when `duration` has passed, and is then closed. For a `select!` that waits for
/// more than one time; for a single one its `timeout` arm is cheaper.
///
/// ```
/// use corefit_runtime::time::after;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let rx = after(Duration::from_millis(1));
/// assert!(rx.recv().unwrap() >= start + Duration::from_millis(1));
/// assert!(rx.recv().is_err());
/// ```
#[must_use]
pub fn after(duration: Duration) -> Receiver<Instant> {
    match Instant::now().checked_add(duration) {
        Some(at) => alarm(at),
        // Past the end of the clock: a channel that has a sender and never a value.
        None => {
            let (tx, rx) = chan(1);
            std::mem::forget(tx);
            rx
        }
    }
}

/// Gives the time every `period`, first when one period has passed. Ticks keep to the grid of periods since the start.
/// Whoever comes late finds one tick waiting, and the others that were missed are skipped, as with Go's `Ticker`.
///
/// # Panics
/// `period` is zero.
///
/// ```
/// use corefit_runtime::{run, time};
/// use std::time::{Duration, Instant};
///
/// let period = Duration::from_millis(1);
/// run(move || {
///     let begun = Instant::now();
///     let third = time::interval(period).nth(2).unwrap();
///     assert!(third >= begun + 3 * period);
/// });
/// ```
#[must_use]
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period longer than zero");
    Interval { next: Instant::now().checked_add(period), period }
}

/// Ticks that come every period; see [`interval`]. It never ends by itself.
#[derive(Debug)]
pub struct Interval {
    /// When the next tick is due; `None` past the end of the clock.
    next: Option<Instant>,
    period: Duration,
}

impl Iterator for Interval {
    type Item = Instant;

    /// Waits for the next tick and gives the time at which it is taken.
    fn next(&mut self) -> Option<Instant> {
        match self.next {
            Some(due) => sleep_until(due),
            None => sleep(Duration::MAX),
        }
        let now = Instant::now();
        self.next = self.next.and_then(|due| following(due, self.period, now));
        Some(now)
    }
}

/// The first tick of the grid through `due` that comes after `now`, which is not before `due`.
fn following(due: Instant, period: Duration, now: Instant) -> Option<Instant> {
    let left_ns = period.as_nanos() - now.duration_since(due).as_nanos() % period.as_nanos();
    // More nanoseconds than fit are past the end of the clock.
    now.checked_add(Duration::from_nanos(u64::try_from(left_ns).ok()?))
}

/// The time passed before the result was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time passed before the result was there")
    }
}

impl Error for Elapsed {}

/// Runs `f` as a goroutine of its own and waits for its result, for `duration` at most. If the time passes, `f` goes on
/// and its result is dropped.
///
/// # Errors
/// The time passed.
///
/// # Panics
/// With the panic of `f`, if it panics in time; and where [`go`] does.
///
/// ```
/// use corefit_runtime::{run, time};
/// use std::time::Duration;
///
/// let (quick, slow) = run(|| {
///     let quick = time::timeout(Duration::from_secs(60), || 1);
///     let slow = time::timeout(Duration::from_millis(1), || time::sleep(Duration::from_secs(60)));
///     (quick, slow)
/// });
/// assert_eq!((quick, slow), (Ok(1), Err(time::Elapsed)));
/// ```
pub fn timeout<T, F>(duration: Duration, f: F) -> Result<T, Elapsed>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (tx, rx) = chan(1);
    let running = go(move || {
        // Nobody receives it any more if the time has passed.
        let _ = tx.send(f());
    });
    match rx.recv_timeout(duration) {
        Ok(result) => Ok(result),
        Err(RecvTimeoutError::Timeout) => Err(Elapsed),
        // The sender is dropped without a result only by a panic, which `join` has.
        Err(RecvTimeoutError::Closed) => match running.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a goroutine that ends by itself has sent its result"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[should_panic(expected = "longer than zero")]
    fn an_interval_of_nothing_is_refused() {
        let _ = interval(Duration::ZERO);
    }

    #[test]
    fn the_end_of_the_clock_is_never_reached() {
        assert_eq!(interval(Duration::MAX).next, None);
        assert!(
            after(Duration::MAX).try_recv().is_err_and(|error| error == crate::chan::TryRecvError::Empty)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The next tick is the first point of the grid in the future: at most one tick can be waiting.
        #[test]
        fn ticks_keep_to_the_grid_and_missed_ones_are_skipped(
            period_ns in 1..1_000_000_u64,
            late_ns in 0..10_000_000_u64,
        ) {
            let (due, period) = (Instant::now(), Duration::from_nanos(period_ns));
            let now = due + Duration::from_nanos(late_ns);
            let next = following(due, period, now).unwrap();
            prop_assert!(now < next && next <= now + period);
            prop_assert_eq!((next - due).as_nanos() % period.as_nanos(), 0);
        }
    }
}
