//! What to know before believing an answer. Every sentence carries its number.

use super::draws::ENOUGH_SAMPLES;
use super::policy::{Rule, Second};
use super::scene::{Scene, within};
use super::text::{change, cpus, figure, note, percent, procs, seconds, throughput_against};
use super::{INSIDE_NOISE, most_busy};
use crate::plan::Policy;
use crate::results::Note;
use crate::stats::{INTERVAL_SAMPLES, coefficient_of_variation};

/// Confidence below which the samples do not tell the choice from its rivals. Guess.
const DISTINGUISHABLE: f64 = 0.7;
/// Coefficient of variation of a worker count's samples: pyperf calls a benchmark unstable from 10 % on.
const NOISY: f64 = 0.1;
/// A law is not to be trusted beyond so many times the largest measured N (B. Schwartz, *Practical Scalability
/// Analysis with the Universal Scalability Law*, 2015).
const TRUSTED: f64 = 2.0;

/// Miss of a law at one worker count from which it is said to miss. Guess: several times the usual noise.
const MISSES: f64 = 0.2;

/// What was noticed while measuring, then what the samples themselves show.
pub(super) fn warnings(scene: &Scene<'_>) -> Vec<Note> {
    let mut notes = scene.evidence.warnings.clone();
    let checks: [fn(&Scene<'_>) -> Option<Note>; 12] = [
        knob_ignored,
        short_under_quota,
        amount,
        not_distinguishable,
        second_not_measured,
        latency_limit_missed,
        noisy,
        oversubscribed,
        edge_of_range,
        superlinear,
        extrapolation,
        model_misses,
    ];
    notes.extend(checks.iter().filter_map(|check| check(scene)));
    notes
}

fn knob_ignored(scene: &Scene<'_>) -> Option<Note> {
    let facts = &scene.facts[scene.ignored?];
    let text = format!(
        "{} are busy at {}: the program does not obey its worker setting, so its settings cannot be compared",
        cpus(facts.busy?),
        procs(facts.n)
    );
    Some(note("knob-ignored", text))
}

/// Seconds that a sample should last under a CPU quota: ten of the kernel's periods of 100 ms, in each of which the program
/// runs and is then held back.
const LONG_UNDER_QUOTA_S: f64 = 1.0;

/// Samples of a few quota periods: whether one more or less is begun shows in the throughput.
fn short_under_quota(scene: &Scene<'_>) -> Option<Note> {
    let limited = scene.evidence.observations.iter().filter(|sample| sample.cpu_quota.is_some());
    let shortest_s = limited.filter_map(|sample| sample.wall_s).min_by(f64::total_cmp)?;
    let text = format!(
        "the shortest sample under the CPU quota lasts {}: less than ten of its periods of 100 ms, which coarsens the throughput; \
         give the program more work{}",
        seconds(shortest_s),
        if scene.evidence.is_workload { " with `--scale`" } else { "" }
    );
    (shortest_s < LONG_UNDER_QUOTA_S).then(|| note("short-under-quota", text))
}

/// Few samples, by the name that fits how they came about.
fn amount(scene: &Scene<'_>) -> Option<Note> {
    let counts = scene.groups.iter().map(|group| group.samples.len());
    let (fewest, most) = (counts.clone().min()?, counts.max()?);
    if scene.evidence.quick {
        let text = format!("quick: {most} rounds are a first look; an interval takes {INTERVAL_SAMPLES}");
        return Some(note("quick", text));
    }
    if scene.rounds.is_table && most == 1 {
        let text = format!("one row a value, {} in all: no interval and no confidence", scene.len());
        return Some(note("one-row-a-value", text));
    }
    let rounds = if scene.rounds.is_table { fewest } else { most };
    let what = match (scene.rounds.is_table, rounds) {
        (true, 1) => "row of a value",
        (true, _) => "rows of a value",
        (false, 1) => "round",
        (false, _) => "rounds",
    };
    (rounds < INTERVAL_SAMPLES).then(|| {
        let text = format!(
            "{rounds} {what}: a median's interval takes {INTERVAL_SAMPLES}, a confidence {ENOUGH_SAMPLES}"
        );
        note("few-rounds", text)
    })
}

fn not_distinguishable(scene: &Scene<'_>) -> Option<Note> {
    let spread = scene.spread?;
    let confidence = spread.shares[scene.chosen];
    let rival = (0..scene.len())
        .filter(|&point| point != scene.chosen)
        .min_by(|&a, &b| spread.shares[b].total_cmp(&spread.shares[a]))?;
    (confidence < DISTINGUISHABLE).then(|| {
        let [chosen, other] = [scene.chosen, rival].map(|point| figure(scene.n(point)));
        let text = format!(
            "the samples do not tell {chosen} from {other}: {chosen} is right with {}, {other} with {}; with {chosen}, at most {} of the throughput is lost (95 %)",
            percent(confidence),
            percent(spread.shares[rival]),
            percent(spread.loss(0.95))
        );
        note("not-distinguishable", text)
    })
}

/// A policy that looks at something that no sample has.
fn second_not_measured(scene: &Scene<'_>) -> Option<Note> {
    let second = Second::of_policy(scene.evidence.policy)?;
    let Rule::Knee(tolerance) = scene.rule else { return None };
    let samples: usize = scene.groups.iter().map(|group| group.samples.len()).sum();
    let (code, what) = match second {
        Second::Latency(percentile) => ("latency-not-measured", format!("{} latency", percentile.name())),
        Second::CpuTimePerOp => ("cpu-time-not-measured", "CPU time per op".to_owned()),
    };
    let text = format!(
        "none of {samples} samples has a {what}: the knee with {} is chosen instead",
        percent(tolerance)
    );
    Some(note(code, text))
}

fn latency_limit_missed(scene: &Scene<'_>) -> Option<Note> {
    let (Rule::Latency(limit), Policy::Latency { limit_s, .. }) = (scene.rule, scene.evidence.policy) else {
        return None;
    };
    let upper = scene.estimate.second_upper[scene.chosen]?;
    (upper > limit + super::policy::ROUNDING).then(|| {
        let text = format!(
            "no setting keeps the latency within {}: the lowest, at {}, may be {}",
            seconds(limit_s),
            procs(scene.n(scene.chosen)),
            seconds(upper.exp())
        );
        note("latency-limit-missed", text)
    })
}

fn noisy(scene: &Scene<'_>) -> Option<Note> {
    let variations = scene.groups.iter().map(|group| coefficient_of_variation(&group.throughputs));
    let (point, worst) = variations.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    (worst > NOISY).then(|| {
        let text = format!(
            "the {} samples at {} vary by {} (coefficient of variation)",
            scene.groups[point].samples.len(),
            procs(scene.n(point)),
            percent(worst)
        );
        note("noisy", text)
    })
}

fn oversubscribed(scene: &Scene<'_>) -> Option<Note> {
    let inside = within(scene.groups, scene.cpus);
    let usable = scene.cpus.filter(|_| inside > 0 && scene.chosen >= inside)?;
    let best = scene.estimate.best(|point| point < inside);
    let (chosen, rival) = (figure(scene.n(scene.chosen)), figure(scene.n(best)));
    let gain = throughput_against(scene.speedup(best, scene.chosen) - 1.0, &rival);
    let text = match most_busy(scene.facts).filter(|_| scene.bound.is_none()) {
        Some(most) => format!(
            "{chosen} procs are more than the {}, which pays since the program mostly waits (at most {} are busy): they give \
             {gain}",
            cpus(usable),
            figure(most)
        ),
        None => format!("{chosen} procs are more than the {}: they give {gain}", cpus(usable)),
    };
    Some(note("oversubscribed", text))
}

/// The best is the last one measured, it is not the machine that ends there, and throughput still rose.
fn edge_of_range(scene: &Scene<'_>) -> Option<Note> {
    let last = scene.len() - 1;
    if scene.best != last || last == 0 || scene.cpus.is_some_and(|cpus| scene.n(last) >= cpus) {
        return None;
    }
    let gain = scene.speedup(last - 1, last) - 1.0;
    (gain > INSIDE_NOISE).then(|| {
        let text = format!(
            "throughput still rises by {} from {} to {}, the most that was measured: try more",
            percent(gain),
            figure(scene.n(last - 1)),
            figure(scene.n(last))
        );
        note("edge-of-range", text)
    })
}

/// Speedup beyond the number of workers from which it is pointed out, beyond what the samples leave open. Guess.
const SUPERLINEAR: f64 = 0.05;

/// More than N times the throughput from N workers: real where their caches hold what one's does not, but no law covers it.
fn superlinear(scene: &Scene<'_>) -> Option<Note> {
    let levels = &scene.estimate.level;
    let noise = scene.noise;
    let base = scene.base();
    let excess = |point: usize| levels[point] - levels[base] - (scene.n(point) / scene.n(base)).ln();
    let above = (base + 1..scene.len()).filter(|&point| {
        excess(point) - 2.0 * noise.errors[point].hypot(noise.errors[base]) > SUPERLINEAR.ln_1p()
    });
    let point = above.max_by(|&a, &b| excess(a).total_cmp(&excess(b)))?;
    let text = format!(
        "{}: more than in proportion (caches that hold the data, or a slow run of {}?); no law covers that",
        scene.gives(base, point),
        figure(scene.n(base))
    );
    Some(note("superlinear", text))
}

fn extrapolation(scene: &Scene<'_>) -> Option<Note> {
    let law = scene.law?;
    let most = scene.n(scene.len() - 1);
    let peak = law.peak_procs().filter(|peak| *peak > TRUSTED * most)?;
    if law.ceiling.is_some_and(|ceiling| ceiling < peak) {
        return None;
    }
    let text = format!(
        "the fitted peak of {} is more than {TRUSTED} times the {} that were measured: do not count on it",
        procs(peak),
        figure(most)
    );
    Some(note("extrapolation", text))
}

/// The law is far off somewhere up to its ceiling.
fn model_misses(scene: &Scene<'_>) -> Option<Note> {
    let law = scene.law?;
    let modelled = scene.groups.iter().filter(|group| law.ceiling.is_none_or(|ceiling| group.n <= ceiling));
    let misses = modelled.map(|group| (group.n, (law.throughput(group.n) / group.throughput()).ln()));
    let (n, worst) = misses.max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
    (worst.abs() > MISSES.ln_1p() && worst.is_finite()).then(|| {
        let text = format!(
            "the {} law says {} at {} than was measured, so it explains little; the choice does not rest on it",
            law.kind.name(),
            change(worst.exp_m1()),
            procs(n)
        );
        note("model-misses", text)
    })
}
