//! What the chosen worker count gains over the target as it runs when nobody sets one.
//!
//! The default is measured in the same rounds but is no candidate: how many workers it has is not known. It is compared
//! as worker counts are, by its ratio within each round; the interval is the exact one of the median of these ratios, so
//! that one disturbed round does not widen it.

use std::collections::HashMap;

use super::group::{self, Group};
use super::scene::Scene;
use super::text::{change, note, percent, procs};
use super::{INSIDE_NOISE, Observation};
use crate::results::{DefaultPoint, Note};
use crate::stats;

/// The default and the gain over it; `None` if it was not measured or never succeeded.
pub(super) fn compare(scene: &Scene<'_>) -> Option<DefaultPoint> {
    let own = group::of_default(&scene.evidence.default)?;
    let chosen = &scene.groups[scene.chosen];
    let single = scene.groups.iter().find(|group| group.n == 1.0).map(Group::throughput);
    let point = group::point(&own, single);
    let gains = gains(chosen, &own);
    Some(DefaultPoint {
        samples: point.samples,
        throughput: point.throughput,
        lo: point.lo,
        hi: point.hi,
        speedup: point.speedup,
        // Without common rounds, as in a plain table, there is only the ratio of the medians.
        gain: stats::median(&mut gains.clone()).unwrap_or(chosen.throughput() / point.throughput - 1.0),
        gain_interval: stats::median_interval(&gains),
        cpu_s_per_op: point.cpu_s_per_op,
        latency_p99_s: point.latency_p99_s,
        max_rss_bytes: point.max_rss_bytes,
    })
}

/// The gain in each round that measured both, ascending.
fn gains(chosen: &Group<'_>, default: &Group<'_>) -> Vec<f64> {
    let by_round = |sample: &&Observation| Some((sample.round?, sample.throughput));
    let of_chosen: HashMap<u32, f64> = chosen.samples.iter().filter_map(by_round).collect();
    let pairs = default.samples.iter().filter_map(by_round);
    let mut gains: Vec<f64> =
        pairs.filter_map(|(round, theirs)| Some(of_chosen.get(&round)? / theirs - 1.0)).collect();
    gains.sort_by(f64::total_cmp);
    gains
}

/// The gain in a sentence.
pub(super) fn reason(scene: &Scene<'_>, default: &DefaultPoint) -> Note {
    let count = scene.n(scene.chosen);
    let (n, s) = (procs(count), if count == 1.0 { "s" } else { "" });
    let interval = default.gain_interval.map_or_else(
        || "too few common rounds for an interval".to_owned(),
        |[low, high]| format!("95 % interval: {} to {}", change(low), change(high)),
    );
    let gain = percent(default.gain.abs());
    let text = match (default.gain_interval, default.gain) {
        (Some([low, high]), gain) if low <= 0.0 && high >= 0.0 => {
            let are = if count == 1.0 { "is" } else { "are" };
            format!(
                "{n} {are} not told from the default, with nothing set: {} throughput ({interval})",
                change(gain)
            )
        }
        (_, x) if x < 0.0 => {
            format!("{n} lose{s} {gain} against the default, with nothing set ({interval})")
        }
        _ => format!("{n} gain{s} {gain} over the default, with nothing set ({interval})"),
    };
    note("gain-over-default", text)
}

/// The default is faster than what is recommended, by more than the noise: the best may not be among the worker counts.
pub(super) fn warning(default: &DefaultPoint) -> Option<Note> {
    let [_, high] = default.gain_interval?;
    (high < -INSIDE_NOISE).then(|| {
        let text = format!(
            "with nothing set the throughput is {} higher (at least {}): measure more worker counts, or leave it unset",
            percent(1.0 / (1.0 + default.gain) - 1.0),
            percent(1.0 / (1.0 + high) - 1.0)
        );
        note("default-is-faster", text)
    })
}
