//! A goroutine, and the states it goes through.
//!
//! ```text
//! spawn ─▶ Runnable ──run──▶ Running ──return──▶ Dead
//!             ▲ ▲  ▲            │ │ │
//!             │ │  └───yield────┘ │ └─suspend(Park)─▶ Parking ──commit──▶ Waiting
//!             │ └──── token came: commit fails ──────────┘                  │
//!             └──────────────────── unpark ─────────────────────────────────┘
//!
//! state     token (`token.rs`)   queued   stack owned by
//! Runnable  any but Parked       yes      whoever takes it out of the queue
//! Running   Empty or Notified    no       the worker running it
//! Parking   Empty or Notified    no       the worker running it, which has left the stack
//! Waiting   Parked               no       no one, until an `unpark` takes the token out of Parked: then its caller
//! Dead      any                  no       the worker that ran it; the stack goes to the pool
//! ```
//!
//! No field holds the state: it follows from where the one right to run the goroutine is. That right is created once
//! (spawn), moves through queues as an `Arc` (each element comes out once), and comes out of `Waiting` once, since only
//! one `notify` finds `Parked`.
#![allow(unsafe_code, reason = "whoever has the right to run it takes the fiber out of a shared cell")]

use crate::fiber::{Fiber, Suspend, Yielder};
use crate::machine::Machine;
use crate::park::WaitReason;
use crate::primitives::Arc;
use crate::primitives::Mutex;
use crate::primitives::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use crate::runtime::Runtime;
use crate::stack::Stack;
use crate::token::{Notified, Token};
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::Location;
use std::ptr;
use std::thread::Thread;

/// What is known about a goroutine before it has a stack.
pub(crate) struct Birth {
    /// From 1 (main), not reused.
    pub(crate) id: u64,
    pub(crate) site: &'static Location<'static>,
    /// Whether it stays on one thread.
    pub(crate) pinned: bool,
}

/// One goroutine.
pub(crate) struct Goroutine {
    pub(crate) birth: Birth,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) token: Token,
    fiber: UnsafeCell<Option<Fiber>>,
    yielder: AtomicPtr<Yielder>,
    /// Addresses of its guard page, and bytes of its stack: for the report of an overflow.
    pub(crate) guard: Range<usize>,
    pub(crate) stack_bytes: usize,
    wait: Wait,
    /// Counts its timed waits: a timer of an older one is void.
    pub(crate) timer_epoch: AtomicU64,
    /// When it was queued, ns of the runtime's clock; 0 if this time is not sampled.
    pub(crate) ready_ns: AtomicU64,
    /// Whether `machine` names the only worker that may run it now.
    bound: AtomicBool,
    machine: Mutex<Option<Arc<Machine>>>,
    /// The thread to wake while its token is `Blocked`.
    thread: Mutex<Option<Thread>>,
    /// Its place in the list of all goroutines.
    pub(crate) registry_slot: AtomicU32,
}

/// What it waits for, while it does. For reports.
#[derive(Debug, Default)]
struct Wait {
    reason: AtomicU8,
    object: AtomicUsize,
}

// SAFETY: all fields but `fiber` and the pointer `yielder` are `Sync`. `fiber` is accessed only in `resume` and
// `take_stack`, whose callers have the right to run the goroutine, which exists once (module docs) and is passed on
// through queues and the token with Release and Acquire. `yielder` is read and written by the goroutine itself only.
unsafe impl Sync for Goroutine {}
// SAFETY: as above; `Fiber` is `Send`, and the rest does not care which thread drops it.
unsafe impl Send for Goroutine {}

impl Goroutine {
    pub(crate) fn new(
        birth: Birth,
        runtime: Arc<Runtime>,
        stack: Stack,
        body: impl FnOnce() + Send + 'static,
    ) -> Self {
        Self {
            birth,
            runtime,
            token: Token::default(),
            guard: stack.guard(),
            stack_bytes: stack.bytes(),
            fiber: UnsafeCell::new(Some(Fiber::new(stack, body))),
            yielder: AtomicPtr::new(ptr::null_mut()),
            wait: Wait::default(),
            timer_epoch: AtomicU64::new(0),
            ready_ns: AtomicU64::new(0),
            bound: AtomicBool::new(false),
            machine: Mutex::new(None),
            thread: Mutex::new(None),
            registry_slot: AtomicU32::new(0),
        }
    }

