//! The command line: what was typed, as plain data. Nothing here measures, reads or writes.
//!
//! clap's types stop in this module: a parse error becomes one line (see [`usage_line`]), and the commands get structs.

mod command;
mod compare;
pub(crate) mod config;
mod define;
mod help;
mod serve;
mod sweep;
mod view;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};

pub use command::{CommandArgs, ProgramArgs};
pub use compare::CompareArgs;
pub use define::{command, subcommands};
pub use help::{HelpArgs, TOPICS, Topic};
pub use serve::ServeArgs;
pub use sweep::{SweepArgs, WorkloadArgs};
pub use view::{
    CompletionsArgs, CostsArgs, DoctorArgs, ExportArgs, ExportFormat, ListArgs, ManArgs, ModelArg,
    RecommendArgs, ReportArgs, SchemaArgs, SchemaOf, TableArgs, TraceArgs, TraceFormat,
};
pub use watch::WatchArgs;

use help::FIRST_STEPS;

/// Everything typed.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "corefit",
    version,
    about = "Finds the worker count that fits a program",
    long_about = "corefit runs a program at several values of GOMAXPROCS (or any worker-count setting), measures each \
                  one honestly, shows where the time goes, and recommends a value with its confidence and its reason.",
    after_help = "Examples:\n  corefit sweep                                   every bundled workload\n  \
                  corefit sweep mandelbrot --procs 1..4           one of them\n  \
                  corefit sweep --env RAYON_NUM_THREADS -- ./app  your own program\n  \
                  corefit recommend profiles/mandelbrot           decide again, as you like\n\n\
                  Pages: corefit help procs|metrics|policies|files, corefit help SUBCOMMAND",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What applies to every subcommand.
    #[command(flatten)]
    pub global: GlobalArgs,
}

