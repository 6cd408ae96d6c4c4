//! What the counters say at each worker count: medians over its samples, in units that can be compared across counts.

use super::Observation;
use super::group::Group;

/// The launcher's own CPU time, about 1 ms, is part of its child's: shares of CPU time over wall time are not taken from
/// samples in which it is more than a few per cent. Seconds.
const SHORTEST_WALL_S: f64 = 0.02;

/// Facts of one worker count; `None` where they were not measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    pub(super) n: f64,
    /// CPUs kept busy: CPU time over wall time.
    pub(super) busy: Option<f64>,
    pub(super) cpu_s_per_op: Option<f64>,
    pub(super) kernel_s_per_op: Option<f64>,
    /// Kernel part of the CPU time.
    pub(super) kernel_share: Option<f64>,
    /// Seconds throttled a second of wall time; above 1 where several CPUs are throttled at once.
    pub(super) throttled_share: Option<f64>,
    /// Quota in force, CPUs.
    pub(super) quota: Option<f64>,
    /// Part of the quota's periods in which it ran out.
    pub(super) throttled_periods_share: Option<f64>,
    /// Part of the runnable time that was spent waiting for a CPU.
    pub(super) wait_share: Option<f64>,
    pub(super) switches_per_op: Option<f64>,
    pub(super) switches_per_s: Option<f64>,
    pub(super) parks_per_op: Option<f64>,
    pub(super) parks_per_cpu_s: Option<f64>,
    pub(super) instructions_per_op: Option<f64>,
    pub(super) cycles_per_instruction: Option<f64>,
    pub(super) cache_misses_per_op: Option<f64>,
    /// Cache misses a second of wall time.
    pub(super) cache_misses_per_s: Option<f64>,
    /// CPUs that it would keep busy if it never waited for one: CPU time and waits for a CPU over wall time.
    pub(super) wanted: Option<f64>,
    pub(super) lock_waits_per_op: Option<f64>,
    /// Part of all run time of the goroutine that ran longest.
    pub(super) busiest_share: Option<f64>,
    /// The longest that a goroutine was seen to keep its processor beyond a time slice.
    pub(super) longest_run_s: Option<f64>,
}

/// How each fact is read from a sample, in the order of the fields.
const READERS: [fn(&Observation) -> Option<f64>; 20] = [
    |o| Some(o.cpu_s()? / o.wall_s.filter(|wall| *wall >= SHORTEST_WALL_S)?),
    Observation::cpu_s_per_op,
    |o| o.per_op(o.sys_s?),
    |o| ratio(o.sys_s?, o.cpu_s()?),
    |o| ratio(o.throttled_s?, o.wall_s?),
    |o| o.cpu_quota,
    |o| ratio(o.throttled_periods?, o.quota_periods?),
    |o| ratio(o.run_queue_wait_s?, o.run_queue_wait_s? + o.cpu_s()?),
    |o| o.per_op(o.context_switches?),
    |o| ratio(o.context_switches?, o.wall_s?),
    |o| o.per_op(o.parks?),
    |o| ratio(o.parks?, o.cpu_s()?),
    |o| o.per_op(o.instructions?),
    |o| ratio(o.cycles?, o.instructions?),
    |o| o.per_op(o.cache_misses?),
    |o| ratio(o.cache_misses?, o.wall_s?),
    |o| Some((o.cpu_s()? + o.run_queue_wait_s?) / o.wall_s.filter(|wall| *wall >= SHORTEST_WALL_S)?),
    |o| o.per_op(o.spent.as_ref()?.lock_waits?),
    busiest_share,
    |o| o.spent.as_ref()?.longest_run_s,
];

/// Estimated run times that are further than this from the CPU time come from too few runs that were measured, or from a machine
/// that interrupted them. Guess.
const FAR_OFF: f64 = 0.15;

fn busiest_share(sample: &Observation) -> Option<f64> {
    let spent = sample.spent.as_ref()?;
    let run_s = spent.goroutines_run_s?;
    let is_known = (run_s / (spent.user_s? + spent.sys_s?) - 1.0).abs() <= FAR_OFF;
    ratio(spent.busiest_goroutine_s?, run_s).filter(|_| is_known)
}

impl Facts {
    pub(super) fn new(group: &Group<'_>) -> Self {
        let [
            busy,
            cpu_s_per_op,
            kernel_s_per_op,
            kernel_share,
            throttled_share,
            quota,
            throttled_periods_share,
            wait_share,
            switches_per_op,
            switches_per_s,
            parks_per_op,
            parks_per_cpu_s,
            instructions_per_op,
            cycles_per_instruction,
            cache_misses_per_op,
            cache_misses_per_s,
            wanted,
            lock_waits_per_op,
            busiest_share,
            longest_run_s,
        ] = group.medians(READERS);
        Self {
            n: group.n,
            busy,
            cpu_s_per_op,
            kernel_s_per_op,
            kernel_share,
            throttled_share,
            quota,
            throttled_periods_share,
            wait_share,
            switches_per_op,
            switches_per_s,
            parks_per_op,
            parks_per_cpu_s,
            instructions_per_op,
            cycles_per_instruction,
            cache_misses_per_op,
            cache_misses_per_s,
            wanted,
            lock_waits_per_op,
            busiest_share,
            longest_run_s,
        }
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// Relative growth from one fact to another; `None` if either was not measured, or the first is 0.
pub(super) fn growth(from: Option<f64>, to: Option<f64>) -> Option<f64> {
    ratio(to?, from?).map(|ratio| ratio - 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::group::group;
    use super::*;

    #[test]
    fn what_was_not_measured_stays_unknown() {
        let observations =
            [Observation { n: 2.0, throughput: 5.0, user_s: Some(1.0), ..Observation::default() }];
        let facts = Facts::new(&group(&observations)[0]);
        assert_eq!(facts, Facts { n: 2.0, ..Facts::default() });
    }

    #[test]
    fn a_run_of_a_millisecond_says_nothing_about_busy_cpus() {
        let sample = |wall| Observation {
            n: 1.0,
            throughput: 1.0,
            wall_s: Some(wall),
            user_s: Some(0.0005),
            sys_s: Some(0.001),
            ..Observation::default()
        };
        assert_eq!(Facts::new(&group(&[sample(0.001)])[0]).busy, None);
        assert_eq!(Facts::new(&group(&[sample(0.1)])[0]).busy, Some(0.015));
    }
}
