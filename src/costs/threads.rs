//! The deeds, done to threads of the operating system.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Deed;
use super::memory::Memory;
use super::subject::{Figures, SETTLE, spawn_join, stay_on_one_cpu, turns};
use crate::{machine, measure};

/// Switches in a measurement: a tenth of a second of them.
const SWITCHES: u64 = 50_000;
/// Where others want the CPU too, who yields waits for their time slices as well: then it is fewer switches.
const MOST_TIME: Duration = Duration::from_secs(1);
/// Turns between two looks at the clock, which take a tenth of one.
const LOOK_EVERY: u64 = 16;

/// Does `deed` to `count` threads.
pub(super) fn answer(deed: Deed, count: u64) -> Result<Figures, String> {
    match deed {
        Deed::Live => live(count),
        Deed::SpawnJoin => spawn_join(count, batch),
        Deed::Switch => switch(count.max(2)),
    }
}

/// The system may refuse a thread: then the process ends with those it has.
fn start(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    thread::Builder::new().spawn(work).map_err(|error| format!("cannot start a thread: {error}"))
}

fn join(all: Vec<JoinHandle<()>>) {
    all.into_iter().for_each(|one| one.join().expect("it does not panic"));
}

/// Where threads wait until all may go on.
#[derive(Default)]
struct Gate(AtomicBool);

impl Gate {
    fn pass(&self) {
        // ORDERING: Relaxed; pairs with the store in `open`. Parking orders the two, and nothing else is published.
        while !self.0.load(Ordering::Relaxed) {
            thread::park();
        }
    }

    fn open(&self, all: &[JoinHandle<()>]) {
        // ORDERING: Relaxed; pairs with the load in `pass`, see there.
        self.0.store(true, Ordering::Relaxed);
        for one in all {
            one.thread().unpark();
        }
    }
}

fn live(count: u64) -> Result<Figures, String> {
    let started = Arc::new(AtomicU64::new(0));
    let gate = Arc::new(Gate::default());
    let driver = thread::current();
    let mut all = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let before = Memory::now();
    let begun = Instant::now();
    for _ in 0..count {
        let (started, gate, driver) = (Arc::clone(&started), Arc::clone(&gate), driver.clone());
        all.push(start(move || {
            // ORDERING: Relaxed; pairs with the driver's load. Parking orders the two, and nothing else is published.
            if started.fetch_add(1, Ordering::Relaxed) + 1 == count {
                driver.unpark();
            }
            gate.pass();
        })?);
    }
    // ORDERING: Relaxed; pairs with the threads' additions, see there.
    while started.load(Ordering::Relaxed) < count {
        thread::park();
    }
    let created = begun.elapsed();
    thread::sleep(SETTLE);
    Ok(Figures::of_lives(count, &before, created, || {
        gate.open(&all);
        join(all);
    }))
}

fn batch(count: u64) -> Result<(), String> {
    let all = (0..count).map(|_| start(|| ())).collect::<Result<Vec<_>, _>>()?;
    join(all);
    Ok(())
}

/// Yields `each` times, or until somebody else is through.
fn take_turns(each: u64, is_over: &AtomicBool) {
    let begun = Instant::now();
    for turn in 1..=each {
        thread::yield_now();
        // ORDERING: Relaxed; pairs with the store below. It publishes no other data.
        if is_over.load(Ordering::Relaxed) || turn % LOOK_EVERY == 0 && begun.elapsed() > MOST_TIME {
            break;
        }
    }
    // ORDERING: Relaxed; pairs with the load above.
    is_over.store(true, Ordering::Relaxed);
}

/// The clock runs from the moment when the last one is there to the moment when the first one has had its turns, or a
/// second has passed. The switches are the kernel's own count: not every `sched_yield` need be one.
fn switch(count: u64) -> Result<Figures, String> {
    let each = turns(SWITCHES, count, 10);
    let allowed = stay_on_one_cpu()?;
    let (there, gate) = (Arc::new(AtomicU64::new(0)), Arc::new(Gate::default()));
    let is_over = Arc::new(AtomicBool::new(false));
    let begun: Arc<Mutex<Option<(Instant, u64)>>> = Arc::default();
    let ended: Arc<Mutex<Option<(Instant, u64)>>> = Arc::default();
    let mark = |at: &Mutex<Option<(Instant, u64)>>| {
        let mut at = at.lock().unwrap_or_else(PoisonError::into_inner);
        if at.is_none() {
            *at = Some((Instant::now(), measure::own_context_switches()));
        }
    };
    let mut all = Vec::new();
    for _ in 0..count {
        let (there, gate, is_over) = (Arc::clone(&there), Arc::clone(&gate), Arc::clone(&is_over));
        let (begun, ended) = (Arc::clone(&begun), Arc::clone(&ended));
        all.push(start(move || {
            // Who yields while others are still being made would take the CPU from who makes them.
            gate.pass();
            // ORDERING: Relaxed; pairs with the loads below. It publishes no other data.
            there.fetch_add(1, Ordering::Relaxed);
            // ORDERING: Relaxed; as above.
            while there.load(Ordering::Relaxed) < count {
                thread::yield_now();
            }
            mark(&begun);
            take_turns(each, &is_over);
            mark(&ended);
        })?);
    }
    // Those that are through yield to each other; the one that lets them through had better have a CPU of its own, or it
    // gets on by a few threads each time it is its turn.
    machine::stay_on(&allowed).map_err(|error| error.to_string())?;
    gate.open(&all);
    join(all);
    let read = |at: &Mutex<Option<(Instant, u64)>>| *at.lock().unwrap_or_else(PoisonError::into_inner);
    let ((from, switches_before), (to, switches_after)) =
        read(&begun).zip(read(&ended)).ok_or("no thread had its turn")?;
    let switches = switches_after.saturating_sub(switches_before);
    let mut figures = Figures::default();
    figures.add("switch_s", (switches > 0).then(|| (to - from).as_secs_f64() / switches as f64));
    Ok(figures)
}
