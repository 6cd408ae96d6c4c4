//! A target that is a server: its samples and profiles under load, and what has to be said of the load.

use super::one::Job;
use crate::error::Error;
use crate::machine::CpuList;
use crate::measure::serve::{self, Roles, Served, Serving};
use crate::measure::{Conditions, Sample, ready};
use crate::plan::Pinning;
use crate::results::{Note, SampleRow};
use crate::stats::median;
use crate::target::{LoadKind, Procs, Service, Target};

/// Busy part of a thread, or of all its CPUs, from which a load generator may be what limits the throughput. Guess.
const SATURATED: f64 = 0.9;
/// Change of the throughput over all worker counts below which it is flat. Guess: the default tolerance.
const FLAT: f64 = 0.05;
/// Busy part of a server's CPUs below which they are idle. Guess.
const IDLE: f64 = 0.8;

/// One sample of `job` at `procs`, whatever its target is.
pub(super) fn sample(job: &Job, procs: Procs, conditions: &Conditions) -> Result<Sample, Error> {
    let main = job.target.invocation(procs).untraced();
    let (Some(service), Some(load)) = (job.target.service(), job.target.load(procs)) else {
        return Ok(crate::measure::sample(&main, conditions)?);
    };
    let load_cpus = job.pinning.as_ref().and_then(Pinning::load);
    let roles = Roles { main: &main, ready: &service.ready, load: &load.untraced(), load_cpus };
    Ok(serve::serve(&roles, conditions)?)
}

/// `target`'s server under its load, to be profiled, if it is one.
///
/// # Errors
/// It cannot be started, or does not come to serve.
pub(super) fn start(
    target: &Target,
    procs: Procs,
    conditions: &Conditions,
    load_cpus: Option<&CpuList>,
) -> Result<Option<Served>, Error> {
    let (Some(service), Some(load)) = (target.service(), target.load(procs)) else { return Ok(None) };
    let main = target.invocation(procs).untraced();
    let roles = Roles { main: &main, ready: &service.ready, load: &load.untraced(), load_cpus };
    match serve::start(&roles, conditions)? {
        Serving::UnderLoad(served) => Ok(Some(*served)),
        Serving::Failed(sample) => Err(Error::Partial(sample.remarks.join("; "))),
    }
}

/// Refuses a server at whose address somebody serves already: every sample would fail, or be of that.
///
/// # Errors
/// As said, or the address cannot be found.
pub(super) fn refuse_taken(jobs: &[Job]) -> Result<(), Error> {
    for service in jobs.iter().filter_map(|job| job.target.service()) {
        if let Some(why) = ready::taken(&service.ready).map_err(Error::Usage)? {
            return Err(Error::Usage(why));
        }
    }
    Ok(())
}