/// Options of every subcommand.
#[derive(Clone, Copy, Debug, Args)]
pub struct GlobalArgs {
    /// When to colour what is printed; `auto` heeds the terminal, NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub color: Color,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "a comment would make `--help` list three words on seven lines")]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Measure workloads or a command, and recommend a worker count
    Sweep(Box<SweepArgs>),
    /// Measure one sample of a workload and show it
    Run(RunArgs),
    /// Follow a sweep that another process measures
    Watch(WatchArgs),
    /// Sample where a program spends its CPU time, or waits, and draw it
    Flamegraph(FlamegraphArgs),
    /// Decide again from saved results, or from any CSV
    Recommend(RecommendArgs),
    /// Write the report of saved sweeps, for a browser
    Report(ReportArgs),
    /// Write saved results in another format
    Export(ExportArgs),
    /// Say whether a program has become slower: exit code 3 if it has
    Compare(CompareArgs),
    /// Make a recorded goroutine trace readable
    Trace(TraceArgs),
    /// Measure what green threads cost here against OS threads
    Costs(CostsArgs),
    /// Print the JSON schema of a file that is read or written
    Schema(SchemaArgs),
    /// List the bundled workloads
    List(ListArgs),
    /// Say what this machine is and what can be measured on it
    Doctor(DoctorArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
    /// Explain a subcommand, or procs, metrics, policies or files
    Help(HelpArgs),
}

/// `corefit run`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Example:\n  corefit run mandelbrot --procs 2")]
pub struct RunArgs {
    /// The workload (`corefit list` names them)
    #[arg(value_name = "WORKLOAD")]
    pub workload: String,
    /// GOMAXPROCS, 1 to 4096 (default: the CPUs this process may use)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub procs: Option<u32>,
    /// How the workload is sized
    #[command(flatten)]
    pub workload_args: WorkloadArgs,
    /// CPU quota of the program, in CPUs: 0.01 and up (a cgroup of its own)
    #[arg(long, value_name = "Q", value_parser = crate::plan::parse_cpus)]
    pub cpus: Option<f64>,
    /// Longest time the sample may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = crate::plan::parse_duration)]
    pub timeout: std::time::Duration,
    /// Open no perf counters
    #[arg(long)]
    pub no_counters: bool,
    /// Print the sample's row of samples.csv as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// `corefit flamegraph`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  corefit flamegraph mandelbrot --procs 2\n  \
                  corefit flamegraph mutex_counter --procs 1,4 -o diff.svg    what 4 add\n  \
                  corefit flamegraph pipeline --off-cpu      where its goroutines wait\n  \
                  corefit flamegraph -p 1234 --off-cpu       where a process' threads wait\n  \
                  corefit flamegraph sort -o sort.pb.gz && go tool pprof -top sort.pb.gz\n  \
                  corefit flamegraph --procs 4 -- ./app --threads {procs}")]
pub struct FlamegraphArgs {
    /// The workload (`corefit list` names them)
    #[arg(value_name = "WORKLOAD", conflicts_with_all = ["pid", "argv"])]
    pub workload: Option<String>,
    /// A process that already runs, with its threads and children
    #[arg(short = 'p', long = "pid", value_name = "PID", conflicts_with_all = ["argv", "procs"])]
    pub pid: Option<u32>,
    /// Worker count (default: the CPUs this process may use); two values draw the difference between them
    #[arg(long, value_name = "N[,M]", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub procs: Vec<u32>,
    /// Where to write; the suffix decides: `.svg` (its `.folded` goes beside it), `.folded`, `.pb.gz` for pprof, `.json` for
    /// the Firefox Profiler (default: flamegraph.svg)
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Samples a second on each CPU
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = 997, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub frequency: u32,
    /// Show where it waits in place of where it computes; the counts are microseconds. Of a workload: its goroutines, by where
    /// each was spawned, where it waits and for what. Of any other program: its threads
    #[arg(long, conflicts_with = "frequency")]
    pub off_cpu: bool,
    /// With --off-cpu: where the threads of a workload wait, in place of its goroutines
    #[arg(long, requires = "off_cpu")]
    pub threads: bool,
    /// Longest time to sample; a program that was started for it is stopped then
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::plan::parse_duration)]
    pub duration: std::time::Duration,
    /// Tell threads apart: the outermost frame is `name (tid)`
    #[arg(long)]
    pub per_thread: bool,
    /// How the workload is sized
    #[command(flatten)]
    pub workload_args: WorkloadArgs,
    /// How a command is started
    #[command(flatten)]
    pub program: ProgramArgs,
}

/// Why there is nothing to do, or only to print.
#[derive(Debug)]
pub enum Error {
    /// What clap says of the arguments, help and version included.
    Clap(clap::Error),
    /// What is wrong with a file that the arguments name, or with arguments beside it, in one line.
    Config(String),
}

impl From<clap::Error> for Error {
    fn from(error: clap::Error) -> Self {
        Self::Clap(error)
    }
}

/// Reads the process's arguments.
///
/// # Errors
/// They are wrong, or ask for help or the version (see [`report`]).
pub fn parse() -> Result<Cli, Error> {
    parse_from(&std::env::args_os().collect::<Vec<_>>())
}

/// Reads `args`, the program's name first, and the file of sweeps that they name.
///
/// # Errors
/// As [`parse`].
pub fn parse_from(args: &[OsString]) -> Result<Cli, Error> {
    if let Some(cli) = config::expand(args)? {
        return Ok(cli);
    }
    let cli = Cli::from_arg_matches(&command().try_get_matches_from(args)?)?;
    // clap takes no command for none at all, and none means every workload.
    if args.last().is_some_and(|last| last == "--") {
        return Err(Error::Config("there is no command after `--`; give one, or leave out `--`".to_owned()));
    }
    Ok(cli)
}

