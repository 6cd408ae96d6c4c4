//! What cgroups limit and count. Where a process's groups and its CPU limit are, the runtime finds, which needs it too.

use std::fs;
use std::path::Path;

pub(crate) use corefit_runtime::cgroup::{Limit, Version, groups, limit};

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

impl Throttling {
    /// What was counted after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            throttled_s: (self.throttled_s - before.throttled_s).max(0.0),
            periods: self.periods.saturating_sub(before.periods),
            throttled_periods: self.throttled_periods.saturating_sub(before.throttled_periods),
        }
    }
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
    let (version, folders) = groups(root, "self", controller)?;
    let (most, used) = match (resource, version) {
        (Resource::Pids, _) => ("pids.max", "pids.current"),
        (Resource::Memory, Version::V1) => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        (Resource::Memory, Version::V2) => ("memory.max", "memory.current"),
    };
    let number = |folder: &Path, file: &str| -> Option<u64> {
        // Without a limit it is `max`, or a number beyond all memory.
        let number = fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()?;
        (number < UNLIMITED).then_some(number)
    };
    folders
        .iter()
        .filter_map(|folder| Some(number(folder, most)?.saturating_sub(number(folder, used)?)))
        .min()
}

/// Version 1 writes an unlimited memory as the largest number of whole pages.
const UNLIMITED: u64 = 1 << 60;

/// The counts of the cgroup of `limit` now; `None` if the kernel keeps none.
pub(crate) fn throttling(limit: &Limit) -> Option<Throttling> {
    parse_stat(&fs::read_to_string(limit.folder.join("cpu.stat")).ok()?)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    #[track_caller]
    fn check(text: &str, expected: Throttling) {
        assert_eq!(parse_stat(text), Some(expected));
    }

    #[test]
    fn both_versions_are_read_in_seconds() {
        let expected =
            |throttled_s, periods, throttled_periods| Throttling { throttled_s, periods, throttled_periods };
        check("usage_usec 5\nnr_periods 10\nnr_throttled 4\nthrottled_usec 250000\n", expected(0.25, 10, 4));
        check("nr_periods 13\nnr_throttled 10\nthrottled_time 500000000\n", expected(0.5, 13, 10));
    }

    #[test]
    fn the_counts_are_those_of_the_cgroup_that_has_the_tightest_quota() {
        let root = root(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a/cpu.stat", "throttled_usec 7000000\n"),
            ("sys/fs/cgroup/a/b/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/a/b/cpu.stat", "throttled_usec 0\n"),
        ]);
        let limit = limit(root.path(), "self").unwrap();
        assert_eq!(throttling(&limit).map(|counts| counts.throttled_s), Some(7.0));
    }

    #[test]
    fn version_1_limits_memory_where_its_controller_is_mounted() {
        let mount = |name: &str| format!("36 25 0:30 / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}\n");
        let root = root(&[
            ("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/a\n"),
            ("proc/self/mountinfo", &(mount("cpu") + &mount("memory"))),
            ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n"),
        ]);
        assert_eq!(room(root.path(), Resource::Memory), Some(2000));
        assert_eq!(room(root.path(), Resource::Pids), None);
    }

    #[test]
    fn an_incomplete_cpu_stat_counts_nothing() {
        assert_eq!(parse_stat("usage_usec 12\n"), None);
    }
}
