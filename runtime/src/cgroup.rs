//! CPU quotas of cgroups, version 1 and 2: of a process's own group and of all those above it. There are none but on Linux.
//!
//! The process's path (`/proc/PID/cgroup`) and the root of a mount (`mountinfo`) are both written as seen from the cgroup
//! namespace of the reader. What is below the root of the mount can be looked at; a path that is not (`/../x` in a
//! container) has only the mount itself to show. Go looks at the process's own group alone, and misses a quota set on
//! the pod or the slice.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A CPU quota in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// CPUs' worth of time a period: finite, above 0.
    pub cpus: f64,
    /// The folder of the group that it is set on.
    pub folder: PathBuf,
}

/// A version of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy a controller.
    V1,
    /// One hierarchy.
    V2,
}

/// The tightest quota over the process `pid` (`self`, or a number); `None` without one. `root` is `/` but in tests.
#[must_use]
pub fn limit(root: &Path, pid: &str) -> Option<Limit> {
    let (version, folders) = groups(root, pid, "cpu")?;
    let limits =
        folders.into_iter().filter_map(|folder| Some(Limit { cpus: quota(version, &folder)?, folder }));
    limits.min_by(|a, b| a.cpus.total_cmp(&b.cpus))
}

/// The folders of the groups by which `controller` (`cpu`, `memory`, `pids`) governs the process `pid`: its own, then
/// those above it. `None` without cgroups. `root` is `/` but in tests.
#[must_use]
pub fn groups(root: &Path, pid: &str, controller: &str) -> Option<(Version, Vec<PathBuf>)> {
    let place = place(root, pid, controller)?;
    let folders = place.leaf.ancestors().take_while(|folder| folder.starts_with(&place.top));
    Some((place.version, folders.map(Path::to_owned).collect()))
}

/// Which cgroup version governs the CPU of this process; `None` without cgroups.
#[must_use]
pub fn version(root: &Path) -> Option<Version> {
    place(root, "self", "cpu").map(|place| place.version)
}

/// The quota set on one group, in CPUs.
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
    // Version 1 writes -1 for no quota.
    (quota > 0.0 && period > 0.0 && (quota / period).is_finite()).then_some(quota / period)
}

/// Where the group is by which a controller governs a process.
struct Place {
    version: Version,
    leaf: PathBuf,
    /// The mount that it is in.
    top: PathBuf,
}

fn place(root: &Path, pid: &str, controller: &str) -> Option<Place> {
    let proc = root.join("proc");
    let groups = fs::read_to_string(proc.join(pid).join("cgroup")).ok()?;
    // Our own: it is through them that the folders are read, also for a process that has others.
    let mounts = fs::read_to_string(proc.join("self/mountinfo")).ok()?;
    // Lines are `number:controllers:path`, with no controllers for version 2; the path may contain colons. On a machine
    // with both versions, the one that has the controller counts.
    let entries = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = entries().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
    let mounts = |version| mounts.lines().filter_map(move |line| mount(line, version, controller)).collect();
    first.and_then(|(_, path)| place_in(root, mounts(Version::V1), Version::V1, Path::new(path))).or_else(
        || {
            let (_, path) = entries().find(|(controllers, _)| controllers.is_empty())?;
            place_in(root, mounts(Version::V2), Version::V2, Path::new(path))
        },
    )
}

/// The group `path` in one of `mounts` (root and mount point of each): in one that shows it if there is one.
fn place_in(root: &Path, mounts: Vec<(PathBuf, PathBuf)>, version: Version, path: &Path) -> Option<Place> {
    let shown = mounts.iter().find_map(|(mount_root, point)| Some((below(path, mount_root)?, point)));
    let (below, point) = shown.or_else(|| Some((Path::new(""), &mounts.first()?.1)))?;
    let top = root.join(point.strip_prefix("/").unwrap_or(point));
    // Joining nothing would leave a slash at the end.
    let leaf = if below == Path::new("") { top.clone() } else { top.join(below) };
    Some(Place { version, leaf, top })
}

/// `path` from `mount_root` on, if it is below.
fn below<'a>(path: &'a Path, mount_root: &Path) -> Option<&'a Path> {
    let below = path.strip_prefix(mount_root).ok()?;
    below.components().all(|part| part.as_os_str() != "..").then_some(below)
}

