//! `corefit compare`.

use std::path::PathBuf;

use clap::Args;

use super::{TableArgs, percentage};

/// `corefit compare`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit compare profiles/sort.prev profiles/sort    against the sweep before\n  \
                  corefit compare main-profiles branch-profiles --threshold 3\n  \
                  corefit compare old.csv new.csv --procs-column threads --json\n\nExit code 3: a regression."
)]
pub struct CompareArgs {
    /// As it was: a target's folder, a folder of targets, or a CSV
    #[arg(value_name = "BASE")]
    pub base: PathBuf,
    /// As it is now; targets are matched by name
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// Loss of throughput that is allowed, in percent
    #[arg(long, value_name = "PCT", default_value_t = 5.0, value_parser = allowed)]
    pub threshold: f64,
    /// Chance that two runs of the same program are called different
    #[arg(long, value_name = "P", default_value_t = 0.05, value_parser = probability)]
    pub alpha: f64,
    /// Growth of the latency's 99th percentile that is allowed, in percent; without it latency closes no gate
    #[arg(long, value_name = "PCT", value_parser = growth)]
    pub latency_threshold: Option<f64>,
    /// Which columns of a CSV hold what
    #[command(flatten)]
    pub table: TableArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A percentage that may be 0, below 100.
fn allowed(text: &str) -> Result<f64, String> {
    percentage(text, "from 0 to below 100", |value| (0.0..100.0).contains(&value))
}

/// A percentage that may be 0 or more than 100.
fn growth(text: &str) -> Result<f64, String> {
    percentage(text, "from 0 on", |value| value >= 0.0 && value.is_finite())
}

/// Least `--alpha`: below it no number of samples that is worth measuring is enough.
const LEAST_ALPHA: f64 = 1e-9;

fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (LEAST_ALPHA..1.0).contains(&value) => Ok(value),
        _ => Err("not a probability between 0 and 1".to_owned()),
    }
}
