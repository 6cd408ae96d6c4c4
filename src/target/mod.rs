//! What is measured: a bundled workload or any command line, and how a worker count is handed to it.
//!
//! A target turns a worker count into an [`Invocation`]: program, arguments, environment. Nothing here starts a process.

mod command;
mod hook;
mod name;
mod preset;
mod procs;
mod program;
mod ready;
mod service;
mod throughput;
pub mod workload;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use command::Command;
pub use hook::{Hook, Hooks};
pub use preset::Preset;
pub use procs::Procs;
pub use ready::{Ready, Url};
pub(crate) use service::words;
pub use service::{Load, LoadKind, Service};
pub use throughput::Measured;

/// One process to start: everything the launcher needs to exec it, with the worker count filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Path or name (looked up on `PATH`) of the program.
    pub program: OsString,
    /// Arguments after the program's name.
    pub args: Vec<OsString>,
    /// Variables set on top of the tool's own environment, in order.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory; `None` means the tool's.
    pub directory: Option<PathBuf>,
    /// The file that is its standard input, seen from the tool's working directory; `None` means an empty one.
    pub stdin: Option<PathBuf>,
}

/// The variable by which a program on our runtime is told to record a trace.
pub const TRACE_VARIABLE: &str = "COREFIT_TRACE";

impl Invocation {
    /// The same, recording no trace even if this process was told to: what is measured is not to be disturbed.
    #[must_use]
    pub fn untraced(mut self) -> Self {
        self.env.push((TRACE_VARIABLE.into(), OsString::new()));
        self
    }
}

/// What is measured: how to start it at a worker count, and what its throughput is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Target {
    /// Name of the target and of its folder.
    pub name: String,
    /// Unit of its throughput, such as `ops/s`.
    pub unit: String,
    /// What it is.
    pub kind: Kind,
}

/// A bundled workload, or a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Kind {
    /// A bundled workload, run by this binary.
    Workload {
        /// Its name in the registry.
        workload: String,
        /// Factor on its work.
        scale: f64,
        /// A file it reads.
        input: Option<PathBuf>,
        /// Its parameters that were set.
        params: BTreeMap<String, String>,
    },
    /// Any command line.
    Command(Command),
}

/// Where a command's throughput comes from, if it does not report itself on `COREFIT_RESULT_FD`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum Metric {
    /// `ops` operations (a number, or a template with `{procs}`) over wall time.
    Wall {
        /// Operations of one run.
        ops: String,
    },
    /// First capture group of the last match of `regex` on standard output or error.
    Output {
        /// The regular expression.
        regex: String,
        /// The value is a cost: throughput is 1 over it.
        lower_is_better: bool,
    },
}

impl Default for Metric {
    /// One run is one operation.
    fn default() -> Self {
        Self::Wall { ops: "1".to_owned() }
    }
}

impl Target {
    /// The same target under another name.
    ///
    /// # Errors
    /// The name cannot be that of a folder of results.
    pub fn with_name(mut self, name: &str) -> Result<Self, Error> {
        name::check(name)?;
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// The same target as it is called under one of several CPU quotas: `<target>@cpus-0.5`. No name typed by hand has
    /// an `@`.
    #[must_use]
    pub fn at_quota(mut self, cpus: f64) -> Self {
        self.name = format!("{}@cpus-{cpus}", self.name);
        self
    }

    /// Whether it is one of the bundled workloads.
    #[must_use]
    pub fn is_workload(&self) -> bool {
        matches!(self.kind, Kind::Workload { .. })
    }

    /// Whether its output has to be kept: a number may be read from it, and it says why a run failed. What a workload
    /// prints is ours, and says neither.
    #[must_use]
    pub fn needs_output(&self) -> bool {
        !self.is_workload()
    }

    /// How it is started with `procs` workers. For a worker count `GOMAXPROCS` is always set, and a variable given by
    /// `--env` comes after it; for the default none of them is.
    #[must_use]
    pub fn invocation(&self, procs: impl Into<Procs>) -> Invocation {
        let procs = procs.into();
        match &self.kind {
            Kind::Workload { workload, scale, input, params } => Invocation {
                program: workload::this_program(),
                args: workload::arguments(workload, *scale, input.as_deref(), params),
                env: procs.count().map(gomaxprocs).into_iter().collect(),
                ..Invocation::default()
            },
            Kind::Command(command) => command.invocation(procs),
        }
    }

    /// What makes it a server, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&Service> {
        match &self.kind {
            Kind::Workload { .. } => None,
            Kind::Command(command) => command.service.as_deref(),
        }
    }

    /// How the load generator is started at a point; `None` if it is no server.
    #[must_use]
    pub fn load(&self, procs: impl Into<Procs>) -> Option<Invocation> {
        match &self.kind {
            Kind::Workload { .. } => None,
            Kind::Command(command) => command.load(procs.into()),
        }
    }

    /// How one of its hooks is started; `None` if it has no such hook.
    #[must_use]
    pub fn hook(&self, hook: Hook) -> Option<Invocation> {
        match &self.kind {
            Kind::Workload { .. } => None,
            Kind::Command(command) => command.hook(hook),
        }
    }
}

impl Target {
    /// What runs it at `procs` once more, as one would type it; of a server what loads it is left out.
    #[must_use]
    pub fn command_line(&self, procs: Procs) -> String {
        let words = match &self.kind {
            Kind::Workload { workload, scale, .. } => {
                let words = ["corefit", "run", workload, "--procs", PROCS, "--scale"].map(str::to_owned);
                words.into_iter().chain([scale.to_string()]).collect()
            }
            Kind::Command(command) => command.argv.clone(),
        };
        let words: Vec<String> = words.iter().map(|word| fill(word, procs)).collect();
        // A word with a zero byte is no argument, and was refused before it was measured.
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_zero| words.join(" "))
    }
}

/// The variable that is set for every target.
fn gomaxprocs(count: u32) -> (OsString, OsString) {
    ("GOMAXPROCS".into(), count.to_string().into())
}

/// `template` with `{procs}` replaced.
fn fill(template: &str, procs: impl Into<Procs>) -> String {
    template.replace(PROCS, &procs.into().to_string())
}

/// What is replaced by the worker count.
const PROCS: &str = "{procs}";

/// Why something cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// As the text says.
    #[error("{0}")]
    Invalid(String),
}
