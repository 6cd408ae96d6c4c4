//! One row of `samples.csv`: every number of one sample.

use serde::{Deserialize, Serialize};

use crate::measure::{Sample, Status};
use crate::plan::rounds::Done;
use crate::target::{Measured, Procs};

/// One row of `samples.csv`, in the order of its columns. `None` is an empty field: not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct SampleRow {
    /// Name of the target.
    pub target: String,
    /// The worker count it was given; `default`: none was set.
    pub procs: Procs,
    /// The round, from 1 on.
    pub round: u32,
    /// The place in its round, from 1 on.
    pub order: u32,
    /// `ok`, `failed`, `timeout` or `killed`.
    pub status: String,
    /// From exec to exit, seconds; of a server, as long as its load ran.
    pub wall_s: Option<f64>,
    /// Operations done; empty where a metric says the throughput.
    pub ops: Option<f64>,
    /// Operations per second of `elapsed_s`, else of `wall_s`; with a metric, what it says.
    pub throughput: Option<f64>,
    /// Median latency of an operation, seconds, as the program reports it.
    pub latency_p50_s: Option<f64>,
    /// 90th percentile of the latency, seconds.
    pub latency_p90_s: Option<f64>,
    /// 99th percentile of the latency, seconds, as the program or `--latency-metric` says.
    pub latency_p99_s: Option<f64>,
    /// 99.9th percentile of the latency, seconds.
    pub latency_p999_s: Option<f64>,
    /// Longest latency, seconds.
    pub latency_max_s: Option<f64>,
    /// CPU time in user mode, seconds (`wait4`); of a server, of all its processes under load.
    pub user_s: Option<f64>,
    /// CPU time in the kernel, seconds, of the same.
    pub sys_s: Option<f64>,
    /// Peak resident memory, bytes, of the same.
    pub max_rss_bytes: Option<u64>,
    /// The CPU quota in force, CPUs.
    pub cpu_quota: Option<f64>,
    /// How long the quota held the program back, seconds.
    pub throttled_s: Option<f64>,
    /// How long its threads were ready but waited for a CPU, seconds, all together.
    pub run_queue_wait_s: Option<f64>,
    /// CPU time of the process and its children by the perf counter, seconds.
    pub task_clock_s: Option<f64>,
    /// Switches of a thread off its CPU.
    pub context_switches: Option<f64>,
    /// Moves of a thread to another CPU.
    pub cpu_migrations: Option<f64>,
    /// Page faults.
    pub page_faults: Option<f64>,
    /// CPU cycles.
    pub cycles: Option<f64>,
    /// Instructions retired.
    pub instructions: Option<f64>,
    /// References to the last-level cache.
    pub cache_references: Option<f64>,
    /// Misses of the last-level cache.
    pub cache_misses: Option<f64>,
    /// Branches retired.
    pub branches: Option<f64>,
    /// Branches mispredicted.
    pub branch_misses: Option<f64>,
    /// Goroutines started; this and the next five are counted by the bundled runtime.
    pub goroutines: Option<f64>,
    /// Runs that one processor took from another's queue.
    pub steals: Option<f64>,
    /// Times that a goroutine stopped to wait.
    pub parks: Option<f64>,
    /// Times that an idle worker was woken.
    pub wakes: Option<f64>,
    /// Processors handed to another worker because of a blocking call.
    pub handoffs: Option<f64>,
    /// Goroutines that made way because their slice was used up.
    pub preemptions: Option<f64>,
    /// Median time from ready to running, seconds, by the bundled runtime.
    pub sched_latency_p50_s: Option<f64>,
    /// 99th percentile of the time from ready to running, seconds.
    pub sched_latency_p99_s: Option<f64>,
    /// When it started, Unix time, seconds.
    pub started_unix_s: Option<f64>,
    /// The timed part by the program's own clock, seconds.
    pub elapsed_s: Option<f64>,
    /// How it exited; empty if a signal ended it.
    pub exit_code: Option<i32>,
    /// CPU time that a hypervisor took from this machine meanwhile, seconds.
    pub steal_s: Option<f64>,
    /// A short hash of what the machine is.
    pub machine: String,
    /// Median time that a goroutine ran before it stopped, seconds, by the bundled runtime.
    pub run_length_p50_s: Option<f64>,
    /// 99th percentile of that time, seconds.
    pub run_length_p99_s: Option<f64>,
    /// Periods of the quota (100 ms) in which it ran out.
    pub throttled_periods: Option<u64>,
    /// Periods of the quota in which anything ran.
    pub quota_periods: Option<u64>,
    /// CPU time of a server's load generator, seconds.
    pub load_cpu_s: Option<f64>,
    /// CPU time of the load generator's busiest thread, seconds.
    pub load_busiest_thread_s: Option<f64>,
    /// CPU time in user mode within `elapsed_s`, seconds, as a bundled workload reports it.
    pub timed_user_s: Option<f64>,
    /// CPU time in the kernel within `elapsed_s`, seconds, likewise.
    pub timed_sys_s: Option<f64>,
    /// The wait for a CPU within `elapsed_s`, seconds, likewise.
    pub timed_run_queue_wait_s: Option<f64>,
    /// Processor time idle for want of a free lock, seconds; of a command its threads on futexes, polled.
    pub idle_lock_s: Option<f64>,
    /// Processor time idle for want of a channel's item or room, seconds.
    pub idle_channel_s: Option<f64>,
    /// Processor time idle until a descriptor or a blocking call was ready, seconds; of a command polled.
    pub idle_io_s: Option<f64>,
    /// Processor time idle until a timer was due, seconds; of a command polled.
    pub idle_sleep_s: Option<f64>,
    /// Processor time idle for want of parallel work, seconds; of a command the threads that it does not have.
    pub idle_slack_s: Option<f64>,
    /// The same while one goroutine ran alone, seconds.
    pub idle_critical_s: Option<f64>,
    /// From a wake-up to its worker, seconds, all together.
    pub waking_s: Option<f64>,
    /// Workers that look for goroutines, seconds, all together.
    pub searching_s: Option<f64>,
    /// CPU time of workers without a processor, seconds.
    pub outside_cpu_s: Option<f64>,
    /// Locks that were not free at once.
    pub lock_waits: Option<f64>,
    /// Run time of the goroutine that ran longest, seconds, from samples of the runs.
    pub busiest_goroutine_s: Option<f64>,
    /// Run time of all goroutines, seconds, from samples of the runs.
    pub goroutines_run_s: Option<f64>,
    /// The longest that a goroutine was seen to keep its processor beyond 10 ms, seconds.
    pub longest_run_s: Option<f64>,
    /// CPU time in blocking calls and of sysmon, which hold no processor, seconds.
    pub blocking_cpu_s: Option<f64>,
    /// The wait for a CPU of workers without a processor, of blocking calls and of sysmon, seconds.
    pub outside_wait_s: Option<f64>,
}

