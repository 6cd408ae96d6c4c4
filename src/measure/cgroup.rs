//! The limits that a process runs under: quotas of cgroups, version 1 and 2, its own and those above.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A CPU quota in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Limit {
    /// CPUs' worth of time a period.
    pub(crate) cpus: f64,
    folder: PathBuf,
}

/// How much of its time a limit has held its cgroup up, since the cgroup exists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Throttling {
    /// Seconds that its threads, summed, were not allowed to run.
    pub(crate) throttled_s: f64,
    /// Periods in which something wanted to run.
    pub(crate) periods: u64,
    /// Periods in which the quota ran out.
    pub(crate) throttled_periods: u64,
}

/// The tightest quota over the process `pid` (`self`, or a number); `None` without one. `root` is `/` but in tests.
pub(crate) fn limit(root: &Path, pid: &str) -> Option<Limit> {
    let (version, leaf, top) = cgroup_of(root, pid, "cpu")?;
    let folders = leaf.ancestors().take_while(|folder| folder.starts_with(&top));
    let limits = folders.filter_map(|folder| {
        let cpus = quota(version, folder)?;
        Some(Limit { cpus, folder: folder.to_owned() })
    });
    limits.min_by(|a, b| a.cpus.total_cmp(&b.cpus))
}

/// Which cgroup version governs the CPU of this process; `None` without cgroups.
pub(crate) fn version(root: &Path) -> Option<Version> {
    cgroup_of(root, "self", "cpu").map(|(version, _, _)| version)
}

/// What a cgroup limits by a number and counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Processes and threads.
    Pids,
    /// Bytes.
    Memory,
}

/// How much of `resource` this process and its like may still take: the least that its cgroup and those above leave.
/// `None` if none of them limits it.
pub(crate) fn room(root: &Path, resource: Resource) -> Option<u64> {
    let controller = match resource {
        Resource::Pids => "pids",
        Resource::Memory => "memory",
    };
    let (version, leaf, top) = cgroup_of(root, "self", controller)?;
    let (most, used) = match (resource, version) {
        (Resource::Pids, _) => ("pids.max", "pids.current"),
        (Resource::Memory, Version::V1) => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        (Resource::Memory, Version::V2) => ("memory.max", "memory.current"),
    };
    let folders = leaf.ancestors().take_while(|folder| folder.starts_with(&top));
    let number = |folder: &Path, file: &str| -> Option<u64> {
        // Without a limit it is `max`, or a number beyond all memory.
        let number = fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()?;
        (number < UNLIMITED).then_some(number)
    };
    folders.filter_map(|folder| Some(number(folder, most)?.saturating_sub(number(folder, used)?))).min()
}

/// Version 1 writes an unlimited memory as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 60;

/// A version of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy.
    V2,
}

impl Limit {
    /// Its counts now; `None` if the kernel keeps none.
    pub(crate) fn throttling(&self) -> Option<Throttling> {
        parse_stat(&fs::read_to_string(self.folder.join("cpu.stat")).ok()?)
    }
}

/// `cpu.stat`: `throttled_time` in nanoseconds (version 1) or `throttled_usec` (version 2).
fn parse_stat(text: &str) -> Option<Throttling> {
    let number = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let in_nanoseconds = number("throttled_time").map(|time| time as f64 / 1e9);
    let throttled_s = in_nanoseconds.or_else(|| number("throttled_usec").map(|time| time as f64 / 1e6))?;
    Some(Throttling {
        throttled_s,
        periods: number("nr_periods").unwrap_or(0),
        throttled_periods: number("nr_throttled").unwrap_or(0),
    })
}

