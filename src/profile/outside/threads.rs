//! The threads of the processes that are followed: what they are called, and how long they lived.

use std::collections::HashMap;

use super::Split;

/// Number of a thread in [`Threads`]; the kernel's may be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ThreadId(usize);

/// All threads that were seen.
#[derive(Debug, Default)]
pub(super) struct Threads {
    split: Split,
    list: Vec<Thread>,
    by_tid: HashMap<u32, ThreadId>,
    started_ns: HashMap<u32, u64>,
    lifetimes_ns: Vec<u64>,
}

#[derive(Debug)]
struct Thread {
    tid: u32,
    name: String,
}

impl Threads {
    pub(super) fn new(split: Split) -> Self {
        Self { split, ..Self::default() }
    }

    /// A thread begins, under its starter's name.
    pub(super) fn start(&mut self, tid: u32, starter: u32, time_ns: u64) {
        self.started_ns.insert(tid, time_ns);
        if self.split == Split::ByThread {
            let name = self.by_tid.get(&starter).map(|id| self.list[id.0].name.clone());
            self.by_tid.remove(&tid);
            if let Some(name) = name {
                self.rename(tid, name);
            }
        }
    }

    pub(super) fn rename(&mut self, tid: u32, name: String) {
        if self.split == Split::ByThread {
            let id = self.id(tid);
            self.list[id.0].name = name;
        }
    }

    pub(super) fn end(&mut self, tid: u32, time_ns: u64) {
        if let Some(started_ns) = self.started_ns.remove(&tid) {
            self.lifetimes_ns.push(time_ns.saturating_sub(started_ns));
        }
    }

    /// Thread `tid` of process `pid`, where threads are told apart. The name of one that ran before the recording is read
    /// now: to read those of ten thousand at once, before the first sample, would take a second.
    pub(super) fn told_apart(&mut self, pid: u32, tid: u32) -> Option<ThreadId> {
        if self.split == Split::Merged {
            return None;
        }
        if !self.by_tid.contains_key(&tid) {
            let name = std::fs::read(format!("/proc/{pid}/task/{tid}/comm")).unwrap_or_default();
            self.rename(tid, String::from_utf8_lossy(&name).trim_end().to_owned());
        }
        self.by_tid.get(&tid).copied()
    }

    fn id(&mut self, tid: u32) -> ThreadId {
        let list = &mut self.list;
        *self.by_tid.entry(tid).or_insert_with(|| {
            list.push(Thread { tid, name: String::new() });
            ThreadId(list.len() - 1)
        })
    }

    /// `name (tid)`.
    pub(super) fn title(&self, id: ThreadId) -> String {
        let Thread { tid, name } = &self.list[id.0];
        if name.is_empty() { format!("thread ({tid})") } else { format!("{name} ({tid})") }
    }

    /// How many threads ended within `period_ns` of their start, and how many ended at all.
    pub(super) fn short_lived(&self, period_ns: u64) -> (usize, usize) {
        let lifetimes = &self.lifetimes_ns;
        (lifetimes.iter().filter(|&&lifetime| lifetime < period_ns).count(), lifetimes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_starters_name_until_it_has_its_own() {
        let mut threads = Threads::new(Split::ByThread);
        threads.rename(10, "main".into());
        threads.start(11, 10, 0);
        let id = threads.told_apart(0, 11).unwrap();
        assert_eq!(threads.title(id), "main (11)");
        threads.rename(11, "worker".into());
        assert_eq!(threads.title(id), "worker (11)");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_thread() {
        let mut threads = Threads::new(Split::ByThread);
        threads.start(11, 10, 0);
        let first = threads.told_apart(0, 11);
        threads.end(11, 5);
        threads.start(11, 10, 6);
        assert_ne!(threads.told_apart(0, 11), first);
        assert_eq!(threads.title(first.unwrap()), "thread (11)");
    }

    #[test]
    fn merged_threads_are_one() {
        let mut threads = Threads::new(Split::Merged);
        threads.rename(10, "main".into());
        assert_eq!((threads.told_apart(10, 10), threads.list.len()), (None, 0));
    }

    #[test]
    fn this_process_has_named_threads() {
        let mut threads = Threads::new(Split::ByThread);
        let pid = std::process::id();
        let id = threads.told_apart(pid, pid).unwrap();
        assert!(threads.title(id).ends_with(&format!("({pid})")));
        assert!(!threads.title(id).starts_with("thread "));
    }

    #[test]
    fn threads_that_live_shorter_than_a_period_are_found() {
        let mut threads = Threads::new(Split::Merged);
        for (tid, end_ns) in [(20, 50), (21, 5_000)] {
            threads.start(tid, 10, 0);
            threads.end(tid, end_ns);
        }
        assert_eq!(threads.short_lived(1_000), (1, 2));
    }
}
