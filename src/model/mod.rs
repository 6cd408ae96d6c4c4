//! Scalability laws and their fits: pure functions of points, no IO.
//!
//! Three laws, each the special case of the next:
//! - linear: X(N) = λN;
//! - Amdahl (G. M. Amdahl, AFIPS 1967): X(N) = λN / (1 + σ(N − 1));
//! - the Universal Scalability Law (N. J. Gunther, *Guerrilla Capacity Planning*, 2007, with a free scale):
//!   X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), with σ in 0..=1 and κ ≥ 0.
//!
//! [`fit`] fits them on log X, since noise is a share of the throughput and not an amount, on the points up to the
//! ceiling of the machine, and lets AICc choose; [`fit_usl_as_r`] is the fit of R's package `usl`.

mod choose;
mod curve;
mod interval;
mod law;
mod solve;

pub use choose::{Fit, Tried, Verdict, fit, fit_usl_as_r, tried};
pub use curve::Curve;
pub use interval::{Intervals, intervals, intervals_as_r};
pub use law::{Kind, Law};
