//! Launching by POSIX alone: the launcher itself becomes the program. It does not die with a tool that is killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::super::tree::Root;
use super::super::{Error, control};
use super::{Launched, id_in, not_started, unexpected};
use crate::target::Invocation;

/// This binary, as the launcher; what stands at its place if it was replaced meanwhile.
pub(in super::super) fn this_binary() -> PathBuf {
    // If the system does not say, starting it fails with a word that says so.
    std::env::current_exe().unwrap_or_default()
}

/// In the launcher: no other process becomes the program, since a fork of this one would not be the tool's child.
pub(super) fn has_stepped_aside() -> io::Result<bool> {
    Ok(false)
}

/// In the launcher: nothing, since there is no way to ask for it.
pub(super) fn die_with_tool() -> io::Result<()> {
    Ok(())
}

/// The program's peak memory, bytes, with that of its process before the exec and at its end. Where the system remembers it
/// over an exec, one that has not grown since is somebody else's.
pub(in super::super) fn own_peak(at_exec: u64, at_end: u64) -> Option<u64> {
    (at_end != at_exec).then_some(at_end)
}

/// Spawns the launcher and waits until it is ready to become the program.
pub(in super::super) fn spawn(
    mut command: Command,
    control: &UnixStream,
    invocation: &Invocation,
) -> Result<Launched, Error> {
    let mut launcher = command.spawn().map_err(|source| not_started(source, invocation))?;
    // Our copies of the program's descriptors go with it.
    drop(command);
    let launched = id_in(control::hear(control), invocation).and_then(|pid| {
        let root = Root::new(pid).ok_or_else(|| unexpected(None))?;
        let handle =
            watch(root.pid()).map_err(|source| Error::refused("watch the program's process", &source))?;
        Ok(Launched { pid, root, handle })
    });
    if launched.is_err() {
        // It may have ended by itself.
        let _ = launcher.kill();
        let _ = launcher.wait();
    }
    launched
}

/// A descriptor that is readable once the child `pid` has ended.
fn watch(pid: Pid) -> io::Result<OwnedFd> {
    let (ended, runs) = io::pipe()?;
    let wait = move || {
        // It is left to be reaped by whoever asks what it has used.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(rustix::process::waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
        drop(runs);
    };
    thread::Builder::new().name("corefit-watch".to_owned()).spawn(wait)?;
    Ok(ended.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_that_is_the_launchers_is_not_the_programs() {
        assert_eq!(own_peak(7 << 20, 7 << 20), None);
        assert_eq!(own_peak(7 << 20, 9 << 20), Some(9 << 20));
        assert_eq!(own_peak(7 << 20, 1 << 20), Some(1 << 20), "the system forgets it");
    }
}
