//! Follows a process and all it starts through a recording, and counts the stacks of just these processes.
//!
//! Records come in here in the order in which they happened, so that a mapping is known before an address in it is looked
//! up, and a process before its first sample.

use std::collections::{HashMap, HashSet};

use linux_perf_event_reader::constants::{PERF_CONTEXT_KERNEL, PERF_CONTEXT_MAX, PERF_CONTEXT_USER};

use super::record::{Record, What};
use super::space::{ModuleId, Modules, Space};

/// Where a frame is, in a form that outlives its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Place {
    /// In the kernel, at that address.
    Kernel(u64),
    /// In a module, at that position of its file.
    Module(ModuleId, u64),
    /// In memory of which nothing is known.
    Unknown,
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
    /// Stacks that reached the kernel's limit of frames: they lack their outermost ones.
    pub(super) cut: u64,
    threads: Threads,
}

/// Threads whose start was seen, to find those that live too short to be sampled.
#[derive(Debug, Default)]
struct Threads {
    started_ns: HashMap<u32, u64>,
    lifetimes_ns: Vec<u64>,
}

impl Tree {
    /// Follows a process that is about to execute its program, and counts from there on.
    pub(super) fn of_launched(pid: u32) -> Self {
        let processes = HashMap::from([(pid, Space::default())]);
        Self { processes, awaits_exec: Some(pid), ..Self::default() }
    }

    /// Follows running processes.
    pub(super) fn of_running(pids: &HashSet<u32>) -> Self {
        let mut modules = Modules::default();
        let processes = pids.iter().map(|&pid| (pid, Space::of_process(pid, &mut modules))).collect();
        Self { processes, modules, ..Self::default() }
    }

    /// Takes the next record, in the order of time.
    pub(super) fn take(&mut self, record: Record, max_frames: usize) {
        match record.what {
            What::Sample { pid, chain } => self.sample(pid, &chain, max_frames),
            What::Fork { pid, parent, tid } => self.fork(pid, parent, tid, record.time_ns),
            What::Exit { tid } => self.threads.end(tid, record.time_ns),
            What::Exec { pid } => self.exec(pid),
            What::Map { pid, region } => {
                if let Some(space) = self.processes.get_mut(&pid) {
                    space.map(pid, region, &mut self.modules);
                }
            }
            What::Lost { count } => self.lost += count,
            What::Throttle => self.throttled += 1,
        }
    }

    fn fork(&mut self, pid: u32, parent: u32, tid: u32, time_ns: u64) {
        if pid != parent {
            match self.processes.get(&parent).cloned() {
                Some(space) => self.processes.insert(pid, space),
                // The number of a process that ended is used again, for one that is none of ours.
                None => self.processes.remove(&pid),
            };
        }
        if self.processes.contains_key(&pid) {
            self.threads.started_ns.insert(tid, time_ns);
        }
    }

    fn exec(&mut self, pid: u32) {
        if let Some(space) = self.processes.get_mut(&pid) {
            space.clear();
            if self.awaits_exec == Some(pid) {
                self.awaits_exec = None;
            }
        }
    }

    fn sample(&mut self, pid: u32, chain: &[u64], max_frames: usize) {
        let Some(space) = self.processes.get(&pid).filter(|_| self.awaits_exec.is_none()) else {
            return;
        };
        self.samples += 1;
        let places = places(chain, space);
        self.cut += u64::from(places.len() >= max_frames);
        *self.stacks.entry(places).or_default() += 1;
    }

    /// Whether any sample was taken in the kernel.
    pub(super) fn saw_kernel(&self) -> bool {
        self.stacks.keys().any(|places| matches!(places[0], Place::Kernel(_)))
    }

    /// How many threads ended within `period_ns` of their start, and how many ended at all.
    pub(super) fn short_lived(&self, period_ns: u64) -> (usize, usize) {
        let lifetimes = &self.threads.lifetimes_ns;
        (lifetimes.iter().filter(|&&lifetime| lifetime < period_ns).count(), lifetimes.len())
    }
}

