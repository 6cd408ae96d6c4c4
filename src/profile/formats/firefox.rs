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
