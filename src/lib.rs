//! corefit finds the worker count that fits a program.
//!
//! Data flows one way, and the modules are its stations:
//!
//! ```text
//! cli ─▶ target ─▶ plan ─▶ measure ─▶ results ─▶ model ─▶ recommend ─▶ report
//!                             └▶ profile (stacks ─▶ flame graph) ──────────┘
//! ```
//!
//! What only Linux can, is in modules that the cfg `corefit_linux` picks (`build.rs` sets it); each has a namesake called
//! `portable`, or in a folder of that name, which is used on macOS, and on Linux with `--cfg corefit_portable_os`.
//!
//! `commands` holds one short file a subcommand, which reads as the story of that subcommand. This library is made for the
//! program of the same name, and may change with it; its one stable way in is that of the command line:
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let table = folder.path().join("results.csv");
//! std::fs::write(&table, "procs,throughput\n1,100\n2,190\n4,192\n")?;
//! let cli = corefit::cli::parse_from(&["corefit".into(), "recommend".into(), table.into()]).unwrap();
//! // Prints `→ take 2: 1.90× the throughput of 1` and why.
//! corefit::run(&cli)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod cli;
pub mod commands;
pub mod compare;
pub mod costs;
pub mod error;
pub mod machine;
pub mod measure;
pub mod model;
pub mod plan;
pub mod profile;
pub mod quote;
mod random;
pub mod recommend;
pub mod report;
pub mod results;
#[doc(hidden)]
pub mod simulate;
mod stats;
pub mod suggest;
pub mod target;
pub mod trace;

use std::process::ExitCode;

/// Runs what was typed.
///
/// # Errors
/// Whatever keeps it from being done, with its exit code.
pub fn run(cli: &cli::Cli) -> Result<(), error::Error> {
    measure::outlive_file_limit().map_err(error::Error::Signals)?;
    commands::run(cli)
}

/// The hidden subcommands, by which this binary starts itself again: the launcher (`__launch`), the bundled workloads
/// (`__workload`) and what `costs` measures (`__costs`). `None` if the process was not started as one of them.
#[must_use]
pub fn hidden() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    match args.next()?.to_str()? {
        measure::launcher::SUBCOMMAND => Some(measure::launcher::main(args)),
        costs::subject::SUBCOMMAND => Some(costs::subject::main(args)),
        target::workload::SUBCOMMAND => Some(target::workload::main(args)),
        _ => None,
    }
}

/// The README's code, compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The code in the runtime's guide, likewise.
#[cfg(doctest)]
#[doc = include_str!("../docs/runtime.md")]
struct RuntimeGuide;
