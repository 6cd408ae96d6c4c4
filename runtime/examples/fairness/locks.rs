//! Many that want the same lock.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corefit_runtime::sync::{Mutex, RwLock, Semaphore};
use corefit_runtime::yield_now;

use crate::crew::{Crew, timed};

const MANY: usize = 64;
/// How long a short lock is held.
const SHORT: Duration = Duration::from_micros(1);

fn compute(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        black_box(());
    }
}

fn mutex(hold: fn()) -> Crew {
    let mut crew = Crew::default();
    let total = Arc::new(Mutex::new(0_u64));
    for _ in 0..MANY {
        let total = Arc::clone(&total);
        crew.add("lockers", move || {
            let (mut guard, waited) = timed(|| total.lock());
            *guard += 1;
            hold();
            Some(waited)
        });
    }
    crew
}

/// On one processor nobody ever finds it locked, but when the time slice ends while it is: then the turns are time slices.
pub(crate) fn mutex_held_shortly() -> Crew {
    mutex(|| compute(SHORT))
}

pub(crate) fn mutex_held_over_a_yield() -> Crew {
    mutex(yield_now)
}

pub(crate) fn semaphore() -> Crew {
    let mut crew = Crew::default();
    let permits = Arc::new(Semaphore::new(4));
    for _ in 0..MANY {
        let permits = Arc::clone(&permits);
        crew.add("holders", move || {
            let (_permit, waited) = timed(|| permits.acquire());
            yield_now();
            Some(waited)
        });
    }
    crew
}

/// Readers overlap all the time, so that a writer gets in only if they make room; and the other way round.
pub(crate) fn rwlock() -> Crew {
    let mut crew = Crew::default();
    let value = Arc::new(RwLock::new(0_u64));
    for _ in 0..16 {
        let value = Arc::clone(&value);
        crew.add("readers", move || {
            let (guard, waited) = timed(|| value.read());
            black_box(*guard);
            yield_now();
            Some(waited)
        });
    }
    for _ in 0..4 {
        let value = Arc::clone(&value);
        crew.add("writers", move || {
            let (mut guard, waited) = timed(|| value.write());
            *guard += 1;
            yield_now();
            Some(waited)
        });
    }
    crew
}
