//! Reading a trace: one look at the heads of its chunks, then its events in the order of time.
//!
//! Never more than one chunk of each lane that is being read is in memory, the heads (72 bytes for each 16 KiB or so of the
//! file), and the goroutines that are alive.

mod chunk;
mod event;
mod index;
mod merge;
mod order;

pub use event::{Event, Segment, What};
pub use index::Place;
pub use merge::Events;

use super::End;
use super::format::{HEADER_BYTES, Header, VERSION};
use index::Index;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::{fmt, io};

/// Why a file cannot be read as a trace.
#[derive(Debug)]
pub enum TraceError {
    /// The system refuses.
    Io(io::Error),
    /// It does not begin as a trace does.
    Foreign,
    /// It has a version of the format that this reader does not know.
    Version(u32),
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Foreign => write!(f, "it is not a trace: record one with COREFIT_TRACE=FILE"),
            Self::Version(version) => {
                write!(f, "it has version {version} of the format, and this program reads version {VERSION}")
            }
        }
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Foreign | Self::Version(_) => None,
        }
    }
}

impl From<io::Error> for TraceError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A trace file.
#[derive(Debug)]
pub struct Trace {
    file: File,
    header: Header,
    index: Index,
}

impl Trace {
    /// Opens a trace and looks at the heads of its chunks.
    ///
    /// # Errors
    /// It cannot be read, is no trace, or has another version of the format.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::of(File::open(path)?)
    }

    fn of(file: File) -> Result<Self, TraceError> {
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => TraceError::Foreign,
            _ => TraceError::Io(error),
        })?;
        let (version, header) = Header::parse(&bytes).ok_or(TraceError::Foreign)?;
        if version != VERSION {
            return Err(TraceError::Version(version));
        }
        let index = Index::read(&file, header.start)?;
        Ok(Self { file, header, index })
    }

    /// How the recording ended; `None` if the process was killed, or still runs.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        End::from_code(self.header.end)
    }

    /// Whether every operation on channels and locks was recorded.
    #[must_use]
    pub fn is_sync(&self) -> bool {
        self.header.level > 0
    }

    /// Events that happened after the last one of the file, for which there was no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.header.dropped
    }

    /// The process that was recorded.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.header.pid
    }

    /// When it began, nanoseconds since 1970.
    #[must_use]
    pub fn started_unix_ns(&self) -> u64 {
        self.header.start_unix_ns
    }

    /// How far the CPU time of a segment may be off, nanoseconds.
    #[must_use]
    pub fn cpu_error_ns(&self) -> u64 {
        if self.header.cpu == 0 { super::cpu::LONG_NS } else { super::cpu::READING_NS }
    }

    /// Events in the whole file, as the heads of its chunks say.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.index
            .lanes
            .iter()
            .flat_map(|lane| &lane.chunks)
            .map(|chunk| u64::from(chunk.header.events))
            .sum()
    }

    /// The place in the source with that number.
    #[must_use]
    pub fn place(&self, number: u32) -> Option<&Place> {
        self.index.places.get(&number)
    }

    /// Bytes at the end that could not be read: the last chunk is cut off.
    #[must_use]
    pub fn torn_bytes(&self) -> u64 {
        self.index.torn_bytes
    }

    /// All events, in the order of time.
    #[must_use]
    pub fn events(&self) -> Events<'_> {
        Events::new(&self.file, &self.index)
    }
}

#[cfg(test)]
mod tests;
