//! What runs now and how long is left, on standard error; silent when that is not a terminal.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The progress of a command. Drawn when told something, never by a thread of its own, so that it disturbs no sample.
pub struct Progress {
    bar: ProgressBar,
    before: Cell<Duration>,
    later: Cell<Duration>,
    place: RefCell<String>,
}

impl Progress {
    /// A bar over `expected` of work in all; drawn only if `shown` and standard error is a terminal.
    #[must_use]
    pub fn new(expected: Duration, shown: bool) -> Self {
        let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(millis(expected)), target);
        let style =
            ProgressStyle::with_template("{bar:20} {wide_msg}").expect("the template is constant and valid");
        bar.set_style(style);
        Self { bar, before: Cell::default(), later: Cell::default(), place: RefCell::default() }
    }

    /// A new target starts: its place among `count`, and the time expected for those after it.
    pub fn of_target(&self, index: usize, count: usize, later: Duration) {
        self.before.set(Duration::from_millis(self.bar.position()));
        self.later.set(later);
        self.place.replace(if count > 1 { format!("{}/{count} ", index + 1) } else { String::new() });
    }

    /// Says what runs now, how long this target has taken, and how long it is expected to take still.
    pub fn now(&self, what: &str, spent: Duration, left: Duration) {
        let spent = self.before.get() + spent;
        let left = left + self.later.get();
        self.bar.set_length(millis(spent + left));
        self.bar.set_position(millis(spent));
        self.bar.set_message(format!("{}{what} · {} left", self.place.borrow(), clock(left)));
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
