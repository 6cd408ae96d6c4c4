//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::Path;

/// Gives the file at `path` these contents: written under a temporary name beside it, synced, then renamed.
///
/// # Errors
/// The system's; the file is then as it was before.
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace_by(path, |to| to.write_all(contents))
}

/// As [`replace`], with what `write` writes. What is there and no plain file (`/dev/null`, a pipe) stays what it is, and is
/// written to.
///
/// # Errors
/// The system's, and those of `write`; the file is then as it was before.
pub fn replace_by(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    if path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        let mut file = BufWriter::new(OpenOptions::new().write(true).open(path)?);
        return write(&mut file).and_then(|()| file.flush());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two sweeps of different targets may write the same summary at once, even from different containers.
    let temporary = path.with_file_name(format!(".{name}.{:08x}.tmp", fastrand::u32(..)));
    let written = write_synced(&temporary, write).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The reason why it could not be written says more than why it cannot be removed.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_synced(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create_new(path)?);
    write(&mut file)?;
    file.into_inner().map_err(IntoInnerError::into_error)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_device_stays_a_device() {
        let link = tempfile::tempdir().unwrap();
        let link = link.path().join("null");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        replace(&link, b"text").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink() && !link.metadata().unwrap().is_file());
        std::os::unix::fs::symlink("/dev/full", link.with_file_name("full")).unwrap();
        let error = replace(&link.with_file_name("full"), b"text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"one").is_err());
        assert_eq!(names(folder.path()), ["a.json"]);
    }
}
