//! A made text whose words are as frequent as those of a language: by Zipf's law.

use crate::random::SplitMix64;

/// Different words that a text may have.
const VOCABULARY: u32 = 20_000;

/// A text and what it holds.
#[derive(Debug)]
pub(crate) struct Zipf {
    /// Words of small letters, a space after each.
    pub(crate) text: Vec<u8>,
    /// Every word of the vocabulary, the most frequent first, and how often it is in the text; some are not.
    pub(crate) times: Vec<(String, u64)>,
}

/// A text of `words` words. The chance of the word of rank r is proportional to log(1 + 1/r), which is nearly 1/r.
pub(crate) fn text(words: u64) -> Zipf {
    let mut times: Vec<(String, u64)> = (1..=VOCABULARY).map(|rank| (spell(rank), 0)).collect();
    let mut text = Vec::new();
    let mut random = SplitMix64::new(5);
    for _ in 0..words {
        // The logarithm of the rank is spread evenly, from that of 1 to that of one more than the last.
        let rank = f64::from(VOCABULARY + 1).powf(random.unit()) as usize;
        let (word, times) = &mut times[rank.clamp(1, VOCABULARY as usize) - 1];
        *times += 1;
        text.extend_from_slice(word.as_bytes());
        text.push(b' ');
    }
    Zipf { text, times }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_rank_has_a_word_of_its_own() {
        assert_eq!([1, 2, 100, 101, 10_101].map(spell), ["ba", "be", "zu", "baba", "bababa"]);
        let words: HashSet<String> = (1..=VOCABULARY).map(spell).collect();
        assert_eq!(words.len(), VOCABULARY as usize);
    }

    #[test]
    fn a_rank_is_as_frequent_as_the_law_says() {
        let Zipf { times, .. } = text(100_000);
        for (rank, share) in [(1, 0.0700), (2, 0.0409), (10, 0.0096), (100, 0.0010)] {
            let found = times[rank - 1].1 as f64 / 100_000.0;
            assert!((found / share - 1.0).abs() < 0.25, "rank {rank}: {found}, not {share}");
        }
    }

    #[test]
    fn the_text_has_as_many_words_as_were_asked_for() {
        let Zipf { text, times } = text(1_234);
        assert_eq!(text.iter().filter(|byte| **byte == b' ').count(), 1_234);
        assert_eq!(times.iter().map(|(_, times)| times).sum::<u64>(), 1_234);
    }
}
