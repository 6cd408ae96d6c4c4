//! The lock of [`RwLock`](super::RwLock), without the data.
//!
//! Phase-fair, as Go's: a waiting writer holds off new readers, so it waits for the readers of one phase; the writer that
//! leaves lets in *all* readers that wait, before the next writer, so a reader waits for one writer. Waiters are served
//! by whoever leaves, who takes the lock in their name; nobody overtakes the queue.
//!
//! ```text
//! state = readers × READER + WRITER? + QUEUED?
//! ```
//! `QUEUED` says that the queue is not empty; it changes only inside the line's critical section, and while it is set
//! the state changes outside only by readers and the writer leaving. `WRITER` excludes readers.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::park::WaitReason;
use crate::sync::crowd::Crowd;
use crate::sync::line::{Line, Rank};

const WRITER: usize = 1;
const QUEUED: usize = 2;
const READER: usize = 4;

#[derive(Debug)]
pub(super) struct RawRwLock {
    state: AtomicUsize,
    line: Line<(), (), 2>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Access {
    /// The state after entering, if that is possible at once.
    fn enter(self, state: usize) -> Option<usize> {
        match self {
            Self::Read => (state & (WRITER | QUEUED) == 0).then(|| state + READER),
            Self::Write => (state == 0).then_some(WRITER),
        }
    }
}

impl RawRwLock {
    pub(super) const fn new() -> Self {
        Self { state: AtomicUsize::new(0), line: Line::new(()) }
    }

    pub(super) fn read(&self) {
        self.lock(Access::Read);
    }

    pub(super) fn write(&self) {
        self.lock(Access::Write);
    }

    pub(super) fn try_read(&self) -> bool {
        self.try_lock(Access::Read)
    }

    pub(super) fn try_write(&self) -> bool {
        self.try_lock(Access::Write)
    }

    pub(super) fn leave_read(&self) {
        // ORDERING: AcqRel. Release: pairs with the Acquire of the writer that comes next, so that it writes after we
        // read. Acquire: the last reader to leave collects the releases of the others before it serves the queue.
        let before = self.state.fetch_sub(READER, AcqRel);
        if before == READER | QUEUED {
            self.serve(Access::Write);
        }
    }

    pub(super) fn leave_write(&self) {
        // ORDERING: Release; pairs with the Acquire of whoever enters next.
        if self.state.compare_exchange(WRITER, 0, Release, Relaxed).is_err() {
            self.serve(Access::Read);
        }
    }

    fn lock(&self, access: Access) {
        if !self.try_lock(access) {
            self.lock_slowly(access);
        }
    }

    fn try_lock(&self, access: Access) -> bool {
        // ORDERING: Acquire on success; pairs with the Release of the writer and the readers that left. Relaxed on
        // failure; a guess for the next round.
        self.state.fetch_update(Acquire, Relaxed, |state| access.enter(state)).is_ok()
    }

    #[cold]
    fn lock_slowly(&self, access: Access) {
        let section = self.line.lock();
        // ORDERING: Acquire, Relaxed; as in `try_lock` if this enters. If it does not, the one that makes room leaves later in
        // the order of this atomic, sees QUEUED and enters the section after us.
        let before = self
            .state
            .fetch_update(Acquire, Relaxed, |state| Some(access.enter(state).unwrap_or(state | QUEUED)));
        if before.is_ok_and(|state| access.enter(state).is_some()) {
            return;
        }
        let why = (WaitReason::RwLock, std::ptr::from_ref(self).addr());
        self.line.wait(section, (access as usize, Rank::Last, ()), why, || {});
    }

    /// Lets in all readers that wait, if it is their `turn`, else the first writer. The caller has just left and nobody is
    /// in; QUEUED keeps everyone else out until the state is set here.
    #[cold]
    fn serve(&self, turn: Access) {
        let mut section = self.line.lock();
        let mut served = match turn {
            Access::Read => section.grant_all(Access::Read as usize),
            Access::Write => Crowd::new(),
        };
        let mut state = served.len() * READER;
        if served.len() == 0 {
            // Readers queue only behind a writer: the one that just left, or one in the queue.
            let writer = section.grant(Access::Write as usize);
            served.push(writer.expect("a queue without readers to serve has a writer"));
            state = WRITER;
        }
        if !section.is_empty(Access::Read as usize) || !section.is_empty(Access::Write as usize) {
            state |= QUEUED;
        }
        // ORDERING: Release; pairs with the Acquire of those who enter without waiting. Those granted learn of it inside
        // the section.
        self.state.store(state, Release);
        drop(section);
        served.unpark();
    }
}
