//! The process tree of a sample: who belongs to it, and its end.
//!
//! The launcher makes its own session, so no descendant of a sample is ever in the tool's session, and sessions cannot be
//! joined. The tool is a child subreaper: a descendant whose parent dies becomes the tool's child. Hence, of the processes
//! there are, a sample's are: its first process; every process in that one's session; every child of the tool in a session
//! that is neither the tool's nor another sample's (a daemon that called setsid and was adopted); and all their descendants.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use super::kernel;

/// How long killing may take before it is given up: a process in an uninterruptible wait dies when it likes. Guess.
const PATIENCE: Duration = Duration::from_secs(5);

/// First processes of the samples that are under way in this process: usually one, several in its tests. Held over a whole
/// launch, so that nobody takes a process that has its session but is not noted yet for an adopted daemon.
static UNDER_WAY: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// The samples under way, locked.
pub(super) fn under_way() -> MutexGuard<'static, BTreeSet<u32>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the tool inherit the orphans of its samples, and its children wait to be reaped.
pub(super) fn become_reaper() -> io::Result<()> {
    kernel::keep_dead_children();
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// One process, as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    session: u32,
    /// Start, in clock ticks since boot: tells two processes of one pid apart.
    born: u64,
    is_zombie: bool,
    /// CPU time in user mode of itself and the children it waited for, clock ticks.
    user_ticks: u64,
    /// In the kernel, likewise.
    system_ticks: u64,
}

impl Process {
    /// When it started, in clock ticks since boot.
    pub(super) fn born(&self) -> u64 {
        self.born
    }

    /// Looks at one process; `None` if there is none of that id.
    pub(super) fn look(pid: u32) -> Option<Self> {
        parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }
}

/// The command name is between the first and the last parenthesis and may hold anything.
fn parse_stat(pid: u32, stat: &[u8]) -> Option<Process> {
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let mut fields = std::str::from_utf8(&stat[after_name..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let mut ticks = fields.by_ref().skip(7).take(4).map(|field| field.parse::<u64>().ok());
    let (user, system) = (ticks.next()??, ticks.next()??);
    let (user_ticks, system_ticks) = (user + ticks.next()??, system + ticks.next()??);
    let born = fields.nth(4)?.parse().ok()?;
    Some(Process {
        pid,
        parent,
        session,
        born,
        is_zombie: matches!(state, "Z" | "X"),
        user_ticks,
        system_ticks,
    })
}

/// Ids of all processes that this one may see.
fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The first process of a sample and what is needed to tell who belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    pid: u32,
    born: u64,
    tool: u32,
    tool_session: u32,
}

impl Root {
    /// The sample that begins with process `pid`, a child of this process.
    pub(super) fn new(pid: u32) -> Option<Self> {
        let tool = std::process::id();
        // Read as all other sessions are: in a container whose session began outside, `getsid` gives 0, which rustix
        // takes for impossible and panics.
        let tool_session = Process::look(tool)?.session;
        Some(Self { pid, born: Process::look(pid)?.born, tool, tool_session })
    }

    /// Its first process.
    pub(super) fn pid(&self) -> Pid {
        to_pid(self.pid).expect("the kernel has such a process")
    }

    /// Whether `process` is of this sample by itself, not only by its parent. `others` are the first processes of the
    /// samples under way.
    fn owns(&self, process: &Process, others: &BTreeSet<u32>) -> bool {
        let is_other = |pid: u32| pid != self.pid && others.contains(&pid);
        let is_adopted = process.parent == self.tool
            && process.session != self.tool_session
            && process.born >= self.born
            && !is_other(process.pid)
            && !is_other(process.session);
        if process.pid == self.pid {
            return process.born == self.born;
        }
        process.born >= self.born && process.session == self.pid || is_adopted
    }
}

/// The members of a sample's tree among `processes`.
fn members(root: &Root, processes: &[Process], others: &BTreeSet<u32>) -> Vec<Process> {
    let mut children: HashMap<u32, Vec<&Process>> = HashMap::new();
    for process in processes {
        children.entry(process.parent).or_default().push(process);
    }
    let mut found: Vec<Process> =
        processes.iter().filter(|process| root.owns(process, others)).copied().collect();
    let mut seen: HashSet<u32> = found.iter().map(|process| process.pid).collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        next += 1;
        for child in children.get(&process.pid).into_iter().flatten() {
            if seen.insert(child.pid) {
                found.push(**child);
            }
        }
    }
    found
}

/// CPU seconds, user and system, that the sample's processes and the children they waited for have used so far.
pub(super) fn cpu_s(root: &Root) -> Option<(f64, f64)> {
    let processes: Vec<Process> = pids().filter_map(Process::look).collect();
    let members = members(root, &processes, &under_way());
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    let sum = |ticks: fn(&Process) -> u64| members.iter().map(ticks).sum::<u64>() as f64 / ticks_per_s;
    Some((sum(|process| process.user_ticks), sum(|process| process.system_ticks)))
}

/// A sample's tree, followed while it runs: each process is looked at once, when it first appears.
#[derive(Debug)]
pub(super) struct Tree {
    root: Root,
    members: HashSet<u32>,
    strangers: HashSet<u32>,
}

impl Tree {
    /// The tree that begins with `root`.
    pub(super) fn new(root: Root) -> Self {
        Self { root, members: HashSet::from([root.pid]), strangers: HashSet::new() }
    }

