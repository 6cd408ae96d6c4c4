//! Stacks in the folded form: one line a stack, outermost frame first, joined by `;`, then how often it was seen.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::Error;

/// How often each stack was seen. Sorted by frames, so that stacks with a common beginning are neighbours and the same
/// profile is always written alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    counts: BTreeMap<Vec<String>, u64>,
}

impl Folded {
    /// Adds `count` sightings of a stack, outermost frame first. Nothing for an empty stack or a count of 0.
    pub fn add(&mut self, frames: Vec<String>, count: u64) {
        if !frames.is_empty() && count > 0 {
            *self.counts.entry(frames).or_default() += count;
        }
    }

    /// Stacks and counts, sorted by frames; frames outermost first.
    pub fn iter(&self) -> impl Iterator<Item = (&[String], u64)> {
        self.counts.iter().map(|(frames, &count)| (frames.as_slice(), count))
    }

    /// Samples over all stacks.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// The same where the counts are nanoseconds, in microseconds. Rounded are the sums up to each stack, so that many short
    /// waits keep their sum.
    pub(crate) fn in_microseconds(&self) -> Self {
        let (mut folded, mut sum_ns) = (Self::default(), 0_u64);
        for (frames, &count_ns) in &self.counts {
            let before_us = sum_ns / 1000;
            sum_ns += count_ns;
            folded.add(frames.clone(), sum_ns / 1000 - before_us);
        }
        folded
    }

    /// Whether there is no stack at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether a frame of any stack contains `name`.
    #[must_use]
    pub fn mentions(&self, name: &str) -> bool {
        self.counts.keys().flatten().any(|frame| frame.contains(name))
    }

    /// Reads the folded form back. Empty lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// A line without a count, by its number.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut folded = Self::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (stack, count) = line
                .trim_end()
                .rsplit_once(' ')
                .and_then(|(stack, count)| Some((stack, count.parse().ok()?)))
                .ok_or_else(|| Error::Folded { line: index + 1, text: line.chars().take(60).collect() })?;
            folded.add(stack.split(';').map(str::to_owned).collect(), count);
        }
        Ok(folded)
    }
}

/// Writes the folded form, sorted.
///
/// # Errors
/// What writing to `to` gives.
pub fn write_folded(folded: &Folded, mut to: impl Write) -> io::Result<()> {
    for (frames, count) in folded.iter() {
        writeln!(to, "{} {count}", frames.join(";"))?;
    }
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(folded: &Folded) -> String {
        let mut bytes = Vec::new();
        write_folded(folded, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn folded(stacks: &[(&str, u64)]) -> Folded {
        let mut folded = Folded::default();
        for (stack, count) in stacks {
            folded.add(stack.split(';').map(str::to_owned).collect(), *count);
        }
        folded
    }

    #[test]
    fn equal_stacks_are_one_line_and_lines_are_sorted() {
        let folded = folded(&[("main;b", 1), ("main;a", 2), ("main;b", 3)]);
        assert_eq!(written(&folded), "main;a 2\nmain;b 4\n");
        assert_eq!(folded.total(), 6);
    }

    #[test]
    fn stacks_with_a_common_beginning_stay_together() {
        // As lines, `a b` would come between `a` and `a;c`, and the frame `a` would be drawn twice.
        let folded = folded(&[("a;c", 1), ("a b", 1), ("a", 1)]);
        assert_eq!(written(&folded), "a 1\na;c 1\na b 1\n");
    }

    #[test]
    fn a_line_without_a_count_is_named() {
        let error = Folded::parse("# a comment\nmain;a 1\n\nmain;b\n").unwrap_err();
        assert_eq!(error.to_string(), "line 4 of the folded stacks has no count: `main;b`");
    }

    #[test]
    fn nanoseconds_become_microseconds_and_keep_their_sum() {
        let folded = folded(&[("a", 600), ("b", 600), ("c", 600), ("d", 5_200)]);
        assert_eq!(written(&folded.in_microseconds()), "b 1\nd 6\n");
    }

    #[test]
    fn an_empty_stack_is_no_stack() {
        let mut folded = Folded::default();
        folded.add(Vec::new(), 3);
        folded.add(vec!["a".into()], 0);
        assert!(folded.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_written_reads_back(stacks in prop::collection::vec(
            (prop::collection::vec("[a-z<>:]([a-z<>: ]{0,6}[a-z])?", 1..5), 1_u64..1000), 0..20)) {
            let mut folded = Folded::default();
            for (frames, count) in stacks {
                folded.add(frames, count);
            }
            prop_assert_eq!(Folded::parse(&written(&folded)).unwrap(), folded);
        }
    }
}
