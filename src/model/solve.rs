//! Bounded least squares of a law's shape: two parameters, σ and κ; λ follows from them in closed form.
//!
//! The scale λ enters log X as a constant and X as a factor, so for each (σ, κ) the best λ is a mean or a projection
//! (variable projection: G. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 1973, with L. Kaufman's Jacobian, BIT 15,
//! 1975). What remains is a plane with bounds: a grid finds the valleys, Levenberg–Marquardt steps with the active
//! bounds held fixed walk to their floors, and the lowest floor is the answer.

use super::curve::Curve;

/// What the squares are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// Residuals of log X: a share of the throughput.
    Logarithm,
    /// Residuals of X.
    Throughput,
}

/// Upper bounds of σ and κ; both are at least 0. A bound of 0 fixes a parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) sigma: f64,
    pub(super) kappa: f64,
}

/// The best shape and scale within the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Solution {
    pub(super) sigma: f64,
    pub(super) kappa: f64,
    /// Throughput of one worker, in the throughput's own unit.
    pub(super) lambda: f64,
    /// Weighted squares of the curve's means around the law.
    pub(super) squares: f64,
}

/// Steps of Levenberg–Marquardt from one start. It converges in about 10; the bound only ends the pathological.
const STEPS: usize = 200;
/// Starts, in terms of what the parameter adds to the denominator at the largest N: from no effect to a loss of all but a ten-thousandth.
const STARTS: [f64; 10] = [0.0, 0.01, 0.05, 0.2, 0.7, 2.0, 7.0, 30.0, 300.0, 1e4];
/// Valleys of the starting grid that are walked to their floor. Guess; one is enough on all published tables.
const VALLEYS: usize = 4;
/// A term that adds less than this to the denominator at the largest N is none at all: rounding, not contention.
const NOTHING: f64 = 1e-9;

