//! The policies by which a worker count is chosen, as typed and as saved.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Error, parse_duration};

/// How a worker count is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
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

/// The percentiles a latency policy may name.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p999", 99.9)];

impl Policy {
    /// Tolerance of `knee` without a value.
    const KNEE: f64 = 0.05;
    /// Tolerance of `throughput`.
    const THROUGHPUT: f64 = 0.01;
    /// Tolerance of `cost` without a value.
    const COST: f64 = 0.1;

    /// How much of the best throughput a point may lose and still be chosen by this policy: what keeps it in the sweep.
    /// 1 for the policies that do not compare throughputs: they may choose any point.
    #[must_use]
    pub fn tolerance(&self) -> f64 {
        match *self {
            Self::Knee { tolerance } | Self::Throughput { tolerance } | Self::Cost { tolerance } => tolerance,
            Self::Efficiency { .. } | Self::Latency { .. } => 1.0,
        }
    }
}

impl Policy {
    /// Whether it takes the smallest of those that lose little enough, whatever else they show.
    #[must_use]
    pub fn takes_the_smallest(&self) -> bool {
        matches!(self, Self::Knee { .. } | Self::Throughput { .. })
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::Knee { tolerance: Self::KNEE }
    }
}

impl FromStr for Policy {
    type Err = Error;

    /// # Errors
    /// It is none of `knee[=0.05]`, `throughput`, `efficiency=0.7`, `p99<=5ms` (or `p50`, `p90`, `p999`) and
    /// `cost[=0.1]`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = |why: &str| Error::Invalid(format!("`{text}` is not a policy: {why}"));
        if let Some((name, limit)) = text.split_once("<=") {
            let (_, percentile) = PERCENTILES
                .into_iter()
                .find(|(known, _)| *known == name)
                .ok_or_else(|| bad("a limit is for `p50`, `p90`, `p99` or `p999`"))?;
            let limit = parse_duration(limit).map_err(|error| bad(&error.to_string()))?;
            return Ok(Self::Latency { percentile, limit_s: limit.as_secs_f64() });
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let value =
            value.map(|value| share(value).ok_or_else(|| bad("its value is a share, as in `0.05` or `5%`")));
        let value = value.transpose()?;
        match (name, value) {
            ("knee", value) => Ok(Self::Knee { tolerance: value.unwrap_or(Self::KNEE) }),
            ("cost", value) => Ok(Self::Cost { tolerance: value.unwrap_or(Self::COST) }),
            ("throughput", None) => Ok(Self::Throughput { tolerance: Self::THROUGHPUT }),
            ("throughput", Some(_)) => Err(bad("`throughput` takes no value; use `knee` with one")),
            ("efficiency", Some(at_least)) if at_least > 0.0 => Ok(Self::Efficiency { at_least }),
            ("efficiency", _) => Err(bad("it needs a value above 0, as in `efficiency=0.7`")),
            _ => Err(bad("take `knee[=0.05]`, `throughput`, `efficiency=0.7`, `p99<=5ms` or `cost[=0.1]`")),
        }
    }
}

impl fmt::Display for Policy {
    /// As it is typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Knee { tolerance } => write!(f, "knee={tolerance}"),
            Self::Throughput { .. } => f.write_str("throughput"),
            Self::Efficiency { at_least } => write!(f, "efficiency={at_least}"),
            Self::Cost { tolerance } => write!(f, "cost={tolerance}"),
            Self::Latency { percentile, limit_s } => {
                let known = PERCENTILES.into_iter().find(|(_, known)| *known == percentile);
                match known {
                    Some((name, _)) => f.write_str(name)?,
                    None => write!(f, "p{percentile}")?,
                }
                // A limit from a file may be no time at all: it is shown, not trusted.
                match Duration::try_from_secs_f64(limit_s) {
                    Ok(limit) => write!(f, "<={limit:?}"),
                    Err(_) => write!(f, "<={limit_s}s"),
                }
            }
        }
    }
}

/// A share from 0 to 1: `0.05` or `5%`.
fn share(text: &str) -> Option<f64> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse::<f64>().ok()?,
    };
    (0.0..=1.0).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: Policy) {
        assert_eq!(text.parse::<Policy>().unwrap(), expected, "{text}");
    }

    #[test]
    fn every_policy_can_be_typed() {
        check("knee", Policy::Knee { tolerance: 0.05 });
        check("knee=0.02", Policy::Knee { tolerance: 0.02 });
        check("knee=5%", Policy::Knee { tolerance: 0.05 });
        check("knee=0", Policy::Knee { tolerance: 0.0 });
        check("throughput", Policy::Throughput { tolerance: 0.01 });
        check("efficiency=0.7", Policy::Efficiency { at_least: 0.7 });
        check("cost", Policy::Cost { tolerance: 0.1 });
        check("cost=20%", Policy::Cost { tolerance: 0.2 });
        check("p50<=1s", Policy::Latency { percentile: 50.0, limit_s: 1.0 });
        check("p99<=5ms", Policy::Latency { percentile: 99.0, limit_s: 0.005 });
        check("p999<=20us", Policy::Latency { percentile: 99.9, limit_s: 0.000_02 });
    }

    #[test]
    fn what_is_no_policy_is_refused_in_one_line_that_names_it() {
        for text in [
            "",
            "best",
            "knee=",
            "knee=x",
            "knee=-0.1",
            "knee=1.5",
            "knee=nan",
            "throughput=0.1",
            "efficiency",
            "efficiency=0",
            "p99",
            "p99<=",
            "p99<=0",
            "p98<=5ms",
            "<=5ms",
            "p99=5ms",
            "cost=101%",
        ] {
            let error = text.parse::<Policy>().expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_policy_is_saved_as_its_name_and_its_value() {
        let json = serde_json::to_string(&Policy::default()).unwrap();
        assert_eq!(json, r#"{"name":"knee","tolerance":0.05}"#);
        let json = serde_json::to_string(&Policy::Latency { percentile: 99.0, limit_s: 0.005 }).unwrap();
        assert_eq!(json, r#"{"name":"latency","percentile":99.0,"limit_s":0.005}"#);
    }

    #[test]
    fn a_senseless_limit_from_a_file_is_shown_as_it_is() {
        let policy = Policy::Latency { percentile: 12.5, limit_s: -1.0 };
        assert_eq!(policy.to_string(), "p12.5<=-1s");
    }

    fn any_policy() -> impl Strategy<Value = Policy> {
        let share = 0.0..=1.0;
        prop_oneof![
            share.clone().prop_map(|tolerance| Policy::Knee { tolerance }),
            Just(Policy::Throughput { tolerance: 0.01 }),
            (0.001..=1.0).prop_map(|at_least| Policy::Efficiency { at_least }),
            share.prop_map(|tolerance| Policy::Cost { tolerance }),
            (0usize..4, 1u64..1_000_000_000_000_000).prop_map(|(which, nanoseconds)| Policy::Latency {
                percentile: PERCENTILES[which].1,
                limit_s: Duration::from_nanos(nanoseconds).as_secs_f64(),
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_printed_policy_reads_back(policy in any_policy()) {
            prop_assert_eq!(policy.to_string().parse::<Policy>().unwrap(), policy);
        }

        #[test]
        fn a_saved_policy_reads_back(policy in any_policy()) {
            let json = serde_json::to_string(&policy).unwrap();
            prop_assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
        }

        #[test]
        fn no_text_panics(text in "(knee|cost|efficiency|p99)?(=|<=)?.*") {
            let _ = text.parse::<Policy>();
        }
    }
}
