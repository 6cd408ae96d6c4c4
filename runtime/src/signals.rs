//! The runtimes that run in this process, and SIGQUIT, which makes them report their goroutines.
//!
//! The handler does what a handler may: it sets a flag and rings a bell, for which every watch listens.
#![allow(unsafe_code, reason = "installing a signal handler is a matter of system calls")]

use crate::os::Bell;
use crate::primitives::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use crate::primitives::{Arc, Mutex, OnceLock};
use crate::runtime::Runtime;
use std::os::fd::BorrowedFd;
use std::{mem, ptr};

static RUNTIMES: Mutex<Vec<Arc<Runtime>>> = Mutex::new(Vec::new());
/// `RUNTIMES.len()`, for the handler.
static ALIVE: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicBool = AtomicBool::new(false);
static BELL: OnceLock<Option<Bell>> = OnceLock::new();

/// Takes its runtime off the list when dropped.
pub(crate) struct Listed(Arc<Runtime>);

/// Lists `runtime` as running, and installs the handler if no one has one.
pub(crate) fn list(runtime: &Arc<Runtime>) -> Listed {
    let mut runtimes = RUNTIMES.lock();
    runtimes.push(Arc::clone(runtime));
    // ORDERING: Relaxed; the handler may be late by one signal.
    ALIVE.store(runtimes.len(), Relaxed);
    drop(runtimes);
    BELL.get_or_init(|| {
        let bell = Bell::new().ok();
        if bell.is_some() {
            install();
        }
        bell
    });
    Listed(Arc::clone(runtime))
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut runtimes = RUNTIMES.lock();
        runtimes.retain(|runtime| !Arc::ptr_eq(runtime, &self.0));
        // ORDERING: Relaxed; as in `list`.
        ALIVE.store(runtimes.len(), Relaxed);
    }
}

/// The runtimes that run now.
pub(crate) fn runtimes() -> Vec<Arc<Runtime>> {
    RUNTIMES.lock().clone()
}

/// What rings when SIGQUIT comes; it is never silent again, since the process ends.
pub(crate) fn bell() -> Option<BorrowedFd<'static>> {
    BELL.get()?.as_ref().map(Bell::fd)
}

/// Whether SIGQUIT came; says so to one caller only.
pub(crate) fn was_asked() -> bool {
    // ORDERING: Relaxed; a flag that publishes nothing. The bell, a system call, comes after the store.
    ASKED.load(Relaxed) && ASKED.swap(false, Relaxed)
}

/// Installs the handler, unless the program has one or ignores the signal.
fn install() {
    // SAFETY: all zeroes is a valid `sigaction`: no handler, no flags, an empty mask.
    let mut before: libc::sigaction = unsafe { mem::zeroed() };
    // SAFETY: asks for the present action, into a local of the right type.
    let failed = unsafe { libc::sigaction(libc::SIGQUIT, ptr::null(), &raw mut before) };
    if failed != 0 || before.sa_sigaction != libc::SIG_DFL {
        return;
    }
    let mut action = before;
    let handler: extern "C" fn(libc::c_int) = on_quit;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: `on_quit` is a handler for actions without SA_SIGINFO and does only what a handler may.
    unsafe { libc::sigaction(libc::SIGQUIT, &raw const action, ptr::null_mut()) };
}

extern "C" fn on_quit(signal: libc::c_int) {
    // ORDERING: Relaxed; see `list`.
    if ALIVE.load(Relaxed) == 0 {
        // SAFETY: restores the default action; allowed in a handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
        // SAFETY: as above; the signal comes again when this handler returns.
        unsafe { libc::raise(signal) };
        return;
    }
    // ORDERING: Relaxed; see `was_asked`.
    ASKED.store(true, Relaxed);
    if let Some(bell) = BELL.get().and_then(Option::as_ref) {
        bell.ring();
    }
}
