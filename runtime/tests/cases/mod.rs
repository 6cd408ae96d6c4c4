//! Tests that each run something in a child, which is the same binary again: a harness of their own.

use std::process::ExitCode;

/// A case: its name, what the child does, and what is checked about it.
pub(crate) type Case = (&'static str, fn(), fn());

/// The variable that tells a child which case it is.
pub(crate) const CHILD: &str = "COREFIT_TEST_CHILD";

/// In a child its case; else checks those whose names hold the first argument that is no flag.
pub(crate) fn run(cases: &[Case]) -> ExitCode {
    if let Ok(name) = std::env::var(CHILD) {
        let (_, act, _) = cases.iter().find(|(case, ..)| *case == name).expect("a known case");
        act();
        return ExitCode::SUCCESS;
    }
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, _, check) in cases.iter().filter(|(name, ..)| name.contains(&filter)) {
        check();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