    /// Looks for new processes and gives the ids of those that belong to the sample now.
    pub(super) fn refresh(&mut self) -> impl Iterator<Item = u32> {
        let alive: HashSet<u32> = pids().collect();
        self.members.retain(|pid| alive.contains(pid));
        self.strangers.retain(|pid| alive.contains(pid));
        let mut new: Vec<u32> = alive
            .into_iter()
            .filter(|pid| !self.members.contains(pid) && !self.strangers.contains(pid))
            .collect();
        // Parents mostly come before their children this way, so that the children are recognised in the same pass.
        new.sort_unstable();
        let others = under_way();
        for process in new.into_iter().filter_map(Process::look) {
            let is_member = self.members.contains(&process.parent) || self.root.owns(&process, &others);
            let set = if is_member { &mut self.members } else { &mut self.strangers };
            set.insert(process.pid);
        }
        drop(others);
        self.members.iter().copied()
    }
}

/// Kills what is left of the sample's tree, including its first process if that still runs, and reaps all of it but the
/// first process, which the caller reaps. Gives the ids of processes that would not die.
pub(super) fn kill(root: &Root, is_first_reaped: bool) -> Vec<u32> {
    let deadline = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(200);
    if is_first_reaped {
        under_way().remove(&root.pid);
    }
    loop {
        let others = under_way();
        if is_first_reaped && has_no_children() {
            return Vec::new();
        }
        let processes: Vec<Process> = pids().filter_map(Process::look).collect();
        let mut left: Vec<Process> = members(root, &processes, &others);
        left.retain(|process| !(process.pid == root.pid && (is_first_reaped || process.is_zombie)));
        for process in &left {
            end(process, root.tool);
        }
        drop(others);
        if left.is_empty() {
            return Vec::new();
        }
        if Instant::now() > deadline {
            return left.iter().map(|process| process.pid).collect();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// Reaps a dead child of the tool, and kills anything else that lives.
fn end(process: &Process, tool: u32) {
    if process.is_zombie {
        if process.parent == tool {
            // It may be gone already; then there is nothing to do.
            let _ = kernel::reap(process.pid);
        }
        return;
    }
    let Some(pid) = to_pid(process.pid) else { return };
    let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The id may have passed to another process since it was listed; the handle is of the one that has it now.
    if Process::look(process.pid).is_some_and(|now| now.born == process.born) {
        let _ = rustix::process::pidfd_send_signal(handle, Signal::KILL);
    }
}

/// Whether this process has no children at all, dead ones included: then no orphan has been adopted either, and nothing of
/// a sample whose first process was reaped is left. Saves a walk over `/proc` for most samples.
fn has_no_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

/// `pid` as rustix takes it.
pub(super) fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOOL: u32 = 10;
    const ROOT: Root = Root { pid: 100, born: 50, tool: TOOL, tool_session: 5 };

    fn process(pid: u32, parent: u32, session: u32) -> Process {
        Process { pid, parent, session, born: 60, is_zombie: false, user_ticks: 0, system_ticks: 0 }
    }

    #[track_caller]
    fn check(processes: &[Process], others: &[u32], expected: &[u32]) {
        let first = Process { born: 50, ..process(100, TOOL, 100) };
        let all: Vec<Process> = processes.iter().copied().chain([first]).collect();
        let mut found: Vec<u32> = members(&ROOT, &all, &others.iter().copied().collect())
            .iter()
            .map(|process| process.pid)
            .collect();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn descendants_and_the_session_belong_to_a_sample() {
        check(
            &[process(101, 100, 100), process(102, 101, 102), process(103, 1, 100)],
            &[],
            &[100, 101, 102, 103],
        );
    }

    #[test]
    fn an_adopted_daemon_in_a_session_of_its_own_belongs_with_its_children() {
        check(&[process(200, TOOL, 200), process(201, 200, 201)], &[], &[100, 200, 201]);
    }

    #[test]
    fn the_tools_other_children_and_other_samples_do_not_belong() {
        check(&[process(200, TOOL, 5)], &[], &[100]);
        check(&[process(300, TOOL, 300), process(301, TOOL, 300)], &[300], &[100]);
    }

    #[test]
    fn a_child_older_than_the_sample_does_not_belong() {
        check(&[Process { born: 49, ..process(200, TOOL, 200) }], &[], &[100]);
    }

    #[test]
    fn a_process_that_got_the_first_ones_id_later_does_not_belong() {
        let reused = process(100, 1, 100);
        assert!(members(&ROOT, &[reused], &BTreeSet::new()).is_empty());
    }

    #[test]
    fn a_command_name_with_parentheses_and_spaces_is_no_obstacle() {
        let stat = b"7 (a) S (b c\n) Z 3 4 5 0 -1 4194560 1 2 3 4 50 60 7 8 20 0 1 0 777 9 9\n";
        let expected = Process {
            pid: 7,
            parent: 3,
            session: 5,
            born: 777,
            is_zombie: true,
            user_ticks: 57,
            system_ticks: 68,
        };
        assert_eq!(parse_stat(7, stat), Some(expected));
    }

    #[test]
    fn this_process_is_seen_with_its_parent() {
        let this = Process::look(std::process::id()).unwrap();
        assert_eq!(this.parent, std::os::unix::process::parent_id());
        assert!(pids().any(|pid| pid == this.pid));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_stat_is_read_without_a_panic(stat in proptest::collection::vec(any::<u8>(), 0..80)) {
            parse_stat(1, &stat);
        }
    }
}