/// The columns of `samples.csv`: [`SampleRow`]'s fields in their order. More may come at the end, none may go.
pub const COLUMNS: [&str; 66] = [
    "target",
    "procs",
    "round",
    "order",
    "status",
    "wall_s",
    "ops",
    "throughput",
    "latency_p50_s",
    "latency_p90_s",
    "latency_p99_s",
    "latency_p999_s",
    "latency_max_s",
    "user_s",
    "sys_s",
    "max_rss_bytes",
    "cpu_quota",
    "throttled_s",
    "run_queue_wait_s",
    "task_clock_s",
    "context_switches",
    "cpu_migrations",
    "page_faults",
    "cycles",
    "instructions",
    "cache_references",
    "cache_misses",
    "branches",
    "branch_misses",
    "goroutines",
    "steals",
    "parks",
    "wakes",
    "handoffs",
    "preemptions",
    "sched_latency_p50_s",
    "sched_latency_p99_s",
    "started_unix_s",
    "elapsed_s",
    "exit_code",
    "steal_s",
    "machine",
    "run_length_p50_s",
    "run_length_p99_s",
    "throttled_periods",
    "quota_periods",
    "load_cpu_s",
    "load_busiest_thread_s",
    "timed_user_s",
    "timed_sys_s",
    "timed_run_queue_wait_s",
    "idle_lock_s",
    "idle_channel_s",
    "idle_io_s",
    "idle_sleep_s",
    "idle_slack_s",
    "idle_critical_s",
    "waking_s",
    "searching_s",
    "outside_cpu_s",
    "lock_waits",
    "busiest_goroutine_s",
    "goroutines_run_s",
    "longest_run_s",
    "blocking_cpu_s",
    "outside_wait_s",
];

/// The columns that hold text; all others hold a number or nothing.
pub(super) const TEXT_COLUMNS: [&str; 3] = ["target", "status", "machine"];

/// Where a sample belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Name of the target.
    pub target: &'a str,
    /// Its point.
    pub procs: Procs,
    /// Its round, from 1 on.
    pub round: u32,
    /// Its place in the round, from 1 on.
    pub order: u32,
    /// The machine's id.
    pub machine: &'a str,
}

