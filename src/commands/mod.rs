//! One short file a subcommand: each reads as the story of that subcommand.

mod compare;
mod completions;
mod costs;
mod doctor;
mod documents;
mod evidence;
mod export;
mod flamegraph;
mod help;
mod list;
mod man;
mod print;
mod recommend;
mod report;
mod run;
mod schema;
mod sweep;
mod trace;
mod watch;

use crate::cli::{Cli, Color, Command};
use crate::error::Error;

/// Runs what was typed.
///
/// # Errors
/// As the subcommand says.
pub fn run(cli: &Cli) -> Result<(), Error> {
    choose_colour(cli.global.color);
    match &cli.command {
        Command::Sweep(args) => sweep::sweep(args),
        Command::Run(args) => run::run(args),
        Command::Flamegraph(args) => flamegraph::flamegraph(args),
        Command::Recommend(args) => recommend::recommend(args),
        Command::Report(args) => report::report(args),
        Command::Export(args) => export::export(args),
        Command::Compare(args) => compare::run(args),
        Command::Trace(args) => trace::trace(args),
        Command::Costs(args) => costs::costs(args),
        Command::Schema(args) => schema::schema(args),
        Command::List(args) => list::list(args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Completions(args) => completions::completions(args),
        Command::Watch(args) => watch::watch(args),
        Command::Man(args) => man::man(args),
        Command::Help(args) => help::help(args),
    }
}

/// Tells the streams when to strip colours; `auto` leaves it to the terminal, `NO_COLOR` and `CLICOLOR_FORCE`.
fn choose_colour(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}
