use proptest::prelude::*;

use super::*;
use crate::plan::Rounds;

const KNEE: Policy = Policy::Knee { tolerance: 0.05 };

fn plan(procs: &[u32], min: u32, max: u32) -> Plan {
    Plan {
        procs: procs.to_vec(),
        grid: Vec::new(),
        exhaustive: false,
        with_default: false,
        rounds: Rounds { min, max },
        precision: 0.02,
        budget_s: None,
        budget_is_explicit: false,
        timeout_s: 60.0,
        warmup: 1,
        seed: 1,
        counters: true,
        flamegraph: true,
        quick: false,
        cpu_quota: None,
        pin: None,
    }
}

/// The worker count; 0 for the default.
fn number(procs: Procs) -> u32 {
    procs.count().unwrap_or(0)
}

/// Plays the plan to its end: `measure` gives a sample's throughput by round and worker count; each takes `wall_s`.
fn play(plan: &Plan, wall_s: f64, measure: impl Fn(u32, u32) -> Option<f64>) -> (Vec<Done>, StopReason) {
    let mut done = Vec::new();
    loop {
        let spent = Duration::from_secs_f64(done.len() as f64 * wall_s);
        match next(plan, KNEE, &done, spent, Duration::ZERO) {
            Next::Stop(reason) => return (done, reason),
            Next::Round { round, order } => done.extend(order.into_iter().map(|procs| Done {
                round,
                procs,
                throughput: measure(round, number(procs)),
                wall_s,
            })),
        }
        assert!(done.len() < 100_000, "it has to end");
    }
}

/// Samples of each point of the plan.
fn counts(plan: &Plan, done: &[Done]) -> Vec<usize> {
    plan.points().iter().map(|n| done.iter().filter(|sample| sample.procs == *n).count()).collect()
}

#[test]
fn without_noise_the_least_rounds_are_enough() {
    let plan = plan(&[1, 2, 4], 6, 30);
    let (done, reason) = play(&plan, 0.3, |_, n| Some(f64::from(n.min(2))));
    assert_eq!((counts(&plan, &done), reason), (vec![6, 6, 6], StopReason::Precise));
}

#[test]
fn noise_takes_rounds_up_to_the_most() {
    let plan = plan(&[1, 2], 6, 30);
    let noisy = |round: u32, n: u32| Some(if (round + n).is_multiple_of(2) { 1.0 } else { 1.2 });
    let (done, reason) = play(&plan, 0.3, noisy);
    assert_eq!((counts(&plan, &done), reason), (vec![30, 30], StopReason::MaxRounds));
}

#[test]
fn the_slow_leave_after_four_rounds_and_the_three_best_stay_to_the_least() {
    let plan = plan(&[1, 2, 4, 8, 16], 6, 30);
    let (done, reason) = play(&plan, 0.3, |_, n| Some(f64::from(n)));
    assert_eq!((counts(&plan, &done), reason), (vec![4, 4, 6, 6, 6], StopReason::Precise));
}

#[test]
fn after_the_least_rounds_only_contenders_are_measured() {
    let plan = plan(&[1, 8, 16], 6, 12);
    let noise = |round: u32, n: u32| if (round + n / 8).is_multiple_of(2) { 1.0 } else { 1.1 };
    let (done, reason) = play(&plan, 0.3, |round, n| Some(noise(round, n) * if n == 1 { 0.1 } else { 1.0 }));
    assert_eq!((counts(&plan, &done), reason), (vec![6, 12, 12], StopReason::MaxRounds));
}

#[test]
fn a_point_within_tolerance_and_margin_stays() {
    let plan = plan(&[1, 2, 3, 4], 8, 8);
    let (done, _) = play(&plan, 0.3, |_, n| Some(if n == 1 { 0.94 } else { 1.0 }));
    assert_eq!(counts(&plan, &done), [8, 8, 8, 8]);
    let (done, _) = play(&plan, 0.3, |_, n| Some(if n == 1 { 0.92 } else { 1.0 }));
    assert_eq!(counts(&plan, &done), [4, 8, 8, 8]);
}

