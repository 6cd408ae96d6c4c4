//! One target: folder, rounds, decision, profiles, files.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::{evidence, report as pages};
use super::{hooks, profiles, rounds, under_load};
use crate::cli::SweepArgs;
use crate::error::Error;
use crate::machine::{self, CpuList, Machine};
use crate::measure::{self, Availability, Quota};
use crate::plan::{LimitRule, Pin, Pinning, Plan, Policy, ProcsSpec, Range, Rounds};
use crate::recommend::{ModelChoice, decide};
use crate::report::progress::Progress;
use crate::results::{Folder, Manifest, Note, REPORT, SCHEMA, SampleRow, Saved};
use crate::target::{Hook, Kind, Procs, Target};

/// Seconds for a bundled workload, profiles included: 21 workloads take about 3 minutes, as the README says.
const WORKLOAD_BUDGET_S: f64 = 9.0;
/// The same with `--quick`: 21 workloads take about 75 s.
const QUICK_BUDGET_S: f64 = 4.0;
/// Seconds kept back for the profiles of a target with a budget: three of about a second.
const PROFILES_S: f64 = 2.7;
/// The same with `--quick`: one.
const QUICK_PROFILE_S: f64 = 0.9;
/// Rounds of `--quick`.
const QUICK_ROUNDS: Rounds = Rounds { min: 3, max: 3 };
/// Guess: seconds a sample of a command takes, before one has been measured.
const UNKNOWN_SAMPLE_S: f64 = 1.0;

/// One target to measure, everything settled.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) plan: Plan,
    pub(super) policy: Policy,
    pub(super) machine: Machine,
    /// CPU quota of its samples.
    pub(super) quota: Option<Quota>,
    /// Say each sample on standard error.
    pub(super) verbose: bool,
    /// Who runs where; `None` if nothing is pinned.
    pub(super) pinning: Option<Pinning>,
    noise: Vec<Note>,
    counters: Option<Availability>,
    out: PathBuf,
    resume: bool,
}

/// What all targets of a sweep are measured in.
pub(super) struct Surroundings {
    pub(super) machine: Machine,
    /// What is odd about the machine now.
    pub(super) noise: Vec<Note>,
    /// Which counters can be opened; `None` if none are asked for.
    pub(super) counters: Option<Availability>,
}

/// What measuring a target gave.
pub(super) struct Outcome {
    /// Where it is on disk.
    pub(super) folder: PathBuf,
    /// Manifest and samples.
    pub(super) saved: Saved,
    /// The user stopped it.
    pub(super) interrupted: bool,
    /// Why what runs after all samples did not do its work.
    pub(super) not_cleaned: Option<String>,
}

impl Job {
    /// Settles the plan of `target` under `quota`.
    pub(super) fn new(
        target: Target,
        quota: Option<Quota>,
        args: &SweepArgs,
        surroundings: &Surroundings,
    ) -> Result<Self, Error> {
        let plan = plan(&target, quota.as_ref(), args, &surroundings.machine);
        target.check_procs(&plan.points())?;
        let pinning = plan.pin.map(|pin| pinning(pin, &plan.procs)).transpose()?;
        let policy = args.policy.unwrap_or_else(|| default_policy(&target));
        Ok(Self {
            target,
            plan,
            policy,
            pinning,
            machine: surroundings.machine.clone(),
            quota,
            noise: surroundings.noise.clone(),
            counters: surroundings.counters.clone().filter(|_| !args.no_counters),
            out: args.out.clone(),
            resume: args.resume,
            verbose: args.verbose,
        })
    }

    /// The CPUs that a sample at `procs` may use; `None` for all that the tool may, which the default is to find out.
    pub(super) fn cpus(&self, procs: Procs) -> Option<CpuList> {
        Some(self.pinning.as_ref()?.main(procs.count()?))
    }

    /// How long it takes, before anything is known of it.
    pub(super) fn expected(&self) -> Duration {
        let samples = self.plan.first_points().len() as f64 * f64::from(self.plan.rounds.min)
            + f64::from(self.plan.warmup);
        Duration::from_secs_f64(self.plan.budget_s.unwrap_or(samples * UNKNOWN_SAMPLE_S))
    }

