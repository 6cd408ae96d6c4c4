//! Follows a process and all it starts through a recording, and counts the stacks of just these processes.
//!
//! Records come in here in the order in which they happened, so that a mapping is known before an address in it is looked
//! up, and a process before its first sample.

use std::collections::{HashMap, HashSet};

use linux_perf_event_reader::constants::{PERF_CONTEXT_KERNEL, PERF_CONTEXT_MAX, PERF_CONTEXT_USER};

use super::Split;
use super::off_cpu::{self, Labels, Waits};
use super::record::{Record, Switch, What};
use super::space::{ModuleId, Modules, Space};
use super::threads::{ThreadId, Threads};
use super::unwind::{Captured, Unwinder, Walk};

/// Where a frame is, in a form that outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// In the kernel, at that address.
    Kernel(u64),
    /// In a module, at that position of its file.
    Module(ModuleId, u64),
    /// In memory of which nothing is known.
    Unknown,
    /// No frame, but whose stack it is: above the outermost frame, where threads are told apart.
    Thread(ThreadId),
}

/// The processes that are followed, and what was seen of them.
#[derive(Debug, Default)]
pub(super) struct Tree {
    processes: HashMap<u32, Space>,
    /// The root has not executed its program yet: what it does until then is the launcher's.
    awaits_exec: Option<u32>,
    pub(super) modules: Modules,
    /// How often each stack was seen; innermost frame first, at least one frame.
    pub(super) stacks: HashMap<Vec<Place>, u64>,
    /// Stacks seen, over all of `stacks`.
    pub(super) samples: u64,
    /// Records that the kernel dropped.
    pub(super) lost: u64,
    /// Times the kernel slowed sampling down.
    pub(super) throttled: u64,
    /// Stacks that are deeper than what was copied and than the kernel walks: they lack their outermost frames.
    pub(super) cut: u64,
    /// Stacks of user space that the kernel walked alone, for want of registers or of a copy.
    pub(super) without_copy: u64,
    pub(super) unwinder: Unwinder,
    pub(super) threads: Threads,
    /// What is counted is the time for which threads wait, nanoseconds, and `samples` are waits.
    waits: Option<Waits>,
}

impl Tree {
    /// Follows a process that is about to execute its program, and counts from there on.
    pub(super) fn of_launched(pid: u32, split: Split) -> Self {
        let processes = HashMap::from([(pid, Space::default())]);
        Self { processes, awaits_exec: Some(pid), threads: Threads::new(split), ..Self::default() }
    }

    /// Follows running processes.
    pub(super) fn of_running(pids: &HashSet<u32>, split: Split) -> Self {
        let mut modules = Modules::default();
        let processes = pids.iter().map(|&pid| (pid, Space::of_process(pid, &mut modules))).collect();
        Self { processes, modules, threads: Threads::new(split), ..Self::default() }
    }

    /// Takes the next record, in the order of time.
    pub(super) fn take(&mut self, record: Record<'_>, max_frames: usize) {
        match record.what {
            What::Sample { pid, tid, chain, captured } => {
                self.sample(pid, tid, &chain, captured.as_ref(), max_frames);
            }
            What::Switch { pid, tid, to } => self.switch(pid, tid, to, record.time_ns),
            What::Fork { pid, parent, tid, starter } => {
                self.fork(pid, parent);
                if self.processes.contains_key(&pid) {
                    self.threads.start(tid, starter, record.time_ns);
                    if let Some(waits) = &mut self.waits {
                        waits.begin(tid);
                    }
                }
            }
            What::Name { tid, name } => self.threads.rename(tid, name),
            What::Exit { tid } => {
                self.threads.end(tid, record.time_ns);
                if let Some(waits) = &mut self.waits {
                    waits.end(tid);
                }
            }
            What::Exec { pid, name } => self.exec(pid, name),
            What::Map { pid, region } => {
                if let Some(space) = self.processes.get_mut(&pid) {
                    space.map(pid, region, &mut self.modules);
                }
            }
            What::Lost { count } => self.lost += count,
            What::Throttle => self.throttled += 1,
        }
    }

    fn fork(&mut self, pid: u32, parent: u32) {
        if pid != parent {
            match self.processes.get(&parent).cloned() {
                Some(space) => self.processes.insert(pid, space),
                // The number of a process that ended is used again, for one that is none of ours.
                None => self.processes.remove(&pid),
            };
        }
    }

    fn exec(&mut self, pid: u32, name: String) {
        if let Some(space) = self.processes.get_mut(&pid) {
            space.clear();
            self.threads.rename(pid, name);
            if self.awaits_exec == Some(pid) {
                self.awaits_exec = None;
            }
        }
    }

