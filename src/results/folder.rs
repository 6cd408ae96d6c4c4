//! One target's folder while it is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::journal::{self, Journal};
use super::lock::{self, Lock};
use super::manifest::{self, Manifest};
use super::{Error, Recommendation, SampleRow, is_full, summary, whole};
use crate::quote;

/// What the folder of the sweep before is called, after the target's name.
pub(super) const FORMER: &str = ".prev";

/// A target's folder: locked against other sweeps as long as this lives.
#[derive(Debug)]
pub struct Folder {
    place: PathBuf,
    journal: Journal,
    _lock: Lock,
}

/// A sweep that goes on where it was interrupted.
#[derive(Debug)]
pub struct Resumed {
    /// Its folder.
    pub folder: Folder,
    /// Its manifest, as it was saved.
    pub manifest: Manifest,
    /// The samples it has, in the order they were measured; may be empty.
    pub rows: Vec<SampleRow>,
    /// What the user should know, one line each.
    pub notes: Vec<String>,
}

impl Folder {
    /// Makes `<out>/<target>` with its manifest and an empty journal. A folder of a sweep before is renamed to
    /// `<target>.prev`, in the place of the one before that.
    ///
    /// The folder is furnished and locked under another name first, so that it is never there half made or unlocked.
    ///
    /// # Errors
    /// [`Error::Input`]: `out` cannot be written to, another sweep is writing there, or what is there is no sweep.
    /// [`Error::Disk`]: the disk is full.
    pub fn create(out: &Path, manifest: &Manifest) -> Result<Self, Error> {
        let place = out.join(&manifest.target);
        let former = out.join(format!("{}{FORMER}", manifest.target));
        fs::create_dir_all(out).map_err(|error| at_start(out, &error))?;
        refuse_foreign(&place)?;
        refuse_foreign(&former)?;
        let before = if place.exists() { Some(Lock::take(&place)?) } else { None };

        let fresh = out.join(format!(".{}.{:08x}.new", manifest.target, fastrand::u32(..)));
        let made = furnish(&fresh, manifest).and_then(|(journal, lock)| {
            if before.is_some() {
                move_away(&place, &former).map_err(|error| at_start(&former, &error))?;
            }
            fs::rename(&fresh, &place).map_err(|error| at_start(&place, &error))?;
            // A power cut is not to lose the folder of rows that were synced. Not every file system can do this.
            let _ = fs::File::open(&place).and_then(|folder| folder.sync_all());
            let _ = fs::File::open(out).and_then(|folder| folder.sync_all());
            Ok(Self { place, journal, _lock: lock })
        });
        if made.is_err() {
            // Why it could not be made says more than why it cannot be removed.
            let _ = fs::remove_dir_all(&fresh);
        }
        made
    }

    /// Goes on with the sweep in `<out>/<target>`, or starts afresh with a note where there is none. A torn last line of
    /// the journal is cut off.
    ///
    /// # Errors
    /// As [`Folder::create`]; and [`Error::Input`] if the sweep there was of another command line, plan or policy, or
    /// its files are unusable.
    pub fn resume(out: &Path, manifest: &Manifest) -> Result<Resumed, Error> {
        let place = out.join(&manifest.target);
        let shown = quote::path(&place);
        if !place.join(manifest::FILE).exists() {
            let notes = vec![format!("there is nothing to resume in `{shown}`: it starts afresh")];
            let folder = Self::create(out, manifest)?;
            return Ok(Resumed { folder, manifest: manifest.clone(), rows: Vec::new(), notes });
        }
        let lock = Lock::take(&place)?;
        let saved = Manifest::read(&place)?;
        if let Some(difference) = saved.difference(manifest) {
            return Err(Error::Input(format!(
                "cannot resume `{shown}`: {difference}; give the same command, or leave out `--resume` to start afresh"
            )));
        }
        let mut notes = Vec::new();
        if saved.machine.id != manifest.machine.id {
            notes.push(format!(
                "`{shown}` was begun on another machine; the column `machine` tells the samples apart"
            ));
        }
        let (journal, rows) = Journal::reopen(&place)?;
        Ok(Resumed { folder: Self { place, journal, _lock: lock }, manifest: saved, rows, notes })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.place
    }

