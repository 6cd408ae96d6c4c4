//! The usual ways to tell a runtime its number of workers.

use std::env;
use std::str::FromStr;

use super::Error;
use super::command::invalid;
use crate::quote::one_line;
use crate::suggest;

/// A runtime whose worker count is set by a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Go's scheduler.
    Go,
    /// Tokio's multi-threaded runtime.
    Tokio,
    /// Rayon's global pool.
    Rayon,
    /// OpenMP, whichever the compiler.
    Openmp,
    /// The Java virtual machine: every pool that it sizes by the number of processors.
    Jvm,
}

/// Each by its name.
const NAMES: [(&str, Preset); 5] = [
    ("go", Preset::Go),
    ("tokio", Preset::Tokio),
    ("rayon", Preset::Rayon),
    ("openmp", Preset::Openmp),
    ("jvm", Preset::Jvm),
];

/// The variable from which every Java virtual machine takes options.
const JAVA: &str = "JAVA_TOOL_OPTIONS";

impl Preset {
    /// What `--preset` takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The variable and its template, as `--env` takes them.
    ///
    /// # Errors
    /// The variable has a value already that cannot be kept.
    pub fn env(self) -> Result<String, Error> {
        match self {
            Self::Go => Ok("GOMAXPROCS".to_owned()),
            Self::Tokio => Ok("TOKIO_WORKER_THREADS".to_owned()),
            Self::Rayon => Ok("RAYON_NUM_THREADS".to_owned()),
            Self::Openmp => Ok("OMP_NUM_THREADS".to_owned()),
            Self::Jvm => match env::var(JAVA) {
                Ok(options) => Ok(java(&options)),
                Err(env::VarError::NotPresent) => Ok(java("")),
                Err(env::VarError::NotUnicode(_)) => {
                    Err(invalid(format!("`--preset jvm` adds to {JAVA}, which is not text; unset it")))
                }
            },
        }
    }
}

/// What the user sets stays; of an option that is there twice the virtual machine takes the last.
fn java(options: &str) -> String {
    let options = [options.trim(), "-XX:ActiveProcessorCount={procs}"].join(" ");
    format!("{JAVA}={}", options.trim_start())
}

impl FromStr for Preset {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let names = NAMES.map(|(name, _)| name);
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, preset)| *preset).ok_or_else(|| {
            let closest = suggest::closest(text, names);
            let suggestion = closest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"));
            let names = names.join(", ");
            invalid(format!(
                "no preset is called `{}`{suggestion}; there are {names}, and `--env NAME` for the rest",
                one_line(text)
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preset_is_the_variable_of_its_runtime() {
        let env = |name: &str| name.parse::<Preset>().unwrap().env().unwrap();
        assert_eq!(env("go"), "GOMAXPROCS");
        assert_eq!(env("tokio"), "TOKIO_WORKER_THREADS");
        assert_eq!(env("rayon"), "RAYON_NUM_THREADS");
        assert_eq!(env("openmp"), "OMP_NUM_THREADS");
    }

    #[test]
    fn the_virtual_machines_own_options_stay_and_ours_comes_last() {
        assert_eq!(java(""), "JAVA_TOOL_OPTIONS=-XX:ActiveProcessorCount={procs}");
        let both = java(" -Xmx1g -XX:ActiveProcessorCount=3 ");
        assert_eq!(
            both,
            "JAVA_TOOL_OPTIONS=-Xmx1g -XX:ActiveProcessorCount=3 -XX:ActiveProcessorCount={procs}"
        );
    }

    #[test]
    fn an_unknown_one_is_refused_with_those_there_are() {
        let error = "rayn".parse::<Preset>().unwrap_err().to_string();
        assert!(error.contains("`rayon`") && error.contains("go, tokio, rayon, openmp, jvm"), "{error}");
        assert!(!"".parse::<Preset>().unwrap_err().to_string().contains("did you mean"));
    }
}
