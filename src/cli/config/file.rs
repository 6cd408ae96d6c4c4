//! A file of sweeps as it is written: keys and values, each with its place, nothing known yet of what they mean.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::quote;

/// Most bytes of a file: a device that never ends must not take all memory.
const MOST_BYTES: u64 = 1 << 20;

/// Name of the array of tables.
const SWEEP: &str = "sweep";

/// The whole file.
#[derive(Debug)]
pub(super) struct Sweeps {
    /// Keys above the first `[[sweep]]`, for all of them.
    pub(super) all: Layer,
    /// One a `[[sweep]]`, at least one.
    pub(super) each: Vec<Layer>,
    source: Source,
}

/// Keys and values of one table.
#[derive(Debug)]
pub(super) struct Layer {
    /// Byte at which it begins.
    pub(super) at: usize,
    pub(super) entries: Vec<Entry>,
}

/// One key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Byte at which the key begins.
    pub(super) key_at: usize,
    /// Byte at which the value begins.
    pub(super) value_at: usize,
    pub(super) value: Value,
}

/// A value, numbers as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Flag(bool),
    One(String),
    Many(Vec<String>),
    /// Names and values of a table.
    Pairs(Vec<(String, String)>),
}

impl Value {
    /// What it is, with its article.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "a boolean",
            Self::One(_) => "a string or a number",
            Self::Many(_) => "an array",
            Self::Pairs(_) => "a table",
        }
    }
}

/// The file's name and text: what a place is told by.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
}

impl Sweeps {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// In one line with file, line and column: it cannot be read, is not TOML, or has no `[[sweep]]`.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let fail = |why: String| format!("cannot use `{}`: {why}", quote::path(path));
        let mut text = Vec::new();
        let opened = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
        opened.map_err(|error| fail(error.to_string()))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(fail("it has more than 1 MiB".to_owned()));
        }
        let text = String::from_utf8(text).map_err(|_binary| fail("it is not text (UTF-8)".to_owned()))?;
        Self::parse(path, text)
    }

    /// Reads `text`, the file at `path`.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self, String> {
        let source = Source { path: path.to_owned(), text };
        let table = DeTable::parse(&source.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            source.fault(at, &error.message().replace('\n', "; "))
        })?;
        let (all, sweeps): (Vec<_>, Vec<_>) =
            table.get_ref().iter().partition(|(key, _)| key.get_ref().as_ref() != SWEEP);
        let all = Layer { at: 0, entries: entries(&source, all)? };
        let mut each = Vec::new();
        for (_, value) in sweeps {
            let at = value.span().start;
            let tables = value.get_ref().as_array();
            let tables =
                tables.ok_or_else(|| source.fault(at, "`sweep` is no array of tables; write `[[sweep]]`"))?;
            for table in tables.iter() {
                let at = table.span().start;
                let table = table.get_ref().as_table();
                let table = table.ok_or_else(|| source.fault(at, "a sweep is a table; write `[[sweep]]`"))?;
                each.push(Layer { at, entries: entries(&source, table.iter())? });
            }
        }
        if each.is_empty() {
            return Err(source.fault(0, "it has no `[[sweep]]`; write one for each program"));
        }
        Ok(Self { all, each, source })
    }

    /// The place of byte `at`, as `corefit.toml:3:7`.
    pub(super) fn place(&self, at: usize) -> String {
        self.source.place(at)
    }

    /// `what` is wrong at byte `at`.
    pub(super) fn fault(&self, at: usize, what: &str) -> String {
        self.source.fault(at, what)
    }
}

impl Source {
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{}:{line}:{column}", quote::path(&self.path))
    }

    fn fault(&self, at: usize, what: &str) -> String {
        format!("{}: {}", self.place(at), quote::one_line(what))
    }
}

type Item<'a, 'b> = (&'a Spanned<std::borrow::Cow<'b, str>>, &'a Spanned<DeValue<'b>>);

/// Keys and values in the order of the file.
fn entries<'a, 'b: 'a>(
    source: &Source,
    items: impl IntoIterator<Item = Item<'a, 'b>>,
) -> Result<Vec<Entry>, String> {
    let entry = |(key, value): Item<'a, 'b>| {
        let (key_at, value_at) = (key.span().start, value.span().start);
        let key = key.get_ref().as_ref().to_owned();
        let wrong = |what: &str| source.fault(value_at, &format!("`{key}` cannot hold {what}"));
        let value = value_of(value.get_ref()).map_err(wrong)?;
        Ok(Entry { key, key_at, value_at, value })
    };
    let mut entries = items.into_iter().map(entry).collect::<Result<Vec<_>, String>>()?;
    entries.sort_by_key(|entry| entry.key_at);
    Ok(entries)
}

fn value_of(value: &DeValue<'_>) -> Result<Value, &'static str> {
    Ok(match value {
        DeValue::Boolean(is) => Value::Flag(*is),
        DeValue::Array(items) => {
            Value::Many(items.iter().map(|item| scalar(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => {
            let pair = |(key, value): Item<'_, '_>| {
                Ok((key.get_ref().as_ref().to_owned(), scalar(value.get_ref())?))
            };
            Value::Pairs(table.iter().map(pair).collect::<Result<_, &'static str>>()?)
        }
        one => Value::One(scalar(one)?),
    })
}

/// A string, or a number as it is written.
fn scalar(value: &DeValue<'_>) -> Result<String, &'static str> {
    match value {
        DeValue::String(text) => Ok(text.as_ref().to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(digits(number.as_str())),
        DeValue::Integer(number) => i64::from_str_radix(&digits(number.as_str()), number.radix())
            .map(|number| number.to_string())
            .map_err(|_too_large| "so large a number"),
        DeValue::Float(number) => Ok(digits(number.as_str())),
        DeValue::Boolean(is) => Ok(is.to_string()),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("an array inside of this"),
        DeValue::Table(_) => Err("a table inside of this"),
    }
}

fn digits(number: &str) -> String {
    number.trim_start_matches('+').replace('_', "")
}
