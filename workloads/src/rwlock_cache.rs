//! A cache that is mostly read.
//!
//! - **Models**: an in-memory table behind a read-write lock: routes, sessions, feature flags; 95 % reads.
//! - **Op**: one lookup, or (one in 20) one update, and 0.2 µs of compute with it. Unit: `lookups/s`.
//! - **Expected**: some gain, soon none: readers do not exclude one another, but all write to the lock's line, and
//!   every update stops them all.
//! - **Blocks on**: the read-write lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::hint::black_box;
use std::sync::Arc;

use corefit_runtime::go;
use corefit_runtime::sync::RwLock;

use crate::chain::{self, STEPS_PER_US};
use crate::crew::{expect_equal, join_all};
use crate::stopwatch::Stopwatch;
use crate::{Failure, Outcome, Settings, Workload};

/// The workload.
pub const WORKLOAD: Workload = Workload {
    name: "rwlock_cache",
    about: "a table behind a read-write lock, 95 % reads",
    scaling: "some gain, soon none: the lock's own line",
    unit: "lookups/s",
    policy: None,
    parameters: &[],
    run,
};

/// Goroutines that use the cache.
const GOROUTINES: u64 = 64;
/// Operations of each goroutine at scale 1: a sixth of a second at one processor, because it is thrice that at two.
const OPERATIONS: u64 = 12_000;
/// Steps of compute outside the lock in each operation: 0.2 µs at 3 GHz, ten times what a free lock costs.
const STEPS: u64 = STEPS_PER_US / 5;
/// One operation in this many is an update: 5 %.
const UPDATE_EVERY: u64 = 20;
/// Keys in the cache, all there from the start.
const KEYS: u64 = 4096;

/// A record that shows if it was written in part: its words follow from key and version.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Record {
    version: u64,
    words: [u64; 7],
}

impl Record {
    fn new(key: u64, version: u64) -> Self {
        let first = chain::step(key ^ version.rotate_left(32));
        Self { version, words: std::array::from_fn(|word| first.wrapping_add(word as u64)) }
    }
}

/// Hashed without a random seed: each run finds the same buckets.
type Table = HashMap<u64, Record, BuildHasherDefault<DefaultHasher>>;

fn run(settings: &Settings) -> Result<Outcome, Failure> {
    // Whole turns of reads and an update, so that 5 % is exact.
    let operations = settings.scaled(OPERATIONS / UPDATE_EVERY, 5) * UPDATE_EVERY;
    let table: Table = (0..KEYS).map(|key| (key, Record::new(key, 0))).collect();
    let cache = Arc::new(RwLock::new(table));
    let watch = Stopwatch::start();
    let crew: Vec<_> = (0..GOROUTINES)
        .map(|goroutine| {
            let cache = Arc::clone(&cache);
            go(move || use_cache(&cache, goroutine, operations))
        })
        .collect();
    join_all(crew)?;
    let timed = watch.stop();
    check(&cache.read(), GOROUTINES * operations / UPDATE_EVERY)?;
    Ok(Outcome { ops: GOROUTINES * operations, timed, latency_ns: None })
}

/// One goroutine's operations, on keys that follow from its number.
fn use_cache(cache: &RwLock<Table>, goroutine: u64, operations: u64) -> Result<(), Failure> {
    let mut random = chain::step(goroutine);
    for operation in 1..=operations {
        random = think(random);
        // The high bits: the low ones of this generator have short periods.
        let key = random >> 52;
        if operation % UPDATE_EVERY == 0 {
            update(cache, key)?;
        } else {
            let record = look_up(cache, key).ok_or_else(|| lost(key))?;
            expect_equal("a record", record, Record::new(key, record.version))?;
        }
    }
    Ok(())
}

const _: () = assert!(KEYS == 1 << (64 - 52), "a key has as many bits as are taken from the generator");

/// What is done with a record: it leads to the next key.
#[inline(never)]
fn think(random: u64) -> u64 {
    black_box(chain::compute(random, STEPS))
}

#[inline(never)]
fn look_up(cache: &RwLock<Table>, key: u64) -> Option<Record> {
    cache.read().get(&key).copied()
}

#[inline(never)]
fn update(cache: &RwLock<Table>, key: u64) -> Result<(), Failure> {
    let mut table = cache.write();
    let record = table.get_mut(&key).ok_or_else(|| lost(key))?;
    *record = Record::new(key, record.version + 1);
    Ok(())
}

fn lost(key: u64) -> Failure {
    Failure(format!("wrong result: key {key} is not in the cache"))
}

/// Every record must be whole, and each update must have made one version.
fn check(table: &Table, updates: u64) -> Result<(), Failure> {
    for (key, record) in table {
        expect_equal("a record", *record, Record::new(*key, record.version))?;
    }
    expect_equal("the sum of all versions", table.values().map(|record| record.version).sum(), updates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;

    #[test]
    fn its_own_check_holds_at_1_2_and_4_procs() {
        Trial::of(&WORKLOAD).expect_ops(GOROUTINES * 100);
    }

    #[test]
    fn a_lost_update_and_a_torn_record_are_noticed() {
        let mut table = Table::default();
        table.insert(7, Record::new(7, 3));
        check(&table, 3).unwrap();
        assert_eq!(
            check(&table, 4).unwrap_err().to_string(),
            "wrong result: the sum of all versions is 3, expected 4"
        );
        table.entry(7).and_modify(|record| record.words[6] += 1);
        assert!(check(&table, 3).unwrap_err().to_string().contains("a record"));
    }
}
