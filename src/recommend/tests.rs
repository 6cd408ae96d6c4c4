//! The decision as a whole, on sweeps whose answer is known.

use proptest::prelude::*;

use super::*;

/// Six rounds at each of `procs`, with a ripple of ± 0.5 % and whole rounds up to 3 % slower; `shape` makes the rest.
fn sweep(procs: &[f64], shape: impl Fn(f64) -> Observation) -> Evidence {
    let mut random = fastrand::Rng::with_seed(7);
    let mut observations = Vec::new();
    for round in 1..=6 {
        for &n in procs {
            let noise = (1.0 + 0.005 * (2.0 * random.f64() - 1.0)) * (1.0 - f64::from(round) * 0.005);
            let sample = shape(n);
            observations.push(Observation {
                n,
                round: Some(round),
                throughput: sample.throughput * noise,
                ..sample
            });
        }
    }
    Evidence { cpus: Some(2.0), ..table(observations) }
}

fn table(observations: Vec<Observation>) -> Evidence {
    Evidence {
        target: "t".to_owned(),
        unit: "ops/s".to_owned(),
        observations,
        seed: 1,
        is_workload: true,
        ..Evidence::default()
    }
}

fn rows(rows: &[(f64, f64)]) -> Vec<Observation> {
    rows.iter().map(|&(n, throughput)| Observation { n, throughput, ..Observation::default() }).collect()
}

/// A second of wall time with `busy` CPUs, of which the kernel has `kernel`.
fn sample(throughput: f64, busy: f64, kernel: f64) -> Observation {
    Observation {
        throughput,
        wall_s: Some(1.0),
        elapsed_s: Some(1.0),
        ops: Some(throughput),
        user_s: Some(busy * (1.0 - kernel)),
        sys_s: Some(busy * kernel),
        ..Observation::default()
    }
}

/// `sweep` with the default in its rounds, at `factor` of the throughput of N = 2.
fn with_default(factor: f64, rounds: u32) -> Evidence {
    let mut evidence = sweep(&[1.0, 2.0], |n| sample(100.0 * n, n, 0.0));
    let twos = evidence.observations.iter().filter(|o| o.n == 2.0 && o.round <= Some(rounds));
    evidence.default =
        twos.map(|o| Observation { n: 0.0, throughput: factor * o.throughput, ..o.clone() }).collect();
    evidence
}

#[test]
fn the_gain_over_the_default_is_taken_within_rounds() {
    let answer = decide(&with_default(0.8, 6)).unwrap();
    let default = answer.default.unwrap();
    assert_eq!((answer.recommended_procs, answer.points.len(), default.samples), (2.0, 2, 6));
    let [low, high] = default.gain_interval.unwrap();
    assert!([low, default.gain, high].iter().all(|gain| (gain - 0.25).abs() < 1e-9), "{default:?}");
    let last = answer.reasons.last().unwrap();
    assert_eq!(last.code, "gain-over-default");
    assert!(last.text.starts_with("2 procs gain 25 % over the default"), "{}", last.text);
    assert!(!codes(&answer.warnings).contains(&"default-is-faster"));
}

#[test]
fn a_default_that_is_faster_is_a_warning_and_never_the_choice() {
    let answer = decide(&with_default(1.25, 6)).unwrap();
    assert_eq!((answer.recommended_procs, answer.best_procs), (2.0, 2.0));
    assert!(codes(&answer.warnings).contains(&"default-is-faster"), "{:?}", answer.warnings);
    let without = decide(&Evidence { default: Vec::new(), ..with_default(1.25, 6) }).unwrap();
    assert_eq!(without.default, None);
    assert_eq!((answer.model, answer.points), (without.model, without.points), "it is no part of the fit");
}

