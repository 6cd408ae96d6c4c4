//! What the environment says about tracing.
//!
//! ```text
//! COREFIT_TRACE=FILE           record into FILE; {pid} in it becomes the process's id
//! COREFIT_TRACE_LEVEL=sync     also every operation on channels and locks (default: sched)
//! COREFIT_TRACE_LIMIT=BYTES    of the file; K, M, G after the number are powers of 1024 (default: 4G)
//! ```

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The default limit of the file, bytes. Guess: minutes of a busy program.
const LIMIT_BYTES: u64 = 4 << 30;

/// How much is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// What the scheduler does.
    Sched,
    /// Also what goroutines do with channels, locks and each other.
    Sync,
}

/// What to record, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) level: Level,
    pub(super) limit_bytes: u64,
}

impl Settings {
    /// `None` if nothing is to be recorded.
    ///
    /// # Errors
    /// A variable cannot be used; which one, and why.
    pub(super) fn from_env() -> Result<Option<Self>, String> {
        Self::parse(|name| env::var_os(name))
    }

    fn parse(variable: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, String> {
        let Some(path) = variable("COREFIT_TRACE").filter(|path| !path.is_empty()) else { return Ok(None) };
        let text = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
        let level = match text("COREFIT_TRACE_LEVEL").as_deref() {
            None | Some("" | "sched") => Level::Sched,
            Some("sync") => Level::Sync,
            Some(other) => {
                return Err(format!("COREFIT_TRACE_LEVEL=`{other}` is neither `sched` nor `sync`"));
            }
        };
        let limit_bytes = match text("COREFIT_TRACE_LIMIT").as_deref() {
            None | Some("") => LIMIT_BYTES,
            Some(limit) => {
                bytes(limit).ok_or_else(|| format!("COREFIT_TRACE_LIMIT=`{limit}` is no size, like `64M`"))?
            }
        };
        Ok(Some(Self { path: with_pid(path), level, limit_bytes }))
    }
}

/// `{pid}` in a path becomes the process's id: programs that start each other do not share a file.
fn with_pid(path: OsString) -> PathBuf {
    match path.to_str() {
        Some(text) => text.replace("{pid}", &std::process::id().to_string()).into(),
        None => path.into(),
    }
}

/// `64K` and the like, bytes.
fn bytes(text: &str) -> Option<u64> {
    let shift = match text.bytes().last()?.to_ascii_uppercase() {
        b'K' => 10,
        b'M' => 20,
        b'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        Settings::parse(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn without_a_file_nothing_is_recorded() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[("COREFIT_TRACE", ""), ("COREFIT_TRACE_LEVEL", "wrong")]), Ok(None));
    }

    #[test]
    fn the_rest_has_defaults() {
        let settings = parse(&[("COREFIT_TRACE", "a,b")]).unwrap().unwrap();
        assert_eq!(settings, Settings { path: "a,b".into(), level: Level::Sched, limit_bytes: LIMIT_BYTES });
    }

    #[test]
    fn all_of_it_can_be_set() {
        let settings = parse(&[
            ("COREFIT_TRACE", "t-{pid}"),
            ("COREFIT_TRACE_LEVEL", "sync"),
            ("COREFIT_TRACE_LIMIT", "64k"),
        ]);
        let path = format!("t-{}", std::process::id()).into();
        assert_eq!(settings, Ok(Some(Settings { path, level: Level::Sync, limit_bytes: 64 << 10 })));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (name, value) in [
            ("COREFIT_TRACE_LEVEL", "all"),
            ("COREFIT_TRACE_LIMIT", "K"),
            ("COREFIT_TRACE_LIMIT", "-1"),
            ("COREFIT_TRACE_LIMIT", "99999999999G"),
            ("COREFIT_TRACE_LIMIT", "1€"),
        ] {
            let error = parse(&[("COREFIT_TRACE", "t"), (name, value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
