//! The throughput of one sample: what the program says of itself, what its output says, or runs over wall time.

use super::command::{compile, operations};
use super::{Kind, Metric, Procs, Target, fill};
use crate::measure::Sample;
use crate::quote::one_line;

impl Target {
    /// Operations and throughput of a successful `sample` at `procs`, both positive and finite.
    ///
    /// - With `--metric` the throughput is the value in the output, whatever the program reports, and there are no
    ///   operations. The last match on standard output counts, and standard error only if there is none: the two have
    ///   no common order.
    /// - Otherwise it is operations over seconds: those that the program reports on `COREFIT_RESULT_FD`; what it does
    ///   not report is `--ops` for a command, and the wall time.
    ///
    /// # Errors
    /// In one line, why the sample has to count as failed.
    pub fn throughput(&self, sample: &Sample, procs: impl Into<Procs>) -> Result<(Option<f64>, f64), String> {
        let report = sample.report.as_ref();
        let reported_ops = report.and_then(|report| report.ops);
        let ops = match &self.kind {
            Kind::Command { metric: Metric::Output { regex, lower_is_better }, .. } => {
                return Ok((None, from_output(regex, *lower_is_better, sample)?));
            }
            Kind::Command { metric: Metric::Wall { ops }, .. } => match reported_ops {
                Some(ops) => ops,
                None => operations(ops, &fill(ops, procs)).map_err(|error| error.to_string())?,
            },
            Kind::Workload { workload, .. } => {
                reported_ops.ok_or_else(|| format!("workload `{workload}` reported no operations"))?
            }
        };
        let seconds = report.and_then(|report| report.elapsed_s).unwrap_or(sample.wall_s);
        let throughput = positive(ops / seconds);
        let throughput =
            throughput.ok_or_else(|| format!("{ops} operations in {seconds} s are no throughput"))?;
        Ok((Some(ops), throughput))
    }
}

fn from_output(regex: &str, lower_is_better: bool, sample: &Sample) -> Result<f64, String> {
    let compiled = compile(regex).map_err(|error| error.to_string())?;
    let shown = one_line(regex);
    let last = |output: &[u8]| {
        let value = compiled.captures_iter(output).filter_map(|found| found.get(1)).last()?;
        Some(String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
    };
    let value = last(&sample.stdout).or_else(|| last(&sample.stderr));
    let value = value.ok_or_else(|| format!("`--metric {shown}` matches nothing in the output"))?;
    let number = value.parse::<f64>().ok().and_then(positive);
    let throughput = number.and_then(|number| positive(if lower_is_better { 1.0 / number } else { number }));
    throughput.ok_or_else(|| {
        format!("`--metric {shown}` gives `{}`, which is not a positive number", one_line(&value))
    })
}

fn positive(value: f64) -> Option<f64> {
    (value.is_finite() && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{ChildReport, Counts, Status};

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
            steal_s: None,
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

    fn target(metric: Metric) -> Target {
        Target::command(&["sh".to_owned()], &[], metric, None, None).unwrap()
    }

    fn metric(regex: &str, lower_is_better: bool) -> Target {
        target(Metric::Output { regex: regex.to_owned(), lower_is_better })
    }

    #[test]
    fn a_run_is_one_operation_or_as_many_as_are_given() {
        let of =
            |ops: &str| target(Metric::Wall { ops: ops.to_owned() }).throughput(&sample("", "", None), 4);
        assert_eq!(of("1"), Ok((Some(1.0), 0.5)));
        assert_eq!(of("{procs}00"), Ok((Some(400.0), 200.0)));
    }

    #[test]
    fn what_the_program_reports_goes_first() {
        let target = target(Metric::Wall { ops: "10".to_owned() });
        let of = |ops, elapsed_s| target.throughput(&sample("", "", report(ops, elapsed_s)), 1);
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
        assert_eq!(target.throughput(&sample("", "", report(Some(6.0), Some(3.0))), 1), Ok((Some(6.0), 2.0)));
        assert!(target.throughput(&sample("", "", None), 1).unwrap_err().contains("`sort`"));
    }

    #[test]
    fn the_metric_is_the_first_group_of_the_last_match() {
        let rate = metric("rate: ([0-9.e]+)", false);
        let of = |stdout, stderr| rate.throughput(&sample(stdout, stderr, report(Some(5.0), None)), 1);
        assert_eq!(of("rate: 1\nrate: 2.5\n", ""), Ok((None, 2.5)));
        assert_eq!(of("rate: 1e3", "rate: 7"), Ok((None, 1000.0)), "standard output goes first");
        assert_eq!(of("nothing", "rate: 7"), Ok((None, 7.0)));
        assert_eq!(metric("a|b(.*)c", false).throughput(&sample("b 4 c a", "", None), 1), Ok((None, 4.0)));
    }

    #[test]
    fn a_cost_is_turned_over() {
        assert_eq!(metric("t=(.*)", true).throughput(&sample("t=0.25\n", "", None), 1), Ok((None, 4.0)));
    }

    #[test]
    fn what_is_no_positive_number_fails_the_sample_in_one_line() {
        for value in ["0", "-1", "x", "", "inf", "nan", "1,000", "1e-320"] {
            let why =
                metric("t=(.*)", true).throughput(&sample(&format!("t={value}\n"), "", None), 1).unwrap_err();
            assert!(why.contains(&format!("`{value}`")) && !why.contains('\n'), "{why}");
        }
        let why = metric("t=(\\d+)", false).throughput(&sample("", "", None), 1).unwrap_err();
        assert!(why.contains("matches nothing") && !why.contains('\n'), "{why}");
        let long = format!("t={}", "é".repeat(1000));
        assert!(metric("t=(.*)", false).throughput(&sample(&long, "", None), 1).unwrap_err().len() < 500);
    }

    #[test]
    fn output_that_is_no_text_is_searched_all_the_same() {
        let mut odd = sample("", "", None);
        odd.stdout = b"\xff\xfe x=3 \xff".to_vec();
        assert_eq!(metric("x=(\\d+)", false).throughput(&odd, 1), Ok((None, 3.0)));
    }
}
