//! `corefit export`: saved results in another format.

use super::print;
use crate::cli::{ExportArgs, ExportFormat};
use crate::error::Error;
use crate::{report, results};

/// Writes every saved sample of the folder.
///
/// # Errors
/// The folder holds no sweep that can be read, or the output cannot be written.
pub(super) fn export(args: &ExportArgs) -> Result<(), Error> {
    let saved = results::load(&args.path)?;
    print::to(args.output.as_deref(), |to| match args.format {
        ExportFormat::Csv => results::export::csv(&saved, to),
        ExportFormat::Json => results::export::json(&saved, to),
        ExportFormat::Markdown => to.write_all(report::markdown::text(&saved).as_bytes()),
        ExportFormat::Benchfmt => results::export::benchfmt(&saved, to),
        ExportFormat::Hyperfine => results::export::hyperfine(&saved, to),
    })
}
