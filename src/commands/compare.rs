//! `corefit compare`: has a program become slower since?

use std::path::Path;

use super::documents::Compared;
use super::{evidence, print};
use crate::cli::{CompareArgs, TableArgs};
use crate::compare::{Gate, Measured, Subject, TargetComparison, compare};
use crate::error::Error;
use crate::quote;
use crate::recommend::{Evidence, ModelChoice, Observation, decide};
use crate::report::compare as report;
use crate::results::{self, Manifest, Note, SCHEMA};

/// One target of one side.
struct Run {
    subject: Subject,
    /// `None` of a plain table.
    manifest: Option<Manifest>,
}

/// Compares each target that both paths have, and prints what follows.
///
/// # Errors
/// A path is not readable as results or as a CSV, the two have no target in common or in different units; or
/// [`Error::Regression`].
pub(super) fn run(args: &CompareArgs) -> Result<(), Error> {
    let gate = Gate {
        threshold: args.threshold / 100.0,
        alpha: args.alpha,
        latency: args.latency_threshold.map(|percent| percent / 100.0),
    };
    let (base, new) = (runs(&args.base, &args.table)?, runs(&args.new, &args.table)?);
    let (pairs, warnings) = matched(&base, &new)?;
    let targets: Vec<TargetComparison> =
        pairs.iter().map(|(before, now)| of_target(before, now, gate)).collect::<Result<_, _>>()?;
    if args.json {
        print::json(&Compared {
            schema: SCHEMA,
            base: &args.base,
            new: &args.new,
            threshold: gate.threshold,
            alpha: gate.alpha,
            latency_threshold: gate.latency,
            regression: targets.iter().any(TargetComparison::is_regression),
            targets: &targets,
            warnings: &warnings,
        })?;
    } else {
        for compared in &targets {
            print::text(&report::target(compared, gate))?;
        }
        for note in &warnings {
            anstream::eprintln!("corefit: {}", note.text);
        }
    }
    verdict(&targets, gate)
}

/// The targets that a path has, each with what is recommended for it.
fn runs(path: &Path, table: &TableArgs) -> Result<Vec<Run>, Error> {
    if path.is_dir() {
        return Ok(results::load(path)?.into_iter().map(of_sweep).collect());
    }
    let columns = results::Columns {
        procs: table.procs_column.clone(),
        throughput: table.throughput_column.clone(),
        latency: table.latency_column.clone(),
    };
    let file =
        path.file_stem().map_or_else(|| "table".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let tables = results::table(path, &columns)?;
    let run = |table| {
        let evidence = evidence::of_table(&file, table, None, ModelChoice::Auto);
        Run { subject: Subject { unit: None, ..subject(&evidence) }, manifest: None }
    };
    Ok(tables.iter().map(run).collect())
}

fn of_sweep(saved: results::Saved) -> Run {
    let mut subject = subject(&evidence::of_sweep(&saved, None, ModelChoice::Auto));
    let failed = saved.rows.iter().filter(|row| !row.is_ok()).filter_map(|row| row.procs.count());
    for procs in failed {
        count_failed(&mut subject.points, f64::from(procs));
    }
    Run { subject, manifest: Some(saved.manifest) }
}

fn subject(evidence: &Evidence) -> Subject {
    let mut samples: Vec<&Observation> = evidence.observations.iter().collect();
    // Stable: samples stay in the order they were measured.
    samples.sort_by(|a, b| a.n.total_cmp(&b.n));
    let points = samples.chunk_by(|a, b| a.n == b.n).map(|point| measured(point[0].n, point));
    let default: Vec<&Observation> = evidence.default.iter().collect();
    Subject {
        target: evidence.target.clone(),
        unit: Some(evidence.unit.clone()),
        points: points.collect(),
        recommended: decide(evidence).map(|answer| answer.recommended_procs),
        default: (!default.is_empty()).then(|| measured(f64::NAN, &default)),
    }
}

fn measured(procs: f64, samples: &[&Observation]) -> Measured {
    Measured {
        procs,
        throughputs: samples.iter().map(|sample| sample.throughput).collect(),
        latencies_s: samples.iter().filter_map(|sample| sample.latency_p99_s).filter(|s| *s > 0.0).collect(),
        failed: 0,
    }
}

fn count_failed(points: &mut Vec<Measured>, procs: f64) {
    let place = points.partition_point(|point| point.procs < procs);
    if points.get(place).is_none_or(|point| point.procs != procs) {
        points.insert(place, measured(procs, &[]));
    }
    points[place].failed += 1;
}

type Matched<'a> = Vec<(&'a Run, &'a Run)>;

/// The targets of both sides by name, and what is only in one. Two lone targets are meant to be compared, whatever their
/// names.
fn matched<'a>(base: &'a [Run], new: &'a [Run]) -> Result<(Matched<'a>, Vec<Note>), Error> {
    if let ([before], [now]) = (base, new) {
        return Ok((vec![(before, now)], Vec::new()));
    }
    let find = |runs: &'a [Run], name: &str| runs.iter().find(|run| run.subject.target == name);
    let pairs: Matched<'a> =
        base.iter().filter_map(|before| Some((before, find(new, &before.subject.target)?))).collect();
    if pairs.is_empty() {
        let [base, new] = [base, new].map(|runs| names(runs.iter()));
        return Err(Error::Usage(format!(
            "there is no target in both: the one has {base}, the other {new}; give two folders of the same target"
        )));
    }
    let lonely = |code: &str, side: &str, runs: &'a [Run], others: &'a [Run]| {
        let lonely = runs.iter().filter(|run| find(others, &run.subject.target).is_none());
        let text = format!("not compared, since only the {side} has them: {}", names(lonely.clone()));
        (lonely.count() > 0).then(|| Note { code: code.to_owned(), text })
    };
    let notes = [lonely("only-in-base", "base", base, new), lonely("only-in-new", "new run", new, base)];
    Ok((pairs, notes.into_iter().flatten().collect()))
}

