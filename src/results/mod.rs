//! The files of a sweep: the only station that knows what is on disk. Everything written carries a schema number.
//!
//! - [`Folder`] is one target's folder while it is measured: locked, its manifest and its journal of samples.
//! - [`load`] reads saved sweeps, [`table`] any CSV or what hyperfine exports, [`flames`] the flame graphs, [`index`] makes the
//!   summary over all targets, [`export`] writes other formats.
//!
//! A row of the journal is written as soon as it is measured; every other file is written under a temporary name and
//! renamed, so that it is there whole or not at all.

pub mod export;
mod fault;
#[cfg(test)]
pub(crate) mod fixtures;
mod flames;
mod folder;
mod hyperfine;
mod journal;
mod line;
mod load;
mod lock;
mod manifest;
mod recommendation;
mod row;
mod summary;
mod table;
mod whole;

pub use flames::{Flame, flames};
pub use folder::{Folder, Resumed};
pub use load::{Saved, folded, load, measured_in};
pub use manifest::Manifest;
pub use recommendation::{
    DefaultPoint, Model, ModelIntervals, Note, Point, Recommendation, Regret, Stack, StackPart,
};
pub use row::{COLUMNS, Place, SampleRow};
pub use summary::{Index, index, index_only};
pub use table::{Columns, Table, TableRow, table};
pub use whole::{replace, replace_by};

/// Name of the report in a target's folder.
pub const REPORT: &str = "report.html";

/// Name of the page over all targets of an `--out` folder.
pub const INDEX: &str = "index.html";

/// Schema number of every document this version writes.
pub const SCHEMA: u32 = 1;

/// Why results cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input is not what it should be; exit code 2.
    #[error("{0}")]
    Input(String),
    /// The disk is full or breaks while measuring; exit code 1.
    #[error("{0}")]
    Disk(String),
}

/// Whether a disk could take no more: full, the user's share used up, or the process's limit on files reached.
#[must_use]
pub fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

impl Error {
    /// 2 for bad input, 1 for a disk that fails.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Disk(_) => 1,
        }
    }
}
