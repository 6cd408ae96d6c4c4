//! The watch: one thread that holds no processor. It asks goroutines that run for more than 10 ms to yield, looks at
//! timers and network if no one has for long, gives back the memory of idle stacks, and notices deadlocks.
//!
//! It sleeps 20 µs at first and twice as long each time that it found nothing to do, up to 10 ms, but never beyond the end
//! of a time slice (`slices.rs`). When all processors have been idle for a while it sleeps until work begins:
//!
//! ```text
//! sysmon:  asleep = true      FENCE   read idle; all are? sleep
//! worker:  takes an idle one  FENCE   read asleep; ring
//! ```

use crate::hogs::Hogs;
use crate::lazy::Vigil;
use crate::os::Bell;
use crate::primitives::atomic::{
    AtomicBool,
    Ordering::{Relaxed, SeqCst},
    fence,
};
use crate::primitives::{Arc, Mutex};
use crate::report;
use crate::runtime::Runtime;
use crate::signals;
use crate::slices::{SHORT_SLICE_NS, Slices, Waiting};
use crate::stack::{self, Trimmed};
use crate::timers::NEVER;
use crate::usage;
use std::time::Duration;
use std::{io, thread};

const SHORTEST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_millis(10);
/// The longest while a processor is lazy (`lazy.rs`).
const ALERT_SLEEP: Duration = Duration::from_micros(100);

/// Nanoseconds without a look at timers and network after which the watch looks, but beside goroutines that have used up a
/// slice: they are to make way early for what it finds. Twice a time slice: a worker whose goroutine checks has looked by
/// then.
const LOOK_NS: u64 = 20_000_000;
/// Nanoseconds between two looks at the idle stacks.
const TRIM_NS: u64 = 1_000_000_000;
/// Rounds in a row with all processors idle before the long sleep: 0.1 s.
const IDLE_ROUNDS: u32 = 10;

/// What the others know of the watch.
pub(crate) struct Alarm {
    /// None after the end of the runtime.
    bell: Mutex<Option<Arc<Bell>>>,
    asleep: AtomicBool,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { bell: Mutex::new(Some(Arc::new(Bell::new()?))), asleep: AtomicBool::new(false) })
    }

    pub(crate) fn ring(&self) {
        if let Some(bell) = &*self.bell.lock() {
            bell.ring();
        }
    }

    /// A processor is idle no longer.
    pub(crate) fn work_begins(&self) {
        // ORDERING: SeqCst fence; pairs with the fence in `sleep_long`.
        fence(SeqCst);
        // ORDERING: Relaxed; ordered by the fence. The swap lets one worker ring.
        if self.asleep.load(Relaxed) && self.asleep.swap(false, Relaxed) {
            self.ring();
        }
    }

    /// Sleeps until the bell or a signal rings, or for `timeout`.
    fn sleep(&self, timeout: Option<Duration>) {
        let Some(bell) = self.bell.lock().clone() else { return };
        bell.wait(signals::bell(), timeout);
    }
}

/// The watch over a runtime. Dropped, it ends the runtime and then itself: no thread stays behind, also if what follows
/// its start fails.
pub(crate) struct Watch {
    runtime: Arc<Runtime>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.runtime.begin_stop();
        self.runtime.stop();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("sysmon does not panic");
        }
    }
}

/// Starts the watch over `runtime`.
pub(crate) fn start(runtime: &Arc<Runtime>) -> io::Result<Watch> {
    let theirs = Arc::clone(runtime);
    let thread = thread::Builder::new().name("corefit-sysmon".to_owned()).spawn(move || watch(&theirs))?;
    Ok(Watch { runtime: Arc::clone(runtime), thread: Some(thread) })
}

