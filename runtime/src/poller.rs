//! The poller of a runtime: the descriptors that are registered with the kernel, and their sources.
//!
//! At most one idle worker sleeps in it, until a descriptor is ready, the earliest timer is due or its bell rings. Busy
//! workers look without sleeping. How no timer is slept through that is set while a worker goes to sleep: `earliest.rs`.
//!
//! The bell, rung before the sleep begins, ends it at once. Each sleeper has a bell of its own. With one for all, a worker
//! that has just been woken by it could silence it before another one, which goes to sleep as it leaves, has heard it.

use crate::doubts::Doubts;
use crate::earliest::{NEVER, Sleep};
use crate::goroutine::Runnable;
use crate::os::{Bell, Descriptors, LONGEST_SLEEP, timespec};
use crate::primitives::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::primitives::{Arc, Mutex};
use crate::sources::{Source, Sources};
use crate::timers::Timers;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// See the module docs.
pub(crate) struct Poller {
    /// None after the end of the runtime.
    descriptors: Mutex<Option<Arc<Descriptors>>>,
    sources: Sources,
    registered: AtomicUsize,
    sleep: Sleep,
    pub(crate) doubts: Doubts,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            descriptors: Mutex::new(Some(Arc::new(Descriptors::new()?))),
            sources: Sources::new(),
            registered: AtomicUsize::new(0),
            sleep: Sleep::default(),
            doubts: Doubts::default(),
        })
    }

    fn descriptors(&self) -> Option<Arc<Descriptors>> {
        self.descriptors.lock().clone()
    }

    /// Closes it: the runtime has ended.
    pub(crate) fn close(&self) {
        *self.descriptors.lock() = None;
    }

    /// Registers `fd` for both directions, edge-triggered: what it is ready for now is the first event. Returns the place of
    /// its source.
    pub(crate) fn register(&self, fd: BorrowedFd<'_>) -> io::Result<u32> {
        let descriptors = self.descriptors().ok_or(io::ErrorKind::NotConnected)?;
        let place = self.sources.take();
        if let Err(error) = descriptors.add(fd, place) {
            self.sources.give_back(place);
            return Err(error);
        }
        // ORDERING: Relaxed; a hint that spares looks. The registering goroutine's worker sees it, and goes to sleep in
        // the poller or lets another.
        self.registered.fetch_add(1, Relaxed);
        Ok(place)
    }

    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>, place: u32) {
        if let Some(descriptors) = self.descriptors() {
            descriptors.remove(fd);
        }
        self.sources.give_back(place);
        // ORDERING: Relaxed; as in `register`.
        self.registered.fetch_sub(1, Relaxed);
    }

    /// A registered descriptor as it is seen here.
    pub(crate) fn source(&self, place: u32) -> &Source {
        self.sources.get(place)
    }

    /// Whether there is anything to look at.
    pub(crate) fn has_sources(&self) -> bool {
        // ORDERING: Relaxed; a hint.
        self.registered.load(Relaxed) > 0
    }

    /// Takes what is ready now; goroutines that must be queued are added to `ready`.
    pub(crate) fn look(&self, now_ns: u64, ready: &mut Vec<Runnable>) {
        let Some(descriptors) = self.descriptors() else { return };
        descriptors.take(|place, event| self.sources.get(place).notify(event, ready));
        self.doubts.settle(now_ns, |place, mark| {
            let source = self.sources.get(place);
            if source.is_since(mark) {
                source.read.notify(ready);
            }
        });
    }

    /// Notes that a worker will sleep until the earliest of `timers`; see `Sleep::arm`.
    pub(crate) fn arm(&self, timers: &Timers) {
        self.doubts.refuse(true);
        self.sleep.arm(timers.earliest());
    }

    /// Notes that no worker sleeps here.
    pub(crate) fn disarm(&self) {
        self.sleep.disarm();
        self.doubts.refuse(false);
    }

    /// Whether a worker sleeps in the poller, so that others need not look.
    pub(crate) fn is_asleep(&self) -> bool {
        self.sleep.is_on()
    }

    /// A timer was set that is due at `deadline_ns`, earlier than the others of its queue. Whether a worker sleeps
    /// longer than that and must be woken.
    pub(crate) fn must_ring(&self, deadline_ns: u64) -> bool {
        self.sleep.must_ring(deadline_ns)
    }

    /// Sleeps until a descriptor is ready, the earliest of `timers` is due, or `bell` rings, which is silent afterwards;
    /// may return early. `now_ns` reads the runtime's clock. For the one worker that has the poller, which is armed.
    pub(crate) fn sleep(&self, bell: &Bell, timers: &Timers, now_ns: impl Fn() -> u64) {
        // The caller then looks, which settles them.
        if self.has_sources() && self.doubts.are_there() {
            return;
        }
        let Some(descriptors) = self.descriptors() else { return };
        let until = self.sleep.until(|| timers.earliest());
        let timeout = (until != NEVER).then(|| Duration::from_nanos(until.saturating_sub(now_ns())));
        bell.wait(Some(descriptors.as_fd()), timeout);
    }
}

/// Waits on this thread until `fd` is ready for `flags` or `timeout` has passed (`false`).
pub(crate) fn wait_on_thread(
    fd: BorrowedFd<'_>,
    flags: PollFlags,
    timeout: Option<Duration>,
) -> io::Result<bool> {
    let mut fds = [PollFd::new(&fd, flags)];
    match poll(&mut fds, timeout.map(timespec).as_ref()) {
        // After so long a part of the timeout, as after a signal.
        Ok(ready) => Ok(ready > 0 || timeout > Some(LONGEST_SLEEP)),
        // A signal: the caller tries its operation again, and waits again.
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_bell_that_rang_before_the_sleep_ends_it() {
        let (poller, bell, timers) = (Poller::new().unwrap(), Bell::new().unwrap(), Timers::new());
        bell.ring();
        poller.arm(&timers);
        poller.sleep(&bell, &timers, || 0);
        let start = Instant::now();
        assert!(!wait_on_thread(bell.fd(), PollFlags::IN, Some(Duration::from_millis(1))).unwrap());
        assert!(start.elapsed() >= Duration::from_millis(1));
    }

    #[test]
    fn a_timer_for_which_no_one_rings_is_not_slept_through() {
        let runtime = crate::runtime::Runtime::new(1).unwrap();
        let stack = crate::stack::acquire(crate::stack::Class::DEFAULT).unwrap();
        let birth = crate::goroutine::Birth { id: 1, site: std::panic::Location::caller(), pinned: false };
        let goroutine = Runnable::new(birth, &runtime, stack, || ()).goroutine();
        let (poller, timers) = (Poller::new().unwrap(), Timers::new());
        timers.add(0, goroutine, 10);
        poller.arm(&timers);
        // A busy worker fires the timer before the sleep begins, and a goroutine sets the next one.
        let mut ready = Vec::new();
        timers.take_due(10, &mut ready);
        assert_eq!(timers.earliest(), NEVER);
        let until = poller.sleep.until(|| timers.earliest());
        let (_, is_earliest) = timers.add(0, goroutine, 1_000);
        assert!(is_earliest);
        assert!(until <= 1_000 || poller.must_ring(1_000), "sleeps until {until}, and no one rings");
    }
}