/// Fits σ and κ within `bounds`. `None` if the numbers are beyond what floating point holds.
pub(super) fn solve(curve: &Curve, error: Error, bounds: Bounds) -> Option<Solution> {
    let problem = Problem::new(curve, error);
    let upper = [bounds.sigma * problem.scale[0], bounds.kappa * problem.scale[0] * problem.scale[1]];
    let mut starts: Vec<(f64, [f64; 2])> = Vec::new();
    for u in STARTS.iter().copied().filter(|&u| u <= upper[0]) {
        for v in STARTS.iter().copied().filter(|&v| v <= upper[1]) {
            starts.extend(problem.at([u, v]).map(|state| (state.squares, [u, v])));
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    problem.lowest(starts.iter().take(VALLEYS).map(|&(_, start)| start), upper)
}

/// The fit of data that differ from those of `known` by noise: its valley is that of `known`, or the one on the bounds.
pub(super) fn solve_near(curve: &Curve, error: Error, bounds: Bounds, known: &Solution) -> Option<Solution> {
    let problem = Problem::new(curve, error);
    let [width, largest] = problem.scale;
    let upper = [bounds.sigma * width, bounds.kappa * width * largest];
    let start = [known.sigma * width, known.kappa * width * largest];
    problem.lowest([start, [start[0], 0.0], [0.0, start[1]]].into_iter(), upper)
}

/// The curve in coordinates where every number is of the order of 1: denominator 1 + u·a + v·b.
struct Problem<'a> {
    curve: &'a Curve,
    error: Error,
    /// Largest |N − 1|, and largest N.
    scale: [f64; 2],
    /// (N − 1) and N(N − 1), scaled to at most 1.
    terms: Vec<[f64; 2]>,
    /// Of logarithms: log X a worker, which no shape changes.
    logs: Vec<f64>,
}

/// Everything that the next step needs, at one shape.
struct State {
    squares: f64,
    /// Mean log residual, or the factor of N scaled to at most 1.
    level: f64,
    /// Jᵀr and JᵀJ of the weighted residuals.
    gradient: [f64; 2],
    hessian: [[f64; 2]; 2],
}

impl<'a> Problem<'a> {
    fn new(curve: &'a Curve, error: Error) -> Self {
        let largest = curve.n.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let width = curve.n.iter().map(|n| (n - 1.0).abs()).fold(0.0, f64::max);
        let width = if width > 0.0 { width } else { 1.0 };
        let terms =
            curve.n.iter().map(|n| (n - 1.0) / width).zip(&curve.n).map(|(a, n)| [a, a * (n / largest)]);
        let logs = match error {
            Error::Logarithm => curve.y.iter().zip(&curve.n).map(|(y, n)| y - n.ln()).collect(),
            Error::Throughput => Vec::new(),
        };
        Self { curve, error, scale: [width, largest], terms: terms.collect(), logs }
    }

    /// The lowest of the floors that are reached from `starts`.
    fn lowest(&self, starts: impl Iterator<Item = [f64; 2]>, upper: [f64; 2]) -> Option<Solution> {
        let floors = starts.filter_map(|start| self.descend(start, upper));
        let (shape, state) = floors.min_by(|a, b| a.1.squares.total_cmp(&b.1.squares))?;
        let [sigma, kappa] = self.unscaled(shape);
        let (lambda, squares) = (self.lambda(&state)?, state.squares);
        [sigma, kappa, lambda, squares].iter().all(|x| x.is_finite()).then_some(Solution {
            sigma,
            kappa,
            lambda,
            squares,
        })
    }

    /// σ and κ of a scaled shape.
    fn unscaled(&self, shape: [f64; 2]) -> [f64; 2] {
        let [u, v] = shape.map(|x| if x < NOTHING { 0.0 } else { x });
        [(u / self.scale[0]).min(1.0), v / self.scale[0] / self.scale[1]]
    }

    /// λ in the throughput's own unit; `None` if it overflows.
    fn lambda(&self, state: &State) -> Option<f64> {
        let lambda = match self.error {
            Error::Logarithm => state.level.exp(),
            Error::Throughput => state.level * (self.curve.unit / self.scale[1]),
        };
        (lambda > 0.0 && lambda.is_finite()).then_some(lambda)
    }

    /// Squares and derivatives at `shape`; `None` where the denominator is not positive (only possible below N = 1).
    fn at(&self, shape: [f64; 2]) -> Option<State> {
        let rows = self.terms.iter().zip(&self.curve.n).zip(&self.curve.y).zip(&self.curve.weight);
        let rows = rows.map(|(((&[a, b], &n), &y), &w)| {
            let denominator = 1.0 + shape[0] * a + shape[1] * b;
            (denominator, [a / denominator, b / denominator], n, y, w)
        });
        if rows.clone().any(|(denominator, ..)| denominator.is_nan() || denominator <= 0.0) {
            return None;
        }
        let state = match self.error {
            // r = (y − ln N + ln D) − mean; its derivatives are those of ln D, less their means.
            Error::Logarithm => {
                let total: f64 = self.curve.weight.iter().sum();
                // Most of the time of a decision goes into these logarithms: one a row.
                let logs: Vec<f64> = rows
                    .clone()
                    .zip(&self.logs)
                    .map(|((denominator, ..), log)| log + denominator.ln())
                    .collect();
                let mut mean = [0.0; 3];
                for ((_, slope, _, _, w), log) in rows.clone().zip(&logs) {
                    for (mean, x) in mean.iter_mut().zip([*log, slope[0], slope[1]]) {
                        *mean += x * (w / total);
                    }
                }
                let residuals = rows.zip(&logs).map(|((_, slope, _, _, w), log)| {
                    (log - mean[0], [slope[0] - mean[1], slope[1] - mean[2]], w)
                });
                State::sum(residuals, mean[0])
            }
            // r = x − λh, h = N/D; λ projects x on h, and the derivatives are taken orthogonal to h.
            Error::Throughput => {
                let largest = self.scale[1];
                let mut on = [0.0; 4];
                for (denominator, slope, n, x, w) in rows.clone() {
                    let h = n / largest / denominator;
                    for (on, y) in on.iter_mut().zip([h, x, h * slope[0], h * slope[1]]) {
                        *on += w * h * y;
                    }
                }
                let factor = on[1] / on[0];
                let residuals = rows.map(|(denominator, slope, n, x, w)| {
                    let h = n / largest / denominator;
                    let slope = [h * (slope[0] - on[2] / on[0]), h * (slope[1] - on[3] / on[0])];
                    (x - factor * h, slope.map(|s| factor * s), w)
                });
                State::sum(residuals, factor)
            }
        };
        state.squares.is_finite().then_some(state)
    }

    /// Walks from `start` to the floor of its valley.
    fn descend(&self, start: [f64; 2], upper: [f64; 2]) -> Option<([f64; 2], State)> {
        let mut shape = start;
        let mut state = self.at(shape)?;
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            let step = state.step(shape, upper, damping);
            let next = [0, 1].map(|i| (shape[i] + step[i]).clamp(0.0, upper[i]));
            let moved = (0..2).map(|i| (next[i] - shape[i]).abs() / (1e-3 + shape[i])).fold(0.0, f64::max);
            match self.at(next) {
                Some(better) if better.squares < state.squares => {
                    (shape, state, damping) = (next, better, (damping * 0.1).max(1e-12));
                }
                _ => damping *= 10.0,
            }
            if moved < 1e-13 || damping > 1e16 {
                break;
            }
        }
        Some((shape, state))
    }
}

