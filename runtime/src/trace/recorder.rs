//! The recorder of this process: its clock, its file, and all lanes.

use super::buffer::{Shared, Written};
use super::cpu::CpuWatch;
use super::format::{ChunkHeader, Content, Header};
use super::output::{Beyond, Output};
use super::settings::{Level, Settings};
use super::sites::{Site, Sites};
use super::stream::{Gate, State};
use crate::clock::Clock;
use crate::primitives::atomic::{AtomicU32, Ordering::Relaxed};
use crate::primitives::{Arc, Mutex};
use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// How a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `run` returned, the last one if there were several.
    Returned,
    /// All goroutines were asleep.
    Deadlock,
    /// SIGQUIT came.
    Quit,
    /// A fatal error: a stack overflow for example.
    Fatal,
}

impl End {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Returned => 1,
            Self::Deadlock => 2,
            Self::Quit => 3,
            Self::Fatal => 4,
        }
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        [Self::Returned, Self::Deadlock, Self::Quit, Self::Fatal].into_iter().find(|end| end.code() == code)
    }
}

/// What all lanes share. There is one for as long as the process lives.
pub(super) struct Recorder {
    pub(super) clock: Clock,
    path: PathBuf,
    output: Mutex<Output>,
    sites: Sites,
    lanes: Mutex<Vec<Arc<Shared<Gate>>>>,
    lanes_made: AtomicU32,
    runtimes_made: AtomicU32,
}

impl Recorder {
    /// Begins to record as `settings` say.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let clock = Clock::best();
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let header = Header {
            level: u8::from(settings.level == Level::Sync),
            clock: clock.code(),
            cpu: CpuWatch::code(),
            end: 0,
            start: clock.pair(),
            start_unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(0),
            dropped: 0,
            pid: std::process::id(),
        };
        Ok(Self {
            clock,
            path: settings.path.clone(),
            output: Mutex::new(Output::create(&settings.path, header, settings.limit_bytes)?),
            sites: Sites::default(),
            lanes: Mutex::default(),
            lanes_made: AtomicU32::new(0),
            runtimes_made: AtomicU32::new(0),
        })
    }

    /// The number of a new lane, from 1.
    pub(super) fn new_lane(&self) -> u32 {
        // ORDERING: Relaxed; only distinctness counts.
        self.lanes_made.fetch_add(1, Relaxed) + 1
    }

    /// Lists a lane, so that `end` finds it.
    pub(super) fn list(&self, lane: Arc<Shared<Gate>>) {
        self.lanes.lock().push(lane);
    }

    /// Ends a lane: what is left in it is written.
    pub(super) fn unlist(&self, lane: &Arc<Shared<Gate>>) {
        self.lanes.lock().retain(|other| !Arc::ptr_eq(other, lane));
        lane.peek(|gate, written| self.close(gate, written));
    }

    /// The number of a new runtime, from 1.
    pub(super) fn begin_runtime(&self) -> u32 {
        self.output.lock().begin_runtime();
        // ORDERING: Relaxed; only distinctness counts.
        self.runtimes_made.fetch_add(1, Relaxed) + 1
    }

    /// A runtime has returned: what its lanes hold is written, also those of threads that are still in a blocking call.
    pub(super) fn end_runtime(&self, runtime: u32) {
        self.lanes.lock().retain(|lane| {
            let ended = lane.peek(|gate, written| {
                let is_its = gate.header.runtime == runtime;
                if is_its {
                    self.close(gate, written);
                }
                is_its
            });
            ended != Some(true)
        });
        let mut output = self.output.lock();
        if output.end_runtime() {
            output.set_end(End::Returned.code());
            self.tell(&output);
        }
    }

    /// The process ends: everything is written that can be had. Waits for no lock for good, and allocates nothing if the
    /// end is `Fatal`: for a signal handler then.
    pub(super) fn end_process(&self, end: End) {
        if let Some(lanes) = self.lanes.lock_soon() {
            for lane in lanes.iter() {
                lane.peek(|gate, written| self.close(gate, written));
            }
        }
        if let Some(output) = self.output.lock_soon() {
            output.set_end(end.code());
            if end != End::Fatal {
                self.tell(&output);
            }
        }
    }

    /// Writes what a lane holds, for the last time.
    fn close(&self, gate: &mut Gate, written: Written<'_>) {
        if let Some(mut output) = self.output.lock_soon() {
            self.write(&mut output, gate, written, Beyond::Never);
        }
        gate.state = State::Closed;
    }

    /// Writes what a lane holds, before it begins anew. Says whether the file has become full: then `stop_all` is to be
    /// called.
    #[must_use]
    pub(super) fn append(&self, gate: &mut Gate, written: Written<'_>) -> bool {
        let is_full = self.write(&mut self.output.lock(), gate, written, Beyond::Never);
        if let State::Full { written } = &mut gate.state {
            *written = 0;
        }
        is_full
    }

    /// The file has become full: what all lanes have recorded by now is written, and no more.
    pub(super) fn stop_all(&self) {
        for lane in self.lanes.lock().iter() {
            lane.peek(|gate, written| {
                if gate.state == State::Open {
                    self.write(&mut self.output.lock(), gate, written, Beyond::Limit);
                    gate.state = State::Full { written: written.events };
                }
            });
        }
    }

    fn write(&self, output: &mut Output, gate: &mut Gate, written: Written<'_>, beyond: Beyond) -> bool {
        match gate.state {
            State::Closed => return false,
            State::Full { written: known } => {
                output.drop_events(written.events - known);
                return false;
            }
            State::Open if written.events == 0 => return false,
            State::Open => {}
        }
        gate.header.payload_bytes = u32::try_from(written.bytes.len()).unwrap_or(0);
        gate.header.events = written.events;
        gate.header.written = self.clock.pair();
        let is_full = output.append(gate.header, written.bytes, beyond);
        gate.header.sequence += 1;
        is_full
    }

    /// The number of `site`, which is in the file before the number is.
    pub(super) fn site(&self, site: Site) -> u32 {
        self.sites.number(site, |payload| {
            let header = ChunkHeader {
                content: Content::Sites,
                payload_bytes: u32::try_from(payload.len()).unwrap_or(0),
                events: 0,
                lane: 0,
                sequence: 0,
                runtime: 0,
                thread: 0,
                base_ticks: 0,
                running: 0,
                written: self.clock.pair(),
            };
            self.output.lock().append(header, payload, Beyond::Limit);
        })
    }

    /// Says what is missing, on standard error.
    fn tell(&self, output: &Output) {
        if let Some((dropped, why)) = output.dropped() {
            eprintln!(
                "corefit-runtime: the trace `{}` lacks the last {dropped} events: {why}",
                self.path.display()
            );
        }
    }
}
