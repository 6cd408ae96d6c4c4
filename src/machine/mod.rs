//! What this machine is and what can be measured on it: the facts behind `doctor`, the manifest and the warnings.
//! Reads `/proc` and `/sys`, and asks `measure` which counters can be opened.

mod cpu_list;
#[cfg(corefit_linux)]
mod facts;
#[cfg(corefit_linux)]
mod layout;
mod noise;
#[cfg_attr(corefit_linux, path = "linux.rs")]
#[cfg_attr(not(corefit_linux), path = "portable.rs")]
mod system;
mod topology;

use std::num::NonZero;

use serde::{Deserialize, Serialize};

pub use cpu_list::CpuList;
pub use noise::{Noise, noise};
pub(crate) use system::{cpus_allowed, stay_on};
pub use topology::{Cpu, topology};

use crate::measure;

/// What a sweep records of its machine. `None` means the machine does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Machine {
    /// Short hash of the facts that do not change from boot to boot: column `machine` of samples.csv.
    pub id: String,
    /// CPUs in this process's affinity mask.
    pub cpus_allowed: u32,
    /// CPU quota of the tightest cgroup above this process, in CPUs.
    pub quota_cpus: Option<f64>,
    /// CPUs online.
    pub cpus_online: u32,
    /// `model name` of the first CPU.
    pub cpu_model: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Whether hardware counters can be opened here.
    pub has_pmu: bool,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// Whether this binary was built with frame pointers.
    pub has_frame_pointers: bool,
    /// Physical cores.
    #[serde(default)]
    pub cores: Option<u32>,
    /// Whether two threads share a core.
    #[serde(default)]
    pub smt: Option<bool>,
    /// NUMA nodes.
    #[serde(default)]
    pub numa_nodes: Option<u32>,
    /// Frequency governor of the first CPU.
    #[serde(default)]
    pub governor: Option<String>,
    /// Whether the CPU may run above its base frequency.
    #[serde(default)]
    pub boost: Option<bool>,
    /// Memory, bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Version of the cgroup interface that has the CPU controller: 1 or 2.
    #[serde(default)]
    pub cgroup_version: Option<u8>,
    /// What a virtual machine says it is.
    #[serde(default)]
    pub virtualization: Option<String>,
    /// Load average of the minute before this was looked at.
    #[serde(default)]
    pub load_average: Option<f64>,
    /// Percent of the 10 s before in which something waited for a CPU.
    #[serde(default)]
    pub cpu_pressure: Option<f64>,
    /// The same for memory.
    #[serde(default)]
    pub memory_pressure: Option<f64>,
    /// The same for storage.
    #[serde(default)]
    pub io_pressure: Option<f64>,
    /// Share of all CPU time since boot that a hypervisor took.
    #[serde(default)]
    pub steal_share: Option<f64>,
    /// The CPUs in this process's affinity mask, as a list like `0-3,8`.
    #[serde(default)]
    pub affinity: Option<String>,
    /// Sockets.
    #[serde(default)]
    pub sockets: Option<u32>,
    /// Threads of a core.
    #[serde(default)]
    pub threads_per_core: Option<u32>,
    /// Groups of CPUs that share their last cache.
    #[serde(default)]
    pub last_caches: Option<u32>,
}

impl Machine {
    /// CPUs a program can use at once: affinity and quota, whichever is less. Fractional under a quota.
    #[must_use]
    pub fn usable_cpus(&self) -> f64 {
        let affinity = f64::from(self.cpus_allowed);
        self.quota_cpus.map_or(affinity, |quota| quota.min(affinity))
    }
}

impl Machine {
    /// The machine as a program sees it that runs under another quota.
    #[must_use]
    pub fn under(&self, cpu_quota: Option<f64>) -> Self {
        let quotas = [self.quota_cpus, cpu_quota].into_iter().flatten();
        Self { quota_cpus: quotas.min_by(f64::total_cmp), ..self.clone() }
    }
}

