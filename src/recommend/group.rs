//! Samples by worker count, and the point that each makes.

use super::Observation;
use crate::results::Point;
use crate::stats::{self, median};

/// All usable samples of one worker count.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) n: f64,
    /// In the order they were measured; not empty.
    pub(super) samples: Vec<&'a Observation>,
    /// Their throughputs, ascending.
    pub(super) throughputs: Vec<f64>,
}

/// The samples by worker count, ascending. What is not positive and finite is left out: no law, ratio or logarithm of
/// it exists.
pub(super) fn group(observations: &[Observation]) -> Vec<Group<'_>> {
    let is_usable = |x: f64| x > 0.0 && x.is_finite();
    let mut usable: Vec<&Observation> =
        observations.iter().filter(|o| is_usable(o.n) && is_usable(o.throughput)).collect();
    usable.sort_by(|a, b| a.n.total_cmp(&b.n));
    usable
        .chunk_by(|a, b| a.n == b.n)
        .map(|samples| {
            let mut throughputs: Vec<f64> = samples.iter().map(|o| o.throughput).collect();
            throughputs.sort_by(f64::total_cmp);
            Group { n: samples[0].n, samples: samples.to_vec(), throughputs }
        })
        .collect()
}

impl Group<'_> {
    /// Median of each value over the samples that have it; `None` if none has. One pass, since samples are large.
    pub(super) fn medians<const N: usize>(
        &self,
        readers: [fn(&Observation) -> Option<f64>; N],
    ) -> [Option<f64>; N] {
        let mut columns = [const { Vec::new() }; N];
        for sample in &self.samples {
            for (column, read) in columns.iter_mut().zip(readers) {
                column.extend(read(sample).filter(|x: &f64| x.is_finite()));
            }
        }
        columns.map(|mut column| median(&mut column))
    }

    pub(super) fn throughput(&self) -> f64 {
        let middle = self.throughputs.len() / 2;
        let upper = self.throughputs[middle];
        if !self.throughputs.len().is_multiple_of(2) {
            return upper;
        }
        let lower = self.throughputs[middle - 1];
        lower + (upper - lower) / 2.0
    }
}

/// The samples that were measured with no worker count set; `None` if none is usable.
pub(super) fn of_default(observations: &[Observation]) -> Option<Group<'_>> {
    let is_usable = |o: &&Observation| o.throughput > 0.0 && o.throughput.is_finite();
    let samples: Vec<&Observation> = observations.iter().filter(is_usable).collect();
    let mut throughputs: Vec<f64> = samples.iter().map(|o| o.throughput).collect();
    throughputs.sort_by(f64::total_cmp);
    // No number is its worker count, so nothing can be divided by it.
    (!samples.is_empty()).then_some(Group { n: f64::NAN, samples, throughputs })
}

/// One point a group; speedup and efficiency against N = 1 where that was measured.
pub(super) fn points(groups: &[Group<'_>]) -> Vec<Point> {
    let single = groups.iter().find(|group| group.n == 1.0).map(Group::throughput);
    groups.iter().map(|group| point(group, single)).collect()
}

pub(super) fn point(group: &Group<'_>, single: Option<f64>) -> Point {
    let throughput = group.throughput();
    let interval = stats::median_interval(&group.throughputs);
    let finite = |x: f64| x.is_finite().then_some(x);
    let [cpu_s_per_op, latency_p99_s, max_rss_bytes] =
        group.medians([Observation::cpu_s_per_op, |o| o.latency_p99_s, |o| o.max_rss_bytes]);
    let speedup = single.and_then(|single| finite(throughput / single));
    Point {
        procs: group.n,
        samples: u32::try_from(group.samples.len()).unwrap_or(u32::MAX),
        throughput,
        lo: interval.map(|[lo, _]| lo),
        hi: interval.map(|[_, hi]| hi),
        speedup,
        efficiency: speedup.and_then(|speedup| finite(speedup / group.n)),
        cpu_s_per_op,
        latency_p99_s,
        max_rss_bytes,
    }
}

impl Observation {
    /// CPU time of the process, user and kernel, seconds.
    pub(super) fn cpu_s(&self) -> Option<f64> {
        Some(self.user_s? + self.sys_s?)
    }

    /// CPU time of one operation, seconds.
    pub(super) fn cpu_s_per_op(&self) -> Option<f64> {
        self.per_op(self.cpu_s()?)
    }

    /// `count` divided by the operations done.
    pub(super) fn per_op(&self, count: f64) -> Option<f64> {
        self.ops.filter(|ops| *ops > 0.0).map(|ops| count / ops)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: f64, throughput: f64) -> Observation {
        Observation { n, throughput, ..Observation::default() }
    }

    #[test]
    fn unusable_samples_are_left_out() {
        let observations =
            [at(1.0, f64::NAN), at(0.0, 1.0), at(2.0, -1.0), at(f64::INFINITY, 1.0), at(2.0, 5.0)];
        let groups = group(&observations);
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].n, groups[0].throughput()), (2.0, 5.0));
    }

    #[test]
    fn an_interval_exists_from_six_samples_on_and_holds_the_median() {
        let mut observations: Vec<Observation> = (1..=6).map(|i| at(1.0, f64::from(i))).collect();
        observations.extend((1..=5).map(|i| at(2.0, f64::from(i) * 2.0)));
        let points = points(&group(&observations));
        assert_eq!((points[0].lo, points[0].throughput, points[0].hi), (Some(1.0), 3.5, Some(6.0)));
        assert_eq!((points[1].lo, points[1].hi), (None, None));
        assert_eq!(points[1].speedup, Some(6.0 / 3.5));
        assert_eq!(points[1].efficiency, Some(3.0 / 3.5));
    }

    #[test]
    fn without_one_worker_there_is_no_speedup() {
        let points = points(&group(&[at(2.0, 5.0), at(4.0, 9.0)]));
        assert!(points.iter().all(|p| p.speedup.is_none() && p.efficiency.is_none()));
    }
}
