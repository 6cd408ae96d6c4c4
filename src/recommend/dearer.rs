//! Operations that take more CPU time with more workers, and what grows with it.

use super::facts::{Facts, growth};
use super::places::Which;
use super::reasons::{Found, PARKS_PER_CPU_S, SMALL_LOSS, ends};
use super::scene::Scene;
use super::stack::cost;
use super::text::{self, figure, percent, procs, seconds};
use super::waits;

/// Kernel part of the CPU time. Guess.
const KERNEL: f64 = 0.3;
/// Weight of a kernel share that does not grow with N: worth knowing, but it stops nothing.
const KERNEL_FACT: f64 = 0.04;
/// CPU seconds of a thread switch with the caches it cools. Guess, from published 1 µs to 5 µs.
const SWITCH_S: f64 = 2e-6;
/// Part of the CPU time that switches cost from which they are named. Guess.
const SWITCHES: f64 = 0.02;
/// Growth of a count per op that is worth naming beside that of CPU time. Guess.
const GROWS: f64 = 0.5;
/// Kernel part of the CPU time from which system calls are what the program does. Guess.
const MOSTLY_KERNEL: f64 = 0.6;
/// Weight of that: more than that it scales well so far.
const MOSTLY_KERNEL_FACT: f64 = 0.11;
/// Bytes of a cache line that is missed.
const LINE_BYTES: f64 = 64.0;
/// Bytes a second from memory from which its bus may be full. Guess: half of what one channel of DDR4 gives.
const BUS_BYTES_PER_S: f64 = 1e10;

/// Codes of the reasons that tell of more CPU time an operation.
pub(super) const CODES: [&str; 4] =
    ["coherency", "memory-bandwidth", "memory-or-coherency", "cpu-time-grows"];

/// Every cause of that kind. `dearer`: the part of the throughput that it costs, by the CPU time as a whole.
pub(super) fn operations(scene: &Scene<'_>, dearer: Option<f64>, found: &mut Found) {
    user_time(scene, dearer, found);
    kernel_time(scene, found);
    let [from, to] = ends(scene);
    let rate = to.switches_per_s.unwrap_or(0.0);
    let cost = rate * SWITCH_S / to.busy.unwrap_or(f64::INFINITY).max(0.1);
    let is_growing = growth(from.switches_per_op, to.switches_per_op).is_none_or(|growth| growth >= GROWS);
    if cost >= SWITCHES && is_growing {
        let per_op = to.switches_per_op.map_or(String::new(), |x| format!(", {} an op", figure(x)));
        let text = format!("{} thread switches a second at {}{per_op}", figure(rate), procs(to.n));
        found.add(cost.min(dearer.unwrap_or(cost)), "context-switches", text);
    }
}

/// What `names` of the stacks cost between base and probe; `None` where there are none.
fn cost_of(scene: &Scene<'_>, names: &[&str]) -> Option<f64> {
    let [from, to] = [scene.base(), scene.probe()].map(|point| scene.stacks[point].as_ref());
    cost(from?, to?, names)
}

fn user_time(scene: &Scene<'_>, dearer: Option<f64>, found: &mut Found) {
    let [from, to] = ends(scene);
    // Where the timed part is known, what comes before and after it does not count.
    let lost = cost_of(scene, &["extra-cpu"]).filter(|_| scene.evidence.is_workload).or(dearer);
    let Some(lost) = lost.filter(|lost| *lost >= SMALL_LOSS) else { return };
    // They have been told of already.
    if waits::is_contended(scene) && found.has("lock-or-channel-waits") {
        return;
    }
    let grown = growth(from.cpu_s_per_op, to.cpu_s_per_op).unwrap_or(0.0);
    let mut text =
        format!("CPU time per op grows {} from {} to {}", text::growth(grown), figure(from.n), procs(to.n));
    let (code, why) = kind(from, to);
    text.push_str(&why);
    text.push_str(&companions(from, to));
    text.push_str(&scene.evidence.places.named(to.n, Which::All));
    text.push_str(match code {
        "cpu-time-grows" => "",
        "memory-bandwidth" => "; try to touch less memory, or the same while it is in the cache",
        "coherency" => "; try to keep apart what different workers write, by 128 bytes",
        _ => "; try to keep apart what different workers write, by 128 bytes, and to touch less memory",
    });
    found.add(lost, code, text);
}

