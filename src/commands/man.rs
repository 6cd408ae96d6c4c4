//! `corefit man`: the manual, made from the same definition as `--help`.

use std::io::{self, Write};
use std::path::Path;

use clap_mangen::Man;

use super::print;
use crate::cli::{self, ManArgs};
use crate::error::Error;
use crate::{quote, suggest};

/// Prints one page, or writes all of them into a folder.
///
/// # Errors
/// There is no such subcommand, or the page cannot be written.
pub(super) fn man(args: &ManArgs) -> Result<(), Error> {
    let mut command = cli::command();
    command.build();
    if let Some(folder) = &args.dir {
        return all(&command, folder);
    }
    let Some(name) = &args.subcommand else { return print::to(None, |to| page(&command, to)) };
    match command.find_subcommand(name) {
        Some(subcommand) => print::to(None, |to| page(subcommand, to)),
        None => {
            let names = command.get_subcommands().map(clap::Command::get_name);
            let meant = suggest::closest(name, names)
                .map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"));
            let name = quote::one_line(name);
            Err(Error::Usage(format!("there is no subcommand `{name}`{meant}; `corefit --help` lists them")))
        }
    }
}

/// One file a page: `corefit.1`, and `corefit-NAME.1` of each subcommand.
fn all(command: &clap::Command, folder: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
    let visible = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
    for page_of in std::iter::once(command).chain(visible) {
        let path = folder.join(format!("{}.1", title(page_of)));
        print::to(Some(&path), |to| page(page_of, to))?;
    }
    Ok(())
}

fn page(command: &clap::Command, to: &mut dyn Write) -> io::Result<()> {
    let mut page = Vec::new();
    Man::new(command.clone()).title(title(command)).render(&mut page)?;
    to.write_all(&page)
}

/// `corefit`, `corefit-sweep`.
fn title(command: &clap::Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}
