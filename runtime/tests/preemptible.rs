//! `#[preemptible]`: the marked code does what it did, and lets go of its processor.

use corefit_runtime::{Config, go, metrics, preemptible, time, yield_now};
use std::cell::Cell;
use std::num::ParseIntError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// The same text with and without checks.
macro_rules! twice {
    ($($text:tt)*) => {
        mod plain {
            use super::Drops;
            $($text)*
        }
        #[corefit_runtime::preemptible]
        mod checked {
            use super::Drops;
            $($text)*
        }
    };
}

thread_local! {
    static DROPS: Cell<u32> = const { Cell::new(0) };
}

struct Drops(u32);

impl Drop for Drops {
    fn drop(&mut self) {
        DROPS.set(DROPS.get() * 10 + self.0);
    }
}

twice! {
    /// Labels, values of `break`, `continue`, and a loop that is the function's value.
    pub(super) fn labels(most: u32) -> (u32, u32) {
        let mut odd = 0;
        let found = 'outer: loop {
            for i in 0.. {
                if i % 2 == 0 {
                    continue;
                }
                odd += 1;
                let mut j = 0;
                while j < i {
                    j += 1;
                    if i * j > most {
                        break 'outer i * 100 + j;
                    }
                }
            }
        };
        (found, 'block: { if odd > 3 { break 'block odd } 0 })
    }

    /// `?` out of a loop.
    pub(super) fn sum(words: &str) -> Result<i64, std::num::ParseIntError> {
        let mut sum = 0;
        for word in words.split(' ') {
            sum += word.parse::<i64>()?;
        }
        Ok(sum)
    }

    /// Chains of `let`, and a condition that has loops itself.
    pub(super) fn chains(mut values: Vec<Option<u32>>) -> u32 {
        let mut sum = 0;
        while let Some(last) = values.pop()
            && let Some(value) = last
            && { let mut n = value; loop { if n < 3 { break n != 1 } n -= 3 } }
        {
            sum += value;
        }
        sum
    }

    /// The order of drops, and what a tail expression borrows.
    pub(super) fn drops() -> usize {
        let _first = Drops(1);
        for number in 2..4 {
            let _each = Drops(number);
            if number == 2 {
                continue;
            }
            let _late = Drops(9);
        }
        Vec::from_iter([Drops(4), Drops(5)]).iter().map(|drops| drops.0).sum::<u32>() as usize
    }

    /// Generic, by reference, with closures, macros, an array and an item within.
    pub(super) fn mixed<T: Ord + Copy>(all: &mut [T], least: impl Fn(T) -> bool) -> Option<&T> {
        const fn three() -> usize {
            let mut n = 0;
            while n < 3 {
                n += 1;
            }
            n
        }
        let counts = [0_u8; three()];
        let bubble = |all: &mut [T]| {
            for end in (1..all.len()).rev() {
                for i in 0..end {
                    if all[i] > all[i + 1] {
                        all.swap(i, i + 1);
                    }
                }
            }
        };
        bubble(all);
        assert_eq!(counts.len(), { let mut n = 0; loop { n += 1; if n == 3 { break n } } });
        all.iter().find(|value| least(**value))
    }

    pub(super) trait Shape {
        fn sides(&self) -> u32;
        fn angles(&self) -> u32 {
            let mut angles = 0;
            while angles < self.sides() {
                angles += 1;
            }
            angles
        }
    }

    impl Shape for u32 {
        fn sides(&self) -> u32 {
            *self
        }
    }

    pub(super) fn never() -> u8 {
        #![allow(clippy::never_loop, reason = "to see an attribute within a body")]
        loop {
            return 7;
        }
    }
}

#[test]
fn labels_and_values_of_loops_are_what_they_were() {
    for most in [0, 10, 57, 1000] {
        assert_eq!(checked::labels(most), plain::labels(most));
    }
}

#[test]
fn a_question_mark_leaves_the_function() {
    assert_eq!(checked::sum("1 2 -4"), Ok(-1));
    let failed: Result<i64, ParseIntError> = checked::sum("1 x 2");
    assert_eq!(failed, plain::sum("1 x 2"));
}

