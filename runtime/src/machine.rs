//! A worker thread (Go's M) as others see it: a mailbox where an idle one waits for a processor.

use crate::goroutine::{GoroutineRef, Runnable};
use crate::primitives::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::primitives::{Arc, Condvar, Mutex};
use crate::processor::Core;
use crate::runtime::Runtime;

/// What an idle worker is given.
pub(crate) enum Mail {
    /// A processor, to look for work with. The worker counts as spinning already.
    Core(Box<Core>),
    /// A processor, to run this goroutine with, which no other worker may run.
    Run(Box<Core>, Runnable),
    /// Nothing more: the runtime ends.
    Stop,
}

/// One worker.
pub(crate) struct Machine {
    /// From 0.
    pub(crate) id: usize,
    /// The CPU that it last fell asleep on, and one; 0 if that is not known.
    slept_on: AtomicUsize,
    mailbox: Mutex<Mailbox>,
    arrived: Condvar,
}

#[derive(Default)]
struct Mailbox {
    mail: Option<Mail>,
    stop: bool,
}

impl Machine {
    pub(crate) fn new(id: usize) -> Self {
        Self { id, slept_on: AtomicUsize::new(0), mailbox: Mutex::default(), arrived: Condvar::new() }
    }

    /// Its thread, which runs on `cpu`, is about to sleep.
    pub(crate) fn falls_asleep_on(&self, cpu: Option<usize>) {
        // ORDERING: Relaxed; a hint, and read under the lock that its thread takes next.
        self.slept_on.store(cpu.map_or(0, |cpu| cpu + 1), Relaxed);
    }

    /// Whether it last fell asleep on `cpu`.
    pub(crate) fn slept_on(&self, cpu: Option<usize>) -> bool {
        // ORDERING: Relaxed; as above.
        cpu.is_some_and(|cpu| self.slept_on.load(Relaxed) == cpu + 1)
    }

    /// Gives mail to it. Whoever takes a worker out of a list of waiting ones sends it one mail, so the box is empty.
    pub(crate) fn send(&self, mail: Mail) {
        let before = self.mailbox.lock().mail.replace(mail);
        debug_assert!(before.is_none(), "one mail at a time");
        self.arrived.notify_one();
    }

    /// Tells it to end: after its mail it gets `Stop`, for ever.
    pub(crate) fn stop(&self) {
        self.mailbox.lock().stop = true;
        self.arrived.notify_one();
    }

    /// Waits for mail.
    pub(crate) fn receive(&self) -> Mail {
        let mut mailbox = self.mailbox.lock();
        loop {
            if let Some(mail) = mailbox.mail.take() {
                return mail;
            }
            if mailbox.stop {
                return Mail::Stop;
            }
            mailbox = self.arrived.wait(mailbox);
        }
    }
}

impl Runtime {
    /// Lets only `machine` run `goroutine` from now on. For its worker, or itself.
    pub(crate) fn bind(&self, goroutine: GoroutineRef, machine: Arc<Machine>) {
        self.bound.lock().insert(goroutine.id(), machine);
        goroutine.ties.set_bound(true);
    }

    /// Lets every worker run it again. For its worker, or itself.
    pub(crate) fn unbind(&self, goroutine: GoroutineRef) {
        if goroutine.ties.is_bound() {
            goroutine.ties.set_bound(false);
            self.bound.lock().remove(&goroutine.id());
        }
    }

    /// The only machine that may run it, if there is one.
    pub(crate) fn bound_to(&self, goroutine: GoroutineRef) -> Option<Arc<Machine>> {
        if goroutine.ties.is_bound() { self.bound.lock().get(&goroutine.id()).cloned() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::processor::Processor;

    #[test]
    fn mail_that_came_first_is_not_lost_and_stop_stays() {
        let machine = Machine::new(0);
        machine.send(Mail::Core(Core::new(Arc::new(Processor::new(0).0), Processor::new(0).1)));
        machine.stop();
        assert!(matches!(machine.receive(), Mail::Core(_)));
        assert!(matches!(machine.receive(), Mail::Stop));
        assert!(matches!(machine.receive(), Mail::Stop));
    }
}
