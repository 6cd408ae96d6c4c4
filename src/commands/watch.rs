//! `corefit watch`: a sweep that another process measures, seen through its files.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::print;
use crate::cli::WatchArgs;
use crate::error::Error;
use crate::plan::forecast::time_left;
use crate::plan::rounds::Done;
use crate::report::answer::verdict;
use crate::report::live::Standing;
use crate::report::number::seconds;
use crate::report::progress::Progress;
use crate::results::{self, SampleRow, Saved};

/// Between two looks: often enough for people, and no load for what is measured.
const EVERY: Duration = Duration::from_secs(1);
/// Looks that find no sweep before it is taken to have ended: between two targets there is none for a moment.
const LAST_LOOKS: u32 = 2;
/// Size of a view that is printed.
const PRINTED: (usize, usize) = (100, 24);

/// Follows the sweep in the folder to its end, target by target.
///
/// # Errors
/// There is no sweep in the folder, or standard output cannot be written.
pub(super) fn watch(args: &WatchArgs) -> Result<(), Error> {
    let mut seen = match results::measured_in(&args.folder)? {
        Some(folder) => View::of(&folder)?,
        None => return nothing_runs(&args.folder),
    };
    if args.once {
        return print::text(&seen.text("being measured"));
    }
    let progress = Progress::new(seen.left, true);
    let (mut misses, mut told) = (0, None);
    while misses < LAST_LOOKS {
        match results::measured_in(&args.folder)? {
            None => misses += 1,
            Some(folder) => {
                misses = 0;
                seen = seen.again(&folder)?;
                show(&seen, &progress, &mut told)?;
            }
        }
        thread::sleep(EVERY);
    }
    progress.finish();
    print::text(&View::of(&seen.saved.folder)?.text("ended"))
}

/// Draws the view, or prints a line for each new round.
fn show(view: &View, progress: &Progress, told: &mut Option<(PathBuf, u32)>) -> Result<(), Error> {
    if progress.is_drawn() {
        progress.stands(&view.standing);
        progress.now(&view.what(), view.spent, view.left_now());
        return Ok(());
    }
    let now = (view.saved.folder.clone(), view.standing.round());
    if told.as_ref() == Some(&now) {
        return Ok(());
    }
    *told = Some(now);
    let left = view.left_now();
    let left =
        if left.is_zero() { String::new() } else { format!(" · {} left", seconds(left.as_secs_f64())) };
    print::line(&format!("{}{left}", view.standing.line()))
}

/// What is said where no sweep runs: the newest one that has ended.
fn nothing_runs(folder: &Path) -> Result<(), Error> {
    let newest = results::load(folder)?
        .into_iter()
        .max_by(|a, b| a.manifest.started_unix_s.total_cmp(&b.manifest.started_unix_s))
        .expect("what is loaded is never empty");
    print::text(&View::from(newest).text("not being measured"))
}

/// A sweep as its files say it stands.
struct View {
    saved: Saved,
    standing: Standing,
    spent: Duration,
    left: Duration,
}

impl View {
    fn of(folder: &Path) -> Result<Self, Error> {
        // A target's folder has one sweep.
        let saved = results::load(folder)?.swap_remove(0);
        Ok(Self::from(saved))
    }

    /// What the folder holds now; what is known of it where nothing has been added, since a forecast takes CPU time.
    fn again(self, folder: &Path) -> Result<Self, Error> {
        let saved = results::load(folder)?.swap_remove(0);
        Ok(if saved == self.saved { self } else { Self::from(saved) })
    }

    /// The round that is measured, as the sweep itself says it.
    fn what(&self) -> String {
        format!("{} · round {}", self.saved.manifest.target, self.standing.round())
    }

    /// The time left after that of the sample which is running.
    fn left_now(&self) -> Duration {
        let ended = self.saved.rows.last().and_then(|row| Some(row.started_unix_s? + row.wall_s?));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let since = Duration::try_from_secs_f64(now - ended.unwrap_or(now)).unwrap_or_default();
        self.left.saturating_sub(since)
    }

    /// One view, `state` in its head. Ends with a line end.
    fn text(&self, state: &str) -> String {
        let mut text = format!("{}: {state}\n", self.saved.folder.display());
        for line in self.standing.view(PRINTED.0, PRINTED.1) {
            text += &format!("{line}\n");
        }
        if let Some(answer) = &self.saved.manifest.recommendation {
            text += &format!("{}\n", verdict(answer));
        }
        text
    }
}

impl From<Saved> for View {
    fn from(saved: Saved) -> Self {
        let manifest = &saved.manifest;
        let done: Vec<Done> = saved.rows.iter().map(SampleRow::done).collect();
        let spent_s: f64 = saved.rows.iter().filter_map(|row| row.wall_s).sum();
        let spent = Duration::try_from_secs_f64(spent_s).unwrap_or_default();
        let left = time_left(&manifest.plan, manifest.policy, &done, spent);
        let standing = Standing::of(&manifest.target, &manifest.command.unit, &saved.rows);
        Self { standing, spent, left, saved }
    }
}
