//! Samples a process tree from outside: opens the events, empties their rings ten times a second, and puts what came in in
//! the order of time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, getrlimit, setrlimit};

use super::availability::{Choice, choose};
use super::event::{self, Settings, Who};
use super::record::{Parser, Record, Unparsed};
use super::ring::Ring;
use super::tree::Tree;
use super::unwind::STACK_BYTES;
use super::{Error, Profile, Request, Source, Time};
use crate::measure::serve::Served;
use crate::measure::{self, Child};

/// How long the tool sleeps between two looks at the rings, where they hold so much: it wakes ten times a second.
const LONGEST_ROUND: Duration = Duration::from_millis(100);

/// Switches a second on one CPU for which the rounds are short enough, though their samples are smaller.
const MANY_SWITCHES_HZ: u32 = 20_000;

/// Bytes of one sample: the copy of the stack, and some hundred bytes for registers and an ordinary chain.
const SAMPLE_BYTES: usize = STACK_BYTES as usize + 512;

/// Records the child from its exec until it ends, or enough stacks or time have been seen. The child is paused before its exec;
/// this starts it, and leaves it running if it has not ended by itself. An interruption ends the recording early.
///
/// # Errors
/// Sampling is refused, and then the child has not been started; it could not be started; or not one sample was seen.
pub(super) fn record_child(child: &mut Child, request: Request) -> Result<Profile, Error> {
    let pid = child.pid();
    let session = Session::open(&HashSet::from([pid]), &request)?;
    session.enable()?;
    child.start()?;
    session.record(Tree::of_launched(pid, request.split), request, |patience| child.wait_up_to(patience))
}

/// Records a running process, its threads and its children, until it ends, or enough stacks or time have been seen.
///
/// # Errors
/// The process is gone or sampling it is refused; or not one sample was seen.
pub(super) fn record_pid(pid: u32, request: Request) -> Result<Profile, Error> {
    if pid == 0 || !Path::new("/proc").join(pid.to_string()).exists() {
        return Err(Error::Gone { pid });
    }
    let process = open_process(pid)?;
    let session = Session::open(&HashSet::from([pid]), &request)?;
    session.enable()?;
    // The events are on before `/proc` is read: what starts in between comes as a record.
    let tree = Tree::of_running(&with_descendants(pid), request.split);
    session.record(tree, request, |patience| has_ended(&process, patience))
}

/// Records a server, its threads and its children, while it is under load.
///
/// # Errors
/// The server is gone or sampling it is refused; or not one sample was seen.
pub(super) fn record_served(served: &mut Served, request: Request) -> Result<Profile, Error> {
    let pid = served.server_pid();
    let session = Session::open(&HashSet::from([pid]), &request)?;
    session.enable()?;
    let tree = Tree::of_running(&with_descendants(pid), request.split);
    session.record(tree, request, |patience| served.wait_up_to(patience))
}

pub(super) fn open_process(pid: u32) -> Result<OwnedFd, Error> {
    let id = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Error::Gone { pid })?;
    rustix::process::pidfd_open(id, PidfdFlags::empty()).map_err(|error| Error::of_open(error.into(), pid))
}

/// Waits up to `patience` for the process to end.
pub(super) fn has_ended(process: &OwnedFd, patience: Duration) -> bool {
    let timeout = Timespec::try_from(patience).ok();
    let mut descriptors = [PollFd::new(process, PollFlags::IN)];
    // An interrupted wait is a short one; the caller looks at the clock.
    rustix::event::poll(&mut descriptors, timeout.as_ref()).is_ok_and(|ready| ready > 0)
}

/// The process and all that descend from it, by `/proc`.
pub(super) fn with_descendants(root: u32) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for pid in numbers_in("/proc") {
        if let Some(parent) =
            std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parent)
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = HashSet::from([root]);
    let mut to_visit = vec![root];
    while let Some(pid) = to_visit.pop() {
        for &child in children.get(&pid).into_iter().flatten() {
            if found.insert(child) {
                to_visit.push(child);
            }
        }
    }
    found
}

