//! One sweep at a time in a target's folder.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::Error;
use super::folder::at_start;
use crate::quote;

/// Name of the file that is locked. It stays: removing it would let two sweeps lock two files of the same name.
pub(super) const FILE: &str = ".lock";

/// The right to write in a target's folder; it ends with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock(
    #[expect(dead_code, reason = "open is what counts: closing it gives the lock back")] File,
);

impl Lock {
    /// Locks `folder`.
    ///
    /// # Errors
    /// Another sweep has it, or it cannot be written to.
    pub(super) fn take(folder: &Path) -> Result<Self, Error> {
        /// Times that a folder is replaced by a new sweep just while this one locks it. Once is rare.
        const TRIES: usize = 10;
        /// Times that somebody who only looks may have it, which takes less than [`LOOK`].
        const LOOKS: u32 = 2;
        const LOOK: Duration = Duration::from_millis(10);
        let path = folder.join(FILE);
        let mut looks = LOOKS;
        for _ in 0..TRIES {
            let options = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = options.map_err(|error| at_start(&path, &error))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(io::Error::from) {
                Ok(()) if is_at(&file, &path) => return Ok(Self(file)),
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && looks == 0 => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    looks -= 1;
                    thread::sleep(LOOK);
                }
                Err(error) => return Err(at_start(&path, &error)),
            }
        }
        let folder = quote::path(folder);
        Err(Error::Input(format!(
            "another sweep writes to `{folder}`; wait for its end, or choose another `--name` or `--out`"
        )))
    }
}

/// Whether a sweep writes in `folder` now. Looks by a lock of its own, held for a moment, which [`Lock::take`] outwaits.
pub(super) fn is_held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(FILE)) else { return false };
    let held = flock(&file, FlockOperation::NonBlockingLockShared);
    held.is_err_and(|error| io::Error::from(error).kind() == io::ErrorKind::WouldBlock)
}

/// Whether `file` is still the one at `path`: the folder may have been renamed between opening and locking.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains("another sweep"), "{error}");
        assert!(is_held(folder.path()));
        drop(lock);
        assert!(!is_held(folder.path()));
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_file_that_moved_away_is_not_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let file = File::create(&path).unwrap();
        assert!(is_at(&file, &path));
        fs::rename(&path, folder.path().join("former")).unwrap();
        assert!(!is_at(&file, &path));
        File::create(&path).unwrap();
        assert!(!is_at(&file, &path));
    }
}