    /// What is odd about the machine.
    pub(super) fn noise(&self) -> &[Note] {
        &self.noise
    }

    fn manifest(&self) -> Manifest {
        Manifest {
            schema: SCHEMA,
            target: self.target.name.clone(),
            command: self.target.clone(),
            corefit_version: env!("CARGO_PKG_VERSION").to_owned(),
            machine: self.machine.clone(),
            counters: self.counters.clone(),
            seed: self.plan.seed,
            plan: self.plan.clone(),
            policy: self.policy,
            started_unix_s: unix_now_s(),
            warnings: self.noise.clone(),
            recommendation: None,
        }
    }
}

/// The worker counts to measure under a quota of `cpus`, if there is one.
fn range(cpus: Option<f64>, args: &SweepArgs, machine: &Machine) -> Range {
    let mut range = args.procs.resolve(&machine.under(cpus));
    let is_auto = args.procs == ProcsSpec::Auto;
    if let (Some(cpus), Some(_), true) = (cpus, &args.cpus_sweep, is_auto) {
        range.include(&LimitRule::ALL.map(|rule| rule.procs(cpus)));
    }
    match args.exhaustive {
        // Whoever asks for all points of `auto` means those that it names.
        true if is_auto && !range.grid.is_empty() => Range { procs: range.grid, grid: Vec::new() },
        true => Range { grid: Vec::new(), ..range },
        false => range,
    }
}

fn plan(target: &Target, quota: Option<&Quota>, args: &SweepArgs, machine: &Machine) -> Plan {
    let cpu_quota = quota.map(Quota::cpus);
    let Range { procs, grid } = range(cpu_quota, args, machine);
    let default_budget_s = match (target.is_workload(), args.quick) {
        (false, _) => None,
        (true, false) => Some(WORKLOAD_BUDGET_S),
        (true, true) => Some(QUICK_BUDGET_S),
    };
    Plan {
        procs,
        grid,
        exhaustive: args.exhaustive,
        with_default: args.with_default,
        rounds: if args.quick { QUICK_ROUNDS } else { args.rounds },
        precision: args.precision / 100.0,
        budget_s: args.budget.map(|budget| budget.as_secs_f64()).or(default_budget_s),
        budget_is_explicit: args.budget.is_some(),
        timeout_s: args.timeout.as_secs_f64(),
        warmup: args.warmup,
        seed: args.seed,
        counters: !args.no_counters,
        flamegraph: !args.no_flamegraph,
        quick: args.quick,
        cpu_quota,
        pin: args.pin,
    }
}

/// Who runs where.
///
/// # Errors
/// The kernel does not say which CPUs there are.
fn pinning(pin: Pin, procs: &[u32]) -> Result<Pinning, Error> {
    let cpus = machine::topology().and_then(|cpus| {
        Pinning::new(pin, &cpus, procs).ok_or_else(|| "the kernel says that no CPU may be used".to_owned())
    });
    cpus.map_err(|why| Error::Usage(format!("cannot pin: {why}; leave out `--pin`")))
}

/// The policy a workload is judged by; the knee for everything else.
fn default_policy(target: &Target) -> Policy {
    let Kind::Workload { workload, .. } = &target.kind else { return Policy::default() };
    corefit_workloads::find(workload)
        .and_then(|known| known.policy)
        .map_or_else(Policy::default, |text| text.parse().expect("a workload's own policy is valid: tested"))
}

