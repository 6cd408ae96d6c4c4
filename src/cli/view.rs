//! The subcommands that read what is there: `recommend`, `export`, `trace`, `list`, `doctor`; and `costs`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::plan::Policy;

/// Which columns of a CSV hold what.
#[derive(Clone, Debug, Args)]
pub struct TableArgs {
    /// Column of the worker count (any positive number)
    #[arg(long, value_name = "NAME", default_value = "procs")]
    pub procs_column: String,
    /// Column of the throughput
    #[arg(long, value_name = "NAME", default_value = "throughput")]
    pub throughput_column: String,
    /// Column of the latency that a latency policy judges, in seconds
    #[arg(long, value_name = "NAME")]
    pub latency_column: Option<String>,
}

/// `corefit recommend`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit recommend profiles\n  corefit recommend profiles/sort --policy throughput\n  \
                  corefit recommend results.csv --procs-column threads --throughput-column rps --json"
)]
pub struct RecommendArgs {
    /// A target's folder, a folder of targets, or a CSV
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// How to choose: knee[=0.05], throughput, efficiency=0.7, p99<=5ms, cost[=0.1]
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<Policy>,
    /// Fit this model in the default's place; `usl` is R's: least squares on throughput, no ceiling
    #[arg(long, value_name = "MODEL", value_enum)]
    pub model: Option<ModelArg>,
    /// Which columns of a CSV hold what
    #[command(flatten)]
    pub table: TableArgs,
    /// Show the whole reasoning; with --json, in a field `explain`
    #[arg(long)]
    pub explain: bool,
    /// Print the recommendation as JSON
    #[arg(long)]
    pub json: bool,
}

/// A model by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelArg {
    /// The Universal Scalability Law, as R's `usl` fits it.
    Usl,
}

/// `corefit export`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  corefit export profiles/sort --format csv -o sort.csv")]
pub struct ExportArgs {
    /// A target's folder, or a folder of targets
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// What to write: every sample as CSV, or manifest, points and samples as JSON
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: ExportFormat,
    /// Where to write (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A format of `corefit export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// samples.csv of all targets in one table.
    Csv,
    /// Manifest, points and samples of all targets in one document.
    Json,
}

/// `corefit trace`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  COREFIT_TRACE=sieve.trace corefit run sieve\n  \
                  corefit trace sieve.trace --format chrome -o sieve.json    open it in ui.perfetto.dev")]
pub struct TraceArgs {
    /// A file that a program recorded with COREFIT_TRACE=FILE
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What to write: trace events for Perfetto, or one row an event
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: TraceFormat,
    /// Where to write (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A format of `corefit trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// Chrome's JSON trace events.
    Chrome,
    /// One row an event.
    Csv,
}

/// `corefit schema`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  corefit schema config > corefit.schema.json")]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(value_name = "FILE", value_enum)]
    pub of: SchemaOf,
}

/// A file with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The sweeps that `sweep --config` reads.
    Config,
}

/// `corefit list`.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Print a JSON array of name, about, scaling and unit
    #[arg(long)]
    pub json: bool,
}

/// `corefit doctor`.
#[derive(Clone, Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `corefit costs`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  corefit costs --counts 1,10000 --rounds 3")]
pub struct CostsArgs {
    /// How many at once, 1 to 1000000 each; OS threads as far as the machine's limits allow
    #[arg(long, value_name = "N[,M]…", value_delimiter = ',', default_value = "1,1000,100000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub counts: Vec<u64>,
    /// Processes for each measurement; fewer if they take more than a minute
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print no progress
    #[arg(short, long)]
    pub quiet: bool,
}
