//! pprof's form: `profile.proto`, gzipped, which `go tool pprof`, Speedscope and Grafana's Pyroscope read.
//!
//! Only names are kept of a stack, so each name is one function and one location, without an address or a line. Field
//! numbers are those of <https://github.com/google/pprof/blob/main/proto/profile.proto>; what is not written is left out.

use std::collections::HashMap;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use crate::profile::{Profile, Title, Unit};

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    /// The first is empty: a number of 0 means that there is no text.
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

/// What a value is and its unit, by their numbers among the strings.
#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    /// One for each sample type.
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

/// What was profiled. pprof would look for a program's file to name addresses if there were none.
#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
}

/// The profile as a gzipped `profile.proto`: sample types `samples`/`count` and `cpu`/`nanoseconds`, or
/// `delay`/`nanoseconds` where the profile is of waiting.
#[must_use]
pub fn pprof(profile: &Profile, title: &Title) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::default());
    zip.write_all(&document(profile, title).encode_to_vec()).expect("a vector takes what is written");
    zip.finish().expect("a vector takes what is written")
}

fn document(profile: &Profile, title: &Title) -> Document {
    let mut strings = Strings::default();
    strings.number("");
    let (sample_type, period_type, period) = types(profile, &mut strings);
    let mut document = Document {
        default_sample_type: sample_type.last().map_or(0, |last| last.kind),
        sample_type,
        time_nanos: started_unix_ns(profile),
        duration_nanos: i64::try_from(profile.duration.as_nanos()).unwrap_or(i64::MAX),
        period_type,
        period,
        mapping: vec![Mapping { id: 1, filename: strings.number(&title.title), has_functions: true }],
        comment: vec![strings.number(&title.subtitle)],
        ..Document::default()
    };
    let mut functions: HashMap<&str, u64> = HashMap::new();
    for stack in &profile.stacks {
        let mut location_id = Vec::with_capacity(stack.frames.len());
        for frame in stack.frames.iter().rev() {
            let next = functions.len() as u64 + 1;
            location_id.push(*functions.entry(frame).or_insert(next));
            if document.function.len() < functions.len() {
                let name = strings.number(frame);
                document.function.push(Function { id: next, name, system_name: name });
                let line = vec![Line { function_id: next }];
                document.location.push(Location { id: next, mapping_id: 1, line });
            }
        }
        document.sample.push(Sample { location_id, value: values(stack.count, profile) });
    }
    document.string_table = strings.texts;
    document
}

/// What is counted, and what one of it stands for.
fn types(profile: &Profile, strings: &mut Strings) -> (Vec<ValueType>, Option<ValueType>, i64) {
    let mut of = |kind, unit| ValueType { kind: strings.number(kind), unit: strings.number(unit) };
    match profile.event.unit() {
        Unit::Samples => {
            let cpu = of("cpu", "nanoseconds");
            (vec![of("samples", "count"), cpu.clone()], Some(cpu), signed(profile.period_ns()))
        }
        // Each wait was measured, none stands for others: there is no period.
        Unit::Microseconds => (vec![of("delay", "nanoseconds")], None, 0),
    }
}

fn values(count: u64, profile: &Profile) -> Vec<i64> {
    match profile.event.unit() {
        Unit::Samples => vec![signed(count), signed(count.saturating_mul(profile.period_ns()))],
        Unit::Microseconds => vec![signed(count.saturating_mul(1000))],
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// When the recording began, if it ended just now.
fn started_unix_ns(profile: &Profile) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(profile.duration).as_nanos()).unwrap_or(0)
}

/// Each text once, by number.
#[derive(Default)]
struct Strings {
    texts: Vec<String>,
    numbers: HashMap<String, i64>,
}

impl Strings {
    fn number(&mut self, text: &str) -> i64 {
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        let number = i64::try_from(self.texts.len()).expect("fewer texts than bytes of memory");
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Event, Folded, Source};
    use flate2::read::GzDecoder;
    use std::io::Read;
    use std::time::Duration;

    fn profile(text: &str, event: Event) -> Profile {
        let folded = Folded::parse(text).unwrap();
        let profile = Profile::of_folded(&folded, Source::SystemWide, event);
        Profile { frequency_hz: 1000, duration: Duration::from_secs(2), ..profile }
    }

    fn decoded(profile: &Profile) -> Document {
        let title = Title::of("sort", "2", profile);
        let mut bytes = Vec::new();
        GzDecoder::new(pprof(profile, &title).as_slice()).read_to_end(&mut bytes).unwrap();
        Document::decode(bytes.as_slice()).unwrap()
    }

    /// What the document says, as folded stacks of one of its values.
    fn folded(document: &Document, value: usize) -> Folded {
        let name = |id: &u64| {
            let location = document.location.iter().find(|location| location.id == *id).unwrap();
            let function = location.line[0].function_id;
            let function = document.function.iter().find(|candidate| candidate.id == function).unwrap();
            document.string_table[usize::try_from(function.name).unwrap()].clone()
        };
        let mut folded = Folded::default();
        for sample in &document.sample {
            let frames = sample.location_id.iter().rev().map(name).collect();
            folded.add(frames, u64::try_from(sample.value[value]).unwrap());
        }
        folded
    }

    fn type_names(document: &Document) -> Vec<(&str, &str)> {
        let text = |number: i64| document.string_table[usize::try_from(number).unwrap()].as_str();
        document.sample_type.iter().map(|of| (text(of.kind), text(of.unit))).collect()
    }

    #[test]
    fn stacks_and_counts_come_out_as_they_went_in() {
        let text = "main;quick;quick 30\nmain;merge 10\nother 2\n";
        let document = decoded(&profile(text, Event::CpuClock));
        assert_eq!(folded(&document, 0), Folded::parse(text).unwrap());
        assert_eq!(document.function.len(), 4, "each name once");
        assert_eq!(document.string_table[0], "");
        assert_eq!(type_names(&document), [("samples", "count"), ("cpu", "nanoseconds")]);
    }

    #[test]
    fn a_sample_stands_for_a_period_of_cpu_time() {
        let document = decoded(&profile("main 7\n", Event::CpuClock));
        assert_eq!(document.sample[0].value, [7, 7_000_000]);
        assert_eq!((document.period, document.duration_nanos), (1_000_000, 2_000_000_000));
    }

    #[test]
    fn waits_are_delays_in_nanoseconds_without_a_period() {
        let document = decoded(&profile("main;lock 7\n", Event::ContextSwitches));
        assert_eq!(type_names(&document), [("delay", "nanoseconds")]);
        assert_eq!((document.sample[0].value.as_slice(), document.period), (&[7000][..], 0));
    }
}
