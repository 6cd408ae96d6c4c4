//! The lock of [`RwLock`](super::RwLock), without the data.
//!
//! As with the mutex, running goroutines may overtake waiting ones: whoever comes to a lock that is free for it enters,
//! and waiters are woken to compete. Handing the lock to the queue instead starts a convoy, with more goroutines than
//! processors, that never ends: whoever gets the lock does not run yet, and whoever runs meanwhile queues, so that every
//! operation is a switch.
//!
//! But nobody is overtaken for ever. Once the one that has waited longest has done so for 1 ms, and somebody notices (a
//! waiter that was woken and lost, the last one that leaves, or one in 16 of the readers that leave others inside), the
//! lock is *phase-fair*, as Go's: newcomers queue, a writer that leaves lets in *all* readers that wait before the next
//! writer, and the last reader that leaves the next writer. So a writer waits for the readers of one phase, and a reader
//! for one writer.
//!
//! ```text
//! state = readers × READER + WRITER? + QUEUED? + WOKEN? + HELD?
//!
//! QUEUED  somebody is in a queue                     all three change only inside the line's section
//! WOKEN   somebody woken has not come back yet       meanwhile nobody else is woken
//! HELD    newcomers queue                            set while somebody is inside
//! ```
//! `WRITER` excludes readers.
//!
//! *No wake-up is lost.* Whoever queues, or comes back and queues again, does so by a read-modify-write that sees somebody
//! inside, or WOKEN, or HELD, which implies one of both or somebody about to serve. Of those inside, the last one leaves by
//! a later read-modify-write, sees QUEUED and serves; those on their way compete, and then one of both holds for them.

use std::time::Duration;

use crate::current;
use crate::park::WaitReason;
use crate::primitives::atomic::{
    AtomicU8, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::primitives::{Instant, spin_loop};
use crate::sync::crowd::Crowd;
use crate::sync::line::{End, Line, Rank, Section};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const WOKEN: usize = 4;
const HELD: usize = 8;
const READER: usize = 16;

/// Who has waited this long is not overtaken any more. As for the mutex.
const STARVATION: Duration = Duration::from_millis(1);

/// Of the readers that leave others inside while somebody waits, one in this many looks for how long. Guess: the look takes
/// 40 ns.
const LEAVES_PER_LOOK: u8 = 16;

/// Looks at a lock that is taken before queueing, each after twice as many pauses as the one before. As for the mutex.
const LOOKS: u32 = 5;

#[derive(Debug)]
pub(super) struct RawRwLock {
    state: AtomicUsize,
    /// About how many readers have left others inside while somebody waited.
    leaves: AtomicU8,
    /// A queue for each kind of access.
    line: Line<Counts, Waiting, 2>,
}

type Inside<'l> = Section<'l, Counts, Waiting, 2>;

#[derive(Debug)]
struct Counts {
    /// How many are in each queue.
    queued: [usize; 2],
    /// How many were woken and have not come back.
    woken: usize,
}

/// What is noted about a waiter.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    since: Instant,
    /// Set by whoever lets it in: it need not compete.
    is_in: bool,
}

/// What somebody wants; its number is that of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read = 0,
    Write = 1,
}

impl Access {
    /// The state after entering, if those inside admit it.
    fn enter(self, state: usize) -> Option<usize> {
        match self {
            Self::Read => (state & WRITER == 0).then(|| state + READER),
            Self::Write => (!is_taken(state)).then_some(state | WRITER),
        }
    }

    /// The same for a newcomer.
    fn enter_anew(self, state: usize) -> Option<usize> {
        if state & HELD == 0 { self.enter(state) } else { None }
    }

    fn queue(self) -> usize {
        self as usize
    }

    fn other(self) -> Self {
        match self {
            Self::Read => Self::Write,
            Self::Write => Self::Read,
        }
    }
}

impl RawRwLock {
    #[const_fn::const_fn(cfg(not(loom)))]
    pub(super) const fn new() -> Self {
        Self {
            state: AtomicUsize::new(0),
            leaves: AtomicU8::new(0),
            line: Line::new(Counts { queued: [0; 2], woken: 0 }),
        }
    }

    #[inline]
    pub(super) fn read(&self) {
        self.lock(Access::Read);
    }

    #[inline]
    pub(super) fn write(&self) {
        self.lock(Access::Write);
    }

    #[inline]
    pub(super) fn try_read(&self) -> bool {
        self.try_lock(Access::Read)
    }

    #[inline]
    pub(super) fn try_write(&self) -> bool {
        self.try_lock(Access::Write)
    }

    #[inline]
    pub(super) fn leave_read(&self) {
        // ORDERING: Release; pairs with the Acquire of the writer that comes next, so that it writes after we read. All
        // changes of the state are read-modify-writes, which carry the release on.
        let before = self.state.fetch_sub(READER, Release);
        if before & QUEUED != 0 {
            self.leave_those_who_wait(before - READER);
        }
    }

