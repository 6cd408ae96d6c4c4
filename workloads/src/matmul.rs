//! Blocked multiplication of two square matrices.
//!
//! - **Models**: dense linear algebra, inference: much arithmetic on data that is used again and again.
//! - **Op**: the product of two blocks of 32 × 32 `f64` (32 768 multiply-adds). Unit: `blocks/s`.
//! - **Expected**: linear. A block of the result is a goroutine's own, and three blocks (24 KiB) stay in its first level
//!   cache.
//! - **Blocks on**: nothing but the end of the blocks.

use std::sync::Arc;

use crate::fan_out::fan_out;
use crate::random::SplitMix64;
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "matmul",
    about: "blocked multiplication of matrices",
    scaling: "linear",
    unit: "blocks/s",
    policy: None,
    parameters: &[],
    run,
};

/// Elements along the edge of a block.
const EDGE: usize = 32;
/// Block products at scale 1: matrices of 37 blocks, 1184 elements, along an edge.
const PRODUCTS: u64 = 37 * 37 * 37;
/// Elements are integers from −8 to 8, so that every sum is exact in an `f64`.
const LARGEST: u32 = 8;

/// A block: its rows.
type Block = Vec<[f64; EDGE]>;

/// A square matrix of blocks, row by row.
#[derive(Clone, Debug)]
struct Matrix {
    /// Blocks along an edge.
    edge: usize,
    blocks: Vec<Block>,
}

impl Matrix {
    fn random(edge: usize, random: &mut SplitMix64) -> Self {
        let mut element = || f64::from(random.below(2 * LARGEST + 1)) - f64::from(LARGEST);
        let blocks = (0..edge * edge).map(|_| (0..EDGE).map(|_| [0.0; EDGE].map(|_| element())).collect());
        Self { edge, blocks: blocks.collect() }
    }

    fn block(&self, row: usize, column: usize) -> &Block {
        &self.blocks[row * self.edge + column]
    }

    /// The product with a vector, in integers.
    fn times(&self, vector: &[i64]) -> Vec<i64> {
        let mut product = vec![0; self.edge * EDGE];
        for (index, block) in self.blocks.iter().enumerate() {
            let (first_row, first_column) = (index / self.edge * EDGE, index % self.edge * EDGE);
            for (row, sum) in block.iter().zip(&mut product[first_row..]) {
                let products = row.iter().zip(&vector[first_column..]).map(|(a, b)| *a as i64 * b);
                *sum += products.sum::<i64>();
            }
        }
        product
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let edge = (settings.scaled(PRODUCTS, 8) as f64).cbrt().round() as usize;
    let mut random = SplitMix64::new(2);
    let a = Arc::new(Matrix::random(edge, &mut random));
    let b = Arc::new(Matrix::random(edge, &mut random));
    let watch = Stopwatch::start();
    let c = multiply(&a, &b)?;
    let timed = watch.stop();
    check(&a, &b, &c, &mut random)?;
    Ok(Outcome { ops: (edge as u64).pow(3), timed, latency_ns: None })
}

/// Every block of the product in a goroutine of its own.
fn multiply(a: &Arc<Matrix>, b: &Arc<Matrix>) -> Result<Matrix, Failure> {
    let edge = a.edge;
    let (a, b) = (Arc::clone(a), Arc::clone(b));
    let blocks = fan_out(0..edge * edge, move |index| product_block(&a, &b, index / edge, index % edge))?;
    Ok(Matrix { edge, blocks })
}

fn product_block(a: &Matrix, b: &Matrix, row: usize, column: usize) -> Block {
    let mut sum = vec![[0.0; EDGE]; EDGE];
    for middle in 0..a.edge {
        multiply_add(&mut sum, a.block(row, middle), b.block(middle, column));
    }
    sum
}

/// Adds the product of two blocks to `sum`, a row at a time, so that the compiler can use vectors.
#[inline(never)]
fn multiply_add(sum: &mut Block, a: &Block, b: &Block) {
    for (sum_row, a_row) in sum.iter_mut().zip(a) {
        let mut row = *sum_row;
        for (factor, b_row) in a_row.iter().zip(b) {
            for (element, other) in row.iter_mut().zip(b_row) {
                *element += factor * other;
            }
        }
        *sum_row = row;
    }
}

/// Freivalds' check: C·x = A·(B·x) for a random vector x, in integers. A wrong C passes with a probability below 2⁻²⁰.
fn check(a: &Matrix, b: &Matrix, c: &Matrix, random: &mut SplitMix64) -> Result<(), Failure> {
    if c.blocks.iter().flatten().flatten().any(|element| element.fract() != 0.0) {
        return Err(Failure("wrong result: the product has an element that is not an integer".to_owned()));
    }
    // Below 2^63 for matrices of up to 100 000 elements along an edge: 8 · 8 · 2^20 · 10^10 < 2^60.
    let vector: Vec<i64> = (0..c.edge * EDGE).map(|_| i64::from(random.below(1 << 20))).collect();
    let (found, expected) = (c.times(&vector), a.times(&b.times(&vector)));
    match found.iter().zip(&expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(row) => Err(Failure(format!("wrong result: row {row} of the product fails Freivalds' check"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    fn product() -> (Arc<Matrix>, Arc<Matrix>, Matrix) {
        let mut random = SplitMix64::new(3);
        let a = Arc::new(Matrix::random(2, &mut random));
        let b = Arc::new(Matrix::random(2, &mut random));
        let (a2, b2) = (Arc::clone(&a), Arc::clone(&b));
        let c = Config::new().procs(1).run(move || multiply(&a2, &b2)).unwrap();
        (a, b, c)
    }

    fn element(matrix: &Matrix, row: usize, column: usize) -> f64 {
        matrix.block(row / EDGE, column / EDGE)[row % EDGE][column % EDGE]
    }

    #[test]
    fn it_multiplies_as_the_definition_says() {
        let (a, b, c) = product();
        for row in 0..2 * EDGE {
            for column in 0..2 * EDGE {
                let sum: f64 = (0..2 * EDGE).map(|k| element(&a, row, k) * element(&b, k, column)).sum();
                assert_eq!(element(&c, row, column), sum, "at {row}, {column}");
            }
        }
    }

    #[test]
    fn one_wrong_element_is_noticed() {
        let (a, b, c) = product();
        check(&a, &b, &c, &mut SplitMix64::new(4)).unwrap();
        for (by, says) in [(1.0, "row 33"), (-17.0, "row 33"), (0.5, "integer"), (f64::NAN, "integer")] {
            let mut wrong = c.clone();
            wrong.blocks[2][1][5] += by;
            let failure = check(&a, &b, &wrong, &mut SplitMix64::new(4)).unwrap_err();
            assert!(failure.to_string().contains(says), "{failure}");
        }
    }

    #[test]
    fn factors_in_the_wrong_order_are_noticed() {
        let (a, b, c) = product();
        assert!(check(&b, &a, &c, &mut SplitMix64::new(4)).is_err());
    }
}