#[test]
fn a_gain_of_too_few_rounds_or_of_nothing_is_said_as_such() {
    let few = decide(&with_default(0.8, 5)).unwrap().default.unwrap();
    assert!(few.gain_interval.is_none() && (few.gain - 0.25).abs() < 1e-9);
    let mut evidence = with_default(1.0, 6);
    evidence.default[0].throughput *= 1.01;
    let answer = decide(&evidence).unwrap();
    assert!(
        answer.reasons.last().unwrap().text.contains("not told from the default"),
        "{:?}",
        answer.reasons
    );
    evidence.default.iter_mut().for_each(|o| o.round = None);
    assert!(decide(&evidence).unwrap().default.unwrap().gain.abs() < 0.02, "a plain table has no rounds");
}

fn codes(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.code.as_str()).collect()
}

#[track_caller]
fn text<'a>(notes: &'a [Note], code: &str) -> &'a str {
    match notes.iter().find(|note| note.code == code) {
        Some(note) => &note.text,
        None => panic!("no `{code}` among {notes:#?}"),
    }
}

const AUTO: [f64; 3] = [1.0, 2.0, 4.0];

#[test]
fn nothing_measured_is_no_answer() {
    assert_eq!(decide(&table(Vec::new())), None);
    assert_eq!(decide(&table(rows(&[(1.0, f64::NAN), (2.0, 0.0)]))), None);
}

#[test]
fn a_single_observation_is_recommended_without_confidence() {
    let answer = decide(&table(rows(&[(3.0, 10.0)]))).unwrap();
    assert_eq!(
        (answer.recommended_procs, answer.confidence, answer.model.kind.as_str()),
        (3.0, None, "none")
    );
    assert_eq!(answer.model.lambda, None);
    assert_eq!(codes(&answer.warnings), ["one-row-a-value"]);
}

#[test]
fn one_row_a_value_gives_the_knee_and_no_confidence() {
    let answer =
        decide(&table(rows(&[(1.0, 100.0), (2.0, 190.0), (4.0, 340.0), (8.0, 520.0), (16.0, 610.0)])))
            .unwrap();
    assert_eq!((answer.recommended_procs, answer.best_procs), (16.0, 16.0));
    assert_eq!((answer.confidence, answer.interval, answer.regret), (None, None, None));
    assert!(text(&answer.warnings, "edge-of-range").contains("17 %"));
    assert_eq!(answer.points[1].speedup, Some(1.9));
}

#[test]
fn rows_of_equal_n_are_samples_and_enough_of_them_give_confidence() {
    let noise = [0.99, 1.0, 1.01, 1.0, 0.995, 1.005];
    let many: Vec<(f64, f64)> =
        noise.iter().flat_map(|e| [(1.0, 100.0 * e), (2.0, 190.0 * e), (4.0, 191.0 * e)]).collect();
    let answer = decide(&table(rows(&many))).unwrap();
    assert_eq!((answer.recommended_procs, answer.confidence), (2.0, Some(1.0)));
    let answer = decide(&table(rows(&many[..17]))).unwrap();
    assert!(answer.confidence.is_some(), "five rows of the last value are enough");
    let answer = decide(&table(rows(&many[..11]))).unwrap();
    assert_eq!(answer.confidence, None, "three are not");
}

#[test]
fn a_serial_fraction_of_30_percent_is_found_on_two_cpus() {
    let answer = decide(&sweep(&AUTO, |n| {
        let speedup = 1.0 / (0.3 + 0.7 / n.min(2.0));
        sample(1000.0 * speedup, speedup, 0.01)
    }))
    .unwrap();
    assert_eq!((answer.recommended_procs, answer.model.kind.as_str()), (2.0, "amdahl"));
    assert!((answer.model.sigma.unwrap() - 0.3).abs() < 0.01);
    assert!((answer.points[1].speedup.unwrap() - 1.54).abs() < 0.02);
    assert_eq!(answer.reasons[0].code, "serial-fraction");
    assert!(answer.reasons[0].text.contains("serial fraction 0.30"), "{}", answer.reasons[0].text);
    assert!(answer.confidence.unwrap() > 0.99);
}

