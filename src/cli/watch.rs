//! `corefit watch`.

use std::path::PathBuf;

use clap::Args;

/// `corefit watch`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Examples:\n  corefit watch                        in another terminal than `corefit sweep`\n  \
                  corefit watch profiles/sort --once   one look, for a script"
)]
pub struct WatchArgs {
    /// A target's folder, or a folder of targets of which one is being measured
    #[arg(value_name = "DIR", default_value = "profiles")]
    pub folder: PathBuf,
    /// Print one view and exit
    #[arg(long)]
    pub once: bool,
}