/// The parent in a line of `/proc/PID/stat`: `pid (name) state parent …`, where the name may hold anything.
fn parent(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

pub(super) fn numbers_in(folder: &str) -> Vec<u32> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Open events and their rings, one ring a CPU.
#[derive(Debug)]
struct Session {
    choice: Choice,
    frequency_hz: u32,
    warnings: Vec<String>,
    rings: Vec<Ring>,
    events: Vec<OwnedFd>,
}

impl Session {
    /// Opens disabled events for the processes and their descendants.
    fn open(roots: &HashSet<u32>, request: &Request) -> Result<Self, Error> {
        let root = *roots.iter().next().expect("a recording has a root");
        let choice = choose(root, request.time)?;
        let (frequency_hz, warning) = allowed_frequency(request.frequency_hz);
        let cpus = event::online_cpus();
        let ring_bytes = ring_bytes(cpus.len());
        let settings = Settings {
            event: choice.event,
            stacks: choice.stacks,
            frequency_hz,
            watermark_bytes: ring_bytes / 2,
        };
        let warnings = warning.into_iter().collect();
        let mut session = Self { choice, frequency_hz, warnings, rings: Vec::new(), events: Vec::new() };
        let everyone = [Who::Everyone];
        let tasks: Vec<Who>;
        let whom = if choice.source == Source::SystemWide {
            &everyone[..]
        } else {
            let pids = roots.iter().flat_map(|&pid| with_descendants(pid));
            let tids: Vec<u32> = pids.flat_map(|pid| numbers_in(&format!("/proc/{pid}/task"))).collect();
            let most = most_tasks(tids.len(), cpus.len());
            session.warnings.extend(too_many(tids.len(), most));
            tasks = tids.into_iter().take(most).map(Who::Task).collect();
            &tasks
        };
        for cpu in cpus {
            session.open_on(cpu, whom, &settings, ring_bytes).map_err(|error| Error::of_open(error, root))?;
        }
        if session.rings.is_empty() { Err(Error::Gone { pid: root }) } else { Ok(session) }
    }

    /// Opens the events of one CPU. The first has the ring, the others write into it. A thread that has ended and a CPU that
    /// went offline are skipped.
    fn open_on(&mut self, cpu: u32, whom: &[Who], settings: &Settings, ring_bytes: u32) -> io::Result<()> {
        let mut owner: Option<usize> = None;
        for &who in whom {
            let event = match event::open(settings, who, cpu) {
                Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENODEV)) => continue,
                result => result?,
            };
            match owner {
                Some(owner) => event::redirect(&event, &self.events[owner])?,
                None => {
                    self.rings.push(Ring::map(&event, ring_bytes as usize)?);
                    owner = Some(self.events.len());
                }
            }
            self.events.push(event);
        }
        Ok(())
    }

    fn enable(&self) -> Result<(), Error> {
        self.events.iter().try_for_each(event::enable).map_err(|source| Error::Events { source })
    }

    /// Samples until `has_ended` says so, having waited up to the time it is given, or the request is met.
    fn record(
        mut self,
        mut tree: Tree,
        request: Request,
        mut has_ended: impl FnMut(Duration) -> bool,
    ) -> Result<Profile, Error> {
        let started = Instant::now();
        if request.time == Time::OffCpu {
            tree.count_waits(monotonic_ns());
        }
        let max_frames = max_frames();
        let smallest = self.rings.iter().map(Ring::data_bytes).min().unwrap_or(0);
        let patience = match request.time {
            Time::OnCpu => patience(smallest, self.frequency_hz),
            Time::OffCpu => patience(smallest, MANY_SWITCHES_HZ),
        };
        let mut merger = Merger::default();
        loop {
            let left = request.max_time.saturating_sub(started.elapsed());
            // An interruption ends the wait early, each time: what was seen until then is the profile.
            let is_over = has_ended(left.min(patience)) || measure::interrupted();
            merger.round(&mut self.rings, |record| tree.take(record, max_frames));
            let is_enough = request.max_samples.is_some_and(|enough| tree.samples >= enough);
            if is_over || is_enough || started.elapsed() >= request.max_time {
                break;
            }
        }
        self.events.iter().try_for_each(event::disable).map_err(|source| Error::Events { source })?;
        let (duration, ended_ns) = (started.elapsed(), monotonic_ns());
        merger.finish(&mut self.rings, |record| tree.take(record, max_frames));
        tree.end_waits(ended_ns);
        let Self { choice, frequency_hz, warnings, .. } = self;
        Profile::of_tree(&tree, choice, frequency_hz, duration, warnings)
    }
}

/// Gives the records of all rings in the order of time.
///
/// Each ring is in order, but they are looked at one after the other, so one that is looked at late holds records younger than
/// some that are yet to come in one that was looked at early. A record older than the beginning of the round *before* this one
/// has none older to come: every ring has been looked at since, and a record is in its ring within microseconds of its time.
/// Younger ones stay in their rings until the next round.
#[derive(Debug, Default)]
struct Merger {
    last_round_ns: u64,
}

