//! The library's `trace` for loom: nothing is recorded.

use std::panic::Location;

#[path = "../src/trace/ops.rs"]
mod ops;

pub(crate) use ops::Op;

pub(crate) type Site = &'static Location<'static>;

pub(crate) fn note_call(_: usize, _: Site) {}

pub(crate) fn note_op(_: Op, _: usize, _: usize, _: Option<Site>) {}

pub(crate) fn is_on() -> bool {
    false
}
