//! Which worker is woken: one whose CPU is free.
//!
//! The kernel lets a thread that wakes up go on where it ran last, unless it looks for an idle CPU and finds one; and it does
//! not always look: not in a domain that is busy on the whole (`SIS_UTIL`), and on some virtual machines it packs threads on
//! few CPUs. A worker that last ran on the CPU of whoever wakes it then queues behind that one for some milliseconds, beside
//! an idle CPU, and may do so again and again: seen on two CPUs in half of all wake-ups, at a third of the speed (bench
//! `fork_join`).
//!
//! So the choice is ours, in this order:
//!
//! 1. A worker that has given its processor back, and is still on its way to sleep. It gets its mail without a system call.
//! 2. The one that fell asleep last, if that was on another CPU than this: it has left its CPU idle, and its caches warm.
//! 3. The one in the poller, likewise.
//! 4. A fresh one: where it begins the kernel decides by load. It takes the place of the one that has slept for longest.
//! 5. Whoever sleeps.
//!
//! Rejected: to move the thread by its affinity, and give that back. A mask that was set, be it to what it was before, is
//! kept by the kernel when the CPUs of a container change.

use crate::machine::Machine;
use crate::os::{self, Bell};
use crate::primitives::Arc;
use crate::procs;
use crate::runtime::{Runtime, Synced};

/// Nanoseconds between two fresh workers that only better places are wanted for. To start one takes up to 0.1 ms.
const FRESH_NS: u64 = 10_000_000;

/// Who is given mail.
pub(crate) enum Chosen {
    /// Who waits for mail, or is about to.
    Idle(Arc<Machine>),
    Poller(Arc<Machine>, Arc<Bell>),
    /// A worker that has no thread yet.
    Fresh(Arc<Machine>),
}

/// Who wakes a worker.
pub(crate) struct Waker {
    cpu: Option<usize>,
    /// The time, ns of the runtime's clock, if it goes on running there and does not wait itself.
    goes_on_ns: Option<u64>,
}

impl Runtime {
    /// This thread, which `goes_on` or is about to wait.
    pub(crate) fn waker(&self, goes_on: bool) -> Waker {
        Waker { cpu: current_cpu(), goes_on_ns: goes_on.then(|| self.now_ns()) }
    }

    /// A worker for a processor that has none; `None` if there are too many.
    pub(crate) fn choose_machine(&self, synced: &mut Synced, waker: &Waker) -> Option<Chosen> {
        if let Some(chosen) = self.choose_asleep(synced, |machine| !machine.slept_on(waker.cpu)) {
            return Some(chosen);
        }
        if waker.goes_on_ns.is_some_and(|now_ns| synced.may_replace(now_ns)) {
            if !synced.idle_machines.is_empty() {
                synced.idle_machines.remove(0).stop();
            }
            return synced.fresh_machine();
        }
        self.choose_asleep(synced, |_| true).or_else(|| synced.fresh_machine())
    }

    /// The best of those that sleep, or are about to, of which `is_good` holds.
    fn choose_asleep(&self, synced: &mut Synced, is_good: impl Fn(&Machine) -> bool) -> Option<Chosen> {
        if let Some(machine) = synced.leaving.pop() {
            return Some(Chosen::Idle(machine));
        }
        if let Some(at) = synced.idle_machines.iter().rposition(|machine| is_good(machine)) {
            return Some(Chosen::Idle(synced.idle_machines.remove(at)));
        }
        let (machine, bell) = synced.polling.take_if(|(machine, _)| is_good(machine))?;
        self.poller.disarm();
        Some(Chosen::Poller(machine, bell))
    }
}

impl Synced {
    /// `machine`, which has given its processor back, does not look for another one any more. Returns whether it was not
    /// chosen meanwhile: if it was, mail is on its way.
    #[must_use]
    pub(crate) fn has_left(&mut self, machine: &Arc<Machine>) -> bool {
        let at = self.leaving.iter().position(|other| Arc::ptr_eq(other, machine));
        at.map(|at| self.leaving.swap_remove(at)).is_some()
    }

    /// Whether a fresh worker may take the place of one that sleeps where the waker runs.
    fn may_replace(&mut self, now_ns: u64) -> bool {
        let is_time = self.replaced_ns + FRESH_NS <= now_ns;
        if !is_time || (self.idle_machines.is_empty() && self.polling.is_none()) {
            return false;
        }
        self.replaced_ns = now_ns;
        // With one CPU all sleep on the same.
        procs::affinity() > 1
    }

