//! How often each word occurs in a text: map and reduce.
//!
//! - **Models**: log analysis, group-by, any aggregation by key.
//! - **Op**: one word counted. Unit: `words/s`.
//! - **Expected**: nearly linear. Both parts are parallel: 64 mappers count into tables of their own, split by the word's
//!   hash, and each of 16 reducers merges one part of all tables. The tables compete for caches and for the allocator.
//! - **Blocks on**: the end of the mappers, then of the reducers.
//!
//! The text is the file of `--input`, else words that follow Zipf's law. It is cut into 64 pieces and counted as often as
//! the scale asks; in each pass a mapper takes another piece. A word is a longest sequence of letters, digits and bytes
//! beyond ASCII.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use corefit_runtime::go;

use crate::crew::{cannot, expect_equal, join_all};
use crate::fan_out::fan_out;
use crate::random::{SplitMix64, mix};
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
const WORDS: u64 = 4_000_000;
/// Words of the made text (1 MB) at scale 1; the same text is counted again and again, so that making it stays short.
const TEXT_WORDS: u64 = 200_000;
/// Different words that the made text may have.
const VOCABULARY: u32 = 20_000;
const MAPPERS: usize = 64;
const REDUCERS: usize = 16;

type Table = HashMap<Box<[u8]>, u64, BuildHasherDefault<Fnv1a>>;

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
        None => zipf_corpus(settings.scaled(WORDS, 1_000)),
    };
    let Corpus { text, passes, expected } = corpus;
    let pieces = Arc::new(cut(&text, MAPPERS));
    let start = Instant::now();
    let tables = count_words(pieces, passes)?;
    let elapsed = start.elapsed();
    check(&tables, expected)?;
    Ok(Outcome { ops: expected.words, elapsed, latency_ns: None })
}

/// The tables of all words, one a reducer.
fn count_words(pieces: Arc<Vec<Vec<u8>>>, passes: u64) -> Result<Vec<Table>, Failure> {
    let mapped = fan_out(pieces.len(), move |mapper| {
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
    let reducers: Vec<_> = parts.into_iter().map(|part| go(|| Ok(reduce_tables(part)))).collect();
    join_all(reducers)
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

/// A made text. The chance of the word of rank r is log(1 + 1/r), nearly 1/r: Zipf's law.
fn zipf_corpus(words: u64) -> Corpus {
    let text_words = words.min(TEXT_WORDS);
    let passes = words.div_ceil(text_words);
    let vocabulary: Vec<String> = (1..=VOCABULARY).map(spell).collect();
    let mut times = vec![0; vocabulary.len()];
    let mut text = Vec::with_capacity(6 * text_words as usize);
    let mut random = SplitMix64::new(5);
    for _ in 0..text_words {
        let rank = f64::from(VOCABULARY + 1).powf(random.unit()) as usize;
        let index = rank.clamp(1, vocabulary.len()) - 1;
        times[index] += passes;
        text.extend_from_slice(vocabulary[index].as_bytes());
        text.push(b' ');
    }
    let mut expected = Summary::default();
    for (word, times) in vocabulary.iter().zip(times) {
        expected.add(word.as_bytes(), times);
    }
    Corpus { text, passes, expected }
}

/// The word of a rank, in syllables: the number in base 100 with digits from 1, so that frequent words are short.
fn spell(mut rank: u32) -> String {
    const CONSONANTS: &[u8; 20] = b"bcdfghjklmnpqrstvwxz";
    const VOWELS: &[u8; 5] = b"aeiou";
    let mut word = String::new();
    while rank > 0 {
        let syllable = ((rank - 1) % 100) as usize;
        word.push(char::from(CONSONANTS[syllable / 5]));
        word.push(char::from(VOWELS[syllable % 5]));
        rank = (rank - 1) / 100;
    }
    word
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
        found.add(word, *count);
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
    fn the_made_text_holds_what_its_maker_says_and_follows_zipf() {
        let Corpus { text, passes, expected } = zipf_corpus(400_000);
        let mut found = Summary::default();
        words(&text).for_each(|word| found.add(word, passes));
        assert_eq!((found, found.words), (expected, 400_000));
        let share = |rank| {
            let word = spell(rank);
            words(&text).filter(|found| *found == word.as_bytes()).count() as f64 / TEXT_WORDS as f64
        };
        // log 2 / log 20001 = 0.0700; the tenth is log 1.1 / log 20001 = 0.0096.
        assert!((share(1) - 0.0700).abs() < 0.003 && (share(10) - 0.0096).abs() < 0.001);
    }

    #[test]
    fn a_file_that_is_missing_or_has_no_words_is_a_failure() {
        let missing = read_corpus(Path::new("/no/such/file"), 1).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read `/no/such/file`: "), "{missing}");
        let empty = read_corpus(Path::new("/dev/null"), 1).unwrap_err();
        assert_eq!(empty.to_string(), "no words in `/dev/null`: give a text");
    }

    #[test]
    fn every_rank_has_a_word_of_its_own() {
        assert_eq!([1, 2, 100, 101, 10_101].map(spell), ["ba", "be", "zu", "baba", "bababa"]);
        let words: std::collections::HashSet<String> = (1..=VOCABULARY).map(spell).collect();
        assert_eq!(words.len(), VOCABULARY as usize);
    }
}
