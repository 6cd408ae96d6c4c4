//! `corefit completions`: what a shell completes after `corefit`.

use std::fmt::Write as _;

use clap::Arg;
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap_complete::Shell;

use super::print;
use crate::cli::{self, CompletionsArgs, TOPICS};
use crate::error::Error;
use crate::target::Preset;

/// Prints the script for the shell.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Error> {
    let mut command = cli::command();
    for (subcommand, argument, values) in offers(&command) {
        let values = PossibleValuesParser::new(values);
        // All of them are passed by, since changing one moves it behind the others.
        let offer = |arg: Arg| if arg.get_id() == argument { arg.value_parser(values.clone()) } else { arg };
        command = command.mut_subcommand(subcommand, |command| command.mut_args(offer));
    }
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "corefit", &mut script);
    if args.shell == Shell::Fish {
        script.extend(fish_positionals(&command).into_bytes());
    }
    print::to(None, |to| to.write_all(&script))
}

/// Subcommand, argument and names that are checked elsewhere, with messages of their own; here they are what a shell offers.
fn offers(command: &clap::Command) -> Vec<(&'static str, &'static str, Vec<PossibleValue>)> {
    let named = |name: &'static str, about: &'static str| PossibleValue::new(name).help(about);
    let workloads: Vec<PossibleValue> =
        corefit_workloads::all().iter().map(|workload| named(workload.name, workload.about)).collect();
    let all = named("all", "every bundled workload");
    let about = |name| command.find_subcommand(name).and_then(clap::Command::get_about).cloned();
    let subcommands: Vec<PossibleValue> = cli::subcommands()
        .map(|name| PossibleValue::new(name).help(about(name).unwrap_or_default()))
        .collect();
    let topics = TOPICS.iter().map(|topic| named(topic.name, topic.title()));
    let presets = || Preset::names().map(PossibleValue::new).collect();
    vec![
        ("sweep", "workloads", workloads.iter().cloned().chain([all]).collect()),
        ("sweep", "presets", presets()),
        ("run", "workload", workloads.clone()),
        ("flamegraph", "workload", workloads),
        ("flamegraph", "presets", presets()),
        ("help", "page", topics.chain(subcommands.iter().cloned()).collect()),
        ("man", "subcommand", subcommands),
    ]
}

/// What the generator for fish leaves out: the values of arguments without a name. Files are offered beside them where the
/// subcommand takes a path or a command as well.
fn fish_positionals(command: &clap::Command) -> String {
    let mut script = String::new();
    for subcommand in command.get_subcommands() {
        let of = |arg: &Arg| arg.get_possible_values();
        let takes_files = subcommand.get_positionals().any(|arg| of(arg).is_empty());
        let no_files = if takes_files { "" } else { " -f" };
        for value in subcommand.get_positionals().flat_map(of) {
            let about = value.get_help().map_or_else(String::new, ToString::to_string);
            let about = about.replace('\\', "\\\\").replace('\'', "\\'");
            let _ = writeln!(
                script,
                "complete -c corefit -n \"__fish_corefit_using_subcommand {}\"{no_files} -a {} -d '{about}'",
                subcommand.get_name(),
                value.get_name()
            );
        }
    }
    script
}
