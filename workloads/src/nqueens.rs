//! All ways to place n queens on a board so that none attacks another.
//!
//! - **Models**: search and branch-and-bound: a tree whose branches differ in size, and nobody knows how before.
//! - **Op**: one queen placed (a node of the search tree). Unit: `placements/s`.
//! - **Expected**: nearly linear, if stealing evens out the unequal branches: the upper three levels of the tree start a
//!   goroutine a branch.
//! - **Blocks on**: the end of the branches.

use std::ops::Add;

use corefit_runtime::go;

use crate::crew::{expect_equal, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "nqueens",
    about: "n queens: an irregular, unbalanced search tree",
    scaling: "nearly linear, if stealing evens out the branches",
    unit: "placements/s",
    policy: None,
    parameters: &[],
    run,
};

/// Placements at scale 1, about.
const PLACEMENTS: u64 = 37_500_000;
/// Levels of the tree in which each branch is a goroutine.
const SPAWNING_LEVELS: u32 = 3;

/// What is counted on a whole board.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Count {
    /// Ways to place all queens.
    solutions: u64,
    /// Queens placed on the way, dead ends included.
    placements: u64,
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { solutions: self.solutions + other.solutions, placements: self.placements + other.placements }
    }
}

/// Board sizes and their counts: solutions from OEIS A000170, placements counted by plain search on a grid.
const KNOWN: [(u32, Count); 6] = [
    (8, Count { solutions: 92, placements: 2_056 }),
    (9, Count { solutions: 352, placements: 8_393 }),
    (10, Count { solutions: 724, placements: 35_538 }),
    (11, Count { solutions: 2_680, placements: 166_925 }),
    (12, Count { solutions: 14_200, placements: 856_188 }),
    (13, Count { solutions: 73_712, placements: 4_674_889 }),
];

/// Columns and diagonals as bits of the next row: which of its squares are attacked.
#[derive(Clone, Copy, Debug)]
struct Board {
    /// Squares of a row.
    row: u32,
    columns: u32,
    /// Diagonals that go down to the left.
    left: u32,
    /// Diagonals that go down to the right.
    right: u32,
}

impl Board {
    fn empty(size: u32) -> Self {
        Self { row: (1 << size) - 1, columns: 0, left: 0, right: 0 }
    }

    fn is_full(self) -> bool {
        self.columns == self.row
    }

    /// The boards with one queen more, in the next row.
    fn next(self) -> impl Iterator<Item = Self> {
        let mut free = self.row & !(self.columns | self.left | self.right);
        std::iter::from_fn(move || {
            let queen = free & free.wrapping_neg();
            free ^= queen;
            (queen != 0).then_some(Self {
                row: self.row,
                columns: self.columns | queen,
                left: (self.left | queen) << 1,
                right: (self.right | queen) >> 1,
            })
        })
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let wanted = settings.scaled(PLACEMENTS, 1);
    // The largest board that is not too much, as often as it takes.
    let not_too_much = KNOWN.iter().rfind(|(_, known)| known.placements <= wanted);
    let (size, known) = not_too_much.unwrap_or(&KNOWN[0]);
    let boards = (wanted as f64 / known.placements as f64).round().max(1.0) as u64;
    let watch = Stopwatch::start();
    let mut counts = Vec::new();
    for _ in 0..boards {
        counts.push(explore(Board::empty(*size), SPAWNING_LEVELS)?);
    }
    let timed = watch.stop();
    check(&counts, *size, *known)?;
    Ok(Outcome { ops: boards * known.placements, timed, latency_ns: None })
}

/// Counts what is below a board; each branch of the next `levels` rows in a goroutine of its own.
fn explore(board: Board, levels: u32) -> Result<Count, Failure> {
    if levels == 0 {
        return Ok(search(board));
    }
    let branches: Vec<_> = board.next().map(|next| go(move || explore(next, levels - 1))).collect();
    let placed = Count { solutions: 0, placements: branches.len() as u64 };
    Ok(join_all(branches)?.into_iter().fold(placed, Count::add))
}

/// Counts what is below a board, depth first.
#[inline(never)]
fn search(board: Board) -> Count {
    if board.is_full() {
        return Count { solutions: 1, placements: 0 };
    }
    board
        .next()
        .fold(Count::default(), |count, next| count + search(next) + Count { solutions: 0, placements: 1 })
}

fn check(counts: &[Count], size: u32, known: Count) -> Result<(), Failure> {
    counts.iter().try_for_each(|count| expect_equal(&format!("the count of {size} queens"), *count, known))
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    /// Slow and clear: tries every square and compares with every queen before.
    fn place(queens: &mut Vec<i32>, size: i32) -> Count {
        let row = queens.len() as i32;
        if row == size {
            return Count { solutions: 1, placements: 0 };
        }
        let mut count = Count::default();
        for column in 0..size {
            let attacks = |(before, other): (usize, &i32)| {
                let (rows, columns) = (row - before as i32, (column - other).abs());
                columns == 0 || columns == rows
            };
            if !queens.iter().enumerate().any(attacks) {
                queens.push(column);
                count = count + place(queens, size) + Count { solutions: 0, placements: 1 };
                queens.pop();
            }
        }
        count
    }

    #[test]
    fn the_known_counts_are_those_of_plain_search() {
        for (size, known) in &KNOWN[..4] {
            assert_eq!(place(&mut Vec::new(), *size as i32), *known, "{size} queens");
        }
    }

    #[test]
    fn the_larger_known_counts_are_those_of_search() {
        for (size, known) in &KNOWN[4..] {
            assert_eq!(search(Board::empty(*size)), *known, "{size} queens");
        }
    }

    #[test]
    fn goroutines_find_what_one_search_finds() {
        for levels in 0..5 {
            let count = Config::new().procs(2).run(move || explore(Board::empty(8), levels));
            assert_eq!(count.unwrap(), KNOWN[0].1, "{levels} levels of goroutines");
        }
    }

    #[test]
    fn one_count_that_is_off_by_one_is_noticed() {
        let known = KNOWN[0].1;
        check(&[known, known], 8, known).unwrap();
        let (one_more, one_less) = (Count { solutions: 93, ..known }, Count { placements: 2_055, ..known });
        assert!(check(&[known, one_more], 8, known).is_err());
        assert!(check(&[one_less, known], 8, known).is_err());
    }
}
