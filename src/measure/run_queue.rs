//! How long the threads of a program waited for a CPU although they could run, and what they waited for otherwise
//! (`blocked.rs`), polled from outside: for commands, which do not say it themselves.
//!
//! The kernel keeps the sum per thread, and drops it with the thread: the last value seen of each is taken. Threads that
//! live shorter than the time between two polls are missed, so the figure is a lower bound.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

use super::blocked::{self, BlockedThreads, Interval, Wait};
use super::tree::{Root, Tree};
use super::waiting;

/// Below this many polls the figure says nothing.
const LEAST_POLLS: u32 = 5;
/// The shortest time between two polls.
const INTERVAL: Duration = Duration::from_millis(100);
/// A poll may take one part in this many of the time until the next: at most 1 % of one CPU, however many threads.
const SHARE: u32 = 100;

/// A thread's scheduling statistics, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    run_ns: u64,
    wait_ns: u64,
}

/// The run-queue wait of one sample so far.
#[derive(Debug)]
pub(super) struct RunQueue {
    tree: Tree,
    waits: Waits,
    begun: Instant,
    /// When the threads were last looked at.
    polled: Instant,
    due: Instant,
    /// Waited before that, which does not count.
    before_ns: u64,
    blocked: BlockedThreads,
}

impl RunQueue {
    /// Of the sample that begins with `root`, at `now`.
    pub(super) fn new(root: Root, now: Instant) -> Option<Self> {
        let waits = Waits::default();
        Some(Self {
            tree: Tree::new(root),
            waits,
            begun: now,
            polled: now,
            due: now + INTERVAL,
            before_ns: 0,
            blocked: BlockedThreads::default(),
        })
    }

    /// Of a sample that runs already: what it waited before `now` does not count.
    pub(super) fn from_now(root: Root, now: Instant) -> Option<Self> {
        let mut this = Self::new(root, now)?;
        this.poll(now);
        this.before_ns = this.waits.total_ns();
        this.waits.polls = 0;
        this.blocked = BlockedThreads::default();
        Some(this)
    }

    /// When the next poll is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Reads every thread of the tree.
    pub(super) fn poll(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.polled).as_secs_f64();
        let mut intervals = Vec::new();
        for pid in self.tree.refresh() {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
            for thread in threads {
                let id = thread.file_name().to_str().and_then(|name| name.parse().ok());
                let statistics = fs::read_to_string(thread.path().join("schedstat")).ok();
                if let (Some(id), Some(times)) = (id, statistics.as_deref().and_then(parse)) {
                    let active_s = self.waits.note(id, times) as f64 / 1e9;
                    let is_idle = blocked::is_worth_a_look(active_s, seconds);
                    let seen = if is_idle { waiting::look(&thread.path()) } else { None };
                    intervals.push(Interval { active_s, wait: self.waits.last_wait(id, seen) });
                }
            }
        }
        self.blocked.add(seconds, &mut intervals);
        self.waits.polls += 1;
        self.polled = now;
        self.due = now + INTERVAL.max(now.elapsed() * SHARE);
    }

    /// Seconds waited, of all threads seen; `None` below five polls and where the kernel does not count it.
    pub(super) fn wait_s(&self) -> Option<f64> {
        self.waits.is_known().then(|| self.waits.total_ns().saturating_sub(self.before_ns) as f64 / 1e9)
    }

    /// What the threads waited for otherwise; `None` as above.
    pub(super) fn into_blocked(self) -> Option<BlockedThreads> {
        (self.waits.is_known() && self.blocked.is_known()).then_some(self.blocked)
    }

    /// The share of the time that the busiest thread ran; `None` as above.
    pub(super) fn busiest_share(&self) -> Option<f64> {
        let run_ns = self.waits.threads.values().map(|times| times.run_ns).max()?;
        let seen_ns = self.polled.saturating_duration_since(self.begun).as_nanos() as f64;
        (self.waits.is_known() && seen_ns > 0.0).then(|| run_ns as f64 / seen_ns)
    }
}

/// The last value of each thread.
#[derive(Debug, Default)]
struct Waits {
    threads: HashMap<u32, Times>,
    /// What each was last seen to wait for.
    last: HashMap<u32, Wait>,
    /// Of threads whose id another one has got since.
    gone_ns: u64,
    polls: u32,
}

impl Waits {
    /// Notes a thread; for how many nanoseconds it has run or waited for a CPU since it was last noted.
    fn note(&mut self, thread: u32, times: Times) -> u64 {
        let all = |times: Times| times.run_ns + times.wait_ns;
        match self.threads.insert(thread, times) {
            Some(before) if times.run_ns >= before.run_ns => all(times).saturating_sub(all(before)),
            Some(before) => {
                self.gone_ns += before.wait_ns;
                self.last.remove(&thread);
                all(times)
            }
            None => all(times),
        }
    }

    /// What `thread` waits for: what is `seen` now, else what was seen last.
    fn last_wait(&mut self, thread: u32, seen: Option<Wait>) -> Option<Wait> {
        match seen {
            Some(wait) => {
                self.last.insert(thread, wait);
                Some(wait)
            }
            None => self.last.get(&thread).copied(),
        }
    }

    fn total_ns(&self) -> u64 {
        self.gone_ns + self.threads.values().map(|times| times.wait_ns).sum::<u64>()
    }

    fn is_known(&self) -> bool {
        self.polls >= LEAST_POLLS && !self.threads.is_empty()
    }
}

/// `/proc/PID/task/TID/schedstat`: time run, time waited, times run.
fn parse(text: &str) -> Option<Times> {
    let mut fields = text.split_ascii_whitespace();
    Some(Times { run_ns: fields.next()?.parse().ok()?, wait_ns: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(polls: u32, notes: &[(u32, u64, u64)]) -> Waits {
        let mut waits = Waits { polls, ..Waits::default() };
        for (thread, run_ns, wait_ns) in notes {
            waits.note(*thread, Times { run_ns: *run_ns, wait_ns: *wait_ns });
        }
        waits
    }

    #[test]
    fn the_last_value_of_each_thread_counts() {
        let waits =
            waits(5, &[(1, 10, 1_000_000_000), (2, 10, 5), (1, 20, 2_000_000_000), (2, 11, 500_000_000)]);
        assert_eq!((waits.is_known(), waits.total_ns()), (true, 2_500_000_000));
    }

    #[test]
    fn a_thread_that_takes_a_dead_ones_id_adds_to_it() {
        let waits = waits(5, &[(1, 10, 1_000_000_000), (1, 3, 500_000_000)]);
        assert_eq!((waits.is_known(), waits.total_ns()), (true, 1_500_000_000));
    }

    #[test]
    fn below_five_polls_or_without_statistics_nothing_is_known() {
        assert!(!waits(4, &[(1, 10, 10)]).is_known());
        assert!(!waits(9, &[]).is_known());
    }

    #[test]
    fn schedstat_is_three_numbers() {
        assert_eq!(parse("448095 17 1\n"), Some(Times { run_ns: 448_095, wait_ns: 17 }));
        assert_eq!(parse(""), None);
        assert_eq!(parse("12 x"), None);
    }
}
