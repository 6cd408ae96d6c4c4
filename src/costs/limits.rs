//! How many may be started here without harm: looked up before anything is started. Of what is left to this process it
//! takes half, and a quarter of the memory, so that others can go on.

use std::fs;
use std::path::Path;

use super::Kind;
use crate::measure::cgroup;

/// Bytes that one may take, an upper estimate: a thread's two or three touched pages, its kernel stack and its records; a
/// goroutine's one or two pages.
const fn most_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Goroutine => 16 << 10,
        Kind::Thread => 64 << 10,
    }
}

/// How many, and what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At most so many at once; two digits, rounded down.
    pub at_most: u64,
    /// The limit that binds, with its number.
    pub why: String,
}

/// The tightest limit on how many of `kind` may be alive at once; `None` if the machine names none. `root` is `/` but in
/// tests.
#[must_use]
pub fn of(kind: Kind, root: &Path) -> Option<Limit> {
    let mut found = memory(kind, root);
    if kind == Kind::Thread {
        found.extend(threads(root));
    }
    found.into_iter().min_by_key(|limit| limit.at_most)
}

fn limit(room: u64, why: String) -> Limit {
    Limit { at_most: two_digits(room), why }
}

fn memory(kind: Kind, root: &Path) -> Vec<Limit> {
    let info = fs::read_to_string(root.join("proc/meminfo")).unwrap_or_default();
    let machine = super::memory::bytes(&info, "MemAvailable:").map(|bytes| (bytes, "this machine"));
    let cgroup =
        cgroup::room(root, cgroup::Resource::Memory).map(|bytes| (bytes, "the cgroup's memory limit"));
    let all = [machine, cgroup].into_iter().flatten();
    all.map(|(bytes, of)| {
        let why = format!("{of} leaves {} MiB, and a quarter of it is used", bytes >> 20);
        limit(bytes / 4 / most_bytes(kind), why)
    })
    .collect()
}

fn threads(root: &Path) -> Vec<Limit> {
    // The fourth field of `loadavg` is `running/all`.
    let loadavg = fs::read_to_string(root.join("proc/loadavg")).unwrap_or_default();
    let alive = loadavg
        .split_ascii_whitespace()
        .nth(3)
        .and_then(|field| field.split_once('/')?.1.parse::<u64>().ok());
    let alive = alive.unwrap_or(0);
    let setting = |name: &str| -> Option<u64> {
        let path = root.join("proc/sys").join(name.replace('.', "/"));
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    let mut found = Vec::new();
    for name in ["kernel.threads-max", "kernel.pid_max"] {
        found.extend(setting(name).map(|value| {
            let why = format!("{name} is {value}, {alive} are in use, and half of the rest is used");
            limit(value.saturating_sub(alive) / 2, why)
        }));
    }
    found.extend(setting("vm.max_map_count").map(|value| {
        // A stack and its guard page; some more for the program itself.
        let why = format!("vm.max_map_count is {value}, and each thread takes two mappings");
        limit(value.saturating_sub(1000) / 2, why)
    }));
    found.extend(user_limit().map(|value| {
        let why = format!("`ulimit -u` is {value}, at most {alive} are in use, and half of the rest is used");
        limit(value.saturating_sub(alive) / 2, why)
    }));
    found.extend(
        cgroup::room(root, cgroup::Resource::Pids).map(|room| {
            limit(room / 2, format!("the cgroup's pids.max leaves {room}, and half of it is used"))
        }),
    );
    found
}

/// Processes and threads that the user may have.
fn user_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nproc).current
}

/// `number` rounded down to two digits, which is how it is known.
fn two_digits(number: u64) -> u64 {
    let unit = 10_u64.pow(number.checked_ilog10().unwrap_or(0).saturating_sub(1));
    number / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    const MACHINE: [(&str, &str); 5] = [
        ("proc/loadavg", "0.1 0.2 0.3 2/500 4242\n"),
        ("proc/sys/kernel/threads-max", "190000\n"),
        ("proc/sys/kernel/pid_max", "32768\n"),
        ("proc/sys/vm/max_map_count", "65530\n"),
        ("proc/meminfo", "MemTotal: 9 kB\nMemAvailable:   16777216 kB\n"),
    ];

    #[test]
    fn the_tightest_limit_binds_and_is_named() {
        let limit = of(Kind::Thread, root(&MACHINE).path()).unwrap();
        assert_eq!(limit.at_most, 16_000, "{limit:?}");
        assert!(limit.why.contains("kernel.pid_max is 32768"), "{limit:?}");
    }

    #[test]
    fn goroutines_are_held_back_by_memory_only() {
        let limit = of(Kind::Goroutine, root(&MACHINE).path()).unwrap();
        assert_eq!((limit.at_most, limit.why.contains("16384 MiB")), (260_000, true), "{limit:?}");
        assert_eq!(of(Kind::Goroutine, root(&[]).path()), None);
    }

    #[test]
    fn a_container_is_held_back_by_its_cgroup_and_those_above() {
        let mut files = MACHINE.to_vec();
        files.extend([
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
            ("sys/fs/cgroup/a/pids.max", "300\n"),
            ("sys/fs/cgroup/a/pids.current", "99\n"),
            ("sys/fs/cgroup/a/b/pids.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.max", "67108864\n"),
            ("sys/fs/cgroup/a/b/memory.current", "16777216\n"),
        ]);
        let root = root(&files);
        let threads = of(Kind::Thread, root.path()).unwrap();
        assert_eq!(
            (threads.at_most, threads.why.contains("pids.max leaves 201")),
            (100, true),
            "{threads:?}"
        );
        let goroutines = of(Kind::Goroutine, root.path()).unwrap();
        assert_eq!((goroutines.at_most, goroutines.why.contains("48 MiB")), (760, true), "{goroutines:?}");
    }

    #[test]
    fn numbers_keep_two_digits() {
        for (number, kept) in [(0, 0), (7, 7), (99, 99), (100, 100), (16_384, 16_000), (999, 990)] {
            assert_eq!(two_digits(number), kept);
        }
    }
}
