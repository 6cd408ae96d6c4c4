//! What the samples of each point say: the median of every column that was measured, in the order that people look for.

use std::collections::BTreeMap;

use super::text::Unit;
use crate::results::SampleRow;
use crate::stats;
use crate::target::Procs;

/// Why a column may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The program says it.
    Program,
    /// The kernel says it of every process.
    Kernel,
    /// A perf counter.
    Counter,
    /// The cgroup of a CPU quota.
    Quota,
    /// The bundled runtime.
    Runtime,
    /// The load generator of a server.
    Load,
}

/// A column of `samples.csv`, as people see it.
pub(super) struct Column {
    /// Its name there.
    pub(super) name: &'static str,
    /// What it is.
    pub(super) label: &'static str,
    pub(super) unit: Unit<'static>,
    pub(super) source: Source,
    read: fn(&SampleRow) -> Option<f64>,
}

impl Column {
    /// Median over the samples that have it; `None` if none has.
    pub(super) fn median(&self, rows: &[&SampleRow]) -> Option<f64> {
        stats::median(&mut rows.iter().filter_map(|row| (self.read)(row)).collect::<Vec<_>>())
    }

    /// Whether any sample has it.
    pub(super) fn is_measured(&self, rows: &[SampleRow]) -> bool {
        rows.iter().any(|row| (self.read)(row).is_some())
    }
}

macro_rules! columns {
    ($($field:ident, $label:literal, $unit:ident, $source:ident;)*) => {
        &[$(Column {
            name: stringify!($field),
            label: $label,
            unit: Unit::$unit,
            source: Source::$source,
            read: |row| row.$field.map(|value| value as f64),
        }),*]
    };
}

/// The columns of one sample that are medians in the table of counters.
pub(super) const COLUMNS: &[Column] = columns! {
    wall_s, "wall time", Seconds, Kernel;
    elapsed_s, "timed part, by the program's clock", Seconds, Program;
    ops, "operations", Count, Program;
    user_s, "CPU time in user mode", Seconds, Kernel;
    sys_s, "CPU time in the kernel", Seconds, Kernel;
    max_rss_bytes, "peak memory", Bytes, Kernel;
    run_queue_wait_s, "waited for a CPU", Seconds, Kernel;
    steal_s, "taken by the hypervisor", Seconds, Kernel;
    cpu_quota, "CPU quota", Cpus, Quota;
    throttled_s, "throttled by the quota", Seconds, Quota;
    throttled_periods, "quota periods throttled", Count, Quota;
    quota_periods, "quota periods", Count, Quota;
    latency_p50_s, "latency, p50", Seconds, Program;
    latency_p90_s, "latency, p90", Seconds, Program;
    latency_p99_s, "latency, p99", Seconds, Program;
    latency_p999_s, "latency, p99.9", Seconds, Program;
    latency_max_s, "latency, longest", Seconds, Program;
    task_clock_s, "task clock", Seconds, Counter;
    context_switches, "context switches", Count, Counter;
    cpu_migrations, "CPU migrations", Count, Counter;
    page_faults, "page faults", Count, Counter;
    cycles, "cycles", Count, Counter;
    instructions, "instructions", Count, Counter;
    cache_references, "cache references", Count, Counter;
    cache_misses, "cache misses", Count, Counter;
    branches, "branches", Count, Counter;
    branch_misses, "branch misses", Count, Counter;
    goroutines, "goroutines", Count, Runtime;
    steals, "goroutines stolen", Count, Runtime;
    parks, "parks", Count, Runtime;
    wakes, "wakes", Count, Runtime;
    handoffs, "hand-offs", Count, Runtime;
    preemptions, "preemptions", Count, Runtime;
    sched_latency_p50_s, "ready to running, p50", Seconds, Runtime;
    sched_latency_p99_s, "ready to running, p99", Seconds, Runtime;
    run_length_p50_s, "length of a run, p50", Seconds, Runtime;
    run_length_p99_s, "length of a run, p99", Seconds, Runtime;
    lock_waits, "locks that were not free", Count, Runtime;
    goroutines_run_s, "run time of all goroutines", Seconds, Runtime;
    busiest_goroutine_s, "run time of the busiest goroutine", Seconds, Runtime;
    longest_run_s, "longest run without a break", Seconds, Runtime;
    idle_lock_s, "idle: waited for a lock", Seconds, Runtime;
    idle_channel_s, "idle: waited for a channel", Seconds, Runtime;
    idle_io_s, "idle: waited for input or output", Seconds, Runtime;
    idle_sleep_s, "idle: waited for a timer", Seconds, Runtime;
    idle_slack_s, "idle: too little parallel work", Seconds, Runtime;
    idle_critical_s, "idle: while one goroutine ran alone", Seconds, Runtime;
    waking_s, "from a wake-up to running", Seconds, Runtime;
    searching_s, "looked for goroutines to run", Seconds, Runtime;
    outside_cpu_s, "CPU time of workers on their way to sleep and back", Seconds, Runtime;
    blocking_cpu_s, "CPU time in blocking calls", Seconds, Runtime;
    outside_wait_s, "waited for a CPU without a processor", Seconds, Runtime;
    timed_user_s, "CPU time in user mode, timed part", Seconds, Runtime;
    timed_sys_s, "CPU time in the kernel, timed part", Seconds, Runtime;
    timed_run_queue_wait_s, "waited for a CPU, timed part", Seconds, Runtime;
    load_cpu_s, "load generator's CPU time", Seconds, Load;
    load_busiest_thread_s, "load generator's busiest thread", Seconds, Load;
};

/// The column of that name.
pub(super) fn column(name: &str) -> &'static Column {
    COLUMNS.iter().find(|column| column.name == name).expect("a column of the list above")
}

/// The samples that succeeded, by point, ascending, the default last.
pub(super) fn by_point(rows: &[SampleRow]) -> BTreeMap<Procs, Vec<&SampleRow>> {
    let mut points: BTreeMap<Procs, Vec<&SampleRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_ok()) {
        points.entry(row.procs).or_default().push(row);
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::COLUMNS as ON_DISK;

    #[test]
    fn every_number_on_disk_has_its_label() {
        // What says where a sample belongs, when it ran and how it ended is shown elsewhere; throughput has its own table.
        const ELSEWHERE: [&str; 9] = [
            "target",
            "procs",
            "round",
            "order",
            "status",
            "throughput",
            "started_unix_s",
            "exit_code",
            "machine",
        ];
        for name in ON_DISK {
            let is_here = COLUMNS.iter().filter(|column| column.name == name).count();
            assert_eq!(is_here, usize::from(!ELSEWHERE.contains(&name)), "{name}");
        }
    }

    #[test]
    fn failed_samples_have_no_part_in_a_point() {
        let row = |procs: u32, status: &str, wall_s: f64| SampleRow {
            procs: procs.into(),
            status: status.to_owned(),
            wall_s: Some(wall_s),
            ..SampleRow::default()
        };
        let rows = [row(2, "ok", 1.0), row(1, "failed", 9.0), row(2, "timeout", 60.0), row(2, "ok", 3.0)];
        let points = by_point(&rows);
        assert_eq!(points.len(), 1);
        let two = &points[&Procs::Count(2)];
        assert_eq!((column("wall_s").median(two), column("cycles").median(two)), (Some(2.0), None));
    }
}
