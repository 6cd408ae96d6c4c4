//! The first screen: what to take in a sentence, how sure that is, the curve, the reason.

use std::fmt::Write as _;

use super::super::answer::{certainty, chosen, is_quick};
use super::Subject;
use super::curve;
use super::text::{Unit, escape, figure, sentence, statement};
use crate::report::number::{percent, procs, quantity, times};
use crate::results::{Note, Recommendation};
use crate::target::Procs;

/// A regret that would be shown as `0.0 %` is not shown.
const SHOWN_REGRET: f64 = 0.000_5;

/// Everything up to the first heading.
pub(super) fn section(subject: &Subject<'_>) -> String {
    let manifest = &subject.saved.manifest;
    let badges: String = badges(subject).iter().map(|text| format!("<li>{}</li>", escape(text))).collect();
    let badges = if badges.is_empty() { badges } else { format!("<ul class=\"badges\">{badges}</ul>") };
    let name = format!("<p class=\"target\"><bdi>{}</bdi></p>{badges}", escape(&manifest.target));
    let Some(answer) = subject.answer else { return format!("{name}<h1>{}</h1>", nothing_said(subject)) };
    format!(
        "{name}<h1>{}</h1><p class=\"lead\">{}</p>{}{}{}",
        headline(answer),
        confidence(answer),
        curve::section(subject, answer),
        why(answer),
        facts(answer),
    )
}

/// What is not usual about the sweep, in a word or two.
pub(in crate::report) fn badges(subject: &Subject<'_>) -> Vec<String> {
    let manifest = &subject.saved.manifest;
    let noted = |code: &str| manifest.warnings.iter().any(|note| note.code == code);
    let failed = subject.saved.rows.iter().filter(|row| !row.is_ok()).count();
    let mut badges = Vec::new();
    if manifest.plan.quick {
        badges.push("quick: a first look".to_owned());
    }
    if noted("interrupted") {
        badges.push("interrupted".to_owned());
    } else if subject.is_unfinished() {
        badges.push("not finished".to_owned());
    }
    if failed > 0 {
        badges.push(format!("{failed} of {} samples did not succeed", subject.saved.rows.len()));
    }
    badges
}

/// `Take 2 procs: 68.0 phases/s, 1.50× the throughput of 1.`
fn headline(answer: &Recommendation) -> String {
    let n = answer.recommended_procs;
    let (take, word) = (figure("procs", n, &procs(n)), Procs::word(n));
    let Some(point) = chosen(answer) else { return format!("Take {take} {word}") };
    let throughput = figure("throughput", point.throughput, &quantity(point.throughput, &answer.unit));
    let mut text = format!("Take {take} {word}: {throughput}");
    if let Some(speedup) = point.speedup.filter(|_| n > 1.0) {
        let _ = write!(text, ", {} the throughput of 1", figure("speedup", speedup, &times(speedup)));
    }
    text + "."
}

/// How sure it is, and what it may cost to be wrong.
fn confidence(answer: &Recommendation) -> String {
    let mut parts = Vec::new();
    match answer.confidence {
        Some(confidence) => {
            let mut text =
                format!("Confidence <b>{}</b>", figure("confidence", confidence, &certainty(confidence)));
            if let Some([low, high]) = answer.interval {
                let _ = match low < high {
                    true => write!(text, ", 95 % interval {} to {} procs", procs(low), procs(high)),
                    false => write!(text, ", and no other choice within its 95 % interval"),
                };
            }
            parts.push(text);
        }
        None => parts.push(format!("Confidence <b>unknown</b>{}", unknown(answer))),
    }
    if let Some(regret) = answer.regret {
        parts.push(match regret.p95 >= SHOWN_REGRET {
            true => {
                format!("at most {} below the best", figure("regret_p95", regret.p95, &percent(regret.p95)))
            }
            false => "nothing lost against the best".to_owned(),
        });
    }
    if let Some(floor) = answer.noise_floor {
        parts.push(format!("differences below {} are noise", figure("noise_floor", floor, &percent(floor))));
    }
    let quick =
        if is_quick(answer) { " A quick look: measure without <code>--quick</code> to be sure." } else { "" };
    format!("{}.{quick}", parts.join("; "))
}

/// Why there is no confidence, as far as a warning says it.
fn unknown(answer: &Recommendation) -> String {
    const CODES: [&str; 4] = ["quick", "few-rounds", "one-row-a-value", "knob-ignored"];
    let is_alone = answer.points.len() < 2;
    let alone = is_alone.then(|| "only one worker count was measured".to_owned());
    let said = answer.warnings.iter().find(|note| CODES.contains(&note.code.as_str()));
    let all: Vec<String> = alone.into_iter().chain(said.map(|note| sentence(&note.text))).collect();
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

/// The reasons; the strongest is the first.
fn why(answer: &Recommendation) -> String {
    if answer.reasons.is_empty() {
        return "<p class=\"why\">No cause shows in the samples.</p>".to_owned();
    }
    let items: String = answer
        .reasons
        .iter()
        .map(|reason| format!("<li data-code=\"{}\">{}</li>", escape(&reason.code), statement(&reason.text)))
        .collect();
    format!("<ul class=\"why\" aria-label=\"Why\">{items}</ul>")
}

/// The figures of the recommended point.
fn facts(answer: &Recommendation) -> String {
    let Some(point) = chosen(answer) else { return String::new() };
    let n = procs(answer.recommended_procs);
    let facts = [
        ("efficiency", "efficiency", point.efficiency, Unit::Share),
        ("CPU time per op", "cpu_s_per_op", point.cpu_s_per_op, Unit::Seconds),
        ("latency p99", "latency_p99_s", point.latency_p99_s, Unit::Seconds),
        ("peak memory", "max_rss_bytes", point.max_rss_bytes, Unit::Bytes),
    ];
    let items: String = facts
        .into_iter()
        .filter_map(|(name, column, value, unit)| {
            let value = value?;
            Some(format!("<div><dt>{name}</dt><dd>{}</dd></div>", figure(column, value, &unit.text(value))))
        })
        .collect();
    let policy = format!(
        "<div><dt>policy</dt><dd>{}</dd></div><div><dt>samples at {n}</dt><dd>{}</dd></div>",
        escape(&answer.policy.to_string()),
        figure("samples", f64::from(point.samples), &point.samples.to_string())
    );
    format!("<dl class=\"facts\">{policy}{items}</dl>")
}

/// What is said where no sample succeeded.
pub(in crate::report) fn nothing_said(subject: &Subject<'_>) -> String {
    let count = subject.saved.rows.len();
    let what = match count {
        0 => "no sample was measured".to_owned(),
        1 => "the one sample did not succeed".to_owned(),
        count => format!("none of {count} samples succeeded"),
    };
    format!("No recommendation: {what}.")
}

/// What to know before believing it.
pub(super) fn warnings(subject: &Subject<'_>) -> String {
    let notes: &[Note] = match subject.answer {
        Some(answer) => &answer.warnings,
        None => &subject.saved.manifest.warnings,
    };
    let mut items: String = notes
        .iter()
        .map(|note| {
            let code = escape(&note.code);
            format!(
                "<li data-code=\"{code}\">{} <span class=\"code\">{code}</span></li>",
                statement(&note.text)
            )
        })
        .collect();
    if subject.is_unfinished() {
        items.insert_str(
            0,
            "<li>The sweep did not come to its end, so this is decided from the samples that it left. Add \
             <code>--resume</code> to the same command to go on.</li>",
        );
    }
    if items.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"warnings\"><h2>Before you believe it</h2><ul class=\"notes\">{items}</ul></section>"
    )
}