#[test]
fn the_serial_fraction_needs_no_law() {
    // Two worker counts fix no law with a serial fraction, but they show one.
    let answer = decide(&sweep(&[1.0, 2.0], |n| {
        let speedup = 1.0 / (0.3 + 0.7 / n);
        sample(1000.0 * speedup, speedup, 0.01)
    }))
    .unwrap();
    assert_eq!((answer.model.kind.as_str(), answer.model.sigma), ("linear", None));
    assert!(text(&answer.reasons, "serial-fraction").contains("serial fraction 0.30"));
}

#[test]
fn a_contended_counter_is_recommended_one_and_told_that_it_falls() {
    let answer = decide(&sweep(&AUTO, |n| match n {
        1.0 => Observation { context_switches: Some(10.0), parks: Some(5.0), ..sample(1e6, 0.99, 0.01) },
        _ => Observation { context_switches: Some(4e4), parks: Some(3e5), ..sample(4e5, 1.8, 0.2) },
    }))
    .unwrap();
    assert_eq!((answer.recommended_procs, answer.model.kind.as_str()), (1.0, "none"));
    let first = &answer.reasons[0];
    assert_eq!(first.code, "cpu-time-grows");
    assert!(
        first.text.starts_with("throughput falls by 60 % from 1 to 2 procs: CPU time per op grows to 4.5"),
        "{}",
        first.text
    );
    assert!(first.text.contains("parks per op from less than 0.001 to 0.75"), "{}", first.text);
}

#[test]
fn goroutines_that_take_turns_wait_for_each_other() {
    let answer = decide(&sweep(&AUTO, |n| match n {
        1.0 => Observation { parks: Some(2e6), ..sample(1e6, 0.99, 0.01) },
        _ => Observation { parks: Some(1.6e6), ..sample(8e5, 0.97, 0.05) },
    }))
    .unwrap();
    assert_eq!(answer.recommended_procs, 1.0);
    assert_eq!(answer.reasons[0].code, "lock-or-channel-waits");
    assert!(answer.reasons[0].text.contains("an op parks 2 times"), "{}", answer.reasons[0].text);
}

#[test]
fn one_busy_thread_of_a_command_is_its_critical_path() {
    let evidence = Evidence { is_workload: false, ..sweep(&AUTO, |_| sample(1000.0, 1.0, 0.01)) };
    let answer = decide(&evidence).unwrap();
    assert_eq!(answer.recommended_procs, 1.0);
    assert_eq!(answer.reasons[0].code, "critical-goroutine");
    assert!(answer.reasons[0].text.contains("one thread"));
}

#[test]
fn a_program_that_scales_is_told_so_and_more_than_the_cpus_gain_nothing() {
    let answer = decide(&sweep(&AUTO, |n| sample(1000.0 * n.min(2.0), n.min(2.0), 0.01))).unwrap();
    assert_eq!(answer.recommended_procs, 2.0);
    assert_eq!(codes(&answer.reasons), ["scales-well", "oversubscription"]);
    assert_eq!((answer.model.kind.as_str(), answer.model.ceiling), ("linear", Some(2.0)));
    assert_eq!(answer.warnings, []);
}

#[test]
fn sleepers_have_no_ceiling_and_are_not_cpu_bound() {
    let answer = decide(&sweep(&AUTO, |_| sample(1e5, 0.12, 0.5))).unwrap();
    assert_eq!((answer.recommended_procs, answer.model.ceiling), (1.0, None));
    assert_eq!(answer.reasons[0].code, "not-cpu-bound");
    assert!(answer.reasons[0].text.contains("0.12"));
}

#[test]
fn workers_that_wait_may_outnumber_the_cpus_when_it_is_measured() {
    let answer = decide(&sweep(&[1.0, 2.0, 4.0, 8.0], |n| sample(100.0 * n, 0.05 * n, 0.1))).unwrap();
    assert_eq!(answer.recommended_procs, 8.0);
    let warning = text(&answer.warnings, "oversubscribed");
    assert!(warning.contains("they give 4 times") || warning.contains("they give 3.99 times"), "{warning}");
}

