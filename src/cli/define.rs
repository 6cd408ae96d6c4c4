//! What clap cannot derive of the definition: subcommands in groups, and negative numbers that reach the check of their
//! own argument.

use std::fmt::Write as _;

use clap::builder::{StyledStr, Styles};
use clap::{Command, CommandFactory};

use super::Cli;

/// The subcommands in groups; any that stands in none comes last.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Measure", &["sweep", "run", "flamegraph", "costs", "watch"]),
    ("Decide and show", &["recommend", "compare", "report", "export", "trace"]),
    ("Look around", &["list", "doctor", "help"]),
    ("Set up", &["completions", "man", "schema"]),
];

/// The names of all that stand in a group.
pub fn subcommands() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, names)| names.iter().copied())
}

/// The definition that everything reads: the parser, `--help`, completions, the manual.
#[must_use]
pub fn command() -> Command {
    let command = with_negative_numbers(Cli::command());
    let groups = groups(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\n{header}Options:{header:#}\n{{options}}{{after-help}}",
        header = Styles::styled().get_header(),
    ))
}

/// A number below zero is a value of the option before it, so that its check can say what is wrong; clap would take it for
/// an option that there is none of.
fn with_negative_numbers(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let takes_value = arg.get_action().takes_values() && !arg.is_positional();
            arg.allow_negative_numbers(takes_value)
        })
        .mut_subcommands(with_negative_numbers)
}

/// A line a subcommand, under the headings of their groups.
fn groups(command: &Command) -> String {
    let (header, literal) =
        (Styles::styled().get_header().to_owned(), Styles::styled().get_literal().to_owned());
    let known = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let visible = || command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    let width = visible().map(|subcommand| subcommand.get_name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for (place, (heading, names)) in GROUPS.iter().enumerate() {
        let listed =
            names.iter().filter_map(|name| visible().find(|subcommand| subcommand.get_name() == *name));
        let strangers =
            visible().filter(|subcommand| place + 1 == GROUPS.len() && !known(subcommand.get_name()));
        let _ = writeln!(text, "\n{header}{heading}:{header:#}");
        for subcommand in listed.chain(strangers) {
            let name = subcommand.get_name();
            let about = subcommand.get_about().map(StyledStr::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {literal}{name:<width$}{literal:#}  {about}");
        }
    }
    text
}