fn names<'a>(runs: impl Iterator<Item = &'a Run>) -> String {
    let names: Vec<String> = runs.map(|run| format!("`{}`", quote::one_line(&run.subject.target))).collect();
    quote::one_line(&names.join(", "))
}

fn of_target(before: &Run, now: &Run, gate: Gate) -> Result<TargetComparison, Error> {
    if let (Some(base), Some(new)) = (&before.subject.unit, &now.subject.unit)
        && base != new
    {
        let [target, base, new] = [&before.subject.target, base, new].map(|text| quote::one_line(text));
        return Err(Error::Usage(format!(
            "cannot compare `{target}`: its throughput was measured in `{base}` and is in `{new}` now; measure both alike"
        )));
    }
    let mut compared = compare(&before.subject, &now.subject, gate);
    if before.subject.target != now.subject.target {
        let [base, new] = [before, now].map(|run| quote::one_line(&run.subject.target));
        let text = format!("`{base}` is compared with `{new}`");
        compared.warnings.push(Note { code: "different-target".to_owned(), text });
    }
    if let (Some(base), Some(new)) = (&before.manifest, &now.manifest) {
        compared.warnings.extend(differences(base, new));
    }
    Ok(compared)
}

/// What else than the program may be the reason for a difference.
fn differences(base: &Manifest, new: &Manifest) -> Vec<Note> {
    let note = |code: &str, text: String| Note { code: code.to_owned(), text };
    let command = base
        .other_command(new)
        .map(|what| note("different-command", format!("not the same was measured: {what}")));
    let machine = base
        .other_machine(new)
        .map(|what| note("different-machine", format!("a difference may be the machine's: {what}")));
    let quick = (base.plan.quick || new.plan.quick)
        .then(|| note("quick", "a sweep was quick: a first look, not for a gate".to_owned()));
    [command, machine, quick].into_iter().flatten().collect()
}

fn verdict(targets: &[TargetComparison], gate: Gate) -> Result<(), Error> {
    let regressed: Vec<&TargetComparison> = targets.iter().filter(|target| target.is_regression()).collect();
    let share = |target: &TargetComparison| report::worst(target).and_then(|pair| pair.ratio).unwrap_or(0.0);
    let worst = regressed.iter().min_by(|a, b| share(a).total_cmp(&share(b)));
    match worst.and_then(|target| Some((target, report::worst(target)?))) {
        None => Ok(()),
        Some((target, pair)) => Err(Error::Regression {
            target: quote::one_line(&target.target),
            loss: report::loss(pair),
            allowed: report::allowed(pair, gate),
            others: regressed.len() - 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_where_they_belong() {
        let sample = Observation { throughput: 1.0, ..Observation::default() };
        let mut points = vec![measured(2.0, &[&sample])];
        for procs in [4.0, 1.0, 2.0, 4.0] {
            count_failed(&mut points, procs);
        }
        let counts: Vec<(f64, usize)> = points.iter().map(|point| (point.procs, point.failed)).collect();
        assert_eq!(counts, [(1.0, 1), (2.0, 1), (4.0, 2)]);
    }
}
