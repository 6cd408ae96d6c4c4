//! What runs now, how the curve grows and how long is left, on standard error: drawn on a terminal, else a line a minute.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::live::Standing;

/// How often a line is written where nothing can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(60);
/// The least terminal that the curve is drawn on, columns and lines.
const LEAST_TERMINAL: (usize, usize) = (60, 12);
/// Lines of the terminal that are left to what stands above.
const LEFT_LINES: usize = 6;
/// A curve of fewer points is none.
const LEAST_POINTS: usize = 2;

/// The progress of a command. Drawn when told something, never by a thread of its own, so that it disturbs no sample.
pub struct Progress {
    bar: ProgressBar,
    before: Cell<Duration>,
    later: Cell<Duration>,
    place: RefCell<String>,
    /// When the last line was written; `None` where lines are not wanted or the bar is drawn.
    line_at: Cell<Option<Instant>>,
}

impl Progress {
    /// A bar over `expected` of work in all, drawn only if `shown` and standard error is a terminal that can move its
    /// cursor; where it is none, lines.
    #[must_use]
    pub fn new(expected: Duration, shown: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_none_or(|name| name.is_empty() || name == "dumb");
        let target =
            if shown && !is_dumb { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let is_drawn = !target.is_hidden();
        let bar = ProgressBar::with_draw_target(Some(millis(expected)), target);
        bar.set_style(style("{bar:20} {wide_msg}"));
        let line_at = Cell::new((shown && !is_drawn).then(Instant::now));
        Self { bar, before: Cell::default(), later: Cell::default(), place: RefCell::default(), line_at }
    }

    /// Whether it is drawn, and not written in lines or hidden.
    #[must_use]
    pub fn is_drawn(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// Shows the curve so far above the bar, where the terminal has room for it.
    pub fn stands(&self, standing: &Standing) {
        let size = rustix::termios::tcgetwinsize(std::io::stderr());
        let (width, height) =
            size.map_or((0, 0), |size| (usize::from(size.ws_col), usize::from(size.ws_row)));
        let fits = width >= LEAST_TERMINAL.0 && height >= LEAST_TERMINAL.1;
        if self.is_drawn() && fits && standing.points() >= LEAST_POINTS {
            self.bar.set_style(style("{prefix}\n{bar:20} {wide_msg}"));
            self.bar.set_prefix(standing.view(width, height - LEFT_LINES).join("\n"));
        } else {
            self.bar.set_style(style("{bar:20} {wide_msg}"));
        }
    }

    /// A new target starts: its place among `count`, and the time expected for those after it.
    pub fn of_target(&self, index: usize, count: usize, later: Duration) {
        self.before.set(Duration::from_millis(self.bar.position()));
        self.later.set(later);
        self.bar.set_style(style("{bar:20} {wide_msg}"));
        self.place.replace(if count > 1 { format!("{}/{count} ", index + 1) } else { String::new() });
    }

    /// Says what runs now, how long this target has taken, and how long it is expected to take still.
    pub fn now(&self, what: &str, spent: Duration, left: Duration) {
        let spent = self.before.get() + spent;
        let left = left + self.later.get();
        self.bar.set_length(millis(spent + left));
        self.bar.set_position(millis(spent));
        let line = format!("{}{what} · {} left", self.place.borrow(), clock(left));
        if let Some(before) = self.line_at.get()
            && before.elapsed() >= LINE_EVERY
        {
            self.line_at.set(Some(Instant::now()));
            anstream::eprintln!("corefit: {line}");
        }
        self.bar.set_message(line);
    }

    /// Runs `print` with the bar out of the way.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant and valid")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `3:07`, or `1:02:03` above an hour.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{:02}", seconds % 60)
    } else {
        format!("{minutes}:{:02}", seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_left_reads_as_a_clock() {
        assert_eq!(clock(Duration::from_secs(187)), "3:07");
        assert_eq!(clock(Duration::from_secs(3723)), "1:02:03");
    }
}
