//! The Firefox Profiler's form, for <https://profiler.firefox.com>: call tree, flame graph and search in a browser.
//!
//! A profile here is a sum: when a stack was seen is not kept. Each stack is one sample with its count as weight, and they
//! are laid out one after the other, so that the widths in the time line are shares and not moments.

use std::time::{Duration, SystemTime};

use fxprof_processed_profile::{
    CategoryColor, CpuDelta, Frame, FrameFlags, FrameInfo, Profile as Document, SamplingInterval, Timestamp,
    WeightType,
};

use crate::profile::{Profile, Title, Unit};

/// The profile as the profiler's JSON.
#[must_use]
pub fn firefox(profile: &Profile, title: &Title) -> Vec<u8> {
    let started = SystemTime::now() - profile.duration;
    let interval = SamplingInterval::from(Duration::from_nanos(profile.period_ns()));
    let mut document = Document::new(&title.title, started.into(), interval);
    document.set_symbolicated(true);
    let beginning = Timestamp::from_nanos_since_reference(0);
    let process = document.add_process(&title.title, 1, beginning);
    let thread = document.add_thread(process, 1, beginning, true);
    document.set_thread_name(thread, &title.subtitle);
    let is_waiting = profile.event.unit() == Unit::Microseconds;
    let (name, color, weight_type) = if is_waiting {
        ("Waiting", CategoryColor::Blue, WeightType::TracingMs)
    } else {
        ("CPU", CategoryColor::Yellow, WeightType::Samples)
    };
    document.set_thread_samples_weight_type(thread, weight_type);
    let category = document.add_category(name, color);
    let mut end_ns = 0_u64;
    for stack in &profile.stacks {
        let labels: Vec<_> = stack.frames.iter().map(|frame| document.intern_string(frame)).collect();
        let frames = labels.into_iter().map(|label| FrameInfo {
            frame: Frame::Label(label),
            category_pair: category.into(),
            flags: FrameFlags::empty(),
        });
        let frames = document.intern_stack_frames(thread, frames);
        let at = Timestamp::from_nanos_since_reference(end_ns);
        let length_ns = stack.count.saturating_mul(profile.period_ns());
        let cpu = if is_waiting { CpuDelta::ZERO } else { CpuDelta::from_nanos(length_ns) };
        let weight = i32::try_from(stack.count).unwrap_or(i32::MAX);
        document.add_sample(thread, at, frames, cpu, weight);
        end_ns = end_ns.saturating_add(length_ns);
    }
    document.set_thread_end_time(thread, Timestamp::from_nanos_since_reference(end_ns));
    let mut json = serde_json::to_value(&document).expect("a document of strings and numbers is JSON");
    if is_waiting {
        // The crate's weights are whole numbers, of milliseconds here: most waits are shorter.
        let waited_ms = profile.stacks.iter().map(|stack| stack.count as f64 / 1000.0);
        json["threads"][0]["samples"]["weight"] = waited_ms.collect();
    }
    json.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Event, Folded, Source};
    use serde_json::Value;

    fn document(text: &str, event: Event) -> Value {
        let folded = Folded::parse(text).unwrap();
        let profile = Profile::of_folded(&folded, Source::SystemWide, event);
        let profile = Profile { frequency_hz: 1000, ..profile };
        let json = firefox(&profile, &Title::of("sort", "2", &profile));
        serde_json::from_slice(&json).unwrap()
    }

    /// The stacks of the one thread, outermost first, with their weights.
    fn stacks(document: &Value) -> Vec<(String, f64)> {
        let thread = &document["threads"][0];
        let number = |table: &str, column: &str, row: usize| {
            thread[table][column][row].as_u64().map(|number| usize::try_from(number).unwrap())
        };
        let name = |stack: usize| {
            let frame = number("stackTable", "frame", stack).unwrap();
            let function = number("frameTable", "func", frame).unwrap();
            let text = number("funcTable", "name", function).unwrap();
            thread["stringArray"][text].as_str().unwrap().to_owned()
        };
        let samples = thread["samples"]["stack"].as_array().unwrap();
        let weights = thread["samples"]["weight"].as_array().unwrap();
        let frames = |stack: &Value| {
            let innermost = usize::try_from(stack.as_u64().unwrap()).unwrap();
            let chain =
                std::iter::successors(Some(innermost), |&stack| number("stackTable", "prefix", stack));
            let mut names: Vec<String> = chain.map(name).collect();
            names.reverse();
            names.join(";")
        };
        samples.iter().zip(weights).map(|(stack, weight)| (frames(stack), weight.as_f64().unwrap())).collect()
    }

    /// Columns of the one thread that hold numbers of rows, and the tables that they number. -1 and null stand for none.
    const NUMBERS: [(&str, &str, &str); 8] = [
        ("samples", "stack", "stackTable"),
        ("stackTable", "prefix", "stackTable"),
        ("stackTable", "frame", "frameTable"),
        ("frameTable", "func", "funcTable"),
        ("frameTable", "nativeSymbol", "nativeSymbols"),
        ("funcTable", "name", "stringArray"),
        ("funcTable", "resource", "resourceTable"),
        ("resourceTable", "name", "stringArray"),
    ];

    fn rows(table: &Value) -> i64 {
        let length = table.as_array().map(|array| array.len() as u64).or_else(|| table["length"].as_u64());
        i64::try_from(length.expect("a table says how long it is")).expect("a short table")
    }

    /// What the profiler relies on without a look: every number is that of a row that is there.
    #[track_caller]
    fn check_numbers(document: &Value) {
        let thread = &document["threads"][0];
        for (table, column, target) in NUMBERS {
            let numbers = thread[table][column].as_array().expect("a column");
            assert_eq!(numbers.len() as i64, rows(&thread[table]), "{table}.{column} is whole");
            let most = rows(&thread[target]);
            let is_there = |number: &Value| number.as_i64().is_none_or(|number| (-1..most).contains(&number));
            assert!(numbers.iter().all(is_there), "{table}.{column} leads out of {target}: {numbers:?}");
        }
        for column in ["weight", "threadCPUDelta", "timeDeltas"] {
            let values = thread["samples"][column].as_array().expect("a column");
            assert_eq!(values.len() as i64, rows(&thread["samples"]), "samples.{column} is whole");
        }
        let prefixes = thread["stackTable"]["prefix"].as_array().expect("a column");
        let comes_later =
            |(row, prefix): (usize, &Value)| prefix.as_u64().is_some_and(|prefix| prefix >= row as u64);
        assert!(
            !prefixes.iter().enumerate().any(comes_later),
            "a caller comes before its callee: {prefixes:?}"
        );
        let categories = document["meta"]["categories"].as_array().expect("a list");
        let of_frames = thread["frameTable"]["category"].as_array().expect("a column");
        assert!(
            of_frames
                .iter()
                .all(|category| category.as_u64().is_some_and(|row| row < categories.len() as u64))
        );
    }

    #[test]
    fn every_number_is_that_of_a_row_that_is_there() {
        for event in [Event::CpuClock, Event::ContextSwitches] {
            check_numbers(&document("a 1\na;b 2\na;b;b 3\nc;[kernel];b 4\n", event));
        }
    }

    #[test]
    #[should_panic(expected = "leads out of")]
    fn a_number_of_no_row_is_noticed() {
        let mut document = document("a;b 2\n", Event::CpuClock);
        document["threads"][0]["stackTable"]["frame"][1] = 2.into();
        check_numbers(&document);
    }

    #[test]
    fn stacks_and_counts_come_out_as_they_went_in() {
        let document = document("main;merge 10\nmain;quick;quick 30\n", Event::CpuClock);
        assert_eq!(stacks(&document), [("main;merge".into(), 10.0), ("main;quick;quick".into(), 30.0)]);
        assert_eq!(document["threads"][0]["samples"]["weightType"], "samples");
        assert_eq!(document["meta"]["product"], "sort at 2 procs");
    }

    #[test]
    fn waits_weigh_milliseconds_and_their_parts() {
        let document = document("main;lock 1500\n", Event::ContextSwitches);
        assert_eq!(stacks(&document), [("main;lock".into(), 1.5)]);
        assert_eq!(document["threads"][0]["samples"]["weightType"], "tracing-ms");
    }
}
