//! Saved sweeps, read back.

use std::fs;
use std::path::{Path, PathBuf};

use super::folder::FORMER;
use super::manifest::{self, Manifest};
use super::{Error, SampleRow, journal, lock};
use crate::quote;

/// A saved sweep of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Saved {
    /// Where it is.
    pub folder: PathBuf,
    /// What was measured and how.
    pub manifest: Manifest,
    /// Every sample in the order they were measured; may be empty. The torn last line of a sweep that was killed is
    /// left out.
    pub rows: Vec<SampleRow>,
}

/// Reads the sweep in the folder of a target, or those of all targets in an `--out` folder, by name. Never empty.
///
/// # Errors
/// [`Error::Input`]: there is no sweep, or a file of one is unusable; the text names file, line and column.
pub fn load(path: &Path) -> Result<Vec<Saved>, Error> {
    folders(path)?
        .into_iter()
        .map(|folder| {
            let manifest = Manifest::read(&folder)?;
            let rows = journal::read(&folder)?;
            Ok(Saved { folder, manifest, rows })
        })
        .collect()
}

/// The folder of a target, or those of all targets in an `--out` folder. Never empty.
fn folders(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let folders = if path.join(manifest::FILE).is_file() { vec![path.to_owned()] } else { targets_in(path)? };
    if folders.is_empty() {
        let path = quote::path(path);
        return Err(Error::Input(format!(
            "there is no sweep in `{path}`: neither it nor a folder in it has a `{}`; `corefit sweep` makes one",
            manifest::FILE
        )));
    }
    Ok(folders)
}

/// The folder of the target that is being measured: the one at `path`, or the newest of those in it; `None` if none is.
///
/// # Errors
/// [`Error::Input`]: there is no sweep.
pub fn measured_in(path: &Path) -> Result<Option<PathBuf>, Error> {
    let folders = folders(path)?;
    let running = folders.into_iter().filter(|folder| lock::is_held(folder));
    Ok(running
        .max_by_key(|folder| folder.join(manifest::FILE).metadata().and_then(|file| file.modified()).ok()))
}

/// The folded stacks of the CPU profiles in a target's folder, by worker count. One that cannot be read is left out: they only
/// tell where in the code a cause may be.
#[must_use]
pub fn folded(folder: &Path) -> Vec<(u32, String)> {
    let files = fs::read_dir(folder.join("flame")).into_iter().flatten().flatten();
    let mut found: Vec<(u32, String)> = files
        .filter_map(|file| {
            let name = file.file_name();
            let procs = name.to_str()?.strip_prefix("procs-")?.strip_suffix(".folded")?.parse().ok()?;
            Some((procs, fs::read_to_string(file.path()).ok()?))
        })
        .collect();
    found.sort_unstable();
    found
}

/// The folders of the targets in an `--out` folder, by name. Hidden folders and those of former sweeps are none.
pub(super) fn targets_in(out: &Path) -> Result<Vec<PathBuf>, Error> {
    let fail = |error: std::io::Error| Error::Input(format!("cannot read `{}`: {error}", quote::path(out)));
    let mut folders = Vec::new();
    for entry in fs::read_dir(out).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_ours = !name.starts_with('.') && !name.ends_with(FORMER);
        if is_ours && entry.path().join(manifest::FILE).is_file() {
            folders.push(entry.path());
        }
    }
    folders.sort_unstable();
    Ok(folders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Folder, fixtures};

    #[track_caller]
    fn refused(path: &Path, part: &str) {
        let error = load(path).expect_err("it has to be refused");
        let line = error.to_string();
        assert!(error.exit_code() == 2 && line.contains(part) && !line.contains('\n'), "{line}");
    }

    #[test]
    fn a_folder_is_a_target_or_holds_targets() {
        let out = tempfile::tempdir().unwrap();
        for target in ["sort", "matmul"] {
            Folder::create(out.path(), &fixtures::manifest(target)).unwrap();
        }
        fs::create_dir(out.path().join("else")).unwrap();
        fs::write(out.path().join("summary.csv"), "").unwrap();
        let names = |path: &Path| -> Vec<String> {
            load(path).unwrap().into_iter().map(|saved| saved.manifest.target).collect()
        };
        assert_eq!(names(out.path()), ["matmul", "sort"]);
        assert_eq!(names(&out.path().join("sort")), ["sort"]);
    }

    #[test]
    fn where_there_is_no_sweep_the_error_says_so() {
        let out = tempfile::tempdir().unwrap();
        refused(out.path(), "no sweep");
        refused(&out.path().join("missing"), "missing");
        fs::write(out.path().join("file"), "").unwrap();
        refused(&out.path().join("file"), "file");
    }

    #[test]
    fn an_unusable_file_of_one_target_is_an_error_that_names_it() {
        let out = tempfile::tempdir().unwrap();
        let folder = Folder::create(out.path(), &fixtures::manifest("sort")).unwrap();
        fs::remove_file(folder.path("samples.csv")).unwrap();
        refused(out.path(), "samples.csv");
        folder.write_file("samples.csv", b"target,procs\nsort,1\n").unwrap();
        refused(out.path(), "line 1");
        folder.write_file("sweep.json", b"{\n").unwrap();
        refused(out.path(), "sweep.json");
    }
}
