//! Which samples come next, and when to stop: pure functions of the plan and of what was measured.
//!
//! - A round visits every point in play once, in an order that follows from the seed and the round alone.
//! - At least MIN rounds are measured, at most MAX. After MIN it ends once the ratio of every contender to the best is
//!   known within the precision, or the next round would not fit the budget. An asked-for budget wins over MIN, a
//!   default one does not; the first round is measured in any case, for without it there is no answer.
//! - From 4 complete rounds on a point leaves when the upper end of the two-sided 95 % t-interval of its ratio to the
//!   best is below 1 − tolerance − 2 %. Until MIN rounds are complete the 3 best stay, so that a small sweep has an
//!   interval for each of its points; after that only contenders cost time.
//! - A point whose last two samples failed leaves.
//! - The default, where it is asked for, is visited by every round but is no contender: it is not chosen, so it neither
//!   leaves for being slow nor keeps a sweep going.
//!
//! Who is in play follows from the samples: whoever was measured in the round before and did not leave after it. So a
//! sweep that is resumed goes on as if it had not been interrupted, and an unfinished round is finished first.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Plan;
use super::contest::Contest;
use crate::target::Procs;

/// Rounds before a point may leave for being slow: with fewer no two points can be told apart at 5 %
/// (Mann-Whitney's smallest p at 3 against 3 is 0.10, at 4 against 4 it is 0.029).
const ROUNDS_BEFORE_DROPPING: u32 = 4;

/// Points that stay until the rounds at least are complete.
const POINTS_KEPT: usize = 3;

/// Share by which a point has to miss the tolerance before it leaves. Guess, as large as the default precision.
const MARGIN: f64 = 0.02;

/// One sample that was taken, as far as it decides what comes next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Done {
    /// Its round, from 1 on.
    pub round: u32,
    /// Its point.
    pub procs: Procs,
    /// Its throughput; `None`: it failed.
    pub throughput: Option<f64>,
    /// How long it took, seconds.
    pub wall_s: f64,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Measure these points once each, in this order.
    Round {
        /// Number of the round, from 1 on.
        round: u32,
        /// Not empty. For an unfinished round only what is missing.
        order: Vec<Procs>,
    },
    /// Measure no more.
    Stop(StopReason),
}

/// Why a sweep is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Every contender's ratio to the best is known within the precision.
    Precise,
    /// The most rounds are measured.
    MaxRounds,
    /// Another round does not fit the budget. Under an asked-for budget it may be before the least rounds.
    Budget,
    /// Every point failed twice running.
    NoneLeft,
}

/// The next round, or why there is none.
///
/// `tolerance` is the policy's (see [`Policy::tolerance`](super::Policy::tolerance)), `done` every sample so far in any
/// order, `spent` the time the target has taken so far, and `reserve` the part of the budget kept back for profiles.
#[must_use]
pub fn next(plan: &Plan, tolerance: f64, done: &[Done], spent: Duration, reserve: Duration) -> Next {
    let last = done.iter().map(|sample| sample.round).max().unwrap_or(0);
    let playing = in_play(plan, tolerance, done, last);
    let measured = measured_in(done, last);
    let missing: Vec<Procs> = playing.iter().copied().filter(|n| !measured.contains(n)).collect();
    if last > 0 && !missing.is_empty() {
        return Next::Round { round: last, order: order(plan, last, &missing) };
    }
    let contest = Contest::until(last, done);
    let playing = stay(plan, tolerance, &contest, &playing, last);
    match stop_reason(plan, tolerance, &contest, &playing, last, spent + reserve) {
        Some(reason) => Next::Stop(reason),
        None => Next::Round { round: last + 1, order: order(plan, last + 1, &playing) },
    }
}

/// About how long the rest will take, without profiles: the rounds to the least, or to the precision at the present
/// spread, as far as the budget allows.
#[must_use]
pub fn time_left(plan: &Plan, done: &[Done], spent: Duration) -> Duration {
    let last = done.iter().map(|sample| sample.round).max().unwrap_or(0);
    let contest = Contest::until(last, done);
    let measured = measured_in(done, last);
    let playing: Vec<Procs> = measured_in(done, last.saturating_sub(1)).union(&measured).copied().collect();
    let missing = playing.iter().filter(|n| !measured.contains(n));
    let unfinished_s: f64 = missing.filter_map(|n| contest.typical_wall_s(*n)).sum();

    let wanted = rounds_wanted(plan, &contest, &playing).clamp(plan.rounds.min, plan.rounds.max);
    let rest_s = f64::from(wanted.saturating_sub(last)) * round_s(&contest, &playing) + unfinished_s;
    let budget_s = plan.budget_s.map_or(f64::INFINITY, |budget_s| (budget_s - spent.as_secs_f64()).max(0.0));
    // Only a senseless history can make this no time at all; then nothing is known.
    Duration::try_from_secs_f64(rest_s.min(budget_s)).unwrap_or(Duration::ZERO)
}

