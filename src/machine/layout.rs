//! How the CPUs hang together, and what has slowed them down, from files below `root`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Sockets, threads of a core, and groups of CPUs that share their last cache: `None` where the machine does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) sockets: Option<u32>,
    pub(super) threads_per_core: Option<u32>,
    pub(super) last_caches: Option<u32>,
}

/// Looks at every CPU that is online.
pub(super) fn layout(root: &Path) -> Layout {
    let cpus = cpus(root);
    let facts = |read: &dyn Fn(&Path) -> Option<String>| -> Option<BTreeSet<String>> {
        let facts: BTreeSet<String> = cpus.iter().filter_map(|cpu| read(cpu)).collect();
        (!facts.is_empty()).then_some(facts)
    };
    let count = |facts: &BTreeSet<String>| u32::try_from(facts.len()).ok();
    let sockets = facts(&|cpu| text(&cpu.join("topology/physical_package_id")));
    let cores = facts(&|cpu| {
        text(&cpu.join("topology/core_cpus_list"))
            .or_else(|| text(&cpu.join("topology/thread_siblings_list")))
    });
    let threads =
        cores.and_then(|cores| cores.iter().filter_map(|list| super::facts::list_length(list)).max());
    Layout {
        sockets: sockets.as_ref().and_then(count),
        threads_per_core: threads,
        last_caches: facts(&last_cache).as_ref().and_then(count),
    }
}

/// The CPUs that share the cache of the highest level with `cpu`.
fn last_cache(cpu: &Path) -> Option<String> {
    let caches = fs::read_dir(cpu.join("cache")).ok()?.flatten().map(|entry| entry.path());
    let level = |cache: &PathBuf| text(&cache.join("level"))?.parse::<u32>().ok();
    let last = caches.filter_map(|cache| Some((level(&cache)?, cache))).max()?.1;
    text(&last.join("shared_cpu_list"))
}

/// How often a CPU slowed itself down because it was hot, since boot; `None` if it does not count that.
pub(super) fn throttles(root: &Path) -> Option<u64> {
    let count = |cpu: &PathBuf| text(&cpu.join("thermal_throttle/core_throttle_count"))?.parse::<u64>().ok();
    cpus(root).iter().filter_map(count).reduce(u64::saturating_add)
}

/// The folders of the CPUs.
fn cpus(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("sys/devices/system/cpu")).into_iter().flatten().flatten();
    let is_cpu = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok())
    };
    entries.map(|entry| entry.path()).filter(is_cpu).collect()
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    /// Two sockets of two cores with two threads each, a last cache for each socket.
    fn files() -> Vec<(String, String)> {
        let mut files = Vec::new();
        for cpu in 0..8 {
            let (socket, core) = (cpu / 4, cpu / 2);
            let mut file = |name: &str, text: String| {
                files.push((format!("sys/devices/system/cpu/cpu{cpu}/{name}"), text));
            };
            file("topology/physical_package_id", format!("{socket}\n"));
            file("topology/core_cpus_list", format!("{}-{}\n", 2 * core, 2 * core + 1));
            file("cache/index0/level", "1\n".to_owned());
            file("cache/index0/shared_cpu_list", format!("{}-{}\n", 2 * core, 2 * core + 1));
            file("cache/index3/level", "3\n".to_owned());
            file("cache/index3/shared_cpu_list", format!("{}-{}\n", 4 * socket, 4 * socket + 3));
            file("thermal_throttle/core_throttle_count", format!("{cpu}\n"));
        }
        files
    }

    #[test]
    fn sockets_threads_and_caches_are_counted() {
        let files = files();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let root = root(&files);
        let expected = Layout { sockets: Some(2), threads_per_core: Some(2), last_caches: Some(2) };
        assert_eq!(layout(root.path()), expected);
        assert_eq!(throttles(root.path()), Some(28));
    }

    #[test]
    fn a_machine_that_does_not_say_has_no_layout() {
        let root = root(&[("sys/devices/system/cpu/cpufreq/boost", "1\n")]);
        assert_eq!((layout(root.path()), throttles(root.path())), (Layout::default(), None));
    }
}
