//! Standard output: results only, and a reader that goes away is not an error.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::error::Error;
use crate::results;

/// Prints `text` and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub(in crate::commands) fn line(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints `text`, which ends with its own line end.
///
/// # Errors
/// Standard output cannot be written.
pub(in crate::commands) fn text(text: &str) -> Result<(), Error> {
    let mut out = anstream::stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).map_err(Error::Stdout)
}

/// Prints `document` as one JSON document and a line end.
///
/// # Errors
/// Standard output cannot be written.
pub(in crate::commands) fn json<T: Serialize>(document: &T) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(document).expect("our own types serialise to JSON");
    to(None, |out| writeln!(out, "{text}"))
}

/// Has `write` write to `path`, whole or not at all, or to standard output without one.
///
/// # Errors
/// The file or standard output cannot be written.
pub(in crate::commands) fn to(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Error> {
    match path {
        None => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            write(&mut out).and_then(|()| out.flush()).map_err(Error::Stdout)
        }
        Some(path) => {
            results::replace_by(path, write).map_err(|source| Error::Write { path: path.to_owned(), source })
        }
    }
}
