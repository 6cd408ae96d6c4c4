//! The planted cause comes first, on rows as a sweep of such a program gives them.

use crate::plan::Policy;
use crate::recommend::{Evidence, Observation, Spent, decide};
use crate::results::{Note, Recommendation};

/// One second at `n` procs of two CPUs: `ops` operations, and how the processors spent it.
fn second(n: f64, ops: f64, [user_s, sys_s]: [f64; 2], spent: Spent) -> Observation {
    let spent = Spent {
        user_s: Some(user_s),
        sys_s: Some(sys_s),
        run_queue_wait_s: Some(spent.run_queue_wait_s.unwrap_or(0.0)),
        lock_s: Some(spent.lock_s.unwrap_or(0.0)),
        channel_s: Some(spent.channel_s.unwrap_or(0.0)),
        io_s: Some(spent.io_s.unwrap_or(0.0)),
        sleep_s: Some(spent.sleep_s.unwrap_or(0.0)),
        slack_s: Some(spent.slack_s.unwrap_or(0.0)),
        critical_s: Some(spent.critical_s.unwrap_or(0.0)),
        waking_s: Some(spent.waking_s.unwrap_or(0.0)),
        searching_s: Some(spent.searching_s.unwrap_or(0.0)),
        ..spent
    };
    Observation {
        n,
        throughput: ops,
        wall_s: Some(1.0),
        elapsed_s: Some(1.0),
        ops: Some(ops),
        user_s: Some(user_s),
        sys_s: Some(sys_s),
        run_queue_wait_s: spent.run_queue_wait_s,
        spent: Some(Box::new(spent)),
        ..Observation::default()
    }
}

fn evidence(samples: &[Observation]) -> Evidence {
    let rounds = (1..=6).flat_map(|round| samples.iter().map(move |sample| (round, sample)));
    let observations = rounds.map(|(round, sample)| Observation {
        round: Some(round),
        throughput: sample.throughput * (1.0 + 0.001 * f64::from(round % 3)),
        ..sample.clone()
    });
    Evidence {
        target: "t".to_owned(),
        unit: "ops/s".to_owned(),
        observations: observations.collect(),
        cpus: Some(2.0),
        seed: 1,
        is_workload: true,
        ..Evidence::default()
    }
}

fn answer(samples: &[Observation]) -> Recommendation {
    decide(&evidence(samples)).unwrap()
}

#[track_caller]
fn first(answer: &Recommendation, code: &str, parts: &[&str]) {
    let first = &answer.reasons[0];
    assert_eq!(first.code, code, "{:#?}", answer.reasons);
    assert!(parts.iter().all(|part| first.text.contains(part)), "{}", first.text);
}

fn codes(notes: &[Note]) -> Vec<&str> {
    notes.iter().map(|note| note.code.as_str()).collect()
}

fn one(ops: f64) -> Observation {
    second(1.0, ops, [0.99, 0.01], Spent::default())
}

#[test]
fn a_contended_lock() {
    let two =
        Spent { lock_s: Some(0.4), run_queue_wait_s: Some(0.4), lock_waits: Some(3e6), ..Spent::default() };
    let mut one = one(2e7);
    one.spent.as_mut().unwrap().lock_waits = Some(0.0);
    let mut evidence = evidence(&[one, second(2.0, 1.6e7, [1.1, 0.05], two)]);
    evidence.places.add(2, "main;corefit_workloads::mutex_counter::increment;lock;swap 100\n");
    let answer = decide(&evidence).unwrap();
    first(
        &answer,
        "lock-or-channel-waits",
        &[
            "throughput falls",
            "goroutines wait for locks",
            "20 %",
            "`mutex_counter::increment` (100 %)",
            "try",
        ],
    );
    assert!(!codes(&answer.reasons).contains(&"memory-or-coherency"), "{:#?}", answer.reasons);
}

#[test]
fn shared_lines_and_a_full_bus_are_named_together_without_counters() {
    first(
        &answer(&[one(4.7e8), second(2.0, 2e8, [1.97, 0.02], Spent::default())]),
        "memory-or-coherency",
        &["throughput falls by", "memory or coherency", "try"],
    );
    let two = Spent { critical_s: Some(0.04), slack_s: Some(0.02), ..Spent::default() };
    first(
        &answer(&[one(1e10), second(2.0, 1.7e10, [1.92, 0.02], two)]),
        "memory-or-coherency",
        &["memory or coherency"],
    );
}