/// Prints what is wrong as one line (exit code 2); help and version on standard output (exit code 0).
#[must_use]
pub fn report(error: &Error) -> ExitCode {
    let error = match error {
        Error::Clap(error) if !error.use_stderr() => error,
        Error::Clap(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            anstream::eprint!("{FIRST_STEPS}");
            return ExitCode::from(2);
        }
        Error::Clap(error) => {
            anstream::eprintln!("corefit: {}", usage_line(error));
            return ExitCode::from(2);
        }
        Error::Config(line) => {
            anstream::eprintln!("corefit: {line}");
            return ExitCode::from(2);
        }
    };
    // A reader that went away does not matter here.
    let _ = error.print();
    ExitCode::SUCCESS
}

/// clap's message as one line: what is wrong and what to do, without the usage block.
#[must_use]
pub fn usage_line(error: &clap::Error) -> String {
    format!("{}; try `corefit --help`", bare_line(error))
}

/// clap's message as one line: what is wrong, whatever control characters were typed.
fn bare_line(error: &clap::Error) -> String {
    let text = error.to_string();
    // Where `--` is followed by a command, or another argument was meant, a value after `--` is no way out.
    let is_wrong_tip = |line: &str| {
        let other_way = text.contains("<CMD>") || text.contains("a similar argument exists");
        other_way && line.starts_with("tip: to pass ")
    };
    let parts: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"))
        .filter(|line| !line.is_empty() && !line.starts_with("For more information") && !is_wrong_tip(line))
        .collect();
    let line = parts.join(" ").replace(" tip: ", "; ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A percentage, with or without its sign, that `fits`; `range` says which do.
fn percentage(text: &str, range: &str, fits: impl Fn(f64) -> bool) -> Result<f64, String> {
    let value = text.trim_end_matches('%').parse().ok();
    value.filter(|value| fits(*value)).ok_or_else(|| format!("not a percentage {range}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_examples_and_a_group() {
        let mut command = command();
        let help = command.render_help().to_string();
        for subcommand in command.get_subcommands_mut() {
            let name = subcommand.get_name().to_owned();
            let text = subcommand.render_long_help().to_string();
            assert!(text.contains("Example") && text.contains(&format!("corefit {name}")), "{name}: {text}");
            assert!(help.contains(&format!("\n  {name} ")), "{name} is not in:\n{help}");
        }
    }

    #[test]
    fn a_negative_value_is_refused_for_what_it_is() {
        let line = refused(&["corefit", "sweep", "--precision", "-1", "sort"]);
        assert!(line.contains("'--precision <PCT>'") && line.contains("above 0"), "{line}");
        let line = refused(&["corefit", "sweep", "-1"]);
        assert!(line.contains("'-1'") && !line.contains("-- -1"), "{line}");
        let line = refused(&["corefit", "recommend", "-x"]);
        assert!(line.contains("use '-- -x'"), "a path may begin like that: {line}");
    }

    fn parse_args(args: &[&str]) -> Result<Cli, clap::Error> {
        command().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches))
    }

    #[track_caller]
    fn refused(args: &[&str]) -> String {
        let error = parse_args(args).expect_err("these arguments are wrong");
        let line = usage_line(&error);
        assert!(!line.contains('\n'), "{line:?}");
        line
    }

    #[test]
    fn a_wrong_argument_becomes_one_line() {
        let line = refused(&["corefit", "sweep", "--precs", "1"]);
        assert!(line.contains("--precs") && line.contains("--procs"), "{line}");
        assert!(line.contains("found; a similar argument"), "{line}");
        assert!(refused(&["corefit", "nonsense"]).contains("nonsense"));
        assert!(refused(&["corefit", "sweep", "--procs", "8..1"]).contains("8..1"));
    }

    #[test]
    fn what_follows_two_dashes_is_the_command() {
        let cli =
            parse_args(&["corefit", "sweep", "--procs", "1,2", "--", "app", "--procs", "{procs}"]).unwrap();
        let Command::Sweep(args) = cli.command else { panic!("a sweep") };
        assert_eq!(args.program.argv, ["app", "--procs", "{procs}"]);
        assert!(args.workloads.is_empty());
    }
}
