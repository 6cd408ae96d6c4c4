//! How long the rest of a sweep will take: the planner plays it to its end on what is known so far.
//!
//! What each worker count's next sample gives is where it stands now, with noise of the size seen so far; a worker count
//! that was never measured lies on the line between its neighbours. So the forecast knows who will leave, who is likely to
//! join, and what precision will cost, without a rule of its own.

use std::time::Duration;

use super::contest::Contest;
use super::rounds::{Done, Next, next};
use super::{Plan, Policy};
use crate::model;
use crate::random::normal;
use crate::target::Procs;

/// Noise of a sample before anything shows it. Guess: between a quiet machine's 0.5 % and a shared one's 3 %.
const PRIOR_NOISE: f64 = 0.012;
/// Degrees of freedom that the guess counts for. Guess.
const PRIOR_WEIGHT: f64 = 1.0;
/// Noise beyond which a misfit of the law explains more than noise does.
const MOST_NOISE: f64 = 0.05;
/// Rounds that are played at most, as many as a sweep has by default: each looks at all samples before it. Of what comes
/// behind them every round is taken to be as long as the last one played.
const MOST_ROUNDS: u32 = 30;

/// About how long the rest will take, without profiles. `spent` is what the target has taken so far.
#[must_use]
pub fn time_left(plan: &Plan, policy: Policy, done: &[Done], spent: Duration) -> Duration {
    let last = done.iter().map(|sample| sample.round).max().unwrap_or(0);
    let contest = Contest::until(last, done);
    if contest.levels().places.is_empty() {
        return Duration::ZERO;
    }
    let noise = noise(&contest);
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let mut played = done.to_vec();
    let mut left_s = 0.0;
    for turn in 1..=MOST_ROUNDS {
        let now = spent.saturating_add(seconds(left_s));
        let Next::Round { round, order } = next(plan, policy, &played, now, Duration::ZERO) else { break };
        let mut round_s = 0.0;
        for procs in order {
            let wall_s = contest.expected_wall_s(procs);
            let throughput = level(&contest, procs).map(|level| (level + noise * normal(&mut random)).exp());
            played.push(Done { round, procs, throughput, wall_s });
            round_s += wall_s;
        }
        let unplayed = if turn == MOST_ROUNDS { last_round(plan).saturating_sub(round) } else { 0 };
        left_s += round_s * (1.0 + f64::from(unplayed));
    }
    let budget = plan.budget_s.filter(|_| plan.budget_is_explicit);
    let left_of_it = budget.map(|budget_s| seconds(budget_s - spent.as_secs_f64()));
    left_of_it.map_or(seconds(left_s), |most| most.min(seconds(left_s)))
}

/// The round that a long sweep ends with: a default budget lets no more than the least pass where those take so long.
fn last_round(plan: &Plan) -> u32 {
    if plan.budget_s.is_some() && !plan.budget_is_explicit { plan.rounds.min } else { plan.rounds.max }
}

/// Only a senseless history can make it no time at all; then nothing is known.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)
}

/// Where the next sample of `procs` will be, but for noise; `None`: it will fail as those before.
fn level(contest: &Contest, procs: Procs) -> Option<f64> {
    let places = &contest.levels().places;
    let Some(n) = procs.count() else { return contest.levels().best().map(|best| best.level) };
    if contest.rounds_of(procs) > 0 {
        return places.iter().find(|place| place.procs == n).map(|place| place.level);
    }
    let points: Vec<(f64, f64)> =
        places.iter().map(|place| (f64::from(place.procs).ln(), place.level)).collect();
    interpolate(&points, f64::from(n).ln())
}

/// Linear between the two points around `x`, the nearest one's value outside; `points` ascend.
pub(super) fn interpolate(points: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = points.partition_point(|point| point.0 < x);
    match (after.checked_sub(1).map(|before| points[before]), points.get(after)) {
        (Some((x0, y0)), Some(&(x1, y1))) => Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0)),
        (Some((_, y)), None) | (None, Some(&(_, y))) => Some(y),
        (None, None) => None,
    }
}

