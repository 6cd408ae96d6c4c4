//! The subcommands that read what is there: `recommend`, `report`, `export`, `trace`, `list`, `doctor`; and `costs`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::plan::Policy;

/// Which columns of a CSV hold what.
#[derive(Clone, Debug, Args)]
pub struct TableArgs {
    /// Column of the worker count (any positive number), or hyperfine's parameter
    #[arg(long, value_name = "NAME", default_value = "procs")]
    pub procs_column: String,
    /// Column of the throughput
    #[arg(long, value_name = "NAME", default_value = "throughput")]
    pub throughput_column: String,
    /// Column of the latency, in seconds
    #[arg(long, value_name = "NAME")]
    pub latency_column: Option<String>,
}

/// `corefit recommend`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit recommend profiles\n  corefit recommend profiles/sort --policy throughput\n  \
                  corefit recommend results.csv --procs-column threads --throughput-column rps\n  \
                  hyperfine -P threads 1 8 --export-json scan.json './app -j {threads}'\n  \
                  corefit recommend scan.json"
)]
pub struct RecommendArgs {
    /// A target's folder, a folder of targets, a CSV, or what `hyperfine --export-json` wrote of a scan
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

/// `corefit report`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit report profiles                          all targets, and index.html\n  \
                  corefit report profiles/sort -o sort.html"
)]
pub struct ReportArgs {
    /// A target's folder, or a folder of targets
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Where to write the report of one target (default: report.html in its folder)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `corefit export`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit export profiles/sort --format csv -o sort.csv    pandas, R, DuckDB\n  \
                  corefit export profiles/sort --format markdown           a pull request\n  \
                  corefit export profiles/sort --format png -o sort.png    the curve\n  \
                  corefit export profiles --format benchfmt -o new.txt\n  \
                  benchstat -col /procs new.txt"
)]
pub struct ExportArgs {
    /// A target's folder, or a folder of targets
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// What to write
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub format: ExportFormat,
    /// Where to write (default: standard output)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// A format of `corefit export`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Every sample of all targets, one row each, the columns of samples.csv
    Csv,
    /// Manifest, points and samples of all targets in one document (`corefit schema export`)
    Json,
    /// A table of the points of each target and what to take, for a pull request
    Markdown,
    /// Go's benchmark format: a line a sample, for `benchstat -col /procs`
    Benchfmt,
    /// What hyperfine's scripts read: the wall times of each worker count
    Hyperfine,
    /// The curve of one target as a picture, for a document or a page
    Svg,
    /// The same picture as pixels, two for each of the SVG's
    Png,
}

/// `corefit trace`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  COREFIT_TRACE=sieve.trace corefit run sieve\n  \
                  corefit trace sieve.trace --format chrome -o sieve.json    for ui.perfetto.dev")]
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
#[command(after_help = "Examples:\n  corefit schema config > corefit.schema.json    for an editor\n  \
                  corefit schema recommendation                  of `recommend --json`")]
pub struct SchemaArgs {
    /// What the schema is of
    #[arg(value_name = "FILE", value_enum)]
    pub of: SchemaOf,
}

/// A file or document with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// The file that `sweep --config` reads
    Config,
    /// What `sweep --json` prints
    Sweep,
    /// sweep.json in a target's folder
    Manifest,
    /// What `run --json` prints: a row of samples.csv
    Run,
    /// What `recommend --json` prints
    Recommendation,
    /// What `export --format json` writes
    Export,
    /// What `compare --json` prints
    Compare,
    /// What `costs --json` prints
    Costs,
    /// What `list --json` prints
    List,
    /// What `doctor --json` prints
    Doctor,
}

/// `corefit completions`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit completions bash > ~/.local/share/bash-completion/completions/corefit\n  \
                  corefit completions zsh > ~/.zfunc/_corefit\n  \
                  corefit completions fish > ~/.config/fish/completions/corefit.fish\n\n\
                  zsh finds it with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc."
)]
pub struct CompletionsArgs {
    /// The shell to write them for
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: clap_complete::Shell,
}

/// `corefit man`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  corefit man | man -l -\n  corefit man sweep | man -l -\n  \
                  corefit man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// A subcommand (default: the page of corefit itself)
    #[arg(value_name = "SUBCOMMAND", conflicts_with = "dir")]
    pub subcommand: Option<String>,
    /// Write all pages into this folder: corefit.1, corefit-sweep.1 and so on
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `corefit list`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  corefit list --json")]
pub struct ListArgs {
    /// Print a JSON array of name, about, scaling and unit
    #[arg(long)]
    pub json: bool,
}

/// `corefit doctor`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit doctor\n  corefit doctor --json > doctor.json    for a bug report"
)]
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
