//! What may be typed about a command: how it is started, what it is measured by, what runs around it.

use std::path::PathBuf;

use clap::Args;

use crate::target::Preset;

/// How a command is started, for every subcommand that starts one.
#[derive(Clone, Debug, Args)]
pub struct ProgramArgs {
    /// Set NAME to the worker count, or to TEMPLATE with {procs} replaced (repeatable)
    #[arg(long = "env", value_name = "NAME[=TEMPLATE]")]
    pub envs: Vec<String>,
    /// Set what a runtime reads (repeatable): go GOMAXPROCS, tokio TOKIO_WORKER_THREADS, rayon RAYON_NUM_THREADS,
    /// openmp OMP_NUM_THREADS, jvm -XX:ActiveProcessorCount={procs} in JAVA_TOOL_OPTIONS
    #[arg(long = "preset", value_name = "NAME")]
    pub presets: Vec<Preset>,
    /// Have a shell run the command, which is then one word, as in `--shell -- 'zcat x | app'`
    #[arg(
        long,
        value_name = "SHELL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "sh"
    )]
    pub shell: Option<String>,
    /// Working directory of the command, from which its path is seen too
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Standard input of the command, read from its start each time (default: nothing)
    #[arg(long, value_name = "FILE")]
    pub stdin: Option<PathBuf>,
    /// Any program; {procs} in an argument is replaced, GOMAXPROCS is always set
    #[arg(last = true, value_name = "CMD")]
    pub argv: Vec<String>,
}

impl ProgramArgs {
    /// The first option given that says how a command is started.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let options = [
            ("--env", !self.envs.is_empty()),
            ("--preset", !self.presets.is_empty()),
            ("--shell", self.shell.is_some()),
            ("--cwd", self.cwd.is_some()),
            ("--stdin", self.stdin.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}

/// What a command is measured by, and what runs around its samples.
#[derive(Clone, Debug, Args)]
pub struct CommandArgs {
    /// Throughput is the first group of the last match in the program's output
    #[arg(long, value_name = "REGEX")]
    pub metric: Option<String>,
    /// The metric is a time or a cost: throughput is 1 over it
    #[arg(long, requires = "metric")]
    pub lower_is_better: bool,
    /// The p99 latency, likewise: seconds, or with its unit as in 12.3ms
    #[arg(long, value_name = "REGEX")]
    pub latency_metric: Option<String>,
    /// Name of the throughput's unit
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Operations one run does, {procs} replaced (default: one run is one operation)
    #[arg(long, value_name = "N", conflicts_with = "metric")]
    pub ops: Option<String>,
    /// Run once before all samples, by `sh -c`; what it leaves running is ended
    #[arg(long, value_name = "CMD")]
    pub setup: Option<String>,
    /// Run before each sample, not timed, {procs} replaced
    #[arg(long, value_name = "CMD")]
    pub prepare: Option<String>,
    /// Run once after all samples, also after an interruption
    #[arg(long, value_name = "CMD")]
    pub cleanup: Option<String>,
}

impl CommandArgs {
    /// The first option given.
    #[must_use]
    pub fn first_given(&self) -> Option<&'static str> {
        let options = [
            ("--metric", self.metric.is_some()),
            ("--latency-metric", self.latency_metric.is_some()),
            ("--unit", self.unit.is_some()),
            ("--ops", self.ops.is_some()),
            ("--setup", self.setup.is_some()),
            ("--prepare", self.prepare.is_some()),
            ("--cleanup", self.cleanup.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }
}
