//! The launcher: what runs between the tool's spawn and the program's exec, in a process of its own.
//!
//! It is this same binary, started again. On Linux it first forks itself into a sibling and leaves: the kernel remembers a
//! process's peak memory over exec, and that of a freshly spawned one is the spawning tool's, so `ru_maxrss` would never read
//! less than the tool's own. The sibling starts from zero and becomes the program. Elsewhere the launcher itself does.
//!
//! The rest of the protocol is in `control`. Nothing here prints: what goes wrong is told to the tool.

#[cfg_attr(corefit_linux, path = "launcher/linux.rs")]
#[cfg_attr(not(corefit_linux), path = "launcher/portable.rs")]
mod system;

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{Access, Mode, OFlags};
use rustix::io::Errno;

use super::control::{self, Word};
use super::kernel;
use super::tree::Root;
use super::{Error, RESULT_FD};
use crate::machine::{self, CpuList};
use crate::target::Invocation;
pub(super) use system::{own_peak, spawn, this_binary};

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__launch";

/// Options of a [`Setup`], and what ends them.
const CGROUP: &str = "--cgroup";
const CPUS: &str = "--cpus";
const STDIN: &str = "--stdin";
const END: &str = "--";

/// What the launcher is told on its command line, `[--stdin FILE] [--cpus LIST] [--cgroup PATH]… -- PROGRAM [ARG]…`: what it
/// does before [`Word::Ready`] is said, as an option each, and then the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Setup {
    /// The file that becomes standard input, by its whole path; `/dev/null` without one.
    pub(super) stdin: Option<PathBuf>,
    /// The CPUs that the program may use; `None` for those of the tool.
    pub(super) cpus: Option<CpuList>,
    /// Folders of the cgroups that it joins.
    pub(super) cgroups: Vec<PathBuf>,
    /// Path or name of the program.
    pub(super) program: OsString,
    /// Its arguments.
    pub(super) args: Vec<OsString>,
}

impl Setup {
    /// The setup of `invocation`. The launcher is started in the program's working directory, from where a path of the
    /// tool's would lead elsewhere.
    pub(super) fn of(invocation: &Invocation) -> io::Result<Self> {
        Ok(Self {
            stdin: invocation.stdin.as_deref().map(std::path::absolute).transpose()?,
            program: invocation.program.clone(),
            args: invocation.args.clone(),
            ..Self::default()
        })
    }

    /// The command line after the subcommand's name.
    pub(super) fn to_words(&self) -> Vec<OsString> {
        let stdin = self.stdin.iter().flat_map(|file| [STDIN.into(), file.clone().into()]);
        let cpus = self.cpus.iter().flat_map(|cpus| [CPUS.into(), cpus.to_string().into()]);
        let cgroups = self.cgroups.iter().flat_map(|folder| [CGROUP.into(), folder.clone().into()]);
        let program = [END.into(), self.program.clone()];
        stdin.chain(cpus).chain(cgroups).chain(program).chain(self.args.iter().cloned()).collect()
    }

    /// Reads what `to_words` wrote; `None` if nobody of us wrote it.
    fn from_words(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let mut setup = Self::default();
        loop {
            match words.next()?.to_str()? {
                STDIN => setup.stdin = Some(words.next()?.into()),
                CPUS => setup.cpus = Some(words.next()?.to_str()?.parse().ok()?),
                CGROUP => setup.cgroups.push(words.next()?.into()),
                END => return Some(Self { program: words.next()?, args: words.collect(), ..setup }),
                _ => return None,
            }
        }
    }

    /// The program's own command line.
    fn argv(&self) -> io::Result<Vec<CString>> {
        [&self.program].into_iter().chain(&self.args).map(|word| c_string(word.clone())).collect()
    }
}

/// Forks the process that waits for the tool's word and execs the program; the exit code is that of the go-between.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let (Some(setup), Ok(control)) = (Setup::from_words(args), take_control()) else {
        eprintln!("corefit: `{SUBCOMMAND}` is how corefit starts programs; it is not for typing");
        return ExitCode::from(2);
    };
    let failure = match system::has_stepped_aside() {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => match become_program(&control, &setup) {
            Ok(None) => return ExitCode::FAILURE,
            Err(error) => error,
        },
        Err(error) => error,
    };
    let errno = failure.raw_os_error().unwrap_or(libc::EIO);
    // If the tool cannot be told, it is gone, and nobody is left to care.
    let _ = control::tell(&control, Word::Failed { errno });
    ExitCode::FAILURE
}

/// A process that waits to become the program.
#[derive(Debug)]
pub(super) struct Launched {
    pub(super) pid: u32,
    /// What tells its tree apart.
    pub(super) root: Root,
    /// Readable once it has ended.
    pub(super) handle: OwnedFd,
}

/// Why the launcher did not start.
fn not_started(source: io::Error, invocation: &Invocation) -> Error {
    match source.kind() {
        // A NUL byte in a word, or too many words.
        io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong => {
            Error::of_words(invocation, source)
        }
        _ => Error::refused("start the launcher", &source),
    }
}

/// The process id in the launcher's first word.
fn id_in(word: io::Result<Option<Word>>, invocation: &Invocation) -> Result<u32, Error> {
    match word.map_err(|source| Error::refused("hear from the launcher", &source))? {
        Some(Word::Ready { pid }) => Ok(pid),
        Some(Word::Failed { errno }) => Err(Error::of_setup(invocation, errno)),
        other => Err(unexpected(other)),
    }
}

