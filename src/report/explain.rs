//! The whole reasoning behind an answer, as text for a person: what was measured, what the policy says of it, how sure
//! that is, which laws were tried, and what would change the answer.

use std::fmt::Write as _;

use super::answer::{certainty, verdict};
use super::number::{interval, percent, procs, quantity, seconds};
use super::stack;
use super::table::{plain, right, text as table_text};
use super::wrap::paragraph;
use crate::model::{Tried, Verdict};
use crate::plan::Policy;
use crate::recommend::{Explanation, Standing};
use crate::results::{Model, Note};

/// Worker counts shown; of more, those that the policy may choose or that some curve chooses come first.
const SHOWN: usize = 40;
/// A share of the curves below which a vote is not shown.
const SHOWN_SHARE: f64 = 0.000_5;

/// The reasoning, in sections. Ends with a line end.
#[must_use]
pub fn text(explanation: &Explanation) -> String {
    let answer = &explanation.answer;
    let mut text = format!("How {} got its answer\n\n", answer.target);
    text.push_str(&paragraph("  ", &verdict(answer)));
    section(&mut text, "What was measured", &measured(explanation));
    section(&mut text, "What the policy says", &policy(explanation));
    section(&mut text, "How sure it is", &confidence(explanation));
    section(&mut text, "Which laws were tried", &laws(explanation));
    if !answer.stack.is_empty() {
        section(&mut text, "Where the processors' time goes", &stack::text(&answer.stack));
    }
    section(
        &mut text,
        "Why it does not scale further",
        &notes(&answer.reasons, "no reason shows in the samples"),
    );
    section(&mut text, "What to know before believing it", &notes(&answer.warnings, "nothing was noticed"));
    section(&mut text, "What would change the answer", &alternatives(explanation));
    text
}

/// The same without what makes a head bold.
#[must_use]
pub fn in_json(explanation: &Explanation) -> String {
    anstream::adapter::strip_str(&text(explanation)).to_string()
}

fn section(text: &mut String, head: &str, body: &str) {
    let _ = write!(text, "\n{head}\n{body}");
}

fn sentence(text: &str) -> String {
    paragraph("  ", text)
}

fn measured(explanation: &Explanation) -> String {
    let standings = &explanation.standings;
    let samples: usize = standings.iter().map(|standing| standing.samples).sum();
    let how = match explanation.rounds {
        Some(rounds) => format!(
            "{samples} samples of {} worker counts in {rounds} rounds. Throughput is compared within rounds, so a slow \
             minute of the machine hits all alike.",
            standings.len()
        ),
        None => format!("{samples} rows of {} worker counts in a plain table.", standings.len()),
    };
    let mut text = sentence(&how);
    let is_within = if explanation.tolerance.is_some() { "close enough" } else { "" };
    let second = second_name(explanation).unwrap_or("");
    let mut table =
        plain(["", "procs", "samples", "of the best", "95 % interval", is_within, second, "vote"]);
    let left_out = standings.len().saturating_sub(SHOWN);
    for standing in shown(standings) {
        table.add_row(row(explanation, standing));
    }
    right(&mut table, [1, 2, 3, 4, 6, 7]);
    for line in table_text(&table).lines() {
        let _ = writeln!(text, " {line}");
    }
    if left_out > 0 {
        text.push_str(&sentence(&format!("{left_out} worker counts without a vote are left out.")));
    }
    for standing in standings {
        text.push_str(&departure(explanation, standing));
    }
    text
}

/// The worker counts worth a row, ascending.
fn shown(standings: &[Standing]) -> Vec<&Standing> {
    let mut order: Vec<&Standing> = standings.iter().collect();
    order.sort_by(|a, b| {
        let weight =
            |s: &Standing| s.share.unwrap_or(0.0) + f64::from(u8::from(s.is_within)) + s.ratio * 1e-3;
        weight(b).total_cmp(&weight(a))
    });
    order.truncate(SHOWN);
    order.sort_by(|a, b| a.procs.total_cmp(&b.procs));
    order
}

fn row(explanation: &Explanation, standing: &Standing) -> [String; 8] {
    let is_chosen = standing.procs == explanation.answer.recommended_procs;
    let dash = || "–".to_owned();
    [
        if is_chosen { "→".to_owned() } else { String::new() },
        procs(standing.procs),
        standing.samples.to_string(),
        format!("{:.4}", standing.ratio),
        standing.ratio_interval.map_or_else(dash, |[low, high]| format!("{low:.4} … {high:.4}")),
        match explanation.tolerance {
            Some(_) if standing.is_within => "yes".to_owned(),
            Some(_) => "no".to_owned(),
            None => String::new(),
        },
        second_name(explanation).map_or_else(String::new, |_| standing.second.map_or_else(dash, seconds)),
        match standing.share {
            Some(share) if share >= SHOWN_SHARE => percent(share),
            Some(_) => String::new(),
            None => dash(),
        },
    ]
}