#[test]
fn noise_beyond_the_cpus_is_not_a_gain() {
    // 4 on 2 CPUs wins by 1.5 % each time: more than the throughput policy's 1 %, less than a measured gain.
    let evidence = Evidence {
        policy: Policy::Throughput { tolerance: 0.01 },
        ..sweep(&AUTO, |n| sample(if n == 4.0 { 2030.0 } else { 1000.0 * n }, n.min(2.0), 0.01))
    };
    let answer = decide(&evidence).unwrap();
    assert_eq!((answer.recommended_procs, answer.best_procs), (2.0, 4.0));
    assert!((answer.regret.unwrap().p50 - 0.015).abs() < 0.005);
}

#[test]
fn a_program_that_ignores_its_knob_gets_no_confidence() {
    let answer = decide(&sweep(&AUTO, |_| sample(1000.0, 1.9, 0.01))).unwrap();
    assert_eq!((answer.confidence, answer.interval, answer.regret), (None, None, None));
    assert!(text(&answer.warnings, "knob-ignored").starts_with("1.9 CPUs are busy at 1 processor"));
    // The blocking calls of a workload run beside its processors.
    let blocking = |_| Observation { handoffs: Some(9.0), ..sample(1000.0, 1.9, 0.01) };
    assert!(decide(&sweep(&AUTO, blocking)).unwrap().confidence.is_some());
}

#[test]
fn a_quota_that_throttles_is_the_reason() {
    let mut evidence = sweep(&[1.0, 2.0, 3.0], |n| Observation {
        throttled_s: Some(if n > 1.0 { 0.4 } else { 0.0 }),
        cpu_quota: Some(1.5),
        ..sample(1000.0 * n.min(1.5), n.min(1.5), 0.01)
    });
    evidence.cpus = Some(4.0);
    let answer = decide(&evidence).unwrap();
    assert_eq!((answer.recommended_procs, answer.model.ceiling), (2.0, Some(1.5)));
    assert!(
        text(&answer.reasons, "quota-throttling")
            .starts_with("the quota of 1.5 CPUs throttles the program for 40 %")
    );
}

#[test]
fn a_first_look_takes_no_more_workers_than_cpus_for_a_lucky_sample() {
    let quick = |at_4: [f64; 3]| {
        let mut evidence = sweep(&AUTO, |n| sample(100.0 * n.min(2.0), n.min(2.0), 0.01));
        evidence.observations.retain(|sample| sample.round <= Some(3));
        evidence.quick = true;
        evidence.cpus = Some(2.0);
        for sample in evidence.observations.iter_mut().filter(|sample| sample.n == 4.0) {
            sample.throughput = at_4[sample.round.unwrap() as usize - 1];
        }
        decide(&evidence).unwrap().recommended_procs
    };
    assert_eq!(quick([150.0, 240.0, 245.0]), 2.0, "one sample of three is slower");
    assert_eq!(quick([235.0, 240.0, 245.0]), 4.0, "a measured gain");
}

#[test]
fn samples_of_a_few_quota_periods_are_pointed_out() {
    let short = |wall_s: f64| {
        let evidence = sweep(&[1.0, 2.0, 3.0], |n| Observation {
            cpu_quota: Some(1.5),
            wall_s: Some(wall_s),
            ..sample(1000.0 * n.min(1.5), n.min(1.5), 0.01)
        });
        decide(&evidence).unwrap().warnings.iter().any(|warning| warning.code == "short-under-quota")
    };
    assert!(short(0.3));
    assert!(!short(1.2));
}

