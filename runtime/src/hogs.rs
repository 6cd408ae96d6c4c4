//! Reports of hogs: goroutines that keep others waiting and do not check whether they should yield.
//!
//! Each spawn site is told once, on standard error. The variable `COREFIT_HOGS=0` keeps it quiet.

use crate::goroutine;
use crate::runtime::Runtime;
use std::panic::Location;
use std::time::Duration;

/// What has been told.
pub(crate) struct Hogs {
    is_quiet: bool,
    told: Vec<&'static Location<'static>>,
}

impl Hogs {
    /// As the variable says.
    pub(crate) fn new() -> Self {
        let is_quiet = std::env::var_os("COREFIT_HOGS").is_some_and(|value| value == "0");
        Self { is_quiet, told: Vec::new() }
    }

    /// Tells of the goroutine `id`, which has run for `ran`, unless one that was spawned there was told of.
    pub(crate) fn tell(&mut self, runtime: &Runtime, id: u64, ran: Duration) {
        if self.is_quiet {
            return;
        }
        let Some(hog) = goroutine::find(runtime, id) else { return };
        if !self.is_news(hog.site) {
            return;
        }
        eprintln!(
            "corefit-runtime: goroutine {id}, spawned at {}, has run for {} ms without a check while others wait: mark \
             what it runs `#[preemptible]`, call `checkpoint` in its loops, or run it in `blocking` (told once a spawn \
             site; COREFIT_HOGS=0 silences this)",
            hog.site,
            ran.as_millis()
        );
    }

    /// Whether this spawn site comes up for the first time.
    fn is_news(&mut self, site: &'static Location<'static>) -> bool {
        let is_news = !self.told.contains(&site);
        if is_news {
            self.told.push(site);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spawn_site_is_news_once() {
        let mut hogs = Hogs { is_quiet: false, told: Vec::new() };
        let (here, there) = (Location::caller(), elsewhere());
        assert!(hogs.is_news(here));
        assert!(hogs.is_news(there));
        assert!(!hogs.is_news(here) && !hogs.is_news(there));
    }

    #[track_caller]
    fn elsewhere() -> &'static Location<'static> {
        Location::caller()
    }
}
