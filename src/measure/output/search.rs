//! Looks for a line in a stream that goes by in pieces.

use regex::bytes::Regex;

/// Bytes of a line that are looked at; the rest of a longer one is not.
const LINE_BYTES: usize = 64 << 10;

/// A search that ends with the first line that matches.
#[derive(Debug)]
pub(super) struct Search {
    regex: Regex,
    /// The line that has begun.
    line: Vec<u8>,
    pub(super) is_found: bool,
}

impl Search {
    /// Looks for a line that `regex` matches anywhere.
    pub(super) fn new(regex: Regex) -> Self {
        Self { regex, line: Vec::new(), is_found: false }
    }

    /// Looks at what comes next.
    pub(super) fn see(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            if self.is_found {
                return;
            }
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            // A prompt has no end: what has come of a line is looked at too.
            self.is_found = self.regex.is_match(self.line.strip_suffix(b"\r").unwrap_or(&self.line));
            if piece.len() > text.len() {
                self.line.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(chunks: &[&str], expected: bool) {
        let mut search = Search::new(Regex::new("^listening on [0-9]+$").unwrap());
        for chunk in chunks {
            search.see(chunk.as_bytes());
        }
        assert_eq!(search.is_found, expected, "{chunks:?}");
    }

    #[test]
    fn a_line_is_found_however_it_comes() {
        check(&["starting\nlistening on 80\nmore"], true);
        check(&["starting\nlis", "tening", " on 80\n"], true);
        check(&["listening on 80\r\n"], true);
        check(&["listening on 80"], true);
        check(&["not listening on 80\n", "listening on x\n", "listening on"], false);
        check(&["listening ", "\non 80\n"], false);
        check(&[], false);
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let mut search = Search::new(Regex::new("never").unwrap());
        for _ in 0..10 {
            search.see(&vec![b'x'; LINE_BYTES]);
        }
        assert_eq!((search.line.len(), search.is_found), (LINE_BYTES, false));
        search.see(b"\nnever\n");
        assert!(search.is_found);
    }
}
