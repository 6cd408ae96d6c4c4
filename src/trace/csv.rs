//! A trace as a table: one row an event, in the order of time. The columns are explained in `docs/trace.md`.

use std::io::{self, Write};

use corefit_runtime::trace::{Event, Trace, What};

use super::{Damage, Error};

const COLUMNS: [&str; 14] = [
    "time_ns",
    "runtime",
    "worker",
    "thread",
    "processor",
    "goroutine",
    "event",
    "whom",
    "reason",
    "object",
    "capacity",
    "place",
    "wall_ns",
    "cpu_ns",
];

/// Writes all of `trace` to `to`. Empty means not known or not applicable.
///
/// # Errors
/// The trace could not be read on, or the output not be written.
pub fn csv(trace: &Trace, to: &mut dyn Write) -> Result<Damage, Error> {
    let mut table = csv::Writer::from_writer(to);
    // Not by `From`, which hides of what kind the error is: a reader that went away is none.
    let failed = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => Error::Write(error),
        other => Error::Write(io::Error::other(format!("{other:?}"))),
    };
    table.write_record(COLUMNS).map_err(failed)?;
    let mut events = trace.events();
    for event in &mut events {
        let event = event.map_err(Error::Read)?;
        table.write_record(row(trace, &event)).map_err(failed)?;
    }
    table.flush().map_err(Error::Write)?;
    Ok(events.damage())
}

fn row(trace: &Trace, event: &Event) -> [String; COLUMNS.len()] {
    let About { whom, reason, object, capacity, place: number } = about(&event.what);
    let segment = event.what.segment();
    let or_empty = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let outside = event.worker == 0;
    [
        event.time_ns.to_string(),
        event.runtime.to_string(),
        or_empty((!outside).then_some(event.worker.into())),
        or_empty((!outside).then_some(event.thread.into())),
        or_empty(event.processor.map(u64::from)),
        or_empty(Some(event.goroutine).filter(|&id| id != 0)),
        event.what.name().to_owned(),
        or_empty(whom),
        reason.to_owned(),
        object.filter(|&object| object != 0).map_or_else(String::new, |object| format!("{object:#x}")),
        or_empty(capacity),
        number.and_then(|number| trace.place(number)).map_or_else(String::new, ToString::to_string),
        or_empty(segment.and_then(|segment| segment.wall_ns)),
        or_empty(segment.and_then(|segment| segment.cpu_ns)),
    ]
}

/// What only some events have.
#[derive(Default)]
struct About {
    whom: Option<u64>,
    reason: &'static str,
    object: Option<u64>,
    capacity: Option<u64>,
    place: Option<u32>,
}

fn about(what: &What) -> About {
    match *what {
        What::Spawn { goroutine, place } => {
            About { whom: Some(goroutine), place: Some(place), ..About::default() }
        }
        What::Unpark { goroutine } | What::Notify { goroutine } => {
            About { whom: Some(goroutine), ..About::default() }
        }
        What::Park { reason, object, place, .. } => {
            About { reason, object: Some(object), place: Some(place), ..About::default() }
        }
        What::Sync { object, capacity, place, .. } => {
            About { object: Some(object), capacity: Some(capacity), place: Some(place), ..About::default() }
        }
        What::Procs { procs } => About { capacity: Some(procs), ..About::default() },
        What::Run
        | What::GoOn
        | What::Yield { .. }
        | What::End { .. }
        | What::BlockingBegin { .. }
        | What::BlockingEnd { .. }
        | What::Processor
        | What::Preempt => About::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture;

    #[test]
    fn one_row_an_event_and_as_many_fields_as_columns() {
        let trace = fixture::trace();
        let mut bytes = Vec::new();
        assert_eq!(csv(&trace, &mut bytes).unwrap(), None);
        let mut table = csv::Reader::from_reader(bytes.as_slice());
        assert_eq!(table.headers().unwrap(), COLUMNS.as_slice());
        let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        assert_eq!(rows.len() as u64, trace.event_count());
        let times: Vec<u64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
        assert!(times.is_sorted(), "{times:?}");
    }

    #[test]
    fn what_is_not_known_is_empty() {
        let trace = fixture::trace();
        let mut bytes = Vec::new();
        csv(&trace, &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let spawn = text.lines().find(|line| line.contains(",spawn,")).unwrap();
        let fields: Vec<&str> = spawn.split(',').collect();
        assert_eq!(
            (fields[8], fields[9], fields[10], fields[12], fields[13]),
            ("", "", "", "", ""),
            "{spawn}"
        );
        let park = text.lines().find(|line| line.contains(",park,1") || line.contains(",park,,")).unwrap();
        let fields: Vec<&str> = park.split(',').collect();
        assert!(fields[12].parse::<u64>().unwrap() >= fields[13].parse::<u64>().unwrap(), "{park}");
    }
}
