//! What idle processors wait for, where it was measured: reasons from the parts of the stack.

use super::places::Which;
use super::reasons::{Found, SMALL_LOSS};
use super::scene::Scene;
use super::stack::{cost, part};
use super::text::{figure, percent, procs};
use crate::results::Stack;

/// The parts of a stack that are idle time.
pub(super) const IDLE: [&str; 6] =
    ["lock-wait", "channel-wait", "io-wait", "sleep", "too-little-work", "critical-goroutine"];
/// Of these, the ones that say that there is too little to do side by side.
const LACK: [&str; 2] = ["too-little-work", "critical-goroutine"];
/// CPU seconds that a lock takes more if it is not free at once: moving its line and looking again, without a park. Guess, from
/// 0.3 µs that the runtime's mutex looks at most.
const CONTENDED_S: f64 = 1e-7;
/// Part of the extra CPU time that contended locks have to explain to be its cause. Guess.
const EXPLAINS: f64 = 0.3;
/// Most of all work that one goroutine may do, times the worker count, before it is told that it bounds what more can give:
/// half.
const LARGE_PART: f64 = 0.5;
/// Weight of a bound that lies ahead: more than that it scales well so far.
const AHEAD: f64 = 0.11;

/// Base and probe of a scene whose idle time was measured at both.
pub(super) struct Measured<'a> {
    from: &'a Stack,
    to: &'a Stack,
}

impl<'a> Measured<'a> {
    pub(super) fn new(scene: &Scene<'a>) -> Option<Self> {
        let [from, to] = [scene.base(), scene.probe()].map(|point| scene.stacks[point].as_ref());
        let this = Self { from: from?, to: to? };
        IDLE.iter().any(|name| this.cost(&[name]).is_some()).then_some(this)
    }

    /// The efficiency that `names` cost; 0 where it was not measured.
    fn cost(&self, names: &[&str]) -> Option<f64> {
        cost(self.from, self.to, names).map(|cost| cost.max(0.0))
    }

    fn known_cost(&self, names: &[&str]) -> f64 {
        self.cost(names).unwrap_or(0.0)
    }

    /// The efficiency lost for lack of work to do side by side.
    pub(super) fn lack(&self) -> f64 {
        // What processors search in vain is what they would do with more work.
        self.known_cost(&LACK) + if self.is_largest(&LACK) { self.known_cost(&["searching"]) } else { 0.0 }
    }

    /// The part of the time for which one goroutine runs alone, if others could run beside it.
    pub(super) fn alone_share(&self) -> f64 {
        let idle = share(self.to, "critical-goroutine").unwrap_or(0.0);
        if self.to.procs > 1.0 { idle * self.to.procs / (self.to.procs - 1.0) } else { 0.0 }
    }

    /// Whether processors idle for `names` more than for anything else.
    fn is_largest(&self, names: &[&str]) -> bool {
        let own = self.known_cost(names);
        IDLE.iter().filter(|name| !names.contains(name)).all(|name| self.known_cost(&[name]) <= own)
    }

    /// The efficiency lost to locks: idle, and in CPU time that an uncontended lock would not take.
    fn locks(&self, scene: &Scene<'_>) -> (f64, f64) {
        let extra = if is_contended(scene) { self.known_cost(&["extra-cpu"]) } else { 0.0 };
        (self.known_cost(&["lock-wait"]), extra)
    }

    /// Waits of goroutines for each other, for descriptors and for time.
    pub(super) fn waits(&self, scene: &Scene<'_>, found: &mut Found) {
        let (idle, extra) = self.locks(scene);
        let channels = self.known_cost(&["channel-wait"]);
        let searching =
            |names: &[&str]| if self.is_largest(names) { self.known_cost(&["searching"]) } else { 0.0 };
        let by_locks = idle + extra + searching(&["lock-wait"]);
        let by_channels = channels + searching(&["channel-wait"]);
        if by_locks + by_channels >= SMALL_LOSS {
            let mut sentences = [
                (by_locks, self.of_locks(scene, idle, extra)),
                (by_channels, self.of_channels(scene, channels)),
            ];
            sentences.sort_by(|a, b| b.0.total_cmp(&a.0));
            let told: Vec<String> = sentences
                .into_iter()
                .filter(|(weight, _)| *weight >= SMALL_LOSS / 2.0)
                .map(|(_, text)| text)
                .collect();
            found.add(by_locks + by_channels, "lock-or-channel-waits", told.join("; and "));
        }
        let n = procs(self.to.procs);
        for (name, code, what) in [
            (
                "io-wait",
                "io-waits",
                "the network, a pipe or a blocking call is done: answer more requests at a time",
            ),
            ("sleep", "timer-waits", "a timer is due: it is time that bounds it, not processors"),
        ] {
            let weight = self.known_cost(&[name]);
            if weight >= SMALL_LOSS {
                let idle = percent(share(self.to, name).unwrap_or(0.0));
                found.add(
                    weight,
                    code,
                    format!("{idle} of the processors' time at {n} is idle until {what}"),
                );
            }
        }
    }