impl Merger {
    /// Gives the records that are in order for certain.
    fn round(&mut self, rings: &mut [Ring], take: impl FnMut(Record<'_>)) {
        let began_ns = monotonic_ns();
        let certain_ns = std::mem::replace(&mut self.last_round_ns, began_ns);
        give(rings, certain_ns, take);
    }

    /// Gives all that is left, the events being disabled.
    fn finish(self, rings: &mut [Ring], take: impl FnMut(Record<'_>)) {
        give(rings, u64::MAX, take);
    }
}

/// Gives what happened up to then in the order of time, equal times in that of their ring, and its room back to the kernel.
fn give(rings: &mut [Ring], time_ns: u64, mut take: impl FnMut(Record<'_>)) {
    let parser = Parser::new();
    let mut certain: Vec<Unparsed<'_>> = Vec::new();
    let mut sizes = Vec::new();
    for ring in &*rings {
        let first = certain.len();
        certain.extend(parser.records(ring.unread()).take_while(|record| record.time_ns <= time_ns));
        sizes.push(certain[first..].iter().map(|record| record.bytes).sum());
    }
    certain.sort_by_key(|record| record.time_ns);
    certain.into_iter().filter_map(Unparsed::read).for_each(&mut take);
    rings.iter_mut().zip(sizes).for_each(|(ring, bytes)| ring.give_back(bytes));
}

/// The clock that the events stamp their records with.
pub(super) fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// The wanted frequency, or what the kernel allows, and then a warning.
fn allowed_frequency(wanted_hz: u32) -> (u32, Option<String>) {
    let limit =
        event::kernel_setting("perf_event_max_sample_rate").and_then(|limit| u32::try_from(limit).ok());
    match limit {
        Some(limit) if wanted_hz > limit && limit > 0 => {
            let text = format!(
                "sampled at {limit} Hz, not {wanted_hz}: kernel.perf_event_max_sample_rate allows no more"
            );
            (limit, Some(text))
        }
        _ => (wanted_hz.max(1), None),
    }
}

/// How long a busy CPU takes to fill an eighth of its ring: records stay there for two rounds, and a tool that has to wait for a CPU
/// itself is late.
fn patience(ring_bytes: usize, frequency_hz: u32) -> Duration {
    let samples = (ring_bytes / 8 / SAMPLE_BYTES).max(1);
    Duration::from_secs_f64(samples as f64 / f64::from(frequency_hz.max(1))).min(LONGEST_ROUND)
}

/// Bytes of each ring, one a CPU. A CPU writes about 900 KB of samples between two rounds at the usual 997 Hz, and the starts and
/// ends of threads come on top, of all processes: a program that starts 30 000 threads a second filled 512 KiB. A user who may
/// not lock so much memory gets less ([`Ring::map`]), and then the rounds are shorter.
fn ring_bytes(cpus: usize) -> u32 {
    const MEMORY: usize = 64 << 20;
    let share = (MEMORY / cpus.max(1)).clamp(512 << 10, 8 << 20);
    u32::try_from(share.next_power_of_two()).expect("at most 8 MiB")
}

/// How many of `tasks` may have an event on each CPU: descriptors are limited. The limit is raised if it can be.
fn most_tasks(tasks: usize, cpus: usize) -> usize {
    /// For all else that is open: files, pipes, the terminal.
    const OTHERS: u64 = 64;
    let wanted = (tasks as u64).saturating_mul(cpus as u64).saturating_add(OTHERS);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
        // A refusal leaves the limit as it was, which is read below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limit });
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    usize::try_from(allowed.saturating_sub(OTHERS)).unwrap_or(usize::MAX) / cpus.max(1)
}

fn too_many(tasks: usize, most: usize) -> Option<String> {
    (tasks > most).then(|| {
        format!(
            "only {most} of {tasks} threads are sampled, as each needs a descriptor on each CPU: raise `ulimit -n`, or sample \
             the whole system (`sysctl kernel.perf_event_paranoid=0`, CAP_PERFMON or root)"
        )
    })
}

/// Frames after which the kernel cuts a stack.
pub(super) fn max_frames() -> usize {
    event::kernel_setting("perf_event_max_stack")
        .and_then(|frames| usize::try_from(frames).ok())
        .unwrap_or(127)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{ids, record};
    use super::super::ring::tests::Fake;
    use super::*;
    use linux_perf_event_reader::constants::PERF_RECORD_EXIT;

    /// Two rings, and in each ends of threads at those times; what a round gives of them.
    fn times(rings: [&[u64]; 2], round: impl FnOnce(&mut [Ring], &mut Vec<u64>)) -> Vec<u64> {
        let mut kernels = Vec::new();
        let mut own = Vec::new();
        for times in rings {
            let (mut kernel, ring) = Fake::new(8);
            let ends = times.iter().flat_map(|&time_ns| {
                let body = [ids(&[7, 6, 8, 6]), time_ns.to_ne_bytes().to_vec()].concat();
                record(PERF_RECORD_EXIT, 0, &body, Some(time_ns))
            });
            kernel.write(&ends.collect::<Vec<u8>>());
            kernels.push(kernel);
            own.push(ring);
        }
        let mut seen = Vec::new();
        round(&mut own, &mut seen);
        seen
    }

    #[test]
    fn a_record_waits_in_its_ring_until_no_older_one_can_come() {
        let seen = times([&[10, 30, 40], &[20, 25, 35]], |rings, seen| {
            give(rings, 29, |record| seen.push(record.time_ns));
            seen.push(0);
            give(rings, u64::MAX, |record| seen.push(record.time_ns));
            give(rings, u64::MAX, |record| seen.push(record.time_ns));
        });
        assert_eq!(seen, [10, 20, 25, 0, 30, 35, 40]);
    }

    #[test]
    fn a_round_gives_nothing_younger_than_the_round_before() {
        let before = monotonic_ns();
        let seen = times([&[before], &[u64::MAX - 1]], |rings, seen| {
            let mut merger = Merger::default();
            merger.round(rings, |record| seen.push(record.time_ns));
            assert!(seen.is_empty());
            merger.round(rings, |record| seen.push(record.time_ns));
            assert_eq!(*seen, [before]);
            merger.finish(rings, |record| seen.push(record.time_ns));
        });
        assert_eq!(seen, [before, u64::MAX - 1]);
    }

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("7 (a) b) S 5 7 7 0"), Some(5));
        assert_eq!(parent("7 (sh) R 1"), Some(1));
        assert_eq!(parent("nonsense"), None);
    }

    #[test]
    fn the_own_process_is_among_its_parents_descendants() {
        let own = std::process::id();
        assert!(with_descendants(std::os::unix::process::parent_id()).contains(&own));
        assert!(with_descendants(own).contains(&own));
    }

    #[test]
    fn a_frequency_beyond_the_kernels_limit_is_cut_with_a_warning() {
        let (allowed, warning) = allowed_frequency(u32::MAX);
        if event::kernel_setting("perf_event_max_sample_rate").is_some() {
            assert!(allowed < u32::MAX && warning.unwrap().contains("perf_event_max_sample_rate"));
        }
        assert_eq!(allowed_frequency(0), (1, None));
    }

    #[test]
    fn rings_are_bounded_on_one_cpu_and_on_many() {
        assert_eq!([0, 1, 8].map(ring_bytes), [8 << 20; 3]);
        assert_eq!([16, 64, 128, 4096].map(ring_bytes), [4 << 20, 1 << 20, 512 << 10, 512 << 10]);
    }

    #[test]
    fn rounds_are_short_enough_for_a_small_ring() {
        assert_eq!(patience(8 << 20, 997), LONGEST_ROUND);
        for ring_bytes in [32 << 10, 512 << 10, 8 << 20] {
            let written = patience(ring_bytes, 9973).as_secs_f64() * 9973.0 * SAMPLE_BYTES as f64;
            assert!(written < ring_bytes as f64 / 3.0, "{written} bytes in a round into {ring_bytes}");
        }
    }

    #[test]
    fn as_many_threads_are_sampled_as_there_are_descriptors_for() {
        assert!(most_tasks(1, 2) >= 1);
        let most = most_tasks(usize::MAX >> 8, 1 << 20);
        assert!(too_many(most + 1, most).unwrap().contains("ulimit -n"));
        assert_eq!(too_many(most, most), None);
    }

    #[test]
    fn a_process_that_does_not_exist_is_gone() {
        let request = Request { max_time: Duration::from_millis(1), ..Request::default() };
        for pid in [0, u32::MAX, 1 << 23] {
            assert!(matches!(record_pid(pid, request), Err(Error::Gone { .. })));
        }
    }
}
