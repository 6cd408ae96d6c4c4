//! The deeds, done to goroutines.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use corefit_runtime::sync::WaitGroup;
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

/// The clock runs from the moment when the last one is there to the moment when the first has had its turns, and with it, since they
/// take turns in order, all. The switches are the runtime's own count.
fn switch(count: u64) -> Result<Figures, String> {
    let each = turns(SWITCHES, count, 10);
    // How many there are; when the last came, and when the first was done, each with the runs until then.
    let shared = Arc::new((AtomicU64::new(0), OnceLock::new(), OnceLock::new()));
    let moment = || (Instant::now(), metrics().runs);
    let mut all = Vec::new();
    for _ in 0..count {
        let shared = Arc::clone(&shared);
        all.push(start(move || {
            let (there, begun, ended) = &*shared;
            // ORDERING: Relaxed; pairs with the loads below, on the same processor. It publishes no other data.
            if there.fetch_add(1, Relaxed) + 1 == count {
                begun.get_or_init(moment);
            }
            // ORDERING: Relaxed; as above.
            while there.load(Relaxed) < count {
                yield_now();
            }
            for _ in 0..each {
                yield_now();
            }
            ended.get_or_init(moment);
        })?);
    }
    join(all);
    let (_, begun, ended) = &*shared;
    let (Some(&(begun, runs_before)), Some(&(ended, runs_after))) = (begun.get(), ended.get()) else {
        return Err("not all goroutines had their turns".to_owned());
    };
    let mut figures = Figures::default();
    let switches = runs_after.saturating_sub(runs_before);
    figures.add("switch_s", (switches > 0).then(|| (ended - begun).as_secs_f64() / switches as f64));
    Ok(figures)
}
