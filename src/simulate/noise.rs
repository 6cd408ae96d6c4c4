//! What lies between the truth and a sample.

pub use crate::random::normal;

/// How samples scatter, in log throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation of a sample.
    pub sample: f64,
    /// Standard deviation that all samples of a round share.
    pub round: f64,
}

impl Noise {
    /// `size` a sample and as much again a round.
    #[must_use]
    pub const fn of(size: f64) -> Self {
        Self { sample: size, round: size }
    }

    /// The noise of one sweep.
    #[must_use]
    pub fn source(self, seed: u64) -> Source {
        Source { noise: self, random: fastrand::Rng::with_seed(seed), shift: 0.0 }
    }
}

/// Gives the noise of sample after sample.
#[derive(Clone, Debug)]
pub struct Source {
    noise: Noise,
    random: fastrand::Rng,
    /// Of the present round.
    shift: f64,
}

impl Source {
    /// From here on it is another round.
    pub fn next_round(&mut self) {
        self.shift = self.noise.round * normal(&mut self.random);
    }

    /// By how much the next sample differs from the truth, in log throughput.
    pub fn next_sample(&mut self) -> f64 {
        self.shift + self.noise.sample * normal(&mut self.random)
    }
}
