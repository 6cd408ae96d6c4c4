//! What people read: tables, numbers, progress. The only station that formats for people.

pub mod answer;
pub mod compare;
pub mod costs;
pub mod doctor;
pub mod explain;
pub mod html;
pub mod live;
pub mod markdown;
pub mod number;
pub mod picture;
pub mod progress;
pub mod quotas;
pub mod sample;
pub mod sources;
pub mod stack;
pub mod summary;
pub mod table;
pub mod wrap;
