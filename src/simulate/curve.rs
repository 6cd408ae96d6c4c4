//! Throughput curves whose best worker count is known, in the shapes that programs have.

use std::fmt;

/// The shape of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The Universal Scalability Law with a peak inside the range.
    PeakedUsl,
    /// Amdahl's law: it grows for ever, by less and less.
    Amdahl,
    /// Each worker adds the same.
    Linear,
    /// The worker count changes nothing.
    Flat,
    /// Every worker makes it slower.
    Retrograde,
    /// Linear up to a capacity that need not be a whole number, then constant.
    HardCap,
    /// Linear up to a CPU quota, then suddenly slower: throttled.
    QuotaCliff,
    /// Linear within a NUMA node; the first worker on another node slows everything, more make it up again, or not.
    NumaStep,
    /// Linear up to the cores, then less a worker: siblings share a core.
    SmtBend,
}

/// All kinds.
pub const KINDS: [Kind; 9] = [
    Kind::PeakedUsl,
    Kind::Amdahl,
    Kind::Linear,
    Kind::Flat,
    Kind::Retrograde,
    Kind::HardCap,
    Kind::QuotaCliff,
    Kind::NumaStep,
    Kind::SmtBend,
];

impl Kind {
    /// As it stands in a table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PeakedUsl => "peaked USL",
            Self::Amdahl => "Amdahl",
            Self::Linear => "linear",
            Self::Flat => "flat",
            Self::Retrograde => "retrograde",
            Self::HardCap => "hard cap",
            Self::QuotaCliff => "quota cliff",
            Self::NumaStep => "NUMA step",
            Self::SmtBend => "SMT bend",
        }
    }

    /// A curve of this shape whose turning points lie anywhere up to `most` workers, with even odds on a logarithmic
    /// scale: no grid is favoured.
    #[must_use]
    pub fn draw(self, most: u32, random: &mut fastrand::Rng) -> Curve {
        let most = f64::from(most);
        let mut within = |low: f64, high: f64| low + random.f64() * (high - low);
        let shape = match self {
            Self::PeakedUsl => {
                let peak = most.powf(within(0.3, 0.95));
                let sigma = within(0.0, 0.15);
                [sigma, (1.0 - sigma) / (peak * peak), 0.0]
            }
            Self::Amdahl => [10f64.powf(within(-2.7, -0.5)), 0.0, 0.0],
            Self::Linear | Self::Flat => [0.0; 3],
            Self::Retrograde => [within(0.02, 0.6), 0.0, 0.0],
            Self::HardCap => [most.powf(within(0.15, 1.0)), 0.0, 0.0],
            Self::QuotaCliff => {
                let quota = most.powf(within(0.15, 0.85)).round().max(1.0);
                [quota, within(0.05, 0.3), within(0.0, 0.1)]
            }
            Self::NumaStep => {
                [(most / within(1.5, 8.0)).round().max(1.0), within(0.05, 0.3), within(0.0, 0.8)]
            }
            Self::SmtBend => [(most / within(1.5, 6.0)).round().max(1.0), within(0.0, 0.4), 0.0],
        };
        Curve { kind: self, shape }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Throughput by worker count, exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// Its shape.
    pub kind: Kind,
    /// What the kind takes: see [`Curve::throughput`].
    pub shape: [f64; 3],
}

/// Throughput of one worker where there is no contention, operations a second.
const LAMBDA: f64 = 1000.0;

impl Curve {
    /// Operations a second at `procs` workers, without noise.
    #[must_use]
    pub fn throughput(&self, procs: u32) -> f64 {
        let n = f64::from(procs);
        let [a, b, c] = self.shape;
        let workers = match self.kind {
            // a: σ, b: κ.
            Kind::PeakedUsl | Kind::Amdahl => n / (1.0 + a * (n - 1.0) + b * n * (n - 1.0)),
            Kind::Linear => n,
            Kind::Flat => 1.0,
            // a: the power by which it falls.
            Kind::Retrograde => n.powf(-a),
            // a: capacity.
            Kind::HardCap => n.min(a),
            // a: quota, b: what throttling takes at once, c: what it takes more at each doubling.
            Kind::QuotaCliff if n <= a => n,
            Kind::QuotaCliff => a * (1.0 - b) * (1.0 - c).powf((n / a).log2()),
            // a: workers a node, b: what remote memory takes, c: what a worker on the other nodes adds.
            Kind::NumaStep if n <= a => n,
            Kind::NumaStep => (a + c * (n - a)) * (1.0 - b),
            // a: cores, b: what a sibling adds.
            Kind::SmtBend => n.min(a) + b * (n - a).max(0.0),
        };
        LAMBDA * workers
    }
}