    fn fresh_machine(&mut self) -> Option<Chosen> {
        if self.machines.len() >= self.most_machines {
            return None;
        }
        let machine = Arc::new(Machine::new(self.next_machine));
        self.next_machine += 1;
        self.machines.push(Arc::clone(&machine));
        Some(Chosen::Fresh(machine))
    }
}

/// The CPU that this thread runs on; `None` if it is not known.
pub(crate) fn current_cpu() -> Option<usize> {
    if cfg!(miri) { None } else { os::current_cpu() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Mail;

    /// A waker on CPU 3.
    fn waker(goes_on_ns: Option<u64>) -> Waker {
        Waker { cpu: Some(3), goes_on_ns }
    }

    fn asleep_on(runtime: &Runtime, cpu: usize) -> Arc<Machine> {
        let mut synced = runtime.synced.lock();
        let Some(Chosen::Fresh(machine)) = synced.fresh_machine() else { unreachable!("there are few") };
        machine.falls_asleep_on(Some(cpu));
        synced.idle_machines.push(Arc::clone(&machine));
        machine
    }

    /// The id of who is chosen, and whether it is a fresh one.
    fn chosen(runtime: &Runtime, waker: &Waker) -> (usize, bool) {
        match runtime.choose_machine(&mut runtime.synced.lock(), waker) {
            Some(Chosen::Idle(machine) | Chosen::Poller(machine, _)) => (machine.id, false),
            Some(Chosen::Fresh(machine)) => (machine.id, true),
            None => unreachable!("there are few"),
        }
    }

    #[test]
    fn who_fell_asleep_last_on_another_cpu_is_woken_first() {
        let runtime = Runtime::new(1).unwrap();
        let [first, second, here] = [1, 2, 3].map(|cpu| asleep_on(&runtime, cpu));
        assert_eq!(chosen(&runtime, &waker(Some(0))), (second.id, false));
        assert_eq!(chosen(&runtime, &waker(Some(0))), (first.id, false));
        assert_eq!(chosen(&runtime, &waker(Some(0))), (here.id, false), "better than no one");
        assert!(chosen(&runtime, &waker(Some(0))).1, "no one is left");
    }

    #[test]
    fn who_is_on_its_way_to_sleep_is_chosen_before_all_others_and_learns_of_it() {
        let runtime = Runtime::new(1).unwrap();
        let (one, other) = (asleep_on(&runtime, 3), asleep_on(&runtime, 1));
        let leaves = || runtime.synced.lock().leaving.push(Arc::clone(&one));
        runtime.synced.lock().idle_machines.remove(0);
        leaves();
        assert_eq!(chosen(&runtime, &waker(Some(0))), (one.id, false));
        assert!(!runtime.synced.lock().has_left(&one), "mail is on its way");
        leaves();
        assert!(runtime.synced.lock().has_left(&one));
        assert_eq!(chosen(&runtime, &waker(Some(0))), (other.id, false));
    }

    #[test]
    fn where_all_sleep_on_the_wakers_cpu_a_fresh_one_takes_the_place_of_one_now_and_then() {
        let runtime = Runtime::new(1).unwrap();
        let [first, second, third] = [3; 3].map(|cpu| asleep_on(&runtime, cpu));
        assert_eq!(chosen(&runtime, &waker(None)), (third.id, false), "the waker will make room");
        let may = procs::affinity() > 1;
        assert_eq!(chosen(&runtime, &waker(Some(FRESH_NS))).1, may);
        if may {
            assert!(matches!(first.receive(), Mail::Stop), "it was asleep for longest");
        }
        assert_eq!(chosen(&runtime, &waker(Some(2 * FRESH_NS - 1))), (second.id, false));
    }

    #[test]
    fn a_cpu_that_is_not_known_is_no_ones() {
        let machine = Machine::new(0);
        assert!(!machine.slept_on(None) && !machine.slept_on(Some(0)));
        machine.falls_asleep_on(Some(3));
        assert!(machine.slept_on(Some(3)) && !machine.slept_on(Some(4)) && !machine.slept_on(None));
    }
}
