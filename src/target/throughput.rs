//! What one sample achieved: what the program says of itself, what its output says, or runs over wall time.

use super::command::{compile, operations};
use super::{Kind, Metric, Procs, Target, fill};
use crate::measure::Sample;
use crate::quote::one_line;

/// What one sample achieved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Operations done, positive and finite; `None` with `--metric`.
    pub ops: Option<f64>,
    /// Per second, or in whatever unit the metric is; positive and finite.
    pub throughput: f64,
    /// 99th percentile of the latency, seconds, where `--latency-metric` reads it from the output.
    pub latency_p99_s: Option<f64>,
}

impl Target {
    /// What a successful `sample` at `procs` achieved.
    ///
    /// - With `--metric` the throughput is the value in the output, whatever the program reports, and there are no
    ///   operations. The last match on standard output counts, and standard error only if there is none: the two have
    ///   no common order.
    /// - Otherwise it is operations over seconds: those that the program reports on `COREFIT_RESULT_FD`; what it does
    ///   not report is `--ops` for a command, and the wall time.
    ///
    /// # Errors
    /// In one line, why the sample has to count as failed.
    pub fn measured(&self, sample: &Sample, procs: impl Into<Procs>) -> Result<Measured, String> {
        let reported_ops = sample.report.as_ref().and_then(|report| report.ops);
        let command = match &self.kind {
            Kind::Command(command) => command,
            Kind::Workload { workload, .. } => {
                let ops =
                    reported_ops.ok_or_else(|| format!("workload `{workload}` reported no operations"))?;
                return over_time(ops, sample);
            }
        };
        let measured = match (&command.metric, reported_ops) {
            (Metric::Output { regex, lower_is_better }, _) => {
                let throughput = from_output(regex, *lower_is_better, sample)?;
                Measured { ops: None, throughput, latency_p99_s: None }
            }
            (Metric::Wall { .. }, Some(ops)) => over_time(ops, sample)?,
            (Metric::Wall { ops }, None) => {
                over_time(operations(ops, &fill(ops, procs)).map_err(|error| error.to_string())?, sample)?
            }
        };
        let latency = command.latency_metric.as_deref().map(|regex| latency_s(regex, sample)).transpose()?;
        Ok(Measured { latency_p99_s: latency, ..measured })
    }
}

/// `ops` operations in the time that the program reports, or that it ran.
fn over_time(ops: f64, sample: &Sample) -> Result<Measured, String> {
    let seconds = sample.report.as_ref().and_then(|report| report.elapsed_s).unwrap_or(sample.wall_s);
    let throughput = positive(ops / seconds);
    let throughput =
        throughput.ok_or_else(|| format!("{ops} operations in {seconds} s are no throughput"))?;
    Ok(Measured { ops: Some(ops), throughput, latency_p99_s: None })
}

fn from_output(regex: &str, lower_is_better: bool, sample: &Sample) -> Result<f64, String> {
    let value = last_match("--metric", regex, sample)?;
    let number = value.parse::<f64>().ok().and_then(positive);
    let throughput = number.and_then(|number| positive(if lower_is_better { 1.0 / number } else { number }));
    throughput.ok_or_else(|| {
        format!("`--metric {}` gives `{}`, which is not a positive number", one_line(regex), one_line(&value))
    })
}

fn latency_s(regex: &str, sample: &Sample) -> Result<f64, String> {
    let value = last_match("--latency-metric", regex, sample)?;
    seconds(&value).ok_or_else(|| {
        format!(
            "`--latency-metric {}` gives `{}`, which is not a positive time; its unit may be ns, us, ms, s or m",
            one_line(regex),
            one_line(&value)
        )
    })
}

