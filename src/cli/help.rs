//! `corefit help`, and what is said to somebody who types nothing at all.

use clap::Args;

/// `corefit help`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  corefit help procs\n  corefit help sweep")]
pub struct HelpArgs {
    /// procs, metrics, policies, files, or a subcommand (default: what `--help` says)
    #[arg(value_name = "PAGE")]
    pub page: Option<String>,
}

/// A page about what several subcommands share.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// What is typed after `corefit help`.
    pub name: &'static str,
    /// The page.
    pub text: &'static str,
}

/// All of them.
pub const TOPICS: [Topic; 4] = [
    Topic { name: "procs", text: include_str!("topics/procs.txt") },
    Topic { name: "metrics", text: include_str!("topics/metrics.txt") },
    Topic { name: "policies", text: include_str!("topics/policies.txt") },
    Topic { name: "files", text: include_str!("topics/files.txt") },
];

/// What to do first.
pub(super) const FIRST_STEPS: &str = "\
corefit finds the worker count that fits a program: it measures several and recommends one.

  corefit doctor                          what can be measured on this machine
  corefit sweep mandelbrot --quick        a first look at a bundled workload, in seconds
  corefit sweep --preset go -- ./app      your own program; also tokio, rayon, openmp, jvm
  corefit help                            all subcommands, and pages about what they share
";