/// Root and mount point of a line of `mountinfo` that mounts the hierarchy of `controller`:
/// `30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw`.
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

    const V1_MOUNT: &str =
        "36 25 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct\n";
    const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

    /// A temporary folder with these files in it.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[track_caller]
    fn check(files: &[(&str, &str)], pid: &str, expected: Option<(f64, &str)>) {
        let root = root(files);
        let found = limit(root.path(), pid);
        let expected = expected.map(|(cpus, folder)| Limit { cpus, folder: root.path().join(folder) });
        assert_eq!(found, expected);
    }

    #[test]
    fn version_2_takes_the_tightest_quota_of_the_process_and_those_above() {
        let files = [
            ("proc/self/cgroup", "0::/a.slice/b:c.service/d\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/a.slice/cpu.max", "150000 100000\n"),
            ("sys/fs/cgroup/a.slice/b:c.service/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/a.slice/b:c.service/d/cpu.max", "max 100000\n"),
        ];
        check(&files, "self", Some((1.5, "sys/fs/cgroup/a.slice")));
        assert_eq!(version(root(&files).path()), Some(Version::V2));
    }

    #[test]
    fn version_2_takes_the_quota_of_the_process_itself_if_that_is_the_tightest() {
        let files = [
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/pod/cpu.max", "200000 100000\n"),
            ("sys/fs/cgroup/pod/app/cpu.max", "2500 10000\n"),
        ];
        check(&files, "self", Some((0.25, "sys/fs/cgroup/pod/app")));
    }

    #[test]
    fn a_cgroup_namespace_shows_the_container_as_the_root() {
        let files = [
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/cpu.max", "250000 100000\n"),
        ];
        check(&files, "self", Some((2.5, "sys/fs/cgroup")));
    }

    #[test]
    fn a_container_without_a_namespace_sees_its_group_mounted_without_the_path_to_it() {
        let files = [
            ("proc/self/cgroup", "0::/kubepods/pod1/abc/worker\n"),
            ("proc/self/mountinfo", "30 23 0:26 /kubepods/pod1/abc /sys/fs/cgroup ro - cgroup2 cgroup ro\n"),
            ("sys/fs/cgroup/cpu.max", "300000 100000\n"),
            ("sys/fs/cgroup/worker/cpu.max", "max 100000\n"),
        ];
        check(&files, "self", Some((3.0, "sys/fs/cgroup")));
    }

    #[test]
    fn the_mount_that_shows_the_group_is_taken_before_one_that_does_not() {
        let files = [
            ("proc/self/cgroup", "0::/b/c\n"),
            (
                "proc/self/mountinfo",
                "30 23 0:26 /a /mnt/a rw - cgroup2 x rw\n31 23 0:26 /b /mnt/b rw - cgroup2 x rw\n",
            ),
            ("mnt/a/cpu.max", "100000 100000\n"),
            ("mnt/b/c/cpu.max", "200000 100000\n"),
        ];
        check(&files, "self", Some((2.0, "mnt/b/c")));
    }

    #[test]
    fn another_process_is_looked_up_through_our_own_mounts() {
        let files = [
            ("proc/7/cgroup", "0::/a\n"),
            ("proc/7/mountinfo", "30 23 0:26 / /elsewhere rw - cgroup2 cgroup2 rw\n"),
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/a/cpu.max", "100000 100000\n"),
        ];
        check(&files, "7", Some((1.0, "sys/fs/cgroup/a")));
        check(&files, "self", None);
        check(&files, "8", None);
    }

    #[test]
    fn version_1_wins_where_it_has_the_cpu_controller() {
        let mounts = format!("{V2_MOUNT}{V1_MOUNT}");
        let files = [
            ("proc/self/cgroup", "5:memory:/m\n4:cpu,cpuacct:/a\n0::/x\n"),
            ("proc/self/mountinfo", mounts.as_str()),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ];
        check(&files, "self", Some((0.5, "sys/fs/cgroup/cpu/a")));
        assert_eq!(version(root(&files).path()), Some(Version::V1));
    }

    #[test]
    fn version_1_looks_at_the_parents_too_and_at_paths_with_blanks() {
        let files = [
            ("proc/self/cgroup", "3:cpu:/docker/abc/sub\n"),
            (
                "proc/self/mountinfo",
                "36 25 0:30 /docker/abc /sys/fs/cgroup/my\\040cpu ro - cgroup cgroup rw,cpu\n",
            ),
            ("sys/fs/cgroup/my cpu/cpu.cfs_quota_us", "200000\n"),
            ("sys/fs/cgroup/my cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/my cpu/sub/cpu.cfs_quota_us", "900000\n"),
            ("sys/fs/cgroup/my cpu/sub/cpu.cfs_period_us", "100000\n"),
        ];
        check(&files, "self", Some((2.0, "sys/fs/cgroup/my cpu")));
    }

    #[test]
    fn a_path_outside_the_mount_falls_back_to_the_mount() {
        let files = [
            ("proc/self/cgroup", "0::/../other\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
            ("sys/fs/other/cpu.max", "50000 100000\n"),
        ];
        check(&files, "self", Some((1.0, "sys/fs/cgroup")));
    }

    #[test]
    fn no_quota_no_cgroup_and_nonsense_are_no_limit() {
        check(&[], "self", None);
        for quota in ["max 100000", "-5 100000", "1000", "x y", "100 0", ""] {
            let files = [
                ("proc/self/cgroup", "0::/\n"),
                ("proc/self/mountinfo", V2_MOUNT),
                ("sys/fs/cgroup/cpu.max", quota),
            ];
            check(&files, "self", None);
        }
        check(
            &[("proc/self/cgroup", "nonsense\n0::/\n"), ("proc/self/mountinfo", "nonsense\n")],
            "self",
            None,
        );
    }
}
