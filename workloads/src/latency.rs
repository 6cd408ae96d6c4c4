//! Latencies of operations: noted as plain numbers while time runs, put into a histogram afterwards.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency that is told apart, in nanoseconds: a minute, which is the time a sample may last.
const LONGEST_NS: u64 = 60_000_000_000;

/// `duration` in nanoseconds.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The histogram of `latencies_ns`, to three significant figures.
pub(crate) fn histogram(latencies_ns: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order");
    for latency_ns in latencies_ns {
        histogram.saturating_record(latency_ns);
    }
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_counted_also_none_and_endless() {
        let histogram = histogram([0, 1_000, 2_000, u64::MAX]);
        assert_eq!(histogram.len(), 4);
        assert!(histogram.max() >= LONGEST_NS);
        assert!(histogram.value_at_quantile(0.5).abs_diff(1_000) <= 1);
    }
}
