//! A part of a longer run of bytes that many share: copies of stacks stay where they were read to, 8 KiB each and a thousand a
//! second on each CPU.

use std::fmt;
use std::ops::{Deref, Range};
use std::rc::Rc;

/// Some bytes, which live as long as anyone has a part of what they came with.
#[derive(Clone)]
pub(super) struct Piece {
    whole: Rc<Vec<u8>>,
    range: Range<usize>,
}

impl Piece {
    /// `part`, which is shared if it lies in `whole`, and else copied.
    pub(super) fn of(whole: &Rc<Vec<u8>>, part: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if end <= whole.len() => Self { whole: Rc::clone(whole), range: start..end },
            _ => Self { whole: Rc::new(part.to_vec()), range: 0..part.len() },
        }
    }
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }
}

impl PartialEq for Piece {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Piece {}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_shared_and_what_lies_elsewhere_is_copied() {
        let whole = Rc::new(vec![1, 2, 3, 4]);
        let piece = Piece::of(&whole, &whole[1..3]);
        assert_eq!((&*piece, Rc::strong_count(&whole)), (&[2, 3][..], 2));
        let copied = Piece::of(&whole, &[2, 3]);
        assert_eq!((&copied, Rc::strong_count(&whole)), (&piece, 2));
        assert_eq!(&*Piece::of(&whole, &whole[4..]), &[0; 0]);
    }
}
