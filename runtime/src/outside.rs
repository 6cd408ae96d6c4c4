//! What a worker's thread uses while it has no processor: on its way to sleep and back, and in blocking calls.
//!
//! None of it is time of a processor, which is idle meanwhile or another worker's. But the kernel's account of the process
//! holds it all, so it is measured here, to be taken off there: while a [`Stretch`](crate::Stretch) is under way, and each
//! time, by 3 µs of system calls. To let a few times stand for all would not do: on a busy machine few of many have nearly
//! all of the wait (one in up to 64 gave `sleepers` between none and twice of what it had).

use crate::usage;
use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Workers that keep their account open; others open it each time, in 5 µs: descriptors are for the program.
const KEPT: usize = 64;

/// How a thread looks at the kernel's accounts of it.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    schedstat: OnceCell<Option<File>>,
}

/// What a thread used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) cpu_ns: u64,
    /// It could run, but had no CPU; 0 where the kernel does not say.
    pub(crate) wait_ns: u64,
}

impl Accounts {
    /// What this thread, of the worker `id`, has used ever.
    pub(crate) fn look(&self, id: usize) -> Used {
        let wait_ns = if id < KEPT {
            self.schedstat.get_or_init(|| schedstat().ok()).as_ref().and_then(wait_ns)
        } else {
            schedstat().ok().as_ref().and_then(wait_ns)
        };
        Used { cpu_ns: usage::thread_cpu_ns(), wait_ns: wait_ns.unwrap_or(0) }
    }
}

impl Used {
    /// What was used from `before` to `after`, if both are known.
    pub(crate) fn between(before: Option<Self>, after: Option<Self>) -> Option<Self> {
        let (before, after) = (before?, after?);
        Some(Self {
            cpu_ns: after.cpu_ns.saturating_sub(before.cpu_ns),
            wait_ns: after.wait_ns.saturating_sub(before.wait_ns),
        })
    }
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
    fn a_thread_uses_more_and_more_kept_open_or_not() {
        let accounts = Accounts::default();
        let looks = [0, KEPT, 0].map(|id| accounts.look(id));
        assert!(looks[0].cpu_ns < looks[2].cpu_ns);
        assert!(looks.is_sorted_by_key(|used| used.wait_ns), "{looks:?}");
        let between = |before, after| Used::between(before, after).map(|used| (used.cpu_ns, used.wait_ns));
        assert_eq!(between(Some(looks[2]), Some(looks[0])), Some((0, 0)));
        assert_eq!(between(None, Some(looks[0])), None);
    }
}
