//! Why the chosen worker count is the right one: the measured causes, the strongest first.
//!
//! With b CPUs busy and c CPU seconds an op, throughput is b/c. So the efficiency that is lost from the base to N is
//! lost in two places, and exactly: processors that idle, (b_N/b_1)/N, and operations that got dearer, c_1/c_N. Each
//! cause is ranked by its part of one of the two.

use super::dearer;
use super::facts::{Facts, growth};
use super::places::Which;
use super::policy::{Rule, Second};
use super::scene::{Scene, within, within_rounds};
use super::text::{cpus, figure, note, percent, procs, seconds, throughput_against};
use super::waits::{self, Measured};
use super::{CPU_BOUND, most_busy, most_wanted};
use crate::results::Note;

/// Loss of efficiency below which neither half of it is worth a sentence. Guess: twice the usual noise of a point.
pub(super) const SMALL_LOSS: f64 = 0.05;
/// Idle share from which waiting is looked for. Guess.
const IDLE: f64 = 0.1;
/// Efficiency from which a program scales well. Guess; 1.8 times on two CPUs.
const SCALES_WELL: f64 = 0.9;
/// Throughput falls if it loses more than the planner's precision.
const FALLS: f64 = 0.02;
/// Serial fraction below which the law says nothing a person would act on. Guess.
const SERIAL: f64 = 0.02;
/// Seconds throttled a second. Guess; Kubernetes dashboards alert between 5 % and 25 %.
const THROTTLED: f64 = 0.05;
/// Part of the runnable time spent waiting for a CPU. Guess.
const WAITS: f64 = 0.1;
/// Busy CPUs within which one thread is the whole program: 1 give or take this. Guess.
const ONE_CPU: f64 = 0.15;
/// Parks a second of CPU time from which waits for locks and channels are named. A park and its wake-up take 0.2 µs, so fewer
/// are less than half a percent of the work: such goroutines wait for each other's results, and the curve says how long.
pub(super) const PARKS_PER_CPU_S: f64 = 20_000.0;

/// Every cause that the facts show; never empty with two worker counts or more.
pub(super) fn reasons(scene: &Scene<'_>) -> Vec<Note> {
    let mut found = Found::default();
    latency(scene, &mut found);
    quota_throttling(scene, &mut found);
    run_queue_wait(scene, &mut found);
    if scene.probe() > scene.base() {
        let halves = Halves::new(scene);
        waiting(scene, &halves, &mut found);
        dearer::operations(scene, halves.dearer, &mut found);
        coherency_of_the_law(scene, &mut found);
        cap_of_the_law(scene, &mut found);
        scales_well(scene, &mut found);
    }
    oversubscription(scene, &mut found);
    let is_explained = found.0.iter().any(|(weight, _)| *weight >= SMALL_LOSS);
    if !is_explained && (scene.probe() != scene.base() || (found.0.is_empty() && scene.len() > 1)) {
        nothing_shown(scene, &mut found);
    }
    let mut notes = found.ranked();
    say_that_it_falls(scene, &mut notes);
    notes
}

/// Causes with the share of throughput that each costs.
#[derive(Default)]
pub(super) struct Found(Vec<(f64, Note)>);

impl Found {
    pub(super) fn add(&mut self, weight: f64, code: &str, text: String) {
        self.0.push((weight, note(code, text)));
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.0.iter().any(|(_, note)| note.code == code)
    }

    fn ranked(mut self) -> Vec<Note> {
        // Stable: of equals, the first found leads.
        self.0.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.0.into_iter().map(|(_, note)| note).collect()
    }
}

/// The two places where efficiency is lost between base and probe, as shares.
struct Halves {
    idle: Option<f64>,
    dearer: Option<f64>,
}

impl Halves {
    fn new(scene: &Scene<'_>) -> Self {
        let [from, to] = ends(scene);
        let busy = growth(from.busy, to.busy).map(|g| 1.0 - (1.0 + g) / scene.ideal(scene.probe()));
        let cost = growth(from.cpu_s_per_op, to.cpu_s_per_op).map(|g| 1.0 - 1.0 / (1.0 + g));
        let share = |x: f64| x.is_finite().then_some(x.max(0.0));
        Self { idle: busy.and_then(share), dearer: cost.and_then(share) }
    }
}

