//! `corefit trace`: a recorded goroutine trace, made readable.

use super::print;
use crate::cli::{TraceArgs, TraceFormat};
use crate::error::Error;
use crate::target::TRACE_VARIABLE;
use crate::trace;
use corefit_runtime::trace::{Trace, TraceError};
use std::env;
use std::path::PathBuf;

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

/// Where this process was told to have a trace recorded, if it was.
pub(super) fn requested() -> Option<PathBuf> {
    env::var_os(TRACE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Says, after a sample, what was recorded into the file that was asked for.
pub(super) fn tell_recorded() {
    // With `{pid}` in its name the file cannot be told from others.
    let Some(path) = requested().filter(|path| !path.to_string_lossy().contains("{pid}")) else { return };
    let file = path.display();
    match Trace::open(&path) {
        Ok(trace) => {
            let events = trace.event_count();
            anstream::eprintln!(
                "corefit: recorded {events} events into `{file}`; see `corefit trace --help`"
            );
            lacks(&trace, None).iter().for_each(|lack| anstream::eprintln!("corefit: `{file}`: {lack}"));
        }
        Err(error) => anstream::eprintln!("corefit: no trace was recorded into `{file}`: {error}"),
    }
}

/// What is not in the trace that happened, in words.
pub(super) fn lacks(trace: &Trace, damage: trace::Damage) -> Vec<String> {
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