/// The launcher did not do its part.
pub(super) fn unexpected(word: Option<Word>) -> Error {
    let what = word.map_or_else(|| "it left without a word".to_owned(), |word| format!("it said {word:?}"));
    Error::Start(format!("the launcher that starts programs failed: {what}; is something killing processes?"))
}

/// Moves the control socket from standard input to a descriptor that an exec closes.
fn take_control() -> io::Result<UnixStream> {
    let stdin = rustix::stdio::stdin();
    rustix::net::sockopt::socket_type(stdin)?;
    Ok(UnixStream::from(rustix::io::fcntl_dupfd_cloexec(stdin, 3)?))
}

/// The program's process from its first step to the exec. `Ok(None)` if the tool went away meanwhile.
fn become_program(control: &UnixStream, setup: &Setup) -> io::Result<Option<Infallible>> {
    rustix::process::setsid()?;
    system::die_with_tool()?;
    // Opened anew for each sample, so that each reads the file from its start.
    let stdin = setup.stdin.as_deref().unwrap_or(Path::new("/dev/null"));
    rustix::stdio::dup2_stdin(rustix::fs::open(stdin, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)?;
    for folder in &setup.cgroups {
        // 0 stands for whoever writes it.
        OpenOptions::new().write(true).open(folder.join("cgroup.procs"))?.write_all(b"0")?;
    }
    if let Some(cpus) = &setup.cpus {
        machine::stay_on(cpus)?;
    }
    // Rust's start-up code ignores it, and an exec would hand that on.
    kernel::reset_signal(libc::SIGPIPE);
    control::tell(control, Word::Ready { pid: std::process::id() })?;

    let Some(result) = control::receive_go(control)? else { return Ok(None) };
    kernel::set_variable(OsStr::new(RESULT_FD), &result.as_raw_fd().to_string());
    let path = find(&setup.program, std::env::var_os("PATH").as_deref())?;
    let argv = setup.argv()?;
    // The clock is the last thing read: wall time starts here.
    let used = kernel::own_usage();
    control::tell(control, Word::Exec { clock_ns: control::clock_ns(), used })?;
    Err(kernel::exec(&path, &argv))
}

/// The file to exec for `program`: itself if it has a slash, else the first executable file of that name on `path`.
///
/// Errors as `execvp`: EACCES if there was one that may not be executed, else ENOENT.
fn find(program: &OsStr, path: Option<&OsStr>) -> io::Result<CString> {
    if program.as_bytes().contains(&b'/') {
        return c_string(program.to_owned());
    }
    let mut error = Errno::NOENT;
    // The same folders as glibc where PATH is not set.
    let folders = path.unwrap_or(OsStr::new("/bin:/usr/bin")).as_bytes().split(|byte| *byte == b':');
    for folder in folders.filter(|_| !program.is_empty()) {
        let folder = if folder.is_empty() { b".".as_slice() } else { folder };
        let file = c_string(OsString::from_vec([folder, b"/", program.as_bytes()].concat()))?;
        match executable(&file) {
            Ok(()) => return Ok(file),
            Err(Errno::ACCESS) => error = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(error.into())
}

/// Whether `file` is a regular file that may be executed.
fn executable(file: &CString) -> Result<(), Errno> {
    let stat = rustix::fs::stat(file)?;
    if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(Errno::ACCESS);
    }
    rustix::fs::access(file, Access::EXEC_OK)
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_setup_survives_the_command_line_whatever_its_bytes() {
        let cgroups = [vec![], vec!["/a".into(), OsString::from_vec(vec![b'/', 0xff]).into()]];
        for (stdin, cgroups) in [None, Some("--".into())].into_iter().zip(cgroups) {
            let setup = Setup {
                cpus: stdin.is_some().then(|| CpuList::new([0, 1, 7])).flatten(),
                stdin,
                cgroups,
                program: OsString::from_vec(vec![0xff, b'a']),
                args: vec!["".into(), "--".into(), OsString::from_vec(vec![0x80, b'\n', 0xfe])],
            };
            assert_eq!(Setup::from_words(setup.to_words().into_iter()), Some(setup));
        }
    }

    #[test]
    fn a_command_line_that_is_not_ours_is_refused() {
        let wrong = [
            &[][..],
            &["--"],
            &["true"],
            &["--cgroup"],
            &["--cgroup", "--", "true"],
            &["--stdin", "x"],
            &["--cpus", "--", "true"],
            &["--cpus", "x", "--", "true"],
            &["--odd", "--", "true"],
        ];
        for words in wrong {
            assert_eq!(Setup::from_words(words.iter().map(OsString::from)), None, "{words:?}");
        }
    }

    #[test]
    fn a_name_is_looked_up_on_the_path_and_a_path_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        fs::create_dir_all(first.join("tool")).unwrap();
        fs::create_dir(&second).unwrap();
        fs::write(second.join("tool"), "").unwrap();
        fs::write(first.join("plain"), "").unwrap();
        fs::set_permissions(second.join("tool"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(first.join("plain"), fs::Permissions::from_mode(0o644)).unwrap();
        let path = OsString::from(format!("{}:{}", first.display(), second.display()));
        let found = |program: &str| find(OsStr::new(program), Some(&path));

        assert_eq!(found("tool").unwrap().as_bytes(), second.join("tool").as_os_str().as_bytes());
        assert_eq!(found("plain").unwrap_err().raw_os_error(), Some(libc::EACCES));
        assert_eq!(found("absent").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(found("").unwrap_err().raw_os_error(), Some(libc::ENOENT));
        assert_eq!(found("./absent").unwrap().as_bytes(), b"./absent");
    }
}
