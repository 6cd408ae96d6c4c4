//! The deeds, done to goroutines.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use corefit_runtime::sync::{Mutex, WaitGroup};
use corefit_runtime::{Builder, Config, JoinHandle, chan, metrics, time, yield_now};

use super::Deed;
use super::memory::Memory;
use super::subject::{Figures, SETTLE, spawn_join, stay_on_one_cpu, turns};

/// Switches in a measurement: a tenth of a second of them.
const SWITCHES: u64 = 1_000_000;

/// Does `deed` to `count` goroutines.
pub(super) fn answer(deed: Deed, count: u64) -> Result<Figures, String> {
    match deed {
        Deed::Live => Config::new().run(move || live(count)),
        Deed::SpawnJoin => Config::new().run(move || spawn_join(count, batch)),
        Deed::Switch => {
            stay_on_one_cpu()?;
            Config::new().procs(1).run(move || switch(count.max(2)))
        }
    }
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    Builder::new().spawn(work).map_err(|error| error.to_string())
}

fn join(all: Vec<JoinHandle<()>>) {
    all.into_iter().for_each(|one| one.join().expect("it does not panic"));
}

fn live(count: u64) -> Result<Figures, String> {
    let (gate, waiting) = chan::<()>(0);
    let started = WaitGroup::new();
    let mut all = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    let before = Memory::now();
    let begun = Instant::now();
    for _ in 0..count {
        let (waiting, started) = (waiting.clone(), started.clone());
        started.add(1);
        all.push(start(move || {
            started.done();
            // The gate opens by being dropped.
            let _ = waiting.recv();
        })?);
    }
    started.wait();
    let created = begun.elapsed();
    time::sleep(SETTLE);
    Ok(Figures::of_lives(count, &before, created, || {
        drop(gate);
        join(all);
    }))
}

fn batch(count: u64) -> Result<(), String> {
    let all = (0..count).map(|_| start(|| ())).collect::<Result<Vec<_>, _>>()?;
    join(all);
    Ok(())
}

/// The clock runs from the moment when the last one is there to the moment when the last one has had its turns. Who has,
/// waits, which is a switch too. The switches are the runtime's own count.
fn switch(count: u64) -> Result<Figures, String> {
    let each = turns(SWITCHES, count, 10);
    let there = Arc::new(AtomicU64::new(0));
    let at_work = WaitGroup::new();
    at_work.add(usize::try_from(count).map_err(|error| error.to_string())?);
    let begun = Arc::new(Mutex::new(None));
    let mut all = Vec::new();
    for _ in 0..count {
        let (there, begun, at_work) = (Arc::clone(&there), Arc::clone(&begun), at_work.clone());
        all.push(start(move || {
            // ORDERING: Relaxed; pairs with the loads below, on the same processor. It publishes no other data.
            if there.fetch_add(1, Relaxed) + 1 == count {
                *begun.lock() = Some((Instant::now(), metrics().runs));
            }
            // ORDERING: Relaxed; as above.
            while there.load(Relaxed) < count {
                yield_now();
            }
            for _ in 0..each {
                yield_now();
            }
            at_work.done();
            at_work.wait();
        })?);
    }
    at_work.wait();
    let (ended, runs_after) = (Instant::now(), metrics().runs);
    let (begun, runs_before) = begun.lock().take().ok_or("no goroutine had its turn")?;
    join(all);
    let mut figures = Figures::default();
    let switches = runs_after.saturating_sub(runs_before);
    figures.add("switch_s", (switches > 0).then(|| (ended - begun).as_secs_f64() / switches as f64));
    Ok(figures)
}
