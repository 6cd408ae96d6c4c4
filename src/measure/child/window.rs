//! A part of a child's life that is counted alone: of a server, that in which it is under load.

use std::time::Instant;

use super::super::cgroup::Throttling;
use super::super::run_queue::RunQueue;
use super::super::tree;
use super::{Child, Meters};

/// What is read where the part begins, and what it took once it has ended.
#[derive(Debug)]
pub(super) struct Window {
    meters: Meters,
    /// CPU seconds, user and system, before it; in clock ticks of usually 10 ms, as all that `/proc` says of them.
    /// `None` where nothing says it.
    before_s: Option<(f64, f64)>,
    taken: Option<Taken>,
}

#[derive(Clone, Copy, Debug)]
struct Taken {
    /// User and system.
    cpu_s: Option<(f64, f64)>,
    throttling: Option<Throttling>,
    steal_s: Option<f64>,
}

impl Window {
    /// CPU seconds in it, user and system; `None` while it has no end, and where they are less than the kernel's accounts
    /// show. Their sum is `clock_s` where that is known, which is exact.
    pub(super) fn cpu_s(&self, clock_s: Option<f64>) -> Option<(f64, f64)> {
        let (user_s, system_s) = self.taken?.cpu_s?;
        let sum_s = user_s + system_s;
        let factor = clock_s.map_or(1.0, |clock_s| clock_s / sum_s);
        (sum_s > 0.0).then_some((user_s * factor, system_s * factor))
    }

    /// What was throttled, and the seconds stolen, in it.
    pub(super) fn throttled_and_stolen(&self) -> Option<(Option<Throttling>, Option<f64>)> {
        self.taken.map(|taken| (taken.throttling, taken.steal_s))
    }
}

impl Child {
    /// What it used until now does not count, peak memory excepted, which no kernel forgets.
    pub(in super::super) fn begin_window(&mut self) {
        self.counters.begin_window();
        self.run_queue = self.run_queue.take().and_then(|_| RunQueue::from_now(self.root, Instant::now()));
        let meters = Meters::read(self.meters.limit.clone());
        self.window = Some(Window { meters, before_s: tree::cpu_s(&self.root), taken: None });
    }

    /// What it uses from now on does not count.
    pub(in super::super) fn end_window(&mut self) {
        self.counters.end_window();
        let now_s = tree::cpu_s(&self.root);
        if let Some(window) = &mut self.window {
            let (throttling, steal_s) = window.meters.elapsed();
            let since = |after: f64, before: f64| (after - before).max(0.0);
            let cpu_s = now_s
                .zip(window.before_s)
                .map(|(now, before)| (since(now.0, before.0), since(now.1, before.1)));
            window.taken = Some(Taken { cpu_s, throttling, steal_s });
        }
    }
}
