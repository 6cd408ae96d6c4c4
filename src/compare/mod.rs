//! Whether a program has become slower: two sweeps of it, worker count by worker count. Pure functions of samples.
//!
//! A regression is a loss of median throughput beyond the threshold that the rank-sum test tells from chance.
//! `docs/comparing.md` says what that means for a gate.

mod rank_sum;
mod ratio;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::results::Note;
use crate::target::Procs;

/// One target as it was measured once.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its name.
    pub target: String,
    /// Unit of its throughput; `None` if nothing says it.
    pub unit: Option<String>,
    /// One a worker count, ascending.
    pub points: Vec<Measured>,
    /// The worker count that is recommended for it; `None` if none is.
    pub recommended: Option<f64>,
    /// With no worker count set, where that was measured; its own is not known and no number.
    pub default: Option<Measured>,
}

/// The samples of one worker count.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The worker count.
    pub procs: f64,
    /// Throughputs of the samples that succeeded: positive and finite; may be empty.
    pub throughputs: Vec<f64>,
    /// 99th percentiles of the latency, seconds, of the samples that have one.
    pub latencies_s: Vec<f64>,
    /// Samples that did not succeed.
    pub failed: usize,
}

/// What counts as a regression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gate {
    /// Loss of throughput that is allowed, as a share below 1.
    pub threshold: f64,
    /// Probability with which two runs of the same program may be called different, above 0 and below 1.
    pub alpha: f64,
    /// Growth of the latency's 99th percentile that is allowed, as a share; `None`: latency closes no gate.
    pub latency: Option<f64>,
}

/// What a comparison of one pair of points says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Slower by more than the threshold, and that is no chance.
    Regression,
    /// Every sample failed where samples succeeded before.
    Failed,
    /// Slower, but within the threshold.
    Slower,
    /// Faster, but within the threshold.
    Faster,
    /// Faster by more than the threshold.
    Improvement,
    /// No difference that could not be chance.
    Same,
    /// So few samples cannot tell.
    TooFew,
}

impl Verdict {
    /// Whether it closes the gate.
    #[must_use]
    pub fn is_regression(self) -> bool {
        matches!(self, Self::Regression | Self::Failed)
    }
}

/// One side of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Side {
    /// Its worker count.
    pub procs: f64,
    /// Samples that succeeded.
    pub samples: usize,
    /// Their median throughput; `None` without any.
    pub throughput: Option<f64>,
}

/// Two points compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Pair {
    /// As it was.
    pub base: Side,
    /// As it is.
    pub new: Side,
    /// Median throughput of the new over that of the base; below 1 is slower.
    pub ratio: Option<f64>,
    /// Lower end of the ratio's 95 % bootstrap interval; `None` below 4 samples.
    pub lo: Option<f64>,
    /// Upper end.
    pub hi: Option<f64>,
    /// Two-sided p of the rank-sum test.
    pub p: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
    /// The latencies beside it, where both have some.
    pub latency_p99: Option<Latencies>,
}

impl Pair {
    /// Whether it closes the gate.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.verdict.is_regression() || self.latency_p99.is_some_and(|latency| latency.regression)
    }
}

/// The 99th percentiles of the latency of two points: the medians over their samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Latencies {
    /// As it was, seconds.
    pub base_s: f64,
    /// As it is, seconds.
    pub new_s: f64,
    /// The new over the base; above 1 is slower.
    pub ratio: f64,
    /// Two-sided p of the rank-sum test.
    pub p: f64,
    /// Longer by more than is allowed, and that is no chance; never if latency closes no gate.
    pub regression: bool,
}

/// One target compared.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct TargetComparison {
    /// Its name in the base.
    pub target: String,
    /// Unit of the throughput.
    pub unit: String,
    /// One a worker count that both measured, ascending.
    pub points: Vec<Pair>,
    /// The worker count that is recommended for the one against that for the other.
    pub recommended: Option<Pair>,
    /// With no worker count set, where both measured that. It closes no gate: nobody recommends it.
    pub default: Option<Pair>,
    /// What to know before believing it.
    pub warnings: Vec<Note>,
}

impl TargetComparison {
    /// Every pair that may close the gate, the recommended one last.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.points.iter().chain(&self.recommended)
    }

    /// Whether it closes the gate.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.pairs().any(Pair::is_regression)
    }
}

/// Compares two runs of a target: at every worker count that both measured, and at the recommended ones.
#[must_use]
pub fn compare(base: &Subject, new: &Subject, gate: Gate) -> TargetComparison {
    let points: Vec<Pair> = base
        .points
        .iter()
        .filter_map(|point| Some(pair(point, find(new, point.procs)?, gate)))
        .flatten()
        .collect();
    let recommended = base
        .recommended
        .zip(new.recommended)
        .and_then(|(before, now)| pair(find(base, before)?, find(new, now)?, gate));
    let defaults = base.default.as_ref().zip(new.default.as_ref());
    let default = defaults.and_then(|(before, now)| pair(before, now, gate));
    let unit = base.unit.as_ref().or(new.unit.as_ref());
    let mut warnings = Vec::new();
    warnings.extend(missing("only-in-base", "the base", base, new));
    warnings.extend(missing("only-in-new", "the new run", new, base));
    warnings.extend(too_few(&points, gate));
    warnings.extend(no_latency(&points, gate));
    TargetComparison {
        target: base.target.clone(),
        unit: unit.map_or("ops/s", String::as_str).to_owned(),
        points,
        recommended,
        default,
        warnings,
    }
}

