//! `corefit recommend`: decide again from what was saved, or from any CSV.

use serde::Serialize;
use serde_json::json;

use super::{evidence, print};
use crate::cli::{ModelArg, RecommendArgs};
use crate::error::Error;
use crate::recommend::{Evidence, ModelChoice, decide, explain};
use crate::report;
use crate::results::{self, Recommendation, SCHEMA};

/// Decides for each target found under the path and prints the answers.
///
/// # Errors
/// The path is not readable as results or as a CSV, or holds no successful sample at all.
pub(super) fn recommend(args: &RecommendArgs) -> Result<(), Error> {
    let evidence = collect(args)?;
    let answers: Vec<Recommendation> = evidence.iter().filter_map(decide).collect();
    let several = evidence.len() > 1;
    for silent in evidence.iter().filter(|e| several && e.observations.is_empty()) {
        anstream::eprintln!("corefit: `{}` has no successful sample", silent.target);
    }
    match (args.json, answers.as_slice()) {
        (true, [one]) if evidence.len() == 1 => print::json(&written(one, &evidence, args.explain))?,
        (true, []) if evidence.len() == 1 => print::json(&serde_json::Value::Null)?,
        (true, several) => {
            let several: Vec<Written<'_>> =
                several.iter().map(|one| written(one, &evidence, args.explain)).collect();
            print::json(&json!({ "schema": SCHEMA, "recommendations": several }))?;
        }
        (false, _) if args.explain => {
            for explained in evidence.iter().filter_map(explain) {
                print::text(&report::explain::text(&explained))?;
            }
        }
        (false, answers) => {
            for answer in answers {
                print::text(&report::answer::full(answer))?;
            }
        }
    }
    if answers.len() < evidence.len() {
        return Err(Error::Partial(format!("no successful sample in `{}`", args.path.display())));
    }
    Ok(())
}

/// An answer as it is printed.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    answer: &'a Recommendation,
    /// The reasoning as text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<String>,
}

fn written<'a>(answer: &'a Recommendation, evidence: &[Evidence], is_explained: bool) -> Written<'a> {
    let own = evidence.iter().filter(|_| is_explained).find(|evidence| evidence.target == answer.target);
    Written { answer, explain: own.and_then(explain).map(|explained| report::explain::in_json(&explained)) }
}

fn collect(args: &RecommendArgs) -> Result<Vec<Evidence>, Error> {
    let model = match args.model {
        Some(ModelArg::Usl) => ModelChoice::UslAsR,
        None => ModelChoice::Auto,
    };
    if args.path.is_dir() {
        let saved = results::load(&args.path)?;
        return Ok(saved.iter().map(|one| evidence::of_sweep(one, args.policy, model)).collect());
    }
    let columns = results::Columns {
        procs: args.table.procs_column.clone(),
        throughput: args.table.throughput_column.clone(),
        latency: args.table.latency_column.clone(),
    };
    let tables = results::table(&args.path, &columns)?;
    let file =
        args.path.file_stem().map_or_else(|| "table".to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(tables.iter().map(|table| evidence::of_table(&file, table, args.policy, model)).collect())
}
