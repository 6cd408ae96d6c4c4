//! Somebody else's text inside a message of ours: one line of bearable length, whatever it holds.

use std::path::Path;

/// Longest quotation, in characters.
const LONGEST_CHARS: usize = 200;

/// `text` with control characters (a newline, an escape sequence) written as `\n`, `\u{1b}`, and cut if it is very long.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for (place, c) in text.chars().enumerate() {
        if place == LONGEST_CHARS {
            line.push('…');
            break;
        }
        if c.is_control() { line.extend(c.escape_debug()) } else { line.push(c) }
    }
    line
}

/// A path the same way.
#[must_use]
pub fn path(path: &Path) -> String {
    one_line(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_stays_as_it_is() {
        assert_eq!(one_line(r#"x=(\d+) "é""#), r#"x=(\d+) "é""#);
    }

    #[test]
    fn control_characters_are_spelled_out() {
        assert_eq!(one_line("a\nb\u{1b}[31m\0"), r"a\nb\u{1b}[31m\0");
        assert_eq!(path(Path::new("a\tb")), r"a\tb");
    }

    #[test]
    fn very_long_text_is_cut() {
        let line = one_line(&"é".repeat(10_000));
        assert_eq!(line.chars().count(), LONGEST_CHARS + 1);
        assert!(line.ends_with('…'));
    }
}
