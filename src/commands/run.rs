//! `corefit run`: one sample of a workload, for a person.

use super::sweep::{rounds, targets};
use super::{print, trace};
use crate::cli::RunArgs;
use crate::error::Error;
use crate::results::Place;
use crate::target::Procs;
use crate::{machine, measure, report};

/// Measures one sample and shows it.
///
/// # Errors
/// No such workload, or the sample did not succeed.
pub(super) fn run(args: &RunArgs) -> Result<(), Error> {
    let target = targets::workload(&args.workload, &args.workload_args, None)?;
    measure::watch_interrupts().map_err(Error::Signals)?;
    let quotas = args.cpus.map(|_| measure::Quotas::find()).transpose()?;
    let quota = quotas.as_ref().zip(args.cpus).map(|(quotas, cpus)| quotas.of(cpus)).transpose()?;
    let machine = machine::look().under(args.cpus);
    let procs = args.procs.unwrap_or_else(|| (machine.usable_cpus().ceil() as u32).max(1));
    let conditions = rounds::of_target(&target, args.timeout, !args.no_counters, quota);
    let sample = measure::sample(&target.invocation(procs), &conditions)?;
    if measure::interrupted() {
        return Err(Error::Stopped("the sample is not shown, since it was cut short"));
    }
    let place = Place { target: &target.name, procs: procs.into(), round: 1, order: 1, machine: &machine.id };
    let (row, failure) = rounds::row(&target, &place, &sample);
    if args.json {
        print::json(&row)?;
    } else {
        print::line(&report::sample::text(&target, &row))?;
    }
    match failure {
        None => {
            for remark in &sample.remarks {
                anstream::eprintln!("corefit: `{}`: {remark}", target.name);
            }
            trace::tell_recorded();
            Ok(())
        }
        Some(why) => {
            Err(Error::Partial(format!("`{}` at {}: {why}", target.name, Procs::Count(procs).phrase())))
        }
    }
}