    #[inline]
    pub(super) fn leave_write(&self) {
        // ORDERING: Release; pairs with the Acquire of whoever enters next.
        let before = self.state.fetch_and(!WRITER, Release);
        if before & (QUEUED | WOKEN) == QUEUED {
            self.serve(Access::Read);
        }
    }

    #[inline]
    fn lock(&self, access: Access) {
        if !self.try_lock(access) {
            self.lock_slowly(access);
        }
    }

    #[inline]
    fn try_lock(&self, access: Access) -> bool {
        self.update(|state| access.enter_anew(state))
    }

    #[inline]
    fn update(&self, next: impl FnMut(usize) -> Option<usize>) -> bool {
        // ORDERING: Acquire on success; pairs with the Release of those that left. Relaxed on failure; a guess for the next
        // round.
        self.state.fetch_update(Acquire, Relaxed, next).is_ok()
    }

    #[cold]
    fn lock_slowly(&self, access: Access) {
        current::count_lock_wait();
        if self.spin(access) {
            return;
        }
        let since = Instant::now();
        let mut was_woken = false;
        loop {
            let mut inside = self.line.lock();
            if was_woken {
                self.came_back(&mut inside);
            }
            let holds_off = if was_woken && since.elapsed() >= STARVATION { QUEUED | HELD } else { QUEUED };
            // Sees those inside and announces the waiter in one step, or enters.
            let mut is_in = false;
            self.update(|state| {
                let entered = if was_woken { access.enter(state) } else { access.enter_anew(state) };
                is_in = entered.is_some();
                Some(entered.unwrap_or(state | holds_off))
            });
            if is_in {
                return;
            }
            inside.queued[access.queue()] += 1;
            let rank = if was_woken { Rank::First } else { Rank::Last };
            let why = (WaitReason::RwLock, std::ptr::from_ref(self).addr());
            let place = (access.queue(), rank, Waiting { since, is_in: false });
            if self.line.wait(inside, place, why).is_in {
                return;
            }
            was_woken = true;
        }
    }

    fn spin(&self, access: Access) -> bool {
        for look in 0..LOOKS {
            (0..1 << look).for_each(|_| spin_loop());
            if self.try_lock(access) {
                return true;
            }
            // ORDERING: Relaxed; only a hint.
            if self.state.load(Relaxed) & HELD != 0 {
                return false;
            }
        }
        false
    }

    fn came_back(&self, inside: &mut Inside<'_>) {
        inside.woken -= 1;
        if inside.woken == 0 {
            // ORDERING: Relaxed; publishes nothing. As a read-modify-write it carries releases on.
            self.state.fetch_and(!WOKEN, Relaxed);
        }
    }

    /// A reader has left, and `state` behind, in which somebody waits.
    #[cold]
    fn leave_those_who_wait(&self, state: usize) {
        if !is_taken(state) {
            if state & WOKEN == 0 {
                self.serve(Access::Write);
            }
            return;
        }
        if state & HELD == 0 {
            // ORDERING: Relaxed, both; about right is right enough.
            let leaves = self.leaves.load(Relaxed).wrapping_add(1);
            // ORDERING: Relaxed; as above.
            self.leaves.store(leaves, Relaxed);
            if leaves.is_multiple_of(LEAVES_PER_LOOK) {
                self.hold_off_for_the_starving();
            }
        }
    }

    /// Has newcomers queue if somebody has waited for long, unless nobody is inside: then somebody is about to serve.
    fn hold_off_for_the_starving(&self) {
        let inside = self.line.lock();
        if is_starving(&inside) {
            self.update(|state| is_taken(state).then_some(state | HELD));
        }
    }

    /// Sees to those who wait, unless somebody is inside, or on the way: lets in, if one has waited long, all readers
    /// if it is their `turn`, else the first writer; or wakes them to compete.
    #[cold]
    fn serve(&self, turn: Access) {
        let mut inside = self.line.lock();
        let access = if inside.queued[turn.queue()] == 0 { turn.other() } else { turn };
        let count = if access == Access::Read { inside.queued[access.queue()] } else { 1 };
        let is_starving = is_starving(&inside);
        let come = match access {
            _ if !is_starving => WOKEN,
            Access::Read => count * READER,
            Access::Write => WRITER,
        };
        let stay = match inside.queued.iter().sum::<usize>() > count {
            true if is_starving => QUEUED | HELD,
            true => QUEUED,
            false => 0,
        };
        // Before anyone's wait ends: it may leave before this section is left.
        if !self.update(|state| (state & !HELD == QUEUED).then_some(come | stay)) {
            return;
        }
        inside.queued[access.queue()] -= count;
        if !is_starving {
            inside.woken = count;
        }
        let mut served = Crowd::new();
        for _ in 0..count {
            let mut first = inside.claim_first(access.queue()).expect("as many were counted");
            first.note().is_in = is_starving;
            served.push(first.end(End::Served));
        }
        drop(inside);
        served.unpark();
    }
}