#[test]
fn counters_tell_shared_lines_from_a_full_bus() {
    let counted = |sample: Observation, cycles, misses| Observation {
        instructions: Some(sample.throughput * 10.0),
        cycles: Some(cycles),
        cache_misses: Some(misses),
        ..sample
    };
    let shared =
        [counted(one(4e8), 3e9, 1e5), counted(second(2.0, 2e8, [1.97, 0.02], Spent::default()), 6e9, 2e5)];
    first(&answer(&shared), "coherency", &["cycles per instruction", "shared lines"]);
    let full = [
        counted(one(1e9), 3e9, 1.5e8),
        counted(second(2.0, 1.2e9, [1.97, 0.02], Spent::default()), 6e9, 2.5e8),
    ];
    first(&answer(&full), "memory-bandwidth", &["16 GB/s"]);
}

#[test]
fn a_serial_part() {
    let two = Spent { critical_s: Some(0.45), waking_s: Some(0.01), ..Spent::default() };
    let answer = answer(&[one(1000.0), second(2.0, 1540.0, [1.53, 0.01], two)]);
    first(&answer, "serial-fraction", &["serial fraction 0.30", "run alone for 46 %"]);
    let stack = &answer.stack[1];
    assert!(stack.unexplained.abs() < 0.01 && stack.procs == 2.0, "{stack:?}");
}

#[test]
fn a_slow_stage() {
    // Two of four stages at a time; it scales well so far, but one stage is 40 % of all work.
    let of_stage = |run_s: f64| (Some(0.4 * run_s), Some(run_s));
    let (busiest_goroutine_s, goroutines_run_s) = of_stage(0.98);
    let mut one = one(5e4);
    let spent = one.spent.as_mut().unwrap();
    (spent.busiest_goroutine_s, spent.goroutines_run_s) = (busiest_goroutine_s, goroutines_run_s);
    let (busiest_goroutine_s, goroutines_run_s) = of_stage(1.9);
    let two = Spent { channel_s: Some(0.05), busiest_goroutine_s, goroutines_run_s, ..Spent::default() };
    let mut evidence = evidence(&[one, second(2.0, 9.6e4, [1.9, 0.02], two)]);
    evidence.places.add(1, "main;corefit_workloads::pipeline::compress;compute 40\nmain;app::write 60\n");
    let answer = decide(&evidence).unwrap();
    first(
        &answer,
        "critical-goroutine",
        &["40 % of all work", "2.5 processors", "`pipeline::compress` (40 %)"],
    );
    assert!(codes(&answer.reasons).contains(&"scales-well"));
}

#[test]
fn channels_that_stages_wait_for() {
    let two = Spent { channel_s: Some(0.5), searching_s: Some(0.05), ..Spent::default() };
    let two = Observation { parks: Some(3e4), ..second(2.0, 6e4, [1.4, 0.05], two) };
    first(
        &answer(&[one(5e4), two]),
        "lock-or-channel-waits",
        &["wait for channels: 25 %", "an op parks 0.5 times"],
    );
}

#[test]
fn a_server_that_is_all_system_calls() {
    let one = second(1.0, 8.4e4, [0.08, 0.92], Spent::default());
    let two = second(2.0, 1.52e5, [0.15, 1.83], Spent { io_s: Some(0.02), ..Spent::default() });
    first(&answer(&[one, two]), "kernel-time", &["92 % of the CPU time is the kernel's at 2 procs"]);
}

#[test]
fn hogs_that_starve_a_ticker() {
    let tick = |n: f64, p99_s: f64, busy: f64| Observation {
        latency_p99_s: Some(p99_s),
        ..second(
            n,
            1000.0,
            [busy, 0.02],
            Spent { longest_run_s: Some(0.049), sleep_s: Some(n - busy), ..Spent::default() },
        )
    };
    let samples = [tick(1.0, 0.048, 0.6), tick(2.0, 0.0005, 0.6)];
    let policy = Policy::Latency { percentile: 99.0, limit_s: 0.005 };
    let answer = decide(&Evidence { policy, ..evidence(&samples) }).unwrap();
    first(&answer, "latency", &["within the limit", "up to 48 ms at 1", "up to 49 ms at a time", "starves"]);
    assert!(codes(&answer.reasons).contains(&"not-cpu-bound"), "{:?}", answer.reasons);
}

#[test]
fn a_quota() {
    let held = |n: f64| Observation {
        cpu_quota: Some(0.5),
        throttled_s: Some(0.5 * n),
        ..second(n, 500.0, [0.49, 0.01], Spent { run_queue_wait_s: Some(0.5 * n), ..Spent::default() })
    };
    let answer =
        decide(&Evidence { cpus: Some(0.5), ..evidence(&[held(1.0), held(2.0), held(3.0)]) }).unwrap();
    first(&answer, "quota-throttling", &["the quota of 0.5 CPUs"]);
    let throttling = answer.stack[0].parts.iter().find(|part| part.name == "throttling").unwrap();
    assert_eq!(throttling.share, Some(0.5));
}

