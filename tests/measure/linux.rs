//! What only Linux does for a sample.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use ::corefit::machine::CpuList;
use ::corefit::measure::{self, Conditions};

use super::corefit::{is_running, text};
use super::{LAUNCHER, PATIENCE, conditions, invocation, ok, run, shell};

#[test]
fn a_daemon_left_behind_is_killed_even_with_a_session_and_an_environment_of_its_own() {
    // The daemon has said its number when the script ends.
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo").display().to_string();
    let sample = ok(&format!(
        "mkfifo {fifo}; setsid env -i /bin/sh -c \
         'echo $$; (sleep 1000; true) & echo >{fifo}; setsid sleep 1000' & read line <{fifo}"
    ));
    let daemon = text(&sample.stdout);
    assert!(!daemon.is_empty() && !is_running(daemon));
    let children = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split(' ').nth(1));
        parent == Some(daemon)
    });
    assert_eq!(children.count(), 0);
}

#[test]
fn a_daemon_that_holds_the_pipes_does_not_hang_the_tool() {
    let before = Instant::now();
    let sample = ok("setsid sleep 1000 & echo done");
    assert_eq!(text(&sample.stdout), "done");
    assert!(before.elapsed() < PATIENCE);
}

#[test]
fn peak_memory_is_the_programs_own_not_the_tools_nor_an_earlier_ones() {
    // As a tool that holds a lot itself.
    let ballast = vec![1_u8; 100 << 20];
    let hungry = ok("x=$(head -c 60000000 /dev/zero | tr '\\0' x); : ${#x}");
    let frugal = run(&invocation("true", &[]), &conditions());
    assert!(hungry.max_rss_bytes.unwrap() > 60_000_000, "{:?}", hungry.max_rss_bytes);
    assert!(frugal.max_rss_bytes.unwrap() < 20_000_000, "{:?}", frugal.max_rss_bytes);
    assert!(ballast.iter().all(|byte| *byte == 1));
}

#[test]
fn run_queue_wait_is_known_from_five_polls_on() {
    let polled = Conditions { poll_run_queue: true, ..conditions() };
    let short = run(&shell("sleep 0.1"), &polled);
    // Polls are a tenth of a second apart.
    assert!(short.run_queue_wait_s.is_none() || short.wall_s >= 0.5, "{short:?}");
    // Five times that is enough where the tool gets the CPU in time.
    let mut long = ["1.5", "6", "24"].map(|time| format!("sleep {time}")).into_iter();
    let is_known = long.any(|script| run(&shell(&script), &polled).run_queue_wait_s.is_some());
    assert_eq!(is_known, fs::read_to_string("/proc/self/schedstat").is_ok());
}

#[test]
fn samples_side_by_side_leave_each_other_alone() {
    let one = thread::spawn(|| ok("sleep 0.5; echo one"));
    for _ in 0..5 {
        ok("setsid sleep 1000 & true");
    }
    assert_eq!(text(&one.join().unwrap().stdout), "one");
}

#[test]
fn a_program_dies_with_the_thread_that_launched_it() {
    let launched = thread::spawn(|| {
        let mut child = measure::launch_by(Path::new(LAUNCHER), &shell("sleep 1000"), &conditions()).unwrap();
        child.start().unwrap();
        child
    });
    let mut child = launched.join().unwrap();
    assert!(child.wait_up_to(PATIENCE));
    assert_eq!(child.finish().signal, Some(9));
}

#[test]
fn a_child_runs_on_the_cpus_asked_for_and_so_does_what_it_starts() {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let last = (0..rustix::thread::CpuSet::MAX_CPU).rfind(|cpu| allowed.is_set(*cpu)).unwrap();
    let cpus = CpuList::new([u32::try_from(last).unwrap()]);
    let pinned = Conditions { cpus, ..conditions() };
    let sample = run(&shell("sh -c 'grep Cpus_allowed_list /proc/self/status'"), &pinned);
    assert_eq!(text(&sample.stdout), format!("Cpus_allowed_list:\t{last}"));
}

#[test]
fn cpus_that_the_machine_does_not_have_are_an_error() {
    let pinned = Conditions { cpus: CpuList::new([60_000]), ..conditions() };
    let error = measure::sample_by(Path::new(LAUNCHER), &shell("true"), &pinned).unwrap_err();
    assert!(error.to_string().contains("Invalid argument"), "{error}");
}

/// A cgroup of version 1 with a CPU quota, removed at the end; `None` where this process may not make one.
struct Quota(std::path::PathBuf);

impl Quota {
    fn of_fifth_of_a_cpu() -> Option<Self> {
        let folder = format!("/sys/fs/cgroup/cpu/corefit-test-{}", std::process::id());
        fs::create_dir(&folder).ok()?;
        let quota = Self(folder.into());
        fs::write(quota.0.join("cpu.cfs_period_us"), "100000").ok()?;
        fs::write(quota.0.join("cpu.cfs_quota_us"), "20000").ok()?;
        Some(quota)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_cpu_quota_and_its_throttling_are_seen() {
    let Some(quota) = Quota::of_fifth_of_a_cpu() else {
        println!("skipped: no cgroup of version 1 can be made here");
        return;
    };
    // One thread moves, and with it what it starts; it ends before the cgroup is removed.
    let free = ok("true").cpu_quota;
    let (tasks, counts) = (quota.0.join("tasks"), quota.0.join("cpu.stat"));
    let sample = thread::spawn(move || {
        fs::write(tasks, rustix::thread::gettid().as_raw_nonzero().to_string()).unwrap();
        // Until it has been throttled, and the kernel has counted it: it does so at the end of it.
        ok(&format!("until grep -q '^throttled_time [1-9]' {}; do :; done", counts.display()))
    });
    let sample = sample.join().unwrap();
    assert_eq!(sample.cpu_quota, Some(0.2));
    assert!(sample.throttled_s.unwrap() > 0.0, "{:?}", sample.throttled_s);
    assert_eq!(ok("true").cpu_quota, free);
}
