//! One short file a subcommand: each reads as the story of that subcommand.

mod list;
pub(crate) mod print;

use crate::cli::{Cli, Command};
use crate::error::Error;

/// Runs what was typed.
///
/// # Errors
/// As the subcommand says.
pub fn run(cli: &Cli) -> Result<(), Error> {
    match &cli.command {
        Command::List(args) => list::list(args),
        _ => unimplemented!("issue in progress"),
    }
}