#[test]
fn cpus_that_others_use_too() {
    // A neighbour takes half of what there is; the program waits for CPUs, and for nothing else.
    let one = second(1.0, 500.0, [0.5, 0.0], Spent { run_queue_wait_s: Some(0.5), ..Spent::default() });
    let two = second(2.0, 600.0, [0.6, 0.0], Spent { run_queue_wait_s: Some(1.4), ..Spent::default() });
    let answer = answer(&[one, two]);
    first(&answer, "run-queue-wait", &["70 % of the time they could run", "something else uses the CPUs"]);
    assert!(!codes(&answer.reasons).contains(&"not-cpu-bound"), "{:?}", answer.reasons);
}

#[test]
fn more_workers_than_cpus() {
    let many = |n: f64| {
        second(n, 2000.0, [1.98, 0.02], Spent { run_queue_wait_s: Some(n - 2.0), ..Spent::default() })
    };
    first(
        &answer(&[many(4.0), many(8.0)]),
        "run-queue-wait",
        &["at 8 procs", "there are more threads than CPUs"],
    );
    let answer = answer(&[many(2.0), many(4.0)]);
    first(&answer, "oversubscription", &["more workers than CPUs gain nothing"]);
}

#[test]
fn nothing_is_said_of_a_program_that_scales() {
    let two = second(2.0, 1960.0, [1.94, 0.02], Spent { slack_s: Some(0.02), ..Spent::default() });
    let four = second(4.0, 1950.0, [1.94, 0.02], Spent { run_queue_wait_s: Some(2.0), ..Spent::default() });
    let answer = answer(&[one(1000.0), two, four]);
    assert_eq!(codes(&answer.reasons), ["scales-well", "oversubscription"]);
}

#[test]
fn threads_of_a_command_that_wait_for_a_lock() {
    let polled = |n: f64, ops: f64, busy: f64, lock_s: f64| Observation {
        n,
        throughput: ops,
        wall_s: Some(1.0),
        ops: Some(1.0),
        user_s: Some(busy),
        sys_s: Some(0.0),
        run_queue_wait_s: Some(0.0),
        spent: Some(Box::new(Spent {
            lock_s: Some(lock_s),
            io_s: Some(0.0),
            sleep_s: Some(0.0),
            slack_s: Some(0.0),
            ..Spent::default()
        })),
        ..Observation::default()
    };
    let samples = [polled(1.0, 1.0, 1.0, 0.0), polled(2.0, 1.1, 1.1, 0.9)];
    let answer = decide(&Evidence { is_workload: false, ..evidence(&samples) }).unwrap();
    first(&answer, "lock-or-channel-waits", &["threads wait for locks, conditions or joins", "45 %"]);
    let known = answer.stack[1].parts.iter().filter(|part| part.share.is_some()).count();
    assert_eq!(known, 8, "what nobody measured is null: {:?}", answer.stack[1]);
}

#[test]
fn a_server_that_mostly_waits_gains_in_times_and_not_in_per_cent() {
    let waiting =
        |n: f64| second(n, 100.0 * n, [0.01 * n, 0.0], Spent { sleep_s: Some(0.98 * n), ..Spent::default() });
    let answer = answer(&[1.0, 2.0, 4.0, 64.0].map(waiting));
    let warning = answer.warnings.iter().find(|note| note.code == "oversubscribed").unwrap();
    assert!(
        warning.text.contains("32 times the throughput of 2") && !warning.text.contains('%'),
        "{}",
        warning.text
    );
}

#[test]
fn an_efficiency_that_the_medians_do_not_give_says_which_it_is() {
    // The machine is half as fast in the second half of the rounds, and the point of 2 misses one of those.
    let rounds = (1..=8).flat_map(|round| [1.0, 2.0].map(|n| (round, n))).filter(|place| *place != (8, 2.0));
    let observations: Vec<Observation> = rounds
        .map(|(round, n)| {
            let speed = if round > 4 { 500.0 } else { 1000.0 };
            Observation { n, round: Some(round), throughput: speed * n, ..Observation::default() }
        })
        .collect();
    let answer = decide(&Evidence { observations, ..evidence(&[]) }).expect("there are samples");
    let said = answer.reasons.iter().find(|note| note.code == "scales-well").expect("it does");
    assert!(
        said.text.starts_with(
            "efficiency 1.33 at 2 procs (1.00 within rounds, without the drift of the machine): nothing"
        ),
        "{}",
        said.text
    );
}
