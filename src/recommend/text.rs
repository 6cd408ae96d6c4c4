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

/// Three significant digits, without an exponent where that is readable.
pub(super) fn figure(x: f64) -> String {
    let magnitude = x.abs();
    if magnitude == 0.0 || (0.001..1e6).contains(&magnitude) {
        let digits = if magnitude == 0.0 { 0 } else { (2 - magnitude.log10().floor() as i32).max(0) };
        let text = format!("{x:.*}", usize::try_from(digits).unwrap_or(0));
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{x:.2e}")
    }
}

/// So many CPUs, in words.
pub(super) fn cpus(count: f64) -> String {
    if count == 1.0 { "1 CPU".to_owned() } else { format!("{} CPUs", figure(count)) }
}

/// A worker count in a sentence.
pub(super) fn procs(count: f64) -> String {
    format!("{} {}", figure(count), Procs::word(count))
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
        assert_eq!([figure(1.044e-4), figure(1.5e9)], ["1.04e-4", "1.50e9"]);
        assert_eq!([procs(1.0), procs(1.5), procs(2.0)], ["1 processor", "1.5 procs", "2 procs"]);
        assert_eq!([seconds(0.0042), seconds(3e-7), seconds(12.0)], ["4.2 ms", "300 ns", "12 s"]);
    }
}