#[test]
fn the_default_is_in_every_round_but_no_contender() {
    let mut plan = plan(&[1, 2, 4], 6, 30);
    plan.with_default = true;
    let noisy = |round: u32, n: u32| match n {
        0 => Some(if round.is_multiple_of(2) { 0.1 } else { 0.2 }),
        n => Some(f64::from(n)),
    };
    let (done, reason) = play(&plan, 0.3, noisy);
    assert_eq!((counts(&plan, &done), reason), (vec![6, 6, 6, 6], StopReason::Precise));
    let (done, reason) = play(&plan, 0.3, |_, n| Some(if n == 0 { 9.0 } else { 1.0 }));
    assert_eq!((counts(&plan, &done), reason), (vec![6, 6, 6, 6], StopReason::Precise), "though it is best");
    let (done, reason) = play(&plan, 0.3, |_, n| (n == 0).then_some(1.0));
    assert_eq!((counts(&plan, &done), reason), (vec![2, 2, 2, 2], StopReason::NoneLeft));
    let (done, reason) = play(&plan, 0.3, |_, n| (n != 0).then_some(1.0));
    assert_eq!((counts(&plan, &done), reason), (vec![6, 6, 6, 2], StopReason::Precise));
}

#[test]
fn a_point_that_fails_twice_running_leaves() {
    let plan = plan(&[1, 2, 4], 6, 30);
    let (done, reason) = play(&plan, 0.3, |_, n| (n != 4).then_some(1.0));
    assert_eq!((counts(&plan, &done), reason), (vec![6, 6, 2], StopReason::Precise));
    let (done, reason) = play(&plan, 0.3, |_, _| None);
    assert_eq!((counts(&plan, &done), reason), (vec![2, 2, 2], StopReason::NoneLeft));
}

#[test]
fn one_point_needs_no_comparison() {
    let plan = plan(&[1], 100, 100);
    let (done, reason) = play(&plan, 0.001, |_, _| Some(1.0));
    assert_eq!((done.len(), reason), (100, StopReason::MaxRounds));
}

#[test]
fn a_budget_ends_it_before_the_round_that_would_not_fit() {
    let mut plan = plan(&[1, 2, 4], 6, 30);
    plan.budget_s = Some(9.0);
    let noisy = |round: u32, n: u32| Some(if (round + n).is_multiple_of(2) { 1.0 } else { 1.2 });
    let (done, reason) = play(&plan, 0.4, noisy);
    assert_eq!((counts(&plan, &done), reason), (vec![7, 7, 7], StopReason::Budget));
}

#[test]
fn a_default_budget_does_not_cut_below_the_least_rounds_but_an_asked_for_one_does() {
    let mut plan = plan(&[1, 2, 4], 6, 30);
    plan.budget_s = Some(9.0);
    let (done, _) = play(&plan, 1.0, |_, _| Some(1.0));
    assert_eq!(counts(&plan, &done), [6, 6, 6]);
    plan.budget_is_explicit = true;
    let (done, reason) = play(&plan, 1.0, |_, _| Some(1.0));
    assert_eq!((counts(&plan, &done), reason), (vec![3, 3, 3], StopReason::Budget));
    plan.budget_s = Some(0.001);
    let (done, _) = play(&plan, 1.0, |_, _| Some(1.0));
    assert_eq!(counts(&plan, &done), [1, 1, 1]);
}

#[test]
fn time_kept_back_for_profiles_is_not_spent_on_rounds() {
    let mut plan = plan(&[1], 9, 30);
    plan.budget_s = Some(10.0);
    plan.budget_is_explicit = true;
    let done = [Done { round: 1, procs: Procs::Count(1), throughput: Some(1.0), wall_s: 2.0 }];
    let keeping =
        |reserve_s| next(&plan, KNEE, &done, Duration::from_secs(2), Duration::from_secs(reserve_s));
    assert_eq!(keeping(6), Next::Round { round: 2, order: vec![Procs::Count(1)] });
    assert_eq!(keeping(7), Next::Stop(StopReason::Budget));
}

