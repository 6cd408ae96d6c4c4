//! A log-linear histogram of nanoseconds, written by one and read by all.

use crate::primitives::atomic::{AtomicU64, Ordering::Relaxed};

/// Buckets an octave: an error of at most 1/8.
const PER_OCTAVE: u64 = 8;
/// 2^40 ns are 18 minutes; what is longer counts as that.
const OCTAVES: u64 = 40;
const BUCKETS: usize = (PER_OCTAVE * OCTAVES) as usize;

/// Counts of durations by length.
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

/// A copy that can be added up and asked.
pub(crate) struct Counts([u64; BUCKETS]);

impl Histogram {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; BUCKETS])
    }

    /// Counts one duration. For the one writer.
    pub(crate) fn record(&self, ns: u64) {
        let bucket = &self.0[bucket(ns)];
        // ORDERING: Relaxed; a statistic with one writer.
        let count = bucket.load(Relaxed);
        // ORDERING: Relaxed; as above.
        bucket.store(count + 1, Relaxed);
    }
}

impl Counts {
    pub(crate) const fn new() -> Self {
        Self([0; BUCKETS])
    }

    pub(crate) fn add(&mut self, histogram: &Histogram) {
        for (sum, count) in self.0.iter_mut().zip(&histogram.0) {
            // ORDERING: Relaxed; a statistic.
            *sum += count.load(Relaxed);
        }
    }

    /// The duration that a share of `quantile` (0 to 1) does not exceed, seconds; `None` if nothing was counted.
    pub(crate) fn quantile_s(&self, quantile: f64) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        let rank = (quantile * total as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let index = self.0.iter().position(|&count| {
            below += count;
            total > 0 && below >= rank
        })?;
        Some(middle_ns(index as u64) * 1e-9)
    }
}

/// Index of the bucket of `ns`: linear up to `PER_OCTAVE`, then `PER_OCTAVE` a power of two.
fn bucket(ns: u64) -> usize {
    let octave = u64::from(ns.max(PER_OCTAVE).ilog2() - PER_OCTAVE.ilog2());
    let index = octave * PER_OCTAVE + (ns >> octave);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The middle of a bucket, ns.
fn middle_ns(index: u64) -> f64 {
    let octave = (index / PER_OCTAVE).saturating_sub(1);
    let low = (index - octave * PER_OCTAVE) << octave;
    low as f64 + ((1_u64 << octave) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(Counts::new().quantile_s(0.5), None);
    }

    #[test]
    fn quantiles_split_the_counts() {
        let histogram = Histogram::new();
        (0..90).for_each(|_| histogram.record(1_000));
        (0..10).for_each(|_| histogram.record(1_000_000));
        let mut counts = Counts::new();
        counts.add(&histogram);
        let (p50, p99) = (counts.quantile_s(0.5).unwrap(), counts.quantile_s(0.99).unwrap());
        assert!((p50 / 1e-6 - 1.0).abs() < 0.125 && (p99 / 1e-3 - 1.0).abs() < 0.125, "{p50} {p99}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_bucket_is_within_an_eighth_of_what_it_counts(ns in 0_u64..1 << 41) {
            let middle = middle_ns(bucket(ns) as u64);
            prop_assert!((middle - ns as f64).abs() <= ns as f64 / 8.0, "{} {}", ns, middle);
        }

        #[test]
        fn buckets_are_in_order(ns in 0_u64..u64::MAX) {
            prop_assert!(bucket(ns) <= bucket(ns + 1));
        }
    }
}
