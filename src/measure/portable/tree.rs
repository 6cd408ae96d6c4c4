//! The processes of a sample, as far as POSIX tells them apart: the group of its first process, which is the first of a
//! session of its own. A process that leaves the group (a daemon) is not found, nor what it uses.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use super::kernel;

/// How long killing may take before it is given up: a process in an uninterruptible wait dies when it likes. Guess.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first process of a sample, whose id is that of its group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root(Pid);

impl Root {
    /// The sample that begins with process `pid`, a child of this process.
    pub(super) fn new(pid: u32) -> Option<Self> {
        Pid::from_raw(i32::try_from(pid).ok()?).map(Self)
    }

    /// Its first process.
    pub(super) fn pid(&self) -> Pid {
        self.0
    }
}

/// Makes the tool's children wait to be reaped. Their orphans go to the system's first process.
pub(super) fn become_reaper() -> io::Result<()> {
    kernel::keep_dead_children();
    Ok(())
}

/// CPU seconds that the sample's processes have used so far: not known before they are reaped.
pub(super) fn cpu_s(_root: &Root) -> Option<(f64, f64)> {
    None
}

/// Kills what is left of the sample's group, including its first process if that still runs; the caller reaps that. Gives the
/// id of the group if something in it would not die.
pub(super) fn kill(root: &Root, is_first_reaped: bool) -> Vec<u32> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    loop {
        // Whoever is dead but not reaped may be sent a signal, or be refused one.
        let is_empty = rustix::process::kill_process_group(root.0, Signal::KILL) == Err(Errno::SRCH);
        if is_empty || !is_first_reaped && has_ended(root.0) {
            return Vec::new();
        }
        if Instant::now() > deadline {
            return u32::try_from(root.0.as_raw_pid()).into_iter().collect();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Whether the child `pid` waits to be reaped.
fn has_ended(pid: Pid) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(rustix::process::waitid(WaitId::Pid(pid), options), Ok(None))
}
