//! Why a program could not be run at all.

use std::io;
use std::path::{Path, PathBuf};

use super::report;
use crate::target::Invocation;

/// What could not be done at all, as opposed to a sample that ran and failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error("cannot find the program `{program}`; check its name, or give its path")]
    NotFound {
        /// As given.
        program: String,
    },
    /// It may not be executed.
    #[error("may not execute `{program}`: permission denied; `chmod +x` it, or name another program")]
    Forbidden {
        /// As given.
        program: String,
    },
    /// It is of no format that the kernel executes.
    #[error(
        "`{program}` is no program this machine can execute; start a script by its interpreter, as in `sh {program}`"
    )]
    Format {
        /// As given.
        program: String,
    },
    /// It is there, but what it needs to start is not.
    #[error(
        "cannot execute `{program}`: its interpreter or loader does not exist; check its first line with `file`"
    )]
    Interpreter {
        /// As given.
        program: String,
    },
    /// Another reason of the system's.
    #[error("cannot execute `{program}`: {source}; try it by hand")]
    Exec {
        /// As given.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Its working directory cannot be entered.
    #[error("cannot start in `{}`: it is not a directory; name one that exists", directory.display())]
    Directory {
        /// As given.
        directory: PathBuf,
    },
    /// No CPU quota can be set, as the text says.
    #[error("{0}")]
    Quota(String),
    /// Its standard input cannot be opened.
    #[error("cannot open `{}` as standard input: {source}; it has to stay there for every sample", file.display())]
    Stdin {
        /// As given.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// No process could be made, whatever the program; as the text says.
    #[error("{0}")]
    Start(String),
}

impl Error {
    /// 2 for a program that cannot be started, which is bad input; 1 if the kernel refuses a process.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Start(_) => 1,
            _ => 2,
        }
    }

    /// The kernel would not do `what`, which every program needs.
    pub(super) fn refused(what: &str, source: &io::Error) -> Self {
        if source.kind() == io::ErrorKind::NotFound && !std::path::Path::new("/dev/null").exists() {
            return Self::Start(format!("cannot {what}: `/dev/null` is not there; mount `/dev`"));
        }
        Self::Start(format!(
            "cannot {what}: {source}; look at the limits (`ulimit -a`) and what else runs, and try again"
        ))
    }

    /// Why the launcher could not do what comes before the exec of `invocation`.
    pub(super) fn of_setup(invocation: &Invocation, errno: i32) -> Self {
        let source = io::Error::from_raw_os_error(errno);
        match &invocation.stdin {
            Some(file) if std::fs::File::open(file).is_err() => Self::Stdin { file: file.clone(), source },
            _ => Self::refused("prepare a process", &source),
        }
    }

    /// The words of `invocation` cannot be handed to a program.
    pub(super) fn of_words(invocation: &Invocation, source: io::Error) -> Self {
        Self::Exec { program: name(invocation), source }
    }

    /// Why the exec of `invocation` failed.
    pub(super) fn of_exec(invocation: &Invocation, errno: i32) -> Self {
        let program = name(invocation);
        match errno {
            libc::ENOENT if exists(invocation) => Self::Interpreter { program },
            libc::ENOENT | libc::ENOTDIR => Self::NotFound { program },
            libc::EACCES | libc::EPERM => Self::Forbidden { program },
            libc::ENOEXEC => Self::Format { program },
            errno => Self::Exec { program, source: io::Error::from_raw_os_error(errno) },
        }
    }
}

/// The program's name as it can stand in a message.
fn name(invocation: &Invocation) -> String {
    report::quote(&invocation.program.to_string_lossy(), 200)
}

/// Whether the program is given by a path to something that is there.
fn exists(invocation: &Invocation) -> bool {
    let path = Path::new(&invocation.program);
    let directory = invocation.directory.as_deref().unwrap_or(Path::new(""));
    invocation.program.as_encoded_bytes().contains(&b'/') && directory.join(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(program: &str) -> Invocation {
        Invocation { program: program.into(), ..Invocation::default() }
    }

    #[track_caller]
    fn check(program: &str, errno: i32, text: &str) {
        let error = Error::of_exec(&invocation(program), errno);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn an_exec_error_names_the_program_and_what_to_do() {
        check("nope", libc::ENOENT, "cannot find the program `nope`; check its name, or give its path");
        check(
            "/etc/passwd",
            libc::EACCES,
            "may not execute `/etc/passwd`: permission denied; `chmod +x` it, or name another program",
        );
        check(
            "./x",
            libc::ENOEXEC,
            "`./x` is no program this machine can execute; start a script by its interpreter, as in `sh ./x`",
        );
        check(
            "/proc/self/stat",
            libc::ENOENT,
            "cannot execute `/proc/self/stat`: its interpreter or loader does not exist; check its first line with `file`",
        );
    }

    #[test]
    fn a_name_with_a_line_end_stays_on_one_line() {
        let text = Error::of_exec(&invocation("a\nb"), libc::ENOENT).to_string();
        assert!(text.contains("`a\\nb`"), "{text}");
    }
}
