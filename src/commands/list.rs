//! `corefit list`: the bundled workloads.

use corefit_workloads::Workload;

use super::documents::{Listed, Parameter};
use super::print;
use crate::cli::ListArgs;
use crate::error::Error;

/// Prints each workload's name, what it models, and what the text-book expects of its scaling.
///
/// # Errors
/// Standard output cannot be written.
pub(super) fn list(args: &ListArgs) -> Result<(), Error> {
    let workloads = corefit_workloads::all();
    if args.json {
        let entries: Vec<_> = workloads.iter().map(entry).collect();
        return print::json(&entries);
    }
    let mut table = crate::report::table::plain(["workload", "what it models", "expected scaling"]);
    for workload in workloads {
        table.add_row([workload.name, workload.about, workload.scaling]);
    }
    print::line(&crate::report::table::text(&table))
}

fn entry(workload: &Workload) -> Listed {
    let parameters = workload.parameters.iter();
    Listed {
        name: workload.name,
        about: workload.about,
        scaling: workload.scaling,
        unit: workload.unit,
        parameters: parameters
            .map(|parameter| Parameter {
                name: parameter.name,
                default: parameter.default,
                about: parameter.about,
            })
            .collect(),
    }
}