/// Head of the column of what the policy looks at beside throughput.
fn second_name(explanation: &Explanation) -> Option<&'static str> {
    match explanation.answer.policy {
        _ if explanation.is_knee_instead => None,
        Policy::Latency { .. } => Some("latency"),
        Policy::Cost { .. } => Some("CPU time per op"),
        Policy::Knee { .. } | Policy::Throughput { .. } | Policy::Efficiency { .. } => None,
    }
}

/// When and why a worker count was measured no more.
fn departure(explanation: &Explanation, standing: &Standing) -> String {
    let (Some(rounds), Some(last)) = (explanation.rounds, standing.last_round) else { return String::new() };
    if last >= rounds {
        return String::new();
    }
    let n = procs(standing.procs);
    let least = explanation.tolerance.map(|tolerance| 1.0 - tolerance);
    let why = match (standing.ratio_interval, least) {
        (Some([_, high]), Some(least)) if high < least => format!(
            "it has at most {} of the best throughput, and {} would be close enough",
            percent(high),
            percent(least)
        ),
        _ => "its later samples are missing: failed, or not worth the time".to_owned(),
    };
    sentence(&format!("{n} was measured last in round {last}: {why}."))
}

fn policy(explanation: &Explanation) -> String {
    let answer = &explanation.answer;
    let (chosen, best) = (procs(answer.recommended_procs), procs(answer.best_procs));
    let rule = match (answer.policy, explanation.tolerance) {
        (Policy::Efficiency { at_least }, _) => format!(
            "{}: the largest worker count whose throughput is at least {} of what perfect scaling from one worker gives.",
            answer.policy,
            percent(at_least)
        ),
        (Policy::Latency { limit_s, .. }, None) => format!(
            "{}: the smallest worker count whose latency is at most {} even at the upper end of its interval; if there is \
             none, the one of the lowest latency.",
            answer.policy,
            seconds(limit_s)
        ),
        (Policy::Cost { .. }, Some(tolerance)) if !explanation.is_knee_instead => format!(
            "{}: of the worker counts that lose at most {} against the best, the one of the least CPU time per op.",
            answer.policy,
            percent(tolerance)
        ),
        (_, tolerance) => format!(
            "{}: the smallest worker count that loses at most {} of the throughput of the best.",
            answer.policy,
            percent(tolerance.unwrap_or(0.0))
        ),
    };
    let mut text = sentence(&rule);
    if explanation.is_knee_instead {
        text.push_str(&sentence("No sample has what this policy looks at, so the knee is taken instead."));
    }
    text.push_str(&sentence(&format!("The best is {best}; the policy takes {chosen}.")));
    if let Some(cpus) = explanation.held_back_at {
        text.push_str(&sentence(&format!(
            "More workers than the {} CPUs are taken for a gain of more than 2 % only, in 95 % of the curves; there is \
             none.",
            procs(cpus)
        )));
    }
    text
}

fn confidence(explanation: &Explanation) -> String {
    let answer = &explanation.answer;
    let Some(confidence) = answer.confidence else {
        return sentence(
            "Nothing can be said: it takes 4 rounds (or 4 rows of each value), two worker counts that differ, and a \
             program that obeys its setting.",
        );
    };
    let mut text = sentence(&format!(
        "The decision was made again on curves that may be behind these samples: {} of them give the same answer. That is \
         the confidence, and the votes in the table above.",
        certainty(confidence)
    ));
    if let Some([low, high]) = answer.interval.filter(|[low, high]| low < high) {
        text.push_str(&sentence(&format!("95 % of them choose {} to {}.", procs(low), procs(high))));
    }
    if let Some(regret) = answer.regret {
        text.push_str(&sentence(&format!(
            "Whichever is the right one, {} loses {} of the best throughput (median), at most {} (95 %).",
            procs(answer.recommended_procs),
            percent(regret.p50),
            percent(regret.p95)
        )));
    }
    text
}

fn laws(explanation: &Explanation) -> String {
    let mut text = String::new();
    if let Some(ceiling) = explanation.ceiling {
        text.push_str(&sentence(&format!(
            "Fitted up to {} CPUs; beyond them more workers change nothing.",
            procs(ceiling)
        )));
    }
    if explanation.laws.is_empty() {
        text.push_str(&sentence(match explanation.answer.model.kind.as_str() {
            "none" => "There are too few worker counts for any law.",
            _ => "The USL was asked for: least squares on throughput, as R's `usl` fits it.",
        }));
    } else {
        let mut table = plain(["", "law", "σ", "κ", "λ", "cap", "worst miss", "AICc", ""]);
        for tried in &explanation.laws {
            table.add_row(law(tried));
        }
        right(&mut table, 2..=7);
        for line in table_text(&table).lines() {
            let _ = writeln!(text, " {line}");
        }
    }
    text.push_str(&parameters(&explanation.answer.model, &explanation.answer.unit));
    text.push_str(&sentence("Laws explain; the recommendation rests on what was measured."));
    text
}

