//! The law itself: throughput as a function of the worker count.

/// Which law: each is the next one with a parameter fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// σ = κ = 0.
    Linear,
    /// κ = 0.
    Amdahl,
    /// All three parameters.
    Usl,
}

impl Kind {
    /// As it is written into results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Amdahl => "amdahl",
            Self::Usl => "usl",
        }
    }

    /// Parameters that are fitted, λ among them.
    #[must_use]
    pub fn parameters(self) -> usize {
        match self {
            Self::Linear => 1,
            Self::Amdahl => 2,
            Self::Usl => 3,
        }
    }
}

/// X(N) = λN / (1 + σ(N − 1) + κN(N − 1)), constant beyond the ceiling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Law {
    /// Which parameters were free.
    pub kind: Kind,
    /// Contention, 0..=1 (for Amdahl's law: the serial fraction).
    pub sigma: f64,
    /// Coherency, not negative.
    pub kappa: f64,
    /// Throughput of one worker, in the unit of the throughput.
    pub lambda: f64,
    /// Worker count beyond which throughput is constant, where there is one.
    pub ceiling: Option<f64>,
}

impl Law {
    /// Throughput at `n` workers, in the unit of λ; `n` is positive.
    #[must_use]
    pub fn throughput(&self, n: f64) -> f64 {
        let n = self.ceiling.map_or(n, |ceiling| n.min(ceiling));
        self.lambda * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// Worker count where throughput peaks, `√((1 − σ)/κ)`; `None` if it never falls (κ = 0). The ceiling is not
    /// part of it.
    #[must_use]
    pub fn peak_procs(&self) -> Option<f64> {
        let peak = ((1.0 - self.sigma) / self.kappa).sqrt();
        (self.kappa > 0.0 && peak > 0.0 && peak.is_finite()).then_some(peak)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_worker_count_beats_the_peak(sigma in 0.0..0.99f64, kappa in 1e-6..1.0f64, n in 0.1..5000.0f64) {
            let law = Law { kind: Kind::Usl, sigma, kappa, lambda: 10.0, ceiling: None };
            let peak = law.peak_procs().unwrap();
            prop_assert!(law.throughput(n) <= law.throughput(peak) * (1.0 + 1e-12));
        }

        #[test]
        fn nothing_grows_beyond_the_ceiling(n in 0.1..100.0f64, ceiling in 0.5..100.0f64) {
            let law = Law { kind: Kind::Linear, sigma: 0.0, kappa: 0.0, lambda: 3.0, ceiling: Some(ceiling) };
            prop_assert_eq!(law.throughput(n + ceiling), law.throughput(ceiling));
        }
    }

    #[test]
    fn a_law_without_coherency_has_no_peak() {
        let law = Law { kind: Kind::Amdahl, sigma: 0.1, kappa: 0.0, lambda: 1.0, ceiling: None };
        assert_eq!(law.peak_procs(), None);
        assert!((law.throughput(1e9) - 10.0).abs() < 1e-6);
    }
}
