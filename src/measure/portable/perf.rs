//! Counters of a system without perf events: none.

use std::io;

use super::{Counter, CounterBackend, Event, Scope};

/// The kernel, which counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct Perf;

impl CounterBackend for Perf {
    fn open(&self, _event: Event, _scope: Scope, _pid: u32) -> io::Result<Box<dyn Counter>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn paranoid(&self) -> Option<i32> {
        None
    }
}
