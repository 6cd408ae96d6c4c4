//! Counters from the kernel's perf events.

use std::fs::{self, File};
use std::io::{self, Read};

use perf_event::Builder;
use perf_event::events::{Event as PerfEvent, Hardware, Software};
use rustix::io::FdFlags;

use super::super::kernel;
use super::{Counter, CounterBackend, Event, Reading, Scope};

/// The kernel.
#[derive(Clone, Copy, Debug)]
pub struct Perf;

impl CounterBackend for Perf {
    fn open(&self, event: Event, scope: Scope, pid: u32) -> io::Result<Box<dyn Counter>> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let mut builder = Builder::new().kind(kind(event)).observe_pid(pid).any_cpu();
        builder.inherit(true).enable_on_exec(true).exclude_kernel(scope == Scope::UserOnly);
        let descriptor = kernel::into_owned_fd(builder.build()?);
        // The crate leaves it open over an exec, and a program has no business with our counters.
        rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
        Ok(Box::new(PerfCounter(File::from(descriptor))))
    }

    fn paranoid(&self) -> Option<i32> {
        fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?.trim().parse().ok()
    }
}

fn kind(event: Event) -> PerfEvent {
    match event {
        Event::TaskClock => Software::TASK_CLOCK.into(),
        Event::ContextSwitches => Software::CONTEXT_SWITCHES.into(),
        Event::CpuMigrations => Software::CPU_MIGRATIONS.into(),
        Event::PageFaults => Software::PAGE_FAULTS.into(),
        Event::Cycles => Hardware::CPU_CYCLES.into(),
        Event::Instructions => Hardware::INSTRUCTIONS.into(),
        Event::CacheReferences => Hardware::CACHE_REFERENCES.into(),
        Event::CacheMisses => Hardware::CACHE_MISSES.into(),
        Event::Branches => Hardware::BRANCH_INSTRUCTIONS.into(),
        Event::BranchMisses => Hardware::BRANCH_MISSES.into(),
    }
}

/// A descriptor that reads count, time enabled and time running, as the crate's builder asks by default. Its own reader
/// panics where the kernel says that a counter ran longer than it was enabled.
#[derive(Debug)]
struct PerfCounter(File);

impl Counter for PerfCounter {
    fn read(&mut self) -> io::Result<Reading> {
        let mut words = [[0; 8]; 3];
        self.0.read_exact(words.as_flattened_mut())?;
        let [count, enabled_ns, running_ns] = words.map(u64::from_ne_bytes);
        Ok(Reading { count, enabled_ns, running_ns })
    }
}
