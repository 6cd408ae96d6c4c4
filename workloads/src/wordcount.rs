//! How often each word occurs in a text: map and reduce.
//!
//! - **Models**: log analysis, group-by, any aggregation by key.
//! - **Op**: one word counted. Unit: `words/s`.
//! - **Expected**: nearly linear. Both parts are parallel: 64 mappers count into tables of their own, split by the word's
//!   hash, and each of 16 reducers merges one part of all tables. The tables compete for caches. They hold the words
//!   themselves (`word.rs`): words that mappers allocate one by one and reducers free put the threads to sleep on the
//!   allocator's locks, and four of them on two CPUs are then faster than two (0.16 s against 0.20 s a run, which takes
//!   0.09 s without).
//! - **Blocks on**: the end of the mappers, then of the reducers.
//!
//! The text is the file of `--input`, else words that follow Zipf's law. It is cut into 64 pieces and counted as often as
//! the scale asks; in each pass a mapper takes another piece. A word is a longest sequence of letters, digits and bytes
//! beyond ASCII.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;

use crate::crew::{cannot, expect_equal};
use crate::fan_out::fan_out;
use crate::random::mix;
use crate::stopwatch::Stopwatch;
use crate::word::Word;
use crate::zipf::{self, Zipf};
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "wordcount",
    about: "counts the words of a text by map and reduce",
    scaling: "nearly linear",
    unit: "words/s",
    policy: None,
    parameters: &[],
    run,
};

/// Words counted at scale 1, if there is no file.
const WORDS: u64 = 7_800_000;
/// Words of the made text, 1 MB.
const TEXT_WORDS: u64 = 200_000;
const MAPPERS: usize = 64;
const REDUCERS: usize = 16;

type Table = HashMap<Word, u64, BuildHasherDefault<Fnv1a>>;

/// A text and what its words are, known without counting them.
#[derive(Debug)]
struct Corpus {
    text: Vec<u8>,
    /// How often it is counted.
    passes: u64,
    /// What counting must give.
    expected: Summary,
}

/// What stands for a table of words: how many there are, and the sum of the scrambled hashes of all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Summary {
    words: u64,
    fingerprint: u64,
}

impl Summary {
    fn add(&mut self, word: &[u8], times: u64) {
        self.words += times;
        self.fingerprint = self.fingerprint.wrapping_add(mix(hash(word)).wrapping_mul(times));
    }
}

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    let corpus = match &settings.input {
        Some(path) => read_corpus(path, settings.scaled(1, 1))?,
        None => made_corpus(settings.scaled(WORDS, 1_000)),
    };
    let Corpus { text, passes, expected } = corpus;
    let pieces = Arc::new(cut(&text, MAPPERS));
    let watch = Stopwatch::start();
    let tables = count_words(pieces, passes)?;
    let timed = watch.stop();
    check(&tables, expected)?;
    Ok(Outcome { ops: expected.words, timed, latency_ns: None })
}

/// The tables of all words, one a reducer.
fn count_words(pieces: Arc<Vec<Vec<u8>>>, passes: u64) -> Result<Vec<Table>, Failure> {
    let mapped = fan_out(0..pieces.len(), move |mapper| {
        let mut tables = vec![Table::default(); REDUCERS];
        for piece in (0..passes).map(|pass| &pieces[(mapper + pass as usize) % pieces.len()]) {
            map_piece(piece, &mut tables);
        }
        tables
    })?;
    let mut parts: Vec<Vec<Table>> = (0..REDUCERS).map(|_| Vec::with_capacity(MAPPERS)).collect();
    for tables in mapped {
        for (part, table) in parts.iter_mut().zip(tables) {
            part.push(table);
        }
    }
    fan_out(parts, reduce_tables)
}

/// Counts the words of `piece` into the table of the reducer that each belongs to.
#[inline(never)]
fn map_piece(piece: &[u8], tables: &mut [Table]) {
    for word in words(piece) {
        let table = &mut tables[(mix(hash(word)) % REDUCERS as u64) as usize];
        match table.get_mut(word) {
            Some(count) => *count += 1,
            None => {
                table.insert(word.into(), 1);
            }
        }
    }
}

#[inline(never)]
fn reduce_tables(tables: Vec<Table>) -> Table {
    let mut sum = Table::default();
    for (word, count) in tables.into_iter().flatten() {
        *sum.entry(word).or_insert(0) += count;
    }
    sum
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| is_separator(*byte)).filter(|word| !word.is_empty())
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric()
}

/// Cuts a text into `count` pieces of about equal length, between words.
fn cut(text: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut rest = text;
    let pieces = (0..count).map(|index| {
        let wanted = rest.len() / (count - index);
        let inside_word = rest[wanted..].iter().position(|byte| is_separator(*byte));
        let (piece, after) = rest.split_at(inside_word.map_or(rest.len(), |more| wanted + more));
        rest = after;
        piece.to_vec()
    });
    pieces.collect()
}

