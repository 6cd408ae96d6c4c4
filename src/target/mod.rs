//! What is measured: a bundled workload or any command line, and how a worker count is handed to it.
//!
//! A target turns a worker count into an [`Invocation`]: program, arguments, environment. Nothing here starts a process.

use std::ffi::OsString;
use std::path::PathBuf;

/// One process to start: everything the launcher needs to exec it, with the worker count filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// Path or name (looked up on `PATH`) of the program.
    pub program: OsString,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Variables set on top of the tool's own environment, in order.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `None` means the tool's.
    pub directory: Option<PathBuf>,
}
