//! CPU quotas as they are typed: `--cpus 0.5`, `--cpus-sweep 0.5,1,2`.

use std::str::FromStr;

use serde::Serialize;

use super::{Error, MOST_PROCS};

/// The smallest quota, in CPUs: the kernel gives no less than 1 ms of its period of 100 ms.
const LEAST_CPUS: f64 = 0.01;

/// CPU quotas to compare, ascending, each once; not empty.
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaList(pub Vec<f64>);

/// Reads a quota in CPUs, such as `0.5`.
///
/// # Errors
/// It is not a plain decimal number from 0.01 to 4096.
pub fn parse_cpus(text: &str) -> Result<f64, Error> {
    quota(text).map_err(|why| Error::Invalid(format!("`{text}` is no CPU quota: {why}")))
}

impl FromStr for QuotaList {
    type Err = Error;

    /// Reads quotas separated by commas.
    ///
    /// # Errors
    /// One is no quota, or they do not ascend; the text names it.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad =
            |item: &str, why: &str| Error::Invalid(format!("`{item}` in `{text}` is no CPU quota: {why}"));
        let mut list: Vec<f64> = Vec::new();
        for item in text.split(',').map(str::trim) {
            let cpus = quota(item).map_err(|why| bad(item, why))?;
            if list.last().is_some_and(|before| *before >= cpus) {
                return Err(bad(item, "the list has to ascend, each quota once"));
            }
            list.push(cpus);
        }
        Ok(Self(list))
    }
}

/// A rule by which programs and runtimes derive a worker count from a CPU limit that is no whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum LimitRule {
    /// Rounded down, at least 1: `uber-go/automaxprocs`.
    #[serde(rename = "floor")]
    Floor,
    /// Rounded to the nearest, at least 1.
    #[serde(rename = "round")]
    Round,
    /// Rounded up: Go from 1.25 on (which takes no less than 2), .NET, the JVM, the bundled runtime.
    #[serde(rename = "ceil")]
    Ceil,
    /// One more.
    #[serde(rename = "ceil+1")]
    CeilPlusOne,
}

impl LimitRule {
    /// All of them, from the fewest workers to the most.
    pub const ALL: [Self; 4] = [Self::Floor, Self::Round, Self::Ceil, Self::CeilPlusOne];

    /// What it makes of a limit.
    #[must_use]
    pub fn procs(self, cpus: f64) -> u32 {
        // A float becomes an integer by saturation.
        let whole = |cpus: f64| (cpus as u32).clamp(1, MOST_PROCS);
        match self {
            Self::Floor => whole(cpus.floor()),
            Self::Round => whole(cpus.round()),
            Self::Ceil => whole(cpus.ceil()),
            Self::CeilPlusOne => whole(cpus.ceil() + 1.0),
        }
    }

    /// Its name, as in the JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Round => "round",
            Self::Ceil => "ceil",
            Self::CeilPlusOne => "ceil+1",
        }
    }
}

fn quota(text: &str) -> Result<f64, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: Option<f64> = text.parse().ok().filter(|_| is_plain);
    match number {
        None => Err("write CPUs as a number, such as `0.5`"),
        Some(cpus) if !(LEAST_CPUS..=f64::from(MOST_PROCS)).contains(&cpus) => {
            Err("it has to be 0.01 to 4096 CPUs")
        }
        Some(cpus) => Ok(cpus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotas_are_plain_numbers_of_cpus() {
        for (text, cpus) in [("0.5", 0.5), ("1", 1.0), ("0.01", 0.01), ("4096", 4096.0), ("1.25", 1.25)] {
            assert_eq!(parse_cpus(text).unwrap(), cpus, "{text}");
        }
        assert_eq!("0.5, 1,2".parse::<QuotaList>().unwrap(), QuotaList(vec![0.5, 1.0, 2.0]));
    }

    #[test]
    fn what_is_no_quota_is_refused_in_one_line_that_names_it() {
        for text in
            ["", "0", "0.009", "-1", "+1", "1e3", "inf", "NaN", "4097", "x", "1..2", ".", "0,5", "50%"]
        {
            let error = parse_cpus(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_list_is_closed_and_ascends() {
        for (text, item) in
            [("", ""), ("1,", ""), (",1", ""), ("1,,2", ""), ("2,1", "1"), ("1,1.0", "1.0"), ("0,1", "0")]
        {
            let error = text.parse::<QuotaList>().expect_err(text).to_string();
            assert!(error.starts_with(&format!("`{item}` in `{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn the_rules_ascend_and_are_never_below_one() {
        let procs = |cpus| LimitRule::ALL.map(|rule| rule.procs(cpus));
        assert_eq!(procs(0.4), [1, 1, 1, 2]);
        assert_eq!(procs(1.0), [1, 1, 1, 2]);
        assert_eq!(procs(1.5), [1, 2, 2, 3]);
        assert_eq!(procs(2.25), [2, 2, 3, 4]);
        assert_eq!(procs(4096.0), [4096; 4]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_text_panics_and_what_is_read_ascends_in_range(text in "([0-9.]{1,4}|,|.){0,6}") {
            if let Ok(QuotaList(list)) = text.parse::<QuotaList>() {
                prop_assert!(!list.is_empty() && list.is_sorted_by(|a, b| a < b));
                prop_assert!(list[0] >= LEAST_CPUS && list[list.len() - 1] <= f64::from(MOST_PROCS));
            }
        }
    }
}
