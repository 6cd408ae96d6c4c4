//! `corefit completions`: what a shell completes after `corefit`.

use clap::Arg;
use clap::builder::PossibleValuesParser;

use super::print;
use crate::cli::{self, CompletionsArgs};
use crate::error::Error;

/// Prints the script for the shell.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let mut command = cli::command();
    // Names are checked elsewhere, with a message of their own; here they are what a shell offers.
    for (subcommand, argument) in [("sweep", "workloads"), ("run", "workload"), ("flamegraph", "workload")] {
        let names = corefit_workloads::all().iter().map(|workload| workload.name);
        let all = (subcommand == "sweep").then_some("all");
        let names = PossibleValuesParser::new(names.chain(all));
        // All of them are passed by, since changing one moves it behind the others.
        let offer = |arg: Arg| if arg.get_id() == argument { arg.value_parser(names.clone()) } else { arg };
        command = command.mut_subcommand(subcommand, |command| command.mut_args(offer));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "corefit", &mut script);
    print::to(None, |to| to.write_all(&script))
}
