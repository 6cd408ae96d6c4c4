//! A bundled workload as a process of its own: the child's side.

use std::ffi::OsString;
use std::process::ExitCode;

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__workload";

/// Runs a workload in this process and reports on `COREFIT_RESULT_FD`.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let _ = args;
    ExitCode::FAILURE
}
