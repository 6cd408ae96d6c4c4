//! Single facts, each from one file of `/proc` or `/sys` below `root` (`/`, but in tests). `None` if it does not say.

use std::fs;
use std::path::Path;

use super::CpuList;

fn text(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    let text = text.trim_matches(|char: char| char.is_whitespace() || char == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// CPUs online.
pub(super) fn cpus_online(root: &Path) -> Option<u32> {
    list_length(&text(root, "sys/devices/system/cpu/online")?)
}

/// NUMA nodes online.
pub(super) fn numa_nodes(root: &Path) -> Option<u32> {
    list_length(&text(root, "sys/devices/system/node/online")?)
}

/// How many numbers a list like `0-3,8` names.
pub(super) fn list_length(list: &str) -> Option<u32> {
    u32::try_from(list.parse::<CpuList>().ok()?.count()).ok()
}

/// The value of the first `key : value` line of `/proc/cpuinfo`.
fn cpuinfo(root: &Path, key: &str) -> Option<String> {
    let info = text(root, "proc/cpuinfo")?;
    info.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

/// Name of the CPU, or of the board where the CPU has none.
pub(super) fn cpu_model(root: &Path) -> Option<String> {
    cpuinfo(root, "model name").or_else(|| text(root, "proc/device-tree/model"))
}

/// Kernel release.
pub(super) fn kernel(root: &Path) -> Option<String> {
    text(root, "proc/sys/kernel/osrelease")
}

/// `kernel.perf_event_paranoid`.
pub(super) fn perf_event_paranoid(root: &Path) -> Option<i32> {
    text(root, "proc/sys/kernel/perf_event_paranoid")?.parse().ok()
}

/// Whether two threads share a core.
pub(super) fn smt(root: &Path) -> Option<bool> {
    text(root, "sys/devices/system/cpu/smt/active").map(|active| active == "1")
}

/// Frequency governor of the first CPU.
pub(super) fn governor(root: &Path) -> Option<String> {
    text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
}

/// Whether the CPU may run above its base frequency.
pub(super) fn boost(root: &Path) -> Option<bool> {
    let no_turbo = || text(root, "sys/devices/system/cpu/intel_pstate/no_turbo").map(|off| off == "0");
    text(root, "sys/devices/system/cpu/cpufreq/boost").map(|on| on == "1").or_else(no_turbo)
}

/// Load average of the last minute.
pub(super) fn load_average(root: &Path) -> Option<f64> {
    finite(text(root, "proc/loadavg")?.split_ascii_whitespace().next()?)
}

/// Percent of the last 10 s in which something waited for `what`: `cpu`, `memory` or `io`.
pub(super) fn pressure(root: &Path, what: &str) -> Option<f64> {
    let pressure = text(root, &format!("proc/pressure/{what}"))?;
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    finite(some.split_ascii_whitespace().find_map(|field| field.strip_prefix("avg10="))?)
}

fn finite(number: &str) -> Option<f64> {
    number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

/// Share of all CPU time since boot that the hypervisor took.
pub(super) fn steal_share(root: &Path) -> Option<f64> {
    let stat = text(root, "proc/stat")?;
    let fields = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
    let ticks: Vec<f64> = fields.take(8).map(|field| field.parse().ok()).collect::<Option<_>>()?;
    let all: f64 = ticks.iter().sum();
    ticks.get(7).filter(|_| all > 0.0).map(|steal| steal / all)
}

/// The CPUs that this process may use, as a list like `0-3,8`.
pub(super) fn affinity(root: &Path) -> Option<String> {
    let status = text(root, "proc/self/status")?;
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).map(|list| list.trim().to_owned())
}

/// Memory of the machine, bytes.
pub(super) fn memory_bytes(root: &Path) -> Option<u64> {
    let info = text(root, "proc/meminfo")?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What a virtual machine says it is; `None` on bare metal.
pub(super) fn virtualization(root: &Path) -> Option<String> {
    let is_virtual = cpuinfo(root, "flags")?.split_ascii_whitespace().any(|flag| flag == "hypervisor");
    let name = || {
        let read = |name| text(root, &format!("sys/class/dmi/id/{name}"));
        read("product_name").or_else(|| read("sys_vendor")).or_else(|| text(root, "sys/hypervisor/type"))
    };
    is_virtual.then(|| name().unwrap_or_else(|| "unknown hypervisor".to_owned()))
}

/// Whether a battery is being drained.
pub(super) fn is_on_battery(root: &Path) -> bool {
    let supplies = fs::read_dir(root.join("sys/class/power_supply")).into_iter().flatten().flatten();
    supplies.into_iter().any(|supply| {
        let is = |file: &str, value: &str| text(&supply.path(), file).is_some_and(|text| text == value);
        // A mouse has a battery too, but its scope is a device.
        is("type", "Battery") && is("status", "Discharging") && !is("scope", "Device")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::fixture::root;

    #[test]
    fn a_list_of_ranges_is_counted() {
        assert_eq!(list_length("0-3,8"), Some(5));
        assert_eq!(list_length("0"), Some(1));
        for nonsense in ["", "3-1", "a", "0-4294967295", "1-"] {
            assert_eq!(list_length(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_fact_is_read_from_its_file() {
        let root = root(&[
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Fast CPU\nflags\t\t: fpu hypervisor\n\nprocessor: 1\n",
            ),
            ("proc/sys/kernel/osrelease", "6.18.1\n"),
            ("proc/sys/kernel/perf_event_paranoid", "-1\n"),
            ("proc/loadavg", "0.52 0.40 0.30 1/200 4242\n"),
            ("proc/pressure/cpu", "some avg10=12.50 avg60=1.00 avg300=0.10 total=5\nfull avg10=0.00\n"),
            ("proc/pressure/memory", "some avg10=0.50 avg60=0.00 avg300=0.00 total=5\n"),
            ("proc/stat", "cpu  60 0 20 10 5 0 0 5 0 0\ncpu0 1 2 3\n"),
            ("proc/self/status", "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,8\n"),
            ("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            ("sys/devices/system/cpu/online", "0-7\n"),
            ("sys/devices/system/node/online", "0-1\n"),
            ("sys/devices/system/cpu/smt/active", "1\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n"),
            ("sys/class/dmi/id/product_name", "KVM\n"),
        ]);
        let root = root.path();
        assert_eq!(cpu_model(root).as_deref(), Some("Fast CPU"));
        assert_eq!(kernel(root).as_deref(), Some("6.18.1"));
        assert_eq!(perf_event_paranoid(root), Some(-1));
        assert_eq!((load_average(root), pressure(root, "cpu")), (Some(0.52), Some(12.5)));
        assert_eq!((pressure(root, "memory"), pressure(root, "io")), (Some(0.5), None));
        assert_eq!((steal_share(root), affinity(root).as_deref()), (Some(0.05), Some("0-3,8")));
        assert_eq!(memory_bytes(root), Some(2 << 20));
        assert_eq!((cpus_online(root), numa_nodes(root)), (Some(8), Some(2)));
        assert_eq!((smt(root), boost(root)), (Some(true), Some(false)));
        assert_eq!(governor(root).as_deref(), Some("performance"));
        assert_eq!(virtualization(root).as_deref(), Some("KVM"));
    }

    #[test]
    fn a_battery_counts_when_it_drains_and_drives_the_machine() {
        let battery = |status, scope| {
            let root = root(&[
                ("sys/class/power_supply/BAT0/type", "Battery\n"),
                ("sys/class/power_supply/BAT0/status", status),
                ("sys/class/power_supply/BAT0/scope", scope),
            ]);
            is_on_battery(root.path())
        };
        assert!(battery("Discharging\n", "System\n"));
        assert!(!battery("Charging\n", "System\n"));
        assert!(!battery("Discharging\n", "Device\n"));
    }

    #[test]
    fn a_board_names_a_cpu_that_has_no_name() {
        let root = root(&[
            ("proc/cpuinfo", "processor\t: 0\nCPU part\t: 0xd0c\n"),
            ("proc/device-tree/model", "Small Board\0"),
        ]);
        assert_eq!(cpu_model(root.path()).as_deref(), Some("Small Board"));
        assert_eq!(virtualization(root.path()), None);
    }
}
