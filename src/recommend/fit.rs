//! The law behind the samples, and how it is written.

use super::group::Group;
use super::scene::Scene;
use super::{Evidence, ModelChoice};
use crate::model::{self, Fit, Intervals, Kind, Tried};
use crate::results::{Model, ModelIntervals};

/// What laws are fitted to: each worker count with its throughputs.
fn points<'a>(groups: &'a [Group<'_>]) -> Vec<(f64, &'a [f64])> {
    groups.iter().map(|group| (group.n, group.throughputs.as_slice())).collect()
}

pub(super) fn fit(evidence: &Evidence, groups: &[Group<'_>], ceiling: Option<f64>) -> Option<Fit> {
    match evidence.model {
        ModelChoice::Auto => model::fit(&points(groups), ceiling),
        ModelChoice::UslAsR => model::fit_usl_as_r(&points(groups)),
    }
}

/// Every law that was tried; none where the law was asked for.
pub(super) fn tried(scene: &Scene<'_>) -> Vec<Tried> {
    match scene.evidence.model {
        ModelChoice::Auto => model::tried(&points(scene.groups), scene.ceiling),
        ModelChoice::UslAsR => Vec::new(),
    }
}

fn intervals(scene: &Scene<'_>) -> Option<Intervals> {
    let points = points(scene.groups);
    let seed = scene.evidence.seed;
    match scene.evidence.model {
        ModelChoice::Auto => model::intervals(&points, scene.ceiling, scene.fit?, seed),
        ModelChoice::UslAsR => model::intervals_as_r(&points, scene.fit?, seed),
    }
}

/// The fit as it is written; parameters that its law does not have are left out.
pub(super) fn written(scene: &Scene<'_>) -> Model {
    let law = scene.law;
    let has_sigma = |law: &&model::Law| law.kind != Kind::Linear;
    let has_kappa = |law: &&model::Law| law.kind == Kind::Usl;
    let intervals = intervals(scene).map(|found| ModelIntervals {
        sigma: law.filter(has_sigma).map(|_| found.sigma),
        kappa: law.filter(has_kappa).map(|_| found.kappa),
        lambda: Some(found.lambda),
        peak_procs: law
            .filter(has_kappa)
            .filter(|_| found.peak_procs[0].is_finite())
            .map(|_| found.peak_procs.map(|end| end.is_finite().then_some(end))),
    });
    Model {
        kind: law.map_or("none", |law| law.kind.name()).to_owned(),
        sigma: law.filter(has_sigma).map(|law| law.sigma),
        kappa: law.filter(has_kappa).map(|law| law.kappa),
        lambda: law.map(|law| law.lambda),
        peak_procs: law.and_then(model::Law::peak_procs),
        r2: scene.fit.and_then(|fit| fit.r2),
        ceiling: law.and_then(|law| law.ceiling),
        intervals,
    }
}
