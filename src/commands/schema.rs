//! `corefit schema`: what a file may hold, for editors and programs.

use super::print;
use crate::cli::{SchemaArgs, SchemaOf, config};
use crate::error::Error;

/// Prints the JSON schema asked for.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn schema(args: &SchemaArgs) -> Result<(), Error> {
    match args.of {
        SchemaOf::Config => print::json(&config::schema()),
    }
}
