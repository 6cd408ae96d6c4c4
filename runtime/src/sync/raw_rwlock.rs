//! The lock of [`RwLock`](super::RwLock), without the data.
//!
//! As with the mutex, running goroutines may overtake waiting ones: whoever comes to a lock that is free for it enters,
//! and waiters are woken to compete. Handing the lock to the queue instead starts a convoy, with more goroutines than
//! processors, that never ends: whoever gets the lock does not run yet, and whoever runs meanwhile queues, so that every
//! operation is a switch.
//!
//! But nobody is overtaken for ever. Once the one that has waited longest has done so for 1 ms the lock is *phase-fair*,
//! as Go's: newcomers queue, a writer that leaves lets in *all* readers that wait before the next writer, and the last
//! reader that leaves the next writer. So a writer waits for the readers of one phase, and a reader for one writer.
//!
//! ```text
//! state = readers × READER + WRITER? + QUEUED? + WOKEN?
//!
//! QUEUED  somebody is in a queue                     changes only inside the line's section
//! WOKEN   somebody woken has not come back yet       there too; meanwhile nobody else is woken
//! ```
//! While QUEUED is set everyone enters inside the section too. `WRITER` excludes readers.
//!
//! *No wake-up is lost.* Whoever queues, or comes back and queues again, does so by a read-modify-write that sees somebody
//! inside, or WOKEN. Of those inside, the last one leaves by a later one, sees QUEUED and serves; those on their way
//! compete, and then one of both holds for them.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use crate::park::WaitReason;
use crate::primitives::atomic::{
    AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use crate::sync::crowd::Crowd;
use crate::sync::line::{End, Line, Rank, Section};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const WOKEN: usize = 4;
const READER: usize = 8;

/// Who has waited this long is not overtaken any more. As for the mutex.
const STARVATION: Duration = Duration::from_millis(1);

/// Looks at a lock that is taken before queueing, each after twice as many pauses as the one before. As for the mutex.
const LOOKS: u32 = 5;

#[derive(Debug)]
pub(super) struct RawRwLock {
    state: AtomicUsize,
    /// How many were woken and have not come back; a queue for each kind of access.
    line: Line<usize, Waiting, 2>,
}

type Inside<'l> = Section<'l, usize, Waiting, 2>;

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
            Self::Write => (state & !(QUEUED | WOKEN) == 0).then_some(state | WRITER),
        }
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
    pub(super) const fn new() -> Self {
        Self { state: AtomicUsize::new(0), line: Line::new(0) }
    }

    #[inline]
    pub(super) fn read(&self) {
        if !self.enter_unqueued(Access::Read) {
            self.lock_slowly(Access::Read);
        }
    }

    #[inline]
    pub(super) fn write(&self) {
        if !self.enter_unqueued(Access::Write) {
            self.lock_slowly(Access::Write);
        }
    }

    pub(super) fn try_read(&self) -> bool {
        self.try_lock(Access::Read)
    }

    pub(super) fn try_write(&self) -> bool {
        self.try_lock(Access::Write)
    }

    #[inline]
    pub(super) fn leave_read(&self) {
        // ORDERING: Release; pairs with the Acquire of the writer that comes next, so that it writes after we read. All
        // changes of the state are read-modify-writes, which carry the release on.
        let before = self.state.fetch_sub(READER, Release);
        if before & !WRITER == READER | QUEUED {
            self.serve(Access::Write);
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

    fn try_lock(&self, access: Access) -> bool {
        self.enter_unqueued(access) || {
            let inside = self.line.lock();
            may_overtake(&inside) && self.enter(access)
        }
    }

    /// Enters if nobody waits.
    #[inline]
    fn enter_unqueued(&self, access: Access) -> bool {
        self.update(|state| if state & QUEUED == 0 { access.enter(state) } else { None })
    }

    /// Enters, queue or not. Inside the section.
    fn enter(&self, access: Access) -> bool {
        self.update(|state| access.enter(state))
    }

    #[inline]
    fn update(&self, next: impl FnMut(usize) -> Option<usize>) -> bool {
        // ORDERING: Acquire on success; pairs with the Release of those that left. Relaxed on failure; a guess for the next
        // round.
        self.state.fetch_update(Acquire, Relaxed, next).is_ok()
    }

    #[cold]
    fn lock_slowly(&self, access: Access) {
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
            // Sees those inside and announces the waiter in one step, or enters.
            let may_enter = was_woken || may_overtake(&inside);
            let mut is_in = false;
            self.update(|state| {
                let entered = access.enter(state).filter(|_| may_enter);
                is_in = entered.is_some();
                Some(entered.unwrap_or(state | QUEUED))
            });
            if is_in {
                return;
            }
            let rank = if was_woken { Rank::First } else { Rank::Last };
            let why = (WaitReason::RwLock, std::ptr::from_ref(self).addr());
            let place = (access.queue(), rank, Waiting { since, is_in: false });
            if self.line.wait(inside, place, why, || {}).is_in {
                return;
            }
            was_woken = true;
        }
    }

    fn spin(&self, access: Access) -> bool {
        (0..LOOKS).any(|look| {
            (0..1 << look).for_each(|_| spin_loop());
            self.enter_unqueued(access)
        })
    }

    fn came_back(&self, inside: &mut Inside<'_>) {
        **inside -= 1;
        if **inside == 0 {
            // ORDERING: Relaxed; publishes nothing. As a read-modify-write it carries releases on.
            self.state.fetch_and(!WOKEN, Relaxed);
        }
    }

    /// Sees to those who wait, unless somebody is inside, or on the way: lets in, if one has waited long, all readers
    /// if it is their `turn`, else the first writer; or wakes them to compete.
    #[cold]
    fn serve(&self, turn: Access) {
        let mut inside = self.line.lock();
        let access = if inside.is_empty(turn.queue()) { turn.other() } else { turn };
        let is_starving = !may_overtake(&inside);
        let (count, is_last) = match access {
            Access::Read => (inside.count(Access::Read.queue()), inside.is_empty(Access::Write.queue())),
            Access::Write => (1, inside.count(Access::Write.queue()) == 1 && inside.is_empty(Access::Read.queue())),
        };
        let cleared = if is_last { QUEUED } else { 0 };
        let is_mine = self.update(|state| {
            let is_free = state & !WRITER == QUEUED && state & WRITER == 0;
            let served = match (is_starving, access) {
                (true, Access::Read) => count * READER,
                (true, Access::Write) => WRITER,
                (false, _) => WOKEN,
            };
            is_free.then_some((state & !cleared) | served)
        });
        if !is_mine {
            return;
        }
        if !is_starving {
            *inside += count;
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

/// Whether nobody has waited for long.
fn may_overtake(inside: &Inside<'_>) -> bool {
    let oldest = [Access::Read, Access::Write].into_iter().filter_map(|access| inside.front(access.queue()));
    oldest.map(|waiting| waiting.since).min().is_none_or(|since| since.elapsed() < STARVATION)
}
