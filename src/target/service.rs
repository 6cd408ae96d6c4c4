//! What makes a command a server: when it serves, and what loads it.
//!
//! A server is measured as a set of roles, each a process tree of its own: `main`, the command, which gets the worker count
//! and whose counters, memory and profile are those of the sample, and `load`, whose output says what was achieved.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::command::invalid;
use super::{Error, Invocation, PROCS, Procs, Ready, fill, program};
use crate::quote::one_line;

/// The part of a server's target that a command does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Service {
    /// When the server serves.
    pub ready: Ready,
    /// What loads it then.
    pub load: Load,
}

/// A load generator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Load {
    /// Program and arguments, `{procs}` not yet replaced; with a shell, one word for it to run.
    pub argv: Vec<String>,
    /// How it decides when to send a request.
    pub kind: LoadKind,
}

/// How a load generator decides when to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// When the one before is answered: a slow server is asked less, so its percentiles leave out who would have waited.
    Closed,
    /// When its time has come, whatever the server does.
    Open,
    /// Not known.
    Unknown,
}

impl LoadKind {
    const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::Unknown];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }

    /// That of the tool that `argv` starts, as far as its name and options tell.
    #[must_use]
    pub fn of(argv: &[String]) -> Self {
        let Some((program, args)) = argv.split_first() else { return Self::Unknown };
        let name = Path::new(program).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Options are written as `-R100`, `-R 100`, `--rate=100` or `--rate 100`.
        let has = |options: &[&str]| {
            args.iter().any(|arg| {
                options.iter().any(|option| match option.starts_with("--") {
                    true => {
                        arg == option || arg.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
                    }
                    false => arg.starts_with(option) && !arg.starts_with("--"),
                })
            })
        };
        let open_with = |options: &[&str]| if has(options) { Self::Open } else { Self::Closed };
        match name {
            "wrk2" | "vegeta" => Self::Open,
            // wrk2 is built under the name of wrk, and does not run without a rate.
            "wrk" => open_with(&["-R", "--rate"]),
            "oha" => open_with(&["-q"]),
            "pgbench" => open_with(&["-R", "--rate"]),
            "h2load" => open_with(&["--rps"]),
            "hey" | "ab" | "siege" | "bombardier" | "redis-benchmark" | "valkey-benchmark"
            | "memtier_benchmark" | "sysbench" => Self::Closed,
            _ => Self::Unknown,
        }
    }
}

impl FromStr for LoadKind {
    type Err = Error;

    /// # Errors
    /// It is none of the names.
    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            invalid(format!("`{}` is no kind of load: write `closed`, `open` or `unknown`", one_line(text)))
        })
    }
}

impl fmt::Display for LoadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Service {
    /// Checks what does not depend on the worker count; `shell` and `directory` are those of the command.
    pub(super) fn check(&self, shell: Option<&str>, directory: Option<&Path>) -> Result<(), Error> {
        let argv = &self.load.argv;
        let program = argv.first().ok_or_else(|| invalid("`--load` has no command; give one"))?;
        if argv.iter().any(|word| word.contains('\0')) {
            return Err(invalid("`--load` has a zero byte, which no program can be given"));
        }
        match shell {
            Some(_) => Ok(()),
            None if program.contains(PROCS) => Ok(()),
            None => program::find(program, directory),
        }
    }

    /// Checks that the load generator can be started with `count` workers of the server.
    pub(super) fn check_count(
        &self,
        count: u32,
        has_shell: bool,
        directory: Option<&Path>,
    ) -> Result<(), Error> {
        let template = self.load.argv.first().filter(|word| !has_shell && word.contains(PROCS));
        template.map_or(Ok(()), |template| program::find(&fill(template, count), directory))
    }

