//! Launching on Linux: by way of a sibling, which dies with the tool.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{PidfdFlags, Signal};

use super::super::kernel::{self, Cloned};
use super::super::tree::{self, Root};
use super::super::{Error, control};
use super::{Launched, id_in, not_started, unexpected};
use crate::target::Invocation;

/// This binary, still this one if the file was replaced meanwhile.
const SELF: &str = "/proc/self/exe";

/// This binary, as the launcher.
pub(in super::super) fn this_binary() -> PathBuf {
    PathBuf::from(SELF)
}

/// In the launcher: forks the process that becomes the program; whether this is not that process.
pub(super) fn has_stepped_aside() -> io::Result<bool> {
    Ok(kernel::clone_sibling()? == Cloned::Original)
}

/// In the launcher: the kernel kills this process, and what it becomes, when the thread that launched it ends.
pub(super) fn die_with_tool() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// The program's peak memory, bytes, with that of its process before the exec and at its end.
pub(in super::super) fn own_peak(_at_exec: u64, at_end: u64) -> Option<u64> {
    Some(at_end)
}

/// Spawns the launcher and waits until the program's process is ready.
pub(in super::super) fn spawn(
    mut command: Command,
    control: &UnixStream,
    invocation: &Invocation,
) -> Result<Launched, Error> {
    let mut under_way = tree::under_way();
    let mut go_between = command.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound if !Path::new(SELF).exists() => no_proc(),
        _ => not_started(source, invocation),
    })?;
    // Our copies of the program's descriptors go with it.
    drop(command);
    let word = control::hear(control);
    // It leaves as soon as it has forked; how, its word has said.
    let _ = go_between.wait();
    let pid = id_in(word, invocation)?;
    let root = Root::new(pid).ok_or_else(|| unexpected(None))?;
    let handle = rustix::process::pidfd_open(root.pid(), PidfdFlags::empty())
        .map_err(|source| Error::refused("open a process handle (Linux 5.3 or later)", &source.into()))?;
    under_way.insert(pid);
    Ok(Launched { pid, root, handle })
}

/// This process cannot find its own program file.
fn no_proc() -> Error {
    Error::Start(
        "cannot start anything: `/proc` is not mounted here; mount it (`bwrap --proc /proc`, `mount -t proc proc /proc`)"
            .to_owned(),
    )
}
