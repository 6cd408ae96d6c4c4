//! Runs one target once and says what it cost: the only station that starts processes or opens counters.
//!
//! A sample is one fresh process, started by a launcher (a hidden subcommand of this binary) that waits until the counters
//! are open on it and then becomes the program. [`sample`] is the whole; [`launch`] and [`Child`] are its steps, for who
//! wants to do something in between, as the sampling profiler does.
//!
//! On another system than Linux the modules in `portable` and `launcher/portable.rs` take the place of their namesakes.

#[cfg_attr(not(corefit_linux), allow(dead_code, reason = "only Linux tells what threads wait for"))]
mod blocked;
pub(crate) mod cgroup;
mod child;
mod control;
pub mod counters;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod interrupt;
mod kernel;
pub mod launcher;
mod output;
#[cfg_attr(not(corefit_linux), path = "portable/quota.rs")]
mod quota;
pub mod ready;
mod report;
#[cfg_attr(not(corefit_linux), path = "portable/run_queue.rs")]
mod run_queue;
pub mod serve;
pub(crate) mod steal;
#[cfg_attr(not(corefit_linux), path = "portable/tree.rs")]
mod tree;
mod verdict;
#[cfg(corefit_linux)]
mod waiting;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::machine::CpuList;
use crate::target::Invocation;

pub use blocked::{Blocked, BlockedThreads};
pub use child::Child;
pub use counters::{Availability, availability};
pub use error::Error;
pub use interrupt::{interrupted, outlive_file_limit, rearm_interrupts, watch_interrupts};
pub use quota::{Quota, Quotas};
pub use report::parse as read_report;

/// The variable that names the descriptor on which a program may report about itself.
pub const RESULT_FD: &str = "COREFIT_RESULT_FD";

/// What samples lack on this system, a line each; nothing on Linux.
pub const LACKS: &[&str] = if cfg!(corefit_linux) {
    &[]
} else {
    &[
        "run_queue_wait_s of a command, what its threads wait for, and user_s and sys_s of a server under load are empty, since \
         only Linux says them of a process that runs",
        "a program that leaves the session of its sample, as a daemon does, is not ended with it; and if corefit is killed, what \
         it has started goes on: only Linux lets a tool adopt orphans and take its children with it",
    ]
};

/// What a sample runs under, the same for every sample of a sweep.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Wall-clock limit of one sample; the process tree is killed when it is reached.
    pub timeout: Duration,
    /// Open perf counters on the child before it execs.
    pub counters: bool,
    /// Keep the child's standard output and error (their last MiB) for `--metric`; otherwise output goes to `/dev/null`, and
    /// of standard error a few KiB are kept for messages.
    pub keep_output: bool,
    /// Poll the run-queue wait of the child's threads (`/proc/PID/task/*/schedstat`, at most 10 Hz): for commands; a
    /// bundled workload sums its own.
    pub poll_run_queue: bool,
    /// CPU quota of the child; `None` leaves it with that of the tool.
    pub quota: Option<Quota>,
    /// The CPUs that the child may use; `None` for those of the tool.
    pub cpus: Option<CpuList>,
}

/// How a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Exit code 0.
    Ok,
    /// Another exit code, or death by another signal than SIGKILL.
    Failed,
    /// Stopped by the tool, at the timeout.
    Timeout,
    /// Ended by somebody else's SIGKILL (the out-of-memory killer, for one) or by the tool's own interruption.
    Killed,
}

/// The line of JSON that a target may write to the descriptor named by `COREFIT_RESULT_FD`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChildReport {
    /// Operations done.
    pub ops: Option<f64>,
    /// Seconds they took, by the program's own clock, without its start-up.
    pub elapsed_s: Option<f64>,
    /// Latency of one operation in seconds; keys `p50`, `p90`, `p99`, `p999`, `max`.
    pub latency_s: BTreeMap<String, f64>,
    /// Counts of the runtime, named as the columns of `samples.csv` (`steals`, `run_queue_wait_s`, …).
    pub runtime: BTreeMap<String, f64>,
}

/// Hardware and software counters of the process tree; `None` means not measured, never 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts {
    /// CPU seconds by the kernel's task clock.
    pub task_clock_s: Option<f64>,
    /// Switches of the tree's threads, voluntary or not.
    pub context_switches: Option<f64>,
    /// Moves of a thread to another CPU.
    pub cpu_migrations: Option<f64>,
    /// Page faults, minor and major.
    pub page_faults: Option<f64>,
    /// CPU cycles.
    pub cycles: Option<f64>,
    /// Instructions retired.
    pub instructions: Option<f64>,
    /// Last-level cache references.
    pub cache_references: Option<f64>,
    /// Last-level cache misses.
    pub cache_misses: Option<f64>,
    /// Branches retired.
    pub branches: Option<f64>,
    /// Branches mispredicted.
    pub branch_misses: Option<f64>,
}

