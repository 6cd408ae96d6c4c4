//! What Linux says of the machine, in the files of `/proc` and `/sys`, and of the CPUs that this process may use.

use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CpuSet;

use super::{CpuList, Machine, anywhere, facts, layout};
use crate::measure::cgroup;

/// All but what `measure` has to try out.
pub(super) fn look() -> Machine {
    look_below(Path::new("/"))
}

/// All that is read from files below `root`; the affinity is this process's.
fn look_below(root: &Path) -> Machine {
    let machine = anywhere();
    let layout = layout::layout(root);
    Machine {
        quota_cpus: cgroup::limit(root, "self").map(|limit| limit.cpus),
        cpus_online: facts::cpus_online(root).unwrap_or(machine.cpus_online),
        cpu_model: facts::cpu_model(root),
        kernel: facts::kernel(root),
        perf_event_paranoid: facts::perf_event_paranoid(root),
        smt: facts::smt(root),
        numa_nodes: facts::numa_nodes(root),
        governor: facts::governor(root),
        boost: facts::boost(root),
        memory_bytes: facts::memory_bytes(root),
        cgroup_version: corefit_runtime::cgroup::version(root).map(|version| match version {
            cgroup::Version::V1 => 1,
            cgroup::Version::V2 => 2,
        }),
        virtualization: facts::virtualization(root),
        load_average: facts::load_average(root),
        cpu_pressure: facts::pressure(root, "cpu"),
        memory_pressure: facts::pressure(root, "memory"),
        io_pressure: facts::pressure(root, "io"),
        steal_share: facts::steal_share(root),
        affinity: facts::affinity(root),
        sockets: layout.sockets,
        threads_per_core: layout.threads_per_core,
        last_caches: layout.last_caches,
        ..machine
    }
}

/// Whether a battery is being drained.
pub(super) fn is_on_battery() -> bool {
    facts::is_on_battery(Path::new("/"))
}

/// How often the CPUs slowed themselves down because they were hot, since boot; `None` if they do not count that.
pub(super) fn thermal_throttles() -> Option<u64> {
    layout::throttles(Path::new("/"))
}

/// The CPUs that this process may use.
///
/// # Errors
/// In one line: the kernel does not say.
pub(crate) fn cpus_allowed() -> Result<CpuList, String> {
    let mask = rustix::thread::sched_getaffinity(None)
        .map_err(|error| format!("the kernel does not say which CPUs may be used: {error}"))?;
    let numbers = (0..CpuSet::MAX_CPU).filter(|cpu| mask.is_set(*cpu));
    let cpus = CpuList::new(numbers.filter_map(|cpu| u32::try_from(cpu).ok()));
    cpus.ok_or_else(|| "the kernel says that no CPU may be used".to_owned())
}

/// From now on this thread, and what it becomes and starts, runs on `cpus` only.
///
/// # Errors
/// The machine does not have them, or the kernel refuses.
pub(crate) fn stay_on(cpus: &CpuList) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        let cpu = usize::try_from(cpu).map_err(io::Error::other)?;
        if cpu >= CpuSet::MAX_CPU {
            return Err(Errno::INVAL.into());
        }
        set.set(cpu);
    }
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure;

    #[test]
    fn a_machine_that_says_nothing_is_still_one() {
        let machine = look_below(measure::fixture::root(&[]).path());
        assert_eq!((machine.cpu_model, machine.quota_cpus, machine.load_average), (None, None, None));
        assert!(machine.cpus_online >= 1);
    }
}