/// The quota set in one cgroup, in CPUs.
fn quota(version: Version, folder: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let (quota, period): (f64, f64) = match version {
        Version::V1 => {
            (read("cpu.cfs_quota_us")?.trim().parse().ok()?, read("cpu.cfs_period_us")?.trim().parse().ok()?)
        }
        Version::V2 => {
            let text = read("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            // Without a quota the first word is `max`, which is no number.
            (quota.parse().ok()?, period.parse().ok()?)
        }
    };
    (quota > 0.0 && period > 0.0 && (quota / period).is_finite()).then_some(quota / period)
}

/// The folder of the cgroup that governs `pid` by `controller`, and that of its mount.
fn cgroup_of(root: &Path, pid: &str, controller: &str) -> Option<(Version, PathBuf, PathBuf)> {
    let proc = root.join("proc").join(pid);
    let groups = fs::read_to_string(proc.join("cgroup")).ok()?;
    let mounts = fs::read_to_string(proc.join("mountinfo")).ok()?;
    let place = |version: Version, path: &str| {
        let (mount_root, point) = mounts.lines().find_map(|line| mount(line, version, controller))?;
        let top = root.join(point.strip_prefix("/").unwrap_or(&point));
        // A path outside what is mounted (another namespace's) has only the mount itself to show.
        let below = Path::new(path).strip_prefix(&mount_root).unwrap_or(Path::new(""));
        let is_outside = below.components().any(|part| part.as_os_str() == "..");
        let leaf = if is_outside { top.clone() } else { top.join(below) };
        Some((version, leaf, top))
    };
    // Lines are `number:controllers:path`, with no controllers for version 2. On a machine with both, the one that has the
    // controller counts.
    let entries = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = entries().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
    first.and_then(|(_, path)| place(Version::V1, path)).or_else(|| {
        entries().find(|(names, _)| names.is_empty()).and_then(|(_, path)| place(Version::V2, path))
    })
}

/// Root and mount point of a line of `mountinfo` that mounts the hierarchy of `controller`.
fn mount(line: &str, version: Version, controller: &str) -> Option<(PathBuf, PathBuf)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, point) = (unescape(fields.next()?), unescape(fields.next()?));
    let mut after = after.split(' ');
    let (kind, options) = (after.next()?, after.nth(1)?);
    let fits = match version {
        Version::V1 => kind == "cgroup" && options.split(',').any(|option| option == controller),
        Version::V2 => kind == "cgroup2",
    };
    fits.then_some((root, point))
}

/// The kernel writes space, tab, line feed and backslash of a path as a backslash and three octal digits.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|_| *byte == b'\\');
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*byte));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    const V1_MOUNT: &str =
        "36 25 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n";
    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

    #[test]
    fn version_2_takes_the_tightest_quota_of_the_process_and_those_above() {
        let root = root(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            (
                "sys/fs/cgroup/a/cpu.stat",
                "usage_usec 5\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n",
            ),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
        ]);
        let limit = limit(root.path(), "self").unwrap();
        assert_eq!(limit.cpus, 1.5);
        assert_eq!(
            limit.throttling(),
            Some(Throttling { throttled_s: 0.25, periods: 10, throttled_periods: 4 })
        );
        assert_eq!(version(root.path()), Some(Version::V2));
    }

    #[test]
    fn version_1_wins_where_it_has_the_cpu_controller() {
        let root = root(&[
            ("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/a\n0::/x\n"),
            ("proc/self/mountinfo", &format!("{V2_MOUNT}{V1_MOUNT}")),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/a/cpu.stat", "nr_periods 13\nnr_throttled 10\nthrottled_time 500000000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        let limit = limit(root.path(), "self").unwrap();
        assert_eq!(limit.cpus, 0.5);
        assert_eq!(limit.throttling().unwrap().throttled_s, 0.5);
        assert_eq!(version(root.path()), Some(Version::V1));
    }

    #[test]
    fn a_container_sees_its_cgroup_mounted_without_the_path_to_it() {
        let root = root(&[
            ("proc/7/cgroup", "3:cpu:/docker/abc/sub\n"),
            (
                "proc/7/mountinfo",
                "36 25 0:30 /docker/abc /sys/fs/cgroup/my\\040cpu ro - cgroup cgroup rw,cpu\n",
            ),
            ("sys/fs/cgroup/my cpu/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/my cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(limit(root.path(), "7").map(|limit| limit.cpus), Some(2.0));
    }

    #[test]
    fn a_path_outside_the_mount_falls_back_to_the_mount() {
        let root = root(&[
            ("proc/self/cgroup", "0::/../other\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
        ]);
        assert_eq!(limit(root.path(), "self").map(|limit| limit.cpus), Some(1.0));
    }

    #[test]
    fn version_1_limits_memory_where_its_controller_is_mounted() {
        let memory_mount = V1_MOUNT.replace("cpu,cpuacct", "memory").replace("cgroup/cpu", "cgroup/memory");
        let root = root(&[
            ("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/a\n"),
            ("proc/self/mountinfo", &format!("{V1_MOUNT}{memory_mount}")),
            ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
        ]);
        assert_eq!(room(root.path(), Resource::Memory), Some(2000));
        assert_eq!(room(root.path(), Resource::Pids), None);
    }

    #[test]
    fn no_quota_no_cgroup_and_nonsense_are_no_limit() {
        assert_eq!(limit(root(&[]).path(), "self"), None);
        for quota in ["max 100000", "-5 100000", "1000", "x y", "100 0", ""] {
            let root = root(&[
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", V2_MOUNT),
                ("sys/fs/cgroup/cpu.max", quota),
            ]);
            assert_eq!(limit(root.path(), "self"), None, "{quota}");
        }
    }

    #[test]
    fn an_incomplete_cpu_stat_counts_nothing() {
        assert_eq!(parse_stat("usage_usec 12\n"), None);
    }
}
