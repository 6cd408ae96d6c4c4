//! Tests of the parts together that need what the crate keeps to itself: parking, timers, descriptors.

mod net;
mod park;
mod timers;
