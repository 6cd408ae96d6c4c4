//! Numbers inside sentences.

use crate::results::Note;
use crate::target::Procs;

pub(super) fn note(code: &str, text: String) -> Note {
    Note { code: code.to_owned(), text }
}

/// A share as per cent, with one decimal below 10 %.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent.abs() < 9.95 { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// By how much something differs, in words: `17 % less`, `3.1 % more`, `32 times as much`, `the same`.
pub(super) fn change(share: f64) -> String {
    match share {
        s if s.abs() < UNSEEN => "the same".to_owned(),
        s if s < 0.0 => format!("{} less", percent(-s)),
        s if s < IN_TIMES => format!("{} more", percent(s)),
        s => format!("{} times as much", figure(1.0 + s)),
    }
}

/// The same of the throughput, against that at another worker count: `17 % less throughput than 2`.
pub(super) fn throughput_against(share: f64, other: &str) -> String {
    match share {
        s if s.abs() < UNSEEN => format!("as much throughput as {other}"),
        s if s < IN_TIMES => format!("{} throughput than {other}", change(s)),
        s => format!("{} times the throughput of {other}", figure(1.0 + s)),
    }
}

/// How much something grows, after `grows`: `by 34 %`, `to 24 times as much`.
pub(super) fn growth(share: f64) -> String {
    if share < IN_TIMES {
        format!("by {}", percent(share))
    } else {
        format!("to {} times as much", figure(1.0 + share))
    }
}

/// A share that would be shown as `0.0 %`.
const UNSEEN: f64 = 0.000_5;
/// From twice as much on, times are easier to read than per cent.
const IN_TIMES: f64 = 1.0;
/// Names of large numbers, the largest first.
const LARGE: [(f64, &str); 3] = [(1e12, "trillion"), (1e9, "billion"), (1e6, "million")];
/// From here on only an exponent is short.
const HUGE: f64 = 1e15;
/// What is smaller is only said to be.
const SMALL: f64 = 0.001;

/// Three significant digits, without an exponent but of the huge; what is very small is only said to be.
pub(super) fn figure(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude > 0.0 && magnitude < SMALL {
        return format!("less than {SMALL}");
    }
    match LARGE.iter().find(|(from, _)| magnitude >= *from && magnitude < HUGE) {
        Some((from, name)) => format!("{} {name}", digits(x / from)),
        None => digits(x),
    }
}

/// Three significant digits; with an exponent only where it takes very many.
fn digits(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude != 0.0 && !(1e-6..HUGE).contains(&magnitude) {
        return format!("{x:.2e}");
    }
    let places = if magnitude == 0.0 { 0 } else { (2 - magnitude.log10().floor() as i32).max(0) };
    let text = format!("{x:.*}", usize::try_from(places).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// So many CPUs, in words.
pub(super) fn cpus(count: f64) -> String {
    if count == 1.0 { "1 CPU".to_owned() } else { format!("{} CPUs", figure(count)) }
}

/// A worker count in a sentence.
pub(super) fn procs(count: f64) -> String {
    format!("{} {}", digits(count), Procs::word(count))
}

/// Seconds in the unit that suits them.
pub(super) fn seconds(s: f64) -> String {
    match s {
        s if s < 1e-6 => format!("{} ns", figure(s * 1e9)),
        s if s < 1e-3 => format!("{} µs", figure(s * 1e6)),
        s if s < 1.0 => format!("{} ms", figure(s * 1e3)),
        s => format!("{} s", figure(s)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_a_person_writes_them() {
        assert_eq!([percent(0.0312), percent(0.5), percent(0.0999)], ["3.1 %", "50 %", "10 %"]);
        assert_eq!([figure(2.0), figure(0.2999), figure(1234.5), figure(0.0)], ["2", "0.3", "1234", "0"]);
        assert_eq!(
            [figure(1.044e-4), figure(1.5e9), figure(2e6)],
            ["less than 0.001", "1.5 billion", "2 million"]
        );
        assert_eq!([procs(1.0), procs(1.5), procs(2.0)], ["1 processor", "1.5 procs", "2 procs"]);
        assert_eq!([seconds(0.0042), seconds(3e-7), seconds(12.0)], ["4.2 ms", "300 ns", "12 s"]);
        assert_eq!(seconds(3.92e-11), "0.0392 ns");
    }

    #[test]
    fn differences_are_words_and_have_no_sign() {
        assert_eq!(
            [-0.17, 0.031, 0.0, 31.0].map(change),
            ["17 % less", "3.1 % more", "the same", "32 times as much"]
        );
        assert_eq!(
            [-0.17, 0.0002, 31.0].map(|share| throughput_against(share, "2")),
            ["17 % less throughput than 2", "as much throughput as 2", "32 times the throughput of 2"]
        );
        assert_eq!([0.34, 23.0].map(growth), ["by 34 %", "to 24 times as much"]);
    }
}
