//! `corefit report`: saved sweeps as pages for a browser; and the same pages at the end of a sweep.

use std::path::Path;

use super::{evidence, print};
use crate::cli::ReportArgs;
use crate::error::Error;
use crate::quote;
use crate::report::html::{self, Entry, Subject};
use crate::results::{self, INDEX, Index, REPORT, Saved};

/// Writes the report of each target found under the path, and the index over them if it is a folder of targets. Prints
/// the paths of the pages.
///
/// # Errors
/// The path holds no sweep that can be read, `-o` is given for several, or a page cannot be written.
pub(super) fn report(args: &ReportArgs) -> Result<(), Error> {
    let saved = results::load(&args.path)?;
    if let Some(output) = &args.output {
        let [one] = saved.as_slice() else {
            return Err(Error::Usage(format!(
                "`-o` takes the report of one target, and `{}` has {}; name the folder of one of them",
                quote::path(&args.path),
                saved.len()
            )));
        };
        let html = page(one, false)?;
        return print::to(Some(output), |to| to.write_all(html.as_bytes()));
    }
    let is_of_all = saved.iter().all(|one| one.folder != args.path);
    for one in &saved {
        let has_index = is_of_all || one.folder.parent().is_some_and(|out| out.join(INDEX).is_file());
        let html = page(one, has_index)?;
        let path = one.folder.join(REPORT);
        print::to(Some(&path), |to| to.write_all(html.as_bytes()))?;
        print::line(&path.display().to_string())?;
    }
    if is_of_all {
        write_index(&args.path, &results::index_only(&args.path)?)?;
        print::line(&args.path.join(INDEX).display().to_string())?;
    }
    Ok(())
}

/// The report of one target. A sweep that did not come to its end is decided from what it left.
///
/// # Errors
/// A flame graph is there and cannot be read.
pub(super) fn page(saved: &Saved, has_index: bool) -> Result<String, Error> {
    let flames = results::flames(&saved.folder)?;
    let answer = evidence::answer(saved);
    Ok(html::report(&Subject { saved, answer: answer.as_deref(), flames: &flames, has_index }))
}

/// Writes the page over all targets of the folder `out`.
///
/// # Errors
/// It cannot be written.
pub(super) fn write_index(out: &Path, index: &Index) -> Result<(), Error> {
    let names: Vec<String> = index
        .targets
        .iter()
        .map(|(folder, _)| folder.file_name().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let entries: Vec<Entry<'_>> = index
        .targets
        .iter()
        .zip(&names)
        .map(|((place, manifest), folder)| Entry {
            folder,
            manifest,
            has_report: place.join(REPORT).is_file(),
        })
        .collect();
    let html = html::index(&entries, &index.left_out);
    print::to(Some(&out.join(INDEX)), |to| to.write_all(html.as_bytes()))
}