#[test]
fn threads_that_a_quota_holds_back_wait_for_no_other_program() {
    let waiting = |throttled_s| {
        let evidence = sweep(&AUTO, |n| Observation {
            throttled_s: Some(throttled_s),
            cpu_quota: Some(0.5),
            run_queue_wait_s: Some(1.0),
            ..sample(100.0, 0.5 + 0.001 * n, 0.01)
        });
        text(&decide(&evidence).unwrap().reasons, "run-queue-wait").to_owned()
    };
    assert!(waiting(1.3).ends_with("the quota holds them back"), "{}", waiting(1.3));
    assert!(waiting(0.0).contains("something else uses the CPUs"), "{}", waiting(0.0));
}

#[test]
fn counters_tell_memory_from_more_work() {
    let answer = decide(&sweep(&AUTO, |n| {
        let slow = if n > 1.0 { 1.6 } else { 1.0 };
        let x = 1000.0 * n.min(2.0) / slow;
        Observation {
            instructions: Some(x * 1e6),
            cycles: Some(x * 1e6 * slow),
            cache_misses: Some(x * if n > 1.0 { 30.0 } else { 10.0 }),
            ..sample(x, n.min(2.0), 0.01)
        }
    }))
    .unwrap();
    assert_eq!(answer.reasons[0].code, "coherency");
    assert!(
        answer.reasons[0]
            .text
            .contains("cycles per instruction by 60 %, cache misses per op to 3 times as much")
    );
}

#[test]
fn three_rounds_are_few_and_quick_ones_are_called_quick() {
    let mut evidence = sweep(&AUTO, |n| sample(1000.0 * n.min(2.0), n.min(2.0), 0.01));
    evidence.observations.retain(|o| o.round.unwrap() <= 3);
    let answer = decide(&evidence).unwrap();
    assert_eq!((answer.confidence, answer.points[0].lo), (None, None));
    assert!(text(&answer.warnings, "few-rounds").starts_with("3 rounds"));
    evidence.quick = true;
    evidence.warnings = vec![Note { code: "load".to_owned(), text: "load 3.1".to_owned() }];
    let answer = decide(&evidence).unwrap();
    assert_eq!(codes(&answer.warnings), ["load", "quick"]);
    assert!(answer.warnings[1].text.contains("quick"));
}

#[test]
fn points_that_failed_or_were_dropped_do_not_silence_the_rest() {
    let mut evidence = sweep(&[1.0, 2.0, 4.0, 8.0], |n| sample(1000.0 * n.min(2.0), n.min(2.0), 0.01));
    evidence.observations.retain(|o| match (o.n, o.round.unwrap()) {
        (8.0, round) => round <= 3,
        (4.0, round) => round != 5,
        (1.0, round) => round != 2,
        _ => true,
    });
    let answer = decide(&evidence).unwrap();
    assert_eq!(answer.recommended_procs, 2.0);
    assert!(answer.confidence.unwrap() > 0.99);
}

#[test]
fn near_ties_are_said_to_be_ties() {
    let mut random = fastrand::Rng::with_seed(3);
    let mut evidence = sweep(&[1.0, 2.0], |_| sample(1000.0, 0.9, 0.01));
    evidence.policy = Policy::Throughput { tolerance: 0.0 };
    evidence.observations.iter_mut().for_each(|o| o.throughput *= 1.0 + 0.05 * (random.f64() - 0.5));
    let answer = decide(&evidence).unwrap();
    assert!(answer.confidence.unwrap() < 0.95);
    if answer.confidence.unwrap() < 0.7 {
        assert!(text(&answer.warnings, "not-distinguishable").contains("do not tell"));
    }
}

fn with_latency(policy: Policy) -> Evidence {
    let shape = |n: f64| Observation {
        latency_p99_s: Some(0.008 / n.min(3.0)),
        ..sample(1000.0 * n, n.min(2.0), 0.01)
    };
    Evidence { policy, ..sweep(&AUTO, shape) }
}