impl Threads {
    fn end(&mut self, tid: u32, time_ns: u64) {
        if let Some(started_ns) = self.started_ns.remove(&tid) {
            self.lifetimes_ns.push(time_ns.saturating_sub(started_ns));
        }
    }
}

/// The frames of a chain, innermost first, at least one, [`Place::Unknown`] where there would be none. A user stack ends at the first return address that is in no code of
/// the process: frame pointers beyond the root, or kept for something else, lead anywhere.
fn places(chain: &[u64], space: &Space) -> Vec<Place> {
    let mut places = Vec::with_capacity(chain.len());
    let mut context = None;
    let mut is_innermost = true;
    for &address in chain {
        if address >= PERF_CONTEXT_MAX {
            context = Some(address);
            is_innermost = true;
            continue;
        }
        // A return address is the one after the call, which may belong to the next line or even the next function.
        let code = if is_innermost { address } else { address.saturating_sub(1) };
        match context {
            Some(PERF_CONTEXT_KERNEL) => places.push(Place::Kernel(code)),
            Some(PERF_CONTEXT_USER) | None => match space.locate(code) {
                Some((module, offset)) => places.push(Place::Module(module, offset)),
                None => break,
            },
            // A guest's or a hypervisor's: nothing that could be named.
            Some(_) => {}
        }
        is_innermost = false;
    }
    if places.is_empty() {
        places.push(Place::Unknown);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::record::Region;
    use super::*;

    const MAX_FRAMES: usize = 127;

    fn take(tree: &mut Tree, what: What) {
        tree.take(Record { time_ns: 0, what }, MAX_FRAMES);
    }

    fn sample(pid: u32, chain: &[u64]) -> What {
        What::Sample { pid, chain: chain.to_vec() }
    }

    fn map(pid: u32, start: u64, path: &str) -> What {
        What::Map { pid, region: Region { start, length: 0x1000, offset: 0, path: path.into(), inode: 1 } }
    }

    /// A tree of process 10, which has executed a program mapped at 0x1000.
    fn started() -> Tree {
        let mut tree = Tree::of_launched(10);
        take(&mut tree, What::Exec { pid: 10 });
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
        let mut tree = Tree::of_launched(10);
        take(&mut tree, map(10, 0x1000, "/bin/launcher"));
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1001]));
        assert_eq!(tree.samples, 0);
        take(&mut tree, What::Exec { pid: 10 });
        take(&mut tree, sample(10, &[PERF_CONTEXT_USER, 0x1001]));
        assert_eq!(tree.samples, 1);
        assert_eq!(tree.stacks.keys().next().unwrap(), &[Place::Unknown], "the launcher's mappings are gone");
    }

    #[test]
    fn children_and_their_children_are_followed_and_strangers_are_not() {
        let mut tree = started();
        take(&mut tree, What::Fork { pid: 11, parent: 10, tid: 11 });
        take(&mut tree, What::Fork { pid: 12, parent: 11, tid: 12 });
        take(&mut tree, What::Fork { pid: 90, parent: 89, tid: 90 });
        for pid in [11, 12, 90] {
            take(&mut tree, sample(pid, &[PERF_CONTEXT_USER, 0x1001]));
        }
        assert_eq!(tree.samples, 2);
        assert_eq!(offsets(&tree), [1], "a child has its parent's mappings");
    }

    #[test]
    fn a_number_used_again_by_a_stranger_is_not_followed() {
        let mut tree = started();
        take(&mut tree, What::Fork { pid: 11, parent: 10, tid: 11 });
        take(&mut tree, What::Exit { tid: 11 });
        take(&mut tree, What::Fork { pid: 11, parent: 1, tid: 11 });
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
    fn threads_that_live_shorter_than_a_period_are_found() {
        let mut tree = started();
        for (tid, end_ns) in [(20, 50), (21, 5_000)] {
            tree.take(Record { time_ns: 0, what: What::Fork { pid: 10, parent: 10, tid } }, MAX_FRAMES);
            tree.take(Record { time_ns: end_ns, what: What::Exit { tid } }, MAX_FRAMES);
        }
        assert_eq!(tree.short_lived(1_000), (1, 2));
    }
}
