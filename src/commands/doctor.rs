//! `corefit doctor`: what this machine is, what can be measured on it, and how to get the rest.

use super::documents::{DefaultProcs, Diagnosis, Profiles, QuotaSupport};
use super::print;
use crate::cli::DoctorArgs;
use crate::error::Error;
use crate::results::Note;
use crate::{machine, measure, profile, report};

/// Looks and tells.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn doctor(args: &DoctorArgs) -> Result<(), Error> {
    let machine = machine::look();
    let noise = machine::noise();
    let counters = measure::counters::availability();
    let profiles = profile::availability();
    let quotas = measure::Quotas::find();
    let default = corefit_runtime::default_procs();
    if args.json {
        return print::json(&Diagnosis {
            schema: crate::results::SCHEMA,
            corefit_version: env!("CARGO_PKG_VERSION"),
            machine: &machine,
            default_procs: DefaultProcs {
                procs: default.procs,
                reason: report::doctor::reason(&default).to_owned(),
            },
            counters: &counters,
            profiles: Profiles {
                source: profiles.source.to_string(),
                event: profiles.event.to_string(),
                limits: &profiles.limits,
            },
            quotas: QuotaSupport {
                available: quotas.is_ok(),
                version: quotas.as_ref().ok().map(measure::Quotas::version),
                folder: quotas.as_ref().ok().map(measure::Quotas::folder),
                why_not: quotas.as_ref().err().map(ToString::to_string),
            },
            lacks: measure::LACKS,
            warnings: noise.iter().map(Note::from).collect(),
        });
    }
    print::text(&report::doctor::text(&machine, &default, &counters, &profiles, quotas.as_ref(), &noise))
}
