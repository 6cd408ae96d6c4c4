//! Who is woken: work is never queued while a processor is idle and no one looks for any.

use crate::primitives::Arc;
use crate::queue::{Local, Stealer, ring};
use crate::tracked::Tracked;
use crate::wakeups::Wakeups;
use loom::sync::Mutex;
use loom::thread;
use std::sync::PoisonError;

type Work = Arc<Tracked>;

/// What submitters and workers share: the counts, the queues of two busy processors, and the list of idle ones.
struct World {
    wakeups: Wakeups,
    queues: [Stealer<Work>; 2],
    synced: Mutex<Synced>,
}

#[derive(Default)]
struct Synced {
    idle: usize,
    /// Workers that have given their processor back, and do not sleep yet.
    leaving: usize,
    /// Workers that were given a processor to look for work with. They look after the end of the model.
    woken: usize,
}

impl Synced {
    fn has_left(&mut self) -> bool {
        let was_leaving = self.leaving > 0;
        self.leaving -= usize::from(was_leaving);
        was_leaving
    }
}

fn world(idle: usize) -> (Arc<World>, [Local<Work>; 2]) {
    let (one, others) = ring();
    let (two, of_two) = ring();
    let wakeups = Wakeups::default();
    wakeups.set_idle(idle);
    let world =
        World { wakeups, queues: [others, of_two], synced: Mutex::new(Synced { idle, ..Synced::default() }) };
    (Arc::new(world), [one, two])
}

impl World {
    fn with_lock<R>(&self, f: impl FnOnce(&mut Synced) -> R) -> R {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        let result = f(&mut synced);
        self.wakeups.set_idle(synced.idle);
        result
    }

    /// Keep in step with `Runtime::wake_one` and `Runtime::choose_machine`.
    fn wake_one(&self) {
        if !self.wakeups.must_wake() {
            return;
        }
        self.with_lock(|synced| {
            if synced.idle == 0 {
                self.wakeups.end_spinning();
                return;
            }
            synced.idle -= 1;
            if synced.leaving > 0 {
                synced.leaving -= 1;
            } else {
                synced.woken += 1;
            }
        });
    }

    fn submit(&self, queue: &mut Local<Work>) {
        queue.push(Arc::new(Tracked::new(1))).unwrap();
        self.wake_one();
    }

    fn take_work(&self) -> usize {
        let (mut mine, _) = ring();
        self.queues.iter().find_map(|queue| queue.steal(&mut mine)).map_or(0, |(_, count)| count)
    }

    /// A worker that looks for work and counts as spinning; how much it found. Keep in step with `worker::find` and
    /// `Runtime::release`, and `Runtime::wait_for_mail`. There is one such worker in a model.
    fn find(&self) -> usize {
        loop {
            let found = self.take_work();
            if found > 0 {
                self.wakeups.end_spinning();
                self.wake_one();
                return found;
            }
            self.with_lock(|synced| {
                synced.idle += 1;
                synced.leaving += 1;
            });
            self.wakeups.end_spinning();
            self.wakeups.released();
            let is_seen = self.queues.iter().any(|queue| !queue.is_empty());
            if is_seen && self.take_again() {
                self.wakeups.begin_spinning();
                continue;
            }
            if self.with_lock(|synced| synced.has_left()) {
                return 0;
            }
            // Chosen meanwhile: mail has come, and this one counts as spinning.
        }
    }

    fn take_again(&self) -> bool {
        self.with_lock(|synced| {
            let is_there = synced.idle > 0 && synced.has_left();
            synced.idle -= usize::from(is_there);
            is_there
        })
    }

    /// The law: what was not found will be looked for by someone who was woken.
    fn check(&self, submitted: usize, found: usize) {
        let (idle, woken) = self.with_lock(|synced| (synced.idle, synced.woken));
        assert!(
            found == submitted || woken > 0 || idle == 0,
            "{submitted} queued, {found} found, {idle} idle"
        );
    }
}

/// A worker goes to sleep while another one, busy, queues a goroutine.
#[test]
fn work_that_is_queued_while_a_worker_goes_to_sleep_is_seen() {
    crate::check(|| {
        let (world, [mut queue, _other]) = world(0);
        world.wakeups.begin_spinning();
        let theirs = Arc::clone(&world);
        let worker = thread::spawn(move || theirs.find());
        world.submit(&mut queue);
        world.check(1, worker.join().unwrap());
    });
}

/// Two goroutines are queued while one worker looks: it finds one, and sees to it that someone looks for the other.
#[test]
fn a_worker_that_finds_work_has_the_next_one_looked_for() {
    crate::check(|| {
        let (world, [mut one, mut two]) = world(1);
        world.wakeups.begin_spinning();
        let (for_worker, for_submitter) = (Arc::clone(&world), Arc::clone(&world));
        let worker = thread::spawn(move || for_worker.find());
        let submitter = thread::spawn(move || {
            for_submitter.submit(&mut two);
            two
        });
        world.submit(&mut one);
        let _two = submitter.join().unwrap();
        world.check(2, worker.join().unwrap());
    });
}
