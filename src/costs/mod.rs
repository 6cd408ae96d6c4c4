//! What green threads cost against OS threads on this machine: the questions, the programs that are measured for them, and
//! what the answers say about the claims that are made for goroutines.
//!
//! A [`Question`] is put to a fresh process ([`Question::invocation`], [`subject::main`]) that does one thing to one number
//! of goroutines or OS threads and reports figures. [`Table`] gathers them over rounds; [`claims::judge`] reads it.

pub mod claims;
mod goroutines;
pub mod limits;
mod memory;
pub mod subject;
pub mod table;
mod threads;

use std::ffi::OsString;

use serde::Serialize;

use crate::target::{Invocation, workload};

pub use claims::{Claim, Verdict};
pub use table::{Row, Spread, Table};

/// What runs at the same time as others of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A green thread of `corefit-runtime`.
    Goroutine,
    /// A thread of the operating system, as `std::thread` makes it.
    Thread,
}

impl Kind {
    /// Both, in the order of the table.
    pub const ALL: [Self; 2] = [Self::Goroutine, Self::Thread];

    fn word(self) -> &'static str {
        match self {
            Self::Goroutine => "goroutine",
            Self::Thread => "thread",
        }
    }
}

/// What is done to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// All are started, and wait; then all are let go and end.
    Live,
    /// A batch is started and joined, again and again.
    SpawnJoin,
    /// All yield in turn, on one CPU; at least two of them.
    Switch,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Live, Self::SpawnJoin, Self::Switch];

    fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::SpawnJoin => "spawn-join",
            Self::Switch => "switch",
        }
    }
}

/// One thing to measure in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// Of what.
    pub kind: Kind,
    /// At once; 1 and more.
    pub count: u64,
    /// What is done.
    pub deed: Deed,
}

impl Question {
    /// This binary, started as the subject of the question. Keep in step with `Question::parse`.
    #[must_use]
    pub fn invocation(&self) -> Invocation {
        let words = [subject::SUBCOMMAND, self.kind.word(), self.deed.word(), &self.count.to_string()];
        Invocation {
            program: workload::this_program(),
            args: words.map(OsString::from).to_vec(),
            ..Invocation::default()
        }
    }

    /// Reads the words after the subcommand's name; `None` if nobody of us wrote them.
    fn parse(words: impl Iterator<Item = OsString>) -> Option<Self> {
        let words: Vec<String> = words.map(OsString::into_string).collect::<Result<_, _>>().ok()?;
        let [kind, deed, count] = words.as_slice() else { return None };
        Some(Self {
            kind: Kind::ALL.into_iter().find(|known| known.word() == kind)?,
            count: count.parse().ok().filter(|count| *count > 0)?,
            deed: Deed::ALL.into_iter().find(|known| known.word() == deed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_survives_the_command_line() {
        for kind in Kind::ALL {
            for deed in Deed::ALL {
                let question = Question { kind, count: 1000, deed };
                let mut words = question.invocation().args.into_iter();
                assert_eq!(words.next().unwrap(), subject::SUBCOMMAND);
                assert_eq!(Question::parse(words), Some(question));
            }
        }
    }

    #[test]
    fn words_that_nobody_wrote_are_no_question() {
        for words in
            [&[][..], &["goroutine", "live"], &["fiber", "live", "1"], &["thread", "live", "0"], &["thread"]]
        {
            assert_eq!(Question::parse(words.iter().map(OsString::from)), None, "{words:?}");
        }
    }
}
