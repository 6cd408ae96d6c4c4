//! `corefit sweep` and what it shares with the subcommands that run a workload.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::command::{CommandArgs, ProgramArgs};
use super::percentage;
use super::serve::ServeArgs;
use crate::error::Error;
use crate::plan::{Pin, Policy, ProcsSpec, QuotaList, Rounds};

/// How a bundled workload is sized and set.
#[derive(Clone, Debug, Args)]
pub struct WorkloadArgs {
    /// Factor on the workload's work (1 is about 0.3 s at one processor)
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = positive)]
    pub scale: f64,
    /// A text file for the workloads that read one
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// A parameter of the workload, such as padded=true for false_sharing (repeatable)
    #[arg(long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,
}

impl WorkloadArgs {
    /// Refuses what sizes a workload where `other` is measured.
    ///
    /// # Errors
    /// [`Error::Usage`] names the option.
    pub fn refuse_beside(&self, other: &str) -> Result<(), Error> {
        let options = [
            ("--scale", self.scale != 1.0),
            ("--input", self.input.is_some()),
            ("--param", !self.params.is_empty()),
        ];
        match options.iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Error::Usage(format!(
                "`{option}` is for bundled workloads, not for {other}; leave it out"
            ))),
            None => Ok(()),
        }
    }
}

/// `corefit sweep`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit sweep --quick\n  corefit sweep ping_pong sieve --procs 1..4\n  \
                  corefit sweep --env RAYON_NUM_THREADS --metric 'rate: ([0-9.]+)' -- ./app\n  \
                  corefit sweep --procs 1..64:log2 -- ./server-bench --workers {procs}\n  \
                  corefit sweep mixed_service --scale 4 --cpus-sweep 0.5,1,1.5\n  \
                  corefit sweep --serve './server -w {procs}' --ready tcp:127.0.0.1:8080 \\\n    \
                  --load 'wrk -t1 -c64 -d2s http://127.0.0.1:8080/' \\\n    \
                  --metric 'Requests/sec: +([0-9.]+)'"
)]
pub struct SweepArgs {
    /// Workloads, or `all` (default: all)
    #[arg(value_name = "WORKLOAD", conflicts_with = "argv")]
    pub workloads: Vec<String>,
    /// Worker counts: `4`, `1,2,4`, `1..8`, `1..64:log2`, `auto`; of a long range those that may matter
    #[arg(long, value_name = "SPEC", default_value = "auto")]
    pub procs: ProcsSpec,
    /// Also measure with no worker count set, and say what the recommended one gains over it
    #[arg(long)]
    pub with_default: bool,
    /// How to choose: knee[=0.05], throughput, efficiency=0.7, p99<=5ms, cost[=0.1]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<Policy>,

    /// Rounds to measure, each visiting every worker count once
    #[arg(
        long,
        value_name = "MIN[..MAX]",
        default_value = "6..30",
        conflicts_with = "quick",
        help_heading = "Measuring"
    )]
    pub rounds: Rounds,
    /// Stop when every contender's ratio to the best is known within PCT percent
    #[arg(long, value_name = "PCT", default_value_t = 2.0, value_parser = percent, help_heading = "Measuring")]
    pub precision: f64,
    /// Measure every worker count in every round, of a long range too, and however slow
    #[arg(long, help_heading = "Measuring")]
    pub exhaustive: bool,
    /// Time to spend on a target, profiles included (default: 9s for a workload, none for a command)
    #[arg(long, value_name = "TIME", value_parser = crate::plan::parse_duration, help_heading = "Measuring")]
    pub budget: Option<Duration>,
    /// Longest time one sample may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::plan::parse_duration, help_heading = "Measuring")]
    pub timeout: Duration,
    /// CPU quota of the program, in CPUs: 0.01 and up (a cgroup of its own)
    #[arg(long, value_name = "Q", value_parser = crate::plan::parse_cpus, help_heading = "Measuring")]
    pub cpus: Option<f64>,
    /// Compare CPU quotas, and ways to derive a worker count from them: `0.5,1,2`
    #[arg(long, value_name = "LIST", conflicts_with = "cpus", help_heading = "Measuring")]
    pub cpus_sweep: Option<QuotaList>,
    /// Unrecorded runs before the first round
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Measuring")]
    pub warmup: u32,
    /// Seed of the order of samples and of what decisions draw
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Measuring")]
    pub seed: u64,
    /// Three rounds and one flame graph: a first look, marked as such
    #[arg(long, help_heading = "Measuring")]
    pub quick: bool,
    /// Open no perf counters
    #[arg(long, help_heading = "Measuring")]
    pub no_counters: bool,
    /// Draw no flame graph
    #[arg(long, help_heading = "Measuring")]
    pub no_flamegraph: bool,
    /// Pin each sample to as many CPUs as it has workers, neighbours first, or far apart (scatter)
    #[arg(
        long,
        value_name = "compact|scatter",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "compact",
        help_heading = "Measuring"
    )]
    pub pin: Option<Pin>,
    /// Refuse to measure where the machine would only get a warning
    #[arg(long, help_heading = "Measuring")]
    pub strict: bool,

    /// How a workload is sized
    #[command(flatten, next_help_heading = "Workloads")]
    pub workload_args: WorkloadArgs,

    /// How a command is started
    #[command(flatten, next_help_heading = "Commands")]
    pub program: ProgramArgs,
    /// What a command is measured by
    #[command(flatten, next_help_heading = "Commands")]
    pub command: CommandArgs,
    /// A server under load
    #[command(flatten, next_help_heading = "Servers")]
    pub serving: ServeArgs,

    /// Sweeps from a TOML file, each `[[sweep]]` with keys named as these flags; what is typed goes first
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The sweeps of the file, in its order; none without one.
    #[arg(skip)]
    pub sweeps: Vec<SweepArgs>,
    /// Where in the file this sweep stands.
    #[arg(skip)]
    pub place: Option<String>,

    /// Name of the target and its folder (default: the workload, or made from the command line)
    #[arg(long, value_name = "TARGET", help_heading = "Results")]
    pub name: Option<String>,
    /// Folder for results
    #[arg(long, value_name = "DIR", default_value = "profiles", help_heading = "Results")]
    pub out: PathBuf,
    /// Go on with an interrupted sweep
    #[arg(long, help_heading = "Results")]
    pub resume: bool,
    /// Show the whole reasoning behind each answer; with --json, in a field `explain`
    #[arg(long, help_heading = "Results")]
    pub explain: bool,
    /// Print one JSON document
    #[arg(long, help_heading = "Results")]
    pub json: bool,
    /// Print no progress and no tables but the last
    #[arg(short, long, help_heading = "Results")]
    pub quiet: bool,
    /// Say what is measured how, on standard error
    #[arg(short, long, help_heading = "Results")]
    pub verbose: bool,
}

/// A positive finite factor.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("not a positive number".to_owned()),
    }
}

/// A percentage above 0, at most 100.
fn percent(text: &str) -> Result<f64, String> {
    percentage(text, "above 0, at most 100", |value| value > 0.0 && value <= 100.0)
}
