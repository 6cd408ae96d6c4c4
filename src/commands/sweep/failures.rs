//! What a sample that failed had printed, kept for whoever wants to know why.

use crate::error::Error;
use crate::measure::Sample;
use crate::results::{Folder, Place};

/// Folder within the target's.
const FOLDER: &str = "failures";

/// Writes what is there of the output of `sample` into the target's folder. Gives the files' names there, joined for a
/// message; `None` if nothing was printed.
///
/// # Errors
/// The disk fails.
pub(super) fn keep(folder: &Folder, place: &Place<'_>, sample: &Sample) -> Result<Option<String>, Error> {
    let mut names = Vec::new();
    for (stream, bytes) in [("stderr", &sample.stderr), ("stdout", &sample.stdout)] {
        if !bytes.is_empty() {
            let name = format!("{FOLDER}/round-{}-procs-{}.{stream}", place.round, place.procs);
            folder.write_file(&name, bytes)?;
            names.push(format!("`{name}`"));
        }
    }
    Ok((!names.is_empty()).then(|| names.join(" and ")))
}
