//! The `corefit` binary: parse, run, print the one error, map it to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The launcher and the bundled workloads are this same binary, started again: they skip the command line's parser.
    if let Some(code) = corefit::hidden() {
        return code;
    }
    let cli = match corefit::cli::parse() {
        Ok(cli) => cli,
        Err(error) => return corefit::cli::report(&error),
    };
    match corefit::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is_silent() {
                anstream::eprintln!("corefit: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
