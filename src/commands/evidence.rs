//! From what is on disk to what a decision is made of. A sweep decides by the same road as `recommend` does afterwards,
//! so both give the same answer from the same files.

use std::borrow::Cow;
use std::path::Path;

use crate::plan::Policy;
use crate::recommend::{Evidence, ModelChoice, Observation, Places, Spent, decide};
use crate::results::{self, Manifest, Recommendation, SampleRow, Saved, Table, TableRow};
use crate::target::Procs;

/// The evidence of a saved sweep; `policy` overrides the one it was measured under.
#[must_use]
pub(super) fn of_sweep(saved: &Saved, policy: Option<Policy>, model: ModelChoice) -> Evidence {
    let Manifest { target, command, plan, machine, warnings, .. } = &saved.manifest;
    Evidence {
        target: target.clone(),
        unit: command.unit.clone(),
        observations: observations(saved, |procs| procs != Procs::Default),
        default: observations(saved, |procs| procs == Procs::Default),
        policy: policy.unwrap_or(saved.manifest.policy),
        cpus: Some(machine.under(plan.cpu_quota).usable_cpus()),
        model,
        seed: plan.seed,
        quick: plan.quick,
        is_workload: command.is_workload(),
        warnings: warnings.clone(),
        places: places(&saved.folder),
    }
}

/// The manifest's answer, or what the samples of a sweep say that did not come to its end; `None` if none succeeded.
#[must_use]
pub(super) fn answer(saved: &Saved) -> Option<Cow<'_, Recommendation>> {
    match &saved.manifest.recommendation {
        Some(answer) => Some(Cow::Borrowed(answer)),
        None => decide(&of_sweep(saved, None, ModelChoice::Auto)).map(Cow::Owned),
    }
}

/// Where the CPU time goes by the profiles in `folder`; what cannot be read is left out.
fn places(folder: &Path) -> Places {
    let mut places = Places::default();
    for (procs, folded) in results::folded(folder) {
        places.add(procs, &folded);
    }
    places
}

/// The evidence of a plain table: no machine, no ceiling.
#[must_use]
pub(super) fn of_table(file: &str, table: &Table, policy: Option<Policy>, model: ModelChoice) -> Evidence {
    let policy = policy.unwrap_or_default();
    let (observations, default): (Vec<_>, Vec<_>) = table.rows.iter().partition(|row| row.procs.is_some());
    let [observations, default] =
        [observations, default].map(|rows| rows.into_iter().map(|row| of_row(row, policy)).collect());
    Evidence {
        target: table.target.clone().unwrap_or_else(|| file.to_owned()),
        unit: "ops/s".to_owned(),
        observations,
        default,
        policy,
        cpus: None,
        model,
        seed: 1,
        quick: false,
        is_workload: false,
        warnings: Vec::new(),
        places: Places::default(),
    }
}

/// A row of a plain table. Its one latency is the percentile that the policy judges.
fn of_row(row: &TableRow, policy: Policy) -> Observation {
    let mut observation = Observation {
        n: row.procs.unwrap_or_default(),
        round: row.round,
        throughput: row.throughput,
        ..Observation::default()
    };
    if let Policy::Latency { percentile, .. } = policy {
        let field = match percentile {
            50.0 => &mut observation.latency_p50_s,
            90.0 => &mut observation.latency_p90_s,
            99.0 => &mut observation.latency_p99_s,
            _ => &mut observation.latency_p999_s,
        };
        *field = row.latency_s;
    }
    observation
}

/// The observations of the points that `is_wanted`.
fn observations(saved: &Saved, is_wanted: fn(Procs) -> bool) -> Vec<Observation> {
    saved.rows.iter().filter(|row| is_wanted(row.procs)).filter_map(observation).collect()
}

/// A row as an observation; `None` unless it succeeded and has a throughput.
fn observation(row: &SampleRow) -> Option<Observation> {
    if !row.is_ok() {
        return None;
    }
    Some(Observation {
        n: row.procs.count().map_or(0.0, f64::from),
        round: Some(row.round),
        throughput: row.throughput?,
        wall_s: row.wall_s,
        elapsed_s: row.elapsed_s,
        ops: row.ops,
        latency_p50_s: row.latency_p50_s,
        latency_p90_s: row.latency_p90_s,
        latency_p99_s: row.latency_p99_s,
        latency_p999_s: row.latency_p999_s,
        user_s: row.user_s,
        sys_s: row.sys_s,
        max_rss_bytes: row.max_rss_bytes.map(|bytes| bytes as f64),
        cpu_quota: row.cpu_quota,
        throttled_s: row.throttled_s,
        throttled_periods: row.throttled_periods.map(|periods| periods as f64),
        quota_periods: row.quota_periods.map(|periods| periods as f64),
        run_queue_wait_s: row.run_queue_wait_s,
        context_switches: row.context_switches,
        instructions: row.instructions,
        cycles: row.cycles,
        cache_misses: row.cache_misses,
        parks: row.parks,
        handoffs: row.handoffs,
        spent: Some(spent(row)).filter(|spent| *spent != Spent::default()).map(Box::new),
    })
}

/// Where the time of a sample's processors went.
fn spent(row: &SampleRow) -> Spent {
    Spent {
        user_s: row.timed_user_s,
        sys_s: row.timed_sys_s,
        run_queue_wait_s: row.timed_run_queue_wait_s,
        lock_s: row.idle_lock_s,
        channel_s: row.idle_channel_s,
        io_s: row.idle_io_s,
        sleep_s: row.idle_sleep_s,
        slack_s: row.idle_slack_s,
        critical_s: row.idle_critical_s,
        waking_s: row.waking_s,
        searching_s: row.searching_s,
        outside_cpu_s: row.outside_cpu_s,
        blocking_cpu_s: row.blocking_cpu_s,
        outside_wait_s: row.outside_wait_s,
        lock_waits: row.lock_waits,
        busiest_goroutine_s: row.busiest_goroutine_s,
        goroutines_run_s: row.goroutines_run_s,
        longest_run_s: row.longest_run_s,
    }
}
