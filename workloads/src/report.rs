//! What a workload's process tells about its run: the one line of JSON that it writes to `COREFIT_RESULT_FD`.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use corefit_runtime::Metrics;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::crew::message;
use crate::{Failure, Outcome, Settings, Timed, Workload};

/// Keys are named as the columns of `samples.csv`; what was not measured is absent.
#[derive(Serialize)]
struct Line {
    ops: u64,
    elapsed_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_s: Option<Latency>,
    runtime: Runtime,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Serialize)]
struct Runtime {
    goroutines: u64,
    steals: u64,
    parks: u64,
    wakes: u64,
    handoffs: u64,
    preemptions: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sched_latency_p50_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sched_latency_p99_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_length_p50_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_length_p99_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_queue_wait_s: Option<f64>,
    #[serde(flatten)]
    timed: TimedPart,
}

/// Where the processors' time went during the timed part.
#[derive(Serialize)]
struct TimedPart {
    timed_user_s: f64,
    timed_sys_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    timed_run_queue_wait_s: Option<f64>,
    idle_lock_s: f64,
    idle_channel_s: f64,
    idle_io_s: f64,
    idle_sleep_s: f64,
    idle_slack_s: f64,
    idle_critical_s: f64,
    waking_s: f64,
    searching_s: f64,
    outside_cpu_s: f64,
    blocking_cpu_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_wait_s: Option<f64>,
    lock_waits: u64,
    busiest_goroutine_s: f64,
    goroutines_run_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    longest_run_s: Option<f64>,
}

impl TimedPart {
    fn new(timed: &Timed) -> Self {
        let costs = &timed.costs;
        let times = costs.times;
        let seconds = |time: Duration| time.as_secs_f64();
        Self {
            timed_user_s: seconds(costs.user),
            timed_sys_s: seconds(costs.system),
            timed_run_queue_wait_s: timed.run_queue_wait_s,
            idle_lock_s: seconds(times.idle_lock),
            idle_channel_s: seconds(times.idle_channel),
            idle_io_s: seconds(times.idle_io),
            idle_sleep_s: seconds(times.idle_sleep),
            idle_slack_s: seconds(times.idle_slack),
            idle_critical_s: seconds(times.idle_critical),
            waking_s: seconds(times.waking),
            searching_s: seconds(times.searching),
            outside_cpu_s: seconds(times.outside_cpu),
            blocking_cpu_s: seconds(times.blocking_cpu),
            outside_wait_s: times.outside_wait.map(seconds),
            lock_waits: costs.lock_waits,
            busiest_goroutine_s: seconds(times.busiest_goroutine),
            goroutines_run_s: seconds(times.goroutines_run),
            longest_run_s: Some(times.longest_run).filter(|run| !run.is_zero()).map(seconds),
        }
    }
}

/// Runs a workload as the main goroutine of a runtime with the default number of processors; the line that tells of it,
/// without a line end.
///
/// # Errors
/// A parameter is not one of the workload's; the workload failed or panicked.
pub fn execute(workload: &Workload, settings: &Settings) -> Result<String, Failure> {
    check_params(workload, &settings.params)?;
    let (name, run, settings) = (workload.name, workload.run, settings.clone());
    let main = move || {
        let outcome = run(&settings)?;
        // Read before the runtime ends, and its workers with their accounts.
        Ok(result_line(&outcome, &corefit_runtime::metrics(), run_queue_wait()))
    };
    catch_unwind(AssertUnwindSafe(|| corefit_runtime::run(main)))
        .unwrap_or_else(|payload| Err(Failure(format!("workload `{name}` panicked: {}", message(&*payload)))))
}

/// Checks that every parameter is one of the workload's. What it is set to is read when the workload runs.
///
/// # Errors
/// It has none of that name; the message names those it has.
pub fn check_params(workload: &Workload, params: &BTreeMap<String, String>) -> Result<(), Failure> {
    let known: Vec<&str> = workload.parameters.iter().map(|parameter| parameter.name).collect();
    let Some(unknown) = params.keys().find(|name| !known.contains(&name.as_str())) else { return Ok(()) };
    let has = if known.is_empty() { "none".to_owned() } else { format!("`{}`", known.join("`, `")) };
    Err(Failure(format!("workload `{}` has no parameter `{unknown}`; it has {has}", workload.name)))
}

