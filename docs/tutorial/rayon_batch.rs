//! A batch job on rayon: scores a hundred thousand records, then writes down a summary of them on one worker.
//!
//! It has as many workers as `RAYON_NUM_THREADS` says.

use std::hint::black_box;

use rayon::prelude::*;

const RECORDS: u64 = 100_000;

fn main() {
    let mut scores: Vec<u64> = (0..RECORDS).into_par_iter().map(score).collect();
    // One worker does this, whatever `RAYON_NUM_THREADS` says.
    scores.sort_unstable();
    let digest =
        scores.iter().fold(0_u64, |digest, score| (0..400).fold(digest, |digest, _| mix(digest ^ score)));
    println!("{RECORDS} records, digest {digest:016x}");
}

/// What a record is worth.
fn score(record: u64) -> u64 {
    (0..4000).fold(record, |number, _| mix(number))
}

fn mix(number: u64) -> u64 {
    black_box(number.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29) ^ 1)
}
