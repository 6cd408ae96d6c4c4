//! Runs one target once and says what it cost: the only station that starts processes or opens counters.

pub mod launcher;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::target::Invocation;

/// What a sample runs under, the same for every sample of a sweep.
#[derive(Clone, Debug)]
pub struct Conditions {
    /// Wall-clock limit of one sample; the process tree is killed when it is reached.
    pub timeout: Duration,
    /// Open perf counters on the child before it execs.
    pub counters: bool,
    /// Keep the child's standard output and error (their last MiB) for `--metric`; otherwise they go to `/dev/null`.
    pub keep_output: bool,
    /// Poll the run-queue wait of the child's threads (`/proc/PID/task/*/schedstat`, at most 10 Hz): for commands; a
    /// bundled workload sums its own.
    pub poll_run_queue: bool,
}

/// How a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Exit code 0.
    Ok,
    /// Another exit code, death by a signal of its own making, or a result that could not be read.
    Failed,
    /// Stopped by the tool at the timeout.
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

/// One run of a target in one process: every number that was measured, `None` where one was not.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How it ended.
    pub status: Status,
    /// Exit code, if it exited.
    pub exit_code: Option<i32>,
    /// Signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Seconds from exec to exit.
    pub wall_s: f64,
    /// Wall-clock time of the exec, in seconds since the Unix epoch.
    pub started_unix_s: f64,
    /// User CPU seconds of the one child and its reaped children (`wait4`).
    pub user_s: Option<f64>,
    /// System CPU seconds, likewise.
    pub sys_s: Option<f64>,
    /// Peak resident memory of the one child (`wait4`), bytes.
    pub max_rss_bytes: Option<u64>,
    /// CPU limit in force for the child, in CPUs; `None` where there is none.
    pub cpu_quota: Option<f64>,
    /// Seconds the child's cgroup was throttled while it ran; `None` without a cgroup that counts it.
    pub throttled_s: Option<f64>,
    /// Seconds its threads were runnable but waited for a CPU, polled.
    pub run_queue_wait_s: Option<f64>,
    /// Seconds of CPU the hypervisor took from the machine meanwhile (`/proc/stat`), if it says.
    pub steal_s: Option<f64>,
    /// Counters of the process tree.
    pub counts: Counts,
    /// What the program said about itself.
    pub report: Option<ChildReport>,
    /// Last MiB of standard output, if kept.
    pub stdout: Vec<u8>,
    /// Last MiB of standard error, if kept.
    pub stderr: Vec<u8>,
    /// Why the sample is not `Ok`, or what looked odd, in one line each; for warnings.
    pub remarks: Vec<String>,
}

/// What could not be done at all, as opposed to a sample that ran and failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As the text says.
    #[error("{0}")]
    Start(String),
}

impl Error {
    /// 2: a program that cannot be started is bad input.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        2
    }
}

/// Runs `invocation` once in a fresh process under `conditions`.
///
/// # Errors
/// Only if nothing could be run: the program does not exist or may not be executed, or the kernel refuses a process.
/// A program that fails, hangs or is killed is an `Ok` sample with its [`Status`].
pub fn sample(invocation: &Invocation, conditions: &Conditions) -> Result<Sample, Error> {
    let _ = (invocation, conditions);
    unimplemented!("issue in progress")
}

/// A child that has been launched and waits, its counters open, for [`Child::start`] before it execs the program. The
/// sampling profiler opens its events on it in between. Dropping it kills the whole process tree.
#[derive(Debug)]
pub struct Child {
    pid: u32,
}

/// Launches `invocation` and stops just before the exec.
///
/// # Errors
/// As [`sample`].
pub fn launch(invocation: &Invocation, conditions: &Conditions) -> Result<Child, Error> {
    let _ = (invocation, conditions);
    unimplemented!("issue in progress")
}

impl Child {
    /// Process id of the program: the same before and after its exec.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the program exec.
    ///
    /// # Errors
    /// The program does not exist or may not be executed.
    pub fn start(&mut self) -> Result<(), Error> {
        unimplemented!("issue in progress")
    }

    /// Waits up to `patience` for the program to end; `true` once it has.
    pub fn wait_up_to(&mut self, patience: Duration) -> bool {
        let _ = patience;
        unimplemented!("issue in progress")
    }

    /// Stops what still runs of the process tree and gives the sample.
    #[must_use]
    pub fn finish(self) -> Sample {
        unimplemented!("issue in progress")
    }
}
