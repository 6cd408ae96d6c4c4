//! The files of a sweep: the only station that knows what is on disk. Everything written carries a schema number.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::plan::{Plan, Policy};
use crate::target::Target;

/// Schema number of every document this version writes.
pub const SCHEMA: u32 = 1;

/// `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the target.
    pub target: String,
    /// What it is, as needed to measure it again.
    pub command: Target,
    /// Version of the tool.
    pub corefit_version: String,
    /// The machine it was measured on.
    pub machine: Machine,
    /// Seed of order and bootstrap.
    pub seed: u64,
    /// How it was measured.
    pub plan: Plan,
    /// How the worker count is chosen.
    pub policy: Policy,
    /// Unix time of the start, seconds.
    pub started_unix_s: f64,
    /// What was noticed while measuring, and has to stand beside the answer.
    pub warnings: Vec<Note>,
    /// The answer; `None` before there is one, and if no sample succeeded.
    pub recommendation: Option<Recommendation>,
}

/// A reason or a warning: a code for programs, a sentence with its number for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Stable name, such as `serial-fraction`.
    pub code: String,
    /// One sentence.
    pub text: String,
}

/// The answer for one target, as `recommend --json` prints it. What could not be determined is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recommendation {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the target.
    pub target: String,
    /// Unit of the throughput.
    pub unit: String,
    /// How the worker count was chosen.
    pub policy: Policy,
    /// The chosen worker count: always one that was measured. A whole number is written as one.
    #[serde(with = "number")]
    pub recommended_procs: f64,
    /// Lowest and highest choice of 95 % of the resamples.
    pub interval: Option<[f64; 2]>,
    /// Share of the resamples that choose the same.
    pub confidence: Option<f64>,
    /// What is lost at the chosen one against each resample's best.
    pub regret: Option<Regret>,
    /// The measured worker count with the highest throughput.
    #[serde(with = "number")]
    pub best_procs: f64,
    /// The model that fits best.
    pub model: Model,
    /// One a measured worker count, ascending.
    pub points: Vec<Point>,
    /// Why it does not scale further, the strongest first.
    pub reasons: Vec<Note>,
    /// What to know before believing it.
    pub warnings: Vec<Note>,
}

/// Quantiles of the regret, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Regret {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// A fitted model; fields that its kind does not have, or that no data could fix, are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// `linear`, `amdahl`, `usl`, or `none`.
    pub kind: String,
    /// Contention (for Amdahl's law: the serial fraction).
    pub sigma: Option<f64>,
    /// Coherency.
    pub kappa: Option<f64>,
    /// Throughput of one worker.
    pub lambda: Option<f64>,
    /// Worker count of the peak, where there is one.
    pub peak_procs: Option<f64>,
    /// Share of the variance explained.
    pub r2: Option<f64>,
    /// Worker count beyond which throughput is taken as constant (CPUs or quota), where there is one.
    pub ceiling: Option<f64>,
}

/// One worker count, over its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The worker count.
    #[serde(with = "number")]
    pub procs: f64,
    /// Successful samples.
    pub samples: u32,
    /// Median throughput.
    pub throughput: f64,
    /// Lower end of the exact order-statistic 95 % interval of the median; `None` below 6 samples.
    pub lo: Option<f64>,
    /// Upper end.
    pub hi: Option<f64>,
    /// Throughput over that of the lowest measured worker count scaled to one worker... X(N)/X(1); `None` without N = 1.
    pub speedup: Option<f64>,
    /// Speedup over N.
    pub efficiency: Option<f64>,
    /// CPU seconds per operation, median.
    pub cpu_s_per_op: Option<f64>,
    /// 99th percentile of the latency, median over the samples, seconds.
    pub latency_p99_s: Option<f64>,
    /// Peak resident memory, median, bytes.
    pub max_rss_bytes: Option<f64>,
}

/// One row of `samples.csv`, in the order of its columns. `None` is an empty field: not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns are documented in profiles/README.md")]
pub struct SampleRow {
    pub target: String,
    pub procs: u32,
    pub round: u32,
    pub order: u32,
    pub status: String,
    pub wall_s: Option<f64>,
    pub ops: Option<f64>,
    pub throughput: Option<f64>,
    pub latency_p50_s: Option<f64>,
    pub latency_p90_s: Option<f64>,
    pub latency_p99_s: Option<f64>,
    pub latency_p999_s: Option<f64>,
    pub latency_max_s: Option<f64>,
    pub user_s: Option<f64>,
    pub sys_s: Option<f64>,
    pub max_rss_bytes: Option<u64>,
    pub cpu_quota: Option<f64>,
    pub throttled_s: Option<f64>,
    pub run_queue_wait_s: Option<f64>,
    pub task_clock_s: Option<f64>,
    pub context_switches: Option<f64>,
    pub cpu_migrations: Option<f64>,
    pub page_faults: Option<f64>,
    pub cycles: Option<f64>,
    pub instructions: Option<f64>,
    pub cache_references: Option<f64>,
    pub cache_misses: Option<f64>,
    pub branches: Option<f64>,
    pub branch_misses: Option<f64>,
    pub goroutines: Option<f64>,
    pub steals: Option<f64>,
    pub parks: Option<f64>,
    pub wakes: Option<f64>,
    pub handoffs: Option<f64>,
    pub preemptions: Option<f64>,
    pub sched_latency_p50_s: Option<f64>,
    pub sched_latency_p99_s: Option<f64>,
    pub started_unix_s: Option<f64>,
    pub elapsed_s: Option<f64>,
    pub exit_code: Option<i32>,
    pub steal_s: Option<f64>,
    pub machine: String,
}

/// A worker count that is whole is written as an integer.
mod number {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if value.fract() == 0.0 && value.abs() < 1e15 {
            serializer.serialize_i64(*value as i64)
        } else {
            serializer.serialize_f64(*value)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        f64::deserialize(deserializer)
    }
}

/// Why results cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input is not what it should be; exit code 2.
    #[error("{0}")]
    Input(String),
    /// The disk is full or breaks while measuring; exit code 1.
    #[error("{0}")]
    Disk(String),
}

impl Error {
    /// 2 for bad input, 1 for a disk that fails.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Disk(_) => 1,
        }
    }
}
