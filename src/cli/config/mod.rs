//! `corefit sweep --config FILE`: several sweeps from a file, each `[[sweep]]` with keys that are named as the flags.
//!
//! The file is turned into command lines, which clap then parses as if they had been typed: a flag that is added to
//! `SweepArgs` is a key of the file by that alone, with the same checks and messages. What is typed beside `--config` goes
//! before the table, and that before what stands above the tables.

mod file;
mod schema;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, FromArgMatches};

use self::file::{Entry, Sweeps, Value};
use super::{Cli, Command, Error, SweepArgs};
use crate::quote;
use crate::suggest;

pub(crate) use schema::schema;

/// The subcommand whose flags the keys are.
const SUBCOMMAND: &str = "sweep";
/// Flags that are no keys.
const NO_KEYS: [&str; 5] = ["config", "help", "version", "color", "init"];
/// Flags of the run, not of one of its sweeps: keys above the tables only.
const OF_THE_RUN: [&str; 6] = ["out", "resume", "strict", "json", "quiet", "verbose"];
/// The positional arguments, by clap's names and as keys.
const POSITIONAL: [(&str, &str); 2] = [("workloads", "workload"), ("argv", "command")];

/// Reads the file that `raw`, the whole command line, names with `--config`: the command line with the sweeps in it, or
/// `None` without that flag.
///
/// # Errors
/// What is typed, or what the file says, is wrong: one line that names the place in the file.
pub(super) fn expand(raw: &[OsString]) -> Result<Option<Cli>, Error> {
    let Some((path, typed)) = named(raw) else { return Ok(None) };
    let sweep = sweep_command();
    if POSITIONAL.iter().any(|(id, _)| typed.contains(&(*id).to_owned())) {
        let text = "a file given by `--config` says what to measure; leave out the workload or command";
        return Err(Error::Config(text.to_owned()));
    }
    let sweeps = Sweeps::read(&path).map_err(Error::Config)?;
    let reader = Reader { sweep: &sweep, sweeps: &sweeps, typed: &typed, raw };
    let each = (0..sweeps.each.len()).map(|index| reader.one(index)).collect::<Result<Vec<_>, _>>()?;
    let mut whole = each[0].clone();
    if let Command::Sweep(first) = &mut whole.command {
        first.sweeps = each.into_iter().filter_map(sweep_args).collect();
    }
    Ok(Some(whole))
}

fn sweep_args(cli: Cli) -> Option<SweepArgs> {
    if let Command::Sweep(args) = cli.command { Some(*args) } else { None }
}

/// The file that `raw` names, and the ids of the arguments typed beside it. Tolerant: what is typed may need what the file
/// says.
fn named(raw: &[OsString]) -> Option<(PathBuf, Vec<String>)> {
    // Most command lines name none, and are not to be read twice.
    raw.iter().find(|word| word.to_string_lossy().starts_with("--config"))?;
    let matches = super::command().ignore_errors(true).try_get_matches_from(raw).ok()?;
    let (SUBCOMMAND, matches) = matches.subcommand()? else { return None };
    let path = matches.try_get_one::<PathBuf>("config").ok()??.clone();
    let is_typed =
        |matches: &ArgMatches, id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let typed = matches.ids().map(|id| id.as_str().to_owned()).filter(|id| is_typed(matches, id)).collect();
    Some((path, typed))
}

/// `corefit sweep` as clap knows it.
fn sweep_command() -> clap::Command {
    let mut command = super::command();
    command.build();
    command.find_subcommand(SUBCOMMAND).expect("there is a subcommand of this name").clone()
}

/// The key of an argument; `None` if it has none.
fn key(arg: &Arg) -> Option<&str> {
    let positional = POSITIONAL.iter().find(|(id, _)| arg.get_id() == id).map(|(_, key)| *key);
    positional.or_else(|| arg.get_long()).filter(|key| !NO_KEYS.contains(key))
}

/// Every argument with its key.
fn keys(sweep: &clap::Command) -> impl Iterator<Item = (&str, &Arg)> {
    sweep.get_arguments().filter_map(|arg| Some((key(arg)?, arg)))
}

/// Everything that one sweep of the file is read from.
struct Reader<'a> {
    sweep: &'a clap::Command,
    sweeps: &'a Sweeps,
    typed: &'a [String],
    raw: &'a [OsString],
}

