//! Reports on goroutines that end the process: deadlock, SIGQUIT. On standard error.
//!
//! **When a deadlock is reported.** All goroutines sleep, none of them for time or a descriptor, no thread is in a
//! blocking call, and the process has no thread but those of this runtime and the one that waits in `run`: any other
//! could still send on a channel or unlock something. That is why a program with threads of its own, or with two
//! runtimes, waits for ever instead. It is the safe side: a report ends the process.

use crate::goroutine::{self, Sight};
use crate::os;
use crate::runtime::Runtime;
use crate::signals;
use crate::trace::{self, End};
use std::fmt::Write as _;

/// The exit code after a report. As in Go.
const EXIT_CODE: i32 = 2;

/// Reports a deadlock and ends the process, if there is one.
pub(crate) fn exit_if_deadlocked(runtime: &Runtime) {
    if may_be_deadlocked(runtime) && is_alone(runtime) {
        trace::end_process(End::Deadlock);
        die("fatal error: all goroutines are asleep - deadlock!\n", &[goroutine::all(runtime)]);
    }
}

/// Reports all goroutines of all runtimes and ends the process: SIGQUIT.
pub(crate) fn quit() -> ! {
    trace::end_process(End::Quit);
    let all: Vec<_> = signals::runtimes().iter().map(|runtime| goroutine::all(runtime)).collect();
    die("SIGQUIT: quit\n", &all)
}

fn die(title: &str, runtimes: &[Vec<Sight>]) -> ! {
    let mut text = title.to_owned();
    for goroutine in runtimes.iter().flatten() {
        describe(&mut text, goroutine);
    }
    eprint!("{text}");
    // There is no one to return an error to: `main` waits for ever, or the user asked for the end.
    std::process::exit(EXIT_CODE)
}

fn describe(text: &mut String, goroutine: &Sight) {
    let (state, object) = match goroutine.waits_for {
        Some((reason, 0)) => (reason.name(), None),
        Some((reason, object)) => (reason.name(), Some(object)),
        None => ("runnable or running", None),
    };
    let pinned = if goroutine.pinned { ", pinned" } else { "" };
    let _ = write!(text, "\ngoroutine {} [{state}{pinned}]:\n", goroutine.id);
    if let Some(object) = object {
        let _ = writeln!(text, "\twaits for {object:#x}");
    }
    let _ = writeln!(text, "\tspawned at {}", goroutine.site);
}

/// Whether all goroutines sleep and nothing within the runtime will wake one.
pub(crate) fn may_be_deadlocked(runtime: &Runtime) -> bool {
    let synced = runtime.synced.lock();
    let asleep = synced.idle_machines.len() + usize::from(synced.polling.is_some()) + synced.bound_waiting;
    // Without a worker the runtime is about to begin.
    !runtime.is_stopping()
        && !synced.machines.is_empty()
        && asleep == synced.machines.len()
        && synced.idle_cores.len() == synced.live
        && synced.global.is_empty()
        && runtime.outside_waits() == 0
}

/// Whether the process has no threads but the workers, the watch, and the one in `run`.
fn is_alone(runtime: &Runtime) -> bool {
    let ours = runtime.synced.lock().machines.len() + 2;
    os::count_threads() == Some(ours) && signals::runtimes().len() == 1
}