#[test]
fn chains_of_let_go_on_as_long_as_they_did() {
    let values = vec![Some(5), None, Some(3), Some(4), Some(6), Some(2)];
    assert_eq!(checked::chains(values.clone()), plain::chains(values));
}

#[test]
fn values_are_dropped_in_the_same_order() {
    let order = |run: fn() -> usize| {
        DROPS.set(0);
        (run(), DROPS.get())
    };
    assert_eq!(order(checked::drops), order(plain::drops));
}

#[test]
fn closures_macros_traits_and_nested_items_work_as_before() {
    let mut values = [5, 1, 4, 2];
    assert_eq!(checked::mixed(&mut values, |value| value > 2), Some(&4));
    assert_eq!(plain::mixed(&mut [5, 1, 4, 2], |value| value > 2), Some(&4));
    assert_eq!(checked::Shape::angles(&7), plain::Shape::angles(&7));
    assert_eq!(checked::never(), plain::never());
}

/// Spins until another goroutine, which is behind it on the only processor, has set the flag.
struct Spinner(AtomicBool);

#[preemptible]
impl Spinner {
    fn by_while(&self) {
        while !self.0.load(SeqCst) {}
    }

    fn by_continue(&self) {
        loop {
            if !self.0.load(SeqCst) {
                continue;
            }
            return;
        }
    }

    fn by_for(&self) {
        for _ in 0_u64.. {
            if self.0.load(SeqCst) {
                return;
            }
        }
    }

    fn in_a_closure(&self) {
        let wait = || while !self.0.load(SeqCst) {};
        wait();
    }

    fn by_entry(&self) -> bool {
        self.0.load(SeqCst)
    }
}

/// Runs `spin` on one processor beside what ends it: it ends only if the spinning goroutine lets go.
fn lets_go(spin: fn(&Spinner)) {
    let asked = Config::new().procs(1).run(move || {
        let spinner = Arc::new(Spinner(AtomicBool::new(false)));
        let theirs = Arc::clone(&spinner);
        let spins = go(move || spin(&theirs));
        // It runs next; this comes back only after it let go.
        yield_now();
        spinner.0.store(true, SeqCst);
        spins.join().expect("it does not panic");
        metrics().preemptions
    });
    assert!(asked >= 1, "it was not asked: {asked}");
}

#[test]
fn every_kind_of_loop_lets_go_on_one_processor() {
    lets_go(Spinner::by_while);
    lets_go(Spinner::by_continue);
    lets_go(Spinner::by_for);
    lets_go(Spinner::in_a_closure);
}

#[test]
fn a_timer_waits_for_the_slices_of_few_that_were_preempted() {
    const TICKS: u64 = 8;
    let preemptions = Config::new().procs(1).run(|| {
        let stop = Arc::new(Spinner(AtomicBool::new(false)));
        let spins: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                go(move || stop.by_while())
            })
            .collect();
        (0..TICKS).for_each(|_| time::sleep(Duration::from_millis(1)));
        stop.0.store(true, SeqCst);
        spins.into_iter().for_each(|spin| spin.join().expect("it does not panic"));
        metrics().preemptions
    });
    // About six a tick are counted, more where the worker asleep in the poller is held up; queued behind the ring it was 61.
    assert!((1..30 * TICKS).contains(&preemptions), "{preemptions} slices for {TICKS} ticks");
}

#[test]
fn calls_alone_let_go_too() {
    // The loop here is not marked; the entry of what it calls is.
    lets_go(|spinner| while !spinner.by_entry() {});
}

#[test]
fn a_destructor_that_loops_while_a_panic_unwinds_keeps_its_thread() {
    struct Slow<'a>(&'a AtomicU64);
    #[preemptible]
    impl Drop for Slow<'_> {
        fn drop(&mut self) {
            let begun = std::time::Instant::now();
            let thread = std::thread::current().id();
            // Longer than a slice, so that it is asked.
            while begun.elapsed().as_millis() < 30 {}
            self.0.store(u64::from(std::thread::current().id() == thread), SeqCst);
        }
    }
    static STAYED: AtomicU64 = AtomicU64::new(7);
    Config::new().procs(2).run(|| {
        let panics = go(|| {
            let _slow = Slow(&STAYED);
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(panics.join().is_err());
    });
    assert_eq!(STAYED.load(SeqCst), 1);
}
