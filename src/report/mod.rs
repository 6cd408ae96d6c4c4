//! What people read: tables, numbers, progress. The only station that formats for people.

pub mod number;
pub mod progress;
pub mod table;