#[test]
fn a_latency_policy_takes_the_smallest_that_keeps_the_limit() {
    let answer = decide(&with_latency(Policy::Latency { percentile: 99.0, limit_s: 0.005 })).unwrap();
    assert_eq!(answer.recommended_procs, 2.0);
    assert_eq!(answer.reasons[0].code, "latency");
    assert!(answer.reasons[0].text.starts_with("p99 at 2 procs is at most 4 ms, within the limit of 5 ms"));
    let answer = decide(&with_latency(Policy::Latency { percentile: 99.0, limit_s: 0.001 })).unwrap();
    assert_eq!(answer.recommended_procs, 4.0);
    assert!(text(&answer.warnings, "latency-limit-missed").contains("2.67 ms"));
    let answer = decide(&with_latency(Policy::Latency { percentile: 50.0, limit_s: 0.005 })).unwrap();
    assert!(text(&answer.warnings, "latency-not-measured").contains("p50"));
}

#[test]
fn a_cost_policy_takes_the_cheapest_of_the_fast_ones() {
    let shape = |n: f64| sample([50.0, 95.0, 100.0][(n / 2.0) as usize], n / 2.0, 0.01);
    let answer =
        decide(&Evidence { policy: Policy::Cost { tolerance: 0.1 }, ..sweep(&AUTO, shape) }).unwrap();
    assert_eq!(answer.recommended_procs, 2.0);
    let evidence =
        Evidence { policy: Policy::Cost { tolerance: 0.1 }, ..table(rows(&[(1.0, 9.0), (2.0, 10.0)])) };
    assert!(text(&decide(&evidence).unwrap().warnings, "cpu-time-not-measured").contains("5.0 %"));
}

#[test]
fn an_efficiency_policy_takes_the_largest_that_is_efficient() {
    let shape = |n: f64| sample(1000.0 * n / (1.0 + 0.1 * (n - 1.0)), n, 0.01);
    let evidence = Evidence {
        policy: Policy::Efficiency { at_least: 0.7 },
        cpus: Some(16.0),
        ..sweep(&[1.0, 2.0, 4.0, 8.0], shape)
    };
    assert_eq!(decide(&evidence).unwrap().recommended_procs, 4.0);
}

#[test]
fn rs_model_on_request() {
    let published = [
        (1.0, 64.9),
        (18.0, 995.9),
        (36.0, 1652.4),
        (72.0, 1853.2),
        (108.0, 1828.9),
        (144.0, 1775.0),
        (216.0, 1702.2),
    ];
    let answer = decide(&Evidence { model: ModelChoice::UslAsR, ..table(rows(&published)) }).unwrap();
    assert_eq!((answer.model.kind.as_str(), answer.model.ceiling), ("usl", None));
    assert!((answer.model.peak_procs.unwrap() - 96.5196).abs() < 0.01);
    assert_eq!(answer.recommended_procs, 72.0);
}

#[test]
fn a_table_of_many_rows_is_decided() {
    let mut random = fastrand::Rng::with_seed(5);
    let many: Vec<(f64, f64)> = (0..60_000)
        .map(|i| (f64::from(i % 8 + 1), f64::from(i % 8 + 1) * (1.0 + 0.1 * random.f64())))
        .collect();
    let answer = decide(&table(rows(&many))).unwrap();
    assert_eq!((answer.recommended_procs, answer.points[0].samples), (8.0, 7500));
    assert!(answer.confidence.unwrap() > 0.99);
}

#[test]
fn idle_processors_without_a_trace_of_waiting_have_too_little_to_do() {
    // 1.2 CPUs busy of 4 while the throughput hardly grows: no law (two worker counts), no parks, no single thread.
    let shape = |n: f64| sample(if n > 1.0 { 990.0 } else { 1000.0 }, if n > 1.0 { 1.2 } else { 0.99 }, 0.01);
    let answer =
        decide(&Evidence { cpus: Some(4.0), is_workload: false, ..sweep(&[1.0, 4.0], shape) }).unwrap();
    assert!(text(&answer.reasons, "idle-processors").starts_with("1.2 of 4 processors are busy at 4 procs"));
}