/// What the first group of the last match of `option`'s `regex` holds, without the blanks around it.
fn last_match(option: &str, regex: &str, sample: &Sample) -> Result<String, String> {
    let compiled = compile(option, regex).map_err(|error| error.to_string())?;
    let last = |output: &[u8]| {
        let value = compiled.captures_iter(output).filter_map(|found| found.get(1)).last()?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    let value = last(&sample.stdout).or_else(|| last(&sample.stderr));
    value.ok_or_else(|| format!("`{option} {}` matches nothing in the output", one_line(regex)))
}

/// Units of a time as programs print them, and their length in seconds; none means seconds.
const UNITS: [(&str, f64); 14] = [
    ("", 1.0),
    ("ns", 1e-9),
    ("us", 1e-6),
    // The sign for micro has two code points.
    ("\u{b5}s", 1e-6),
    ("\u{3bc}s", 1e-6),
    ("usec", 1e-6),
    ("ms", 1e-3),
    ("msec", 1e-3),
    ("s", 1.0),
    ("sec", 1.0),
    ("secs", 1.0),
    ("seconds", 1.0),
    // So wrk prints more than a minute.
    ("m", 60.0),
    ("min", 60.0),
];

/// A time as programs print it, such as `12.3ms`, `0.0034 secs` or `1e-3`; `None` unless it is positive and finite.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    // Units begin with a letter, and so does an exponent: the longest unit that leaves a number is the one.
    let parts = UNITS.iter().filter_map(|(unit, length_s)| {
        let number = text.strip_suffix(unit)?.trim_end().parse::<f64>().ok()?;
        Some((unit.len(), number * length_s))
    });
    parts.max_by_key(|(length, _)| *length).and_then(|(_, seconds)| positive(seconds))
}

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{ChildReport, Counts, Status};
    use crate::target::Command;
    use proptest::prelude::*;

    fn sample(stdout: &str, stderr: &str, report: Option<ChildReport>) -> Sample {
        Sample {
            status: Status::Ok,
            exit_code: Some(0),
            signal: None,
            wall_s: 2.0,
            started_unix_s: 0.0,
            user_s: None,
            sys_s: None,
            max_rss_bytes: None,
            cpu_quota: None,
            throttled_s: None,
            throttled_periods: None,
            quota_periods: None,
            run_queue_wait_s: None,
            blocked: None,
            steal_s: None,
            load: None,
            counts: Counts::default(),
            report,
            stdout: stdout.as_bytes().to_vec(),
            stderr: stderr.as_bytes().to_vec(),
            remarks: Vec::new(),
        }
    }

    fn report(ops: Option<f64>, elapsed_s: Option<f64>) -> Option<ChildReport> {
        Some(ChildReport { ops, elapsed_s, ..ChildReport::default() })
    }

    fn command(command: Command) -> Target {
        Target::command(Command { argv: vec!["sh".to_owned()], ..command }, None, None).unwrap()
    }

    /// Operations and throughput.
    fn achieved(target: &Target, sample: &Sample, procs: u32) -> Result<(Option<f64>, f64), String> {
        target.measured(sample, procs).map(|measured| (measured.ops, measured.throughput))
    }

    fn target(metric: Metric) -> Target {
        command(Command { metric, ..Command::default() })
    }

    fn metric(regex: &str, lower_is_better: bool) -> Target {
        target(Metric::Output { regex: regex.to_owned(), lower_is_better })
    }

    #[test]
    fn a_run_is_one_operation_or_as_many_as_are_given() {
        let of =
            |ops: &str| achieved(&target(Metric::Wall { ops: ops.to_owned() }), &sample("", "", None), 4);
        assert_eq!(of("1"), Ok((Some(1.0), 0.5)));
        assert_eq!(of("{procs}00"), Ok((Some(400.0), 200.0)));
    }

    #[test]
    fn what_the_program_reports_goes_first() {
        let target = target(Metric::Wall { ops: "10".to_owned() });
        let of = |ops, elapsed_s| achieved(&target, &sample("", "", report(ops, elapsed_s)), 1);
        assert_eq!(of(Some(100.0), Some(0.5)), Ok((Some(100.0), 200.0)));
        assert_eq!(of(Some(100.0), None), Ok((Some(100.0), 50.0)));
        assert_eq!(of(None, Some(0.5)), Ok((Some(10.0), 20.0)));
        assert!(of(Some(0.0), Some(0.5)).unwrap_err().contains("0 operations"));
        assert!(of(Some(1.0), Some(0.0)).is_err());
    }

    #[test]
    fn a_workload_has_to_report_its_operations() {
        let kind = Kind::Workload {
            workload: "sort".to_owned(),
            scale: 1.0,
            input: None,
            params: std::collections::BTreeMap::new(),
        };
        let target = Target { name: "sort".to_owned(), unit: "ops/s".to_owned(), kind };
        assert_eq!(achieved(&target, &sample("", "", report(Some(6.0), Some(3.0))), 1), Ok((Some(6.0), 2.0)));
        assert!(achieved(&target, &sample("", "", None), 1).unwrap_err().contains("`sort`"));
    }

    #[test]
    fn the_metric_is_the_first_group_of_the_last_match() {
        let rate = metric("rate: ([0-9.e]+)", false);
        let of = |stdout, stderr| achieved(&rate, &sample(stdout, stderr, report(Some(5.0), None)), 1);
        assert_eq!(of("rate: 1\nrate: 2.5\n", ""), Ok((None, 2.5)));
        assert_eq!(of("rate: 1e3", "rate: 7"), Ok((None, 1000.0)), "standard output goes first");
        assert_eq!(of("nothing", "rate: 7"), Ok((None, 7.0)));
        assert_eq!(achieved(&metric("a|b(.*)c", false), &sample("b 4 c a", "", None), 1), Ok((None, 4.0)));
    }

    #[test]
    fn a_cost_is_turned_over() {
        assert_eq!(achieved(&metric("t=(.*)", true), &sample("t=0.25\n", "", None), 1), Ok((None, 4.0)));
    }

    #[test]
    fn what_is_no_positive_number_fails_the_sample_in_one_line() {
        for value in ["0", "-1", "x", "", "inf", "nan", "1,000", "1e-320"] {
            let why =
                achieved(&metric("t=(.*)", true), &sample(&format!("t={value}\n"), "", None), 1).unwrap_err();
            assert!(why.contains(&format!("`{value}`")) && !why.contains('\n'), "{why}");
        }
        let why = achieved(&metric("t=(\\d+)", false), &sample("", "", None), 1).unwrap_err();
        assert!(why.contains("matches nothing") && !why.contains('\n'), "{why}");
        let long = format!("t={}", "é".repeat(1000));
        assert!(achieved(&metric("t=(.*)", false), &sample(&long, "", None), 1).unwrap_err().len() < 500);
    }

    #[test]
    fn output_that_is_no_text_is_searched_all_the_same() {
        let mut odd = sample("", "", None);
        odd.stdout = b"\xff\xfe x=3 \xff".to_vec();
        assert_eq!(achieved(&metric("x=(\\d+)", false), &odd, 1), Ok((None, 3.0)));
    }

    #[test]
    fn a_latency_is_read_in_the_unit_it_is_printed_in() {
        for (printed, expected) in [
            ("12.3ms", 0.0123),
            ("450.00us", 450e-6),
            ("7\u{b5}s", 7e-6),
            ("7\u{3bc}s", 7e-6),
            ("0.0034 secs", 0.0034),
            ("1.5", 1.5),
            ("2e-3", 0.002),
            ("2s", 2.0),
            ("80 ns", 80e-9),
            ("1.50m", 90.0),
        ] {
            let found = seconds(printed).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-12, "{printed}: {found}");
        }
        for wrong in ["", "ms", "0", "-1ms", "1 hour", "inf", "nan", "1ms2", "1e999s", "e"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_latency_stands_beside_any_throughput_and_a_missing_one_fails_the_sample() {
        let latency = || Some("99% *(\\S+)".to_owned());
        let rate = Metric::Output { regex: "rps=(.*)".to_owned(), lower_is_better: false };
        let both = command(Command { metric: rate, latency_metric: latency(), ..Command::default() });
        let wrk = sample("50%  1.00ms\n99%  2.50ms\nrps=7\n", "", None);
        let expected = Measured { ops: None, throughput: 7.0, latency_p99_s: Some(0.0025) };
        assert_eq!(both.measured(&wrk, 1), Ok(expected));
        let alone = command(Command { latency_metric: latency(), ..Command::default() });
        let expected = Measured { ops: Some(1.0), throughput: 0.5, latency_p99_s: Some(0.0025) };
        assert_eq!(alone.measured(&wrk, 1), Ok(expected));
        let why = alone.measured(&sample("", "", None), 1).unwrap_err();
        assert!(why.starts_with("`--latency-metric 99%") && why.contains("matches nothing"), "{why}");
        let why = alone.measured(&sample("99% soon", "", None), 1).unwrap_err();
        assert!(why.contains("`soon`") && !why.contains('\n'), "{why}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_printed_time_reads_back_and_no_text_panics(
            time in 1e-9f64..1e6, unit in 0..UNITS.len(), gap in " ?", text in any::<String>(),
        ) {
            let (name, length_s) = UNITS[unit];
            let found = seconds(&format!("{}{gap}{name}", time / length_s)).unwrap();
            prop_assert!((found / time - 1.0).abs() < 1e-9, "{found} for {time}");
            prop_assert!(seconds(&text).is_none_or(|seconds| seconds > 0.0 && seconds.is_finite()));
        }
    }
}
