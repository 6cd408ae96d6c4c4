//! Timers and the worker that sleeps in the poller: no timer is slept through.

use crate::earliest::{Earliest, NEVER, Sleep};
use crate::primitives::Arc;
use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering::Relaxed};
use loom::thread;

#[derive(Default)]
struct World {
    queues: [Queue; 2],
    sleep: Sleep,
    has_rung: AtomicBool,
}

#[derive(Default)]
struct Queue {
    timers: Mutex<Vec<u64>>,
    earliest: Earliest,
}

impl World {
    /// Keep in step with `Timers::add` and `Runtime::set_timer`.
    fn set(&self, queue: usize, deadline: u64) {
        let queue = &self.queues[queue];
        let mut timers = queue.timers.lock().unwrap();
        timers.push(deadline);
        let is_earliest = deadline < queue.earliest.get();
        if is_earliest {
            queue.earliest.publish(deadline);
        }
        drop(timers);
        if is_earliest && self.sleep.must_ring(deadline) {
            self.has_rung.store(true, Relaxed);
        }
    }

    /// Keep in step with `Timers::take_due`.
    fn take_due(&self, now: u64) {
        for queue in &self.queues {
            if queue.earliest.get() <= now {
                let mut timers = queue.timers.lock().unwrap();
                timers.retain(|deadline| *deadline > now);
                queue.earliest.publish(timers.iter().copied().min().unwrap_or(NEVER));
            }
        }
    }

    fn earliest(&self) -> u64 {
        self.queues.iter().map(|queue| queue.earliest.get()).min().unwrap_or(NEVER)
    }

    /// How long a worker sleeps. Keep in step with `Poller::arm` and `Poller::sleep`.
    fn go_to_sleep(&self) -> u64 {
        self.sleep.arm(self.earliest());
        self.sleep.until(|| self.earliest())
    }

    /// The law: the sleep ends before what is left is due, or somebody has ended it.
    fn check(&self, until: u64) {
        let has_rung = self.has_rung.load(Relaxed);
        for queue in &self.queues {
            for deadline in queue.timers.lock().unwrap().iter() {
                assert!(until <= *deadline || has_rung, "{until} sleeps through {deadline}");
            }
        }
    }
}

/// A worker goes to sleep while goroutines of two processors set timers.
#[test]
fn a_timer_that_is_set_while_a_worker_goes_to_sleep_is_not_slept_through() {
    crate::check(|| {
        let world = Arc::new(World::default());
        let setters: Vec<_> = [30, 20]
            .into_iter()
            .enumerate()
            .map(|(queue, deadline)| {
                let world = Arc::clone(&world);
                thread::spawn(move || world.set(queue, deadline))
            })
            .collect();
        let until = world.go_to_sleep();
        setters.into_iter().for_each(|setter| setter.join().unwrap());
        world.check(until);
    });
}

/// A busy worker fires the timer that the sleeper has noted, and its goroutine sets the next one.
#[test]
fn a_timer_that_is_set_after_the_noted_one_has_fired_is_not_slept_through() {
    crate::check(|| {
        let world = Arc::new(World::default());
        world.set(0, 10);
        let busy = {
            let world = Arc::clone(&world);
            thread::spawn(move || {
                world.take_due(10);
                world.set(0, 1000);
            })
        };
        let until = world.go_to_sleep();
        busy.join().unwrap();
        world.check(until);
    });
}