/// Measures the target and leaves its files. `noise` is told as soon as nothing can be refused any more, so that a refusal
/// is one line.
pub(super) fn measure(job: &Job, progress: &Progress, noise: &[Note]) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let (mut folder, manifest, rows) = open(job)?;
    progress.suspend(|| {
        for note in noise {
            anstream::eprintln!("corefit: {}", note.text);
        }
    });
    let mut saved = Saved { folder: folder.root().to_owned(), manifest, rows };
    let timeout = Duration::from_secs_f64(job.plan.timeout_s);
    progress.now(&format!("{} · setup", job.target.name), begun.elapsed(), job.expected());
    let prepared = hooks::run(&job.target, Hook::Setup, timeout);
    let interrupted = match &prepared {
        Ok(()) => measure_and_profile(job, &mut folder, &mut saved, begun, progress),
        Err(_) => Ok(measure::interrupted()),
    };
    let cleaned = hooks::clean_up(&job.target, timeout);
    let failed = [("setup-failed", prepared.as_ref()), ("cleanup-failed", cleaned.as_ref())];
    let notes = failed
        .into_iter()
        .filter_map(|(code, done)| Some(Note { code: code.to_owned(), text: done.err()?.clone() }));
    let warnings = saved.manifest.warnings.len();
    saved.manifest.warnings.extend(notes);
    if saved.manifest.warnings.len() > warnings {
        conclude(&mut saved);
        write(&folder, &saved)?;
    }
    let interrupted = interrupted?;
    match prepared {
        Err(why) if !interrupted => Err(Error::Partial(format!("{why}; nothing was measured"))),
        _ => Ok(Outcome {
            folder: saved.folder.clone(),
            interrupted: interrupted || measure::interrupted(),
            not_cleaned: cleaned.err(),
            saved,
        }),
    }
}

/// Rounds, decision, profiles, and the files of all that; whether they were interrupted.
fn measure_and_profile(
    job: &Job,
    folder: &mut Folder,
    saved: &mut Saved,
    begun: Instant,
    progress: &Progress,
) -> Result<bool, Error> {
    let throttles = machine::thermal_throttles();
    let ended = rounds::measure(job, folder, &mut saved.rows, begun, progress)?;
    saved.manifest.warnings.extend(warnings(job, &saved.rows, &ended));
    saved.manifest.warnings.extend(throttled(throttles, machine::thermal_throttles()));
    conclude(saved);
    if let (true, false, Some(answer)) =
        (job.plan.flamegraph, ended.interrupted, &saved.manifest.recommendation)
    {
        let left =
            job.plan.budget_s.map(|budget| Duration::from_secs_f64(budget).saturating_sub(begun.elapsed()));
        progress.now(&format!("{} · profiles", job.target.name), begun.elapsed(), left.unwrap_or_default());
        let chosen = answer.recommended_procs as u32;
        let wanted = profiles::Wanted {
            target: &job.target,
            plan: &job.plan,
            quota: job.quota.as_ref(),
            chosen,
            reasons: &answer.reasons,
            left,
            pinning: job.pinning.as_ref(),
        };
        let notes = profiles::take(&wanted, &saved.rows, folder)?;
        saved.manifest.warnings.extend(notes);
        // Reasons name the places that the profiles show.
        conclude(saved);
    }
    write(folder, saved)?;
    Ok(ended.interrupted || measure::interrupted())
}

fn write(folder: &Folder, saved: &Saved) -> Result<(), Error> {
    folder.write_manifest(&saved.manifest)?;
    if let Some(answer) = &saved.manifest.recommendation {
        folder.write_summary(answer)?;
    }
    Ok(folder.write_file(REPORT, pages::page(saved, true)?.as_bytes())?)
}

/// Decides from what has been measured, by the road that `recommend` takes.
fn conclude(saved: &mut Saved) {
    saved.manifest.recommendation = decide(&evidence::of_sweep(saved, None, ModelChoice::Auto));
}

/// The folder, its manifest without an answer, and the samples it has already.
fn open(job: &Job) -> Result<(Folder, Manifest, Vec<SampleRow>), Error> {
    let manifest = job.manifest();
    if !job.resume {
        return Ok((Folder::create(&job.out, &manifest)?, manifest, Vec::new()));
    }
    let resumed = Folder::resume(&job.out, &manifest)?;
    for note in &resumed.notes {
        anstream::eprintln!("corefit: {note}");
    }
    // What was noticed before is noticed again if it still holds.
    let manifest = Manifest { warnings: job.noise.clone(), recommendation: None, ..resumed.manifest };
    Ok((resumed.folder, manifest, resumed.rows))
}

