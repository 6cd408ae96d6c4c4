//! What to measure, in which order, and when to stop: every default settled, nothing started.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything settled about how a target is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Worker counts, ascending, each once.
    pub procs: Vec<u32>,
    /// Rounds at least and at most.
    pub rounds: Rounds,
    /// Stop when every contender's ratio to the best is known within this share (0.02 is 2 %).
    pub precision: f64,
    /// Seconds to spend on the target, profiles included; `None` means no limit.
    pub budget_s: Option<f64>,
    /// Whether the budget was asked for (then it wins over the rounds at least).
    pub budget_is_explicit: bool,
    /// Longest time of one sample, seconds.
    pub timeout_s: f64,
    /// Unrecorded runs before the first round.
    pub warmup: u32,
    /// Seed of the order and of the bootstrap.
    pub seed: u64,
    /// Open perf counters.
    pub counters: bool,
    /// Take profiles and draw flame graphs.
    pub flamegraph: bool,
    /// A first look: 3 rounds, one flame graph.
    pub quick: bool,
}

/// Rounds at least and at most: `6..30`, or `6` for exactly... at least and at most 6? `MIN` alone keeps the default MAX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rounds {
    /// At least, 1 or more.
    pub min: u32,
    /// At most, not below `min`.
    pub max: u32,
}

impl FromStr for Rounds {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let _ = text;
        unimplemented!("issue in progress")
    }
}

/// Which worker counts were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcsSpec {
    /// Chosen from the machine.
    Auto,
    /// These, ascending, each once.
    List(Vec<u32>),
}

impl FromStr for ProcsSpec {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let _ = text;
        unimplemented!("issue in progress")
    }
}

/// How a worker count is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Policy {
    /// Smallest N whose loss against the best is at most the tolerance.
    Knee {
        /// A share, 0.05 by default.
        tolerance: f64,
    },
    /// The knee with 1 %.
    Throughput {
        /// 0.01.
        tolerance: f64,
    },
    /// Largest N with at least this efficiency.
    Efficiency {
        /// A share of the speedup that would be ideal.
        at_least: f64,
    },
    /// Smallest N whose latency percentile's upper bound is below a limit.
    Latency {
        /// 50, 90, 99 or 99.9.
        percentile: f64,
        /// Seconds.
        limit_s: f64,
    },
    /// Least CPU time per op among those within the tolerance of the best throughput.
    Cost {
        /// A share, 0.1 by default.
        tolerance: f64,
    },
}

impl FromStr for Policy {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let _ = text;
        unimplemented!("issue in progress")
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        unimplemented!("issue in progress")
    }
}

/// A time as typed: `500ms`, `9s`, `2m`, `1h`, `1.5s`; a bare number is seconds.
///
/// # Errors
/// It is not a positive time.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let _ = text;
    unimplemented!("issue in progress")
}

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As the text says.
    #[error("{0}")]
    Invalid(String),
}
