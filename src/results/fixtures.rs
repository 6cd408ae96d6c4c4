//! Small sweeps for the tests of this station.

use proptest::prelude::*;

use super::row::{COLUMNS, TEXT_COLUMNS};
use super::{Manifest, Model, Point, Recommendation, SCHEMA, SampleRow};
use crate::machine::Machine;
use crate::plan::{Plan, Policy, Rounds};
use crate::target::{Command, Kind, Procs, Target};

pub(super) fn command(argv: &[&str]) -> Target {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    Target {
        name: "true".to_owned(),
        unit: "ops/s".to_owned(),
        kind: Kind::Command(Command { argv, ..Command::default() }),
    }
}

pub(crate) fn manifest(target: &str) -> Manifest {
    Manifest {
        schema: SCHEMA,
        target: target.to_owned(),
        command: command(&["true"]),
        corefit_version: "0.1.0".to_owned(),
        machine: Machine { id: "m1".to_owned(), cpus_allowed: 2, ..Machine::default() },
        counters: None,
        seed: 1,
        plan: Plan {
            procs: vec![1, 2, 4],
            grid: Vec::new(),
            exhaustive: false,
            with_default: false,
            rounds: Rounds { min: 6, max: 30 },
            precision: 0.02,
            budget_s: Some(9.0),
            budget_is_explicit: false,
            timeout_s: 60.0,
            warmup: 1,
            seed: 1,
            counters: true,
            flamegraph: true,
            quick: false,
            cpu_quota: None,
            pin: None,
        },
        policy: Policy::default(),
        started_unix_s: 1e9,
        warnings: Vec::new(),
        recommendation: None,
    }
}

pub(crate) fn row(target: &str, procs: u32, round: u32) -> SampleRow {
    SampleRow {
        target: target.to_owned(),
        procs: procs.into(),
        round,
        order: 1,
        status: "ok".to_owned(),
        wall_s: Some(0.5),
        ops: Some(100.0),
        throughput: Some(100.0 * f64::from(procs)),
        machine: "m1".to_owned(),
        ..SampleRow::default()
    }
}

/// Two points, 2 recommended.
pub(crate) fn recommendation(target: &str) -> Recommendation {
    let point = |procs: f64| Point {
        procs,
        samples: 3,
        throughput: 100.0 * procs,
        lo: None,
        hi: None,
        speedup: Some(procs),
        efficiency: Some(1.0),
        cpu_s_per_op: Some(0.1),
        latency_p99_s: None,
        max_rss_bytes: Some(4096.0),
    };
    Recommendation {
        schema: SCHEMA,
        target: target.to_owned(),
        unit: "ops/s".to_owned(),
        policy: Policy::default(),
        recommended_procs: 2.0,
        interval: None,
        confidence: None,
        regret: None,
        noise_floor: None,
        best_procs: 2.0,
        model: Model {
            kind: "linear".to_owned(),
            sigma: None,
            kappa: None,
            lambda: Some(100.0),
            peak_procs: None,
            r2: Some(1.0),
            ceiling: None,
            intervals: None,
        },
        points: vec![point(1.0), point(2.0)],
        default: None,
        stack: Vec::new(),
        reasons: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Any row that a sample can give: every number finite, in any column or in none.
pub(super) fn any_row() -> impl Strategy<Value = SampleRow> {
    let finite = any::<f64>().prop_filter("finite", |value| value.is_finite());
    let numbers = prop::collection::vec(prop::option::of(finite), COLUMNS.len());
    let procs =
        prop::option::weighted(0.8, 1u32..=4096).prop_map(|count| count.map_or(Procs::Default, Procs::Count));
    let whole = || any::<Option<u64>>();
    let counts = (procs, any::<u32>(), any::<u32>(), whole(), any::<Option<i32>>(), (whole(), whole()));
    (numbers, counts, "[A-Za-z0-9._-]{1,20}").prop_map(
        |(numbers, (procs, round, order, rss, code, periods), target)| {
            let is_float = |column: &str| !TEXT_COLUMNS.contains(&column) && column != "throughput";
            let floats = COLUMNS.iter().zip(numbers).filter(|(column, _)| is_float(column));
            let mut object: serde_json::Map<String, serde_json::Value> =
                floats.map(|(column, value)| ((*column).to_owned(), value.into())).collect();
            object.extend([
                ("procs".to_owned(), serde_json::to_value(procs).unwrap()),
                ("round".to_owned(), round.into()),
                ("order".to_owned(), order.into()),
                ("max_rss_bytes".to_owned(), rss.into()),
                ("exit_code".to_owned(), code.into()),
                ("throttled_periods".to_owned(), periods.0.into()),
                ("quota_periods".to_owned(), periods.1.into()),
                ("target".to_owned(), target.into()),
                ("status".to_owned(), "ok".into()),
            ]);
            serde_json::from_value(object.into()).unwrap()
        },
    )
}