    /// Where the file `relative` of this folder is. The file need not be there.
    #[must_use]
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.place.join(relative)
    }

    /// Writes one row to the journal, at once.
    ///
    /// # Errors
    /// [`Error::Disk`]; the rows before are kept.
    pub fn append(&mut self, row: &SampleRow) -> Result<(), Error> {
        self.journal.append(row).map_err(|error| while_measuring(&journal::path(&self.place), &error))
    }

    /// Has the journal on the disk: for the end of a round.
    ///
    /// # Errors
    /// [`Error::Disk`].
    pub fn sync(&mut self) -> Result<(), Error> {
        self.journal.sync().map_err(|error| while_measuring(&journal::path(&self.place), &error))
    }

    /// Writes `sweep.json` anew.
    ///
    /// # Errors
    /// [`Error::Disk`]; the file before is kept.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<(), Error> {
        manifest.write(&self.place).map_err(|error| while_measuring(&self.path(manifest::FILE), &error))
    }

    /// Writes `summary.csv`, a row a point.
    ///
    /// # Errors
    /// [`Error::Disk`]; the file before is kept.
    pub fn write_summary(&self, recommendation: &Recommendation) -> Result<(), Error> {
        self.write_file(summary::FILE, &summary::text([recommendation]))
    }

    /// Writes the file `relative` of this folder, its folders included, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Disk`]; the file before is kept.
    pub fn write_file(&self, relative: impl AsRef<Path>, contents: &[u8]) -> Result<(), Error> {
        let path = self.path(relative);
        let folder = path.parent().unwrap_or(&self.place);
        fs::create_dir_all(folder)
            .and_then(|()| whole::replace(&path, contents))
            .map_err(|error| while_measuring(&path, &error))
    }
}

/// Makes the folder `fresh` with everything a sweep begins with.
fn furnish(fresh: &Path, manifest: &Manifest) -> Result<(Journal, Lock), Error> {
    let fail = |error: io::Error| at_start(fresh, &error);
    fs::create_dir(fresh).map_err(fail)?;
    let lock = Lock::take(fresh)?;
    manifest.write(fresh).map_err(fail)?;
    Ok((Journal::create(fresh).map_err(fail)?, lock))
}

/// Renames the folder of the sweep before; the one before that goes.
fn move_away(place: &Path, former: &Path) -> io::Result<()> {
    match fs::remove_dir_all(former) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::rename(place, former),
    }
}

/// What is not a sweep's is not moved or removed, whatever the names say.
fn refuse_foreign(folder: &Path) -> Result<(), Error> {
    let refuse = |what: &str| {
        let folder = quote::path(folder);
        Err(Error::Input(format!("`{folder}` is {what}; choose another `--name` or `--out`")))
    };
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            refuse("a file, not a folder of results")
        }
        Err(error) => Err(at_start(folder, &error)),
        Ok(mut entries) => {
            let has_manifest = folder.join(manifest::FILE).exists();
            let is_empty = entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == lock::FILE));
            if has_manifest || is_empty { Ok(()) } else { refuse("a folder of something else than a sweep") }
        }
    }
}

/// What keeps a sweep from beginning is a wrong place to write to, unless the disk is full.
pub(super) fn at_start(path: &Path, error: &io::Error) -> Error {
    match error {
        full if is_full(full) => {
            Error::Disk(format!("cannot write to `{}`: {error}; make room", quote::path(path)))
        }
        _ => Error::Input(format!(
            "cannot write to `{}`: {error}; choose another folder with `--out`",
            quote::path(path)
        )),
    }
}

/// What breaks later is the disk's fault, and leaves what was measured before.
pub(super) fn while_measuring(path: &Path, error: &io::Error) -> Error {
    let path = quote::path(path);
    Error::Disk(format!(
        "cannot write `{path}`: {error}; what was measured is kept: make room and add `--resume`"
    ))
}

#[cfg(test)]
mod tests;
