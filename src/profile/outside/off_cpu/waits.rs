//! Where threads wait, and for how long: from where each leaves its CPU until it is back on one.
//!
//! A sample tells the stack with which a thread leaves, a record right after it that it left and whether it could have gone
//! on, another one that it is back. Whatever of these the kernel dropped, a wait counts only from a leave that was seen to
//! the next return that was.

use std::collections::{HashMap, HashSet};

use super::super::tree::Place;

/// Frames that stand for what no stack shows.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Labels {
    /// The thread could run, and there was no CPU for it.
    pub(in super::super) run_queue: Place,
    /// The kernel took no stack.
    pub(in super::super) no_stack: Place,
    /// The wait had begun when the recording did, so that its stack was never seen.
    pub(in super::super) earlier: Place,
}

/// The threads that are followed.
#[derive(Debug)]
pub(in super::super) struct Waits {
    labels: Labels,
    /// The stack with which a thread is about to leave.
    leaving: HashMap<u32, Vec<Place>>,
    away: HashMap<u32, Away>,
    /// Those that end: they may be interrupted on the way, and leave their CPU a last time.
    ended: HashSet<u32>,
}

/// A thread that is off the CPU.
#[derive(Debug)]
struct Away {
    since_ns: u64,
    /// Innermost first.
    places: Vec<Place>,
}

/// One wait that is over: its stack, innermost first, and its length.
pub(in super::super) type Wait = (Vec<Place>, u64);

impl Waits {
    pub(in super::super) fn new(labels: Labels) -> Self {
        Self { labels, leaving: HashMap::new(), away: HashMap::new(), ended: HashSet::new() }
    }

    /// The thread has been waiting since before the recording.
    pub(in super::super) fn waits_already(&mut self, tid: u32, places: Vec<Place>, now_ns: u64) {
        self.away.insert(tid, Away { since_ns: now_ns, places });
    }

    /// A new thread, whose number may have been another's.
    pub(in super::super) fn begin(&mut self, tid: u32) {
        self.ended.remove(&tid);
        self.leaving.remove(&tid);
        self.away.remove(&tid);
    }

    /// The thread ends: it leaves its CPU once more, and that is no wait.
    pub(in super::super) fn end(&mut self, tid: u32) {
        self.begin(tid);
        self.ended.insert(tid);
    }

    /// The thread is about to leave, with this stack.
    pub(in super::super) fn leave(&mut self, tid: u32, places: Vec<Place>) {
        self.leaving.insert(tid, places);
    }

    /// The thread has left. One that could have gone on waits for a CPU, wherever in the kernel it was.
    pub(in super::super) fn left(&mut self, tid: u32, is_runnable: bool, now_ns: u64) {
        let leaving = self.leaving.remove(&tid);
        if self.ended.contains(&tid) {
            return;
        }
        let mut places = leaving.unwrap_or_else(|| vec![self.labels.no_stack]);
        if is_runnable {
            let in_kernel = places.iter().take_while(|place| matches!(place, Place::Kernel(_))).count();
            places.splice(..in_kernel, [self.labels.run_queue]);
        }
        self.away.insert(tid, Away { since_ns: now_ns, places });
    }

    /// The thread is on a CPU again.
    pub(in super::super) fn back(&mut self, tid: u32, now_ns: u64) -> Option<Wait> {
        let away = self.away.remove(&tid)?;
        Some((away.places, now_ns.saturating_sub(away.since_ns)))
    }

    /// The recording ends: what waits now counts up to here.
    pub(in super::super) fn finish(self, now_ns: u64) -> impl Iterator<Item = Wait> {
        self.away.into_values().map(move |away| (away.places, now_ns.saturating_sub(away.since_ns)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Places that are nowhere, told apart by their address.
    const RUN_QUEUE: Place = Place::Kernel(1);
    const NO_STACK: Place = Place::Kernel(2);
    const IN_KERNEL: Place = Place::Kernel(3);

    fn waits() -> Waits {
        Waits::new(Labels { run_queue: RUN_QUEUE, no_stack: NO_STACK, earlier: Place::Unknown })
    }

    #[test]
    fn a_wait_lasts_from_leave_to_return_with_the_stack_of_the_leave() {
        let mut waits = waits();
        waits.leave(7, vec![IN_KERNEL, Place::Unknown]);
        waits.left(7, false, 100);
        assert_eq!(waits.back(7, 350), Some((vec![IN_KERNEL, Place::Unknown], 250)));
        assert_eq!(waits.back(7, 400), None, "once only");
    }

    #[test]
    fn a_thread_that_could_go_on_waits_in_the_run_queue_and_not_in_the_kernel() {
        let mut waits = waits();
        waits.leave(7, vec![IN_KERNEL, IN_KERNEL, Place::Unknown]);
        waits.left(7, true, 0);
        assert_eq!(waits.back(7, 5), Some((vec![RUN_QUEUE, Place::Unknown], 5)));
    }

    #[test]
    fn a_leave_without_a_stack_counts_and_borrows_none() {
        let mut waits = waits();
        waits.leave(7, vec![Place::Unknown]);
        waits.left(7, false, 0);
        assert!(waits.back(7, 1).is_some());
        waits.left(7, false, 2);
        assert_eq!(waits.back(7, 5), Some((vec![NO_STACK], 3)));
    }

    #[test]
    fn the_last_leave_of_a_thread_is_no_wait_but_its_number_may_be_used_again() {
        let mut waits = waits();
        waits.end(7);
        waits.leave(7, vec![Place::Unknown]);
        waits.left(7, true, 10);
        assert_eq!(waits.back(7, 11), None);
        waits.left(7, false, 12);
        waits.begin(7);
        waits.left(7, false, 20);
        let rest: Vec<Wait> = waits.finish(25).collect();
        assert_eq!(rest, [(vec![NO_STACK], 5)]);
    }

    #[test]
    fn a_return_that_was_lost_lengthens_no_wait() {
        let mut waits = waits();
        waits.left(7, false, 0);
        waits.left(7, false, 1000);
        assert_eq!(waits.back(7, 1001).unwrap().1, 1);
    }

    #[test]
    fn what_waited_before_and_still_waits_counts_for_the_whole_recording() {
        let mut waits = waits();
        waits.waits_already(7, vec![Place::Unknown], 100);
        waits.waits_already(8, vec![Place::Unknown], 100);
        assert_eq!(waits.back(8, 90).unwrap().1, 0, "it was back before the beginning");
        assert_eq!(waits.finish(400).next(), Some((vec![Place::Unknown], 300)));
    }
}
