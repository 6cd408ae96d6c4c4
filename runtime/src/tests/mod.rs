//! Tests of the parts together that need what the crate keeps to itself: parking, timers, descriptors.

mod blocking;
mod net;
mod order;
mod park;
mod resize;
mod timers;
