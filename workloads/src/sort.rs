//! Merge sort, its merges parallel too.
//!
//! - **Models**: sorting, joins of tables, index building: divide, conquer and combine over memory.
//! - **Op**: one element (a `u64`) sorted. Unit: `elements/s`.
//! - **Expected**: nearly linear until memory is saturated. Every merge is cut into pieces of equal size that know where
//!   they start (the merge path of Odeh and others, IPDPSW 2012), so that no part of it is serial.
//! - **Blocks on**: the end of the other half and of the pieces of a merge.
//!
//! A run is a list of segments of one length rather than a single array: each piece of a merge then owns what it writes.
//! A run carries as many spare segments, into which the next merge goes, so that no merge asks for memory.

use std::sync::Arc;

use corefit_runtime::go;

use crate::crew::{expect_equal, join};
use crate::fan_out::fan_out;
use crate::random::{SplitMix64, mix};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "sort",
    about: "parallel merge sort, merges parallel too",
    scaling: "nearly linear until memory is saturated",
    unit: "elements/s",
    policy: None,
    parameters: &[],
    run,
};

/// Segments at scale 1.
const SEGMENTS: u64 = 600;
/// Elements of a segment: 64 KiB, which the second level cache holds four times.
const SEGMENT: usize = 8_192;

/// Elements in ascending order (before the sort: in any), in segments of equal length.
#[derive(Debug)]
struct Run {
    segments: Vec<Vec<u64>>,
    /// As many segments as above, whatever they hold.
    spare: Vec<Vec<u64>>,
}

impl Run {
    fn new(segments: Vec<Vec<u64>>) -> Self {
        let spare = segments.iter().map(|segment| vec![0; segment.len()]).collect();
        Self { segments, spare }
    }

    /// Cuts off the right half.
    fn split_off(&mut self) -> Self {
        let half = self.segments.len() / 2;
        Self { segments: self.segments.split_off(half), spare: self.spare.split_off(half) }
    }

    fn segment_len(&self) -> usize {
        self.segments[0].len()
    }

    fn len(&self) -> usize {
        self.segments.len() * self.segment_len()
    }

    fn at(&self, index: usize) -> u64 {
        self.segments[index / self.segment_len()][index % self.segment_len()]
    }

