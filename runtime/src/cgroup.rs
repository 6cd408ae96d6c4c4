//! CPU quotas of the cgroups that this process is in, version 1 and 2, parents too.
//!
//! Reading and parsing are apart: the parsers take text, so that what this machine lacks can be tested.

use std::fs;
use std::path::{Path, PathBuf};

/// The tightest quota in CPUs, over the process's cgroup and its parents; `None` without one.
pub(crate) fn quota_cpus() -> Option<f64> {
    let cgroups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    tightest(
        folders(&cgroups, &mounts).into_iter().filter_map(|(version, folder)| read_quota(version, &folder)),
    )
}

fn tightest(quotas: impl Iterator<Item = f64>) -> Option<f64> {
    quotas.min_by(f64::total_cmp)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

fn read_quota(version: Version, folder: &Path) -> Option<f64> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    match version {
        Version::One => parse_v1(&read("cpu.cfs_quota_us")?, &read("cpu.cfs_period_us")?),
        Version::Two => parse_v2(&read("cpu.max")?),
    }
}

/// `cpu.max`: `max 100000`, or quota and period in µs.
fn parse_v2(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    cpus(words.next()?, words.next().unwrap_or("100000"))
}

/// `cpu.cfs_quota_us` (-1: none) and `cpu.cfs_period_us`.
fn parse_v1(quota: &str, period: &str) -> Option<f64> {
    cpus(quota.trim(), period.trim())
}

fn cpus(quota_us: &str, period_us: &str) -> Option<f64> {
    let (quota, period): (f64, f64) = (quota_us.parse().ok()?, period_us.parse().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// The folders to look into, from `/proc/self/cgroup` and `/proc/self/mountinfo`: the process's own, then its parents up
/// to the root of the mount. Both versions may be mounted.
fn folders(cgroups: &str, mounts: &str) -> Vec<(Version, PathBuf)> {
    let mut folders = Vec::new();
    for line in cgroups.lines() {
        // `0::/path` (v2) or `3:cpu,cpuacct:/path` (v1); the path may contain colons.
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match controllers {
            "" => Version::Two,
            _ if controllers.split(',').any(|controller| controller == "cpu") => Version::One,
            _ => continue,
        };
        let Some((root, mount_point)) = mounts.lines().find_map(|line| parse_mount(line, version)) else {
            continue;
        };
        // A container sees its cgroup as the mount's root; a path outside the mount cannot be looked at.
        let inside = Path::new(path).strip_prefix(&root).unwrap_or(Path::new("")).to_path_buf();
        folders.extend(inside.ancestors().map(|part| (version, mount_point.join(part))));
    }
    folders
}

/// Root and mount point of a line of `mountinfo`, if it mounts the cgroups of `version`:
/// `30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw`.
fn parse_mount(line: &str, version: Version) -> Option<(PathBuf, PathBuf)> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, mount_point) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let kind = right.next()?;
    let is_it = match version {
        Version::Two => kind == "cgroup2",
        Version::One => kind == "cgroup" && right.nth(1)?.split(',').any(|option| option == "cpu"),
    };
    is_it.then(|| (PathBuf::from(root), PathBuf::from(mount_point)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS_V2: &str = "22 1 0:5 / /proc rw - proc proc rw\n\
                             30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
    const MOUNTS_V1: &str = "31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                             32 30 0:28 /docker/ab /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn quotas_are_parsed_in_cpus() {
        assert_eq!(parse_v2("250000 100000\n"), Some(2.5));
        assert_eq!(parse_v2("50000"), Some(0.5));
        assert_eq!(parse_v2("max 100000\n"), None);
        assert_eq!(parse_v1("150000\n", "100000\n"), Some(1.5));
        assert_eq!(parse_v1("-1\n", "100000\n"), None);
        assert_eq!(parse_v1("1\n", "0\n"), None);
        assert_eq!(parse_v2(""), None);
    }

    #[test]
    fn v2_looks_at_the_own_cgroup_and_all_parents() {
        let folders = folders("0::/a.slice/b:c.service\n", MOUNTS_V2);
        let expected = ["/sys/fs/cgroup/a.slice/b:c.service", "/sys/fs/cgroup/a.slice", "/sys/fs/cgroup/"];
        let expected: Vec<_> = expected.map(|path| (Version::Two, PathBuf::from(path))).into();
        assert_eq!(folders, expected);
    }

    #[test]
    fn v1_finds_the_controller_and_cuts_off_the_root_of_the_mount() {
        let folders = folders("4:memory:/x\n3:cpuacct,cpu:/docker/ab/child\n", MOUNTS_V1);
        let expected = ["/sys/fs/cgroup/cpu/child", "/sys/fs/cgroup/cpu/"];
        let expected: Vec<_> = expected.map(|path| (Version::One, PathBuf::from(path))).into();
        assert_eq!(folders, expected);
    }

    #[test]
    fn a_cgroup_outside_the_mount_is_taken_for_its_root() {
        assert_eq!(
            folders("3:cpu:/elsewhere\n", MOUNTS_V1),
            [(Version::One, PathBuf::from("/sys/fs/cgroup/cpu/"))]
        );
        assert_eq!(folders("nonsense\n", MOUNTS_V2), []);
    }

    #[test]
    fn the_tightest_quota_counts() {
        assert_eq!(tightest([4.0, 1.5, 2.0].into_iter()), Some(1.5));
        assert_eq!(tightest(std::iter::empty()), None);
    }
}
