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
//! - Of a long range only a grid is measured at first. From round 3 on others join where they may matter (`explore`); they
//!   need as many samples before they leave or the sweep ends. Nobody who left comes back. All together they take at most
//!   half of the samples that all of the range would take in MIN rounds: then nobody joins any more, and the sweep ends.
//! - The default, where it is asked for, is visited by every round but is no contender: it is not chosen, so it neither
//!   leaves for being slow nor keeps a sweep going.
//!
//! Who is in play follows from the samples: whoever was measured in the round before and did not leave after it. So a
//! sweep that is resumed goes on as if it had not been interrupted, and an unfinished round is finished first.

use std::collections::BTreeSet;
use std::time::Duration;

use super::contest::{Contest, Ratio};
use super::explore::Search;
use super::{Plan, Policy};
use crate::target::Procs;

/// Rounds before a point may leave for being slow: with fewer no two points can be told apart at 5 %
/// (Mann-Whitney's smallest p at 3 against 3 is 0.10, at 4 against 4 it is 0.029).
const ROUNDS_BEFORE_DROPPING: u32 = 4;

/// Rounds of the grid before others join: two samples of each point tell noise from shape.
const ROUNDS_BEFORE_EXPLORING: u32 = 2;

/// Rounds in which points may join, beyond those in which the widest gap of the grid is halved down to nothing: for what
/// the first looks find. Guess.
const ROUNDS_TO_SPARE: u32 = 4;

/// Rounds that a point has to have before it when it joins: one sample of it would say nothing.
const ROUNDS_FOR_A_JOINER: u32 = 2;

/// Samples that a long range may take whatever its length, by the least rounds: its grid, and enough rounds of what
/// matters. Guess: 96 by default, as for 32 worker counts.
const SAMPLES_AT_LEAST_A_ROUND: usize = 16;

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
    /// How long it took, with all that is done around it, seconds.
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
    /// A long range has taken half of the samples that all of it would take in the least rounds.
    RangeLimit,
    /// Another round does not fit the budget. Under an asked-for budget it may be before the least rounds.
    Budget,
    /// Every point failed twice running.
    NoneLeft,
}

/// The next round, or why there is none.
///
/// `policy` says what is a contender, `done` every sample so far in any
/// order, `spent` the time the target has taken so far, and `reserve` the part of the budget kept back for profiles.
#[must_use]
pub fn next(plan: &Plan, policy: Policy, done: &[Done], spent: Duration, reserve: Duration) -> Next {
    let last = done.iter().map(|sample| sample.round).max().unwrap_or(0);
    let playing = in_play(plan, policy, done, last);
    let measured = measured_in(done, last);
    let missing: Vec<Procs> = playing.iter().copied().filter(|n| !measured.contains(n)).collect();
    if last > 0 && !missing.is_empty() {
        return Next::Round { round: last, order: order(plan, last, &missing) };
    }
    let contest = Contest::until(last, done);
    let playing = play_on(plan, policy, &contest, &playing, last);
    match stop_reason(plan, policy, &contest, &playing, last, spent + reserve) {
        Some(reason) => Next::Stop(reason),
        None => Next::Round { round: last + 1, order: order(plan, last + 1, &playing) },
    }
}

/// Points that belong to round `round`, ascending.
fn in_play(plan: &Plan, policy: Policy, done: &[Done], round: u32) -> Vec<Procs> {
    if round <= 1 {
        return plan.first_points();
    }
    let all = plan.points();
    let before: Vec<Procs> = measured_in(done, round - 1).into_iter().filter(|n| all.contains(n)).collect();
    let contest = Contest::until(round - 1, done);
    play_on(plan, policy, &contest, &before, round - 1)
}

/// The round from which on nobody joins a long range: there is an end to looking, however noisy the samples are.
fn last_to_explore(plan: &Plan) -> u32 {
    let widest = plan.grid.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(1);
    ROUNDS_BEFORE_EXPLORING + widest.next_power_of_two().ilog2() + ROUNDS_TO_SPARE
}

/// Those of `playing` that stay after `complete` rounds, and who joins them, ascending.
fn play_on(plan: &Plan, policy: Policy, contest: &Contest, playing: &[Procs], complete: u32) -> Vec<Procs> {
    let mut points = stay(plan, policy, contest, playing, complete);
    let is_time = complete >= ROUNDS_BEFORE_EXPLORING && complete < last_to_explore(plan);
    let may_join = is_time && complete + ROUNDS_FOR_A_JOINER <= plan.rounds.max;
    if !plan.grid.is_empty() && may_join && !points.is_empty() {
        let search = Search { range: &plan.procs, policy, round: complete };
        for joiner in search.joiners(contest.levels()).into_iter().map(Procs::Count) {
            let is_paid_for = contest.samples() + (points.len() + 1) * plan.rounds.min as usize;
            if contest.rounds_of(joiner) == 0 && is_paid_for <= most_samples(plan) {
                points.push(joiner);
            }
        }
        points.sort_unstable();
    }
    points
}

/// Samples of a long range at most: half of what all its worker counts take in the least rounds.
fn most_samples(plan: &Plan) -> usize {
    (plan.procs.len() / 2).max(SAMPLES_AT_LEAST_A_ROUND) * plan.rounds.min as usize
}

