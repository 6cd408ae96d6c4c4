//! What the numbers of a profile are: samples of CPU time, or time that was waited.

use super::Event;

/// What the counts of a profile count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Times a stack was seen on a CPU.
    Samples,
    /// Microseconds that were waited there.
    Microseconds,
}

impl Unit {
    /// As it stands beside a number.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Microseconds => "µs",
        }
    }
}

impl Event {
    /// What the counts of a profile of it count.
    #[must_use]
    pub fn unit(self) -> Unit {
        match self {
            Self::Cycles | Self::CpuClock | Self::ProfTimer => Unit::Samples,
            Self::ContextSwitches | Self::Polls | Self::GoroutineTrace => Unit::Microseconds,
        }
    }
}
