//! Which targets were asked for, checked before anything is measured.

use crate::cli::{SweepArgs, WorkloadArgs};
use crate::error::Error;
use crate::target::{Metric, Target};

/// The targets of a sweep, each once, in the order asked for: the command, the named workloads, or all.
///
/// # Errors
/// A name that is no workload, a command that cannot be run, an option that does not fit.
pub(super) fn chosen(args: &SweepArgs) -> Result<Vec<Target>, Error> {
    if !args.argv.is_empty() {
        args.workload_args.refuse_beside("a command")?;
        return Ok(vec![command(args)?]);
    }
    refuse_options_of_commands(args)?;
    let names = names(&args.workloads)?;
    if args.name.is_some() && names.len() != 1 {
        return Err(Error::Usage(
            "`--name` names one target; give one workload or one command with it".to_owned(),
        ));
    }
    names.into_iter().map(|name| workload(name, &args.workload_args, args.name.as_deref())).collect()
}

/// clap's `requires` is silent where what is required conflicts with something given, as a command does with a workload.
fn refuse_options_of_commands(args: &SweepArgs) -> Result<(), Error> {
    let options = [
        ("--env", !args.envs.is_empty()),
        ("--metric", args.metric.is_some()),
        ("--unit", args.unit.is_some()),
        ("--ops", args.ops.is_some()),
    ];
    match options.iter().find(|(_, is_given)| *is_given) {
        Some((option, _)) => Err(Error::Usage(format!(
            "`{option}` is for a command; leave it out, or give the command after `--`"
        ))),
        None => Ok(()),
    }
}

fn names(asked: &[String]) -> Result<Vec<&'static str>, Error> {
    let mut names = Vec::new();
    if asked.is_empty() || asked.iter().any(|name| name == "all") {
        names.extend(corefit_workloads::all().iter().map(|workload| workload.name));
    }
    for name in asked.iter().filter(|name| *name != "all") {
        let known = corefit_workloads::find(name).ok_or_else(|| unknown(name))?.name;
        if !names.contains(&known) {
            names.push(known);
        }
    }
    Ok(names)
}

/// The bundled workload `name`, sized as asked.
///
/// # Errors
/// There is no such workload, or it cannot be sized so.
pub(crate) fn workload(name: &str, args: &WorkloadArgs, rename: Option<&str>) -> Result<Target, Error> {
    let known = corefit_workloads::find(name).ok_or_else(|| unknown(name))?;
    let target = Target::workload(known.name, args.scale, args.input.as_deref(), &args.params)?;
    Ok(match rename {
        Some(name) => target.with_name(name)?,
        None => target,
    })
}

fn command(args: &SweepArgs) -> Result<Target, Error> {
    let metric = match &args.metric {
        Some(regex) => Metric::Output { regex: regex.clone(), lower_is_better: args.lower_is_better },
        None => Metric::Wall { ops: args.ops.clone().unwrap_or_else(|| "1".to_owned()) },
    };
    Ok(Target::command(&args.argv, &args.envs, metric, args.unit.as_deref(), args.name.as_deref())?)
}

fn unknown(name: &str) -> Error {
    Error::UnknownWorkload { name: name.to_owned(), suggestion: closest(name) }
}

/// The workload whose name is nearest, if it is near.
fn closest(name: &str) -> Option<&'static str> {
    corefit_workloads::all()
        .iter()
        .map(|workload| (edits(name, workload.name), workload.name))
        .min()
        .filter(|(edits, known)| *edits <= known.len() / 3)
        .map(|(_, known)| known)
}

/// Levenshtein's distance: single-character insertions, deletions and replacements between two names.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_single_characters() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("sort", "sort"), 0);
    }

    #[test]
    fn a_near_miss_is_suggested_and_nonsense_is_not() {
        assert_eq!(closest("mandelbrott"), Some("mandelbrot"));
        assert_eq!(closest("ping-pong"), Some("ping_pong"));
        assert_eq!(closest("no_such"), None);
    }

    #[test]
    fn all_is_every_workload_once() {
        let all = corefit_workloads::all().len();
        assert_eq!(names(&[]).unwrap().len(), all);
        assert_eq!(names(&["sort".to_owned(), "all".to_owned(), "sort".to_owned()]).unwrap().len(), all);
        assert_eq!(names(&["sort".to_owned(), "sort".to_owned()]).unwrap(), ["sort"]);
    }
}
