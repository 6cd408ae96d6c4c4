//! Commands that run around a target's samples, as hyperfine's do: not timed, not counted.

use serde::{Deserialize, Serialize};

use super::command::invalid;
use super::{Error, PROCS, Procs};
use crate::quote::one_line;

/// Command lines for `sh -c`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Hooks {
    /// Once, before all samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setup: Option<String>,
    /// Before each sample, `{procs}` replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    /// Once, after all samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<String>,
}

/// One of them, and what it is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Before all samples.
    Setup,
    /// Before a sample at this point.
    Prepare(Procs),
    /// After all samples.
    Cleanup,
}

impl Hook {
    /// The option that gives it.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            Self::Setup => "--setup",
            Self::Prepare(_) => "--prepare",
            Self::Cleanup => "--cleanup",
        }
    }
}

impl Hooks {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// The command line of a hook.
    pub(super) fn get(&self, hook: Hook) -> Option<&str> {
        match hook {
            Hook::Setup => self.setup.as_deref(),
            Hook::Prepare(_) => self.prepare.as_deref(),
            Hook::Cleanup => self.cleanup.as_deref(),
        }
    }

    /// Those there are, with their options.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let all = [("--setup", &self.setup), ("--prepare", &self.prepare), ("--cleanup", &self.cleanup)];
        all.into_iter().filter_map(|(option, command)| Some((option, command.as_ref()?)))
    }
}

/// Refuses what no hook can be.
///
/// # Errors
/// In one line: it is empty, or runs once and has a worker count in it.
pub(super) fn check(hooks: &Hooks) -> Result<(), Error> {
    for (option, command) in hooks.each() {
        if command.trim().is_empty() {
            return Err(invalid(format!("`{option}` has no command; leave it out, or give one")));
        }
        if option != "--prepare" && command.contains(PROCS) {
            return Err(invalid(format!(
                "`{option} {}` runs once, for no worker count: {{procs}} is replaced in `--prepare` only",
                one_line(command)
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(hooks: &Hooks, part: &str) {
        let error = check(hooks).expect_err("it has to be refused").to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn only_what_runs_for_a_sample_knows_a_worker_count() {
        let command = || Some("x {procs}".to_owned());
        check(&Hooks { prepare: command(), ..Hooks::default() }).unwrap();
        refused(&Hooks { setup: command(), ..Hooks::default() }, "`--setup x {procs}`");
        refused(&Hooks { cleanup: command(), ..Hooks::default() }, "`--cleanup x {procs}`");
        refused(&Hooks { prepare: Some(" ".to_owned()), ..Hooks::default() }, "no command");
    }
}