/// Standard deviation of a sample: from what the rounds have in common, or after a single one from how far the points lie
/// off a law.
fn noise(contest: &Contest) -> f64 {
    let levels = contest.levels();
    let (variance, free) = match levels.noise {
        Some(noise) => (noise * noise, levels.free as f64),
        None => off_the_law(contest).map_or((0.0, 0.0), |noise| (noise * noise, 2.0)),
    };
    ((PRIOR_WEIGHT * PRIOR_NOISE * PRIOR_NOISE + free * variance) / (PRIOR_WEIGHT + free)).sqrt()
}

/// Typical distance of the points from the law that fits them best, as a standard deviation of normal noise.
fn off_the_law(contest: &Contest) -> Option<f64> {
    let shares = contest.levels().shares();
    let points: Vec<(f64, &[f64])> = shares.iter().map(|(n, x)| (*n, &x[..])).collect();
    let law = model::fit(&points, None).filter(|_| points.len() > 3)?.law;
    let mut off: Vec<f64> = points.iter().map(|(n, x)| (x[0] / law.throughput(*n)).ln().abs()).collect();
    off.sort_by(f64::total_cmp);
    // The median of |z| is 0.6745 for a normal deviate z; two parameters were fitted.
    let scale = (off.len() as f64 / (off.len() as f64 - 2.0)).sqrt() / 0.6745;
    Some((off[off.len() / 2] * scale).min(MOST_NOISE)).filter(|noise| noise.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rounds;
    use crate::simulate;

    /// Rounds of worker counts 1 and 2 that take half a second a sample.
    fn done(rounds: u32, samples: usize) -> Vec<Done> {
        let sample =
            |round, n: u32| Done { round, procs: n.into(), throughput: Some(f64::from(n)), wall_s: 0.5 };
        (1..=rounds).flat_map(|round| [sample(round, 1), sample(round, 2)]).take(samples).collect()
    }

    #[test]
    fn the_time_left_is_that_of_the_rounds_that_the_planner_will_ask_for() {
        let mut plan = simulate::plan(vec![1, 2], 1);
        let left = |plan: &Plan, samples: usize| {
            let spent = Duration::from_secs(1);
            time_left(plan, Policy::default(), &done(6, samples), spent).as_secs_f64()
        };
        assert_eq!(left(&plan, 4), 4.0, "four rounds of two samples");
        assert_eq!(left(&plan, 5), 3.5, "half of the third, and three rounds");
        assert_eq!(left(&plan, 12), 0.0);
        (plan.budget_s, plan.budget_is_explicit) = (Some(3.0), true);
        assert_eq!(left(&plan, 4), 2.0, "what the budget leaves");
        assert_eq!(left(&plan, 0), 0.0, "nothing is known yet");
    }

    #[test]
    fn of_very_many_rounds_the_later_ones_are_taken_to_be_as_long_as_the_last_one_played() {
        let mut plan = Plan { precision: 0.0, ..simulate::plan(vec![1, 2], 1) };
        plan.rounds = Rounds { min: 1000, max: 1000 };
        let left =
            |plan: &Plan| time_left(plan, Policy::default(), &done(6, 12), Duration::ZERO).as_secs_f64();
        assert_eq!(left(&plan), 994.0);
        plan.budget_s = Some(100.0);
        assert_eq!(left(&plan), 994.0, "a budget by default does not go before the least rounds");
        plan.budget_is_explicit = true;
        assert_eq!(left(&plan), 100.0);
    }

    #[test]
    fn a_point_that_fails_is_expected_to_fail_again() {
        let plan = simulate::plan(vec![1, 2, 4], 1);
        let failed = Done { round: 1, procs: Procs::Count(4), throughput: None, wall_s: 60.0 };
        let done = [&done(1, 2)[..], &[failed]].concat();
        let left = time_left(&plan, Policy::default(), &done, Duration::ZERO);
        assert_eq!(left.as_secs_f64(), 60.0 + 5.0, "once more, then it leaves");
    }

    #[test]
    fn values_lie_on_the_line_between_their_neighbours() {
        let points = [(0.0, 1.0), (2.0, 5.0)];
        assert_eq!(
            [-1.0, 0.0, 0.5, 2.0, 9.0].map(|x| interpolate(&points, x).unwrap()),
            [1.0, 1.0, 2.0, 5.0, 5.0]
        );
        assert_eq!(interpolate(&[], 1.0), None);
    }
}