/// Whether somebody is inside.
fn is_taken(state: usize) -> bool {
    state & !(QUEUED | WOKEN | HELD) != 0
}

/// Whether somebody has waited for long.
fn is_starving(inside: &Inside<'_>) -> bool {
    let oldest = [Access::Read, Access::Write].into_iter().filter_map(|access| inside.front(access.queue()));
    oldest.map(|waiting| waiting.since).min().is_some_and(|since| since.elapsed() >= STARVATION)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::primitives::Arc;
    use crate::sync::line::Seat;
    use std::pin::Pin;
    use std::thread;

    type Seated<'l> = Pin<Box<Seat<'l, Counts, Waiting, 2>>>;

    /// Queues somebody that has `waited`, in the name of this thread.
    fn queue(lock: &RawRwLock, access: Access, waited: Duration) -> Seated<'_> {
        let since = Instant::now().checked_sub(waited).expect("the clock began earlier");
        let mut inside = lock.line.lock();
        inside.queued[access.queue()] += 1;
        lock.state.fetch_or(QUEUED, Relaxed);
        let mut seat = Box::pin(Seat::new(&lock.line, access.queue(), Waiting { since, is_in: false }));
        seat.as_mut().sit(inside, Rank::Last);
        seat
    }

    /// Whether it was let in (or only woken); `None` if it still waits.
    fn is_in(mut seat: Seated<'_>) -> Option<bool> {
        seat.leave()?;
        Some(seat.as_mut().note().is_in)
    }

    #[test]
    fn newcomers_pass_those_who_have_not_waited_long() {
        let lock = RawRwLock::new();
        lock.read();
        let writer = queue(&lock, Access::Write, Duration::ZERO);
        assert!(lock.try_read());
        lock.leave_read();
        lock.leave_read();
        assert!(is_in(writer).is_some());
    }

    #[test]
    fn nobody_passes_who_has_waited_long() {
        let lock = RawRwLock::new();
        lock.read();
        let writer = queue(&lock, Access::Write, STARVATION);
        // Somebody notices in time.
        let passed = (0..).take_while(|_| lock.try_read()).inspect(|_| lock.leave_read()).count();
        assert_eq!(passed, usize::from(LEAVES_PER_LOOK));
        assert!(!lock.try_read() && !lock.try_write());
        lock.leave_read();
        assert_eq!(is_in(writer), Some(true));
        assert_eq!(lock.state.load(Relaxed), WRITER);
    }

    #[test]
    fn a_writer_that_leaves_lets_all_readers_in_before_the_next_writer() {
        let lock = RawRwLock::new();
        lock.write();
        let writer = queue(&lock, Access::Write, STARVATION);
        let readers = [(); 2].map(|()| queue(&lock, Access::Read, Duration::ZERO));
        lock.leave_write();
        assert_eq!(readers.map(is_in), [Some(true); 2]);
        assert_eq!(lock.state.load(Relaxed), (2 * READER) | QUEUED | HELD);
        lock.leave_read();
        assert_eq!(writer.end(), None);
        lock.leave_read();
        assert_eq!(is_in(writer), Some(true));
        assert_eq!(lock.state.load(Relaxed), WRITER);
    }

    #[test]
    fn those_woken_compete_and_nobody_else_is_woken_meanwhile() {
        let lock = RawRwLock::new();
        lock.write();
        let first = queue(&lock, Access::Write, Duration::ZERO);
        let second = queue(&lock, Access::Write, Duration::ZERO);
        lock.leave_write();
        if is_in(first) != Some(false) {
            // This thread was held up for a millisecond.
            return;
        }
        assert_eq!(lock.state.load(Relaxed), QUEUED | WOKEN);
        lock.serve(Access::Read);
        assert_eq!(second.end(), None);
        lock.came_back(&mut lock.line.lock());
        lock.serve(Access::Read);
        assert!(second.end().is_some());
    }

    #[test]
    fn in_the_end_nobody_is_inside_and_nobody_waits() {
        const ROUNDS: usize = if cfg!(miri) { 20 } else { 5000 };
        let lock = Arc::new(RawRwLock::new());
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let lock = Arc::clone(&lock);
                thread::spawn(move || {
                    for round in 0..ROUNDS {
                        if (round + number) % 3 == 0 {
                            lock.write();
                            lock.leave_write();
                        } else {
                            lock.read();
                            lock.leave_read();
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let inside = lock.line.lock();
        assert_eq!((lock.state.load(Relaxed), inside.queued, inside.woken), (0, [0; 2], 0));
    }
}
