//! Numbers as people read them: three significant digits, a unit, never a bare figure.

use crate::target::Procs;

/// `value` with an SI prefix and `unit`: `1.23 M ops/s`. Three significant digits; a dash if it is not finite.
#[must_use]
pub fn quantity(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (scaled, prefix) = scale(value);
    let digits = if is_plain(value) { significant(scaled) } else { format!("{value:.2e}") };
    match (prefix, unit) {
        ("", "") => digits,
        ("", unit) => format!("{digits} {unit}"),
        (prefix, "") => format!("{digits} {prefix}"),
        (prefix, unit) => format!("{digits} {prefix}{unit}"),
    }
}

/// A count: exact below 1000, as a [`quantity`] from there on.
#[must_use]
pub fn count(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1000.0 { format!("{value:.0}") } else { quantity(value, "") }
}

/// A worker count, in full unless that takes very many digits.
#[must_use]
pub fn procs(value: f64) -> String {
    if (1e-4..1e9).contains(&value) { value.to_string() } else { format!("{value:e}") }
}

/// A worker count in a sentence: `1 processor`, `2 procs`.
#[must_use]
pub fn in_procs(value: f64) -> String {
    format!("{} {}", procs(value), Procs::word(value))
}

/// A speedup as `1.98×` or `28.1×`.
#[must_use]
pub fn times(value: f64) -> String {
    match value {
        v if v < 9.995 => format!("{v:.2}×"),
        v if v < 1e6 => format!("{}×", significant(v)),
        v => format!("{v:.2e}×"),
    }
}

/// Seconds as `12.3 ms`. Three significant digits; a dash if not finite.
#[must_use]
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let (scaled, unit) = match value.abs() {
        v if v >= 120.0 => return format!("{}m{:02}s", (v / 60.0) as u64, (v % 60.0) as u64),
        v if v >= 1.0 || v == 0.0 => (value, "s"),
        v if v >= 1e-3 => (value * 1e3, "ms"),
        v if v >= 1e-6 => (value * 1e6, "µs"),
        _ => (value * 1e9, "ns"),
    };
    format!("{} {unit}", significant(scaled))
}

/// Bytes as `12.3 MiB`.
#[must_use]
pub fn bytes(value: u64) -> String {
    let mut scaled = value as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if scaled < 1024.0 {
            return format!("{} {unit}", significant(scaled));
        }
        scaled /= 1024.0;
    }
    format!("{} TiB", significant(scaled))
}

/// A share as `97 %`; 0.97 is 97 %.
#[must_use]
pub fn percent(share: f64) -> String {
    let value = share * 100.0;
    if value.abs() >= 1e9 {
        return format!("{value:.2e} %");
    }
    if value != 0.0 && value.abs() < 9.95 { format!("{value:.1} %") } else { format!("{value:.0} %") }
}

/// An interval with one prefix for both ends: `1.20 … 1.25 M`.
#[must_use]
pub fn interval(low: f64, high: f64) -> String {
    if !is_plain(low) || !is_plain(high) {
        return format!("{low:.2e} … {high:.2e}");
    }
    let (_, prefix) = scale(high);
    let factor = factor(prefix);
    let ends = format!("{} … {}", significant(low / factor), significant(high / factor));
    if prefix.is_empty() { ends } else { format!("{ends} {prefix}") }
}

/// A bar of at most `width` cells, `share` (0 to 1) of them filled, in eighths of a cell.
#[must_use]
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The SI prefix that makes a short figure of `largest`, and the factor that it stands for: for an axis, whose values share
/// one.
#[must_use]
pub fn prefix(largest: f64) -> (f64, &'static str) {
    let (_, prefix) = scale(largest);
    (factor(prefix), prefix)
}

/// Whether a prefix makes a short figure of it; anything beyond takes an exponent.
fn is_plain(value: f64) -> bool {
    value == 0.0 || (1e-7..1e12).contains(&value.abs())
}

fn scale(value: f64) -> (f64, &'static str) {
    if !is_plain(value) {
        return (value, "");
    }
    for prefix in ["G", "M", "k"] {
        // Rounds up at 999.5, so that no figure prints as `1000`.
        if value.abs() >= 0.9995 * factor(prefix) {
            return (value / factor(prefix), prefix);
        }
    }
    if value == 0.0 || value.abs() >= 0.01 {
        return (value, "");
    }
    if value.abs() >= 0.9995e-3 { (value * 1e3, "m") } else { (value * 1e6, "µ") }
}

fn factor(prefix: &str) -> f64 {
    match prefix {
        "G" => 1e9,
        "M" => 1e6,
        "k" => 1e3,
        "m" => 1e-3,
        "µ" => 1e-6,
        _ => 1.0,
    }
}

/// Three significant digits, without an exponent.
fn significant(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_keep_three_digits_and_their_unit() {
        assert_eq!(quantity(1_234_567.0, "ops/s"), "1.23 Mops/s");
        assert_eq!(quantity(999_999.0, "ops/s"), "1.00 Mops/s");
        assert_eq!(quantity(0.5, "ops/s"), "0.500 ops/s");
        assert_eq!(quantity(610.0, ""), "610");
        assert_eq!(quantity(f64::NAN, "x"), "–");
    }

    #[test]
    fn figures_stay_short_however_large_or_small() {
        assert_eq!(quantity(1e308, "ops/s"), "1.00e308 ops/s");
        assert_eq!(quantity(3e-308, ""), "3.00e-308");
        assert_eq!(interval(1e300, 2e300), "1.00e300 … 2.00e300");
        assert_eq!(
            (procs(1e300), procs(3.25), procs(4096.0)),
            ("1e300".into(), "3.25".into(), "4096".into())
        );
        assert_eq!((times(1.984), times(1e300)), ("1.98×".into(), "1.00e300×".into()));
        assert_eq!([0.054, 28.104, 123.4].map(times), ["0.05×", "28.1×", "123×"]);
        assert_eq!(percent(1e300), "1.00e302 %");
    }

    #[test]
    fn counts_below_a_thousand_are_exact() {
        assert_eq!((count(0.0), count(34.0), count(6360.0)), ("0".into(), "34".into(), "6.36 k".into()));
    }

    #[test]
    fn times_choose_their_unit() {
        assert_eq!(seconds(0.0123), "12.3 ms");
        assert_eq!(seconds(61.0), "61.0 s");
        assert_eq!(seconds(150.0), "2m30s");
        assert_eq!(seconds(4.2e-7), "420 ns");
    }

    #[test]
    fn an_interval_has_one_prefix() {
        assert_eq!(interval(995_000.0, 1_010_000.0), "0.995 … 1.01 M");
    }

    #[test]
    fn bars_fill_their_share() {
        assert_eq!(bar(1.0, 4), "████");
        assert_eq!(bar(0.0, 4), "");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(7.0, 2), "██");
    }

    #[test]
    fn shares_below_ten_percent_keep_a_digit() {
        assert_eq!(percent(0.012), "1.2 %");
        assert_eq!(percent(0.97), "97 %");
    }
}
