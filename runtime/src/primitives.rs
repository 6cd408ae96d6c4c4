//! The one place that says where locks, atomics and waiting threads come from, so that a model checker can be put in
//! their place (`cfg(loom)`; see `models/main.rs`).
//!
//! `Mutex` is std's without poisoning: nothing that may panic runs under the scheduler's locks, and a lock that a
//! panicking thread held protects data that is whole all the same.

#[cfg(loom)]
#[path = "primitives/checked.rs"]
mod checked;
#[cfg(not(loom))]
#[path = "primitives/plain.rs"]
mod plain;

#[cfg(loom)]
pub(crate) use checked::*;
#[cfg(not(loom))]
pub(crate) use plain::*;
