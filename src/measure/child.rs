//! A sample under way: launched, started, waited for, ended.

mod wait;
mod window;

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::cgroup::{self, Limit, Throttling};
use super::control::{self, Word};
use super::counters::{Access, Counters, Event, Perf};
use super::kernel::{self, Usage};
use super::launcher::{self, Launched, Setup};
use super::output::{Ends, Output};
use super::quota::{Group, Quota};
use super::run_queue::RunQueue;
use super::tree::{self, Root};
use super::verdict::{self, Stopped};
use super::{Conditions, Error, Sample, Status, interrupt, report, steal};
use crate::target::Invocation;
use window::Window;

pub(super) use wait::wait_any;

/// How long the launcher may take for its part, which is milliseconds on a machine that works.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(30);

/// How a remark begins that quotes what a program that failed wrote last.
pub(super) const LAST_WORDS: &str = "its last words";

/// A child that has been launched and waits, its counters open, for [`Child::start`] before it execs the program. The
/// sampling profiler opens its events on it in between. Dropping it kills the whole process tree.
#[derive(Debug)]
pub struct Child {
    invocation: Invocation,
    root: Root,
    /// The cgroup that sets its quota.
    group: Option<Group>,
    pid: u32,
    /// Readable once the process has ended.
    handle: OwnedFd,
    control: UnixStream,
    /// The program's end of the result pipe, until it is handed over.
    result: Option<OwnedFd>,
    output: Option<Output>,
    counters: Counters,
    meters: Meters,
    polls_run_queue: bool,
    run_queue: Option<RunQueue>,
    started: Option<Started>,
    /// When it ended or was killed, by the monotonic clock.
    ended_ns: Option<u64>,
    /// What is counted, if not all.
    window: Option<Window>,
    /// It was asked to end.
    is_asked: bool,
    is_over: bool,
}

/// The moment of the exec.
#[derive(Clone, Copy, Debug)]
struct Started {
    unix_s: f64,
    clock_ns: u64,
    /// What the launcher used before it, in the same process.
    used: Usage,
}

/// How it ended.
#[derive(Debug)]
struct End {
    exit: Option<ExitStatus>,
    usage: Option<Usage>,
    stopped: Stopped,
    throttling: Option<Throttling>,
    steal_s: Option<f64>,
    /// Processes that would not die.
    unkillable: Vec<u32>,
    /// Why its cgroup is still there.
    group_left: Option<String>,
}

/// Counts of the machine and the cgroup that are read before and after.
#[derive(Debug, Default)]
struct Meters {
    limit: Option<Limit>,
    throttling: Option<Throttling>,
    steal_s: Option<f64>,
}

impl Meters {
    fn read(limit: Option<Limit>) -> Self {
        let throttling = limit.as_ref().and_then(cgroup::throttling);
        Self { limit, throttling, steal_s: steal::steal_s() }
    }

    /// What was throttled, and the seconds stolen, since.
    fn elapsed(&self) -> (Option<Throttling>, Option<f64>) {
        let now = Self::read(self.limit.clone());
        let throttling = now.throttling.zip(self.throttling).map(|(now, before)| now.since(before));
        let steal_s = now.steal_s.zip(self.steal_s).map(|(now, before)| (now - before).max(0.0));
        (throttling, steal_s)
    }
}

impl Child {
    /// Launches `invocation`, with the corefit binary `launcher`, and stops just before the exec.
    pub(super) fn launch(
        launcher: &Path,
        invocation: &Invocation,
        conditions: &Conditions,
    ) -> Result<Self, Error> {
        if let Some(directory) = invocation.directory.as_deref().filter(|directory| !directory.is_dir()) {
            return Err(Error::Directory { directory: directory.to_owned() });
        }
        tree::become_reaper().map_err(|source| Error::refused("adopt orphans", &source))?;
        let (output, Ends { stdout, stderr, result }) =
            Output::open(conditions.keep_output).map_err(|source| Error::refused("open a pipe", &source))?;
        let (control, theirs) = pair().map_err(|source| Error::refused("open a socket", &source))?;

        let group = conditions.quota.as_ref().map(Quota::group).transpose()?;
        let setup = Setup {
            cpus: conditions.cpus.clone(),
            cgroups: group.iter().map(|group| group.folder().to_owned()).collect(),
            ..Setup::of(invocation).map_err(|source| Error::refused("find the working directory", &source))?
        };
        let mut command = Command::new(launcher);
        command.arg0("corefit").arg(launcher::SUBCOMMAND).args(setup.to_words());
        command.envs(invocation.env.iter().map(|(name, value)| (name, value)));
        command
            .stdin(OwnedFd::from(theirs))
            .stderr(stderr)
            .stdout(stdout.map_or_else(Stdio::null, Stdio::from));
        if let Some(directory) = &invocation.directory {
            command.current_dir(directory);
        }
        let Launched { pid, root, handle } = launcher::spawn(command, &control, invocation)?;

        let counters = if conditions.counters { Counters::open(&Perf, pid) } else { Counters::none() };
        Ok(Self {
            invocation: invocation.clone(),
            root,
            group,
            pid,
            handle,
            control,
            result: Some(result),
            output: Some(output),
            counters,
            meters: Meters::default(),
            polls_run_queue: conditions.poll_run_queue,
            run_queue: None,
            started: None,
            ended_ns: None,
            window: None,
            is_asked: false,
            is_over: false,
        })
    }

