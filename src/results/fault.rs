//! What is wrong with a row of a CSV, and where.

use std::path::Path;

use super::Error;
use crate::quote;

/// What is wrong with a row, and in which column.
#[derive(Debug)]
pub(super) struct Fault {
    column: Option<String>,
    why: String,
}

impl Fault {
    pub(super) fn whole_row(why: String) -> Self {
        Self { column: None, why }
    }

    pub(super) fn in_column(column: &str, why: String) -> Self {
        Self { column: Some(quote::one_line(column)), why }
    }

    pub(super) fn of(error: &csv::Error) -> Self {
        let why = match error.kind() {
            csv::ErrorKind::Utf8 { err, .. } => format!("it is not text (UTF-8): {err}"),
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} fields where the header has {expected_len}")
            }
            csv::ErrorKind::Io(error) => error.to_string(),
            _ => error.to_string(),
        };
        Self::whole_row(quote::one_line(&why))
    }

    /// The error that names file, line and column, for the row that starts at byte `start` of the file's `text`.
    pub(super) fn at(self, path: &Path, text: &[u8], start: u64) -> Error {
        let line = line_of(text, start);
        let column = self.column.map_or_else(String::new, |column| format!(", column `{column}`"));
        Error::Input(format!("`{}`, line {line}{column}: {}", quote::path(path), self.why))
    }
}

/// Number, from 1 on, of the line of the row that starts at byte `start` of `text` or after the empty lines there.
///
/// The csv crate counts such empty lines to the row, and the newline of a CRLF too.
fn line_of(text: &[u8], start: u64) -> usize {
    let start = usize::try_from(start).map_or(text.len(), |start| start.min(text.len()));
    let empty = text[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + text[..start + empty].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_one_an_editor_shows() {
        assert_eq!(line_of(b"a\nb\nc\n", 0), 1);
        assert_eq!(line_of(b"a\nb\nc\n", 4), 3);
        assert_eq!(line_of(b"a\n\n\nb\n", 2), 4, "empty lines come before the row");
        assert_eq!(line_of(b"a\r\nb\r\n", 2), 2, "a row may start at the newline of the one before");
        assert_eq!(line_of(b"a\nb", 99), 2);
    }
}