#[test]
fn an_unfinished_round_is_finished_first_whatever_the_budget_says() {
    let mut plan = plan(&[1, 2, 4, 8], 6, 30);
    plan.budget_s = Some(1.0);
    plan.budget_is_explicit = true;
    let Next::Round { round: 1, order } = next(&plan, KNEE, &[], Duration::ZERO, Duration::ZERO) else {
        panic!("the first round")
    };
    for taken in 1..order.len() {
        let done: Vec<Done> = order[..taken]
            .iter()
            .map(|procs| Done { round: 1, procs: *procs, throughput: Some(1.0), wall_s: 9.0 })
            .collect();
        let rest = next(&plan, KNEE, &done, Duration::from_secs(99), Duration::ZERO);
        assert_eq!(rest, Next::Round { round: 1, order: order[taken..].to_vec() });
    }
}

#[test]
fn the_order_changes_from_round_to_round_and_with_the_seed() {
    let plan = plan(&[1, 2, 3, 4, 5, 6, 7, 8], 6, 30);
    let orders: BTreeSet<Vec<Procs>> = (1..=30).map(|round| order(&plan, round, &plan.points())).collect();
    assert!(orders.len() >= 29, "{} different orders of 30", orders.len());
    let other = Plan { seed: 2, ..plan.clone() };
    assert_ne!(order(&plan, 1, &plan.points()), order(&other, 1, &plan.points()));
}

#[test]
fn every_place_of_the_order_is_taken_by_everyone_about_as_often() {
    let plan = plan(&[1, 2, 4], 6, 30);
    for place in 0..3 {
        let ones = (1..=3000).filter(|round| order(&plan, *round, &plan.points())[place] == 1).count();
        assert!((900..=1100).contains(&ones), "1 is in place {place} in {ones} of 3000 rounds");
    }
}

/// A plan of 1..64 with its grid.
fn long(min: u32, max: u32) -> Plan {
    Plan { grid: vec![1, 2, 4, 8, 16, 32, 64], ..plan(&(1..=64).collect::<Vec<_>>(), min, max) }
}

#[test]
fn of_a_long_range_the_grid_comes_first_and_others_join_where_the_knee_is() {
    let plan = long(6, 30);
    let (done, reason) = play(&plan, 0.3, |_, n| Some(f64::from(n.min(43))));
    assert_eq!(reason, StopReason::Precise);
    let in_round = |round| measured_in(&done, round).into_iter().map(number).collect::<Vec<u32>>();
    assert_eq!([in_round(1), in_round(2)], [plan.grid.clone(), plan.grid.clone()]);
    let counts = counts(&plan, &done);
    let measured: Vec<u32> = (1..=64).filter(|n| counts[*n as usize - 1] > 0).collect();
    assert!(measured.contains(&41) && measured.contains(&40), "95 % of 43 is 40.85: {measured:?}");
    assert!(measured.len() <= 20, "{measured:?}");
    assert!(done.len() < 64 * 6 / 2, "{} samples", done.len());
    assert!(measured.iter().all(|n| counts[*n as usize - 1] >= 4), "nobody is judged by fewer: {counts:?}");
}

#[test]
fn an_exhaustive_sweep_measures_every_point_in_every_round() {
    let plan = Plan { exhaustive: true, ..plan(&(1..=20).collect::<Vec<_>>(), 6, 30) };
    let (done, reason) = play(&plan, 0.3, |_, n| Some(f64::from(n)));
    assert_eq!((counts(&plan, &done), reason), (vec![6; 20], StopReason::Precise));
}

#[test]
fn nobody_joins_who_could_be_measured_but_once() {
    for rounds in 1..=3 {
        let plan = long(rounds, rounds);
        let (done, _) = play(&plan, 0.3, |_, n| Some(f64::from(n.min(43))));
        assert_eq!(done.len(), plan.grid.len() * rounds as usize, "{rounds} rounds");
    }
}

