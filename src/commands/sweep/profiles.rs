//! Profiles of one target, taken in extra samples after the rounds: never in those that are timed.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{hooks, under_load};
use crate::error::Error;
use crate::machine::CpuList;
use crate::measure::{self, Conditions, Quota};
use crate::plan::{Pinning, Plan};
use crate::profile::{self, Folded, Profile, Request, Scale, Title, self_sample};
use crate::results::{Folder, Note, SampleRow};
use crate::target::{Hook, Target};

/// Enough stacks for shares known to about 3 points.
const ENOUGH_STACKS: u64 = 1000;
/// With fewer than these the shares say little, so a run more is made even if the budget is spent.
const FEW_STACKS: u64 = 200;
/// Enough time, however few stacks there are.
const ENOUGH_TIME: Duration = Duration::from_secs(2);

/// Longest run of a workload that samples itself: it writes its stacks at its end, and a quota or a busy machine delays that.
const LONGEST_OF_ITSELF: Duration = Duration::from_secs(20);

/// Which profiles are wanted, and how long they may take.
pub(super) struct Wanted<'a> {
    pub(super) target: &'a Target,
    pub(super) plan: &'a Plan,
    /// CPU quota that it runs under.
    pub(super) quota: Option<&'a Quota>,
    /// The recommended worker count.
    pub(super) chosen: u32,
    /// What is left of the budget; `None` without one.
    pub(super) left: Option<Duration>,
    /// Who runs where; `None` if nothing is pinned.
    pub(super) pinning: Option<&'a Pinning>,
}

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

/// A profile over one or more runs of the target.
struct Taken {
    procs: u32,
    folded: Folded,
    /// Operations done while it was taken; `None` if a run was cut short, or the target counts none.
    ops: Option<f64>,
}

/// Takes the profiles, writes `flame/procs-N.svg` and `.folded` for each, and the difference of two of them. Returns what
/// has to be said about them; a profile that cannot be taken is a note, never the end of the sweep.
///
/// # Errors
/// The disk fails.
pub(super) fn take(wanted: &Wanted<'_>, rows: &[SampleRow], folder: &Folder) -> Result<Vec<Note>, Error> {
    let worker_counts = worker_counts(wanted, rows);
    let mut notes = Vec::new();
    let mut taken = Vec::new();
    let begun = Instant::now();
    for (index, procs) in worker_counts.iter().copied().enumerate() {
        let patience = share(wanted.left, begun, worker_counts.len() - index);
        match record(wanted, procs, ops_of_a_run(rows, procs), patience) {
            Ok((profile, one)) => {
                notes.extend(profile.warnings.iter().map(|text| note(procs, text)));
                write(folder, wanted.target, &profile, &one)?;
                taken.push(one);
            }
            Err(error) => notes.push(note(procs, &error.to_string())),
        }
        if measure::interrupted() {
            break;
        }
    }
    if let Some((before, after)) = difference(&taken, wanted.chosen) {
        write_difference(folder, wanted.target, before, after)?;
    }
    Ok(notes)
}

/// The recommended worker count first; then, but for `--quick`, the largest and the smallest that succeeded.
fn worker_counts(wanted: &Wanted<'_>, rows: &[SampleRow]) -> Vec<u32> {
    let mut counts = vec![wanted.chosen];
    if !wanted.plan.quick {
        let succeeded = || rows.iter().filter(|row| row.is_ok()).filter_map(|row| row.procs.count());
        for count in succeeded().max().into_iter().chain(succeeded().min()) {
            if !counts.contains(&count) {
                counts.push(count);
            }
        }
    }
    counts
}

/// Time for one of `profiles` still to take.
fn share(left: Option<Duration>, begun: Instant, profiles: usize) -> Duration {
    let parts = u32::try_from(profiles).unwrap_or(u32::MAX).max(1);
    left.map_or(ENOUGH_TIME, |left| (left.saturating_sub(begun.elapsed()) / parts).min(ENOUGH_TIME))
}

/// Operations of one run at `procs`; `None` if the target counts none, or not always the same.
fn ops_of_a_run(rows: &[SampleRow], procs: u32) -> Option<f64> {
    let mut ops = rows.iter().filter(|row| row.procs == procs && row.is_ok()).map(|row| row.ops);
    let first = ops.next()??;
    ops.all(|other| other == Some(first)).then_some(first)
}

/// Runs the target under the sampler, at least once, until there are enough stacks or `patience` is spent.
fn record(
    wanted: &Wanted<'_>,
    procs: u32,
    ops: Option<f64>,
    patience: Duration,
) -> Result<(Profile, Taken), Error> {
    let begun = Instant::now();
    let limits = Limits {
        quota: wanted.quota.cloned(),
        cpus: wanted.pinning.map(|pinning| pinning.main(procs)),
        load_cpus: wanted.pinning.and_then(Pinning::load).cloned(),
    };
    let request = Request { max_samples: None, max_time: ENOUGH_TIME, ..Request::default() };
    let once = || once(wanted.target, procs, request, LONGEST_OF_ITSELF, &limits);
    let (mut profile, mut complete) = once()?;
    let mut runs = 1.0;
    let is_poor = |stacks, elapsed| match elapsed < patience {
        true => stacks < ENOUGH_STACKS,
        false => stacks < FEW_STACKS && elapsed < ENOUGH_TIME,
    };
    while is_poor(profile.samples, begun.elapsed()) && !measure::interrupted() {
        let (more, is_complete) = once()?;
        profile.merge(more);
        complete &= is_complete;
        runs += 1.0;
    }
    let ops = ops.filter(|_| complete).map(|ops| ops * runs);
    let folded = profile.folded();
    Ok((profile, Taken { procs, folded, ops }))
}

