//! The commands that run around samples: started, limited in time and cleared away like a sample, but not counted.

use std::time::Duration;

use crate::measure::{self, Conditions, Status};
use crate::target::{Hook, Target};

/// Runs a hook of `target` if it has that one. What it leaves running is ended with it.
///
/// # Errors
/// In one line: it did not end well.
pub(crate) fn run(target: &Target, hook: Hook, timeout: Duration) -> Result<(), String> {
    let Some(invocation) = target.hook(hook) else { return Ok(()) };
    let failed = |why: String| Err(format!("`{}` failed: {why}", hook.option()));
    // No quota: what is not measured need not be slow.
    let conditions = Conditions {
        timeout,
        counters: false,
        keep_output: true,
        poll_run_queue: false,
        quota: None,
        cpus: None,
    };
    match measure::sample(&invocation.untraced(), &conditions) {
        Ok(sample) if sample.status == Status::Ok => Ok(()),
        Ok(sample) => failed(sample.remarks.join("; ")),
        Err(error) => failed(error.to_string()),
    }
}

/// Runs the last hook, whatever has happened: an interruption before it does not keep it from running, one during it does.
///
/// # Errors
/// As [`run`].
pub(super) fn clean_up(target: &Target, timeout: Duration) -> Result<(), String> {
    if target.hook(Hook::Cleanup).is_some() {
        measure::rearm_interrupts();
    }
    run(target, Hook::Cleanup, timeout)
}