/// The line that tells of a run, without a line end. `run_queue_wait_s`: see [`run_queue_wait`].
#[must_use]
pub fn result_line(outcome: &Outcome, runtime: &Metrics, run_queue_wait_s: Option<f64>) -> String {
    let line = Line {
        ops: outcome.ops,
        elapsed_s: outcome.timed.elapsed().as_secs_f64(),
        latency_s: outcome.latency_ns.as_ref().filter(|latency| !latency.is_empty()).map(latency_s),
        runtime: Runtime {
            goroutines: runtime.goroutines,
            steals: runtime.steals,
            parks: runtime.parks,
            wakes: runtime.wakes,
            handoffs: runtime.handoffs,
            preemptions: runtime.preemptions,
            sched_latency_p50_s: runtime.sched_latency_p50_s,
            sched_latency_p99_s: runtime.sched_latency_p99_s,
            run_length_p50_s: runtime.run_length_p50_s,
            run_length_p99_s: runtime.run_length_p99_s,
            run_queue_wait_s,
            timed: TimedPart::new(&outcome.timed),
        },
    };
    serde_json::to_string(&line).expect("numbers under fixed names have a JSON form")
}

fn latency_s(latency_ns: &Histogram<u64>) -> Latency {
    let seconds = |nanoseconds: u64| nanoseconds as f64 / 1e9;
    let quantile = |quantile| seconds(latency_ns.value_at_quantile(quantile));
    Latency {
        p50: quantile(0.5),
        p90: quantile(0.9),
        p99: quantile(0.99),
        p999: quantile(0.999),
        max: seconds(latency_ns.max()),
    }
}

/// Seconds that the threads of this process have been ready to run and waited for a CPU, summed over those that live
/// now. `None` where the kernel does not say.
#[must_use]
pub fn run_queue_wait() -> Option<f64> {
    waited(|_| true)
}

/// The same of the runtime's workers only: what its watch and the thread that waits in `run` wait for keeps no processor.
pub(crate) fn workers_wait() -> Option<f64> {
    waited(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|name| is_worker(&name)))
}