#[test]
fn whoever_a_smaller_worker_count_stands_for_leaves_after_the_least_rounds() {
    let noisy = |round: u32, n: u32| Some(1.0 + 0.03 * f64::from((round * 7 + n * 13) % 11) / 11.0);
    let (done, _) = play(&long(6, 30), 0.3, noisy);
    assert!(done.len() <= 7 * 8, "a flat curve is a flat curve: {} samples", done.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is measured, the sweep ends, every round is in play order, and going on from any interruption gives the
    /// same sweep.
    #[test]
    fn a_sweep_ends_and_an_interruption_changes_nothing(
        procs in prop::collection::btree_set(1u32..200, 1..6),
        with_default in any::<bool>(),
        (min, max) in (1u32..8, 0u32..8).prop_map(|(min, more)| (min, min + more)),
        seed in any::<u64>(),
        scale in 0.0f64..0.3,
        failing in 0u32..6,
        cut in any::<prop::sample::Index>(),
    ) {
        let plan = Plan { seed, with_default, ..plan(&procs.into_iter().collect::<Vec<_>>(), min, max) };
        let measure = |round: u32, n: u32| {
            let noise = f64::from((round * 7 + n * 13) % 11) / 11.0;
            ((round + n) % 7 >= failing).then_some(f64::from(n).sqrt() * (1.0 + scale * noise))
        };
        let (done, reason) = play(&plan, 0.1, measure);

        let last = done.iter().map(|sample| sample.round).max().unwrap();
        prop_assert!(last <= max && (last >= min || reason == StopReason::NoneLeft));
        for round in 1..=last {
            let visited: Vec<Procs> =
                done.iter().filter(|sample| sample.round == round).map(|sample| sample.procs).collect();
            let once: BTreeSet<Procs> = visited.iter().copied().collect();
            prop_assert_eq!(once.len(), visited.len(), "each once");
            prop_assert_eq!(order(&plan, round, &visited), visited, "the order follows from seed and round");
            prop_assert!(round == 1 || measured_in(&done, round - 1).is_superset(&once), "nobody comes back");
        }

        let mut again = done[..cut.index(done.len())].to_vec();
        while let Next::Round { round, order } = next(&plan, KNEE, &again, Duration::ZERO, Duration::ZERO) {
            again.extend(order.into_iter().map(|procs| Done { round, procs, throughput: measure(round, number(procs)), wall_s: 0.1 }));
        }
        prop_assert_eq!(again, done);
    }

    /// The same of a long range, in which points join.
    #[test]
    fn going_on_with_a_long_range_gives_the_same_sweep(
        seed in any::<u64>(), most in 9u32..100, bend in 1u32..100, noise in 0.0f64..0.1, cut in any::<prop::sample::Index>(),
    ) {
        let grid = (0..7).map(|power| 1 << power).filter(|n| *n < most).chain([most]).collect();
        let plan = Plan { seed, grid, ..plan(&(1..=most).collect::<Vec<_>>(), 6, 12) };
        let measure = |round: u32, n: u32| {
            Some(f64::from(n.min(bend)) * (1.0 + noise * f64::from((round * 7 + n * 13) % 11) / 11.0))
        };
        let (done, _) = play(&plan, 0.1, measure);
        let mut again = done[..cut.index(done.len())].to_vec();
        while let Next::Round { round, order } = next(&plan, KNEE, &again, Duration::ZERO, Duration::ZERO) {
            again.extend(order.into_iter().map(|procs| Done { round, procs, throughput: measure(round, number(procs)), wall_s: 0.1 }));
        }
        prop_assert_eq!(again, done);
    }

    /// A history that no sweep of ours can leave is no reason to panic or to go on for ever.
    #[test]
    fn any_history_is_borne(
        history in prop::collection::vec((0u32..9, 0u32..9, prop::option::of(any::<f64>()), any::<f64>()), 0..40),
        spent_s in 0u64..100,
    ) {
        let plan = Plan { budget_s: Some(50.0), ..plan(&[1, 2, 4], 3, 6) };
        let mut done: Vec<Done> = history
            .into_iter()
            .map(|(round, procs, throughput, wall_s)| Done { round, procs: procs.into(), throughput, wall_s })
            .collect();
        let spent = Duration::from_secs(spent_s);
        let _ = crate::plan::forecast::time_left(&plan, KNEE, &done, spent);
        for _ in 0..100 {
            match next(&plan, KNEE, &done, spent, Duration::ZERO) {
                Next::Stop(_) => return Ok(()),
                Next::Round { round, order } => {
                    prop_assert!(!order.is_empty());
                    done.extend(order.into_iter().map(|procs| Done { round, procs, throughput: Some(1.0), wall_s: 0.1 }));
                }
            }
        }
        prop_assert!(false, "it has to end");
    }
}