/// What has to stand beside the answer of a server.
pub(super) fn notes(job: &Job, rows: &[SampleRow]) -> Vec<Note> {
    let Some(service) = job.target.service() else { return Vec::new() };
    let machine_cpus = f64::from(job.machine.cpus_allowed);
    let load_cpus = job.pinning.as_ref().and_then(Pinning::load).map(|cpus| cpus.count() as f64);
    let points = points(rows);
    [
        shared(job.pinning.as_ref(), &points, job.machine.cpus_allowed),
        bottleneck(&points, load_cpus.unwrap_or(machine_cpus)).or_else(|| flat(&points, machine_cpus)),
        loop_kind(service, rows),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Medians of one worker count's successful samples.
#[derive(Clone, Debug, PartialEq)]
struct Point {
    procs: u32,
    throughput: f64,
    /// CPUs that the server kept busy.
    server_busy: Option<f64>,
    /// CPUs that the load generator kept busy.
    load_busy: Option<f64>,
    /// Busy part of its busiest thread.
    thread_busy: Option<f64>,
}

fn points(rows: &[SampleRow]) -> Vec<Point> {
    let mut counts: Vec<u32> =
        rows.iter().filter(|row| row.is_ok()).filter_map(|row| row.procs.count()).collect();
    counts.sort_unstable();
    counts.dedup();
    let point = |procs: u32| {
        let of = |value: &dyn Fn(&SampleRow) -> Option<f64>| {
            let of_point = rows.iter().filter(|row| row.is_ok() && row.procs == procs);
            median(&mut of_point.filter_map(value).collect::<Vec<_>>())
        };
        let busy =
            |row: &SampleRow, cpu_s: Option<f64>| Some(cpu_s? / row.wall_s.filter(|wall| *wall > 0.0)?);
        Some(Point {
            procs,
            throughput: of(&|row| row.throughput)?,
            server_busy: of(&|row| busy(row, Some(row.user_s? + row.sys_s?))),
            load_busy: of(&|row| busy(row, row.load_cpu_s)),
            thread_busy: of(&|row| busy(row, row.load_busiest_thread_s)),
        })
    };
    counts.into_iter().filter_map(point).collect()
}

/// Load generator and server on the same CPUs.
fn shared(pinning: Option<&Pinning>, points: &[Point], machine_cpus: u32) -> Option<Note> {
    let is_shared = |point: &&Point| pinning.is_none_or(|pinning| pinning.is_shared(point.procs));
    let shared: Vec<&Point> = points.iter().filter(is_shared).collect();
    let most = |of: fn(&Point) -> Option<f64>| {
        let most = shared.iter().filter_map(|point| of(point)).max_by(f64::total_cmp);
        most.map_or_else(|| "an unknown part".to_owned(), |cpus| format!("up to {cpus:.2}"))
    };
    let (load, server) = (most(|point| point.load_busy), most(|point| point.server_busy));
    let used = format!("of which the load uses {load} and the server {server}");
    let text = match pinning {
        _ if shared.is_empty() => return None,
        None => format!(
            "load generator and server share {machine_cpus} CPUs, {used}; `--pin` keeps them apart where there are enough"
        ),
        Some(pinning) => {
            let procs: Vec<String> = shared.iter().map(|point| point.procs.to_string()).collect();
            let load = pinning.load().map_or_else(String::new, |cpus| format!("; the load keeps CPU {cpus}"));
            format!(
                "load generator and server share CPUs at procs {}: there are {}, {used}{load}",
                procs.join(", "),
                pinning.cpus()
            )
        }
    };
    Some(Note { code: "load-shares-cpus".to_owned(), text })
}

/// The load generator is as busy as it can be.
fn bottleneck(points: &[Point], load_cpus: f64) -> Option<Note> {
    let thread = |point: &Point| point.thread_busy.unwrap_or(0.0);
    let cpus = |point: &Point| point.load_busy.unwrap_or(0.0) / load_cpus;
    let share = |point: &Point| thread(point).max(cpus(point));
    let busiest = points.iter().max_by(|a, b| share(a).total_cmp(&share(b)))?;
    let what = if thread(busiest) >= cpus(busiest) {
        "one thread of the load generator is"
    } else {
        "the load generator's CPUs are"
    };
    let text = format!(
        "{what} busy {:.0} % of the time at {}: it may limit the throughput, not the server; give it more threads, or \
         ask for less",
        100.0 * share(busiest).min(1.0),
        Procs::Count(busiest.procs).phrase()
    );
    (share(busiest) >= SATURATED).then(|| Note { code: "load-bottleneck".to_owned(), text })
}

/// More workers change nothing, and even the fewest are idle.
fn flat(points: &[Point], machine_cpus: f64) -> Option<Note> {
    let (first, last) = (points.first()?, points.last()?);
    let is_like_first = |point: &Point| (point.throughput / first.throughput).ln().abs() < FLAT.ln_1p();
    let idle = first.server_busy? / f64::from(first.procs).min(machine_cpus);
    let is_flat = first.procs < last.procs && points.iter().all(is_like_first);
    let text = format!(
        "throughput is the same from {} to {} procs while the server keeps {:.2} CPUs busy at {}: the load generator may ask \
         for too little (more connections?), or the server waits for something else",
        first.procs, last.procs, first.server_busy?, first.procs
    );
    (is_flat && idle < IDLE).then(|| Note { code: "load-bottleneck".to_owned(), text })
}

/// What the latencies are worth.
fn loop_kind(service: &Service, rows: &[SampleRow]) -> Option<Note> {
    rows.iter().find_map(|row| row.latency_p99_s)?;
    let (code, text) = match service.load.kind {
        LoadKind::Closed => (
            "load-closed-loop",
            "the p99 is of a closed loop: each connection waits for an answer before it asks again, so a stall delays the \
             requests that would have waited (coordinated omission), and the p99 that users see under a steady rate is \
             higher",
        ),
        LoadKind::Open => (
            "load-open-loop",
            "the p99 is of an open loop: requests are sent at their time, and their waiting counts",
        ),
        LoadKind::Unknown => (
            "load-kind-unknown",
            "whether the p99 is of a closed loop, which hides waiting, or of an open one is not known; `--load-kind` says it",
        ),
    };
    Some(Note { code: code.to_owned(), text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Cpu;
    use crate::plan::Pin;

    /// A sample of a second.
    fn row(procs: u32, throughput: f64, server_s: f64, load_s: f64, thread_s: f64) -> SampleRow {
        SampleRow {
            procs: procs.into(),
            status: "ok".to_owned(),
            wall_s: Some(1.0),
            throughput: Some(throughput),
            user_s: Some(server_s),
            sys_s: Some(0.0),
            load_cpu_s: Some(load_s),
            load_busiest_thread_s: Some(thread_s),
            ..SampleRow::default()
        }
    }

    #[test]
    fn a_load_generator_at_its_limit_is_told() {
        let rows =
            [row(1, 10.0, 0.9, 0.5, 0.5), row(2, 19.0, 1.8, 0.97, 0.96), row(2, 19.0, 1.8, 0.95, 0.94)];
        let note = bottleneck(&points(&rows), 4.0).unwrap();
        assert_eq!(note.code, "load-bottleneck");
        assert!(
            note.text.starts_with("one thread of the load generator is busy 95 % of the time at 2 procs"),
            "{}",
            note.text
        );
        let spread = [row(1, 10.0, 0.9, 3.7, 0.6)];
        assert!(
            bottleneck(&points(&spread), 4.0)
                .unwrap()
                .text
                .starts_with("the load generator's CPUs are busy 9")
        );
        assert_eq!(bottleneck(&points(&spread), 8.0), None);
        let unknown =
            [SampleRow { load_cpu_s: None, load_busiest_thread_s: None, ..row(1, 1.0, 1.0, 0.0, 0.0) }];
        assert_eq!(bottleneck(&points(&unknown), 1.0), None);
    }

    #[test]
    fn an_idle_server_whose_throughput_does_not_grow_may_have_too_little_to_do() {
        let rows = [row(1, 10.0, 0.3, 0.1, 0.1), row(4, 10.2, 0.3, 0.1, 0.1)];
        let note = flat(&points(&rows), 4.0).unwrap();
        assert!(note.text.contains("from 1 to 4 procs") && note.text.contains("0.30 CPUs"), "{}", note.text);
        let busy = [row(1, 10.0, 1.0, 0.1, 0.1), row(4, 10.2, 1.0, 0.1, 0.1)];
        assert_eq!(flat(&points(&busy), 4.0), None, "one that is busy is serial");
        let growing = [row(1, 10.0, 0.3, 0.1, 0.1), row(4, 39.0, 1.2, 0.1, 0.1)];
        assert_eq!(flat(&points(&growing), 4.0), None);
        let falling = [row(1, 10.0, 0.3, 0.1, 0.1), row(2, 5.5, 0.3, 0.1, 0.1)];
        assert_eq!(flat(&points(&falling), 4.0), None);
        assert_eq!(flat(&points(&rows[..1]), 4.0), None);
        assert_eq!(flat(&[], 4.0), None);
    }

    #[test]
    fn shared_cpus_are_told_where_they_are() {
        let cpus: Vec<Cpu> =
            (0..4).map(|id| Cpu { id, core: id, package: 0, node: 0, slowness: 0 }).collect();
        let of = |procs: &[u32]| {
            let rows: Vec<SampleRow> =
                procs.iter().map(|procs| row(*procs, 1.0, 0.1 * f64::from(*procs), 0.25, 0.1)).collect();
            shared(Pinning::new(Pin::Compact, &cpus, procs).as_ref(), &points(&rows), 4)
        };
        assert_eq!(of(&[1, 2]), None);
        let expected = "load generator and server share CPUs at procs 4, 8: there are 4, of which the load uses up to 0.25 and \
                        the server up to 0.80; the load keeps CPU 3";
        assert_eq!(of(&[1, 3, 4, 8]).unwrap().text, expected);
        assert!(!of(&[4]).unwrap().text.contains("keeps"), "nothing is ever left for it");
        let unpinned = shared(None, &points(&[row(1, 1.0, 0.5, 0.25, 0.1)]), 4).unwrap().text;
        assert!(unpinned.contains("share 4 CPUs") && unpinned.contains("`--pin`"), "{unpinned}");
        assert_eq!(shared(None, &[], 4), None, "nothing was measured");
    }

    #[test]
    fn the_kind_of_load_stands_beside_a_latency_and_only_there() {
        let service = |kind| Service {
            ready: "tcp:h:1".parse().unwrap(),
            load: crate::target::Load { argv: vec!["x".to_owned()], kind },
        };
        let timed = [SampleRow { latency_p99_s: Some(0.01), ..row(1, 1.0, 1.0, 0.1, 0.1) }];
        let code = |kind| loop_kind(&service(kind), &timed).unwrap().code;
        assert_eq!(code(LoadKind::Closed), "load-closed-loop");
        assert_eq!(code(LoadKind::Open), "load-open-loop");
        assert_eq!(code(LoadKind::Unknown), "load-kind-unknown");
        assert_eq!(loop_kind(&service(LoadKind::Closed), &[row(1, 1.0, 1.0, 0.1, 0.1)]), None);
    }
}