fn find(subject: &Subject, procs: f64) -> Option<&Measured> {
    subject.points.iter().find(|point| point.procs == procs)
}

/// Compares two points; `None` if neither has a sample, or the base has none that succeeded.
fn pair(base: &Measured, new: &Measured, gate: Gate) -> Option<Pair> {
    if base.throughputs.is_empty() {
        return None;
    }
    let mut pair = Pair {
        base: side(base),
        new: side(new),
        ratio: None,
        lo: None,
        hi: None,
        p: None,
        verdict: Verdict::Failed,
        latency_p99: latencies(base, new, gate),
    };
    if new.throughputs.is_empty() {
        return (new.failed > 0).then_some(pair);
    }
    let ratio = ratio::of(&base.throughputs, &new.throughputs);
    let p = rank_sum::test(&base.throughputs, &new.throughputs).p;
    let can_tell = rank_sum::least_p(base.throughputs.len(), new.throughputs.len()) < gate.alpha;
    pair.ratio = Some(ratio.value);
    (pair.lo, pair.hi) = (ratio.interval.map(|[lo, _]| lo), ratio.interval.map(|[_, hi]| hi));
    pair.p = Some(p);
    pair.verdict = if can_tell { verdict(ratio.value, p, gate) } else { Verdict::TooFew };
    Some(pair)
}

fn latencies(base: &Measured, new: &Measured, gate: Gate) -> Option<Latencies> {
    let [base_s, new_s] = [base, new].map(|point| crate::stats::median(&mut point.latencies_s.clone()));
    let (base_s, new_s) = (base_s?, new_s?);
    let p = rank_sum::test(&base.latencies_s, &new.latencies_s).p;
    let ratio = new_s / base_s;
    let regression = gate.latency.is_some_and(|allowed| p < gate.alpha && ratio - 1.0 > allowed);
    Some(Latencies { base_s, new_s, ratio, p, regression })
}

fn verdict(ratio: f64, p: f64, gate: Gate) -> Verdict {
    match ratio - 1.0 {
        change if p >= gate.alpha || change == 0.0 => Verdict::Same,
        change if change < -gate.threshold => Verdict::Regression,
        change if change > gate.threshold => Verdict::Improvement,
        change if change < 0.0 => Verdict::Slower,
        _ => Verdict::Faster,
    }
}

fn side(point: &Measured) -> Side {
    let throughput = crate::stats::median(&mut point.throughputs.clone());
    Side { procs: point.procs, samples: point.throughputs.len(), throughput }
}

/// The worker counts that only `of` measured.
fn missing(code: &str, whose: &str, of: &Subject, other: &Subject) -> Option<Note> {
    let is_there = |procs: f64| other.points.iter().any(|point| point.procs == procs);
    let lonely = of.points.iter().map(|point| point.procs).filter(|procs| !is_there(*procs));
    let lonely: Vec<String> = lonely.map(|procs| procs.to_string()).collect();
    let s = if lonely.len() == 1 { "" } else { "s" };
    let text = format!("only {whose} measured the worker count{s} {}: not compared there", lonely.join(", "));
    (!lonely.is_empty()).then(|| Note { code: code.to_owned(), text })
}

/// A gate for a latency that nobody measured is open, which has to be said.
fn no_latency(points: &[Pair], gate: Gate) -> Option<Note> {
    let is_blind = gate.latency.is_some() && points.iter().all(|pair| pair.latency_p99.is_none());
    let text = "no worker count has a 99th percentile of the latency in both: its threshold closes nothing";
    is_blind.then(|| Note { code: "no-latency".to_owned(), text: text.to_owned() })
}

/// How many samples it would have taken.
fn too_few(points: &[Pair], gate: Gate) -> Option<Note> {
    let few: Vec<&Pair> = points.iter().filter(|pair| pair.verdict == Verdict::TooFew).collect();
    let worst = few.iter().min_by_key(|pair| pair.base.samples.min(pair.new.samples))?;
    let enough = rank_sum::enough(gate.alpha);
    let text = format!(
        "{} of {} worker counts have too few samples to tell anything: {} and {} at {} {}, where p < {} takes {enough} of \
         each; measure with `--rounds {enough}` or more",
        few.len(),
        points.len(),
        worst.base.samples,
        worst.new.samples,
        worst.base.procs,
        Procs::word(worst.base.procs),
        gate.alpha
    );
    Some(Note { code: "too-few-samples".to_owned(), text })
}
