//! How many processors by default: the variable, else affinity and cgroup quota.

use crate::cgroup;
use crate::os;
use crate::runtime::MOST_PROCS;
use std::path::Path;

/// Where a default comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProcsReason {
    /// The variable `GOMAXPROCS`.
    Variable,
    /// The CPUs this process may run on.
    Affinity,
    /// A cgroup's CPU quota, rounded up.
    Quota,
}

/// The default of `GOMAXPROCS` and why.
#[derive(Clone, Debug)]
pub struct DefaultProcs {
    /// Processors, at least 1.
    pub procs: usize,
    /// Why this many.
    pub reason: ProcsReason,
    /// CPUs in the affinity mask.
    pub affinity: usize,
    /// CPU quota of the tightest cgroup, in CPUs; `None` without one.
    pub quota_cpus: Option<f64>,
    /// A `GOMAXPROCS` that was ignored because it is not a number from 1 to 4096.
    pub ignored_variable: Option<String>,
}

/// Looks at the variable `GOMAXPROCS`, the affinity mask and the cgroup quota (v1 and v2, parents too).
///
/// ```
/// use corefit_runtime::{ProcsReason, default_procs};
///
/// let default = default_procs();
/// match default.reason {
///     ProcsReason::Variable => println!("{} by GOMAXPROCS", default.procs),
///     ProcsReason::Affinity => println!("{} CPUs may be used", default.procs),
///     ProcsReason::Quota => println!("{} for a quota of {:?} CPUs", default.procs, default.quota_cpus),
/// }
/// assert!(default.procs >= 1);
/// ```
#[must_use]
pub fn default_procs() -> DefaultProcs {
    let variable = std::env::var_os("GOMAXPROCS").map(|value| value.to_string_lossy().into_owned());
    let quota = cgroup::limit(Path::new("/"), "self").map(|limit| limit.cpus);
    decide(variable.as_deref(), affinity(), quota)
}

/// CPUs that this process may run on.
pub(crate) fn affinity() -> usize {
    os::allowed_cpus()
        // More CPUs than the kernel's set holds, or no such set: std has other ways.
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1)
}

fn decide(variable: Option<&str>, affinity: usize, quota_cpus: Option<f64>) -> DefaultProcs {
    let default =
        |procs, reason| DefaultProcs { procs, reason, affinity, quota_cpus, ignored_variable: None };
    // An empty variable is as good as none, as in Go.
    let variable = variable.map(str::trim).filter(|value| !value.is_empty());
    match variable.map(|value| (value, value.parse::<usize>())) {
        Some((_, Ok(procs))) if (1..=MOST_PROCS).contains(&procs) => default(procs, ProcsReason::Variable),
        ignored => {
            let affinity = affinity.clamp(1, MOST_PROCS);
            // Half a CPU is one processor, and 2.5 are three: with fewer the quota could not be used up.
            let quota = quota_cpus.map(|cpus| cpus.ceil().max(1.0) as usize);
            let chosen = match quota {
                Some(quota) if quota < affinity => default(quota, ProcsReason::Quota),
                _ => default(affinity, ProcsReason::Affinity),
            };
            DefaultProcs { ignored_variable: ignored.map(|(value, _)| value.to_owned()), ..chosen }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variable: Option<&str>, affinity: usize, quota: Option<f64>, procs: usize, reason: ProcsReason) {
        let default = decide(variable, affinity, quota);
        assert_eq!((default.procs, default.reason), (procs, reason));
    }

    #[test]
    fn the_variable_comes_first() {
        check(Some("7"), 2, Some(1.0), 7, ProcsReason::Variable);
        check(Some(" 4096 "), 2, None, 4096, ProcsReason::Variable);
    }

    #[test]
    fn an_unusable_variable_is_ignored_and_named() {
        for value in ["0", "-1", "4097", "many", "2.5", "99999999999999999999"] {
            let default = decide(Some(value), 2, None);
            assert_eq!((default.procs, default.reason), (2, ProcsReason::Affinity));
            assert_eq!(default.ignored_variable.as_deref(), Some(value));
        }
        assert_eq!(decide(Some(""), 2, None).ignored_variable, None);
    }

    #[test]
    fn a_quota_is_rounded_up_and_never_below_one() {
        check(None, 8, Some(2.5), 3, ProcsReason::Quota);
        check(None, 8, Some(0.2), 1, ProcsReason::Quota);
        check(None, 8, Some(8.0), 8, ProcsReason::Affinity);
        check(None, 2, Some(16.0), 2, ProcsReason::Affinity);
        check(None, 0, None, 1, ProcsReason::Affinity);
    }

    #[test]
    fn this_machine_has_a_default() {
        assert!(default_procs().procs >= 1);
        assert!(affinity() >= 1);
    }
}