    /// Runs it on this thread until it suspends; `None` if it has ended.
    ///
    /// # Safety
    /// The caller has the right to run it: it took it out of a queue, or out of `Waiting`, and has not passed it on.
    pub(crate) unsafe fn resume(&self) -> Option<Suspend> {
        // SAFETY: the caller's right is exclusive, see the module docs; so no other reference to the fiber exists.
        let fiber = unsafe { &mut *self.fiber.get() };
        fiber.as_mut().expect("a dead goroutine is in no queue").resume()
    }

    /// The stack of one that has ended.
    ///
    /// # Safety
    /// The caller is the worker whose `resume` returned `None`.
    pub(crate) unsafe fn take_stack(&self) -> Stack {
        // SAFETY: as in `resume`: the caller has had the right to run it, and a dead one is never queued again.
        let fiber = unsafe { &mut *self.fiber.get() };
        fiber.take().expect("a goroutine ends once").into_stack()
    }

    pub(crate) fn set_yielder(&self, yielder: &Yielder) {
        // ORDERING: Relaxed; read by this goroutine only, and what moves the goroutine moves this.
        self.yielder.store(ptr::from_ref(yielder).cast_mut(), Relaxed);
    }

    pub(crate) fn yielder(&self) -> *const Yielder {
        // ORDERING: Relaxed; written by this goroutine.
        self.yielder.load(Relaxed)
    }

    /// Leaves the token, and makes it runnable if it waits.
    pub(crate) fn unpark(self: &Arc<Self>) {
        match self.token.notify() {
            Notified::Awake => self.runtime.trace.note(|lane| lane.notify(self.birth.id)),
            Notified::Parked => {
                self.runtime.trace.note(|lane| lane.unpark(self.birth.id));
                self.runtime.ready(Arc::clone(self));
            }
            Notified::Blocked => {
                if let Some(thread) = self.thread.lock().as_ref() {
                    thread.unpark();
                }
            }
        }
    }

    /// Leaves the token, and gives the goroutine to the caller, who must queue it, if it was parked.
    pub(crate) fn unpark_into(self: Arc<Self>, ready: &mut Vec<Arc<Self>>) {
        match self.token.notify() {
            Notified::Parked => {
                self.runtime.trace.note(|lane| lane.unpark(self.birth.id));
                ready.push(self);
            }
            Notified::Blocked => {
                if let Some(thread) = self.thread.lock().as_ref() {
                    thread.unpark();
                }
            }
            Notified::Awake => self.runtime.trace.note(|lane| lane.notify(self.birth.id)),
        }
    }

    /// Names the thread to wake while it waits without leaving its stack.
    pub(crate) fn set_thread(&self, thread: Thread) {
        *self.thread.lock() = Some(thread);
    }

    /// Says what it is about to wait for.
    pub(crate) fn set_wait(&self, reason: WaitReason, object: usize) {
        // ORDERING: Relaxed; for reports, which look when it waits.
        self.wait.reason.store(reason.code(), Relaxed);
        // ORDERING: Relaxed; as above.
        self.wait.object.store(object, Relaxed);
    }

    /// What it waits for (0: of no interest), if it does.
    pub(crate) fn waits_for(&self) -> Option<(WaitReason, usize)> {
        if !self.token.is_waiting() {
            return None;
        }
        // ORDERING: Relaxed; a snapshot for people.
        let reason = WaitReason::from_code(self.wait.reason.load(Relaxed))?;
        // ORDERING: Relaxed; as above.
        Some((reason, self.wait.object.load(Relaxed)))
    }

    /// When it was queued, ns of the runtime's clock, if this time is sampled. For the worker that runs it.
    pub(crate) fn take_ready_ns(&self) -> Option<u64> {
        // ORDERING: Relaxed; written by whoever queued it, from whose queue the worker has it.
        let ready_ns = self.ready_ns.load(Relaxed);
        if ready_ns == 0 {
            return None;
        }
        // ORDERING: Relaxed; as above.
        self.ready_ns.store(0, Relaxed);
        Some(ready_ns)
    }

    /// Lets only `machine` run it from now on. For its worker, or itself.
    pub(crate) fn bind(&self, machine: Arc<Machine>) {
        *self.machine.lock() = Some(machine);
        // ORDERING: Release; pairs with the Acquire in `bound_to`.
        self.bound.store(true, Release);
    }

    /// Lets every worker run it again.
    pub(crate) fn unbind(&self) {
        // ORDERING: Relaxed; whoever runs it next gets it through a queue.
        self.bound.store(false, Relaxed);
        *self.machine.lock() = None;
    }

    /// The only worker that may run it, if there is one.
    pub(crate) fn bound_to(&self) -> Option<Arc<Machine>> {
        // ORDERING: Acquire; pairs with the Release in `bind`.
        if self.bound.load(Acquire) { self.machine.lock().clone() } else { None }
    }
}