/// Time kept back for profiles while rounds are measured.
pub(super) fn reserve(job_plan: &Plan) -> Duration {
    match (job_plan.flamegraph, job_plan.budget_s, job_plan.quick) {
        (false, ..) | (_, None, _) => Duration::ZERO,
        (true, Some(_), true) => Duration::from_secs_f64(QUICK_PROFILE_S),
        (true, Some(budget), false) => Duration::from_secs_f64(PROFILES_S.min(budget / 3.0)),
    }
}

/// What has to stand beside the answer: samples that did not succeed, and what else was noticed while measuring.
fn warnings(job: &Job, rows: &[SampleRow], ended: &rounds::Ended) -> Vec<Note> {
    let points = job.plan.points();
    let failed = points.iter().filter_map(|procs| samples_failed(*procs, rows, &ended.failures));
    let of_all = [odd(rows, &ended.oddities), stolen(rows), more_than_cpus(job)].into_iter().flatten();
    let of_load = under_load::notes(job, rows);
    ended.warning.clone().into_iter().chain(failed).chain(of_all).chain(of_load).collect()
}

fn samples_failed(procs: Procs, rows: &[SampleRow], failures: &[(Procs, String)]) -> Option<Note> {
    let of_point = || rows.iter().filter(|row| row.procs == procs);
    let failed = of_point().filter(|row| !row.is_ok()).count();
    let why =
        failures.iter().find(|(of, _)| *of == procs).map_or_else(String::new, |(_, why)| format!(": {why}"));
    let text = format!("{failed} of {} samples at {procs} did not succeed{why}", of_point().count());
    (failed > 0).then(|| Note { code: "samples-failed".to_owned(), text })
}

/// What looked odd in samples that succeeded: the first of it, and how much more there was.
fn odd(rows: &[SampleRow], oddities: &[String]) -> Option<Note> {
    let first = oddities.first()?;
    let same = oddities.iter().filter(|oddity| *oddity == first).count();
    let more = oddities.len() - same;
    let others = if more > 0 { format!("; and {more} other remarks") } else { String::new() };
    let text = format!("{same} of {} samples: {first}{others}", rows.len());
    Some(Note { code: "odd-samples".to_owned(), text })
}

/// Worker counts that cannot be pinned to a CPU for each worker.
fn more_than_cpus(job: &Job) -> Option<Note> {
    let cpus = job.pinning.as_ref()?.cpus();
    let more: Vec<String> = job
        .plan
        .procs
        .iter()
        .filter(|procs| usize::try_from(**procs).is_ok_and(|n| n > cpus))
        .map(u32::to_string)
        .collect();
    let text =
        format!("pinned to all {cpus} CPUs at procs {}, which are more than there are CPUs", more.join(", "));
    (!more.is_empty()).then(|| Note { code: "pin-all-cpus".to_owned(), text })
}

/// The CPUs became hot meanwhile.
fn throttled(before: Option<u64>, after: Option<u64>) -> Option<Note> {
    let times = after?.saturating_sub(before?);
    let text = format!(
        "the CPUs slowed themselves down {times} times because they were hot: let them cool, or measure less at once"
    );
    (times > 0).then(|| Note { code: "cpu-throttled".to_owned(), text })
}

/// Share of one CPU that a hypervisor may take before the precision of 2 % is in doubt.
const STOLEN_SHARE: f64 = 0.02;

fn stolen(rows: &[SampleRow]) -> Option<Note> {
    let steal_s: f64 = rows.iter().filter_map(|row| row.steal_s).sum();
    let wall_s: f64 = rows.iter().filter_map(|row| row.wall_s).sum();
    let text = format!("the hypervisor took {steal_s:.2} s of CPU time during {wall_s:.1} s of samples");
    (steal_s > STOLEN_SHARE * wall_s).then(|| Note { code: "steal".to_owned(), text })
}

fn unix_now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}
