//! Saved sweeps in other formats.

mod benchfmt;

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

pub use super::hyperfine::write as hyperfine;
pub use benchfmt::benchfmt;

use super::row::COLUMNS;
use super::{Manifest, SCHEMA, SampleRow, Saved, line};

/// Writes every sample of every target as one table, with the columns of `samples.csv`.
///
/// # Errors
/// The writer's.
pub fn csv(sweeps: &[Saved], to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&line::fields_line(COLUMNS))?;
    sweeps.iter().flat_map(|saved| &saved.rows).try_for_each(|row| to.write_all(&line::encode(row)))
}

/// Every saved sweep with its samples.
#[derive(Serialize, JsonSchema)]
pub struct Document<'a> {
    /// Number of this form; a change that breaks readers raises it.
    pub schema: u32,
    /// One a target, by name.
    pub sweeps: Vec<Sweep<'a>>,
}

/// A target's manifest with its samples.
#[derive(Serialize, JsonSchema)]
pub struct Sweep<'a> {
    /// What `sweep.json` holds.
    #[serde(flatten)]
    pub manifest: &'a Manifest,
    /// The rows of `samples.csv`, its columns as keys, `null` where nothing was measured.
    pub samples: &'a [SampleRow],
}

/// Writes a [`Document`] of all targets.
///
/// # Errors
/// The writer's.
pub fn json(sweeps: &[Saved], to: &mut dyn Write) -> io::Result<()> {
    let sweeps =
        sweeps.iter().map(|saved| Sweep { manifest: &saved.manifest, samples: &saved.rows }).collect();
    serde_json::to_writer(&mut *to, &Document { schema: SCHEMA, sweeps })?;
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::results::fixtures;

    fn sweeps() -> Vec<Saved> {
        ["matmul", "sort"]
            .map(|target| Saved {
                folder: PathBuf::from(target),
                manifest: fixtures::manifest(target),
                rows: vec![fixtures::row(target, 1, 1), fixtures::row(target, 2, 1)],
            })
            .to_vec()
    }

    #[test]
    fn all_samples_are_one_table() {
        let mut text = Vec::new();
        csv(&sweeps(), &mut text).unwrap();
        let mut reader = ::csv::Reader::from_reader(text.as_slice());
        let rows: Vec<SampleRow> = reader.deserialize().collect::<Result<_, _>>().unwrap();
        let expected: Vec<SampleRow> = sweeps().into_iter().flat_map(|saved| saved.rows).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn all_sweeps_are_one_document_with_their_samples() {
        let mut text = Vec::new();
        json(&sweeps(), &mut text).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(document["schema"], 1);
        let sort = &document["sweeps"][1];
        assert_eq!((&sort["target"], &sort["plan"]["seed"]), (&"sort".into(), &1.into()));
        assert_eq!((&sort["samples"][1]["procs"], &sort["samples"][1]["cycles"]), (&2.into(), &().into()));
        let mut manifest = sort.clone();
        manifest.as_object_mut().unwrap().remove("samples");
        assert_eq!(manifest, serde_json::to_value(fixtures::manifest("sort")).unwrap());
    }

    #[test]
    fn a_reader_that_went_away_is_an_error() {
        let mut full = [0; 10];
        assert!(csv(&sweeps(), &mut full.as_mut_slice()).is_err());
        assert!(json(&sweeps(), &mut full.as_mut_slice()).is_err());
    }
}
