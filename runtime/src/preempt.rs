//! Asking goroutines to yield, and the check by which they find out.
//!
//! Each processor has a *wish*: sysmon makes it when the goroutine that executes there has used up its time slice. A
//! check must cost next to nothing, so it does not look for its processor, which is behind a thread-local: all wishes of
//! the process are counted in one *gate*, and a check looks only whether that is zero. If it is not, the check goes the
//! long way and looks at the wish of its own processor.
//!
//! ```text
//! sysmon:      wish = true,  gate += 1
//! checkpoint:  gate == 0? done.   else: wish of my processor? then wish = false, gate -= 1, yield
//! ```
//!
//! Nothing is published through either; a check that comes too early for the gate is followed by another. While a
//! goroutine that does not check is asked in vain, the checks of all others go the long way (3 ns more). Rejected: lowering
//! the gate whenever a check finds that it is not meant; sysmon would have to raise it again, up to 10 ms later.

use crate::current;
use crate::fiber::{Suspend, suspend};
use crate::primitives::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use crate::trace;
use std::thread;

/// Wishes not yet fulfilled, of all processors of all runtimes. On cache lines of its own, which all processors share
/// unless a wish comes or goes.
#[repr(align(128))]
struct Gate(AtomicU64);

static GATE: Gate = Gate(AtomicU64::new(0));

/// A wish that a goroutine yield. Made and fulfilled on different threads.
#[derive(Debug, Default)]
pub(crate) struct Wish(AtomicBool);

impl Wish {
    /// Makes it. `true` if it had not been made yet.
    pub(crate) fn make(&self) -> bool {
        // ORDERING: Relaxed; it publishes nothing. A swap, so that the gate counts it once.
        let is_new = !self.0.swap(true, Relaxed);
        if is_new {
            // ORDERING: Relaxed; as above, read by `checkpoint`. Whoever forgets in between makes it wrap, which opens the
            // gate for a moment longer.
            GATE.0.fetch_add(1, Relaxed);
        }
        is_new
    }

    pub(crate) fn is_made(&self) -> bool {
        // ORDERING: Relaxed; it publishes nothing.
        self.0.load(Relaxed)
    }

    /// It has been fulfilled, or is void. A load if there is none.
    #[inline(always)]
    pub(crate) fn forget(&self) {
        if self.is_made() {
            self.end();
        }
    }

    #[cold]
    fn end(&self) {
        // ORDERING: Relaxed; as in `make`.
        if self.0.swap(false, Relaxed) {
            // ORDERING: Relaxed; as in `make`.
            GATE.0.fetch_sub(1, Relaxed);
        }
    }
}

impl Drop for Wish {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Yields if the current goroutine has used up its time slice (10 ms): a check for long loops. Costs a load and a branch,
/// less than 1 ns, if no goroutine has. Outside a goroutine it does nothing. [`preemptible`](crate::preemptible) puts it
/// into whole functions.
///
/// ```
/// use corefit_runtime::{checkpoint, run};
///
/// let sum = run(|| {
///     (0..1_000_000_u64).fold(0, |sum: u64, n| {
///         checkpoint();
///         sum.wrapping_add(n * n)
///     })
/// });
/// assert_eq!(sum, 333_332_833_333_500_000);
/// ```
#[inline]
pub fn checkpoint() {
    // ORDERING: Relaxed; a wish publishes nothing. No thread-local is looked at here, so nothing is kept over a switch.
    if GATE.0.load(Relaxed) != 0 {
        look_closer();
    }
}

#[cold]
#[inline(never)]
fn look_closer() {
    if is_meant() && !thread::panicking() {
        honour();
    }
}

/// Whether the goroutine that runs here is asked to yield.
#[inline(never)]
fn is_meant() -> bool {
    current::with(|context| {
        context.with_core(|core| {
            core.is_some_and(|core| core.processor.wish.is_made() || context.runtime.is_stopping())
        })
    })
    .unwrap_or(false)
}

#[inline(never)]
fn honour() {
    let _ = current::with(|context| {
        context.with_core(|core| {
            if let Some(core) = core {
                core.processor.wish.forget();
                core.stats().preemptions.bump();
                // What is due since is not to wait for the slice of the next one too.
                core.look_at_clock_soon();
            }
        });
    });
    trace::note(|lane| lane.preempt());
    suspend(Suspend::Preempted);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> u64 {
        // ORDERING: Relaxed; this thread's own wishes are what counts.
        GATE.0.load(Relaxed)
    }

    #[test]
    fn a_wish_is_made_once_and_holds_the_gate_open_until_it_is_forgotten() {
        let wish = Wish::default();
        assert!(!wish.is_made());
        assert!(wish.make());
        assert!(!wish.make());
        assert!(wish.is_made() && gate() > 0);
        wish.forget();
        assert!(!wish.is_made());
        assert!(wish.make(), "it can be made again");
    }

    #[test]
    fn a_check_outside_a_goroutine_does_nothing_even_if_the_gate_is_open() {
        let wish = Wish::default();
        wish.make();
        checkpoint();
        assert!(wish.is_made());
    }
}
