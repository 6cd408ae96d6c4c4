//! Programs, folders and files that a command needs: whether they are there, before anything is measured.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::fs::Access;

use super::Error;
use super::command::invalid;
use crate::quote::{self, one_line};

/// Whether `program` can be started in `directory`: itself, seen from there, if it has a slash, else one on `PATH`.
///
/// # Errors
/// In one line: it is not there, or may not be executed.
pub(super) fn find(program: &str, directory: Option<&Path>) -> Result<(), Error> {
    find_on(program, directory, env::var_os("PATH").as_deref())
}

fn find_on(program: &str, directory: Option<&Path>, path: Option<&OsStr>) -> Result<(), Error> {
    let from = |place: &Path| directory.map_or_else(|| place.to_owned(), |directory| directory.join(place));
    if program.contains('/') {
        return check_executable(&from(Path::new(program)));
    }
    // What execvp takes where there is no PATH.
    let path = path.unwrap_or(OsStr::new("/bin:/usr/bin"));
    let mut places = env::split_paths(path).map(|folder| from(&folder).join(program));
    if !program.is_empty() && places.any(|place| check_executable(&place).is_ok()) {
        return Ok(());
    }
    let program = one_line(program);
    let is_line = program.contains(' ');
    let advice = if is_line { "; `--shell` runs a whole command line" } else { "" };
    Err(invalid(format!(
        "no program `{program}` is on PATH; check its spelling or give its path, as in `./{program}`{advice}"
    )))
}

fn check_executable(place: &Path) -> Result<(), Error> {
    let shown = quote::path(place);
    let metadata = place.metadata().map_err(|error| invalid(format!("cannot run `{shown}`: {error}")))?;
    if metadata.is_dir() {
        return Err(invalid(format!("cannot run `{shown}`: it is a folder")));
    }
    rustix::fs::access(place, Access::EXEC_OK).map_err(|error| {
        invalid(format!("cannot run `{shown}`: {error}; `chmod +x` makes a program executable"))
    })
}

/// Whether `directory` can be a working directory.
///
/// # Errors
/// In one line: it is none, or may not be entered.
pub(super) fn check_directory(directory: &Path) -> Result<(), Error> {
    let fail = |why: String| invalid(format!("cannot use `--cwd {}`: {why}", quote::path(directory)));
    let metadata = directory.metadata().map_err(|error| fail(error.to_string()))?;
    if !metadata.is_dir() {
        return Err(fail("it is not a folder".to_owned()));
    }
    rustix::fs::access(directory, Access::EXEC_OK).map_err(|error| fail(error.to_string()))
}

/// Whether `file` can be opened for each sample anew.
///
/// # Errors
/// In one line: it is not there, may not be read, or can be read but once.
pub(super) fn check_stdin(file: &Path) -> Result<(), Error> {
    let fail = |why: String| invalid(format!("cannot use `--stdin {}`: {why}", quote::path(file)));
    // Looked at before it is opened: to open a pipe would wait for its writer.
    let kind = fs::metadata(file).map_err(|error| fail(error.to_string()))?.file_type();
    if kind.is_dir() {
        return Err(fail("it is a folder".to_owned()));
    }
    if kind.is_fifo() || kind.is_socket() {
        return Err(fail("each sample reads it anew, which only a file allows".to_owned()));
    }
    File::open(file).map(drop).map_err(|error| fail(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[track_caller]
    fn refused(result: Result<(), Error>, part: &str) {
        let error = result.expect_err("it has to be refused").to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn the_first_executable_on_the_path_is_the_program() {
        let folder = tempfile::tempdir().unwrap();
        for (sub, mode) in [("a", 0o644), ("b", 0o755)] {
            fs::create_dir(folder.path().join(sub)).unwrap();
            let place = folder.path().join(sub).join("app");
            fs::write(&place, "").unwrap();
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = env::join_paths(["a", "b"].map(|sub| folder.path().join(sub))).unwrap();
        find_on("app", None, Some(&path)).unwrap();
        let path = env::join_paths(["a", "."]).unwrap();
        find_on("app", Some(&folder.path().join("b")), Some(&path)).unwrap();
        refused(find_on("app", Some(&folder.path().join("a")), Some(&path)), "on PATH");
        find_on("sh", None, None).unwrap();
    }

    #[test]
    fn a_path_is_seen_from_the_working_directory() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("app");
        fs::write(&place, "").unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).unwrap();
        find("./app", Some(folder.path())).unwrap();
        refused(find("./app", None), "./app");
        refused(find("echo a b", None), "`--shell`");
    }

    #[test]
    fn a_working_directory_is_a_folder() {
        check_directory(Path::new("/")).unwrap();
        refused(check_directory(Path::new("/dev/null")), "not a folder");
        refused(check_directory(Path::new("/no/such")), "`--cwd /no/such`");
    }

    #[test]
    fn standard_input_is_something_that_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        refused(check_stdin(&pipe), "anew");
        refused(check_stdin(folder.path()), "folder");
        refused(check_stdin(Path::new("/no/such")), "`--stdin /no/such`");
        check_stdin(Path::new("/dev/zero")).unwrap();
    }
}