/// Whether another round of `playing` would take a long range beyond its samples, everybody having those it needs.
fn is_range_spent(plan: &Plan, contest: &Contest, playing: &[Procs]) -> bool {
    let counts = || playing.iter().filter(|point| **point != Procs::Default);
    let is_limited = !plan.grid.is_empty() && !plan.exhaustive;
    is_limited
        && counts().all(|point| contest.rounds_of(*point) >= plan.rounds.min)
        && contest.samples() + counts().count() > most_samples(plan)
}

fn measured_in(done: &[Done], round: u32) -> BTreeSet<Procs> {
    done.iter().filter(|sample| sample.round == round).map(|sample| sample.procs).collect()
}

/// Those of `playing` that stay after `complete` rounds, ascending; without a worker count nobody does.
fn stay(plan: &Plan, policy: Policy, contest: &Contest, playing: &[Procs], complete: u32) -> Vec<Procs> {
    let mut staying: Vec<Procs> =
        playing.iter().copied().filter(|n| !contest.failed_twice_running(*n)).collect();
    if staying == [Procs::Default] {
        return Vec::new();
    }
    let Some(best) = contest.best(&staying) else { return staying };
    if complete < ROUNDS_BEFORE_DROPPING || plan.exhaustive {
        return staying;
    }
    let mut hopeless: Vec<(f64, Procs)> = staying
        .iter()
        .filter(|n| is_hopeless(contest, **n, best, policy))
        .map(|n| (contest.ratio(*n, best).upper(), *n))
        .collect();
    hopeless.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let kept = if complete < plan.rounds.min { POINTS_KEPT } else { 1 };
    let counts = staying.iter().filter(|point| **point != Procs::Default).count();
    hopeless.truncate(counts.saturating_sub(kept));
    staying.retain(|n| hopeless.iter().all(|(_, out)| out != n));
    if !plan.grid.is_empty() {
        leave_surplus(plan, policy, contest, &mut staying);
    }
    staying
}

/// Of a long range, whoever can neither be chosen nor change the choice leaves after the least rounds: a smaller worker
/// count is known to be within the tolerance of it, as exactly as is asked for. The best stays: the bar is set by it.
fn leave_surplus(plan: &Plan, policy: Policy, contest: &Contest, staying: &mut Vec<Procs>) {
    let Some(best) = contest.best(staying).filter(|_| policy.takes_the_smallest()) else { return };
    let is_old = |point: Procs| contest.rounds_of(point) >= plan.rounds.min;
    let tolerance = policy.tolerance();
    let chosen = staying
        .iter()
        .copied()
        .find(|n| *n != Procs::Default && is_old(*n) && contest.ratio(*n, best).middle() >= 1.0 - tolerance);
    let Some(chosen) = chosen else { return };
    let most = 1.0 / (1.0 - tolerance).max(f64::MIN_POSITIVE) + plan.precision;
    staying.retain(|n| {
        *n <= chosen
            || *n == best
            || *n == Procs::Default
            || !is_old(*n)
            || contest.ratio(*n, chosen).upper() > most
    });
}

/// Whether `procs` is known to miss the tolerance: against `best`, or, where the two share too few rounds since one of
/// them joined late, against the strongest that it does share enough with.
fn is_hopeless(contest: &Contest, procs: Procs, best: Procs, policy: Policy) -> bool {
    if procs == best || procs == Procs::Default {
        return false;
    }
    let is_known = |ratio: &Ratio| ratio.rounds >= ROUNDS_BEFORE_DROPPING;
    let to_best = Some(contest.ratio(procs, best)).filter(is_known);
    let ratio = to_best.or_else(|| {
        let rival = contest.strongest_rival(procs, ROUNDS_BEFORE_DROPPING)?;
        Some(contest.ratio(procs, rival))
    });
    ratio.is_some_and(|ratio| ratio.upper() < 1.0 - policy.tolerance() - MARGIN)
}

fn stop_reason(
    plan: &Plan,
    policy: Policy,
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
    if may_stop && is_precise(plan, policy, contest, playing) {
        return Some(StopReason::Precise);
    }
    if may_stop && is_range_spent(plan, contest, playing) {
        return Some(StopReason::RangeLimit);
    }
    let is_over =
        plan.budget_s.is_some_and(|budget_s| used.as_secs_f64() + round_s(contest, playing) > budget_s);
    (is_over && (may_stop || plan.budget_is_explicit)).then_some(StopReason::Budget)
}

fn is_precise(plan: &Plan, policy: Policy, contest: &Contest, playing: &[Procs]) -> bool {
    contest.best(playing).is_some_and(|best| {
        let mut rivals = rivals(playing, best).filter(|n| !is_hopeless(contest, *n, best, policy));
        contest.rounds_of(best) >= plan.rounds.min
            && rivals.all(|n| {
                contest.rounds_of(n) >= plan.rounds.min
                    && contest.ratio(n, best).half_width() <= plan.precision
            })
    })
}

/// The worker counts that `best` is compared with.
fn rivals(playing: &[Procs], best: Procs) -> impl Iterator<Item = Procs> {
    playing.iter().copied().filter(move |point| *point != best && *point != Procs::Default)
}

/// Seconds a round of `playing` is likely to take.
fn round_s(contest: &Contest, playing: &[Procs]) -> f64 {
    playing.iter().map(|n| contest.expected_wall_s(*n)).sum()
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