    /// Process id of the program: the same before and after its exec.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the program exec. Once; again does nothing.
    ///
    /// # Errors
    /// The program does not exist or may not be executed.
    pub fn start(&mut self) -> Result<(), Error> {
        let Some(result) = self.result.take() else { return Ok(()) };
        self.meters = Meters::read(cgroup::limit(Path::new("/"), &self.pid.to_string()));
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        let trouble = |source| Error::refused("speak with the launcher", &source);
        control::send_go(&self.control, result.as_fd()).map_err(trouble)?;
        drop(result);
        let (clock_ns, used) = match control::hear(&self.control).map_err(trouble)? {
            Some(Word::Exec { clock_ns, used }) => (clock_ns, used),
            Some(Word::Failed { errno }) => return Err(Error::of_exec(&self.invocation, errno)),
            other => return Err(launcher::unexpected(other)),
        };
        match control::hear(&self.control).map_err(trouble)? {
            None => {}
            Some(Word::Failed { errno }) => return Err(Error::of_exec(&self.invocation, errno)),
            other => return Err(launcher::unexpected(other)),
        }
        self.started = Some(Started { unix_s, clock_ns, used });
        self.run_queue = self.polls_run_queue.then(|| RunQueue::new(self.root, Instant::now())).flatten();
        Ok(())
    }

    /// Stops what still runs of the process tree and gives the sample.
    #[must_use]
    pub fn finish(mut self) -> Sample {
        let end = self.end();
        let usage = end.usage;
        let own = self.started.and_then(|started| Some(usage?.since(started.used)));
        let wall_s = match (self.started, self.ended_ns) {
            (Some(started), Some(ended_ns)) => ended_ns.saturating_sub(started.clock_ns) as f64 / 1e9,
            _ => 0.0,
        };
        let verdict = verdict::judge(end.exit, end.stopped, wall_s);
        let kept = self.output.take().expect("output is taken here only").finish();

        let mut remarks: Vec<String> = verdict.remark.into_iter().collect();
        // What an interruption cut short says nothing of why.
        if verdict.status != Status::Ok && end.stopped != Stopped::Interrupted {
            let words = last_words(&kept.stderr).or_else(|| last_words(&kept.stdout));
            remarks.extend(words.map(|words| format!("{LAST_WORDS}: {words}")));
        }
        if kept.is_result_cut {
            remarks.push("wrote more than 1 MiB of results; only the end was read".to_owned());
        }
        remarks.extend(much_printed(kept.printed_bytes, wall_s));
        let report = report::parse(&kept.result, &mut remarks);
        if !end.unkillable.is_empty() {
            let pids: Vec<String> = end.unkillable.iter().map(u32::to_string).collect();
            remarks.push(format!("left processes that would not die: {}", pids.join(", ")));
        }
        remarks.extend(end.group_left.map(|why| format!("its cgroup could not be removed: {why}")));
        let seconds = |microseconds: u64| Duration::from_micros(microseconds).as_secs_f64();
        let cpu_s = own.map(|own| (seconds(own.user_us), seconds(own.system_us)));
        // The kernel does not say what a process's rusage was where its window began.
        let counts = self.counters.read(own.filter(|_| self.window.is_none()));
        let is_exact = self.counters.availability().of(Event::TaskClock) == Some(Access::Full);
        let clock_s = counts.task_clock_s.filter(|_| is_exact);
        let (user_s, sys_s) = self.window.as_ref().map_or(cpu_s, |window| window.cpu_s(clock_s)).unzip();
        Sample {
            status: verdict.status,
            exit_code: verdict.exit_code,
            signal: verdict.signal,
            wall_s,
            started_unix_s: self.started.map_or(0.0, |started| started.unix_s),
            user_s,
            sys_s,
            max_rss_bytes: self
                .started
                .and_then(|started| launcher::own_peak(started.used.max_rss_bytes, usage?.max_rss_bytes)),
            cpu_quota: self.meters.limit.as_ref().map(|limit| limit.cpus),
            throttled_s: end.throttling.map(|throttling| throttling.throttled_s),
            throttled_periods: end.throttling.map(|throttling| throttling.throttled_periods),
            quota_periods: end.throttling.map(|throttling| throttling.periods),
            run_queue_wait_s: self.run_queue.as_ref().and_then(RunQueue::wait_s),
            blocked: self.run_queue.take().and_then(RunQueue::into_blocked),
            steal_s: end.steal_s,
            counts,
            load: None,
            report,
            stdout: kept.stdout,
            stderr: kept.stderr,
            remarks,
        }
    }

