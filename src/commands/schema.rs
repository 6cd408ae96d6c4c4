//! `corefit schema`: what a file or a document may hold, for editors and programs.

use super::documents::{self, schema_of};
use super::print;
use crate::cli::{SchemaArgs, SchemaOf, config};
use crate::error::Error;
use crate::results::{Manifest, SampleRow, export};

/// Prints the JSON schema asked for.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn schema(args: &SchemaArgs) -> Result<(), Error> {
    print::json(&match args.of {
        SchemaOf::Config => config::schema(),
        SchemaOf::Sweep => schema_of::<documents::Sweeps<'_>>(),
        SchemaOf::Manifest => schema_of::<Manifest>(),
        SchemaOf::Run => schema_of::<SampleRow>(),
        SchemaOf::Recommendation => schema_of::<documents::Recommendations<'_>>(),
        SchemaOf::Export => schema_of::<export::Document<'_>>(),
        SchemaOf::Compare => schema_of::<documents::Compared<'_>>(),
        SchemaOf::Costs => schema_of::<documents::Costs<'_>>(),
        SchemaOf::List => schema_of::<Vec<documents::Listed>>(),
        SchemaOf::Doctor => schema_of::<documents::Diagnosis<'_>>(),
    })
}
