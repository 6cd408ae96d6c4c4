//! The line of JSON that a program writes about itself, read leniently: it is somebody else's text.

use serde_json::{Map, Value};

use super::ChildReport;

/// Characters of the program's own text that are quoted in a remark.
const QUOTE_CHARS: usize = 40;

/// Reads what a program wrote to the result descriptor: the last line that is a JSON object wins. `None` if there was none;
/// `remarks` gets one line if anything was refused, however much it was.
pub fn parse(written: &[u8], remarks: &mut Vec<String>) -> Option<ChildReport> {
    let mut refused = Vec::new();
    let report = read_last(written, &mut refused);
    let more = refused.len().saturating_sub(1);
    let others =
        if more > 0 { format!("; and {more} more of its numbers are ignored") } else { String::new() };
    remarks.extend(refused.first().map(|first| format!("{first}{others}")));
    report
}

fn read_last(written: &[u8], remarks: &mut Vec<String>) -> Option<ChildReport> {
    let mut lines = written.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).rev();
    let last = lines.next()?;
    if let Ok(Value::Object(object)) = serde_json::from_slice(last) {
        return Some(read(&object, remarks));
    }
    remarks.push(format!(
        "its last result line is not a JSON object: `{}`",
        quote(&String::from_utf8_lossy(last), QUOTE_CHARS)
    ));
    lines.find_map(|line| match serde_json::from_slice(line) {
        Ok(Value::Object(object)) => Some(read(&object, remarks)),
        _ => None,
    })
}

fn read(object: &Map<String, Value>, remarks: &mut Vec<String>) -> ChildReport {
    let mut report = ChildReport::default();
    if let Some(value) = object.get("ops") {
        report.ops = number("ops", value, remarks);
    }
    if let Some(value) = object.get("elapsed_s") {
        report.elapsed_s = number("elapsed_s", value, remarks).filter(|seconds| {
            let has_passed = *seconds > 0.0;
            if !has_passed {
                remarks.push("its result says `elapsed_s` is 0; ignored".to_owned());
            }
            has_passed
        });
    }
    for (key, numbers) in [("latency_s", &mut report.latency_s), ("runtime", &mut report.runtime)] {
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::Object(members)) => {
                for (name, value) in members {
                    if let Some(value) = number(name, value, remarks) {
                        numbers.insert(name.clone(), value);
                    }
                }
            }
            Some(_) => remarks.push(format!("its result's `{key}` is not an object; ignored")),
        }
    }
    report
}

/// A finite number that is not negative; `null` is nothing, anything else is nothing and a remark.
fn number(name: &str, value: &Value, remarks: &mut Vec<String>) -> Option<f64> {
    let number = value.as_f64().filter(|number| number.is_finite() && *number >= 0.0);
    if number.is_none() && !value.is_null() {
        let (name, value) = (quote(name, QUOTE_CHARS), quote(&value.to_string(), QUOTE_CHARS));
        remarks.push(format!("its result says `{name}` is {value}, which is no count or time; ignored"));
    }
    number
}

/// The program's text on one line, cut to `limit` characters.
pub(super) fn quote(text: &str, limit: usize) -> String {
    let mut quoted = String::new();
    for char in text.chars().take(limit) {
        if char.is_control() { quoted.extend(char.escape_debug()) } else { quoted.push(char) }
    }
    if text.chars().nth(limit).is_some() {
        quoted.push('…');
    }
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(written: &str) -> (Option<ChildReport>, Vec<String>) {
        let mut remarks = Vec::new();
        let report = parse(written.as_bytes(), &mut remarks);
        (report, remarks)
    }

    #[test]
    fn a_full_line_is_read() {
        let line =
            r#"{"ops":100,"elapsed_s":0.5,"latency_s":{"p50":1e-3},"runtime":{"steals":7},"extra":[1]}"#;
        let (report, remarks) = check(&format!("{line}\n"));
        let report = report.unwrap();
        assert_eq!((report.ops, report.elapsed_s), (Some(100.0), Some(0.5)));
        assert_eq!(report.latency_s.get("p50"), Some(&1e-3));
        assert_eq!(report.runtime.get("steals"), Some(&7.0));
        assert!(remarks.is_empty());
    }

    #[test]
    fn the_last_line_wins_with_or_without_its_end() {
        assert_eq!(check("{\"ops\":1}\n{\"ops\":2}\n\n").0.unwrap().ops, Some(2.0));
        assert_eq!(check("{\"ops\":1}\n{\"ops\":2}").0.unwrap().ops, Some(2.0));
    }

    #[test]
    fn a_torn_last_line_leaves_the_one_before_and_a_remark() {
        let (report, remarks) = check("{\"ops\":1}\n{\"ops\":");
        assert_eq!(report.unwrap().ops, Some(1.0));
        assert_eq!(remarks, ["its last result line is not a JSON object: `{\"ops\":`"]);
    }

    #[test]
    fn nothing_written_is_no_report_and_no_remark() {
        assert_eq!(check(""), (None, vec![]));
        assert_eq!(check("\n \n"), (None, vec![]));
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_with_a_remark() {
        let (report, remarks) =
            check(r#"{"ops":-1,"elapsed_s":0,"latency_s":{"p50":"fast","p99":2},"runtime":3}"#);
        let report = report.unwrap();
        assert_eq!((report.ops, report.elapsed_s), (None, None));
        assert_eq!(report.latency_s.into_iter().collect::<Vec<_>>(), [("p99".to_owned(), 2.0)]);
        let told = "its result says `ops` is -1, which is no count or time; ignored; and 3 more of its numbers are ignored";
        assert_eq!(remarks, [told]);
    }

    #[test]
    fn a_number_beyond_all_floats_does_not_become_infinite() {
        let (report, remarks) = check(r#"{"ops":1e999}"#);
        assert_eq!(report, None);
        assert_eq!(remarks.len(), 1);
    }

    #[test]
    fn null_is_not_measured() {
        assert_eq!(check(r#"{"ops":null,"latency_s":null}"#), (Some(ChildReport::default()), vec![]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut remarks = Vec::new();
            parse(&bytes, &mut remarks);
            prop_assert!(remarks.len() <= 1 && remarks.iter().all(|remark| !remark.contains('\n')));
        }

        #[test]
        fn any_json_gives_finite_numbers_only(
            key in "ops|elapsed_s|latency_s|runtime",
            value in "-?[0-9]{1,3}(\\.[0-9]{1,3})?(e-?[0-9]{1,3})?|\"x\"|\\[\\]|\\{\"p50\":-?[0-9]{1,4}\\}",
        ) {
            let mut remarks = Vec::new();
            if let Some(report) = parse(format!("{{\"{key}\":{value}}}").as_bytes(), &mut remarks) {
                let numbers = report.ops.into_iter().chain(report.elapsed_s);
                let numbers = numbers.chain(report.latency_s.into_values()).chain(report.runtime.into_values());
                for number in numbers {
                    prop_assert!(number.is_finite() && number >= 0.0);
                }
            }
        }
    }
}
