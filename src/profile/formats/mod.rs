//! A profile in the files that other tools read.

mod firefox;
mod pprof;

pub use firefox::firefox;
pub use pprof::pprof;
