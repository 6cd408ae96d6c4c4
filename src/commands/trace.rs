//! `corefit trace`: a recorded goroutine trace, made readable.

use super::print;
use crate::cli::{TraceArgs, TraceFormat};
use crate::error::Error;
use crate::trace;
use corefit_runtime::trace::{Trace, TraceError};

/// Writes the trace in another format, and says on standard error what it lacks.
///
/// # Errors
/// The file is no trace or cannot be read, or the output cannot be written.
pub(super) fn trace(args: &TraceArgs) -> Result<(), Error> {
    let unreadable = |source| Error::Trace { path: args.file.clone(), source };
    let trace = Trace::open(&args.file).map_err(unreadable)?;
    let mut damage = Ok(None);
    print::to(args.output.as_deref(), |to| {
        let done = match args.format {
            TraceFormat::Chrome => trace::chrome(&trace, to),
            TraceFormat::Csv => trace::csv(&trace, to),
        };
        match done {
            Ok(found) => damage = Ok(found),
            Err(trace::Error::Read(error)) => damage = Err(error),
            Err(trace::Error::Write(error)) => return Err(error),
        }
        Ok(())
    })?;
    let damage = damage.map_err(|error| unreadable(TraceError::Io(error)))?;
    for lack in lacks(&trace, damage) {
        anstream::eprintln!("corefit: `{}`: {lack}", args.file.display());
    }
    Ok(())
}

/// What is not in the trace that happened, in words.
fn lacks(trace: &Trace, damage: trace::Damage) -> Vec<String> {
    let mut lacks = Vec::new();
    if trace.dropped() > 0 {
        lacks.push(format!("there was no room for the last {} events", trace.dropped()));
    }
    if trace.end().is_none() {
        lacks.push(
            "the program was killed, or still runs: the last events of each worker are missing".to_owned(),
        );
    }
    if trace.torn_bytes() > 0 {
        lacks.push(format!("the last {} bytes are cut off or not of a trace; left out", trace.torn_bytes()));
    }
    lacks.extend(damage);
    lacks
}
