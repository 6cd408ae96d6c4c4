//! `summary.csv`: one row a point, of one target or of all.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::folder::while_measuring;
use super::load::targets_in;
use super::manifest::Manifest;
use super::{Error, Recommendation, line, whole};
use crate::target::Procs;

/// Name of the file, in a target's folder and beside it.
pub(super) const FILE: &str = "summary.csv";

/// The columns: [`SummaryRow`]'s fields in their order.
const COLUMNS: [&str; 12] = [
    "target",
    "procs",
    "samples",
    "throughput",
    "throughput_lo",
    "throughput_hi",
    "speedup",
    "efficiency",
    "cpu_s_per_op",
    "latency_p99_s",
    "max_rss_bytes",
    "recommended",
];

#[derive(Serialize)]
struct SummaryRow<'a> {
    target: &'a str,
    procs: Field,
    samples: u32,
    throughput: f64,
    throughput_lo: Option<f64>,
    throughput_hi: Option<f64>,
    speedup: Option<f64>,
    efficiency: Option<f64>,
    cpu_s_per_op: Option<f64>,
    latency_p99_s: Option<f64>,
    max_rss_bytes: Option<f64>,
    recommended: bool,
}

/// A worker count, or the name of none.
#[derive(Serialize)]
#[serde(untagged)]
enum Field {
    Count(f64),
    Default(Procs),
}

/// The whole file: the header, and every point of every recommendation, the default last.
pub(super) fn text<'a>(recommendations: impl IntoIterator<Item = &'a Recommendation>) -> Vec<u8> {
    let mut text = line::fields_line(COLUMNS);
    for recommendation in recommendations {
        for point in &recommendation.points {
            text.extend(line::encode(&SummaryRow {
                target: &recommendation.target,
                procs: Field::Count(point.procs),
                samples: point.samples,
                throughput: point.throughput,
                throughput_lo: point.lo,
                throughput_hi: point.hi,
                speedup: point.speedup,
                efficiency: point.efficiency,
                cpu_s_per_op: point.cpu_s_per_op,
                latency_p99_s: point.latency_p99_s,
                max_rss_bytes: point.max_rss_bytes,
                recommended: point.procs == recommendation.recommended_procs,
            }));
        }
        text.extend(recommendation.default.iter().flat_map(|default| {
            line::encode(&SummaryRow {
                target: &recommendation.target,
                procs: Field::Default(Procs::Default),
                samples: default.samples,
                throughput: default.throughput,
                throughput_lo: default.lo,
                throughput_hi: default.hi,
                speedup: default.speedup,
                efficiency: None,
                cpu_s_per_op: default.cpu_s_per_op,
                latency_p99_s: default.latency_p99_s,
                max_rss_bytes: default.max_rss_bytes,
                recommended: false,
            })
        }));
    }
    text
}

/// All targets found in an `--out` folder.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// Each with its folder, by the folder's name.
    pub targets: Vec<(PathBuf, Manifest)>,
    /// One line for each that had to be left out because its manifest is unusable.
    pub left_out: Vec<String>,
}

/// Finds the targets in the folder `out`.
///
/// # Errors
/// [`Error::Input`] if it cannot be read.
pub fn index_only(out: &Path) -> Result<Index, Error> {
    let mut index = Index::default();
    for folder in targets_in(out)? {
        match Manifest::read(&folder) {
            Ok(manifest) => index.targets.push((folder, manifest)),
            Err(error) => index.left_out.push(error.to_string()),
        }
    }
    Ok(index)
}

/// Rewrites `<out>/summary.csv` over all targets found in the folder, and names them.
///
/// # Errors
/// [`Error::Disk`] if the file cannot be written, [`Error::Input`] if the folder cannot be read.
pub fn index(out: &Path) -> Result<Index, Error> {
    let index = index_only(out)?;
    let answers = index.targets.iter().filter_map(|(_, manifest)| manifest.recommendation.as_ref());
    let path = out.join(FILE);
    whole::replace(&path, &text(answers)).map_err(|error| while_measuring(&path, &error))?;
    Ok(index)
}
