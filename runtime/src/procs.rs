//! How many processors by default: the variable, else affinity and cgroup quota.

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
#[must_use]
pub fn default_procs() -> DefaultProcs {
    let affinity = std::thread::available_parallelism().map_or(1, usize::from);
    let procs = std::env::var("GOMAXPROCS").ok().and_then(|v| v.parse().ok()).unwrap_or(affinity);
    DefaultProcs { procs, reason: ProcsReason::Affinity, affinity, quota_cpus: None, ignored_variable: None }
}
