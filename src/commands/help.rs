//! `corefit help`: a page about what several subcommands share, or a subcommand's own.

use std::fmt::Write as _;

use super::documents::schema_of;
use super::print;
use crate::cli::{self, HelpArgs, TOPICS};
use crate::error::Error;
use crate::report::wrap;
use crate::results::{COLUMNS, SampleRow};
use crate::{quote, suggest};

/// The page that ends with the columns of samples.csv.
const WITH_COLUMNS: &str = "files";

/// Prints the page asked for, or what `--help` does.
///
/// # Errors
/// There is no such page, or standard output cannot be written.
pub(super) fn help(args: &HelpArgs) -> Result<(), Error> {
    let mut command = cli::command();
    command.build();
    let Some(name) = &args.page else { return of_command(&mut command) };
    if let Some(topic) = TOPICS.iter().find(|topic| topic.name == name) {
        let columns = if topic.name == WITH_COLUMNS { columns() } else { String::new() };
        return print::text(&format!("{}{columns}", topic.text));
    }
    if let Some(subcommand) = command.find_subcommand_mut(name) {
        return of_command(subcommand);
    }
    let pages = TOPICS.iter().map(|topic| topic.name);
    let pages: Vec<&str> = pages.chain(command.get_subcommands().map(clap::Command::get_name)).collect();
    let meant = suggest::closest(name, pages.iter().copied());
    let meant = meant.map_or_else(String::new, |page| format!(" (did you mean `{page}`?)"));
    let topics: Vec<String> = TOPICS.iter().map(|topic| format!("`{}`", topic.name)).collect();
    let name = quote::one_line(name);
    Err(Error::Usage(format!(
        "there is no page `{name}`{meant}; there are {}, and one of each subcommand",
        topics.join(", ")
    )))
}

fn of_command(command: &mut clap::Command) -> Result<(), Error> {
    print::text(&command.render_long_help().ansi().to_string())
}

/// The columns of samples.csv, each with what its schema says of it.
fn columns() -> String {
    let schema = schema_of::<SampleRow>();
    let width = COLUMNS.iter().map(|column| column.len()).max().unwrap_or_default();
    COLUMNS.iter().fold(String::new(), |mut text, column| {
        let described = &schema["properties"][column];
        let named = described["$ref"].as_str().and_then(|path| schema.pointer(path.trim_start_matches('#')));
        let about = named.unwrap_or(described)["description"].as_str().unwrap_or_default();
        let _ = write!(text, "{}", wrap::paragraph(&format!("  {column:<width$}  "), about));
        text
    })
}
