//! Waiting by way of `/proc`, where the kernel refuses its events: how long each thread waited is exact, from its times in
//! `schedstat`; in what it waited is what was seen when it was looked at.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::sampler::{monotonic_ns, with_descendants};
use super::super::space::Space;
use super::super::symbols::{Inlined, Names};
use super::super::tree::{Place, Tree};
use super::super::{Error, Event, Profile, Request, Source};
use super::threads::{Thread, Used};
use super::{Labels, innermost};
use crate::measure;

/// Between two looks, at least.
const PERIOD: Duration = Duration::from_millis(10);
/// Part of a CPU that looking may take; with thousands of threads the looks come less often.
const MOST_OF_A_CPU: u32 = 5;
/// Looks at the threads between two at the tree of processes, which needs all of `/proc`.
const LOOKS_A_TREE: u32 = 10;

const WARNING: &str = "waits were looked up in /proc, every 10 ms at most: only their innermost frames are known; for \
                       their stacks run as root, with CAP_PERFMON, or with `sysctl kernel.perf_event_paranoid=1`";

/// Polls until `has_ended` says so, having waited up to the time it is given, or the request is met.
///
/// # Errors
/// Nothing waited, or the kernel keeps no times of threads.
pub(super) fn record(
    pid: u32,
    request: Request,
    refusal: Error,
    mut has_ended: impl FnMut(Duration) -> bool,
) -> Result<Profile, Error> {
    let started = Instant::now();
    let mut looks = Looks::default();
    let labels = Labels::new(&mut looks.tree.modules);
    let mut pause = Duration::ZERO;
    for round in 0.. {
        let left = request.max_time.saturating_sub(started.elapsed());
        if has_ended(left.min(pause)) || measure::interrupted() || left.is_zero() {
            break;
        }
        let began = Instant::now();
        if round % LOOKS_A_TREE == 0 {
            looks.follow(pid);
        }
        looks.look(labels);
        pause = PERIOD.max(began.elapsed() * (MOST_OF_A_CPU - 1));
    }
    let duration = started.elapsed();
    if looks.tree.stacks.is_empty() {
        let are_times_kept = Path::new("/proc/self/schedstat").exists();
        return Err(if are_times_kept { Error::NoWaits { duration } } else { refusal });
    }
    let names = Names::of(&looks.tree.stacks, &looks.tree, Inlined::Shown);
    let folded = names.folded(&looks.tree.stacks).in_microseconds();
    let profile = Profile::of_folded(&folded, Source::Proc, Event::Polls);
    Ok(Profile { samples: looks.seen, duration, warnings: vec![WARNING.to_owned()], ..profile })
}

/// What has been seen up to now.
#[derive(Default)]
struct Looks {
    processes: HashMap<u32, Space>,
    watched: HashMap<Thread, Watched>,
    /// Modules, and nanoseconds by stack; it follows nothing.
    tree: Tree,
    /// Times that a thread was seen to wait.
    seen: u64,
}

/// A thread at the last look.
struct Watched {
    used: Used,
    at_ns: u64,
    name: Place,
    /// What it was last seen to wait in.
    places: Option<Vec<Place>>,
    /// Time that was counted as waited and has turned out to be CPU time since: the kernel counts that in ticks.
    overdrawn_ns: u64,
}

impl Looks {
    /// Finds the processes that are new, and takes leave of those that are gone.
    fn follow(&mut self, root: u32) {
        let pids = with_descendants(root);
        self.processes.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            // A process maps its libraries after its start: those of a new one are looked at once more.
            let space = Space::of_process(pid, &mut self.tree.modules);
            self.processes.insert(pid, space);
        }
    }

    fn look(&mut self, labels: Labels) {
        let threads: Vec<Thread> = self.processes.keys().flat_map(|&pid| Thread::of(pid)).collect();
        for thread in threads {
            let Some(used) = thread.used() else { continue };
            let Some(waits) = thread.waits() else { continue };
            let at_ns = monotonic_ns();
            let places =
                waits.then(|| innermost(thread, &self.processes[&thread.pid], &mut self.tree.modules));
            self.seen += u64::from(waits);
            match self.watched.get_mut(&thread) {
                Some(watched) => {
                    let (waited_ns, queued_ns) = watched.since(used, at_ns);
                    watched.places = places.or(watched.places.take());
                    let waited_in = watched.places.clone().unwrap_or_else(|| vec![labels.no_stack]);
                    let name = watched.name;
                    self.add(waited_in, name, waited_ns);
                    self.add(vec![labels.run_queue], name, queued_ns);
                }
                None => {
                    let Some(name) = thread.name() else { continue };
                    let name = Place::Module(self.tree.modules.label(&name), 0);
                    self.watched.insert(thread, Watched { used, at_ns, name, places, overdrawn_ns: 0 });
                }
            }
        }
    }

    fn add(&mut self, mut places: Vec<Place>, name: Place, waited_ns: u64) {
        if waited_ns > 0 {
            places.push(name);
            *self.tree.stacks.entry(places).or_default() += waited_ns;
        }
    }
}

impl Watched {
    /// Nanoseconds that the thread has waited, and was in the run queue, since the last look.
    fn since(&mut self, used: Used, at_ns: u64) -> (u64, u64) {
        let elapsed_ns = at_ns.saturating_sub(self.at_ns);
        let cpu_ns = used.cpu_ns.saturating_sub(self.used.cpu_ns);
        let queued_ns = used.run_queue_ns.saturating_sub(self.used.run_queue_ns);
        let accounted_ns = cpu_ns + queued_ns + self.overdrawn_ns;
        self.overdrawn_ns = accounted_ns.saturating_sub(elapsed_ns);
        (self.used, self.at_ns) = (used, at_ns);
        (elapsed_ns.saturating_sub(accounted_ns), queued_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        Watched { used: Used::default(), at_ns: 0, name: Place::Unknown, places: None, overdrawn_ns: 0 }
    }

    #[test]
    fn what_is_neither_cpu_nor_run_queue_was_waited() {
        let mut thread = watched();
        assert_eq!(thread.since(Used { cpu_ns: 30, run_queue_ns: 20 }, 100), (50, 20));
        assert_eq!(thread.since(Used { cpu_ns: 30, run_queue_ns: 20 }, 150), (50, 0));
    }

    #[test]
    fn cpu_time_that_comes_in_late_is_taken_from_what_is_waited_next() {
        let mut thread = watched();
        assert_eq!(thread.since(Used::default(), 100).0, 100, "the tick is not over");
        assert_eq!(thread.since(Used { cpu_ns: 180, run_queue_ns: 0 }, 200).0, 0);
        assert_eq!(
            thread.since(Used { cpu_ns: 180, run_queue_ns: 0 }, 300).0,
            20,
            "180 on the CPU, 120 waited"
        );
    }
}
