//! `corefit export`: saved results in another format.

use std::io::{self, IsTerminal as _};

use super::{evidence, print};
use crate::cli::{ExportArgs, ExportFormat};
use crate::error::Error;
use crate::report::html::Subject;
use crate::report::picture;
use crate::results::Saved;
use crate::{quote, report, results};

/// Writes every saved sample of the folder, or a picture of one target.
///
/// # Errors
/// The folder holds no sweep that can be read, or several where a picture shows one; a PNG would go to a terminal; the
/// output cannot be written.
pub(super) fn export(args: &ExportArgs) -> Result<(), Error> {
    let saved = results::load(&args.path)?;
    let is_picture = matches!(args.format, ExportFormat::Svg | ExportFormat::Png);
    let bytes = if is_picture { drawn(args, &saved)? } else { Vec::new() };
    print::to(args.output.as_deref(), |to| match args.format {
        ExportFormat::Csv => results::export::csv(&saved, to),
        ExportFormat::Json => results::export::json(&saved, to),
        ExportFormat::Markdown => to.write_all(report::markdown::text(&saved).as_bytes()),
        ExportFormat::Benchfmt => results::export::benchfmt(&saved, to),
        ExportFormat::Hyperfine => results::export::hyperfine(&saved, to),
        ExportFormat::Svg | ExportFormat::Png => to.write_all(&bytes),
    })
}

fn drawn(args: &ExportArgs, saved: &[Saved]) -> Result<Vec<u8>, Error> {
    let [one] = saved else {
        return Err(Error::Usage(format!(
            "a picture shows one target, and `{}` has {}; name the folder of one of them",
            quote::path(&args.path),
            saved.len()
        )));
    };
    let answer = evidence::answer(one);
    let subject = Subject { saved: one, answer: answer.as_deref(), flames: &[], has_index: false };
    if args.format == ExportFormat::Svg {
        return Ok(picture::svg(&subject).into_bytes());
    }
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(Error::Usage("a PNG is not for a terminal; add `-o FILE`".to_owned()));
    }
    Ok(picture::png(&subject))
}
