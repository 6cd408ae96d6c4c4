//! What lies between the truth and a sample.

pub use crate::random::normal;

/// How samples scatter, in log throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation of a sample.
    pub sample: f64,
    /// Standard deviation that all samples of a round share.
    pub round: f64,
    /// Slowed samples, as other programs cause them: now and then, and one way only.
    pub tail: Option<Tail>,
    /// What is lost from each sample to the next: a machine that gets warm.
    pub drift: f64,
}

/// Samples that are slowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// Share of the samples.
    pub share: f64,
    /// Mean of what they lose; exponentially distributed.
    pub mean: f64,
}

impl Noise {
    /// `size` a sample and as much again a round; no tail, no drift.
    #[must_use]
    pub const fn of(size: f64) -> Self {
        Self { sample: size, round: size, tail: None, drift: 0.0 }
    }

    /// With 15 % of the samples slowed by twice the noise, as in the simulations that `docs/deciding.md` shows.
    #[must_use]
    pub const fn with_tail(self) -> Self {
        Self { tail: Some(Tail { share: 0.15, mean: 2.0 * self.sample }), ..self }
    }

    /// With `drift` lost from each sample to the next.
    #[must_use]
    pub const fn with_drift(self, drift: f64) -> Self {
        Self { drift, ..self }
    }

    /// The noise of one sweep.
    #[must_use]
    pub fn source(self, seed: u64) -> Source {
        Source { noise: self, random: fastrand::Rng::with_seed(seed), shift: 0.0, drifted: 0.0 }
    }
}

/// Gives the noise of sample after sample.
#[derive(Clone, Debug)]
pub struct Source {
    noise: Noise,
    random: fastrand::Rng,
    /// Of the present round.
    shift: f64,
    /// So far.
    drifted: f64,
}

impl Source {
    /// From here on it is another round.
    pub fn next_round(&mut self) {
        self.shift = self.noise.round * normal(&mut self.random);
    }

    /// By how much the next sample differs from the truth, in log throughput.
    pub fn next_sample(&mut self) -> f64 {
        let slowed = self.noise.tail.map_or(0.0, |tail| {
            let is_slowed = self.random.f64() < tail.share;
            let loss = -tail.mean * (1.0 - self.random.f64()).ln();
            if is_slowed { loss } else { 0.0 }
        });
        self.drifted += self.noise.drift;
        self.shift + self.noise.sample * normal(&mut self.random) - slowed - self.drifted
    }
}
