//! The end of a report: how to measure the same again, what was not measured and why, and the machine.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use super::facts::{COLUMNS, Source};
use super::text::{escape, sentence};
use super::{Subject, again};
use crate::machine::Machine;
use crate::model::{Kind, Law};
use crate::report::number::{bytes, percent, procs, seconds};
use crate::results::{Manifest, Model, Recommendation};

/// How it was measured, and how to do it again.
pub(super) fn reproduce(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let plan = &manifest.plan;
    let rounds = subject.saved.rows.iter().map(|row| row.round).max().unwrap_or(0);
    let facts = [
        ("started", time(manifest.started_unix_s)),
        ("samples", format!("{} in {rounds} rounds", subject.saved.rows.len())),
        ("rounds asked for", format!("{} to {}", plan.rounds.min, plan.rounds.max)),
        ("precision asked for", percent(plan.precision)),
        ("budget", plan.budget_s.map_or_else(|| "none".to_owned(), seconds)),
        ("warm-up runs", plan.warmup.to_string()),
        ("policy", manifest.policy.to_string()),
        ("seed", manifest.seed.to_string()),
        ("corefit", manifest.corefit_version.clone()),
    ];
    format!(
        "<section id=\"again\"><h2>How to measure it again</h2><pre tabindex=\"0\"><code>{}</code></pre>{}</section>",
        escape(&again::command(manifest)),
        list(facts.map(|(name, value)| (name, Some(value))))
    )
}

/// The law that was fitted, with its parameters.
pub(super) fn model(answer: &Recommendation) -> String {
    let Some(law) = super::curve::law(&answer.model) else {
        let why = "None: too few points, or their samples say too little.";
        return format!("<section id=\"model\"><h2>Model</h2><p>{why}</p></section>");
    };
    let formula = match law.kind {
        Kind::Linear => "X(N) = λN",
        Kind::Amdahl => "X(N) = λN / (1 + σ(N − 1))",
        Kind::Usl => "X(N) = λN / (1 + σ(N − 1) + κN(N − 1))",
    };
    let beyond = match law.ceiling {
        Some(ceiling) => format!(", constant beyond {} CPUs", procs(ceiling)),
        None => String::new(),
    };
    format!(
        "<section id=\"model\"><h2>Model</h2><p>{} law: <i>{formula}</i>{beyond}. It guides what is measured and shows what to \
         expect; the recommended number is always a measured one.</p>{}</section>",
        match law.kind {
            Kind::Linear => "Linear",
            Kind::Amdahl => "Amdahl’s",
            Kind::Usl => "The Universal Scalability",
        },
        list(parameters(&law, &answer.model, &answer.unit))
    )
}

