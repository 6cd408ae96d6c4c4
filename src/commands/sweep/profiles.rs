//! Profiles of one target, taken in extra samples after the rounds: never in those that are timed.

use std::time::{Duration, Instant};

use super::profiled::{self, LONGEST_OF_ITSELF, Limits, Run};
use crate::error::Error;
use crate::measure::{self, Quota};
use crate::plan::{Pinning, Plan};
use crate::profile::{self, Folded, Profile, Request, Scale, Time, Title, Unit};
use crate::results::{Folder, Note, SampleRow};
use crate::target::Target;

/// Enough stacks for shares known to about 3 points.
const ENOUGH_STACKS: u64 = 1000;
/// With fewer than these the shares say little, so a run more is made even if the budget is spent.
const FEW_STACKS: u64 = 200;
/// Enough time, however few stacks there are.
const ENOUGH_TIME: Duration = Duration::from_secs(2);
/// Longest run of a workload whose goroutines are traced: their waits are known from its beginning to its end.
const LONGEST_TRACED: Duration = Duration::from_secs(5);
/// Reasons that say that processors wait, and not for each other's CPU.
const OF_WAITING: [&str; 4] = ["critical-goroutine", "idle-processors", "not-cpu-bound", "serial-fraction"];

/// Which profiles are wanted, and how long they may take.
pub(super) struct Wanted<'a> {
    pub(super) target: &'a Target,
    pub(super) plan: &'a Plan,
    /// CPU quota that it runs under.
    pub(super) quota: Option<&'a Quota>,
    /// The recommended worker count.
    pub(super) chosen: u32,
    /// Why it is.
    pub(super) reasons: &'a [Note],
    /// What is left of the budget; `None` without one.
    pub(super) left: Option<Duration>,
    /// Who runs where; `None` if nothing is pinned.
    pub(super) pinning: Option<&'a Pinning>,
}

impl Wanted<'_> {
    fn limits(&self, procs: u32) -> Limits {
        Limits {
            quota: self.quota.cloned(),
            cpus: self.pinning.map(|pinning| pinning.main(procs)),
            load_cpus: self.pinning.and_then(Pinning::load).cloned(),
        }
    }
}

/// A profile over one or more runs of the target.
struct Taken {
    procs: u32,
    folded: Folded,
    /// Operations done while it was taken; `None` if a run was cut short, or the target counts none.
    ops: Option<f64>,
}

/// Takes the profiles, writes `flame/procs-N.svg` and `.folded` for each, and the difference of two of them; where the
/// reasons point to waiting, also `flame/off-cpu-procs-N.svg` and `.folded`. Returns what has to be said about them; a
/// profile that cannot be taken is a note, never the end of the sweep, and so is an interruption.
///
/// # Errors
/// The disk fails.
pub(super) fn take(wanted: &Wanted<'_>, rows: &[SampleRow], folder: &Folder) -> Result<Vec<Note>, Error> {
    let worker_counts = worker_counts(wanted, rows);
    let mut remarks = Remarks::default();
    let mut taken = Vec::new();
    let begun = Instant::now();
    for (index, procs) in worker_counts.iter().copied().enumerate() {
        let patience = share(wanted.left, begun, worker_counts.len() - index);
        match record(wanted, procs, patience) {
            Ok((profile, one)) => {
                remarks.extend(procs, profile.warnings.iter().cloned());
                write(folder, wanted.target, "procs", procs, &profile)?;
                taken.push(one);
            }
            Err(_) if measure::interrupted() => {}
            Err(error) => remarks.extend(procs, [error.to_string()]),
        }
        if measure::interrupted() {
            break;
        }
    }
    if let Some((before, after)) = difference(&taken, wanted.chosen) {
        write_difference(folder, wanted.target, before, after)?;
    }
    if let Some(procs) = waits_at(wanted, &worker_counts).filter(|_| !measure::interrupted()) {
        match record_waits(wanted, procs) {
            Ok(profile) => {
                remarks.extend(procs, profile.warnings.iter().cloned());
                write(folder, wanted.target, "off-cpu-procs", procs, &profile)?;
            }
            Err(_) if measure::interrupted() => {}
            Err(error) => remarks.extend(procs, [format!("where it waits: {error}")]),
        }
    }
    let mut notes = remarks.notes();
    notes.extend(measure::interrupted().then(interrupted));
    Ok(notes)
}

/// The worker count at which it is worth seeing where it waits: the largest, which is what the reasons speak of.
fn waits_at(wanted: &Wanted<'_>, worker_counts: &[u32]) -> Option<u32> {
    let is_waiting = wanted.reasons.iter().any(|reason| is_of_waiting(&reason.code));
    worker_counts.iter().max().copied().filter(|_| is_waiting && !wanted.plan.quick)
}

fn is_of_waiting(code: &str) -> bool {
    let is_named_so = code.ends_with("-wait") || code.ends_with("-waits");
    (is_named_so && code != "run-queue-wait") || OF_WAITING.contains(&code)
}