impl SampleRow {
    /// The row of `sample`. `measured` is what it achieved; a sample that ended well and has nothing is `failed`. What is
    /// not a finite number is left empty.
    #[must_use]
    pub fn new(place: &Place<'_>, sample: &Sample, measured: Option<Measured>) -> Self {
        let status = match sample.status {
            Status::Ok if measured.is_none() => Status::Failed,
            status => status,
        };
        let measured = measured.filter(|_| status == Status::Ok);
        let report = sample.report.as_ref();
        let latency = |key: &str| finite(report.and_then(|report| report.latency_s.get(key).copied()));
        let runtime = |key: &str| finite(report.and_then(|report| report.runtime.get(key).copied()));
        let counts = &sample.counts;
        let workers = place.procs.count().zip(sample.blocked.as_ref());
        let blocked = workers.map(|(workers, blocked)| blocked.of(workers, sample.wall_s));
        Self {
            target: place.target.to_owned(),
            procs: place.procs,
            round: place.round,
            order: place.order,
            status: status_name(status).to_owned(),
            wall_s: finite(Some(sample.wall_s)),
            ops: finite(measured.and_then(|measured| measured.ops)),
            throughput: finite(measured.map(|measured| measured.throughput)),
            latency_p50_s: latency("p50"),
            latency_p90_s: latency("p90"),
            latency_p99_s: finite(measured.and_then(|measured| measured.latency_p99_s)).or(latency("p99")),
            latency_p999_s: latency("p999"),
            latency_max_s: latency("max"),
            user_s: finite(sample.user_s),
            sys_s: finite(sample.sys_s),
            max_rss_bytes: sample.max_rss_bytes,
            cpu_quota: finite(sample.cpu_quota),
            throttled_s: finite(sample.throttled_s),
            // The program's own sum covers every thread to its end; polling sees what it sees.
            run_queue_wait_s: runtime("run_queue_wait_s").or(finite(sample.run_queue_wait_s)),
            task_clock_s: finite(counts.task_clock_s),
            context_switches: finite(counts.context_switches),
            cpu_migrations: finite(counts.cpu_migrations),
            page_faults: finite(counts.page_faults),
            cycles: finite(counts.cycles),
            instructions: finite(counts.instructions),
            cache_references: finite(counts.cache_references),
            cache_misses: finite(counts.cache_misses),
            branches: finite(counts.branches),
            branch_misses: finite(counts.branch_misses),
            goroutines: runtime("goroutines"),
            steals: runtime("steals"),
            parks: runtime("parks"),
            wakes: runtime("wakes"),
            handoffs: runtime("handoffs"),
            preemptions: runtime("preemptions"),
            sched_latency_p50_s: runtime("sched_latency_p50_s"),
            sched_latency_p99_s: runtime("sched_latency_p99_s"),
            started_unix_s: finite(Some(sample.started_unix_s)),
            elapsed_s: finite(report.and_then(|report| report.elapsed_s)),
            exit_code: sample.exit_code,
            steal_s: finite(sample.steal_s),
            machine: place.machine.to_owned(),
            run_length_p50_s: runtime("run_length_p50_s"),
            run_length_p99_s: runtime("run_length_p99_s"),
            throttled_periods: sample.throttled_periods,
            quota_periods: sample.quota_periods,
            load_cpu_s: finite(sample.load.and_then(|load| load.cpu_s)),
            load_busiest_thread_s: finite(sample.load.and_then(|load| load.busiest_thread_s)),
            timed_user_s: runtime("timed_user_s"),
            timed_sys_s: runtime("timed_sys_s"),
            timed_run_queue_wait_s: runtime("timed_run_queue_wait_s"),
            idle_lock_s: runtime("idle_lock_s").or(finite(blocked.map(|blocked| blocked.lock_s))),
            idle_channel_s: runtime("idle_channel_s"),
            idle_io_s: runtime("idle_io_s").or(finite(blocked.map(|blocked| blocked.io_s))),
            idle_sleep_s: runtime("idle_sleep_s").or(finite(blocked.map(|blocked| blocked.sleep_s))),
            idle_slack_s: runtime("idle_slack_s").or(finite(blocked.map(|blocked| blocked.slack_s))),
            idle_critical_s: runtime("idle_critical_s"),
            waking_s: runtime("waking_s"),
            searching_s: runtime("searching_s"),
            outside_cpu_s: runtime("outside_cpu_s"),
            lock_waits: runtime("lock_waits"),
            busiest_goroutine_s: runtime("busiest_goroutine_s"),
            goroutines_run_s: runtime("goroutines_run_s"),
            longest_run_s: runtime("longest_run_s"),
            blocking_cpu_s: runtime("blocking_cpu_s"),
            outside_wait_s: runtime("outside_wait_s"),
        }
    }

