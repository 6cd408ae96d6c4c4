//! Times as people type them.

use std::time::Duration;

use super::Error;

/// Units of a time and their length in seconds. No unit means seconds.
const UNITS: [(&str, f64); 8] = [
    ("", 1.0),
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Longest time accepted, seconds: 90 days. Longer is a slip of the pen, and up to here a `f64` of seconds tells
/// neighbouring nanoseconds apart.
const LONGEST_S: f64 = 90.0 * 86_400.0;

/// A time as typed: `500ms`, `9s`, `2m`, `1h`, `1.5s`, `20us`; a bare number is seconds. At least a nanosecond, at most
/// 90 days.
///
/// # Errors
/// It is not a positive time, or longer than that.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let bad = |why: &str| Error::Invalid(format!("`{text}` is not a time: {why}"));
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 =
        number.parse().ok().ok_or_else(|| bad("write a number and a unit, as in `500ms`, `9s` or `2m`"))?;
    let (_, unit_s) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| bad("its unit is none of `ns`, `us`, `ms`, `s`, `m`, `h`"))?;
    let seconds = number * unit_s;
    if seconds > LONGEST_S {
        return Err(bad("it is longer than 90 days"));
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(bad("it has to be above zero")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, nanoseconds: u64) {
        assert_eq!(parse_duration(text).unwrap(), Duration::from_nanos(nanoseconds), "{text}");
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        check("500ms", 500_000_000);
        check("9s", 9_000_000_000);
        check("2m", 120_000_000_000);
        check("1h", 3_600_000_000_000);
        check("1.5s", 1_500_000_000);
        check("20us", 20_000);
        check("20µs", 20_000);
        check("7ns", 7);
        check("3", 3_000_000_000);
        check(".5", 500_000_000);
    }

    #[test]
    fn what_is_no_positive_time_is_refused_in_one_line_that_names_it() {
        for text in
            ["", "0", "0s", "-1s", "s", "ms", "1d", "1 s", "1e3", "inf", "nan", "1.2.3s", "0.1ns", "91000h"]
        {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")) && !error.contains('\n'), "{error}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_printed_time_reads_back(nanoseconds in 1u64..90 * 86_400 * 1_000_000_000) {
            let time = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&format!("{time:?}")).unwrap(), time);
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse_duration(&text);
        }
    }
}
