//! A word as the key of a table: within itself if it is short, so that tables of words cost the allocator nothing.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};

/// Bytes of a word that is kept within itself: what fits into three machine words.
const SHORT: usize = 22;

/// A word; compares and hashes as its bytes do.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Word {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { length, bytes } => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Word {
    fn from(word: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..word.len()) {
            Some(place) => {
                place.copy_from_slice(word);
                Self::Short { length: word.len() as u8, bytes }
            }
            None => Self::Long(word.into()),
        }
    }
}

impl Borrow<[u8]> for Word {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Word {}

impl Hash for Word {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_table_finds_words_of_any_length_by_their_bytes() {
        let text = [b'x'; 2 * SHORT];
        let table: HashMap<Word, usize> = (0..=text.len()).map(|n| (Word::from(&text[..n]), n)).collect();
        assert_eq!(table.len(), text.len() + 1);
        for n in 0..=text.len() {
            assert_eq!(table.get(&text[..n]), Some(&n));
        }
        assert_eq!(size_of::<Word>(), 24);
    }
}