/// What a load generator used while it ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadUse {
    /// CPU seconds of it and its children.
    pub cpu_s: Option<f64>,
    /// CPU seconds of its busiest thread, polled.
    pub busiest_thread_s: Option<f64>,
}

/// One run of a target in one process: every number that was measured, `None` where one was not.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How it ended.
    pub status: Status,
    /// Exit code, if it exited.
    pub exit_code: Option<i32>,
    /// Signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Seconds from exec to exit: from the launcher's last look at the clock before its exec to the moment the tool noticed
    /// the end (or killed it). 0 if the program was never started.
    pub wall_s: f64,
    /// Wall-clock time of the exec, in seconds since the Unix epoch.
    pub started_unix_s: f64,
    /// User CPU seconds of the one child and its reaped children (`wait4`), without what the launcher used before its exec.
    pub user_s: Option<f64>,
    /// System CPU seconds, likewise.
    pub sys_s: Option<f64>,
    /// Peak resident memory of the one child (`wait4`), bytes.
    pub max_rss_bytes: Option<u64>,
    /// CPU limit in force for the child, in CPUs; `None` where there is none.
    pub cpu_quota: Option<f64>,
    /// Seconds the threads of the child's cgroup, summed, were throttled while it ran; `None` without a quota, and without a
    /// cgroup that counts it.
    pub throttled_s: Option<f64>,
    /// Periods of the quota in which it ran out; `None` as above.
    pub throttled_periods: Option<u64>,
    /// Periods of the quota in which something in the cgroup ran; `None` as above.
    pub quota_periods: Option<u64>,
    /// Seconds its threads were runnable but waited for a CPU, polled.
    pub run_queue_wait_s: Option<f64>,
    /// What its threads waited for, polled; `None` for short samples.
    pub blocked: Option<BlockedThreads>,
    /// Seconds of CPU the hypervisor took from the machine meanwhile (`/proc/stat`), if it says.
    pub steal_s: Option<f64>,
    /// Counters of the process tree.
    pub counts: Counts,
    /// What the load generator used; `None` where there is none.
    pub load: Option<LoadUse>,
    /// What the program said about itself.
    pub report: Option<ChildReport>,
    /// Last MiB of standard output, if kept.
    pub stdout: Vec<u8>,
    /// Last MiB of standard error if kept, else its last 4 KiB.
    pub stderr: Vec<u8>,
    /// Why the sample is not `Ok`, or what looked odd, in one line each; for warnings.
    pub remarks: Vec<String>,
}

/// Context switches of this process so far, of all its threads, by its rusage.
#[must_use]
pub(crate) fn own_context_switches() -> u64 {
    let usage = kernel::own_usage();
    usage.voluntary_switches + usage.involuntary_switches
}

/// Runs `invocation` once in a fresh process under `conditions`.
///
/// # Errors
/// Only if nothing could be run: the program does not exist or may not be executed, or the kernel refuses a process.
/// A program that fails, hangs or is killed is an `Ok` sample with its [`Status`].
pub fn sample(invocation: &Invocation, conditions: &Conditions) -> Result<Sample, Error> {
    sample_by(&launcher::this_binary(), invocation, conditions)
}

/// As [`sample`], with another corefit binary as the launcher: for tests, where `/proc/self/exe` is the test's own binary.
///
/// # Errors
/// As [`sample`].
pub fn sample_by(launcher: &Path, invocation: &Invocation, conditions: &Conditions) -> Result<Sample, Error> {
    let mut child = launch_by(launcher, invocation, conditions)?;
    child.start()?;
    child.wait_up_to(conditions.timeout);
    Ok(child.finish())
}

/// Launches `invocation` and stops just before the exec.
///
/// The calling thread must outlive the child: the kernel kills the child when the thread that launched it ends.
///
/// # Errors
/// As [`sample`].
pub fn launch(invocation: &Invocation, conditions: &Conditions) -> Result<Child, Error> {
    launch_by(&launcher::this_binary(), invocation, conditions)
}

/// As [`launch`], with another corefit binary as the launcher: for tests.
///
/// # Errors
/// As [`sample`].
pub fn launch_by(launcher: &Path, invocation: &Invocation, conditions: &Conditions) -> Result<Child, Error> {
    Child::launch(launcher, invocation, conditions)
}