/// A made text. It is short and counted again and again, so that making it takes no time to speak of.
fn made_corpus(words: u64) -> Corpus {
    let text_words = words.min(TEXT_WORDS);
    let passes = words.div_ceil(text_words);
    let Zipf { text, times } = zipf::text(text_words);
    let mut expected = Summary::default();
    for (word, times) in &times {
        expected.add(word.as_bytes(), times * passes);
    }
    Corpus { text, passes, expected }
}

/// The text of a file; what it holds is found by going through it once, without a table.
fn read_corpus(path: &Path, passes: u64) -> Result<Corpus, Failure> {
    let text = std::fs::read(path).map_err(cannot(&format!("read `{}`", path.display())))?;
    let mut expected = Summary::default();
    for word in words(&text) {
        expected.add(word, passes);
    }
    if expected.words == 0 {
        return Err(Failure(format!("no words in `{}`: give a text", path.display())));
    }
    Ok(Corpus { text, passes, expected })
}

fn check(tables: &[Table], expected: Summary) -> Result<(), Failure> {
    let mut found = Summary::default();
    for (word, count) in tables.iter().flatten() {
        found.add(word.borrow(), *count);
    }
    expect_equal("what was counted", found, expected)
}

fn hash(word: &[u8]) -> u64 {
    let mut hasher = Fnv1a::default();
    hasher.write(word);
    hasher.finish()
}

/// The hash FNV-1a (RFC 9923): the same in every run, unlike the standard library's, and quick for short keys.
#[derive(Clone, Copy, Debug)]
struct Fnv1a(u64);

impl Default for Fnv1a {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv1a {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use corefit_runtime::Config;

    fn counted(text: &str, passes: u64) -> Vec<Table> {
        let pieces = Arc::new(cut(text.as_bytes(), MAPPERS));
        Config::new().procs(2).run(move || count_words(pieces, passes)).unwrap()
    }

    #[test]
    fn words_are_counted_across_pieces_and_passes() {
        let tables = counted(&"the cat, the café-owner; 42 cats\n".repeat(100), 3);
        let count = |word: &str| tables.iter().find_map(|table| table.get(word.as_bytes())).copied();
        assert_eq!(["the", "cat", "café", "owner", "42", "cats"].map(count), {
            [Some(600), Some(300), Some(300), Some(300), Some(300), Some(300)]
        });
        assert_eq!(tables.iter().map(HashMap::len).sum::<usize>(), 6);
    }

    #[test]
    fn a_wrong_count_or_a_wrong_word_is_noticed() {
        let tables = counted("to be or not to be", 1);
        let mut expected = Summary::default();
        for word in ["to", "to", "be", "be", "or", "not"] {
            expected.add(word.as_bytes(), 1);
        }
        check(&tables, expected).unwrap();
        for word in ["to", "be", "or", "not", "that"] {
            let mut wrong = tables.clone();
            *wrong[0].entry(word.as_bytes().into()).or_insert(0) += 1;
            assert!(check(&wrong, expected).is_err(), "one more {word}");
        }
        for lost in (0..REDUCERS).filter(|reducer| !tables[*reducer].is_empty()) {
            let mut wrong = tables.clone();
            wrong[lost].clear();
            assert!(check(&wrong, expected).is_err(), "without the words of reducer {lost}");
        }
    }

    #[test]
    fn pieces_put_together_are_the_text_and_no_word_is_cut() {
        for text in ["", "word", " ", &"a bc def ".repeat(50), &"x".repeat(300)] {
            let pieces = cut(text.as_bytes(), 7);
            assert_eq!((pieces.len(), pieces.concat()), (7, text.as_bytes().to_vec()));
            assert_eq!(pieces.iter().map(|piece| words(piece).count()).sum::<usize>(), {
                words(text.as_bytes()).count()
            });
        }
    }

    #[test]
    fn the_made_text_holds_what_its_maker_says() {
        for words in [1_000, TEXT_WORDS, 2 * TEXT_WORDS] {
            let Corpus { text, passes, expected } = made_corpus(words);
            let mut found = Summary::default();
            super::words(&text).for_each(|word| found.add(word, passes));
            assert_eq!((found, found.words), (expected, words));
        }
    }

    #[test]
    fn a_file_that_is_missing_or_has_no_words_is_a_failure() {
        let missing = read_corpus(Path::new("/no/such/file"), 1).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read `/no/such/file`: "), "{missing}");
        let empty = read_corpus(Path::new("/dev/null"), 1).unwrap_err();
        assert_eq!(empty.to_string(), "no words in `/dev/null`: give a text");
    }
}
