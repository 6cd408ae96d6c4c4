//! A bundled workload as a target, and as a process of its own: both sides of the hidden subcommand
//! `__workload NAME --scale S [--input FILE] [--param KEY=VALUE]…`.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use corefit_workloads::{Settings, Workload};

use super::{Error, Kind, Target};
use crate::profile::self_sample;
use crate::quote::{self, one_line};

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "__workload";

/// Names the descriptor that the result is written to.
pub(crate) const RESULT_FD: &str = "COREFIT_RESULT_FD";

impl Target {
    /// The bundled workload `name` at `scale` times its work, reading `input` where it reads a file, its parameters set
    /// by `params` (`KEY=VALUE` each, the last of a key counts).
    ///
    /// # Errors
    /// In one line: there is no such workload or parameter, the scale is not a positive number, or the file cannot be
    /// read.
    pub fn workload(name: &str, scale: f64, input: Option<&Path>, params: &[String]) -> Result<Self, Error> {
        let workload = corefit_workloads::find(name).ok_or_else(|| unknown(name))?;
        Self::of(workload, scale, input, params)
    }

    fn of(workload: &Workload, scale: f64, input: Option<&Path>, params: &[String]) -> Result<Self, Error> {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::Invalid(format!("`--scale {scale}` is not a positive number")));
        }
        if let Some(input) = input {
            check_readable(input).map_err(|why| {
                Error::Invalid(format!("cannot read `--input {}`: {why}", quote::path(input)))
            })?;
        }
        let params = params.iter().map(|param| parameter(workload, param)).collect::<Result<_, _>>()?;
        Ok(Self {
            name: workload.name.to_owned(),
            unit: workload.unit.to_owned(),
            kind: Kind::Workload {
                workload: workload.name.to_owned(),
                scale,
                input: input.map(Path::to_owned),
                params,
            },
        })
    }
}

fn unknown(name: &str) -> Error {
    Error::Invalid(format!("no workload is called `{}`; `corefit list` names them", one_line(name)))
}

/// Looks before it opens: to open a pipe would wait for its writer.
fn check_readable(file: &Path) -> Result<(), String> {
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no plain file".to_owned());
    }
    File::open(file).map(drop).map_err(|error| error.to_string())
}

/// One `--param KEY=VALUE` of `workload`.
fn parameter(workload: &Workload, text: &str) -> Result<(String, String), Error> {
    let shown = one_line(text);
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| Error::Invalid(format!("`--param {shown}` has no value; write `KEY=VALUE`")))?;
    if text.contains('\0') {
        return Err(Error::Invalid(format!(
            "`--param {shown}` has a zero byte, which no program can be given"
        )));
    }
    let Some(known) = workload.parameters.iter().find(|known| known.name == key) else {
        let known: Vec<String> =
            workload.parameters.iter().map(|known| format!("`{}`", known.name)).collect();
        let known = if known.is_empty() { "no parameter at all".to_owned() } else { known.join(", ") };
        let name = workload.name;
        return Err(Error::Invalid(format!("`--param {shown}`: `{name}` does not have it; it has {known}")));
    };
    if !(known.accepts)(value) {
        let (about, default) = (known.about, known.default);
        return Err(Error::Invalid(format!("`--param {shown}` cannot be: {about} (default: {default})")));
    }
    Ok((key.to_owned(), value.to_owned()))
}

/// This binary. Where its file was replaced while it runs (a rebuild), the kernel still knows the one that runs.
pub(crate) fn this_program() -> OsString {
    let file = env::current_exe().ok().filter(|file| file.is_file());
    file.map_or_else(|| OsString::from("/proc/self/exe"), PathBuf::into_os_string)
}

/// Arguments by which this binary runs a workload. Keep in step with `parse`.
pub(super) fn arguments(
    name: &str,
    scale: f64,
    input: Option<&Path>,
    params: &BTreeMap<String, String>,
) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        [SUBCOMMAND, name, "--scale", &scale.to_string()].map(OsString::from).to_vec();
    if let Some(input) = input {
        args.extend([OsString::from("--input"), input.as_os_str().to_owned()]);
    }
    for (key, value) in params {
        args.extend([OsString::from("--param"), OsString::from(format!("{key}={value}"))]);
    }
    args
}

/// Runs a workload in this process, `args` being what follows the subcommand. Its result, one line of JSON, goes to the
/// descriptor named by `COREFIT_RESULT_FD`, or to standard output without one; a failure is one line on standard error
/// and exit code 1.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match run(args, env::var_os(RESULT_FD).as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // The sample fails by the exit code, whether or not somebody reads why.
            let _ = writeln!(std::io::stderr(), "corefit: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: impl Iterator<Item = OsString>, result_fd: Option<&OsStr>) -> Result<(), String> {
    let (name, settings) = parse(args)?;
    let workload = corefit_workloads::find(&name).ok_or_else(|| unknown(&name).to_string())?;
    let line = self_sample::run_if_asked(|| corefit_workloads::report::execute(workload, &settings))
        .map_err(|error| format!("workload `{name}` failed: {error}"))?;
    write_result(&line, result_fd).map_err(|error| format!("cannot write the result of `{name}`: {error}"))
}

