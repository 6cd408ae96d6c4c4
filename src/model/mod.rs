//! Scalability laws and their fits: pure functions of points, no IO.
