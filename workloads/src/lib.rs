//! The workloads that corefit measures out of the box.
#![forbid(unsafe_code)]