/// Points that belong to round `round`, ascending.
fn in_play(plan: &Plan, tolerance: f64, done: &[Done], round: u32) -> Vec<Procs> {
    let all = plan.points();
    if round <= 1 {
        return all;
    }
    let before: Vec<Procs> = measured_in(done, round - 1).into_iter().filter(|n| all.contains(n)).collect();
    let contest = Contest::until(round - 1, done);
    stay(plan, tolerance, &contest, &before, round - 1)
}

fn measured_in(done: &[Done], round: u32) -> BTreeSet<Procs> {
    done.iter().filter(|sample| sample.round == round).map(|sample| sample.procs).collect()
}

/// Those of `playing` that stay after `complete` rounds, ascending; without a worker count nobody does.
fn stay(plan: &Plan, tolerance: f64, contest: &Contest, playing: &[Procs], complete: u32) -> Vec<Procs> {
    let mut staying: Vec<Procs> =
        playing.iter().copied().filter(|n| !contest.failed_twice_running(*n)).collect();
    if staying == [Procs::Default] {
        return Vec::new();
    }
    let Some(best) = contest.best(&staying) else { return staying };
    if complete < ROUNDS_BEFORE_DROPPING {
        return staying;
    }
    let mut hopeless: Vec<(f64, Procs)> = staying
        .iter()
        .filter(|n| is_hopeless(contest, **n, best, tolerance))
        .map(|n| (contest.ratio(*n, best).upper(), *n))
        .collect();
    hopeless.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let kept = if complete < plan.rounds.min { POINTS_KEPT } else { 1 };
    let counts = staying.iter().filter(|point| **point != Procs::Default).count();
    hopeless.truncate(counts.saturating_sub(kept));
    staying.retain(|n| hopeless.iter().all(|(_, out)| out != n));
    staying
}

fn is_hopeless(contest: &Contest, procs: Procs, best: Procs, tolerance: f64) -> bool {
    let ratio = contest.ratio(procs, best);
    procs != best
        && procs != Procs::Default
        && ratio.rounds >= ROUNDS_BEFORE_DROPPING
        && ratio.upper() < 1.0 - tolerance - MARGIN
}

fn stop_reason(
    plan: &Plan,
    tolerance: f64,
    contest: &Contest,
    playing: &[Procs],
    complete: u32,
    used: Duration,
) -> Option<StopReason> {
    if playing.is_empty() {
        return Some(StopReason::NoneLeft);
    }
    if complete == 0 {
        return None;
    }
    if complete >= plan.rounds.max {
        return Some(StopReason::MaxRounds);
    }
    let may_stop = complete >= plan.rounds.min;
    if may_stop && is_precise(plan, tolerance, contest, playing) {
        return Some(StopReason::Precise);
    }
    let is_over =
        plan.budget_s.is_some_and(|budget_s| used.as_secs_f64() + round_s(contest, playing) > budget_s);
    (is_over && (may_stop || plan.budget_is_explicit)).then_some(StopReason::Budget)
}

fn is_precise(plan: &Plan, tolerance: f64, contest: &Contest, playing: &[Procs]) -> bool {
    contest.best(playing).is_some_and(|best| {
        let mut rivals = rivals(playing, best).filter(|n| !is_hopeless(contest, *n, best, tolerance));
        rivals.all(|n| contest.ratio(n, best).half_width() <= plan.precision)
    })
}

/// The worker counts that `best` is compared with.
fn rivals(playing: &[Procs], best: Procs) -> impl Iterator<Item = Procs> {
    playing.iter().copied().filter(move |point| *point != best && *point != Procs::Default)
}

/// Rounds until every ratio is known within the precision, if the spread stays as it is: it falls with √rounds.
fn rounds_wanted(plan: &Plan, contest: &Contest, playing: &[Procs]) -> u32 {
    let Some(best) = contest.best(playing) else { return 0 };
    let rivals = rivals(playing, best).map(|n| contest.ratio(n, best));
    let wanted = rivals.filter(|ratio| ratio.rounds >= 2).map(|ratio| {
        // The conversion saturates: more rounds than there can be is as good as any such number.
        (f64::from(ratio.rounds) * (ratio.half_width() / plan.precision).powi(2)).ceil() as u32
    });
    wanted.max().unwrap_or(0)
}

/// Seconds a round of `playing` is likely to take.
fn round_s(contest: &Contest, playing: &[Procs]) -> f64 {
    playing.iter().filter_map(|n| contest.typical_wall_s(*n)).sum()
}

/// `points` in the order of round `round`. All points of the plan are shuffled, then those in question taken: the order
/// of two points does not depend on who else is in play.
fn order(plan: &Plan, round: u32, points: &[Procs]) -> Vec<Procs> {
    /// An odd constant with well-mixed bits (2⁶⁴ over the golden ratio), so that neighbouring rounds get distant seeds.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut all = plan.points();
    fastrand::Rng::with_seed(plan.seed.wrapping_add(u64::from(round).wrapping_mul(SPREAD))).shuffle(&mut all);
    all.retain(|point| points.contains(point));
    all
}

#[cfg(test)]
mod tests;