impl State {
    fn sum(residuals: impl Iterator<Item = (f64, [f64; 2], f64)>, level: f64) -> Self {
        let mut state = Self { squares: 0.0, level, gradient: [0.0; 2], hessian: [[0.0; 2]; 2] };
        for (residual, slope, w) in residuals {
            state.squares += w * residual * residual;
            for i in 0..2 {
                state.gradient[i] += w * slope[i] * residual;
                for j in 0..2 {
                    state.hessian[i][j] += w * slope[i] * slope[j];
                }
            }
        }
        state
    }

    /// The damped Gauss–Newton step; a parameter whose bound stops its descent stays where it is.
    fn step(&self, shape: [f64; 2], upper: [f64; 2], damping: f64) -> [f64; 2] {
        let is_free = [0, 1].map(|i| {
            let is_stopped = (shape[i] <= 0.0 && self.gradient[i] >= 0.0)
                || (shape[i] >= upper[i] && self.gradient[i] <= 0.0);
            !is_stopped && self.hessian[i][i] > 0.0
        });
        let diagonal = [0, 1].map(|i| self.hessian[i][i] * (1.0 + damping));
        let (g, across) = (self.gradient, self.hessian[0][1]);
        match is_free {
            [true, true] => {
                let determinant = diagonal[0] * diagonal[1] - across * across;
                if determinant > 0.0 {
                    [
                        -(diagonal[1] * g[0] - across * g[1]) / determinant,
                        -(diagonal[0] * g[1] - across * g[0]) / determinant,
                    ]
                } else {
                    [-g[0] / diagonal[0], -g[1] / diagonal[1]]
                }
            }
            [true, false] => [-g[0] / diagonal[0], 0.0],
            [false, true] => [0.0, -g[1] / diagonal[1]],
            [false, false] => [0.0, 0.0],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Bounds = Bounds { sigma: 1.0, kappa: f64::INFINITY };

    fn curve(law: impl Fn(f64) -> f64, n: &[f64], error: Error) -> Curve {
        let x: Vec<[f64; 1]> = n.iter().map(|&n| [law(n)]).collect();
        let points: Vec<(f64, &[f64])> = n.iter().copied().zip(x.iter().map(<[f64; 1]>::as_slice)).collect();
        match error {
            Error::Logarithm => Curve::of_logs(points),
            Error::Throughput => Curve::of_throughputs(points),
        }
    }

    #[test]
    fn both_errors_find_an_exact_law() {
        for error in [Error::Logarithm, Error::Throughput] {
            let law = |n: f64| 250.0 * n / (1.0 + 0.07 * (n - 1.0) + 0.0013 * n * (n - 1.0));
            let found = solve(&curve(law, &[1.0, 2.0, 5.0, 9.0, 30.0], error), error, FREE).unwrap();
            assert!((found.sigma - 0.07).abs() < 1e-8, "{found:?}");
            assert!((found.kappa - 0.0013).abs() < 1e-9, "{found:?}");
            assert!((found.lambda - 250.0).abs() < 1e-5, "{found:?}");
        }
    }

    #[test]
    fn no_shape_on_a_fine_grid_fits_better() {
        // Numbers with no law in them: several valleys.
        let x = [3.0, 9.0, 4.0, 11.0, 12.0, 2.0, 8.0];
        let n = [1.0, 2.0, 3.0, 5.0, 9.0, 17.0, 33.0];
        for error in [Error::Logarithm, Error::Throughput] {
            let curve = curve(|m| x[n.iter().position(|&n| n == m).unwrap()], &n, error);
            let bounds = Bounds { sigma: 1.0, kappa: 1.0 };
            let found = solve(&curve, error, bounds).unwrap();
            let problem = Problem::new(&curve, error);
            for i in 0..100 {
                for k in 0..100 {
                    let [sigma, kappa] = [f64::from(i) / 100.0, (f64::from(k) / 10.0 - 10.0).exp()];
                    let shape = [sigma * problem.scale[0], kappa * problem.scale[0] * problem.scale[1]];
                    assert!(
                        problem.at(shape).unwrap().squares >= found.squares * (1.0 - 1e-9),
                        "{sigma} {kappa}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_bound_that_stops_one_parameter_leaves_the_other_free() {
        // Superlinear data want σ < 0: it stays at 0, and λ takes the mean.
        let found =
            solve(&curve(|n| n.powf(1.2), &[1.0, 2.0, 4.0], Error::Logarithm), Error::Logarithm, FREE);
        let found = found.unwrap();
        assert_eq!([found.sigma, found.kappa], [0.0, 0.0]);
    }

    #[test]
    fn fixed_parameters_stay_at_zero() {
        let bounds = Bounds { sigma: 1.0, kappa: 0.0 };
        let found = solve(
            &curve(|n| n / (n + 3.0) / (n + 1.0), &[1.0, 2.0, 8.0], Error::Logarithm),
            Error::Logarithm,
            bounds,
        );
        assert_eq!(found.unwrap().kappa, 0.0);
    }
}