    /// How the load generator is started at a point of a sweep. Its own worker count is its user's business: no variable is
    /// set.
    pub(super) fn invocation(
        &self,
        procs: Procs,
        shell: Option<&str>,
        directory: Option<&Path>,
    ) -> Invocation {
        let mut words = self.load.argv.iter().map(|word| OsString::from(fill(word, procs)));
        let (program, args) = match shell {
            Some(shell) => (shell.into(), [OsString::from("-c")].into_iter().chain(words).collect()),
            None => (words.next().unwrap_or_default(), words.collect()),
        };
        Invocation { program, args, directory: directory.map(Path::to_owned), ..Invocation::default() }
    }
}

/// The words of `line`, given by `option`, as a shell would take them apart; one word where a shell will.
///
/// # Errors
/// In one line: a quote has no end, or there is no word.
pub(crate) fn words(option: &str, line: &str, has_shell: bool) -> Result<Vec<String>, Error> {
    let is_empty = line.trim().is_empty();
    let words = if has_shell { Some(vec![line.to_owned()]) } else { shlex::split(line) };
    match words {
        Some(words) if !is_empty && !words.is_empty() => Ok(words),
        Some(_) => Err(invalid(format!("`{option}` has no command; give one"))),
        None => Err(invalid(format!("`{option} {}`: a quote has no end", one_line(line)))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn kind(line: &str, expected: LoadKind) {
        assert_eq!(LoadKind::of(&words("--load", line, false).unwrap()), expected, "{line}");
    }

    #[test]
    fn a_tool_is_known_by_its_name_and_its_rate() {
        kind("wrk -t1 -c64 -d2s http://h/", LoadKind::Closed);
        kind("/usr/bin/wrk -R2000 http://h/", LoadKind::Open);
        kind("wrk --rate=2000 http://h/", LoadKind::Open);
        kind("wrk2 -t1 http://h/", LoadKind::Open);
        kind("hey -q 10 http://h/", LoadKind::Closed);
        kind("oha http://h/", LoadKind::Closed);
        kind("oha -q 100 http://h/", LoadKind::Open);
        kind("oha --query-x http://h/", LoadKind::Closed);
        kind("vegeta attack", LoadKind::Open);
        kind("redis-benchmark -t get", LoadKind::Closed);
        kind("pgbench -R 100", LoadKind::Open);
        kind("./mine", LoadKind::Unknown);
        kind("sh -c 'wrk http://h/'", LoadKind::Unknown);
    }

    #[test]
    fn a_line_is_taken_apart_as_by_a_shell() {
        assert_eq!(
            words("--serve", "a 'b c' \"d\\\" e\" f\\ g", false).unwrap(),
            ["a", "b c", "d\" e", "f g"]
        );
        assert_eq!(words("--serve", "a | 'b c'", true).unwrap(), ["a | 'b c'"]);
        for (line, part) in [("", "no command"), ("  ", "no command"), ("'a", "no end"), ("a\\", "no end")] {
            let error = words("--load", line, false).unwrap_err().to_string();
            assert!(error.contains("`--load") && error.contains(part), "{line}: {error}");
        }
        assert!(words("--load", " ", true).is_err());
    }

    #[test]
    fn the_load_gets_the_worker_count_in_its_words_only() {
        let load =
            Load { argv: words("--load", "wrk -c {procs}0 u", false).unwrap(), kind: LoadKind::Closed };
        let service = Service { ready: "tcp:h:1".parse().unwrap(), load };
        let invocation = service.invocation(Procs::Count(4), None, None);
        assert_eq!((invocation.program, invocation.env), ("wrk".into(), vec![]));
        assert_eq!(invocation.args, ["-c", "40", "u"]);
        assert_eq!(service.invocation(Procs::Count(4), Some("bash"), None).program, "bash");
    }

    #[test]
    fn the_names_read_back() {
        for kind in LoadKind::ALL {
            assert_eq!(kind.to_string().parse::<LoadKind>().unwrap(), kind);
        }
        assert!("half".parse::<LoadKind>().is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_line_panics(line in any::<String>()) {
            if let Ok(words) = words("--load", &line, false) {
                let _ = LoadKind::of(&words);
            }
        }
    }
}