/// The code that fits, and how it is explained.
fn kind(from: &Facts, to: &Facts) -> (&'static str, String) {
    let instructions = growth(from.instructions_per_op, to.instructions_per_op);
    let stalls = growth(from.cycles_per_instruction, to.cycles_per_instruction);
    if let (Some(instructions), Some(stalls)) = (instructions, stalls) {
        if stalls <= instructions.max(0.0) {
            let grown = (instructions > 0.0)
                .then(|| format!(", and instructions per op {}", text::growth(instructions)));
            return ("cpu-time-grows", grown.unwrap_or_default());
        }
        return stalled(from, to, stalls);
    }
    // Parks and thread switches cost CPU time of their own; without them nothing but memory makes the same work dearer.
    let switches = to.switches_per_s.unwrap_or(0.0) * SWITCH_S / to.busy.unwrap_or(1.0).max(0.1);
    let is_switching =
        to.parks_per_cpu_s.is_some_and(|parks| parks >= PARKS_PER_CPU_S) || switches >= SWITCHES;
    let kernel = growth(from.cpu_s_per_op, to.cpu_s_per_op)
        .zip(from.cpu_s_per_op)
        .zip(to.kernel_s_per_op.zip(from.kernel_s_per_op))
        .map(|((grown, cpu_s), (after_s, before_s))| (after_s - before_s) / (grown * cpu_s));
    if is_switching || kernel.is_some_and(|kernel| kernel > 0.5) {
        return ("cpu-time-grows", String::new());
    }
    let why = ": memory or coherency, processors that wait for a full memory bus or for each other's cache lines (no counter here \
               tells which)";
    ("memory-or-coherency", why.to_owned())
}

/// Processors that stall: on memory itself if much comes from there, else on each other's lines.
fn stalled(from: &Facts, to: &Facts, stalls: f64) -> (&'static str, String) {
    let mut why = format!(", and cycles per instruction {}", text::growth(stalls));
    if let Some(misses) = growth(from.cache_misses_per_op, to.cache_misses_per_op).filter(|g| *g >= GROWS) {
        why.push_str(&format!(", cache misses per op {}", text::growth(misses)));
    }
    let bytes_per_s = to.cache_misses_per_s.map(|misses| misses * LINE_BYTES);
    if let Some(bytes_per_s) = bytes_per_s.filter(|bytes| *bytes >= BUS_BYTES_PER_S) {
        let rate = figure(bytes_per_s / 1e9);
        why.push_str(&format!(": {rate} GB/s come from memory, whose bus may be full"));
        return ("memory-bandwidth", why);
    }
    why.push_str(": processors wait for memory or for each other's cache lines");
    if to.cache_misses_per_s.is_some() {
        why.push_str(", and little comes from memory, which hints at shared lines");
    }
    ("coherency", why)
}

fn kernel_time(scene: &Scene<'_>, found: &mut Found) {
    let [from, to] = ends(scene);
    let Some(share) = to.kernel_share.filter(|share| *share >= KERNEL) else { return };
    let grown = cost_of(scene, &["kernel"]).or_else(|| {
        let grown = to.kernel_s_per_op? - from.kernel_s_per_op?;
        Some(grown.max(0.0) / to.cpu_s_per_op?)
    });
    let as_fact = if share >= MOSTLY_KERNEL { MOSTLY_KERNEL_FACT } else { share * KERNEL_FACT };
    let text = format!(
        "{} of the CPU time is the kernel's at {}{}; try fewer and larger system calls",
        percent(share),
        procs(to.n),
        scene.evidence.places.named(to.n, Which::Kernel)
    );
    found.add(grown.unwrap_or(0.0).max(as_fact), "kernel-time", text);
}

/// What grew along with the CPU time per op, as the end of its sentence.
fn companions(from: &Facts, to: &Facts) -> String {
    let mut parts = Vec::new();
    let [time, count]: [fn(f64) -> String; 2] = [seconds, figure];
    let pairs = [
        ("kernel time per op", from.kernel_s_per_op, to.kernel_s_per_op, time),
        ("thread switches per op", from.switches_per_op, to.switches_per_op, count),
        ("parks per op", from.parks_per_op, to.parks_per_op, count),
    ];
    for (name, from, to, shown) in pairs {
        if let (Some(from), Some(to)) = (from, to)
            && to > from * (1.0 + GROWS)
        {
            parts.push(format!("{name} from {} to {}", shown(from), shown(to)));
        }
    }
    if let Some(parks) = to.parks_per_op.filter(|_| to.parks_per_cpu_s.is_some_and(|p| p >= PARKS_PER_CPU_S))
        && !parts.iter().any(|part| part.starts_with("parks"))
    {
        parts.push(format!("an op parks {} times", figure(parks)));
    }
    if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) }
}
