//! Where a profile is written, and as what: the suffix of the file decides.

use std::path::{Path, PathBuf};

use crate::commands::print;
use crate::error::Error;
use crate::profile::{self, Folded, Profile, Scale, Title, Unit};
use crate::results;

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A picture, with the folded stacks beside it.
    Svg,
    /// Folded stacks only.
    Folded,
    /// A gzipped `profile.proto`.
    Pprof,
    /// The Firefox Profiler's JSON.
    Firefox,
}

/// Where and as what to write.
pub(super) struct Output {
    path: PathBuf,
    format: Format,
}

/// One side of a difference.
pub(super) struct Side<'a> {
    pub(super) procs: u32,
    pub(super) profile: &'a Profile,
    /// Operations done while it was taken, if they are known.
    pub(super) ops: Option<f64>,
}

impl Output {
    /// Decides by the suffix.
    ///
    /// # Errors
    /// The suffix is none that is known.
    pub(super) fn of(path: &Path) -> Result<Self, Error> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let suffixes = [
            (".svg", Format::Svg),
            (".folded", Format::Folded),
            (".pb.gz", Format::Pprof),
            (".json", Format::Firefox),
        ];
        let known = suffixes.iter().find(|(suffix, _)| name.ends_with(suffix) && name != *suffix);
        match known {
            Some(&(_, format)) => Ok(Self { path: path.to_owned(), format }),
            None => Err(Error::Usage(format!(
                "`-o {}` must end in `.svg`, `.folded`, `.pb.gz` (pprof) or `.json` (Firefox Profiler)",
                path.display()
            ))),
        }
    }

    /// Refuses formats that hold one profile only, before two are taken.
    ///
    /// # Errors
    /// The format is such a one.
    pub(super) fn refuse_if_single(&self) -> Result<(), Error> {
        match self.format {
            Format::Svg | Format::Folded => Ok(()),
            Format::Pprof | Format::Firefox => Err(Error::Usage(format!(
                "a difference is written as `.svg` or `.folded`, not as `{}`; for `go tool pprof -diff_base` make two \
                 profiles, one with each `--procs`",
                self.path.display()
            ))),
        }
    }

    /// Writes one profile and says where it is.
    ///
    /// # Errors
    /// The disk refuses, or there is no stack.
    pub(super) fn write_one(&self, profile: &Profile, title: &Title) -> Result<(), Error> {
        say(profile);
        let folded = profile.folded();
        match self.format {
            Format::Svg => {
                write(&self.path, &profile::svg(&folded, title)?)?;
                write_folded(&self.path.with_extension("folded"), &folded)?;
            }
            Format::Folded => write_folded(&self.path, &folded)?,
            Format::Pprof => write(&self.path, &profile::pprof(profile, title))?,
            Format::Firefox => write(&self.path, &profile::firefox(profile, title))?,
        }
        print::line(&format!("{}: {}", self.path.display(), amount(profile)))
    }

    /// A difference is drawn; beside it, or all there is, are its folded stacks with two counts a line, and those of each
    /// side.
    ///
    /// # Errors
    /// As [`Output::write_one`].
    pub(super) fn write_two(&self, before: &Side<'_>, after: &Side<'_>, target: &str) -> Result<(), Error> {
        for side in [before, after] {
            say(side.profile);
            let path = self.path.with_extension(format!("{}.folded", side.procs));
            write_folded(&path, &side.profile.folded())?;
        }
        let (first, second) = (before.profile.folded(), after.profile.folded());
        write(&self.path.with_extension("folded"), profile::diff_folded(&first, &second).as_bytes())?;
        if self.format == Format::Svg {
            let scale = Scale::of(before.ops, after.ops);
            let (a, b) = (before.procs.to_string(), after.procs.to_string());
            let title = Title::of_difference(target, &a, &b, after.profile.event.unit(), scale);
            write(&self.path, &profile::diff_svg(&first, &second, scale, &title)?)?;
        }
        let amounts = [before, after].map(|side| format!("{} at {}", amount(side.profile), side.procs));
        print::line(&format!("{}: {}", self.path.display(), amounts.join(", ")))
    }
}

/// How much a profile holds, in words.
fn amount(profile: &Profile) -> String {
    match profile.event.unit() {
        Unit::Samples => format!("{} samples", profile.samples),
        Unit::Microseconds => {
            let waited_s = profile.folded().total() as f64 / 1e6;
            format!("{} waits of {waited_s:.3} s together (counts are µs)", profile.samples)
        }
    }
}

fn write(path: &Path, contents: &[u8]) -> Result<(), Error> {
    results::replace(path, contents).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write_folded(path: &Path, folded: &Folded) -> Result<(), Error> {
    let mut text = Vec::new();
    profile::write_folded(folded, &mut text).expect("a vector takes what is written");
    write(path, &text)
}

fn say(profile: &Profile) {
    for warning in &profile.warnings {
        anstream::eprintln!("corefit: {warning}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(path: &str) -> Option<Format> {
        Output::of(Path::new(path)).ok().map(|output| output.format)
    }

    #[test]
    fn the_suffix_decides() {
        let table = [
            ("a.svg", Some(Format::Svg)),
            ("b/a.b.folded", Some(Format::Folded)),
            ("a.pb.gz", Some(Format::Pprof)),
            ("a.json", Some(Format::Firefox)),
            ("a.gz", None),
            ("a.pb", None),
            ("a.png", None),
            (".svg", None),
            ("svg", None),
            ("", None),
        ];
        for (path, expected) in table {
            assert_eq!(format(path), expected, "{path}");
        }
    }
}
