//! What to measure, in which order, and when to stop: every default settled, nothing started.

mod contest;
mod duration;
mod explore;
pub mod forecast;
mod levels;
mod pin;
mod policy;
mod procs;
mod quota;
pub mod rounds;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::target::Procs;

pub use duration::parse_duration;
pub use pin::{Pin, Pinning};
pub use policy::Policy;
pub use procs::{MOST_PROCS, ProcsSpec, Range};
pub use quota::{LimitRule, QuotaList, parse_cpus};

/// Everything settled about how a target is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Plan {
    /// Worker counts, ascending, each once.
    pub procs: Vec<u32>,
    /// Those of a long range that are measured from the first round on, ascending; the others join where they are worth
    /// it. Empty: all are measured from the first round on.
    #[serde(default)]
    pub grid: Vec<u32>,
    /// Measure every worker count in every round, however slow.
    #[serde(default)]
    pub exhaustive: bool,
    /// Also measure the target with no worker count set, in the same rounds.
    #[serde(default)]
    pub with_default: bool,
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
    /// Seed of the order and of the drawn curves.
    pub seed: u64,
    /// Open perf counters.
    pub counters: bool,
    /// Take profiles and draw flame graphs.
    pub flamegraph: bool,
    /// A first look: 3 rounds, one flame graph.
    pub quick: bool,
    /// CPU quota that each sample runs under; `None` leaves it with the tool's own.
    #[serde(default)]
    pub cpu_quota: Option<f64>,
    /// How each sample is pinned to as many CPUs as it has workers; `None` if it is not.
    #[serde(default)]
    pub pin: Option<Pin>,
}

impl Plan {
    /// What the first round visits: the grid of a long range, else everything.
    #[must_use]
    pub fn first_points(&self) -> Vec<Procs> {
        let mut points = self.points();
        points.retain(|point| self.grid.is_empty() || point.count().is_none_or(|n| self.grid.contains(&n)));
        points
    }

    /// Everything a round may visit: the worker counts, ascending, then the default if that is asked for.
    #[must_use]
    pub fn points(&self) -> Vec<Procs> {
        let default = self.with_default.then_some(Procs::Default);
        self.procs.iter().copied().map(Procs::Count).chain(default).collect()
    }
}

/// Rounds at least and at most, typed `MIN..MAX`. `MIN` alone keeps the default of at most 30, or MIN if that is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Rounds {
    /// At least, 1 or more.
    pub min: u32,
    /// At most, not below `min`.
    pub max: u32,
}

impl Rounds {
    /// Rounds at most if only the least number is given. Guess: at 3 % noise, 2 % precision takes about 18.
    const DEFAULT_MAX: u32 = 30;
}

impl FromStr for Rounds {
    type Err = Error;

    /// # Errors
    /// It is not `MIN` or `MIN..MAX` with 1 ≤ MIN ≤ MAX.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Invalid(format!("`{text}` is not a number of rounds: {why}"));
        let number = |part: &str| whole(part).ok_or_else(|| bad("write `MIN` or `MIN..MAX`, as in `6..30`"));
        let (min, max) = match text.split_once("..") {
            Some((min, max)) => (number(min)?, number(max)?),
            None => number(text).map(|min| (min, min.max(Self::DEFAULT_MAX)))?,
        };
        if min == 0 {
            return Err(bad("it takes at least 1 round"));
        }
        if max < min {
            return Err(bad("the most is below the least"));
        }
        Ok(Self { min, max })
    }
}

impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.min, self.max)
    }
}

/// A whole number in plain digits; `None` for anything else, a sign included.
fn whole(text: &str) -> Option<u32> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As the text says.
    #[error("{0}")]
    Invalid(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, min: u32, max: u32) {
        assert_eq!(text.parse::<Rounds>().unwrap(), Rounds { min, max }, "{text}");
    }

    #[test]
    fn rounds_are_a_least_and_a_most() {
        check("6..30", 6, 30);
        check("3..3", 3, 3);
        check("6", 6, 30);
        check("100", 100, 100);
    }

    #[test]
    fn rounds_that_cannot_be_are_refused_in_one_line_that_names_them() {
        for text in
            ["", "0", "0..3", "9..3", "..3", "3..", "x", "-1", "+3", "3..=5", "3 .. 5", "99999999999", "1.5"]
        {
            let error = text.parse::<Rounds>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn printed_rounds_read_back(min in 1u32..1000, more in 0u32..1000) {
            let rounds = Rounds { min, max: min + more };
            prop_assert_eq!(rounds.to_string().parse::<Rounds>().unwrap(), rounds);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Rounds>();
        }
    }
}