#[test]
fn neighbours_show_as_run_queue_wait_and_switches_as_their_rate() {
    let shape = |n: f64| {
        let slow = if n > 1.0 { 0.7 } else { 1.0 };
        let switches = if n > 1.0 { 3e5 } else { 1e3 };
        Observation {
            run_queue_wait_s: Some(0.5 * n),
            context_switches: Some(switches),
            ..sample(1000.0 * n.min(2.0) * slow, n.min(2.0), 0.4)
        }
    };
    let answer = decide(&sweep(&AUTO, shape)).unwrap();
    assert!(text(&answer.reasons, "run-queue-wait").contains("33 %"));
    assert!(
        text(&answer.reasons, "context-switches").starts_with("300000 thread switches a second at 2 procs")
    );
    assert!(text(&answer.reasons, "kernel-time").starts_with("40 %"));
}

#[test]
fn a_capacity_that_fills_up_is_no_serial_fraction() {
    let table = table(rows(&(1..=12).map(|n| (f64::from(n), f64::from(n).min(5.0))).collect::<Vec<_>>()));
    let answer = decide(&table).unwrap();
    assert_eq!((answer.recommended_procs, codes(&answer.reasons)), (5.0, vec!["fixed-capacity"]));
    assert!(answer.reasons[0].text.contains("from about 5 procs on"));
}

#[test]
fn settings_that_are_all_beyond_the_cpus_still_get_a_reason() {
    let answer =
        decide(&Evidence { cpus: Some(0.5), ..sweep(&[1.0, 2.0], |n| sample(100.0 * n, 0.5, 0.01)) })
            .unwrap();
    assert!(!answer.reasons.is_empty());
}

fn numbers(answer: &Recommendation) -> Vec<f64> {
    let mut numbers = vec![answer.recommended_procs, answer.best_procs];
    numbers.extend(answer.interval.into_iter().flatten());
    numbers.extend(answer.confidence);
    numbers.extend(answer.regret.map(|r| [r.p50, r.p95]).into_iter().flatten());
    let model = &answer.model;
    numbers.extend(
        [model.sigma, model.kappa, model.lambda, model.peak_procs, model.r2, model.ceiling]
            .into_iter()
            .flatten(),
    );
    for point in &answer.points {
        numbers.extend([point.procs, point.throughput]);
        numbers.extend(
            [point.lo, point.hi, point.speedup, point.efficiency, point.cpu_s_per_op].into_iter().flatten(),
        );
    }
    numbers
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_positive_data_give_a_measured_choice_in_finite_numbers(
        data in prop::collection::vec((1u32..6, -30.0..35.0f64, prop::option::of(1u32..8), prop::option::of(0.0..9.0f64)), 1..40),
        policy in 0usize..5,
        cpus in prop::option::of(0.1..8.0f64),
        scale in -8.0..8.0f64,
    ) {
        let observations = data.iter().map(|&(n, log, round, extra)| Observation {
            n: f64::from(n) * scale.exp(),
            throughput: log.exp(),
            round,
            wall_s: extra,
            ops: extra.map(|x| (x * 10.0).floor()),
            user_s: extra,
            sys_s: Some(0.0),
            latency_p99_s: extra,
            context_switches: extra,
            parks: extra,
            throttled_s: extra,
            run_queue_wait_s: extra,
            ..Observation::default()
        });
        let policies = [
            Policy::Knee { tolerance: 0.05 },
            Policy::Throughput { tolerance: 0.01 },
            Policy::Efficiency { at_least: 0.7 },
            Policy::Latency { percentile: 99.0, limit_s: 1.0 },
            Policy::Cost { tolerance: 0.1 },
        ];
        let evidence = Evidence { policy: policies[policy], cpus, ..table(observations.collect()) };
        let answer = decide(&evidence).unwrap();
        prop_assert!(answer.points.iter().any(|point| point.procs == answer.recommended_procs));
        prop_assert!(numbers(&answer).iter().all(|x| x.is_finite()), "{answer:?}");
        if let Some(Regret { p50, p95 }) = answer.regret {
            prop_assert!((0.0..=1.0).contains(&p50) && p50 <= p95 && p95 <= 1.0);
            let [low, high] = answer.interval.unwrap();
            prop_assert!((low..=high).contains(&answer.recommended_procs));
        }
        for point in &answer.points {
            prop_assert_eq!(point.lo.is_none(), point.samples < 6);
            prop_assert!(point.lo.is_none_or(|lo| lo <= point.throughput && point.throughput <= point.hi.unwrap()));
        }
        prop_assert!(answer.points.len() == 1 || !answer.reasons.is_empty());
        prop_assert!(answer.reasons.iter().chain(&answer.warnings).all(|note| !note.text.contains("NaN") && !note.text.contains("inf ")));
        prop_assert_eq!(decide(&evidence).unwrap(), answer);
    }
}