pub(super) fn ends<'a>(scene: &Scene<'a>) -> [&'a Facts; 2] {
    [&scene.facts[scene.base()], &scene.facts[scene.probe()]]
}

fn latency(scene: &Scene<'_>, found: &mut Found) {
    let (Rule::Latency(limit), Some(Second::Latency(percentile))) =
        (scene.rule, Second::of_policy(scene.evidence.policy))
    else {
        return;
    };
    if let Some(upper) = scene.estimate.second_upper[scene.chosen] {
        let relation = if upper <= limit { "within" } else { "above" };
        let text = format!(
            "{} at {} is at most {}, {relation} the limit of {}",
            percentile.name(),
            procs(scene.n(scene.chosen)),
            seconds(upper.exp()),
            seconds(limit.exp())
        ) + &hogs(scene, limit);
        found.add(f64::INFINITY, "latency", text);
    }
}

/// What keeps latencies beyond `limit` (its logarithm) where fewer processors are: goroutines that do not let go. As the end of a
/// sentence; empty where none was seen to.
fn hogs(scene: &Scene<'_>, limit: f64) -> String {
    let base = scene.base();
    let longest_s = scene.facts.iter().filter_map(|facts| facts.longest_run_s).max_by(f64::total_cmp);
    let (Some(longest_s), Some(upper)) = (longest_s, scene.estimate.second_upper[base]) else {
        return String::new();
    };
    if upper <= limit || longest_s.ln() <= limit {
        return String::new();
    }
    format!(
        "; it is up to {} at {}, since goroutines keep their processor for up to {} at a time, and what is due then starves{}; try \
         `#[preemptible]` on what they run, or a processor more than there are such goroutines",
        seconds(upper.exp()),
        figure(scene.n(base)),
        seconds(longest_s),
        scene.evidence.places.named(scene.n(base), Which::All)
    )
}

fn quota_throttling(scene: &Scene<'_>, found: &mut Found) {
    let share = |facts: &Facts| facts.throttled_share.unwrap_or(0.0);
    let Some(worst) = scene.facts.iter().max_by(|a, b| share(a).total_cmp(&share(b))) else { return };
    if share(worst) < THROTTLED {
        return;
    }
    let quota = worst.quota.map_or(String::new(), |quota| format!(" of {}", cpus(quota)));
    // The kernel adds up what it holds back on each CPU.
    let held = if share(worst) <= 1.0 {
        format!("throttles the program for {} of the time", percent(share(worst)))
    } else {
        format!("holds back {} CPUs at a time", figure(share(worst)))
    };
    let periods = worst
        .throttled_periods_share
        .map_or(String::new(), |share| format!(": it runs out in {} of its periods", percent(share)));
    let text = format!("the quota{quota} {held} at {}{periods}", procs(worst.n));
    found.add(share(&scene.facts[scene.probe()]).clamp(SMALL_LOSS, 1.0), "quota-throttling", text);
}

fn run_queue_wait(scene: &Scene<'_>, found: &mut Found) {
    let facts = &scene.facts[scene.probe()];
    if let Some(share) = facts.wait_share.filter(|share| *share >= WAITS) {
        // Throttled threads are in the run queue too.
        let cause = if facts.throttled_share.is_some_and(|share| share >= THROTTLED) {
            "the quota holds them back"
        } else if scene.cpus.is_some_and(|cpus| facts.n > cpus.ceil()) {
            "there are more threads than CPUs"
        } else {
            "something else uses the CPUs, or there are more threads than CPUs, or threads that were woken share one"
        };
        let of_whole =
            scene.stacks[scene.probe()].as_ref().and_then(|stack| waits::share(stack, "run-queue-wait"));
        let text = format!(
            "threads wait for a CPU during {} of the time they could run at {}: {cause}",
            percent(share),
            procs(facts.n)
        );
        found.add(of_whole.unwrap_or(share), "run-queue-wait", text);
    }
}

