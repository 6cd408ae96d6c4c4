//! Where the CPU time goes: stacks sampled from outside, symbolised, folded, drawn as flame graphs.

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As the text says; exit code 1.
    #[error("{0}")]
    Unable(String),
}

impl Error {
    /// 1: what was asked could not be completed.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        1
    }
}