    /// The row of a sample that failed before its program could be started: nothing was measured.
    #[must_use]
    pub fn not_started(place: &Place<'_>) -> Self {
        Self {
            target: place.target.to_owned(),
            procs: place.procs,
            round: place.round,
            order: place.order,
            status: status_name(Status::Failed).to_owned(),
            machine: place.machine.to_owned(),
            ..Self::default()
        }
    }

    /// Whether the sample succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.status == status_name(Status::Ok)
    }

    /// What the planner needs to know of it.
    #[must_use]
    pub fn done(&self) -> Done {
        Done {
            round: self.round,
            procs: self.procs,
            throughput: self.throughput.filter(|_| self.is_ok()),
            wall_s: self.wall_s.unwrap_or(0.0),
        }
    }
}

/// What stands in the column `status`.
const fn status_name(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Timeout => "timeout",
        Status::Killed => "killed",
    }
}

/// Everything that may stand there.
pub(super) const STATUSES: [&str; 4] = [
    status_name(Status::Ok),
    status_name(Status::Failed),
    status_name(Status::Timeout),
    status_name(Status::Killed),
];

fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::measure::{ChildReport, Counts};

    const MEASURED: Measured = Measured { ops: Some(100.0), throughput: 250.0, latency_p99_s: None };
    const PLACE: Place<'_> =
        Place { target: "sort", procs: Procs::Count(2), round: 3, order: 1, machine: "m1" };

    fn sample(status: Status) -> Sample {
        let named = |entries: &[(&str, f64)]| -> BTreeMap<String, f64> {
            entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        Sample {
            status,
            exit_code: Some(0),
            signal: None,
            wall_s: 0.5,
            started_unix_s: 1e9,
            user_s: Some(0.25),
            sys_s: None,
            max_rss_bytes: Some(4096),
            cpu_quota: None,
            throttled_s: None,
            throttled_periods: Some(3),
            quota_periods: Some(4),
            run_queue_wait_s: Some(9.0),
            blocked: None,
            steal_s: Some(f64::NAN),
            load: None,
            counts: Counts { context_switches: Some(7.0), ..Counts::default() },
            report: Some(ChildReport {
                ops: Some(100.0),
                elapsed_s: Some(0.4),
                latency_s: named(&[("p99", 0.01), ("max", f64::INFINITY)]),
                runtime: named(&[("steals", 5.0), ("run_queue_wait_s", 0.125)]),
            }),
            stdout: Vec::new(),
            stderr: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn every_number_goes_to_its_column_and_the_rest_stays_empty() {
        let row = SampleRow::new(&PLACE, &sample(Status::Ok), Some(MEASURED));
        let expected = SampleRow {
            target: "sort".to_owned(),
            procs: Procs::Count(2),
            round: 3,
            order: 1,
            status: "ok".to_owned(),
            wall_s: Some(0.5),
            ops: Some(100.0),
            throughput: Some(250.0),
            latency_p99_s: Some(0.01),
            user_s: Some(0.25),
            max_rss_bytes: Some(4096),
            run_queue_wait_s: Some(0.125),
            context_switches: Some(7.0),
            steals: Some(5.0),
            started_unix_s: Some(1e9),
            elapsed_s: Some(0.4),
            exit_code: Some(0),
            machine: "m1".to_owned(),
            throttled_periods: Some(3),
            quota_periods: Some(4),
            ..SampleRow::default()
        };
        assert_eq!(row, expected);
        let done = Done { round: 3, procs: Procs::Count(2), throughput: Some(250.0), wall_s: 0.5 };
        assert_eq!(row.done(), done);
    }

    #[test]
    fn a_latency_in_the_output_goes_before_the_reported_one() {
        let measured = Measured { latency_p99_s: Some(0.002), ..MEASURED };
        assert_eq!(SampleRow::new(&PLACE, &sample(Status::Ok), Some(measured)).latency_p99_s, Some(0.002));
    }

    #[test]
    fn a_sample_that_was_not_started_has_no_number_at_all() {
        let row = SampleRow::not_started(&PLACE);
        assert_eq!((row.status.as_str(), row.wall_s, row.exit_code), ("failed", None, None));
        assert_eq!((row.procs, row.round, row.done().throughput), (Procs::Count(2), 3, None));
    }

    #[test]
    fn a_sample_that_did_not_succeed_has_no_throughput() {
        for status in [Status::Failed, Status::Timeout, Status::Killed] {
            let row = SampleRow::new(&PLACE, &sample(status), Some(MEASURED));
            assert_eq!(
                (row.ops, row.throughput, row.done().throughput),
                (None, None, None),
                "{}",
                row.status
            );
        }
        let row = SampleRow::new(&PLACE, &sample(Status::Ok), None);
        assert_eq!((row.status.as_str(), row.throughput, row.is_ok()), ("failed", None, false));
    }
}