    fn of_locks(&self, scene: &Scene<'_>, idle: f64, extra: f64) -> String {
        let n = self.to.procs;
        let who = if scene.evidence.is_workload { "goroutines" } else { "threads" };
        let mut parts = Vec::new();
        if idle > 0.0 {
            let of = if scene.evidence.is_workload { "the processors' time" } else { "the workers' time" };
            parts.push(format!("{} of {of} at {} is idle until one is free", percent(idle), procs(n)));
        }
        if extra > 0.0 {
            let rate = scene.facts[scene.probe()].lock_waits_per_op.unwrap_or(0.0);
            parts.push(format!(
                "{} goes into CPU time that a lock that is free does not take ({} an op are not free at once)",
                percent(extra),
                figure(rate)
            ));
        }
        let what = if scene.evidence.is_workload { "locks" } else { "locks, conditions or joins (futexes)" };
        format!(
            "{who} wait for {what}: {}{}; try to hold them for less, or to give each worker a part of its own",
            parts.join(", and "),
            scene.evidence.places.named(n, Which::Locks)
        )
    }

    fn of_channels(&self, scene: &Scene<'_>, idle: f64) -> String {
        let parks = scene.facts[scene.probe()].parks_per_op;
        let parks = parks.map_or(String::new(), |parks| format!(" (an op parks {} times)", figure(parks)));
        format!(
            "goroutines wait for channels: {} of the processors' time at {} is idle until one has an item, or room for \
             one{parks}{}; try more goroutines on the slow side, or more in a message",
            percent(idle),
            procs(self.to.procs),
            scene.evidence.places.named(self.to.procs, Which::All)
        )
    }

    /// Too little to do side by side, if no law has told so.
    pub(super) fn lack_of_work(&self, scene: &Scene<'_>, found: &mut Found) {
        let weight = self.lack();
        if weight < SMALL_LOSS || found.has("serial-fraction") || found.has("critical-goroutine") {
            return;
        }
        let n = procs(self.to.procs);
        let alone = self.alone_share();
        let places = scene.evidence.places.named(self.to.procs, Which::All);
        if self.known_cost(&["critical-goroutine"]) >= self.known_cost(&["too-little-work"]) && alone > 0.0 {
            let text = format!(
                "one goroutine runs alone for {} of the time at {n}, and all others wait for what it does{places}; try \
                 to split that",
                percent(alone)
            );
            found.add(weight, "critical-goroutine", text);
        } else {
            let text = format!(
                "{} of the processors' time at {n} is idle: there is not enough work to run side by side{places}; try \
                 more and smaller pieces",
                percent(LACK.iter().filter_map(|name| share(self.to, name)).sum())
            );
            found.add(weight, "idle-processors", text);
        }
    }
}

/// A goroutine that does so much of the work that it bounds what more processors can give.
pub(super) fn bounding_goroutine(scene: &Scene<'_>, found: &mut Found) {
    let [from, to] = [scene.base(), scene.probe()];
    // One processor sees every run; of several, each its own.
    let shares = [from, to].map(|point| scene.facts[point].busiest_share);
    let Some(share) = shares.into_iter().flatten().next() else { return };
    let n = scene.n(to);
    if share * n < LARGE_PART || share >= 1.0 - LARGE_PART / 2.0 || found.has("critical-goroutine") {
        return;
    }
    let text = format!(
        "one goroutine does {} of all work, one thing after the other: no more than {} processors can be busy{}; try to split \
         what it does",
        percent(share),
        figure(1.0 / share),
        scene.evidence.places.named(scene.n(from), Which::All)
    );
    found.add(AHEAD, "critical-goroutine", text);
}

/// Whether contended locks explain the CPU time that an operation takes more.
pub(super) fn is_contended(scene: &Scene<'_>) -> bool {
    let [from, to] = [scene.base(), scene.probe()];
    let waits =
        scene.facts[to].lock_waits_per_op.unwrap_or(0.0) - scene.facts[from].lock_waits_per_op.unwrap_or(0.0);
    let extra = |point: usize| scene.stacks[point].as_ref().and_then(|stack| part(stack, "extra-cpu"));
    let (Some(before_s), Some(after_s)) = (extra(from), extra(to)) else { return false };
    // Where processors idle for locks above all, what moves between them is the lock, however many waits there are.
    let queues = Measured::new(scene).is_some_and(|measured| {
        measured.known_cost(&["lock-wait"]) >= SMALL_LOSS && measured.is_largest(&["lock-wait"])
    });
    waits > 0.0 && (queues || waits * CONTENDED_S >= EXPLAINS * (after_s - before_s))
}

/// The share of the part `name`, if it was measured.
pub(super) fn share(stack: &Stack, name: &str) -> Option<f64> {
    stack.parts.iter().find(|part| part.name == name)?.share
}

/// What a program that mostly waits waits for, as the end of a sentence; empty where nothing tells.
pub(super) fn longest_wait(stack: &Stack) -> String {
    let named = [
        ("lock-wait", "locks"),
        ("channel-wait", "channels"),
        ("io-wait", "the network, pipes or blocking calls"),
        ("sleep", "timers"),
        ("too-little-work", "something to do"),
        ("critical-goroutine", "one goroutine that runs alone"),
    ];
    let shares = named.iter().filter_map(|(name, what)| Some((share(stack, name)?, what)));
    match shares.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((share, what)) if share > 0.0 => {
            format!(", mostly for {what} ({} of the processors' time)", percent(share))
        }
        _ => String::new(),
    }
}
