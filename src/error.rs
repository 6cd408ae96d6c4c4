//! Every way a command can end badly, with its exit code.

use std::io;
use std::path::PathBuf;

use crate::results::is_full;

/// What went wrong, in one line: what happened, to what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// A sweep of a file cannot be measured as the file says.
    #[error("{place}: {source}")]
    InFile {
        /// File, line and column.
        place: String,
        /// What is wrong.
        source: Box<Error>,
    },
    /// No workload of that name.
    #[error("no workload is called `{name}`{}; `corefit list` names them", did_you_mean(.suggestion))]
    UnknownWorkload {
        /// What was typed.
        name: String,
        /// A close name.
        suggestion: Option<&'static str>,
    },
    /// A program cannot be measured as asked.
    #[error(transparent)]
    Target(#[from] crate::target::Error),
    /// A plan cannot be made from what was asked.
    #[error(transparent)]
    Plan(#[from] crate::plan::Error),
    /// A program could not be started at all.
    #[error(transparent)]
    Measure(#[from] crate::measure::Error),
    /// Results could not be read or written.
    #[error(transparent)]
    Results(#[from] crate::results::Error),
    /// No profile could be taken.
    #[error(transparent)]
    Profile(#[from] crate::profile::Error),
    /// A file could not be read as a trace.
    #[error("cannot read the trace `{}`: {source}", crate::quote::path(path))]
    Trace {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: corefit_runtime::trace::TraceError,
    },
    /// Ctrl-C could not be watched for.
    #[error("could not install signal handlers: {0}")]
    Signals(io::Error),
    /// A file could not be written.
    #[error("cannot write `{}`: {source}; {}", crate::quote::path(path), after(.source))]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Standard output could not be written.
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    /// Some sample failed; what was measured is kept and has been shown.
    #[error("{failed} of {samples} samples failed; what was measured is kept in `{}`", folder.display())]
    Incomplete {
        /// Samples that are not `ok`.
        failed: usize,
        /// Samples in all.
        samples: usize,
        /// Where the results are.
        folder: PathBuf,
    },
    /// Something asked for was done only in part; the text says what.
    #[error("{0}")]
    Partial(String),
    /// `compare` found one.
    #[error("regression: `{target}` has {loss}, more than the {allowed} allowed{}", and_others(.others))]
    Regression {
        /// The target that lost most.
        target: String,
        /// What it lost, in words.
        loss: String,
        /// The threshold, in words.
        allowed: String,
        /// Further targets with a regression.
        others: usize,
    },
    /// Interrupted where there is nothing to keep; the text says of what.
    #[error("interrupted; {0}")]
    Stopped(&'static str),
    /// Interrupted; what was measured is kept.
    #[error("interrupted; what was measured is kept in `{}`: add `--resume` to the same command to go on", folder.display())]
    Interrupted {
        /// Where the results are.
        folder: PathBuf,
    },
}

impl Error {
    /// The process's exit code: 1 for something left undone, 2 for bad usage or input, 3 for a regression, 130 for an interruption.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::UnknownWorkload { .. }
            | Self::Target(_)
            | Self::Plan(_)
            | Self::Trace { .. } => 2,
            Self::InFile { source, .. } => source.exit_code(),
            Self::Measure(error) => error.exit_code(),
            Self::Results(error) => error.exit_code(),
            Self::Profile(error) => error.exit_code(),
            Self::Write { source, .. } => {
                if is_full(source) {
                    1
                } else {
                    2
                }
            }
            _ if self.is_silent() => 0,
            Self::Signals(_) | Self::Stdout(_) | Self::Incomplete { .. } | Self::Partial(_) => 1,
            Self::Regression { .. } => 3,
            Self::Stopped(_) | Self::Interrupted { .. } => 130,
        }
    }

    /// Whether nothing is to be said: the reader of our output went away, which is how `head` ends a pipe.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

fn after(error: &io::Error) -> &'static str {
    if is_full(error) { "make room" } else { "choose another place with `-o` or `--out`" }
}

fn and_others(others: &usize) -> String {
    match others {
        0 => String::new(),
        1 => "; and 1 other target".to_owned(),
        others => format!("; and {others} other targets"),
    }
}

fn did_you_mean(suggestion: &Option<&'static str>) -> String {
    suggestion.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_not_bad_usage() {
        let write = |kind: io::ErrorKind| Error::Write { path: "x.svg".into(), source: kind.into() };
        let full = write(io::ErrorKind::StorageFull);
        assert_eq!(full.exit_code(), 1);
        assert!(full.to_string().ends_with("make room"), "{full}");
        let refused = write(io::ErrorKind::PermissionDenied);
        assert_eq!(refused.exit_code(), 2);
        assert!(refused.to_string().contains("choose another place"), "{refused}");
    }
}
