//! A trace as Chrome's JSON trace events, which Perfetto (<https://ui.perfetto.dev>) and `chrome://tracing` load.
//!
//! Each runtime is a process and each worker a thread of it. A run is a slice, named by its goroutine and where that was
//! spawned; a blocking call is a slice too. Arrows go from who made a goroutine runnable to where it ran. A counter
//! shows how many goroutines are runnable and do not run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, Write};

use corefit_runtime::trace::{Event, Trace, What};
use serde_json::{Value, json};

use super::{Damage, Error};

/// Nanoseconds between two values of the counter, at least: one an event would double the output.
const COUNTER_NS: u64 = 10_000;

/// Writes all of `trace` to `to`.
///
/// # Errors
/// The trace could not be read on, or the output not be written.
pub fn chrome(trace: &Trace, to: &mut dyn Write) -> Result<Damage, Error> {
    let mut drawing = Drawing {
        trace,
        to,
        is_first: true,
        workers: HashMap::new(),
        goroutines: HashMap::new(),
        runtimes: HashMap::new(),
        arrows: 0,
    };
    drawing.raw("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[").map_err(Error::Write)?;
    let mut last_ns = 0;
    let mut events = trace.events();
    for event in &mut events {
        let event = event.map_err(Error::Read)?;
        last_ns = event.time_ns;
        drawing.draw(&event).map_err(Error::Write)?;
    }
    drawing.finish(last_ns).map_err(Error::Write)?;
    Ok(events.damage())
}

/// A worker's thread in the drawing.
type Track = (u32, u32);
/// A runtime and a goroutine's id.
type Goroutine = (u32, u64);

struct Drawing<'a> {
    trace: &'a Trace,
    to: &'a mut dyn Write,
    is_first: bool,
    /// When the slice that is open there began, and whose it is.
    workers: HashMap<Track, Option<Open>>,
    /// Those that are alive.
    goroutines: HashMap<Goroutine, Alive>,
    runtimes: HashMap<u32, Runnable>,
    /// Arrows drawn.
    arrows: u64,
}

#[derive(Clone, Copy)]
struct Open {
    since_ns: u64,
    goroutine: u64,
    is_blocking: bool,
}

#[derive(Clone, Copy, Default)]
struct Alive {
    /// Where it was spawned; 0: not known.
    place: u32,
    /// The arrow that ends where it runs next; 0: none.
    arrow: u64,
    is_runnable: bool,
}

#[derive(Clone, Copy, Default)]
struct Runnable {
    count: u64,
    /// When the counter was last drawn.
    drawn_ns: Option<u64>,
}