fn law(tried: &Tried) -> [String; 9] {
    let law = &tried.fit.law;
    let verdict = match tried.verdict {
        Verdict::Chosen => "",
        Verdict::Beaten => "a higher AICc",
        Verdict::Misses => "misses too much",
        Verdict::SaysNothing => "no more than a constant",
    };
    [
        if tried.verdict == Verdict::Chosen { "→".to_owned() } else { String::new() },
        law.kind.name().to_owned(),
        parameter(law.sigma),
        parameter(law.kappa),
        quantity(law.lambda, ""),
        law.ceiling.map_or_else(String::new, |cap| format!("{cap:.3}")),
        percent(tried.miss),
        format!("{:.1}", tried.criterion),
        verdict.to_owned(),
    ]
}

/// σ or κ: four digits, however small.
fn parameter(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        small if small < 1e-3 => format!("{small:.3e}"),
        value => format!("{value:.4}"),
    }
}

/// The parameters of the law that was taken, with their intervals.
fn parameters(model: &Model, unit: &str) -> String {
    if model.kind == "none" {
        return String::new();
    }
    let Some(found) = &model.intervals else {
        return sentence("With as many parameters as worker counts, nothing tells how well they are known.");
    };
    let share = |name: &str, value: Option<f64>, ends: Option<[f64; 2]>| {
        let [low, high] = ends?.map(parameter);
        Some(format!("{name} {} ({low} … {high})", parameter(value?)))
    };
    let lambda = model
        .lambda
        .zip(found.lambda)
        .map(|(value, [low, high])| format!("λ {} ({})", quantity(value, unit), interval(low, high)));
    let peak = found.peak_procs.map(|[low, high]| {
        let end = |end: Option<f64>| end.map_or_else(|| "none".to_owned(), |x| format!("{x:.1}"));
        let at = model.peak_procs.map_or_else(|| "none".to_owned(), |peak| format!("{peak:.1}"));
        format!("peak at {at} ({} … {})", end(low), end(high))
    });
    let parts = [share("σ", model.sigma, found.sigma), share("κ", model.kappa, found.kappa), lambda, peak];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    sentence(&format!(
        "{} with 95 % intervals, from fits to data drawn from it: {}.",
        model.kind,
        parts.join("; ")
    ))
}

fn notes(notes: &[Note], nothing: &str) -> String {
    if notes.is_empty() {
        return sentence(nothing);
    }
    notes.iter().map(|note| paragraph("  - ", &format!("{} [{}]", note.text, note.code))).collect()
}

fn alternatives(explanation: &Explanation) -> String {
    if explanation.alternatives.is_empty() {
        return sentence("No usual policy gives another answer from these samples.");
    }
    let one = |alternative: &crate::recommend::Alternative| {
        paragraph("  - ", &format!("--policy {} takes {}", alternative.policy, procs(alternative.procs)))
    };
    explanation.alternatives.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recommend::{Evidence, Observation, explain};

    /// Eight rounds; 1 left after the fourth.
    fn evidence(policy: &str) -> Evidence {
        let observation = |round: u32, n: f64| Observation {
            n,
            round: Some(round),
            throughput: (100.0 * n.min(3.0)) * (1.0 + 0.002 * f64::from((round + n as u32) % 5)),
            latency_p99_s: Some(0.01 / n),
            ..Observation::default()
        };
        let rounds = (1..=8).flat_map(|round| [1.0, 2.0, 4.0, 8.0].map(|n| observation(round, n)));
        Evidence {
            target: "app".to_owned(),
            unit: "ops/s".to_owned(),
            observations: rounds.filter(|o| o.n > 1.0 || o.round <= Some(4)).collect(),
            policy: policy.parse().unwrap(),
            seed: 1,
            ..Evidence::default()
        }
    }

    #[test]
    fn the_whole_reasoning_fits_80_columns() {
        for policy in ["knee", "throughput", "efficiency=0.7", "p99<=3ms", "p50<=3ms", "cost"] {
            let text = in_json(&explain(&evidence(policy)).unwrap());
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(!text.contains('\u{1b}'), "{text}");
            for head in
                ["What was measured", "What the policy says", "Which laws were tried", "What would change"]
            {
                assert!(text.contains(head), "{text}");
            }
        }
    }

    #[test]
    fn who_left_early_is_named_with_the_round_and_the_reason() {
        let text = in_json(&explain(&evidence("knee")).unwrap()).replace("\n  ", " ");
        assert!(
            text.contains("1 was measured last in round 4: it has at most 34 % of the best throughput"),
            "{text}"
        );
    }

    #[test]
    fn a_policy_without_its_measure_says_what_was_done_instead() {
        let text = in_json(&explain(&evidence("cost")).unwrap());
        assert!(text.contains("so the knee is taken instead"), "{text}");
    }
}
