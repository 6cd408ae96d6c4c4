//! Who gets how much, and how long the unlucky wait: every primitive and the scheduler under more goroutines than it can
//! serve at once. `fairness PROCS [SECONDS [SCENARIO]]` runs each scenario for SECONDS (1) and prints one line a group of
//! goroutines: `scenario=… group=… procs=… members=… per_s=… worst=… best=… p50_us=… p99_us=… max_us=…`.
//!
//! `worst` and `best` are the least and the most that one of the group got, over the group's mean: 1 is fair. The waits are
//! those of single operations (of a sleeper: how late it woke). `scripts/fairness` runs it and makes a table.

mod channels;
mod crew;
mod locks;
mod scheduling;

use std::process::ExitCode;
use std::time::Duration;

use corefit_runtime::Config;
use crew::Crew;

/// What makes the goroutines of a scenario.
type Scenario = (&'static str, fn() -> Crew);

const SCENARIOS: [Scenario; 18] = [
    ("send on a rendezvous", channels::senders_on_a_rendezvous),
    ("send on a buffer of 16", channels::senders_on_a_buffer),
    ("receive from a buffer of 16", channels::receivers),
    ("select of 4 ready arms", channels::select_arms),
    ("mutex, held for 1 µs", locks::mutex_held_shortly),
    ("mutex, held over a yield", locks::mutex_held_over_a_yield),
    ("semaphore of 4, held over a yield", locks::semaphore),
    ("rwlock, readers and writers", locks::rwlock),
    ("yielders", scheduling::yielders),
    ("very many yielders", scheduling::very_many_yielders),
    ("yielders and a ping-pong", scheduling::ping_pong_among_yielders),
    ("yielders and sleepers", scheduling::sleepers_among_yielders),
    ("spawners and sleepers", scheduling::sleepers_among_spawners),
    ("ping-pongs and sleepers", scheduling::sleepers_among_ping_pongs),
    ("hogs that check", scheduling::hogs_that_check),
    ("hogs that check, and sleepers", scheduling::sleepers_among_hogs),
    ("hogs that check, and yielders", scheduling::yielders_among_hogs),
    ("yielders and a TCP echo", scheduling::echo_among_yielders),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let procs = args.first().and_then(|text| text.parse::<usize>().ok()).filter(|procs| *procs > 0);
    let seconds =
        args.get(1).map_or(Some(1.0), |text| text.parse::<f64>().ok()).filter(|s| *s > 0.0 && *s <= 60.0);
    let (Some(procs), Some(seconds)) = (procs, seconds) else {
        eprintln!("usage: fairness PROCS [SECONDS [SCENARIO]]");
        return ExitCode::from(2);
    };
    let wanted = args.get(2);
    for (name, make) in SCENARIOS {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        let groups = Config::new().procs(procs).run(move || make().work(Duration::from_secs_f64(seconds)));
        for group in groups {
            println!(
                "scenario={} group={} procs={procs} {}",
                name.replace(' ', "_"),
                group.name,
                group.line(seconds)
            );
        }
    }
    ExitCode::SUCCESS
}
