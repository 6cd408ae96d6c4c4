//! `corefit recommend`: decide again from what was saved, or from any CSV.

use super::documents::{Explained, Recommendations};
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
        (true, answers) => print::json(&document(answers, &evidence, args.explain))?,
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

/// The answers as they are printed.
fn document<'a>(
    answers: &'a [Recommendation],
    evidence: &[Evidence],
    is_explained: bool,
) -> Recommendations<'a> {
    let mut explained: Vec<_> =
        answers.iter().map(|answer| explained(answer, evidence, is_explained)).collect();
    match (evidence.len(), explained.pop()) {
        (1, None) => Recommendations::Nothing,
        (1, Some(one)) => Recommendations::One(Box::new(one)),
        (_, last) => {
            explained.extend(last);
            Recommendations::Several { schema: SCHEMA, recommendations: explained }
        }
    }
}

fn explained<'a>(
    answer: &'a Recommendation,
    evidence: &[Evidence],
    is_explained: bool,
) -> Explained<'a, Recommendation> {
    let own = evidence.iter().filter(|_| is_explained).find(|evidence| evidence.target == answer.target);
    let explain = own.and_then(explain).map(|explained| report::explain::in_json(&explained));
    Explained { document: answer, explain }
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