/// Processors that idle: what they wait for, as far as it shows.
fn waiting(scene: &Scene<'_>, halves: &Halves, found: &mut Found) {
    let [from, to] = ends(scene);
    let idle = halves.idle.unwrap_or(0.0);
    let usable = scene.cpus.unwrap_or(1.0).min(1.0);
    // One that waits for CPUs that others use would compute.
    if let Some(most) = most_busy(scene.facts)
        && most_wanted(scene.facts).is_some_and(|wanted| wanted < CPU_BOUND * usable)
    {
        let on_what = scene.stacks[scene.probe()].as_ref().map_or_else(String::new, waits::longest_wait);
        let so = if scene.speedup(scene.base(), scene.probe()) > 1.0 + FALLS {
            "what it waits for, not the CPUs, bounds it"
        } else {
            "more procs do not help"
        };
        let text = format!(
            "at most {} CPUs are busy at any setting: the program waits more than it computes{on_what}, so {so}: {}",
            figure(most),
            scene.gives(scene.base(), scene.probe())
        );
        found.add(1.0, "not-cpu-bound", text);
        return;
    }
    let measured = Measured::new(scene);
    if let Some(measured) = &measured {
        measured.waits(scene, found);
    }
    if let (Some(busy), true, None) = (to.busy, idle >= IDLE, &measured) {
        let share = percent(busy / scene.bound.map_or(to.n, |bound| to.n.min(bound)));
        if let Some(parks) =
            to.parks_per_op.filter(|_| to.parks_per_cpu_s.is_some_and(|p| p >= PARKS_PER_CPU_S))
        {
            let text = format!(
                "goroutines wait for locks, channels or I/O: an op parks {} times, and the processors are busy {share} of \
                 the time at {}",
                figure(parks),
                procs(to.n)
            );
            found.add(idle, "lock-or-channel-waits", text);
        }
        let is_one = |facts: &Facts| facts.busy.is_some_and(|busy| (busy - 1.0).abs() <= ONE_CPU);
        if is_one(from) && is_one(to) && !found.has("lock-or-channel-waits") {
            let who = if scene.evidence.is_workload { "goroutine" } else { "thread" };
            let text = format!(
                "one {who} is the critical path: {busy:.2} CPUs are busy at {}, as at {}",
                procs(to.n),
                figure(from.n)
            );
            found.add(idle, "critical-goroutine", text);
        }
    }
    serial_fraction(scene, halves, measured.as_ref(), found);
    if let Some(measured) = &measured {
        measured.lack_of_work(scene, found);
        waits::bounding_goroutine(scene, found);
        return;
    }
    let is_explained =
        ["lock-or-channel-waits", "critical-goroutine", "serial-fraction"].iter().any(|c| found.has(c));
    if let (Some(busy), true, false) = (to.busy, idle >= IDLE, is_explained) {
        let text = format!(
            "{} of {} processors are busy at {}: there is not enough work to run side by side",
            figure(busy),
            figure(to.n),
            procs(to.n)
        );
        found.add(idle, "idle-processors", text);
    }
}

/// The serial fraction of the fitted law, else the one of A. H. Karp and H. P. Flatt (CACM 33(5), 1990):
/// (1/S − 1/p)/(1 − 1/p) for a speedup S on p processors.
fn serial_fraction(scene: &Scene<'_>, halves: &Halves, measured: Option<&Measured<'_>>, found: &mut Found) {
    let (base, probe) = (scene.base(), scene.probe());
    let (speedup, ideal) = (scene.speedup(base, probe), scene.ideal(probe));
    if speedup <= 1.0 || ideal <= 1.0 || own_cap(scene).is_some() {
        return;
    }
    let of_law = scene.law.map(|law| law.sigma).filter(|sigma| *sigma > 0.0);
    let sigma = of_law.unwrap_or((1.0 / speedup - 1.0 / ideal) / (1.0 - 1.0 / ideal));
    let lost = 1.0 - 1.0 / (1.0 + sigma * (ideal - 1.0));
    // Time that CPUs spend is not serial work, whatever the curve looks like.
    let idle = measured.map(Measured::lack).or(halves.idle);
    let weight = idle.map_or(lost, |idle| idle.min(lost));
    if sigma < SERIAL || weight < SERIAL {
        return;
    }
    let seen =
        measured.map(Measured::alone_share).filter(|alone| *alone > 0.0).map_or(String::new(), |alone| {
            format!("; one goroutine was seen to run alone for {} of the time", percent(alone))
        });
    let text = format!(
        "serial fraction {sigma:.2}: that share of the work runs on one processor at a time, so {}{seen}{}",
        scene.gives(base, probe),
        scene.evidence.places.named(scene.n(base), Which::All)
    );
    found.add(weight, "serial-fraction", text);
}