fn is_worker(name: &str) -> bool {
    let number = name.trim_end().strip_prefix("corefit-");
    number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn waited(counts: impl Fn(&Path) -> bool) -> Option<f64> {
    let threads = fs::read_dir("/proc/self/task").ok()?;
    let threads = threads.flatten().map(|thread| thread.path()).filter(|thread| counts(thread));
    // A thread may end while the list is read; it is then left out.
    let accounts = threads.filter_map(|thread| fs::read_to_string(thread.join("schedstat")).ok());
    accounts.filter_map(|account| waited_s(&account)).reduce(|sum, waited_s| sum + waited_s)
}

/// The second field of a `schedstat`: nanoseconds waited. The first is nanoseconds run, the third is how often.
fn waited_s(schedstat: &str) -> Option<f64> {
    let waited_ns: u64 = schedstat.split_whitespace().nth(1)?.parse().ok()?;
    Some(waited_ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Parameter;
    use crate::latency::histogram;
    use corefit_runtime::{Costs, Times};
    use serde_json::Value;

    const WORKLOAD: Workload = Workload {
        name: "example",
        about: "",
        scaling: "",
        unit: "ops/s",
        policy: None,
        parameters: &[
            Parameter { name: "size", default: "1", about: "", accepts: |_| true },
            Parameter { name: "depth", default: "1", about: "", accepts: |_| true },
        ],
        run: |settings| match settings.params.get("size").map(String::as_str) {
            Some("failure") => Err(Failure("the sum is wrong".to_owned())),
            Some(other) => panic!("no size is called {other}"),
            None => Ok(Outcome { ops: 5, timed: timed(1_500), latency_ns: None }),
        },
    };

    /// So long, at one processor that was busy all the time.
    fn timed(elapsed_ms: u64) -> Timed {
        let elapsed = Duration::from_millis(elapsed_ms);
        let times = Times { outside_wait: Some(Duration::ZERO), ..Times::default() };
        Timed { costs: Costs { elapsed, user: elapsed, times, ..Costs::default() }, run_queue_wait_s: None }
    }

    fn settings(params: &[(&str, &str)]) -> Settings {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings { scale: 1.0, input: None, params }
    }

    fn parse(line: &str) -> Value {
        assert!(!line.contains('\n'), "more than one line: {line}");
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn all_that_was_measured_is_in_the_line_in_seconds() {
        let latency_ns = Some(histogram((1..=1_000).map(|microseconds| 1_000 * microseconds)));
        let outcome = Outcome { ops: 1_000, timed: timed(250), latency_ns };
        let metrics = Metrics {
            goroutines: 1,
            steals: 2,
            parks: 3,
            wakes: 4,
            handoffs: 5,
            preemptions: 6,
            sched_latency_p50_s: Some(7e-6),
            sched_latency_p99_s: Some(8e-6),
            run_length_p50_s: Some(9e-6),
            run_length_p99_s: Some(1e-5),
            ..Metrics::default()
        };
        let line = parse(&result_line(&outcome, &metrics, Some(0.5)));
        assert_eq!((&line["ops"], &line["elapsed_s"]), (&1_000.into(), &0.25.into()));
        for (key, expected_s) in
            [("p50", 5e-4), ("p90", 9e-4), ("p99", 9.9e-4), ("p999", 9.99e-4), ("max", 1e-3)]
        {
            let found_s = line["latency_s"][key].as_f64().unwrap();
            assert!((found_s / expected_s - 1.0).abs() < 2e-3, "{key} is {found_s}");
        }
        let runtime = serde_json::json!({
            "goroutines": 1, "steals": 2, "parks": 3, "wakes": 4, "handoffs": 5, "preemptions": 6,
            "sched_latency_p50_s": 7e-6, "sched_latency_p99_s": 8e-6,
            "run_length_p50_s": 9e-6, "run_length_p99_s": 1e-5, "run_queue_wait_s": 0.5,
            "timed_user_s": 0.25, "timed_sys_s": 0.0, "idle_lock_s": 0.0, "idle_channel_s": 0.0, "idle_io_s": 0.0,
            "idle_sleep_s": 0.0, "idle_slack_s": 0.0, "idle_critical_s": 0.0, "waking_s": 0.0, "searching_s": 0.0,
            "outside_cpu_s": 0.0, "blocking_cpu_s": 0.0, "outside_wait_s": 0.0, "lock_waits": 0, "busiest_goroutine_s": 0.0, "goroutines_run_s": 0.0,
        });
        assert_eq!(line["runtime"], runtime);
    }

    #[test]
    fn what_was_not_measured_is_absent() {
        let outcome = Outcome { ops: 1, timed: Timed::default(), latency_ns: Some(histogram([])) };
        let line = parse(&result_line(&outcome, &Metrics::default(), None));
        assert!(line.get("latency_s").is_none(), "{line}");
        for key in [
            "sched_latency_p50_s",
            "sched_latency_p99_s",
            "run_length_p50_s",
            "run_length_p99_s",
            "run_queue_wait_s",
            "timed_run_queue_wait_s",
            "outside_wait_s",
            "longest_run_s",
        ] {
            assert!(line["runtime"].get(key).is_none(), "{key} in {line}");
        }
    }

    #[test]
    fn a_run_gives_its_line() {
        let line = parse(&execute(&WORKLOAD, &settings(&[])).unwrap());
        assert_eq!((&line["ops"], &line["elapsed_s"]), (&5.into(), &1.5.into()));
    }

    #[test]
    fn a_failure_a_panic_and_an_unknown_parameter_are_failures_of_one_line() {
        let failure =
            |params: &[(&str, &str)]| execute(&WORKLOAD, &settings(params)).unwrap_err().to_string();
        assert_eq!(failure(&[("size", "failure")]), "the sum is wrong");
        assert_eq!(failure(&[("size", "big")]), "workload `example` panicked: no size is called big");
        let unknown = failure(&[("size", "1"), ("width", "1")]);
        assert_eq!(unknown, "workload `example` has no parameter `width`; it has `size`, `depth`");
    }

    #[test]
    fn a_workload_without_parameters_says_so() {
        let none = Workload { parameters: &[], ..WORKLOAD };
        let failure = check_params(&none, &settings(&[("size", "1")]).params).unwrap_err();
        assert_eq!(failure.to_string(), "workload `example` has no parameter `size`; it has none");
        check_params(&none, &settings(&[]).params).unwrap();
    }

    #[test]
    fn the_wait_is_the_second_field_of_a_schedstat() {
        assert_eq!(waited_s("1200000000 2500000000 42\n"), Some(2.5));
        assert_eq!(waited_s("1200000000"), None);
        assert_eq!(waited_s("a b c"), None);
    }

    #[test]
    fn workers_are_known_by_their_names() {
        let names = ["corefit-0\n", "corefit-17", "corefit-sysmon\n", "corefit", "main"];
        assert_eq!(names.map(is_worker), [true, true, false, false, false]);
    }

    #[test]
    fn the_wait_of_this_process_is_there_exactly_where_the_kernel_accounts_for_it() {
        let is_accounted = std::path::Path::new("/proc/self/schedstat").exists();
        assert_eq!(run_queue_wait().is_some(), is_accounted);
        assert!(run_queue_wait().is_none_or(|waited_s| waited_s >= 0.0));
    }
}