fn watch(runtime: &Arc<Runtime>) {
    let mut slices = Slices::default();
    let mut hogs = Hogs::new();
    // The first slice may end before the backoff does.
    let mut due_ns = NEVER;
    let mut sleep = SHORTEST_SLEEP;
    let mut idle_rounds = 0;
    let mut trimmed_ns = 0;
    let mut vigil = Vigil::default();
    let mut used_ns = None;
    while !runtime.is_stopping() {
        if idle_rounds < IDLE_ROUNDS {
            let left = Duration::from_nanos(due_ns.saturating_sub(runtime.now_ns()));
            runtime.alarm.sleep(Some(sleep.min(left.max(SHORTEST_SLEEP))));
        } else {
            sleep_long(runtime);
            slices.begin(runtime.now_ns());
            (sleep, idle_rounds) = (SHORTEST_SLEEP, 0);
        }
        // This thread never has a processor, so the CPU time that it used since the last look counts as that of a call. What it
        // waits for a CPU is in no account of workers, from which it would have to be taken off.
        let cpu_ns = runtime.stats.is_in_stretch().then(usage::thread_cpu_ns);
        if let Some((before_ns, now_ns)) = used_ns.zip(cpu_ns) {
            runtime.stats.blocking_cpu_ns.add_shared(now_ns.saturating_sub(before_ns));
        }
        used_ns = cpu_ns;
        if signals::was_asked() {
            report::quit();
        }
        let now_ns = runtime.now_ns();
        let found_something = look(runtime, now_ns);
        let queued = Waiting {
            are_ready: runtime.has_ready(),
            have_used_up: runtime.has_used_up(),
            may_come: runtime.timers.earliest() != NEVER || runtime.poller.has_sources(),
        };
        let round = slices.look(&runtime.processors(), now_ns, queued);
        due_ns = round.due_ns;
        runtime.stats.longest_run_ns.raise(std::mem::take(&mut slices.longest_ns));
        (0..round.asked).for_each(|_| runtime.stats.preemptions_asked.bump_shared());
        for (id, ran_ns) in round.hogs {
            hogs.tell(runtime, id, Duration::from_nanos(ran_ns));
        }
        sleep = if found_something { SHORTEST_SLEEP } else { (sleep * 2).min(LONGEST_SLEEP) };
        if vigil.look(runtime, now_ns) {
            sleep = sleep.min(ALERT_SLEEP);
        }
        if runtime.is_all_idle() {
            idle_rounds += u32::from(sleep == LONGEST_SLEEP);
            report::exit_if_deadlocked(runtime);
        } else {
            idle_rounds = 0;
        }
        if now_ns.saturating_sub(trimmed_ns) >= TRIM_NS && stack::trim() != Trimmed::More {
            trimmed_ns = now_ns;
        }
    }
    *runtime.alarm.bell.lock() = None;
}

/// Sleeps until work begins. While there is something left to give back, or what looks like a deadlock but for a thread
/// that may yet end it, one second at most.
fn sleep_long(runtime: &Arc<Runtime>) {
    let mut trimmed = stack::trim();
    while trimmed == Trimmed::More && runtime.is_all_idle() {
        trimmed = stack::trim();
    }
    let again = trimmed != Trimmed::Nothing || report::may_be_deadlocked(runtime);
    // ORDERING: Relaxed; ordered by the fence.
    runtime.alarm.asleep.store(true, Relaxed);
    // ORDERING: SeqCst fence; pairs with the fence in `work_begins`.
    fence(SeqCst);
    if runtime.is_all_idle() && !runtime.is_stopping() {
        runtime.alarm.sleep(again.then_some(Duration::from_secs(1)));
    }
    // ORDERING: Relaxed; a worker that still sees it rings in vain.
    runtime.alarm.asleep.store(false, Relaxed);
}

/// Looks at timers and network in place of workers that are busy. Returns whether it found something.
fn look(runtime: &Arc<Runtime>, now_ns: u64) -> bool {
    let may_make_way = runtime.processors().iter().any(|processor| processor.is_used_up());
    let every_ns = if may_make_way { SHORT_SLICE_NS } else { LOOK_NS };
    if runtime.since_look_ns(now_ns) < every_ns || runtime.poller.is_asleep() {
        return false;
    }
    if runtime.timers.earliest() > now_ns && !runtime.poller.has_sources() {
        return false;
    }
    let ready = runtime.look(now_ns);
    let found = !ready.is_empty();
    if found {
        runtime.inject(ready);
        runtime.wake_one();
    }
    found
}
