//! A goroutine trace in the formats that other programs read. Nothing is kept of what has been written, but for the
//! goroutines that live at that moment: a trace may be larger than memory.

mod chrome;
mod csv;
mod waits;

pub use chrome::chrome;
pub use csv::csv;
pub use waits::{Waits, waits};

use std::io;

/// What became of a trace.
#[derive(Debug)]
pub enum Error {
    /// The trace could not be read on.
    Read(io::Error),
    /// The output could not be written.
    Write(io::Error),
}

/// What could not be read of a trace that was written to its end, in words; `None` if all could.
pub type Damage = Option<String>;

#[cfg(test)]
mod fixture;
