//! Standard output: results only, and a reader that goes away is not an error.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::error::Error;

/// Prints `text` and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub fn line(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints `document` as one JSON document and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub fn json<T: Serialize>(document: &T) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document).expect("our own types serialise to JSON");
    raw(format!("{text}\n").as_bytes())
}

/// Writes bytes as they are.
///
/// # Errors
/// Standard output cannot be written.
pub fn raw(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Writes `bytes` to `path`, or to standard output without one.
///
/// # Errors
/// The file or standard output cannot be written.
pub fn to(path: Option<&Path>, bytes: &[u8]) -> Result<(), Error> {
    match path {
        None => raw(bytes),
        Some(path) => {
            std::fs::write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
        }
    }
}
