//! What a worker uses while it has no processor: on its way to sleep and back and in blocking calls. (Sysmon never has one, and
//! counts its CPU time itself.)
//!
//! None of it is time of a processor, which is idle meanwhile or another worker's. But the kernel's account of the process
//! holds it all, so it is measured here, to be taken off there: while a [`Stretch`](crate::Stretch) is under way, and each
//! time, by 3 µs of system calls. To let a few times stand for all would not do: on a busy machine few of many have nearly
//! all of the wait (one in up to 64 gave `sleepers` between none and twice of what it had).

use crate::metrics::SharedStats;
use crate::primitives::OnceLock;
use crate::usage;
use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Workers that keep their account open; others open it each time, in 5 µs: descriptors are for the program.
const KEPT: usize = 64;

/// The kernel's accounts of a worker's thread, and what they were when it gave its processor away.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    schedstat: OnceCell<Option<File>>,
    left: Cell<Option<Left>>,
}

/// What a thread had used when it gave its processor away, and whether for a blocking call.
#[derive(Clone, Copy, Debug)]
struct Left {
    cpu_ns: u64,
    wait_ns: u64,
    for_call: bool,
}

impl Accounts {
    /// This thread, of the worker `id`, gives its processor away, if it has not already: to sleep, or for a blocking call. What
    /// it uses from now on is of interest while a `Stretch` is under way.
    pub(crate) fn leave(&self, id: usize, for_call: bool, stats: &SharedStats) {
        if !stats.is_in_stretch() || self.left.get().is_some() {
            return;
        }
        // A look takes 2 µs: the processor's time before a call, and not of who has given it away to sleep.
        let (cpu_ns, wait_ns) = if for_call {
            let wait_ns = self.wait_ns(id);
            (usage::thread_cpu_ns(), wait_ns)
        } else {
            (usage::thread_cpu_ns(), self.wait_ns(id))
        };
        self.left.set(Some(Left { cpu_ns, wait_ns, for_call }));
    }

    /// This thread has just been started, for a processor that waits for it: all that it has used is of interest.
    pub(crate) fn begin(&self, stats: &SharedStats) {
        if stats.is_in_stretch() {
            self.left.set(Some(Left { cpu_ns: 0, wait_ns: 0, for_call: false }));
        }
    }

    /// It has a processor again at the end of a call: adds what it used meanwhile, if that was looked at.
    pub(crate) fn end_call(&self, id: usize, stats: &SharedStats) {
        if let Some(left) = self.left.take() {
            // First: the rest of the look is the processor's time, as it is before a call.
            add_cpu(stats, left);
            self.add_wait(id, stats, left);
        }
    }

    /// It has a processor again: adds what it used meanwhile, if that was looked at. When that was by the `clock`, which goes
    /// on from here as the processor's.
    pub(crate) fn come_back(
        &self,
        id: usize,
        stats: &SharedStats,
        clock: impl FnOnce() -> u64,
    ) -> Option<u64> {
        let left = self.left.take()?;
        self.add_wait(id, stats, left);
        let back_ns = clock();
        // Last, as it is first where it leaves to sleep.
        add_cpu(stats, left);
        Some(back_ns)
    }

    fn add_wait(&self, id: usize, stats: &SharedStats, left: Left) {
        stats.outside_wait_ns.add_shared(self.wait_ns(id).saturating_sub(left.wait_ns));
    }

    /// How long it could run, but had no CPU; 0 where the kernel does not say.
    fn wait_ns(&self, id: usize) -> u64 {
        let wait_ns = if id < KEPT {
            self.schedstat.get_or_init(|| schedstat().ok()).as_ref().and_then(wait_ns)
        } else {
            schedstat().ok().as_ref().and_then(wait_ns)
        };
        wait_ns.unwrap_or(0)
    }
}

/// Adds the CPU time of this thread since it `left`.
fn add_cpu(stats: &SharedStats, left: Left) {
    let used_ns = if left.for_call { &stats.blocking_cpu_ns } else { &stats.outside_cpu_ns };
    used_ns.add_shared(usage::thread_cpu_ns().saturating_sub(left.cpu_ns));
}

/// Whether the kernel says how long a thread could run but had no CPU.
pub(crate) fn is_wait_told() -> bool {
    static IS_TOLD: OnceLock<bool> = OnceLock::new();
    *IS_TOLD.get_or_init(|| schedstat().ok().as_ref().and_then(wait_ns).is_some())
}

/// The account of the calling thread, which it stays.
fn schedstat() -> io::Result<File> {
    File::open("/proc/thread-self/schedstat")
}

/// Nanoseconds that a thread could run but had no CPU.
fn wait_ns(schedstat: &File) -> Option<u64> {
    // Time run, time waited, times run: three numbers of 20 digits at most.
    let mut text = [0; 64];
    let length = schedstat.read_at(&mut text, 0).ok()?;
    let text = str::from_utf8(&text[..length]).ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "reads accounts of the kernel")]
    fn what_is_used_until_it_comes_back_counts_once_whatever_it_left_for() {
        let (accounts, stats) = (Accounts::default(), SharedStats::default());
        let used = || [&stats.outside_cpu_ns, &stats.blocking_cpu_ns].map(|counter| counter.get() > 0);
        accounts.leave(0, true, &stats);
        let back = |accounts: &Accounts, id| accounts.come_back(id, &stats, || 7);
        back(&accounts, 0);
        assert_eq!(used(), [false, false], "no one asks");
        stats.set_in_stretch(true);
        back(&accounts, 0);
        assert_eq!(used(), [false, false], "it has not left");
        accounts.leave(0, true, &stats);
        accounts.leave(0, false, &stats);
        back(&accounts, 0);
        assert_eq!(used(), [false, true], "it had left for a call");
        let before_ns = stats.blocking_cpu_ns.get();
        accounts.leave(KEPT, false, &stats);
        assert_eq!([back(&accounts, KEPT), back(&accounts, KEPT)], [Some(7), None]);
        assert_eq!((used(), stats.blocking_cpu_ns.get()), ([true, true], before_ns));
        let sleeping_ns = stats.outside_cpu_ns.get();
        accounts.begin(&stats);
        back(&accounts, 0);
        assert!(
            stats.outside_cpu_ns.get() - sleeping_ns > sleeping_ns,
            "this thread's all, and not of a moment"
        );
        let others_ns = stats.outside_cpu_ns.get();
        accounts.leave(0, true, &stats);
        accounts.end_call(0, &stats);
        let calls_ns = stats.blocking_cpu_ns.get();
        assert!(calls_ns > before_ns, "the call's end counts likewise");
        accounts.end_call(0, &stats);
        back(&accounts, 0);
        assert_eq!([stats.blocking_cpu_ns.get(), stats.outside_cpu_ns.get()], [calls_ns, others_ns], "once");
    }
}
