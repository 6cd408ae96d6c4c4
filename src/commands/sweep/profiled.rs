//! One run of a target under the sampler, or with its goroutines traced.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use corefit_runtime::trace::Trace;

use super::{hooks, under_load};
use crate::commands::trace::lacks;
use crate::error::Error;
use crate::machine::CpuList;
use crate::measure::{self, Child, Conditions, Quota, Sample, Status};
use crate::profile::{self, Profile, Request, Time, self_sample};
use crate::target::{Hook, TRACE_VARIABLE, Target};
use crate::trace;

/// Longest run of a workload that samples itself: it writes its stacks at its end, and a quota or a busy machine delays that.
pub(super) const LONGEST_OF_ITSELF: Duration = Duration::from_secs(20);
/// Bytes of a trace that is read once and thrown away: some 100 million events.
const TRACE_LIMIT: &str = "512M";

/// What a run is limited to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    /// The CPU quota; `None` for that of the tool.
    pub(crate) quota: Option<Quota>,
    /// The CPUs; `None` for those of the tool.
    pub(crate) cpus: Option<CpuList>,
    /// The CPUs of what loads it, likewise.
    pub(crate) load_cpus: Option<CpuList>,
}

impl Limits {
    fn conditions(&self, timeout: Duration) -> Conditions {
        Conditions {
            timeout,
            counters: false,
            keep_output: false,
            poll_run_queue: false,
            quota: self.quota.clone(),
            cpus: self.cpus.clone(),
        }
    }
}

/// One run of a target under the sampler.
pub(crate) struct Run {
    pub(crate) profile: Profile,
    /// Operations that it did; `None` if it was cut short, or the target counts none.
    pub(crate) ops: Option<f64>,
}

/// One run under the sampler. Where the kernel refuses to sample, a bundled
/// workload samples itself, if its run takes no longer than `longest_of_itself`.
///
/// # Errors
/// The program cannot be started, or no stack can be had.
pub(crate) fn once(
    target: &Target,
    procs: u32,
    request: Request,
    longest_of_itself: Duration,
    limits: &Limits,
) -> Result<Run, Error> {
    // The sampler ends the program after `max_time`; the sample's own limit only has to lie beyond it.
    let timeout = request.max_time + Duration::from_secs(60);
    let conditions = limits.conditions(timeout);
    hooks::run(target, Hook::Prepare(procs.into()), timeout).map_err(Error::Partial)?;
    if let Some(mut served) = under_load::start(target, procs.into(), &conditions, limits.load_cpus.as_ref())?
    {
        let profile = profile::record_served(&mut served, request)?;
        // It is stopped as in a sample; what that says is told by the samples.
        return Ok(Run { profile, ops: ops(target, &served.finish(), procs) });
    }
    let mut child = measure::launch(&target.invocation(procs).untraced(), &conditions)?;
    match profile::record_child(&mut child, request) {
        Err(error) if error.is_refusal() && request.time == Time::OnCpu && target.is_workload() => {
            drop(child);
            itself(target, procs, &conditions, longest_of_itself)
        }
        Ok(mut profile) => {
            let sample = child.finish();
            profile.warnings.extend(failure(&sample).map(|why| format!("{why}; the profile ends there")));
            Ok(Run { profile, ops: ops(target, &sample, procs) })
        }
        Err(error) if error.is_of_nothing() => match failure(&child.finish()) {
            Some(why) => Err(Error::Partial(format!("{why}; {error}"))),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// That and how the program has failed, if it has; to be stopped at the end of the recording or by an interruption, which is told
/// elsewhere, is no failure.
fn failure(sample: &Sample) -> Option<String> {
    let is_failure = matches!(sample.status, Status::Failed | Status::Killed) && !measure::interrupted();
    is_failure.then(|| format!("the program {}", sample.remarks.join("; ")))
}

/// Operations of a run that came to its end.
fn ops(target: &Target, sample: &Sample, procs: u32) -> Option<f64> {
    target.measured(sample, procs).ok().filter(|_| sample.status == Status::Ok)?.ops
}

/// One run of a bundled workload that samples itself.
fn itself(target: &Target, procs: u32, conditions: &Conditions, longest: Duration) -> Result<Run, Error> {
    let scratch = scratch()?;
    let file = scratch.path().join("stacks");
    let mut invocation = target.invocation(procs).untraced();
    invocation.env.push((self_sample::VARIABLE.into(), file.clone().into()));
    // The sampler inside it puts stacks aside in a temporary file, and its place is usable.
    invocation.env.push(("TMPDIR".into(), scratch.path().into()));
    let mut child = measure::launch(&invocation, conditions)?;
    let profile = self_sample::record_self(&mut child, &file, longest)?;
    Ok(Run { profile, ops: ops(target, &child.finish(), procs) })
}

/// One run of a bundled workload with its goroutines traced, of `longest` at most: where they wait.
///
/// # Errors
/// The program cannot be started, or it leaves no trace, or nothing waits.
pub(crate) fn goroutines(
    target: &Target,
    procs: u32,
    longest: Duration,
    limits: &Limits,
) -> Result<Run, Error> {
    let scratch = scratch()?;
    let path = scratch.path().join("trace");
    let conditions = limits.conditions(longest + Duration::from_secs(60));
    hooks::run(target, Hook::Prepare(procs.into()), conditions.timeout).map_err(Error::Partial)?;
    let mut invocation = target.invocation(procs);
    let variables = [
        (TRACE_VARIABLE, path.as_os_str()),
        ("COREFIT_TRACE_LEVEL", "sched".as_ref()),
        ("COREFIT_TRACE_LIMIT", TRACE_LIMIT.as_ref()),
    ];
    invocation.env.extend(variables.map(|(name, value)| (name.into(), value.into())));
    let mut child = measure::launch(&invocation, &conditions)?;
    child.start()?;
    wait(&mut child, longest);
    let sample = child.finish();
    let unreadable = |source| Error::Trace { path: path.clone(), source };
    let trace = Trace::open(&path).map_err(|source| match sample.remarks.first() {
        Some(why) => Error::Partial(format!("`{}` left no trace of its goroutines: {why}", target.name)),
        None => unreadable(source),
    })?;
    let waits = trace::waits(&trace).map_err(|error| {
        let (trace::Error::Read(error) | trace::Error::Write(error)) = error;
        unreadable(error.into())
    })?;
    let warnings = lacks(&trace, waits.damage.clone());
    let profile = Profile::of_goroutines(&waits, trace.dropped(), warnings)?;
    Ok(Run { profile, ops: ops(target, &sample, procs) })
}

/// Until it ends, an interruption comes, or `longest` is over.
fn wait(child: &mut Child, longest: Duration) {
    let begun = Instant::now();
    while !measure::interrupted() && begun.elapsed() < longest {
        if child.wait_up_to(longest.saturating_sub(begun.elapsed())) {
            return;
        }
    }
}

/// A folder for the stacks of one run, which goes with it. In a sandbox the usual place may be read-only.
fn scratch() -> Result<tempfile::TempDir, Error> {
    let places = ["/dev/shm".into(), PathBuf::from(".")];
    let make = |place: &Path| tempfile::TempDir::with_prefix_in("corefit-profile-", place);
    let usual = make(&std::env::temp_dir());
    usual.or_else(|why| places.iter().find_map(|place| make(place).ok()).ok_or(why)).map_err(|why| {
        let text = "set `TMPDIR` to a place that can be written";
        Error::Partial(format!("no temporary folder can be made: {why}; {text}"))
    })
}
