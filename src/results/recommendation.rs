//! The answer for one target, as it is saved and printed.

use serde::{Deserialize, Serialize};

use crate::machine::Noise;
use crate::plan::Policy;

/// A reason or a warning: a code for programs, a sentence with its number for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Note {
    /// Stable name, such as `serial-fraction`.
    pub code: String,
    /// One sentence.
    pub text: String,
}

impl From<&Noise> for Note {
    fn from(noise: &Noise) -> Self {
        Self { code: noise.code.to_owned(), text: noise.text.clone() }
    }
}

/// The answer for one target, as `recommend --json` prints it. What could not be determined is `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Recommendation {
    /// Number of this form: 1; a change that breaks readers raises it.
    pub schema: u32,
    /// Name of the target.
    pub target: String,
    /// Unit of the throughput.
    pub unit: String,
    /// How the worker count was chosen.
    pub policy: Policy,
    /// The chosen worker count: always one that was measured. A whole number is written as one.
    #[serde(with = "number")]
    #[schemars(with = "f64")]
    pub recommended_procs: f64,
    /// Lowest and highest choice of 95 % of the curves that may be behind the samples.
    pub interval: Option<[f64; 2]>,
    /// Share of these curves that choose the same.
    pub confidence: Option<f64>,
    /// What is lost at the chosen one against each such curve's best.
    pub regret: Option<Regret>,
    /// How far two identical settings would seem to differ if measured as these were (an A/A check at 95 %), as a share of
    /// the throughput; `None` below 4 rounds.
    #[serde(default)]
    pub noise_floor: Option<f64>,
    /// The measured worker count with the highest throughput.
    #[serde(with = "number")]
    #[schemars(with = "f64")]
    pub best_procs: f64,
    /// The model that fits best.
    pub model: Model,
    /// One a measured worker count, ascending.
    pub points: Vec<Point>,
    /// The target with no worker count set, and what the recommended one gains over it; not there unless
    /// `--with-default` measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultPoint>,
    /// Where the time of the processors goes at each worker count, ascending; not there where no CPU time was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Stack>,
    /// Why it does not scale further, the strongest first.
    pub reasons: Vec<Note>,
    /// What to know before believing it.
    pub warnings: Vec<Note>,
}

/// Quantiles of the regret, as shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Regret {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// A fitted model; fields that its kind does not have, or that no data could fix, are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// How well the parameters are known; `null` where nothing tells the noise.
    #[serde(default)]
    pub intervals: Option<ModelIntervals>,
}

/// 95 % intervals of a model's parameters, from fits to data drawn from it; `null` for those that its kind does not have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ModelIntervals {
    /// Of the contention.
    pub sigma: Option<[f64; 2]>,
    /// Of the coherency.
    pub kappa: Option<[f64; 2]>,
    /// Of the throughput of one worker.
    pub lambda: Option<[f64; 2]>,
    /// Of the worker count of the peak; an end that is `null` is infinite.
    pub peak_procs: Option<[Option<f64>; 2]>,
}

/// One worker count, over its samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Point {
    /// The worker count.
    #[serde(with = "number")]
    #[schemars(with = "f64")]
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

/// Where the time of the processors goes at one worker count: a speedup stack. The whole is what `procs` processors have
/// while one operation is done, `procs` × wall time an operation; workers beyond the CPUs are part of it, and wait in the
/// run queue. Every part is measured by itself, and `unexplained` says how well they add up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Stack {
    /// The worker count.
    #[serde(with = "number")]
    #[schemars(with = "f64")]
    pub procs: f64,
    /// Samples it is made of.
    pub samples: u32,
    /// Processor seconds of one operation, by all `procs`.
    pub whole_s_per_op: f64,
    /// Every part, in the order that a picture stacks them.
    pub parts: Vec<StackPart>,
    /// The share that no part accounts for; below 0 if the parts are more than the whole, as where threads beside the
    /// workers compute.
    pub unexplained: f64,
}

/// One part of a [`Stack`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct StackPart {
    /// What it is; one of [`StackPart::NAMES`].
    pub name: String,
    /// Its share of the whole; `null` where it was not measured.
    pub share: Option<f64>,
    /// Processor seconds of it in one operation; `null` where it was not measured.
    pub s_per_op: Option<f64>,
}

impl StackPart {
    /// The names of all parts, in the order of a stack, with what each is, for legends.
    pub const NAMES: [(&str, &str); 12] = [
        ("useful-work", "CPU time in user mode that an operation takes at the smallest worker count too"),
        ("extra-cpu", "CPU time in user mode beyond that: memory, coherency, spinning, more instructions"),
        ("searching", "processors that look for a goroutine to run, on the CPU"),
        ("kernel", "CPU time in the kernel"),
        ("run-queue-wait", "workers with something to run that wait for a CPU"),
        ("throttling", "workers that a CPU quota holds back"),
        ("lock-wait", "processors that idle until a lock is free"),
        ("channel-wait", "processors that idle until a channel has an item, or room for one"),
        ("io-wait", "processors that idle until the network, a pipe or a blocking call is done"),
        ("sleep", "processors that idle until a timer is due"),
        (
            "too-little-work",
            "processors that idle for lack of parallel work: joins, barriers, nothing started yet",
        ),
        ("critical-goroutine", "the same while one goroutine runs alone, and all else depends on it"),
    ];
}

/// The target as it runs when nobody sets its worker count. It is measured in the same rounds and compared, but never
/// recommended and no part of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DefaultPoint {
    /// Successful samples.
    pub samples: u32,
    /// Median throughput.
    pub throughput: f64,
    /// Lower end of the exact order-statistic 95 % interval of the median; `None` below 6 samples.
    pub lo: Option<f64>,
    /// Upper end.
    pub hi: Option<f64>,
    /// Throughput over that of N = 1; `None` without N = 1.
    pub speedup: Option<f64>,
    /// What the recommended worker count gains over it, as a share of its throughput: the median over the rounds that
    /// measured both; the ratio of the medians if none did.
    pub gain: f64,
    /// Exact order-statistic 95 % interval of that median; `None` below 6 such rounds.
    pub gain_interval: Option<[f64; 2]>,
    /// CPU seconds per operation, median.
    pub cpu_s_per_op: Option<f64>,
    /// 99th percentile of the latency, median over the samples, seconds.
    pub latency_p99_s: Option<f64>,
    /// Peak resident memory, median, bytes.
    pub max_rss_bytes: Option<f64>,
}

impl DefaultPoint {
    /// The same as a point whose worker count is no number, for tables that show it among the others.
    pub(crate) fn as_point(&self) -> Point {
        Point {
            procs: f64::NAN,
            samples: self.samples,
            throughput: self.throughput,
            lo: self.lo,
            hi: self.hi,
            speedup: self.speedup,
            efficiency: None,
            cpu_s_per_op: self.cpu_s_per_op,
            latency_p99_s: self.latency_p99_s,
            max_rss_bytes: self.max_rss_bytes,
        }
    }
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