/// A plain table has no counters, but its law may show the price of keeping workers in step.
fn coherency_of_the_law(scene: &Scene<'_>, found: &mut Found) {
    let Some((law, peak)) = scene.law.and_then(|law| Some((law, law.peak_procs()?))) else { return };
    let n = scene.n(scene.probe());
    let whole = law.kappa * n * (n - 1.0);
    let lost = whole / (1.0 + law.sigma * (n - 1.0) + whole);
    if lost >= SMALL_LOSS && !dearer::CODES.iter().any(|code| found.has(code)) {
        let text = format!(
            "coherency: keeping workers in step costs {} of the throughput at {}; that price grows with the square of \
             their number, and throughput peaks near {}",
            percent(lost),
            procs(n),
            procs(peak)
        );
        found.add(lost, "coherency", text);
    }
}

/// A cap that the data show and no CPU count explains.
fn cap_of_the_law(scene: &Scene<'_>, found: &mut Found) {
    if let Some(cap) = own_cap(scene) {
        let text = format!(
            "from about {} on throughput grows no further: something of fixed capacity is full there",
            procs(cap)
        );
        found.add(1.0 - cap / scene.n(scene.probe()), "fixed-capacity", text);
    }
}

/// The cap of the law, if it is not the machine's.
fn own_cap(scene: &Scene<'_>) -> Option<f64> {
    let cap = scene.law?.ceiling?;
    (scene.bound.is_none_or(|bound| cap < bound) && cap < scene.n(scene.probe())).then_some(cap)
}

fn scales_well(scene: &Scene<'_>, found: &mut Found) {
    let (base, probe) = (scene.base(), scene.probe());
    let decided = scene.speedup(base, probe) / scene.ideal(probe);
    if decided >= SCALES_WELL {
        let efficiency = scene.shown_speedup(base, probe) / scene.ideal(probe);
        let limit = match scene.bound {
            Some(bound) => format!("the {}", cpus(bound)),
            None => format!("{}, the most that was measured", procs(scene.n(probe))),
        };
        let n = scene.n(probe);
        let share = match scene.bound {
            Some(bound) if bound < n => format!("{efficiency:.2} of the ideal of {}", cpus(bound)),
            _ => format!("efficiency {efficiency:.2}"),
        };
        let drift = within_rounds(efficiency, decided);
        let text = format!("{share} at {}{drift}: nothing was found that stops it up to {limit}", procs(n));
        found.add(1.0 - SCALES_WELL, "scales-well", text);
    }
}

fn oversubscription(scene: &Scene<'_>, found: &mut Found) {
    let inside = within(scene.groups, scene.cpus);
    let Some(usable) = scene.cpus.filter(|_| inside > 0 && inside < scene.len()) else { return };
    let best_inside = scene.estimate.best(|point| point < inside);
    let best_beyond = scene.estimate.best(|point| point >= inside);
    let gain = scene.speedup(best_inside, best_beyond) - 1.0;
    if gain <= FALLS {
        let text = format!(
            "more workers than CPUs gain {}: {} on {} give {}",
            if gain > 0.0 { "little" } else { "nothing" },
            procs(scene.n(best_beyond)),
            cpus(usable),
            throughput_against(gain, &figure(scene.n(best_inside)))
        );
        found.add(0.0, "oversubscription", text);
    }
}

/// No counter tells.
fn nothing_shown(scene: &Scene<'_>, found: &mut Found) {
    let base = scene.base();
    let to = if scene.probe() == base { scene.best } else { scene.probe() };
    let text = format!("{}, and nothing that was measured shows why", scene.gives(base, to));
    found.add(SMALL_LOSS, "no-cause-found", text);
}

/// Where throughput falls, that is what the first sentence has to start with.
fn say_that_it_falls(scene: &Scene<'_>, notes: &mut [Note]) {
    let probe = scene.probe();
    let best = scene.estimate.best(|point| point <= probe);
    let lost = scene.estimate.loss(probe, best);
    if let Some(first) =
        notes.iter_mut().find(|note| note.code != "latency").filter(|_| best < probe && lost > FALLS)
    {
        first.text = format!(
            "throughput falls by {} from {} to {}: {}",
            percent(lost),
            figure(scene.n(best)),
            procs(scene.n(probe)),
            first.text
        );
    }
}

#[cfg(test)]
mod tests;
