//! What `doctor` found, for people: a fact a line, then what is missing and how to get it.

use std::fmt::Write as _;

use corefit_runtime::{DefaultProcs, ProcsReason};
use owo_colors::OwoColorize;

use super::number::{bytes, percent};
use super::wrap::paragraph;
use crate::machine::Machine;
use crate::machine::Noise;
use crate::measure::{self, Quotas, counters};
use crate::profile;

/// Columns of a fact's name.
const NAME_WIDTH: usize = 18;

/// The whole of it. Ends with a line end.
#[must_use]
pub fn text(
    machine: &Machine,
    default: &DefaultProcs,
    counters: &counters::Availability,
    profiles: &profile::Availability,
    quotas: Result<&Quotas, &measure::Error>,
    noise: &[Noise],
) -> String {
    let mut text = format!("{}\n", "machine".bold());
    for (name, value) in facts(machine) {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<NAME_WIDTH$}{value}");
        }
    }
    let _ = writeln!(text, "  {:<NAME_WIDTH$}{}, from {}", "GOMAXPROCS", default.procs, reason(default));
    let _ = writeln!(text, "\n{}", "measuring".bold());
    let counted = counters.counters.iter().filter(|(_, access)| *access == counters::Access::Full);
    let names: Vec<&str> = counted.map(|(event, _)| event.name()).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    text.push_str(&paragraph("  counted: ", &names));
    for remark in counters.remarks() {
        text.push_str(&paragraph("  - ", &remark));
    }
    for lack in measure::LACKS {
        text.push_str(&paragraph("  - ", lack));
    }
    text.push_str(&paragraph("  sampled: ", &format!("{}, {}", profiles.event, profiles.source)));
    for limit in &profiles.limits {
        text.push_str(&paragraph("  - ", limit));
    }
    text.push_str(&of_quotas(quotas));
    if !machine.has_frame_pointers {
        text.push_str(&paragraph("  - ", NO_FRAME_POINTERS));
    }
    let _ = writeln!(text, "\n{}", "now".bold());
    if noise.is_empty() {
        text.push_str("  quiet: nothing stands against measuring\n");
    }
    for Noise { code, text: what } in noise {
        text.push_str(&paragraph("  - ", &format!("{what} [{code}]")));
    }
    text
}

/// Whether `--cpus` works here.
fn of_quotas(quotas: Result<&Quotas, &measure::Error>) -> String {
    let what = match quotas {
        Ok(quotas) => {
            format!("`--cpus` works, with cgroups v{} in {}", quotas.version(), quotas.folder().display())
        }
        Err(why) => format!("`--cpus` does not work here: {why}"),
    };
    paragraph("  quotas:  ", &what)
}

const NO_FRAME_POINTERS: &str = "this binary was built without frame pointers, so its flame graphs are shallow: an exported \
                                 RUSTFLAGS replaces the setting of .cargo/config.toml; unset it and build again";

fn facts(machine: &Machine) -> Vec<(&'static str, Option<String>)> {
    let yes_no = |is: bool| if is { "on" } else { "off" }.to_owned();
    vec![
        ("corefit", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("CPU", machine.cpu_model.clone()),
        ("CPUs", Some(cpus(machine))),
        ("topology", topology(machine)),
        ("quota", machine.quota_cpus.map(|quota| format!("{quota} CPUs"))),
        ("SMT", machine.smt.map(yes_no)),
        ("NUMA nodes", machine.numa_nodes.map(|nodes| nodes.to_string())),
        ("governor", machine.governor.clone()),
        ("boost", machine.boost.map(yes_no)),
        ("memory", machine.memory_bytes.map(bytes)),
        ("kernel", machine.kernel.clone()),
        ("virtualization", machine.virtualization.clone()),
        ("cgroup", machine.cgroup_version.map(|version| format!("v{version}"))),
        ("PMU", Some(if machine.has_pmu { "yes" } else { "no" }.to_owned())),
        ("perf paranoid", machine.perf_event_paranoid.map(|level| level.to_string())),
        ("frame pointers", Some(if machine.has_frame_pointers { "yes" } else { "no" }.to_owned())),
        ("load average", machine.load_average.map(|load| format!("{load:.2}"))),
        ("pressure", pressure(machine)),
        ("steal", machine.steal_share.map(|share| format!("{} since boot", percent(share)))),
    ]
}

fn cpus(machine: &Machine) -> String {
    let list = machine.affinity.as_ref().map_or_else(String::new, |list| format!(" ({list})"));
    format!("{} online, {} allowed{list}", machine.cpus_online, machine.cpus_allowed)
}

/// As `1 socket, 2 cores, 1 thread each, 1 last cache`; `None` if nothing is known.
fn topology(machine: &Machine) -> Option<String> {
    let count = |count: Option<u32>, what: &str| {
        count.map(|count| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
    };
    let parts = [
        count(machine.sockets, "socket"),
        count(machine.cores, "core"),
        count(machine.threads_per_core, "thread").map(|threads| format!("{threads} each")),
        count(machine.last_caches, "last cache"),
    ];
    let known: Vec<String> = parts.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// What waited in the last 10 s, in percent of them.
fn pressure(machine: &Machine) -> Option<String> {
    let parts =
        [("CPU", machine.cpu_pressure), ("memory", machine.memory_pressure), ("io", machine.io_pressure)];
    let known: Vec<String> = parts
        .into_iter()
        .filter_map(|(what, percent)| percent.map(|percent| format!("{what} {percent:.1} %")))
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// Where the default of `GOMAXPROCS` comes from.
#[must_use]
pub fn reason(default: &DefaultProcs) -> &'static str {
    match default.reason {
        ProcsReason::Variable => "the variable",
        ProcsReason::Affinity => "the CPUs this process may use",
        ProcsReason::Quota => "the cgroup's CPU quota, rounded up",
    }
}