/// Looks at this machine.
#[must_use]
pub fn look() -> Machine {
    let machine = system::look();
    Machine { id: id(&machine), has_pmu: measure::availability().has_pmu(), ..machine }
}

/// What every system says.
fn anywhere() -> Machine {
    // Beyond 1024 CPUs Linux's mask does not fit; std asks with a larger one, but takes a quota off.
    let cpus_allowed = cpus_allowed().map_or_else(
        |_unknown| std::thread::available_parallelism().map_or(1, NonZero::get),
        |cpus| cpus.count(),
    );
    let cpus_allowed = u32::try_from(cpus_allowed).unwrap_or(u32::MAX);
    Machine {
        cpus_allowed,
        cpus_online: cpus_allowed,
        has_frame_pointers: cfg!(corefit_frame_pointers),
        cores: u32::try_from(num_cpus::get_physical()).ok(),
        ..Machine::default()
    }
}

/// How often the CPUs slowed themselves down because they were hot, since boot; `None` if they do not count that.
#[must_use]
pub fn thermal_throttles() -> Option<u64> {
    system::thermal_throttles()
}

/// Eight hex digits of a hash of what stays from boot to boot: CPU, its count, memory in GiB (its last bytes are the
/// kernel's), nodes, architecture.
fn id(machine: &Machine) -> String {
    let memory_gib = machine.memory_bytes.map(|bytes| bytes.div_ceil(1 << 30));
    let facts = format!(
        "{:?}|{}|{:?}|{:?}|{}",
        machine.cpu_model,
        machine.cpus_online,
        memory_gib,
        machine.numa_nodes,
        std::env::consts::ARCH
    );
    format!("{:08x}", fnv1a(facts.as_bytes()))
}

/// The 32-bit FNV-1a hash (Fowler, Noll, Vo; draft-eastlake-fnv): written out, since it has to stay the same for ever.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv1a() {
        // From the test vectors of the draft.
        assert_eq!(fnv1a(b""), 0x811c_9dc5);
        assert_eq!(fnv1a(b"a"), 0xe40c_292c);
        assert_eq!(fnv1a(b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn the_id_stays_with_the_machine_and_differs_between_machines() {
        let machine = Machine {
            cpu_model: Some("X".into()),
            cpus_online: 4,
            memory_bytes: Some(8 << 30),
            ..Machine::default()
        };
        let rebooted =
            Machine { kernel: Some("9".into()), memory_bytes: Some((8 << 30) - 4096), ..machine.clone() };
        let larger = Machine { cpus_online: 8, ..machine.clone() };
        assert_eq!(id(&machine), id(&rebooted));
        assert_ne!(id(&machine), id(&larger));
        assert_eq!(id(&machine).len(), 8);
    }

    #[test]
    fn this_machine_has_cpus_and_a_stable_id() {
        let machine = look();
        assert!(machine.cpus_allowed >= 1 && machine.cpus_online >= 1);
        assert!(machine.kernel.is_some() && machine.memory_bytes.is_some_and(|bytes| bytes > 1 << 20));
        assert_eq!(machine.id, look().id);
    }

    #[test]
    fn usable_cpus_is_the_lesser_of_affinity_and_quota() {
        let machine = |quota_cpus| Machine { cpus_allowed: 4, quota_cpus, ..Machine::default() };
        assert_eq!(machine(None).usable_cpus(), 4.0);
        assert_eq!(machine(Some(1.5)).usable_cpus(), 1.5);
        assert_eq!(machine(Some(9.0)).usable_cpus(), 4.0);
    }

    #[test]
    fn a_manifest_of_fewer_facts_still_reads() {
        let text = r#"{"id":"1","cpus_allowed":2,"quota_cpus":null,"cpus_online":2,"cpu_model":null,"kernel":null,
            "has_pmu":false,"perf_event_paranoid":2,"has_frame_pointers":true}"#;
        let machine: Machine = serde_json::from_str(text).unwrap();
        assert_eq!((machine.cpus_allowed, machine.cores), (2, None));
    }
}