/// Reads what `arguments` wrote, without the subcommand.
fn parse(mut args: impl Iterator<Item = OsString>) -> Result<(String, Settings), String> {
    let text = |value: Option<OsString>, of: &str| {
        value.and_then(|value| value.into_string().ok()).ok_or_else(|| format!("`{SUBCOMMAND}` lacks {of}"))
    };
    let name = text(args.next(), "a workload")?;
    let mut settings = Settings { scale: 1.0, input: None, params: BTreeMap::new() };
    while let Some(flag) = args.next() {
        match flag.to_str() {
            Some("--scale") => {
                let scale = text(args.next(), "a scale")?;
                let number = scale.parse().ok().filter(|scale: &f64| scale.is_finite() && *scale > 0.0);
                settings.scale =
                    number.ok_or_else(|| format!("`--scale {scale}` is not a positive number"))?;
            }
            Some("--input") => settings.input = Some(args.next().ok_or("`--input` lacks a file")?.into()),
            Some("--param") => {
                let param = text(args.next(), "a parameter")?;
                let (key, value) =
                    param.split_once('=').ok_or_else(|| format!("`--param {param}` has no value"))?;
                settings.params.insert(key.to_owned(), value.to_owned());
            }
            _ => return Err(format!("`{SUBCOMMAND}` does not know `{}`", flag.display())),
        }
    }
    Ok((name, settings))
}

/// Where a process finds its descriptors by their numbers.
const DESCRIPTORS: &str = if cfg!(corefit_linux) { "/proc/self/fd" } else { "/dev/fd" };

/// Writes `line` to the descriptor with that number, or to standard output.
pub(crate) fn write_result(line: &str, result_fd: Option<&OsStr>) -> std::io::Result<()> {
    let Some(number) = result_fd else {
        return writeln!(std::io::stdout(), "{line}");
    };
    // Opened by its name, an inherited descriptor needs no unsafe code to become a file.
    let mut file = OpenOptions::new().append(true).open(Path::new(DESCRIPTORS).join(number))?;
    file.write_all(format!("{line}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use corefit_workloads::{Failure, Parameter};

    use super::*;

    const PADDED: Parameter =
        Parameter { name: "padded", default: "false", about: "twin", accepts: |value| value != "never" };
    const COUNTER: Workload = Workload {
        name: "counter",
        about: "counts",
        scaling: "flat",
        unit: "counts/s",
        policy: None,
        parameters: &[PADDED],
        run: |_| Err(Failure("not in this test".to_owned())),
    };

    #[track_caller]
    fn refused(result: Result<Target, Error>, part: &str) {
        let error = result.expect_err("it has to be refused").to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }

    #[test]
    fn a_workload_is_this_binary_with_its_settings() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let params = ["padded=true".to_owned(), "padded=a=b".to_owned()];
        let target = Target::of(&COUNTER, 0.1, Some(file.path()), &params).unwrap();
        assert_eq!((target.name.as_str(), target.unit.as_str()), ("counter", "counts/s"));
        let invocation = target.invocation(3);
        assert_eq!(invocation.env, [(OsString::from("GOMAXPROCS"), OsString::from("3"))]);
        assert!(Path::new(&invocation.program).is_file());

        let mut args = invocation.args.into_iter();
        assert_eq!(args.next().unwrap(), SUBCOMMAND);
        let (name, settings) = parse(args).unwrap();
        assert_eq!((name.as_str(), settings.scale), ("counter", 0.1));
        assert_eq!(settings.input.as_deref(), Some(file.path()));
        assert_eq!(settings.params, BTreeMap::from([("padded".to_owned(), "a=b".to_owned())]));
    }

    #[test]
    fn what_cannot_be_set_is_refused_with_what_can() {
        refused(Target::of(&COUNTER, 1.0, None, &["size=3".to_owned()]), "it has `padded`");
        refused(Target::of(&COUNTER, 1.0, None, &["padded".to_owned()]), "KEY=VALUE");
        refused(
            Target::of(&COUNTER, 1.0, None, &["padded=never".to_owned()]),
            "cannot be: twin (default: false)",
        );
        refused(Target::of(&COUNTER, 0.0, None, &[]), "`--scale 0`");
        refused(Target::of(&COUNTER, f64::NAN, None, &[]), "`--scale NaN`");
        refused(Target::of(&COUNTER, 1.0, Some(Path::new("/no/such")), &[]), "/no/such");
        refused(Target::of(&COUNTER, 1.0, Some(Path::new("/")), &[]), "plain file");
        refused(Target::workload("no_such\n", 1.0, None, &[]), "`no_such\\n`");
    }

    #[test]
    fn arguments_that_nobody_wrote_are_an_error_in_one_line() {
        for args in
            [&[][..], &["x", "--scale"], &["x", "--scale", "0"], &["x", "--param", "k"], &["x", "--odd"]]
        {
            let why = run(args.iter().map(OsString::from), None).unwrap_err();
            assert!(!why.contains('\n'), "{why}");
        }
        assert!(run(["no_such"].into_iter().map(OsString::from), None).unwrap_err().contains("`no_such`"));
    }

    #[test]
    fn the_result_is_one_line_on_the_named_descriptor() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let number = OsString::from(writer.as_raw_fd().to_string());
        write_result("{}", Some(&number)).unwrap();
        drop(writer);
        let mut written = String::new();
        reader.read_to_string(&mut written).unwrap();
        assert_eq!(written, "{}\n");
        assert!(write_result("{}", Some(OsStr::new("9999"))).is_err());
    }
}
