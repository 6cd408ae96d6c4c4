//! Which targets were asked for, checked before anything is measured.

use crate::cli::{ProgramArgs, ServeArgs, SweepArgs, WorkloadArgs};
use crate::error::Error;
use crate::quote;
use crate::suggest;
use crate::target::{Command, Hooks, Load, LoadKind, Metric, Service, Target, words};

/// The targets of a sweep, each once, in the order asked for: the command, the named workloads, or all.
///
/// # Errors
/// A name that is no workload, a command that cannot be run, an option that does not fit.
pub(super) fn chosen(args: &SweepArgs) -> Result<Vec<Target>, Error> {
    if !args.program.argv.is_empty() {
        if args.serving.serve.is_none()
            && let Some(option) = args.serving.first_given()
        {
            return Err(Error::Usage(format!("`{option}` is for a server; give its command by `--serve`")));
        }
        args.workload_args.refuse_beside("a command")?;
        return Ok(vec![command(args, program(&args.program)?, None)?]);
    }
    if let ServeArgs { serve: Some(serve), ready: Some(ready), load: Some(load), load_kind } = &args.serving {
        args.workload_args.refuse_beside("a server")?;
        let has_shell = args.program.shell.is_some();
        let argv = words("--load", load, has_shell)?;
        let kind = load_kind.unwrap_or_else(|| LoadKind::of(&argv));
        let service = Service { ready: ready.clone(), load: Load { argv, kind } };
        let main = Command { argv: words("--serve", serve, has_shell)?, ..program(&args.program)? };
        return Ok(vec![command(args, main, Some(service))?]);
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
    if let Some(option) = args.serving.first_given() {
        return Err(Error::Usage(format!(
            "`{option}` is part of a server's three: give `--serve CMD`, `--ready` and `--load CMD`"
        )));
    }
    match args.program.first_given().or(args.command.first_given()) {
        Some(option) => Err(Error::Usage(format!(
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

/// `main`, a command as it is started, with what it is measured by.
fn command(args: &SweepArgs, main: Command, service: Option<Service>) -> Result<Target, Error> {
    let given = &args.command;
    let metric = match (&given.metric, &given.ops) {
        (Some(regex), _) => Metric::Output { regex: regex.clone(), lower_is_better: given.lower_is_better },
        (None, Some(ops)) => Metric::Wall { ops: ops.clone() },
        (None, None) => Metric::default(),
    };
    let hooks =
        Hooks { setup: given.setup.clone(), prepare: given.prepare.clone(), cleanup: given.cleanup.clone() };
    let command = Command {
        metric,
        latency_metric: given.latency_metric.clone(),
        hooks,
        service: service.map(Box::new),
        ..main
    };
    Ok(Target::command(command, given.unit.as_deref(), args.name.as_deref())?)
}

/// A command as it is started. What `--env` sets wins over a preset.
///
/// # Errors
/// A preset cannot be used here.
pub(crate) fn program(args: &ProgramArgs) -> Result<Command, Error> {
    let mut envs = args.presets.iter().map(|preset| preset.env()).collect::<Result<Vec<_>, _>>()?;
    envs.extend_from_slice(&args.envs);
    Ok(Command {
        argv: args.argv.clone(),
        envs,
        shell: args.shell.clone(),
        cwd: args.cwd.clone(),
        stdin: args.stdin.clone(),
        ..Command::default()
    })
}

fn unknown(name: &str) -> Error {
    Error::UnknownWorkload { name: quote::one_line(name), suggestion: closest(name) }
}

/// The workload whose name is nearest, if it is near.
fn closest(name: &str) -> Option<&'static str> {
    suggest::closest(name, corefit_workloads::all().iter().map(|workload| workload.name))
}

#[cfg(test)]
mod tests {
    use super::*;

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
