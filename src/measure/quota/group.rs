//! One cgroup of our own: made, emptied, removed.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, Signal};

use super::super::cgroup::Version;
use super::super::tree;
use super::hierarchy::Hierarchy;

/// Microseconds of a period: the kernel's default, which is what Kubernetes and Docker use.
const PERIOD_US: f64 = 100_000.0;
/// How long what was killed may take to leave its group: a process in an uninterruptible wait dies when it likes. Guess.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the group `folder` with a quota of `cpus`.
///
/// # Errors
/// The kernel's. Nothing is left then.
pub(super) fn make(hierarchy: &dyn Hierarchy, version: Version, folder: &Path, cpus: f64) -> io::Result<()> {
    hierarchy.make(folder)?;
    limit(hierarchy, version, folder, cpus).inspect_err(|_| {
        // Why it could not be set says more than why it cannot be removed.
        let _ = hierarchy.remove(folder);
    })
}

fn limit(hierarchy: &dyn Hierarchy, version: Version, folder: &Path, cpus: f64) -> io::Result<()> {
    let quota_us = (cpus * PERIOD_US).round();
    let write = |file: &str, text: String| hierarchy.write(&folder.join(file), &text);
    match version {
        Version::V1 => {
            write("cpu.cfs_period_us", PERIOD_US.to_string())?;
            write("cpu.cfs_quota_us", quota_us.to_string())
        }
        Version::V2 => write("cpu.max", format!("{quota_us} {PERIOD_US}")),
    }
}

/// Sends SIGKILL to whatever is in the group or below it. It may be there for a moment longer.
pub(super) fn kill(hierarchy: &dyn Hierarchy, folder: &Path) {
    // Version 2 does it at once, whatever forks meanwhile (Linux 5.14 or later).
    if hierarchy.write(&folder.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for name in hierarchy.groups(folder) {
        kill(hierarchy, &folder.join(name));
    }
    let before = members(hierarchy, folder);
    let handles = before.iter().filter_map(|pid| {
        let handle = rustix::process::pidfd_open(tree::to_pid(*pid)?, PidfdFlags::empty()).ok()?;
        Some((pid, handle))
    });
    let handles: Vec<_> = handles.collect();
    // An id may have passed to another process before its handle was opened: that one is not in the group.
    let now = members(hierarchy, folder);
    for (pid, handle) in handles {
        if now.contains(pid) {
            // It may be dead by now.
            let _ = rustix::process::pidfd_send_signal(handle, Signal::KILL);
        }
    }
}

/// Kills what is in the group and removes it, with what is below.
///
/// # Errors
/// Something in it would not die, or the kernel refuses.
pub(super) fn clear_away(hierarchy: &dyn Hierarchy, folder: &Path) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        kill(hierarchy, folder);
        match remove_all(hierarchy, folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // Whoever was killed is still leaving.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {}
            done => return done,
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Removes the group and the groups in it: a program may have made some.
fn remove_all(hierarchy: &dyn Hierarchy, folder: &Path) -> io::Result<()> {
    for name in hierarchy.groups(folder) {
        remove_all(hierarchy, &folder.join(name))?;
    }
    hierarchy.remove(folder)
}

/// Ids of the processes in the group. Processes of another namespace read as 0 and are left out.
pub(super) fn members(hierarchy: &dyn Hierarchy, folder: &Path) -> BTreeSet<u32> {
    let text = hierarchy.read(&procs(folder)).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| *pid > 0).collect()
}

/// The file that lists a group's processes; a process written to it is moved there, with all its threads.
pub(super) fn procs(folder: &Path) -> PathBuf {
    folder.join("cgroup.procs")
}
