//! Runs one workload once and prints what it did: `once NAME [PROCS [SCALE [PARAM=VALUE…]]]`.

use std::process::ExitCode;

use corefit_runtime::Config;
use corefit_workloads::{Failure, Settings, find};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match once(&arguments) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("once: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn once(arguments: &[String]) -> Result<String, Failure> {
    let usage = || Failure("usage: once NAME [PROCS [SCALE [PARAM=VALUE…]]]".to_owned());
    let name = arguments.first().ok_or_else(usage)?;
    let workload = find(name).ok_or_else(|| Failure(format!("no workload is called `{name}`")))?;
    let procs: usize = arguments.get(1).map_or(Some(1), |procs| procs.parse().ok()).ok_or_else(usage)?;
    let scale = arguments.get(2).map_or(Some(1.0), |scale| scale.parse().ok()).ok_or_else(usage)?;
    let params = arguments.iter().skip(3).map(|param| {
        let (name, value) = param.split_once('=').ok_or_else(usage)?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let settings = Settings { scale, input: None, params: params.collect::<Result<_, Failure>>()? };
    let outcome = Config::new().procs(procs).run(move || (workload.run)(&settings))?;

    let seconds = outcome.timed.elapsed().as_secs_f64();
    let rate = outcome.ops as f64 / seconds;
    let latency = outcome.latency_ns.map_or_else(String::new, |latency| {
        let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
        format!(", latency p50 {:.3} ms, p99 {:.3} ms", ms(0.5), ms(0.99))
    });
    Ok(format!("{name}: {} ops in {seconds:.3} s, {rate:.0} {}{latency}", outcome.ops, workload.unit))
}
