//! How the CPUs lie: which share a core, a package, memory, and which are slower than others.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::CpuList;

/// One CPU and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its number.
    pub id: u32,
    /// Its core: the lowest number of the CPUs that share it.
    pub core: u32,
    /// Its package (socket).
    pub package: u32,
    /// Its NUMA node.
    pub node: u32,
    /// 0 for the fastest kind of core the machine may have; a slower kind has more.
    pub slowness: u32,
}

/// What the kernel calls a core of full capacity.
const FULL_CAPACITY: u32 = 1024;

/// The CPUs that this process may use, by number.
///
/// # Errors
/// In one line: the kernel does not say which they are.
pub fn topology() -> Result<Vec<Cpu>, String> {
    Ok(topology_below(Path::new("/"), &super::cpus_allowed()?))
}

/// The same of `allowed`, by the files below `root`. Where they say nothing each CPU is a core of its own, all of one kind.
pub(super) fn topology_below(root: &Path, allowed: &CpuList) -> Vec<Cpu> {
    let nodes = nodes(root);
    let slow = list(&root.join("sys/devices/cpu_atom/cpus"));
    let look = |id: u32| {
        let folder = root.join(format!("sys/devices/system/cpu/cpu{id}"));
        // The second name is that of kernels before 5.0.
        let siblings = list(&folder.join("topology/core_cpus_list"))
            .or_else(|| list(&folder.join("topology/thread_siblings_list")));
        let is_slow = slow.as_ref().is_some_and(|slow| slow.contains(id));
        let capacity = number(&folder.join("cpu_capacity"));
        Cpu {
            id,
            core: siblings.and_then(|siblings| siblings.iter().next()).unwrap_or(id),
            package: number(&folder.join("topology/physical_package_id")).unwrap_or(0),
            node: nodes.get(&id).copied().unwrap_or(0),
            slowness: capacity.map_or(u32::from(is_slow), |capacity| FULL_CAPACITY.saturating_sub(capacity)),
        }
    };
    allowed.iter().map(look).collect()
}

/// The NUMA node of each CPU.
fn nodes(root: &Path) -> BTreeMap<u32, u32> {
    let folders = fs::read_dir(root.join("sys/devices/system/node")).into_iter().flatten().flatten();
    let node = |folder: fs::DirEntry| {
        let node: u32 = folder.file_name().to_str()?.strip_prefix("node")?.parse().ok()?;
        Some((node, list(&folder.path().join("cpulist"))?))
    };
    let nodes = folders.filter_map(node);
    nodes.flat_map(|(node, cpus)| cpus.iter().map(|cpu| (cpu, node)).collect::<Vec<_>>()).collect()
}

fn list(file: &Path) -> Option<CpuList> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// A number; the kernel writes −1 where it does not know.
fn number(file: &Path) -> Option<u32> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    #[test]
    fn every_cpu_is_found_where_its_files_say() {
        let cpu = |id: u32, file: &str| format!("sys/devices/system/cpu/cpu{id}/{file}");
        let root = root(&[
            (&cpu(0, "topology/core_cpus_list"), "0,4\n"),
            (&cpu(0, "topology/physical_package_id"), "0\n"),
            (&cpu(4, "topology/thread_siblings_list"), "0,4\n"),
            (&cpu(4, "topology/physical_package_id"), "-1\n"),
            (&cpu(5, "topology/physical_package_id"), "1\n"),
            (&cpu(6, "cpu_capacity"), "446\n"),
            ("sys/devices/system/node/node0/cpulist", "0-4\n"),
            ("sys/devices/system/node/node1/cpulist", "5,6\n"),
            ("sys/devices/system/node/possible", "0-1\n"),
            ("sys/devices/cpu_atom/cpus", "5\n"),
        ]);
        let found = topology_below(root.path(), &"0,4-6".parse().unwrap());
        let expected = [
            Cpu { id: 0, core: 0, package: 0, node: 0, slowness: 0 },
            Cpu { id: 4, core: 0, package: 0, node: 0, slowness: 0 },
            Cpu { id: 5, core: 5, package: 1, node: 1, slowness: 1 },
            Cpu { id: 6, core: 6, package: 0, node: 1, slowness: 578 },
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_machine_that_says_nothing_has_a_core_for_each_cpu() {
        let found = topology_below(root(&[]).path(), &"2-3".parse().unwrap());
        assert_eq!(
            found.iter().map(|cpu| (cpu.id, cpu.core, cpu.node)).collect::<Vec<_>>(),
            [(2, 2, 0), (3, 3, 0)]
        );
    }

    #[test]
    fn this_machine_has_cpus_and_only_linux_lets_one_choose() {
        let is_found = topology().is_ok_and(|cpus| !cpus.is_empty());
        assert_eq!(is_found, cfg!(corefit_linux));
    }
}