impl Drawing<'_> {
    fn draw(&mut self, event: &Event) -> io::Result<()> {
        let track = (event.runtime, event.worker);
        if !self.workers.contains_key(&track) {
            self.introduce(event)?;
            self.workers.insert(track, None);
        }
        match event.what {
            What::Run | What::GoOn => self.begin(event)?,
            What::Park { reason, place: number, .. } => {
                let at = self.trace.place(number).map(ToString::to_string);
                self.end(event, json!({ "then": "park", "reason": reason, "at": at }))?;
            }
            What::Yield { .. } => {
                self.end(event, json!({ "then": "yield" }))?;
                self.set_runnable((event.runtime, event.goroutine), true, event.time_ns)?;
            }
            What::End { .. } => {
                self.end(event, json!({ "then": "end" }))?;
                self.goroutines.remove(&(event.runtime, event.goroutine));
            }
            What::BlockingBegin { .. } | What::BlockingEnd { .. } => {
                let is_blocking = matches!(event.what, What::BlockingBegin { .. });
                self.end(event, json!({ "then": event.what.name() }))?;
                let open = Open { since_ns: event.time_ns, goroutine: event.goroutine, is_blocking };
                self.workers.insert(track, Some(open));
            }
            What::Spawn { goroutine, place } => {
                self.goroutines.insert((event.runtime, goroutine), Alive { place, ..Alive::default() });
                self.instant(event, &format!("spawn g{goroutine}"))?;
                self.make_runnable(event, goroutine)?;
            }
            What::Unpark { goroutine } => self.make_runnable(event, goroutine)?,
            What::Preempt => self.instant(event, "preempt")?,
            What::Procs { procs } => self.instant(event, &format!("GOMAXPROCS {procs}"))?,
            What::Sync { op, object, .. } => self.instant(event, &format!("{} {object:#x}", op.name()))?,
            What::Notify { .. } | What::Processor => {}
        }
        Ok(())
    }

    /// Names a thread of the drawing, and its process if that is new too.
    fn introduce(&mut self, event: &Event) -> io::Result<()> {
        if let Entry::Vacant(place) = self.runtimes.entry(event.runtime) {
            place.insert(Runnable::default());
            let name = format!("runtime {} of process {}", event.runtime, self.trace.pid());
            self.write(
                &json!({ "ph": "M", "name": "process_name", "pid": event.runtime, "args": { "name": name } }),
            )?;
        }
        let name = match event.worker {
            0 => "outside of the workers".to_owned(),
            worker => format!("worker {worker} (thread {})", event.thread),
        };
        let (pid, tid) = (event.runtime, thread_of(event));
        self.write(
            &json!({ "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name } }),
        )
    }

    fn begin(&mut self, event: &Event) -> io::Result<()> {
        let open = Open { since_ns: event.time_ns, goroutine: event.goroutine, is_blocking: false };
        self.workers.insert((event.runtime, event.worker), Some(open));
        let key = (event.runtime, event.goroutine);
        let arrow = std::mem::take(&mut self.goroutines.entry(key).or_default().arrow);
        if arrow != 0 {
            self.arrow(event, arrow, "f")?;
        }
        self.set_runnable(key, false, event.time_ns)
    }

    /// Draws the slice that ends with `event`; `why` is what is said about the end.
    fn end(&mut self, event: &Event, why: Value) -> io::Result<()> {
        let Some(open) = self.workers.insert((event.runtime, event.worker), None).flatten() else {
            return Ok(());
        };
        let cpu_ns = event.what.segment().and_then(|segment| segment.cpu_ns);
        self.slice(
            event.runtime,
            thread_of(event),
            open,
            event.time_ns,
            json!({ "cpu_ns": cpu_ns, "end": why }),
        )
    }

    fn slice(&mut self, runtime: u32, thread: u32, open: Open, end_ns: u64, args: Value) -> io::Result<()> {
        let known = self.goroutines.get(&(runtime, open.goroutine)).copied().unwrap_or_default();
        let spawned = self.trace.place(known.place).map_or_else(String::new, |place| format!(" {place}"));
        let blocking = if open.is_blocking { "blocking: " } else { "" };
        let name = format!("{blocking}g{}{spawned}", open.goroutine);
        let (ts, dur) = (Micros(open.since_ns), Micros(end_ns.saturating_sub(open.since_ns)));
        self.separate()?;
        write!(
            self.to,
            "{{\"ph\":\"X\",\"name\":{},\"pid\":{runtime},\"tid\":{thread},\"ts\":{ts},\"dur\":{dur},\"args\":{args}}}",
            Value::from(name)
        )
    }

    /// Marks a moment.
    fn instant(&mut self, event: &Event, name: &str) -> io::Result<()> {
        let (pid, tid, ts) = (event.runtime, thread_of(event), Micros(event.time_ns));
        let name = Value::from(name);
        self.separate()?;
        write!(
            self.to,
            "{{\"ph\":\"i\",\"s\":\"t\",\"name\":{name},\"pid\":{pid},\"tid\":{tid},\"ts\":{ts}}}"
        )
    }

    /// Begins an arrow to where `goroutine` will run.
    fn make_runnable(&mut self, event: &Event, goroutine: u64) -> io::Result<()> {
        let key = (event.runtime, goroutine);
        self.arrows += 1;
        self.goroutines.entry(key).or_default().arrow = self.arrows;
        let is_inside_a_slice = matches!(self.workers.get(&(event.runtime, event.worker)), Some(Some(_)));
        if !is_inside_a_slice {
            // An arrow begins in a slice.
            let (pid, tid, ts) = (event.runtime, thread_of(event), Micros(event.time_ns));
            self.separate()?;
            write!(
                self.to,
                "{{\"ph\":\"X\",\"name\":\"{} g{goroutine}\",\"pid\":{pid},\"tid\":{tid},\"ts\":{ts},\"dur\":0.001}}",
                event.what.name()
            )?;
        }
        self.arrow(event, self.arrows, "s")?;
        self.set_runnable(key, true, event.time_ns)
    }

    fn arrow(&mut self, event: &Event, number: u64, phase: &str) -> io::Result<()> {
        let (pid, tid, ts) = (event.runtime, thread_of(event), Micros(event.time_ns));
        self.separate()?;
        write!(
            self.to,
            "{{\"ph\":\"{phase}\",\"bp\":\"e\",\"cat\":\"ready\",\"name\":\"ready\",\"id\":{number},\"pid\":{pid},\"tid\":{tid},\
             \"ts\":{ts}}}"
        )
    }

    /// Counts a goroutine as runnable or not, and draws the count now and then.
    fn set_runnable(&mut self, key: Goroutine, is_runnable: bool, now_ns: u64) -> io::Result<()> {
        let was = std::mem::replace(&mut self.goroutines.entry(key).or_default().is_runnable, is_runnable);
        let runtime = self.runtimes.entry(key.0).or_default();
        match (was, is_runnable) {
            (false, true) => runtime.count += 1,
            (true, false) => runtime.count = runtime.count.saturating_sub(1),
            _ => return Ok(()),
        }
        if runtime.drawn_ns.is_some_and(|drawn_ns| now_ns.saturating_sub(drawn_ns) < COUNTER_NS) {
            return Ok(());
        }
        runtime.drawn_ns = Some(now_ns);
        let count = runtime.count;
        self.counter(key.0, count, now_ns)
    }

    fn counter(&mut self, runtime: u32, count: u64, now_ns: u64) -> io::Result<()> {
        self.separate()?;
        let ts = Micros(now_ns);
        write!(
            self.to,
            "{{\"ph\":\"C\",\"name\":\"runnable goroutines\",\"pid\":{runtime},\"ts\":{ts},\"args\":{{\"runnable\":{count}}}}}"
        )
    }

    /// Draws the slices that are still open, up to the end, and the last counts.
    fn finish(&mut self, last_ns: u64) -> io::Result<()> {
        let mut open: Vec<_> =
            self.workers.iter().filter_map(|(&track, &open)| Some((track, open?))).collect();
        open.sort_unstable_by_key(|&(track, _)| track);
        for ((runtime, worker), open) in open {
            self.slice(runtime, thread_number(runtime, worker), open, last_ns, json!({ "end": null }))?;
        }
        let mut counts: Vec<_> =
            self.runtimes.iter().map(|(&runtime, counter)| (runtime, counter.count)).collect();
        counts.sort_unstable();
        for (runtime, count) in counts {
            self.counter(runtime, count, last_ns)?;
        }
        self.raw("\n]}\n")
    }

    fn write(&mut self, event: &Value) -> io::Result<()> {
        self.separate()?;
        write!(self.to, "{event}")
    }

    fn separate(&mut self) -> io::Result<()> {
        let separator = if std::mem::take(&mut self.is_first) { "\n" } else { ",\n" };
        self.raw(separator)
    }

    fn raw(&mut self, text: &str) -> io::Result<()> {
        self.to.write_all(text.as_bytes())
    }
}

/// Perfetto tells threads apart by this number alone, also of different processes, and takes 32 bits of it. A runtime has
/// some 10,000 threads at most.
fn thread_number(runtime: u32, worker: u32) -> u32 {
    runtime.wrapping_shl(16) | worker & 0xFFFF
}

fn thread_of(event: &Event) -> u32 {
    thread_number(event.runtime, event.worker)
}

/// Nanoseconds, written as the microseconds that the format wants.
struct Micros(u64);

impl std::fmt::Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::fixture;

    fn drawn() -> Vec<Value> {
        let mut bytes = Vec::new();
        assert_eq!(chrome(&fixture::trace(), &mut bytes).unwrap(), None);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        document["traceEvents"].as_array().unwrap().clone()
    }

    fn of_phase<'a>(events: &'a [Value], phase: &str) -> Vec<&'a Value> {
        events.iter().filter(|event| event["ph"] == phase).collect()
    }

    #[test]
    fn every_arrow_has_two_ends_in_the_order_of_time() {
        let events = drawn();
        let starts: HashMap<u64, f64> = of_phase(&events, "s")
            .iter()
            .map(|event| (event["id"].as_u64().unwrap(), event["ts"].as_f64().unwrap()))
            .collect();
        let ends = of_phase(&events, "f");
        assert!(ends.len() >= 5, "{}", ends.len());
        for end in ends {
            assert!(starts[&end["id"].as_u64().unwrap()] <= end["ts"].as_f64().unwrap(), "{end}");
        }
    }

    #[test]
    fn a_run_is_a_slice_named_by_goroutine_and_spawn_place() {
        let events = drawn();
        let slices = of_phase(&events, "X");
        let named = |slice: &&&Value| slice["name"].as_str().unwrap().contains("fixture.rs:");
        assert!(slices.iter().filter(named).count() >= 5, "{slices:?}");
        assert!(slices.iter().all(|slice| slice["dur"].as_f64().unwrap() >= 0.0));
    }

    #[test]
    fn threads_and_processes_have_names_and_the_count_ends_where_it_began() {
        let events = drawn();
        assert!(of_phase(&events, "M").len() >= 2);
        let counts = of_phase(&events, "C");
        assert_eq!(counts.last().unwrap()["args"]["runnable"], 0);
    }

    #[test]
    fn microseconds_have_three_decimals() {
        assert_eq!((Micros(1).to_string(), Micros(12_345).to_string()), ("0.001".into(), "12.345".into()));
    }
}
