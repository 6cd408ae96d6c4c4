//! What the threads of a program wait for while they do not run, polled from outside: for commands, which do not say it
//! themselves.
//!
//! How long a thread was blocked between two polls follows from the kernel's account of it: neither running nor waiting for a
//! CPU. Why, tells the system call that it is in at the second. A program has more threads than workers (one that joins
//! them, helpers of a runtime), so at each poll the threads are ranked by how much they did since the one before, and the
//! first N count as the workers.

/// Part of the time between two polls that a thread must have been blocked for to be looked at more closely.
const WORTH_A_LOOK: f64 = 0.01;

/// How long the workers of a program did not run, by what they waited for. Seconds, summed over them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blocked {
    /// On a futex: a lock, a condition variable, a join.
    pub lock_s: f64,
    /// On a descriptor, a child, or a disk.
    pub io_s: f64,
    /// For time to pass.
    pub sleep_s: f64,
    /// There were fewer threads than workers.
    pub slack_s: f64,
}

/// The same by the rank of a thread, the one that does most first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockedThreads {
    ranks: Vec<Rank>,
    /// Seconds that were looked at.
    seen_s: f64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Rank {
    lock_s: f64,
    io_s: f64,
    sleep_s: f64,
    /// Seconds for which there were so many threads.
    there_s: f64,
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Lock,
    Io,
    Sleep,
}

/// One thread between two polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interval {
    /// Seconds it ran, or waited for a CPU.
    pub(super) active_s: f64,
    /// What it was last seen to wait for; `None` if it was not.
    pub(super) wait: Option<Wait>,
}

impl BlockedThreads {
    /// Whether anything was looked at.
    pub(super) fn is_known(&self) -> bool {
        self.seen_s > 0.0
    }

    /// Adds what the threads did in `seconds` between two polls.
    pub(super) fn add(&mut self, seconds: f64, threads: &mut [Interval]) {
        threads.sort_by(|a, b| b.active_s.total_cmp(&a.active_s));
        if self.ranks.len() < threads.len() {
            self.ranks.resize(threads.len(), Rank::default());
        }
        for (rank, thread) in self.ranks.iter_mut().zip(threads) {
            let blocked_s = (seconds - thread.active_s).max(0.0);
            rank.there_s += seconds;
            match thread.wait {
                Some(Wait::Lock) => rank.lock_s += blocked_s,
                Some(Wait::Io) => rank.io_s += blocked_s,
                Some(Wait::Sleep) => rank.sleep_s += blocked_s,
                // Left unexplained.
                None => {}
            }
        }
        self.seen_s += seconds;
    }

    /// What `workers` threads wait for in a sample of `wall_s`, of which the polls have seen a part.
    #[must_use]
    pub fn of(&self, workers: u32, wall_s: f64) -> Blocked {
        let workers = usize::try_from(workers).unwrap_or(usize::MAX);
        let mut sum = Blocked { slack_s: workers as f64 * self.seen_s, ..Blocked::default() };
        for rank in self.ranks.iter().take(workers) {
            sum.lock_s += rank.lock_s;
            sum.io_s += rank.io_s;
            sum.sleep_s += rank.sleep_s;
            sum.slack_s -= rank.there_s;
        }
        let all = if self.seen_s > 0.0 { wall_s / self.seen_s } else { 0.0 };
        Blocked {
            lock_s: sum.lock_s * all,
            io_s: sum.io_s * all,
            sleep_s: sum.sleep_s * all,
            slack_s: sum.slack_s.max(0.0) * all,
        }
    }
}

/// Whether a thread that was active for `active_s` of `seconds` was blocked for long enough to ask what for.
pub(super) fn is_worth_a_look(active_s: f64, seconds: f64) -> bool {
    seconds - active_s > WORTH_A_LOOK * seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threads_that_do_most_are_the_workers() {
        let mut blocked = BlockedThreads::default();
        let thread = |active_s, wait| Interval { active_s, wait };
        // Main joins; of two workers one waits for a lock for half the time.
        let mut threads = [thread(0.0, Some(Wait::Io)), thread(0.1, None), thread(0.05, Some(Wait::Lock))];
        blocked.add(0.1, &mut threads);
        blocked.add(0.1, &mut [thread(0.1, None)]);
        let two = blocked.of(2, 0.4);
        assert!((two.lock_s - 0.1).abs() < 1e-12 && (two.slack_s - 0.2).abs() < 1e-12, "{two:?}");
        assert_eq!((two.io_s, two.sleep_s), (0.0, 0.0));
        let four = blocked.of(4, 0.2);
        assert!((four.io_s - 0.1).abs() < 1e-12 && (four.slack_s - 0.4).abs() < 1e-12, "{four:?}");
        assert_eq!(BlockedThreads::default().of(2, 1.0), Blocked::default());
    }
}