fn parameters(law: &Law, model: &Model, unit: &str) -> [(&'static str, Option<String>); 5] {
    let intervals = model.intervals.as_ref();
    let within = |show: fn(f64) -> String, value: f64, ends: Option<[f64; 2]>| match ends {
        Some([low, high]) => format!("{} (95 % interval {} to {})", show(value), show(low), show(high)),
        None => show(value),
    };
    let sigma_ends = intervals.and_then(|all| all.sigma);
    let kappa_ends = intervals.and_then(|all| all.kappa);
    let plain: fn(f64) -> String = |value| format!("{value:.4}");
    let scientific: fn(f64) -> String =
        |value| if value == 0.0 { "0".to_owned() } else { format!("{value:.2e}") };
    let sigma = (law.kind != Kind::Linear).then(|| within(plain, law.sigma, sigma_ends));
    let kappa = (law.kind == Kind::Usl).then(|| within(scientific, law.kappa, kappa_ends));
    [
        ("λ, one worker", Some(super::super::number::quantity(law.lambda, unit))),
        ("σ, contention", sigma),
        ("κ, coherency", kappa),
        ("peak", model.peak_procs.map(|peak| format!("{peak:.1} procs"))),
        ("variance explained", model.r2.map(percent)),
    ]
}

/// What is not in the report, and why.
pub(super) fn not_measured(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let mut items: Vec<String> = Vec::new();
    if let Some(counters) = &manifest.counters {
        items.extend(counters.remarks().iter().map(|remark| sentence(remark)));
    }
    let sources =
        [Source::Program, Source::Kernel, Source::Counter, Source::Quota, Source::Runtime, Source::Load];
    for source in sources {
        let is_missing = |column: &&super::facts::Column| {
            column.source == source && !column.is_measured(&subject.saved.rows)
        };
        let missing: Vec<&str> = COLUMNS.iter().filter(is_missing).map(|column| column.name).collect();
        if let Some(why) = why_missing(source, manifest).filter(|_| !missing.is_empty()) {
            let names: Vec<String> = missing.iter().map(|name| format!("<code>{name}</code>")).collect();
            items.push(format!("{}: {why}", names.join(", ")));
        }
    }
    if let Some(answer) = subject.answer {
        items.extend(left_early(subject, answer));
    }
    if items.is_empty() {
        return String::new();
    }
    let items: String = items.iter().map(|item| format!("<li>{item}</li>")).collect();
    format!(
        "<section id=\"missing\"><h2>Not measured, and why</h2><p>What was not measured is shown as –, never as 0.</p>\
         <ul class=\"notes\">{items}</ul></section>"
    )
}

/// Why columns of this source may be empty; `None` where it is said elsewhere, or nothing is amiss.
fn why_missing(source: Source, manifest: &Manifest) -> Option<String> {
    let is_server = manifest.command.service().is_some();
    let why = match source {
        Source::Program => {
            "the program does not say it. It may write it to the descriptor <code>COREFIT_RESULT_FD</code>; \
             <code>--latency-metric</code> reads a latency from its output"
        }
        Source::Kernel => "the kernel does not say it here, or the samples were too short to ask it",
        // Each has its own remark.
        Source::Counter if manifest.counters.is_some() => return None,
        Source::Counter => "measured with <code>--no-counters</code>",
        Source::Quota => "no CPU quota was in force",
        Source::Runtime => "only programs on the bundled runtime count it",
        Source::Load if is_server => "the load generator could not be watched",
        Source::Load => return None,
    };
    Some(why.to_owned())
}

/// Worker counts of the plan that were not measured to the last round.
fn left_early(subject: &Subject<'_>, answer: &Recommendation) -> Vec<String> {
    let rows = &subject.saved.rows;
    let plan = &subject.saved.manifest.plan;
    let last = rows.iter().map(|row| row.round).max().unwrap_or(0);
    let mut early = Vec::new();
    let mut never = Vec::new();
    for n in &plan.procs {
        let of_point = rows.iter().filter(|row| row.procs == *n).map(|row| row.round).max();
        match of_point {
            None => never.push(n.to_string()),
            Some(round) if round < last => early.push(format!("{n} (round {round})")),
            Some(_) => {}
        }
    }
    let mut items = Vec::new();
    if !early.is_empty() {
        items.push(format!(
            "Not measured up to the last round, {last}: procs {}. A worker count leaves the sweep when it is surely worse than \
             {} procs, or fails twice running.",
            early.join(", "),
            procs(answer.best_procs)
        ));
    }
    if !never.is_empty() {
        items.push(format!(
            "Within the range but not measured: procs {}. The samples of the others say that they hardly matter; \
             <code>--exhaustive</code> measures all.",
            runs(&never)
        ));
    }
    items
}

/// A list that stays short.
fn runs(names: &[String]) -> String {
    const SHOWN: usize = 24;
    match names {
        long if long.len() > SHOWN => format!("{} and {} more", long[..SHOWN].join(", "), long.len() - SHOWN),
        short => short.join(", "),
    }
}

/// The machine, as far as it says.
pub(super) fn machine(manifest: &Manifest) -> String {
    let machine: &Machine = &manifest.machine;
    let yes_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let facts = [
        ("CPU", machine.cpu_model.clone()),
        ("CPUs allowed", Some(machine.cpus_allowed.to_string())),
        ("CPUs online", Some(machine.cpus_online.to_string())),
        ("affinity", machine.affinity.clone()),
        ("CPU quota", machine.quota_cpus.map(|cpus| format!("{cpus} CPUs"))),
        ("quota of the samples", manifest.plan.cpu_quota.map(|cpus| format!("{cpus} CPUs"))),
        ("cores", machine.cores.map(|n| n.to_string())),
        ("threads of a core", machine.threads_per_core.map(|n| n.to_string())),
        ("sockets", machine.sockets.map(|n| n.to_string())),
        ("NUMA nodes", machine.numa_nodes.map(|n| n.to_string())),
        ("shared last caches", machine.last_caches.map(|n| n.to_string())),
        ("SMT", machine.smt.map(yes_no)),
        ("governor", machine.governor.clone()),
        ("boost", machine.boost.map(yes_no)),
        ("memory", machine.memory_bytes.map(bytes)),
        ("virtual machine", machine.virtualization.clone()),
        ("kernel", machine.kernel.clone()),
        ("cgroups", machine.cgroup_version.map(|version| format!("version {version}"))),
        ("hardware counters", Some(yes_no(machine.has_pmu))),
        ("perf_event_paranoid", machine.perf_event_paranoid.map(|n| n.to_string())),
        ("load average before", machine.load_average.map(|load| format!("{load} tasks"))),
        ("waited for a CPU before", machine.cpu_pressure.map(|share| format!("{share} % of 10 s"))),
        ("taken by a hypervisor since boot", machine.steal_share.map(percent)),
        ("id", Some(machine.id.clone())),
    ];
    format!("<section id=\"machine\"><h2>Machine</h2>{}</section>", list(facts))
}

/// Names and values; what there is no value of is left out.
fn list<const N: usize>(facts: [(&str, Option<String>); N]) -> String {
    let mut items = String::new();
    for (name, value) in facts {
        if let Some(value) = value {
            let _ = write!(items, "<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(&value));
        }
    }
    format!("<dl class=\"list\">{items}</dl>")
}

/// Unix time as `2026-11-28 04:53 UTC`; as it is if it is no time of ours.
pub(super) fn time(unix_s: f64) -> String {
    let after = Duration::try_from_secs_f64(unix_s).ok().and_then(|after| UNIX_EPOCH.checked_add(after));
    if after.is_none() || unix_s > 1e11 {
        return format!("{unix_s} s after 1970");
    }
    let seconds = unix_s as u64;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest / 60 % 60)
}

/// The date that is so many days after 1970 began, by the Gregorian calendar: years from March on, in cycles of 400 (the
/// arithmetic of H. Hinnant, *chrono-Compatible Low-Level Date Algorithms*, 2013).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day_of_cycle) = (days / 146_097, days % 146_097);
    let year = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + cycle * 400 + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(time(0.0), "1970-01-01 00:00 UTC");
        assert_eq!(time(951_782_400.0), "2000-02-29 00:00 UTC");
        assert_eq!(time(1_795_842_039.5), "2026-11-28 05:00 UTC");
        assert_eq!(time(f64::NAN), "NaN s after 1970");
        assert!(time(1e300).contains("1970"));
    }
}
