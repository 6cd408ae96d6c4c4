//! What this machine is and what can be measured on it: the facts behind `doctor`, the manifest and the warnings.
//! Reads `/proc` and `/sys` only.

use serde::{Deserialize, Serialize};

/// What a sweep records of its machine. `None` means the machine does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
}

impl Machine {
    /// CPUs a program can use at once: affinity and quota, whichever is less. Fractional under a quota.
    #[must_use]
    pub fn usable_cpus(&self) -> f64 {
        let affinity = f64::from(self.cpus_allowed);
        self.quota_cpus.map_or(affinity, |quota| quota.min(affinity))
    }
}

/// Looks at this machine.
#[must_use]
pub fn look() -> Machine {
    Machine {
        cpus_allowed: num_cpus::get() as u32,
        cpus_online: num_cpus::get() as u32,
        ..Machine::default()
    }
}