/// One run under the sampler, and whether the program came to its end. Where the kernel refuses to sample, a bundled
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
) -> Result<(Profile, bool), Error> {
    // The sampler ends the program after `max_time`; the sample's own limit only has to lie beyond it.
    let timeout = request.max_time + Duration::from_secs(60);
    let conditions = Conditions {
        timeout,
        counters: false,
        keep_output: false,
        poll_run_queue: false,
        quota: limits.quota.clone(),
        cpus: limits.cpus.clone(),
    };
    hooks::run(target, Hook::Prepare(procs.into()), timeout).map_err(Error::Partial)?;
    if let Some(mut served) = under_load::start(target, procs.into(), &conditions, limits.load_cpus.as_ref())?
    {
        let profile = profile::record_served(&mut served, request)?;
        let complete = served.has_load_ended();
        // It is stopped as in a sample; what that says is told by the samples.
        drop(served.finish());
        return Ok((profile, complete));
    }
    let mut child = measure::launch(&target.invocation(procs).untraced(), &conditions)?;
    match profile::record_child(&mut child, request) {
        Err(error) if error.is_refusal() && target.is_workload() => {
            drop(child);
            itself(target, procs, &conditions, longest_of_itself)
        }
        result => {
            let profile = result?;
            let complete = child.wait_up_to(Duration::ZERO);
            Ok((profile, complete))
        }
    }
}

/// One run of a bundled workload that samples itself.
fn itself(
    target: &Target,
    procs: u32,
    conditions: &Conditions,
    longest: Duration,
) -> Result<(Profile, bool), Error> {
    let scratch = scratch()?;
    let file = scratch.path().join("stacks");
    let mut invocation = target.invocation(procs).untraced();
    invocation.env.push((self_sample::VARIABLE.into(), file.clone().into()));
    // The sampler inside it puts stacks aside in a temporary file, and its place is usable.
    invocation.env.push(("TMPDIR".into(), scratch.path().into()));
    let mut child = measure::launch(&invocation, conditions)?;
    let profile = self_sample::record_self(&mut child, &file, longest)?;
    Ok((profile, true))
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

fn write(folder: &Folder, target: &Target, profile: &Profile, one: &Taken) -> Result<(), Error> {
    let procs = one.procs;
    let mut text = Vec::new();
    profile::write_folded(&one.folded, &mut text).expect("a vector takes what is written");
    folder.write_file(format!("flame/procs-{procs}.folded"), &text)?;
    let title = Title::of(&target.name, &procs.to_string(), profile);
    folder.write_file(format!("flame/procs-{procs}.svg"), &profile::svg(&one.folded, &title)?)?;
    Ok(())
}

/// The two whose difference is drawn: the recommended and the largest; if they are the same, the smallest and it.
fn difference(taken: &[Taken], chosen: u32) -> Option<(&Taken, &Taken)> {
    let of = |procs: u32| taken.iter().find(|one| one.procs == procs);
    let largest = taken.iter().map(|one| one.procs).max()?;
    let smallest = taken.iter().map(|one| one.procs).min()?;
    let (a, b) = if chosen < largest { (chosen, largest) } else { (smallest, chosen) };
    (a != b).then(|| of(a).zip(of(b))).flatten()
}

fn write_difference(folder: &Folder, target: &Target, before: &Taken, after: &Taken) -> Result<(), Error> {
    let scale = match (before.ops, after.ops) {
        (Some(before_ops), Some(after_ops)) => Scale::PerOp { before_ops, after_ops },
        _ => Scale::Totals,
    };
    let (a, b) = (before.procs.to_string(), after.procs.to_string());
    let title = Title::of_difference(&target.name, &a, &b, scale);
    let svg = profile::diff_svg(&before.folded, &after.folded, scale, &title)?;
    folder.write_file(format!("flame/diff-{a}-{b}.svg"), &svg)?;
    Ok(())
}

fn note(procs: u32, text: &str) -> Note {
    Note { code: "profile".to_owned(), text: format!("profile at {procs}: {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(procs: u32) -> Taken {
        Taken { procs, folded: Folded::default(), ops: None }
    }

    #[track_caller]
    fn drawn(of: &[u32], chosen: u32) -> Option<(u32, u32)> {
        let all: Vec<Taken> = of.iter().map(|procs| taken(*procs)).collect();
        difference(&all, chosen).map(|(a, b)| (a.procs, b.procs))
    }

    #[test]
    fn the_difference_is_what_more_processors_than_recommended_add() {
        assert_eq!(drawn(&[2, 4, 1], 2), Some((2, 4)));
        assert_eq!(drawn(&[4, 1], 4), Some((1, 4)), "nothing is beyond the recommended");
        assert_eq!(drawn(&[1], 1), None);
        assert_eq!(drawn(&[], 1), None);
        assert_eq!(drawn(&[4, 1], 2), None, "the recommended one has no profile");
    }

    #[test]
    fn operations_are_known_only_if_every_run_did_the_same() {
        let row = |ops| SampleRow { procs: 2.into(), status: "ok".to_owned(), ops, ..SampleRow::default() };
        assert_eq!(ops_of_a_run(&[row(Some(5.0)), row(Some(5.0))], 2), Some(5.0));
        assert_eq!(ops_of_a_run(&[row(Some(5.0)), row(Some(6.0))], 2), None);
        assert_eq!(ops_of_a_run(&[row(None)], 2), None);
        assert_eq!(ops_of_a_run(&[row(Some(5.0))], 1), None);
    }
}