    /// Kills and reaps the whole process tree.
    fn end(&mut self) -> End {
        self.is_over = true;
        // It may have ended since the last wait.
        if self.ended_ns.is_none() {
            self.wait_once(Some(Instant::now()));
        }
        let stopped = match (self.ended_ns, self.started) {
            (_, None) => Stopped::NotStarted,
            _ if self.is_asked => Stopped::Asked,
            (Some(_), _) => Stopped::No,
            (None, _) if interrupt::interrupted() => Stopped::Interrupted,
            (None, _) => Stopped::TimeUp,
        };
        if self.ended_ns.is_none() {
            let clock_ns = control::clock_ns();
            self.kill_group();
            tree::kill(&self.root, false);
            self.ended_ns = Some(clock_ns);
        }
        let elapsed = self.window.as_ref().and_then(Window::throttled_and_stolen);
        let (throttling, steal_s) = elapsed.unwrap_or_else(|| self.meters.elapsed());
        let reaped = kernel::reap(self.pid).ok().flatten();
        self.kill_group();
        let unkillable = tree::kill(&self.root, reaped.is_some());
        let group_left = self.group.as_mut().and_then(|group| Some(group.end().err()?.to_string()));
        End {
            exit: reaped.map(|(exit, _)| exit),
            usage: reaped.map(|(_, usage)| usage),
            stopped,
            throttling,
            steal_s,
            unkillable,
            group_left,
        }
    }

    /// Kills at once what is in its cgroup, wherever in the tree of processes it may be.
    fn kill_group(&self) {
        if let Some(group) = &self.group {
            group.kill();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_over {
            self.end();
        }
    }
}

/// The control socket: our end, and the launcher's.
fn pair() -> std::io::Result<(UnixStream, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_read_timeout(Some(LAUNCH_PATIENCE))?;
    Ok((ours, theirs))
}

/// Bytes a second from which a program's output is worth a remark. To write into a pipe that is read costs 0.5 to 2 ms a
/// MB more than into `/dev/null` (`seq 20000000`, 169 MB in 0.18 s), so this is about the precision of 2 %.
const MUCH_PRINTED: f64 = 20e6;

/// A program that prints so much is slowed by being read.
fn much_printed(bytes: u64, wall_s: f64) -> Option<String> {
    let megabytes = bytes as f64 / 1e6;
    // A burst that fits the pipe waits for nobody.
    (megabytes > 1.0 && bytes as f64 > MUCH_PRINTED * wall_s).then(|| {
        format!("printed {megabytes:.0} MB in {wall_s:.3} s: reading that slows it; send it to a file, as in `--shell -- 'CMD > FILE'`")
    })
}

/// Lines of a program's output that are quoted when it fails.
const LAST_LINES: usize = 3;

/// The last lines of `output` that are not empty, as they can stand in a message.
fn last_words(output: &[u8]) -> Option<String> {
    let lines = output.split(|byte| matches!(byte, b'\n' | b'\r')).map(<[u8]>::trim_ascii);
    let last = lines.rev().filter(|line| !line.is_empty()).take(LAST_LINES);
    let mut last: Vec<String> = last.map(|line| report::quote(&String::from_utf8_lossy(line), 200)).collect();
    last.reverse();
    (!last.is_empty()).then(|| last.join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_and_made_fit_for_a_message() {
        assert_eq!(last_words(b"one\ntwo \xff\x1b[0m\n\n").as_deref(), Some("one / two \u{fffd}\\u{1b}[0m"));
        assert_eq!(last_words(b"1\n2\n3\r\n4").as_deref(), Some("2 / 3 / 4"));
        assert_eq!(last_words(b"\n\r\n"), None);
    }

    #[test]
    fn only_a_flood_is_worth_a_remark() {
        assert_eq!(much_printed(900_000, 0.001), None, "it fits the pipe");
        assert_eq!(much_printed(19_000_000, 1.0), None);
        assert!(
            much_printed(21_000_000, 1.0)
                .is_some_and(|remark| remark.starts_with("printed 21 MB in 1.000 s"))
        );
    }

    #[test]
    fn a_directory_that_does_not_exist_is_named() {
        let invocation = Invocation {
            program: "true".into(),
            directory: Some("/does/not/exist".into()),
            ..Invocation::default()
        };
        let conditions = Conditions {
            timeout: Duration::from_secs(1),
            counters: false,
            keep_output: false,
            poll_run_queue: false,
            quota: None,
            cpus: None,
        };
        let error = Child::launch(Path::new("/bin/true"), &invocation, &conditions).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot start in `/does/not/exist`: it is not a directory; name one that exists"
        );
    }
}
