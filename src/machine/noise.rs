//! What would disturb a measurement, looked at before it begins.

use std::path::Path;

use super::{Machine, system};
use crate::measure::cgroup;

/// Load average per CPU above which other programs compete. Half of what one busy thread makes of two CPUs.
const LOAD_PER_CPU: f64 = 0.25;
/// Percent of time in which something waited for a CPU. Guess: an idle machine shows less than 1.
const PRESSURE_PERCENT: f64 = 5.0;
/// Percent of time in which something waited for memory or storage. Guess, as for the CPU.
const OTHER_PRESSURE_PERCENT: f64 = 5.0;
/// Share of the CPU time since boot that a hypervisor may have taken: the precision of a sweep.
const STEAL_SHARE: f64 = 0.02;
/// Share of periods in which a quota ran out, above which it shapes the result.
const THROTTLED_SHARE: f64 = 0.05;

/// Something about the machine that disturbs measurements: a warning, or with `--strict` a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Stable name, such as `machine-load`.
    pub code: &'static str,
    /// One sentence with its number.
    pub text: String,
}

/// Looks what disturbs this machine now; best before a sweep, since the sweep itself loads it.
#[must_use]
pub fn noise() -> Vec<Noise> {
    let machine = super::look();
    let mut found = of_machine(&machine);
    if system::is_on_battery() {
        let text = "the machine runs on battery, where the CPU may be slowed down: plug it in".to_owned();
        found.push(Noise { code: "machine-battery", text });
    }
    if let Some(throttling) = cgroup::limit(Path::new("/"), "self").as_ref().and_then(cgroup::throttling) {
        found.extend(of_throttling(machine.quota_cpus.unwrap_or(0.0), throttling));
    }
    found
}

fn of_machine(machine: &Machine) -> Vec<Noise> {
    let cpus = f64::from(machine.cpus_online.max(1));
    let load = machine.load_average.filter(|load| load / cpus > LOAD_PER_CPU).map(|load| Noise {
        code: "machine-load",
        text: format!(
            "the load average is {load:.2} on {} CPUs before the measurement: other programs compete, stop them or wait",
            machine.cpus_online
        ),
    });
    let pressure = machine.cpu_pressure.filter(|percent| *percent > PRESSURE_PERCENT).map(|percent| Noise {
        code: "machine-pressure",
        text: format!("something waited for a CPU {percent:.0} % of the last 10 s (/proc/pressure/cpu)"),
    });
    let governor = machine.governor.as_deref().filter(|governor| *governor == "powersave").map(|governor| Noise {
        code: "machine-governor",
        text: format!(
            "the CPU frequency governor is `{governor}`: speed follows load; `cpupower frequency-set -g performance` \
             holds it"
        ),
    });
    let others = [("memory", machine.memory_pressure), ("io", machine.io_pressure)];
    let others = others.into_iter().filter_map(|(what, percent)| {
        let percent = percent.filter(|percent| *percent > OTHER_PRESSURE_PERCENT)?;
        let text =
            format!("something waited for {what} {percent:.0} % of the last 10 s (/proc/pressure/{what})");
        Some(Noise { code: "machine-pressure", text })
    });
    let steal = machine.steal_share.filter(|share| *share > STEAL_SHARE).map(|share| Noise {
        code: "machine-steal",
        text: format!(
            "the hypervisor took {:.1} % of the CPU time since boot: other guests compete",
            share * 100.0
        ),
    });
    [load, pressure].into_iter().flatten().chain(others).chain(steal).chain(governor).collect()
}

fn of_throttling(quota_cpus: f64, throttling: cgroup::Throttling) -> Option<Noise> {
    let share = throttling.throttled_periods as f64 / throttling.periods.max(1) as f64;
    (share > THROTTLED_SHARE).then(|| Noise {
        code: "machine-throttled",
        text: format!(
            "the quota of {quota_cpus:.2} CPUs ran out in {} of {} periods so far ({:.1} s throttled)",
            throttling.throttled_periods, throttling.periods, throttling.throttled_s
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(machine: &Machine) -> Vec<&'static str> {
        of_machine(machine).into_iter().map(|noise| noise.code).collect()
    }

    #[test]
    fn a_quiet_machine_has_no_noise() {
        let quiet = Machine {
            cpus_online: 8,
            load_average: Some(0.5),
            cpu_pressure: Some(0.4),
            governor: Some("performance".to_owned()),
            ..Machine::default()
        };
        assert!(codes(&quiet).is_empty());
        assert!(codes(&Machine::default()).is_empty());
    }

    #[test]
    fn load_pressure_and_governor_are_told_with_their_numbers() {
        let loud = Machine {
            cpus_online: 2,
            load_average: Some(1.25),
            cpu_pressure: Some(23.4),
            governor: Some("powersave".to_owned()),
            io_pressure: Some(40.0),
            steal_share: Some(0.031),
            ..Machine::default()
        };
        let expected =
            ["machine-load", "machine-pressure", "machine-pressure", "machine-steal", "machine-governor"];
        assert_eq!(codes(&loud), expected);
        let texts = of_machine(&loud);
        assert!(texts[0].text.starts_with("the load average is 1.25 on 2 CPUs"));
        assert!(texts[1].text.contains("23 %"));
        assert!(texts[2].text.contains("io 40 %") && texts[3].text.contains("3.1 %"));
    }

    #[test]
    fn a_quota_that_runs_out_often_is_told() {
        let throttling =
            |throttled_periods| cgroup::Throttling { throttled_s: 1.5, periods: 100, throttled_periods };
        assert_eq!(of_throttling(0.5, throttling(5)), None);
        let noise = of_throttling(0.5, throttling(40)).unwrap();
        assert_eq!(
            noise.text,
            "the quota of 0.50 CPUs ran out in 40 of 100 periods so far (1.5 s throttled)"
        );
    }
}