    fn sample(
        &mut self,
        pid: u32,
        tid: u32,
        chain: &[u64],
        captured: Option<&Captured<'_>>,
        max_frames: usize,
    ) {
        let Some(space) = self.processes.get(&pid).filter(|_| self.awaits_exec.is_none()) else {
            return;
        };
        let (in_kernel, in_user) = sides(chain);
        let by_kernel = along_frame_pointers(in_kernel, in_user, space, max_frames);
        let walk = match captured {
            Some(captured) => self.unwinder.walk(captured, &by_kernel, space, &self.modules),
            None => {
                self.without_copy += u64::from(!by_kernel.addresses.is_empty());
                by_kernel
            }
        };
        self.cut += u64::from(walk.is_cut);
        let mut places: Vec<Place> = code(in_kernel).map(Place::Kernel).collect();
        let located = code(&walk.addresses).map_while(|address| space.locate(address));
        places.extend(located.map(|(module, offset)| Place::Module(module, offset)));
        if places.is_empty() {
            places.push(Place::Unknown);
        }
        places.extend(self.threads.told_apart(pid, tid).map(Place::Thread));
        match &mut self.waits {
            Some(waits) => waits.leave(tid, places),
            None => self.count(places, 1),
        }
    }

    fn count(&mut self, places: Vec<Place>, weight: u64) {
        self.samples += 1;
        *self.stacks.entry(places).or_default() += weight;
    }

    fn switch(&mut self, pid: u32, tid: u32, to: Switch, time_ns: u64) {
        let is_ours = self.processes.contains_key(&pid) && self.awaits_exec.is_none();
        let Some(waits) = self.waits.as_mut().filter(|_| is_ours) else { return };
        match to {
            Switch::Out { is_runnable } => waits.left(tid, is_runnable, time_ns),
            Switch::In => {
                if let Some((places, waited_ns)) = waits.back(tid, time_ns) {
                    self.count(places, waited_ns);
                }
            }
        }
    }

    /// From now on counts how long threads wait, and where, in place of samples.
    pub(super) fn count_waits(&mut self, now_ns: u64) {
        let labels = Labels::new(&mut self.modules);
        let mut waits = Waits::new(labels);
        if self.awaits_exec.is_none() {
            let processes = self.processes.iter().map(|(&pid, space)| (pid, space));
            for (pid, tid, mut places) in off_cpu::waiting_now(processes, labels, &mut self.modules) {
                places.extend(self.threads.told_apart(pid, tid).map(Place::Thread));
                waits.waits_already(tid, places, now_ns);
            }
        }
        self.waits = Some(waits);
    }

    /// Counts what still waits up to now; nothing if waits are not counted.
    pub(super) fn end_waits(&mut self, now_ns: u64) {
        for (places, waited_ns) in self.waits.take().into_iter().flat_map(|waits| waits.finish(now_ns)) {
            self.count(places, waited_ns);
        }
    }

    /// Whether any sample was taken in the kernel.
    pub(super) fn saw_kernel(&self) -> bool {
        self.stacks.keys().any(|places| matches!(places[0], Place::Kernel(_)))
    }
}

/// The addresses in the kernel and in user space, without the markers between them. Those of a guest or a hypervisor are
/// nothing that could be named.
fn sides(chain: &[u64]) -> (&[u64], &[u64]) {
    let is_marker = |address: &u64| *address >= PERF_CONTEXT_MAX;
    let after = |marker: u64| {
        let start = chain.iter().position(|&address| address == marker)? + 1;
        chain[start..].split(is_marker).next()
    };
    let in_kernel = after(PERF_CONTEXT_KERNEL).unwrap_or_default();
    let unmarked = chain.split(is_marker).next().unwrap_or_default();
    (in_kernel, after(PERF_CONTEXT_USER).unwrap_or(unmarked))
}

/// The addresses by which code is looked up: a return address is the one after the call, which may belong to the next line or
/// even the next function.
fn code(addresses: &[u64]) -> impl Iterator<Item = u64> {
    addresses.iter().enumerate().map(|(depth, &address)| address.saturating_sub(u64::from(depth > 0)))
}

/// The kernel's walk of the user stack. It ends at the first return address that is in no code of the process: frame pointers
/// beyond the root, or kept for something else, lead anywhere.
fn along_frame_pointers(in_kernel: &[u64], in_user: &[u64], space: &Space, max_frames: usize) -> Walk {
    let known = code(in_user).take_while(|&address| space.locate(address).is_some()).count();
    let is_cut = in_kernel.len() + known >= max_frames;
    Walk { addresses: in_user[..known].to_vec(), is_cut }
}

#[cfg(test)]
mod tests {
    use super::super::record::Region;
    use super::*;

    const MAX_FRAMES: usize = 127;

    fn take(tree: &mut Tree, what: What<'_>) {
        tree.take(Record { time_ns: 0, what }, MAX_FRAMES);
    }

