//! The file of a trace: chunks are appended whole, up to a limit.
//!
//! When the limit is reached, or the disk refuses, nothing more is recorded: a trace ends somewhere, it has no holes. What
//! happens later is counted, in the header too. What the buffers hold at that moment is still written beyond the limit,
//! 32 KiB a worker at most. A chunk that the disk takes only in part is taken back, so a file is torn only where the
//! machine went down.

use super::format::{CHUNK_HEADER_BYTES, ChunkHeader, DROPPED_OFFSET, END_OFFSET, HEADER_BYTES, Header};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, pwrite, pwritev};
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Why nothing is written any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Limit(u64),
    Refused(Errno),
}

/// Whether a chunk is written that begins when the limit has been reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beyond {
    /// No.
    Never,
    /// Yes: it was recorded before.
    Limit,
}

/// The open file.
pub(super) struct Output {
    file: OwnedFd,
    bytes: u64,
    limit_bytes: u64,
    full: Option<Full>,
    dropped: u64,
    /// Runtimes that have not returned.
    alive: u32,
}

impl Output {
    /// A new file with `header`. One that was there is replaced, not overwritten: another program may still write it.
    ///
    /// # Errors
    /// It cannot be made, or what is there is not a file.
    pub(super) fn create(path: &Path, header: Header, limit_bytes: u64) -> io::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(there) if !there.is_file() => {
                return Err(io::Error::other("there is something that is not a file"));
            }
            Ok(_) => fs::remove_file(path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o666))?;
        write_all(&file, &[&header.to_bytes()], 0)?;
        Ok(Self { file, bytes: HEADER_BYTES as u64, limit_bytes, full: None, dropped: 0, alive: 0 })
    }

    /// Appends a chunk, or counts its events as dropped. Allocates nothing. Says whether the file has become full.
    pub(super) fn append(&mut self, header: ChunkHeader, payload: &[u8], beyond: Beyond) -> bool {
        let was_full = self.full.is_some();
        let may_write = match self.full {
            None => true,
            Some(Full::Limit(_)) => beyond == Beyond::Limit,
            Some(Full::Refused(_)) => false,
        };
        if !may_write {
            self.drop_events(header.events);
            return false;
        }
        match write_all(&self.file, &[&header.to_bytes(), payload], self.bytes) {
            Ok(()) => {
                self.bytes += (CHUNK_HEADER_BYTES + payload.len()) as u64;
                if self.bytes >= self.limit_bytes {
                    self.full = Some(Full::Limit(self.limit_bytes));
                }
            }
            Err(error) => {
                // Takes back what was written in part. If that fails too, the reader finds a torn end.
                let _ = rustix::fs::ftruncate(&self.file, self.bytes);
                self.full = Some(Full::Refused(error));
                self.drop_events(header.events);
            }
        }
        !was_full && self.full.is_some()
    }

    /// Counts events that will never be written.
    pub(super) fn drop_events(&mut self, events: u32) {
        self.dropped += u64::from(events);
        self.set(DROPPED_OFFSET, &self.dropped.to_le_bytes());
    }

    /// A runtime begins: the recording goes on.
    pub(super) fn begin_runtime(&mut self) {
        self.alive += 1;
        self.set_end(0);
    }

    /// A runtime has returned. Whether it was the last one.
    pub(super) fn end_runtime(&mut self) -> bool {
        self.alive -= 1;
        self.alive == 0
    }

    /// Notes how the recording ended: a code of the format, 0 for not yet.
    pub(super) fn set_end(&self, code: u32) {
        self.set(END_OFFSET, &code.to_le_bytes());
    }

    /// What was dropped, events, and why; `None` if nothing was.
    pub(super) fn dropped(&self) -> Option<(u64, Full)> {
        self.full.filter(|_| self.dropped > 0).map(|why| (self.dropped, why))
    }

    /// Overwrites a field of the header, which takes no new room.
    fn set(&self, offset: u64, bytes: &[u8]) {
        // A header that cannot be overwritten says less; there is no one to tell.
        let _ = write_all(&self.file, &[bytes], offset);
    }
}

/// Writes the two parts or the one, one behind the other, at `offset`.
fn write_all(file: &OwnedFd, parts: &[&[u8]], offset: u64) -> Result<(), Errno> {
    let slices: [IoSlice<'_>; 2] =
        [IoSlice::new(parts[0]), IoSlice::new(parts.get(1).copied().unwrap_or_default())];
    let mut done = match pwritev(file, &slices, offset) {
        Ok(written) => written,
        Err(Errno::INTR) => 0,
        Err(error) => return Err(error),
    };
    let mut start = 0;
    for part in parts {
        while done < start + part.len() {
            match pwrite(file, &part[done - start..], offset + done as u64) {
                Ok(0) => return Err(Errno::IO),
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        start += part.len();
    }
    Ok(())
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Limit(bytes) => write!(f, "the file has reached its limit of {bytes} bytes"),
            Self::Refused(error) => write!(f, "the file takes no more: {error}"),
        }
    }
}
