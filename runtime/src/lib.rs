//! Goroutines for Rust: many green threads on a few OS threads.