    fn sample(pid: u32, chain: &[u64]) -> What<'static> {
        What::Sample { pid, tid: pid, chain: chain.to_vec(), captured: None }
    }

    fn map(pid: u32, start: u64, path: &str) -> What<'static> {
        What::Map { pid, region: Region { start, length: 0x1000, offset: 0, path: path.into(), inode: 1 } }
    }

    /// A tree of process 10, which has executed a program mapped at 0x1000.
    fn started() -> Tree {
        let mut tree = Tree::of_launched(10, Split::Merged);
        take(&mut tree, What::Exec { pid: 10, name: "a".into() });
        take(&mut tree, map(10, 0x1000, "/bin/a"));
        tree
    }

    /// The only stack, as offsets into modules.
    #[track_caller]
    fn offsets(tree: &Tree) -> Vec<u64> {
        assert_eq!(tree.stacks.len(), 1);
        let places = tree.stacks.keys().next().unwrap();
        places
            .iter()
            .map(|place| match place {
                Place::Module(_, offset) => *offset,
                other => panic!("{other:?} is in no module"),
            })
            .collect()
    }

    #[test]
    fn the_launchers_own_samples_do_not_count() {
        let mut tree = Tree::of_launched(10, Split::Merged);
        take(&mut tree, map(10, 0x1000, "/bin/launcher"));
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1001]));
        assert_eq!(tree.samples, 0);
        take(&mut tree, What::Exec { pid: 10, name: "a".into() });
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1001]));
        assert_eq!(tree.samples, 1);
        assert_eq!(tree.stacks.keys().next().unwrap(), &[Place::Unknown], "the launcher's mappings are gone");
    }

    #[test]
    fn children_and_their_children_are_followed_and_strangers_are_not() {
        let mut tree = started();
        take(&mut tree, What::Fork { pid: 11, parent: 10, tid: 11, starter: 10 });
        take(&mut tree, What::Fork { pid: 12, parent: 11, tid: 12, starter: 11 });
        take(&mut tree, What::Fork { pid: 90, parent: 89, tid: 90, starter: 89 });
        for pid in [11, 12, 90] {
            take(&mut tree, sample(pid, &[PERF_CONTEXT_USER, 0x1001]));
        }
        assert_eq!(tree.samples, 2);
        assert_eq!(offsets(&tree), [1], "a child has its parent's mappings");
    }

    #[test]
    fn a_number_used_again_by_a_stranger_is_not_followed() {
        let mut tree = started();
        take(&mut tree, What::Fork { pid: 11, parent: 10, tid: 11, starter: 10 });
        take(&mut tree, What::Exit { tid: 11 });
        take(&mut tree, What::Fork { pid: 11, parent: 1, tid: 11, starter: 1 });
        take(&mut tree, sample(11, &[PERF_CONTEXT_USER, 0x1001]));
        assert_eq!(tree.samples, 0);
    }

    #[test]
    fn a_return_address_counts_for_the_call_before_it() {
        let mut tree = started();
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1010, 0x1020, 0x1030]));
        assert_eq!(offsets(&tree), [0x10, 0x1f, 0x2f]);
    }

    #[test]
    fn junk_beyond_the_root_is_dropped_with_all_that_follows() {
        let mut tree = started();
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1010, 0x1020, 0xdead_beef, 0x1030]));
        assert_eq!(offsets(&tree), [0x10, 0x1f]);
    }

    #[test]
    fn kernel_frames_come_before_the_callers_in_user_space() {
        let mut tree = started();
        let kernel = 0xffff_ffff_8000_0000;
        take(
            &mut tree,
            sample(10, &[PERF_CONTEXT_KERNEL, kernel, kernel + 9, PERF_CONTEXT_USER, 0x1010, 0x1020]),
        );
        let places = tree.stacks.keys().next().unwrap();
        assert_eq!(places[..2], [Place::Kernel(kernel), Place::Kernel(kernel + 8)]);
        assert!(matches!(places[2..], [Place::Module(_, 0x10), Place::Module(_, 0x1f)]));
    }

    #[test]
    fn a_stack_without_any_frame_still_counts() {
        let mut tree = started();
        take(&mut tree, sample(10, &[]));
        assert_eq!((tree.samples, tree.stacks.get(&vec![Place::Unknown])), (1, Some(&1)));
    }

    #[test]
    fn a_deep_stack_is_cut_unless_it_is_deep_in_junk_only() {
        let mut tree = started();
        take(&mut tree, sample(10, &[0x1010; MAX_FRAMES]));
        let mut junk = vec![0x1010, 0x1020];
        junk.resize(MAX_FRAMES, 7);
        take(&mut tree, sample(10, &junk));
        assert_eq!((tree.samples, tree.cut), (2, 1));
    }

    #[test]
    fn losses_and_throttles_are_counted() {
        let mut tree = started();
        take(&mut tree, What::Lost { count: 3 });
        take(&mut tree, What::Lost { count: 4 });
        take(&mut tree, What::Throttle);
        assert_eq!((tree.lost, tree.throttled), (7, 1));
    }

    #[test]
    fn stacks_of_threads_that_are_told_apart_end_in_the_thread() {
        let mut tree = Tree::of_launched(10, Split::ByThread);
        take(&mut tree, What::Exec { pid: 10, name: "a".into() });
        take(&mut tree, What::Fork { pid: 10, parent: 10, tid: 11, starter: 10 });
        for tid in [10, 11, 11] {
            take(&mut tree, What::Sample { pid: 10, tid, chain: vec![], captured: None });
        }
        let mut counts: Vec<u64> = tree.stacks.values().copied().collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2]);
        assert!(tree.stacks.keys().all(|places| matches!(places[..], [Place::Unknown, Place::Thread(_)])));
    }
}