impl Reader<'_> {
    /// The sweep of that index, parsed as if it had been typed.
    fn one(&self, index: usize) -> Result<Cli, Error> {
        let table = &self.sweeps.each[index];
        let (mut flags, mut last) = (Vec::new(), Vec::new());
        let mut above: Vec<&Arg> =
            self.sweep.get_arguments().filter(|arg| self.typed.iter().any(|id| arg.get_id() == id)).collect();
        for (layer, is_table) in [(table, true), (&self.sweeps.all, false)] {
            let mut found = Vec::new();
            for entry in &layer.entries {
                let arg = self.argument(entry, is_table).map_err(Error::Config)?;
                let words = self.words(arg, entry).map_err(Error::Config)?;
                if above.iter().any(|higher| self.excludes(higher, arg)) {
                    continue;
                }
                found.push(arg);
                match arg.get_id().as_str() {
                    "argv" => last.extend([OsString::from("--")].into_iter().chain(words)),
                    _ => flags.extend(words),
                }
            }
            above.extend(found);
        }
        let after = self.raw.iter().position(|word| word == SUBCOMMAND).map_or(1, |place| place + 1);
        let line = self.raw[..after].iter().chain(&flags).chain(&self.raw[after..]).chain(&last);
        let parsed =
            super::command().try_get_matches_from(line).and_then(|matches| Cli::from_arg_matches(&matches));
        let mut cli = parsed.map_err(|error| self.explain(index, error))?;
        if let Command::Sweep(args) = &mut cli.command {
            args.place = Some(self.sweeps.place(table.at));
        }
        Ok(cli)
    }

    /// The argument whose key an entry names.
    fn argument(&self, entry: &Entry, is_table: bool) -> Result<&Arg, String> {
        let fault = |what: &str| Err(self.sweeps.fault(entry.key_at, what));
        let Entry { key, .. } = entry;
        let Some((_, arg)) = keys(self.sweep).find(|(known, _)| known == key) else {
            let closest = suggest::closest(key, keys(self.sweep).map(|(known, _)| known));
            let meant = closest.map_or_else(
                || "; `corefit schema config` lists the keys".to_owned(),
                |known| format!("; did you mean `{known}`?"),
            );
            return fault(&format!("unknown key `{}`{meant}", quote::one_line(key)));
        };
        if is_table && OF_THE_RUN.contains(&key.as_str()) {
            return fault(&format!("`{key}` is for all sweeps: write it above the first `[[sweep]]`"));
        }
        Ok(arg)
    }

    /// An entry as it would be typed.
    fn words(&self, arg: &Arg, entry: &Entry) -> Result<Vec<OsString>, String> {
        let Entry { key, value, .. } = entry;
        let wants = |what: &str| {
            Err(self.sweeps.fault(entry.value_at, &format!("`{key}` takes {what}, not {}", value.kind())))
        };
        let with = |value: &str| OsString::from(format!("--{key}={value}"));
        let is_list = matches!(arg.get_action(), clap::ArgAction::Append);
        let is_optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
        if arg.get_long().is_none() {
            return match value {
                Value::One(text) => self.split(entry, text),
                Value::Many(words) if !words.is_empty() => Ok(words.iter().map(OsString::from).collect()),
                Value::Many(_) => Err(self.sweeps.fault(entry.value_at, &format!("`{key}` is empty"))),
                _ => wants("a string or an array of strings"),
            };
        }
        match value {
            Value::Flag(is) if !arg.get_action().takes_values() || is_optional => {
                Ok(is.then(|| OsString::from(format!("--{key}"))).into_iter().collect())
            }
            _ if !arg.get_action().takes_values() => wants("true or false"),
            Value::One(text) => Ok(vec![with(text)]),
            Value::Many(items) if is_list => Ok(items.iter().map(|item| with(item)).collect()),
            Value::Many(items) => Ok(vec![with(&items.join(","))]),
            Value::Pairs(pairs) if is_list => {
                Ok(pairs.iter().map(|(name, value)| with(&format!("{name}={value}"))).collect())
            }
            _ if is_list => wants("a string, an array of strings or a table"),
            _ => wants("a string or a number"),
        }
    }

    /// A command in one string: its words, unless a shell would read it differently.
    fn split(&self, entry: &Entry, text: &str) -> Result<Vec<OsString>, String> {
        if self.has_shell(entry) {
            return Ok(vec![text.into()]);
        }
        let is_for_shell = |c: char| "'\"\\$`|&;<>*?~#".contains(c);
        let words: Vec<OsString> = text.split_whitespace().map(OsString::from).collect();
        let what = match text {
            _ if words.is_empty() => format!("`{}` is empty", entry.key),
            _ if text.contains(is_for_shell) => format!(
                "`{}` has a character that a shell would read: write an array, as in `[\"sh\", \"-c\", \"…\"]`",
                entry.key
            ),
            _ => return Ok(words),
        };
        Err(self.sweeps.fault(entry.value_at, &what))
    }

    /// Whether the command of an entry is for a shell, which takes it as one word.
    fn has_shell(&self, entry: &Entry) -> bool {
        let is_shell = |other: &Entry| other.key == "shell" && other.value != Value::Flag(false);
        let tables =
            self.sweeps.each.iter().filter(|table| table.entries.iter().any(|e| e.key_at == entry.key_at));
        let mut near = tables.chain([&self.sweeps.all]).flat_map(|layer| &layer.entries);
        self.typed.iter().any(|id| id == "shell") || near.any(is_shell)
    }

    /// Whether an argument of a higher layer leaves no place for `lower`.
    fn excludes(&self, higher: &Arg, lower: &Arg) -> bool {
        let conflicts = |a: &Arg, b: &Arg| {
            self.sweep.get_arg_conflicts_with(a).iter().any(|arg| arg.get_id() == b.get_id())
        };
        higher.get_id() == lower.get_id() || conflicts(higher, lower) || conflicts(lower, higher)
    }

    /// clap's error with the place that it is about: the key's, else the table's; none if it is about what was typed.
    fn explain(&self, index: usize, error: clap::Error) -> Error {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Error::Clap(error);
        }
        let table = &self.sweeps.each[index];
        let subject = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(arg)) => arg.clone(),
            Some(ContextValue::Strings(args)) => args.first().cloned().unwrap_or_default(),
            _ => String::new(),
        };
        let name = subject.trim_start_matches("--").split([' ', '=', '[']).next().unwrap_or_default();
        let is_typed =
            |arg: &&Arg| arg.get_long() == Some(name) && self.typed.iter().any(|id| arg.get_id() == id);
        if self.sweep.get_arguments().any(|arg| is_typed(&arg)) || error.kind() == ErrorKind::UnknownArgument
        {
            return Error::Clap(error);
        }
        let named = table.entries.iter().chain(&self.sweeps.all.entries).find(|entry| entry.key == name);
        let at = named.map_or(table.at, |entry| entry.value_at);
        Error::Config(format!("{}: {}", self.sweeps.place(at), super::bare_line(&error)))
    }
}

#[cfg(test)]
mod tests;