    /// From `index` to the end of its segment; empty at the end of the run.
    fn rest_of_segment(&self, index: usize) -> &[u64] {
        self.segments
            .get(index / self.segment_len())
            .map_or(&[], |segment| &segment[index % self.segment_len()..])
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let segments = settings.scaled(SEGMENTS, 4);
    let mut random = SplitMix64::new(1);
    let segments = (0..segments).map(|_| (0..SEGMENT).map(|_| random.next()).collect());
    let input = Run::new(segments.collect());
    let ops = input.len() as u64;
    let expected = Contents::of(&input);
    let watch = Stopwatch::start();
    let output = sort_run(input)?;
    let timed = watch.stop();
    check(&output, expected)?;
    Ok(Outcome { ops, timed, latency_ns: None })
}

/// Sorts the halves in two goroutines, then merges them.
fn sort_run(mut run: Run) -> Result<Run, Failure> {
    if run.segments.len() == 1 {
        sort_segment(&mut run.segments[0]);
        return Ok(run);
    }
    let right = run.split_off();
    let right = go(move || sort_run(right));
    let left = sort_run(run)?;
    merge_runs(left, join(right)?)
}

#[inline(never)]
fn sort_segment(segment: &mut [u64]) {
    segment.sort_unstable();
}

/// Merges two runs, every segment of the result in a goroutine of its own.
fn merge_runs(mut left: Run, mut right: Run) -> Result<Run, Failure> {
    let mut spare = std::mem::take(&mut left.spare);
    spare.append(&mut right.spare);
    let runs = Arc::new((left, right));
    let shared = Arc::clone(&runs);
    let segments = fan_out(spare.into_iter().enumerate(), move |(index, spare)| {
        merge_segment(&shared.0, &shared.1, index, spare)
    })?;
    let (left, right) = Arc::into_inner(runs).expect("all that shared the runs have ended");
    let mut spare = left.segments;
    spare.extend(right.segments);
    Ok(Run { segments, spare })
}

/// The segment number `index` of the merged runs, written over `merged`.
#[inline(never)]
fn merge_segment(left: &Run, right: &Run, index: usize, mut merged: Vec<u64>) -> Vec<u64> {
    let segment_len = merged.len();
    let mut filled = 0;
    let mut from_left = taken_from_left(left, right, index * segment_len);
    let mut from_right = index * segment_len - from_left;
    while filled < segment_len {
        let (a, b) = (left.rest_of_segment(from_left), right.rest_of_segment(from_right));
        let (taken_a, taken_b) = merge_slices(a, b, &mut merged[filled..]);
        from_left += taken_a;
        from_right += taken_b;
        filled += taken_a + taken_b;
    }
    merged
}

/// Merges two ascending slices until `merged` is full or one of them is used up, or copies if one is empty; how many
/// elements were taken from each.
fn merge_slices(a: &[u64], b: &[u64], merged: &mut [u64]) -> (usize, usize) {
    if a.is_empty() || b.is_empty() {
        let (taken_a, taken_b) = (a.len().min(merged.len()), b.len().min(merged.len()));
        merged[..taken_a].copy_from_slice(&a[..taken_a]);
        merged[..taken_b].copy_from_slice(&b[..taken_b]);
        return (taken_a, taken_b);
    }
    let (mut taken_a, mut taken_b) = (0, 0);
    for slot in merged {
        let (Some(&first), Some(&second)) = (a.get(taken_a), b.get(taken_b)) else { break };
        // No branch on the comparison: it is a coin toss, which no branch predictor learns.
        let from_a = first <= second;
        *slot = if from_a { first } else { second };
        taken_a += usize::from(from_a);
        taken_b += usize::from(!from_a);
    }
    (taken_a, taken_b)
}

/// How many of the `rank` smallest elements of both runs are in `left`; of equal elements, those in `left` come first.
fn taken_from_left(left: &Run, right: &Run, rank: usize) -> usize {
    let mut low = rank.saturating_sub(right.len());
    let mut high = rank.min(left.len());
    while low < high {
        let middle = low.midpoint(high);
        if left.at(middle) <= right.at(rank - middle - 1) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// What a run holds, whatever the order.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Contents {
    elements: usize,
    sum: u64,
    sum_of_mixed: u64,
}

impl Contents {
    fn of(run: &Run) -> Self {
        let elements = || run.segments.iter().flatten();
        Self {
            elements: elements().count(),
            sum: elements().fold(0, |sum, element| sum.wrapping_add(*element)),
            sum_of_mixed: elements().fold(0, |sum, element| sum.wrapping_add(mix(*element))),
        }
    }
}

fn check(output: &Run, expected: Contents) -> Result<(), Failure> {
    if !output.segments.iter().flatten().is_sorted() {
        return Err(Failure("wrong result: the elements are not in order".to_owned()));
    }
    expect_equal("what the sorted elements are", Contents::of(output), expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;
    use proptest::prelude::*;

    fn run_of(elements: &[u64], segment_len: usize) -> Run {
        Run::new(elements.chunks_exact(segment_len).map(<[u64]>::to_vec).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_sorts_as_the_standard_library_does(
            segment_len in 1_usize..9,
            mut elements in prop::collection::vec(0_u64..20, 9..100),
        ) {
            let segments = elements.len() / segment_len;
            elements.truncate(segments * segment_len);
            let input = run_of(&elements, segment_len);
            let output = Config::new().procs(2).run(move || sort_run(input)).unwrap();
            elements.sort_unstable();
            prop_assert_eq!(output.spare.len(), output.segments.len());
            prop_assert_eq!(output.segments, run_of(&elements, segment_len).segments);
        }
    }

    #[test]
    fn a_lost_or_changed_or_displaced_element_is_noticed() {
        let run = run_of(&[1, 2, 3, 4, 5, 6], 2);
        let expected = Contents::of(&run);
        check(&run, expected).unwrap();
        for wrong in [&[1, 2, 3, 4][..], &[1, 2, 3, 4, 5, 7], &[1, 1, 4, 4, 5, 6], &[2, 1, 3, 4, 5, 6]] {
            assert!(check(&run_of(wrong, 2), expected).is_err(), "{wrong:?}");
        }
    }
}