/// Where goroutines wait, if it is a workload, or threads; in one run.
fn record_waits(wanted: &Wanted<'_>, procs: u32) -> Result<Profile, Error> {
    let limits = wanted.limits(procs);
    let run = if wanted.target.is_workload() {
        profiled::goroutines(wanted.target, procs, LONGEST_TRACED, &limits)
    } else {
        let (max_time, time) = (ENOUGH_TIME, Time::OffCpu);
        let request = Request { max_samples: None, max_time, time, ..Request::default() };
        profiled::once(wanted.target, procs, request, LONGEST_OF_ITSELF, &limits)
    };
    Ok(run?.profile)
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

/// Runs the target under the sampler, at least once, until there are enough stacks or `patience` is spent.
fn record(wanted: &Wanted<'_>, procs: u32, patience: Duration) -> Result<(Profile, Taken), Error> {
    let begun = Instant::now();
    let limits = wanted.limits(procs);
    let request = Request { max_samples: None, max_time: ENOUGH_TIME, ..Request::default() };
    let once = || profiled::once(wanted.target, procs, request, LONGEST_OF_ITSELF, &limits);
    let Run { mut profile, mut ops } = once()?;
    let is_poor = |stacks, elapsed| match elapsed < patience {
        true => stacks < ENOUGH_STACKS,
        false => stacks < FEW_STACKS && elapsed < ENOUGH_TIME,
    };
    while is_poor(profile.samples, begun.elapsed()) && !measure::interrupted() {
        let more = once()?;
        profile.merge(more.profile);
        ops = ops.zip(more.ops).map(|(ops, more)| ops + more);
    }
    let folded = profile.folded();
    Ok((profile, Taken { procs, folded, ops }))
}

/// Writes `flame/WHAT-N.folded` and `.svg`.
fn write(folder: &Folder, target: &Target, what: &str, procs: u32, profile: &Profile) -> Result<(), Error> {
    let folded = profile.folded();
    let mut text = Vec::new();
    profile::write_folded(&folded, &mut text).expect("a vector takes what is written");
    folder.write_file(format!("flame/{what}-{procs}.folded"), &text)?;
    let title = Title::of(&target.name, &procs.to_string(), profile);
    folder.write_file(format!("flame/{what}-{procs}.svg"), &profile::svg(&folded, &title)?)?;
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
    let scale = Scale::of(before.ops, after.ops);
    let (a, b) = (before.procs.to_string(), after.procs.to_string());
    let title = Title::of_difference(&target.name, &a, &b, Unit::Samples, scale);
    let svg = profile::diff_svg(&before.folded, &after.folded, scale, &title)?;
    folder.write_file(format!("flame/diff-{a}-{b}.svg"), &svg)?;
    Ok(())
}

fn interrupted() -> Note {
    let text = "interrupted while profiles were taken: all samples are there, but flame graphs may be missing or thin; add \
                `--resume` to the same command to take them anew";
    Note { code: "interrupted".to_owned(), text: text.to_owned() }
}

/// What is to be said of the profiles. What several of them say, but for its numbers, is said once, in the words of the first.
#[derive(Default)]
struct Remarks(Vec<(String, Vec<u32>)>);

impl Remarks {
    fn extend(&mut self, procs: u32, texts: impl IntoIterator<Item = String>) {
        for text in texts {
            match self.0.iter_mut().find(|(said, _)| without_numbers(said).eq(without_numbers(&text))) {
                Some((_, of)) if of.contains(&procs) => {}
                Some((_, of)) => of.push(procs),
                None => self.0.push((text, vec![procs])),
            }
        }
    }

    fn notes(self) -> Vec<Note> {
        let note = |(text, of): (String, Vec<u32>)| {
            let likewise: Vec<String> = of[1..].iter().map(u32::to_string).collect();
            let likewise = match likewise.as_slice() {
                [] => String::new(),
                others => format!(" (much the same at {})", others.join(" and ")),
            };
            Note { code: "profile".to_owned(), text: format!("profile at {}{likewise}: {text}", of[0]) }
        };
        self.0.into_iter().map(note).collect()
    }
}

/// The words that are no numbers.
fn without_numbers(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| word.parse::<f64>().is_err())
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
    fn what_several_profiles_say_is_said_once() {
        let unnamed =
            |count: u32, library: &str| format!("{count} of 1000 stacks end in `{library}` without names");
        let mut remarks = Remarks::default();
        remarks.extend(2, [unnamed(310, "lib1.so"), unnamed(320, "lib1.so")]);
        remarks.extend(4, [unnamed(290, "lib1.so"), unnamed(200, "lib2.so")]);
        let texts: Vec<String> = remarks.notes().into_iter().map(|note| note.text).collect();
        assert_eq!(
            texts,
            [
                "profile at 2 (much the same at 4): 310 of 1000 stacks end in `lib1.so` without names",
                "profile at 4: 200 of 1000 stacks end in `lib2.so` without names"
            ]
        );
    }

    #[test]
    fn waiting_is_blocking_and_not_standing_in_the_run_queue() {
        for code in ["lock-or-channel-waits", "lock-wait", "critical-goroutine", "not-cpu-bound"] {
            assert!(is_of_waiting(code), "{code}");
        }
        for code in ["run-queue-wait", "scales-well", "kernel-time", "oversubscription", "quota-throttling"] {
            assert!(!is_of_waiting(code), "{code}");
        }
    }
}
