//! CPU quotas of a sweep: each target under the one, or under each of several, which are then compared.

use super::super::evidence;
use super::one::Outcome;
use crate::cli::SweepArgs;
use crate::error::Error;
use crate::measure::{Quota, Quotas};
use crate::recommend::{self, Comparison, ModelChoice};
use crate::target::Target;

/// The right to set quotas, if any is asked for.
///
/// # Errors
/// This process may set none.
pub(super) fn allowed(args: &SweepArgs) -> Result<Option<Quotas>, Error> {
    let is_asked = args.cpus.is_some() || args.cpus_sweep.is_some();
    Ok(is_asked.then(Quotas::find).transpose()?)
}

/// Each target with the quota it is measured under, named after it where there are several.
///
/// # Errors
/// A quota is more than this process is allowed itself.
pub(super) fn crossed(
    targets: &[Target],
    quotas: Option<&Quotas>,
    args: &SweepArgs,
) -> Result<Vec<(Target, Option<Quota>)>, Error> {
    let Some(quotas) = quotas else {
        return Ok(targets.iter().map(|target| (target.clone(), None)).collect());
    };
    let Some(list) = &args.cpus_sweep else {
        let quota = args.cpus.map(|cpus| quotas.of(cpus)).transpose()?;
        return Ok(targets.iter().map(|target| (target.clone(), quota.clone())).collect());
    };
    let mut crossed = Vec::new();
    for target in targets {
        for cpus in &list.0 {
            crossed.push((target.clone().at_quota(*cpus), Some(quotas.of(*cpus)?)));
        }
    }
    Ok(crossed)
}

/// What the quotas of each target of a `--cpus-sweep` say together; nothing of a target without an answer.
pub(super) fn compared(targets: &[Target], outcomes: &[Outcome]) -> Vec<Comparison> {
    let at_quota = |target: &Target, outcome: &Outcome| {
        let manifest = &outcome.saved.manifest;
        let cpus = manifest.plan.cpu_quota?;
        let is_of_target = manifest.target == target.clone().at_quota(cpus).name;
        let evidence = is_of_target.then(|| evidence::of_sweep(&outcome.saved, None, ModelChoice::Auto))?;
        recommend::at_quota(&evidence, manifest.recommendation.as_ref()?, cpus)
    };
    let compare = |target: &Target| {
        let quotas: Vec<_> = outcomes.iter().filter_map(|outcome| at_quota(target, outcome)).collect();
        recommend::compare(&target.name, &target.unit, quotas)
    };
    targets.iter().filter_map(compare).collect()
}