#[test]
fn more_than_proportional_growth_is_flagged_and_not_refused() {
    let answer =
        decide(&Evidence { cpus: None, ..sweep(&[1.0, 2.0, 4.0], |n| sample(100.0 * n.powf(1.2), n, 0.0)) });
    let answer = answer.unwrap();
    assert_eq!((answer.recommended_procs, answer.model.kind.as_str()), (4.0, "linear"));
    assert!(text(&answer.warnings, "superlinear").starts_with("4 procs give 5.2"), "{:?}", answer.warnings);
    let plain =
        decide(&Evidence { cpus: None, ..sweep(&[1.0, 2.0, 4.0], |n| sample(100.0 * n, n, 0.0)) }).unwrap();
    assert!(!codes(&plain.warnings).contains(&"superlinear"));
}

#[test]
fn parameters_come_with_intervals_that_hold_them() {
    let law = |n: f64| 100.0 * n / (1.0 + 0.05 * (n - 1.0) + 0.003 * n * (n - 1.0));
    let answer = decide(&Evidence {
        cpus: None,
        ..sweep(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0], |n| sample(law(n), n, 0.0))
    });
    let model = answer.unwrap().model;
    let intervals = model.intervals.unwrap();
    for (value, [low, high]) in
        [(model.sigma, intervals.sigma), (model.kappa, intervals.kappa), (model.lambda, intervals.lambda)]
            .map(|(value, ends)| (value.unwrap(), ends.unwrap()))
    {
        assert!(low <= value && value <= high && low < high, "{value} in {low} to {high}");
    }
    let [low, high] = intervals.peak_procs.unwrap().map(Option::unwrap);
    assert!(low < model.peak_procs.unwrap() && model.peak_procs.unwrap() < high);
    let exact = decide(&table(rows(&[(1.0, 1.0), (2.0, 1.9)]))).unwrap().model;
    assert!(exact.intervals.is_none_or(|found| found.sigma.is_none()), "linear has no sigma");
}

#[test]
fn an_explanation_has_the_answer_and_how_each_worker_count_stands() {
    let evidence = sweep(&AUTO, |n| sample(1000.0 * n.min(2.0), n.min(2.0), 0.01));
    let explained = explain(&evidence).unwrap();
    assert_eq!(explained.answer, decide(&evidence).unwrap());
    let standing = |procs: f64| explained.standings.iter().find(|s| s.procs == procs).unwrap();
    assert!((standing(1.0).ratio - 0.5).abs() < 0.01 && !standing(1.0).is_within);
    assert!(standing(2.0).is_within && standing(2.0).share.unwrap() > 0.99);
    let [low, high] = standing(1.0).ratio_interval.unwrap();
    assert!(low < standing(1.0).ratio && standing(1.0).ratio < high && high - low < 0.02);
    assert_eq!((explained.rounds, standing(4.0).last_round), (Some(6), Some(6)));
    assert!(explained.laws.iter().any(|tried| tried.verdict == crate::model::Verdict::Chosen));
}
