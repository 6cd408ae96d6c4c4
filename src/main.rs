//! The `corefit` binary.
fn main() {}
