//! A sample of a server: started, waited for until it serves, put under load, stopped.
//!
//! ```text
//! server   launch ─ start ─ ready ┐                       ┌ SIGTERM ─ end, or kill after a grace
//! load                     launch ┴ start ══ run ══ end ──┘
//! counted                         └──── window ────┘
//! ```
//!
//! Both are launched like any other program, each the first process of a tree. The numbers of the sample are the server's
//! while it is under load; wall time and output are the load generator's.

use std::path::Path;
use std::time::{Duration, Instant};

use regex::bytes::Regex;

use super::child::{Child, LAST_WORDS, wait_any};
use super::{ChildReport, Conditions, Error, LoadUse, Sample, Status, interrupt, launcher, ready};
use crate::machine::CpuList;
use crate::target::{Invocation, Ready};

/// How long a server may take to end once it was asked to. Guess: what it does then is of no interest.
const GRACE: Duration = Duration::from_secs(5);
/// How long the end of a server may come after the failure of its load, for which it is then the reason. Guess.
const AFTERMATH: Duration = Duration::from_secs(1);

/// The roles of a served sample: what is measured, and what loads it.
#[derive(Clone, Copy, Debug)]
pub struct Roles<'a> {
    /// The server.
    pub main: &'a Invocation,
    /// When it serves.
    pub ready: &'a Ready,
    /// The load generator.
    pub load: &'a Invocation,
    /// The CPUs that the load generator may use; `None` for those of the tool.
    pub load_cpus: Option<&'a CpuList>,
}

/// A server under load.
#[derive(Debug)]
pub struct Served {
    server: Child,
    load: Child,
}

/// What came of starting a server and its load.
#[derive(Debug)]
pub enum Serving {
    /// Both run.
    UnderLoad(Box<Served>),
    /// The server did not come to serve: the sample has failed.
    Failed(Box<Sample>),
}

/// Runs the server once under its load; `conditions` are the server's, but for its time limit, which holds for its start and
/// for the load.
///
/// # Errors
/// One of the two could not be run at all. A server that does not serve, or ends under load, and a load that fails are
/// samples with their [`Status`] and the reason among the remarks.
pub fn serve(roles: &Roles<'_>, conditions: &Conditions) -> Result<Sample, Error> {
    serve_by(&launcher::this_binary(), roles, conditions)
}

/// As [`serve`], with another corefit binary as the launcher: for tests.
///
/// # Errors
/// As [`serve`].
pub fn serve_by(launcher: &Path, roles: &Roles<'_>, conditions: &Conditions) -> Result<Sample, Error> {
    match start_by(launcher, roles, conditions)? {
        Serving::Failed(sample) => Ok(*sample),
        Serving::UnderLoad(mut served) => {
            served.wait_up_to(conditions.timeout);
            Ok(served.finish())
        }
    }
}

/// Starts the server, waits until it serves, and starts its load: for who wants to do something meanwhile, as the sampling
/// profiler does.
///
/// # Errors
/// As [`serve`].
pub fn start(roles: &Roles<'_>, conditions: &Conditions) -> Result<Serving, Error> {
    start_by(&launcher::this_binary(), roles, conditions)
}

/// As [`start`], with another corefit binary as the launcher: for tests.
///
/// # Errors
/// As [`serve`].
pub fn start_by(launcher: &Path, roles: &Roles<'_>, conditions: &Conditions) -> Result<Serving, Error> {
    let mut server = launch_server(launcher, roles, conditions)?;
    let served = match ready::taken(roles.ready) {
        Ok(Some(why)) | Err(why) => Err(why),
        Ok(None) => {
            server.start()?;
            ready::wait(&mut server, roles.ready, conditions.timeout)
        }
    };
    if let Err(why) = served {
        return Ok(Serving::Failed(Box::new(failed(server, why))));
    }
    let of_load = Conditions {
        counters: false,
        keep_output: true,
        poll_run_queue: true,
        quota: None,
        cpus: roles.load_cpus.cloned(),
        ..conditions.clone()
    };
    let mut load = super::launch_by(launcher, roles.load, &of_load)?;
    server.begin_window();
    load.start()?;
    Ok(Serving::UnderLoad(Box::new(Served { server, load })))
}

fn launch_server(launcher: &Path, roles: &Roles<'_>, conditions: &Conditions) -> Result<Child, Error> {
    let regex = match roles.ready {
        Ready::Line(regex) => Some(Regex::new(regex).map_err(|error| Error::Start(error.to_string()))?),
        _ => None,
    };
    // What a server prints is of interest only where it says that it is ready, and last, why it failed.
    let of_server = Conditions { keep_output: regex.is_some(), ..conditions.clone() };
    let mut server = super::launch_by(launcher, roles.main, &of_server)?;
    if let Some(regex) = &regex {
        server.search_output(regex);
    }
    Ok(server)
}

impl Served {
    /// Process id of the server.
    #[must_use]
    pub fn server_pid(&self) -> u32 {
        self.server.pid()
    }

    /// Whether a wait has seen the end of the load.
    #[must_use]
    pub fn has_load_ended(&self) -> bool {
        self.load.has_ended()
    }

    /// Waits up to `patience` for the load to end, or the server; `true` then. Returns early, with `false`, at an
    /// interruption.
    pub fn wait_up_to(&mut self, patience: Duration) -> bool {
        wait_any(&mut [&mut self.load, &mut self.server], Instant::now().checked_add(patience))
    }

    /// Stops both and gives the sample.
    #[must_use]
    pub fn finish(self) -> Sample {
        let Self { mut server, load } = self;
        server.end_window();
        let has_succeeded = load.has_ended() && load.has_succeeded();
        if load.has_ended() && !has_succeeded {
            server.wait_up_to(AFTERMATH);
        }
        if server.has_ended() && !(has_succeeded && server.has_succeeded()) {
            drop(load);
            return failed(server, "the server ended under load".to_owned());
        }
        let used_share = load.busiest_share();
        if !load.has_ended() {
            // It first: without its server it would end for another reason than that its time is up.
            let load = load.finish();
            server.ask_to_end(Duration::ZERO);
            return both(server.finish(), load, used_share);
        }
        // The server first: an orphan of its may pass for one of the load's.
        let has_obeyed = server.ask_to_end(GRACE) || interrupt::interrupted();
        let mut sample = both(server.finish(), load.finish(), used_share);
        if sample.status == Status::Ok && !has_obeyed {
            let grace_s = GRACE.as_secs();
            sample
                .remarks
                .push(format!("the server did not end within {grace_s} s of SIGTERM and was killed"));
        }
        sample
    }
}

/// The sample of a server that does not serve, and is the reason why there is none of its load.
fn failed(server: Child, why: String) -> Sample {
    let has_ended = server.has_ended();
    let mut sample = server.finish();
    if !has_ended {
        // That the tool stopped it is no news.
        sample.remarks.retain(|remark| remark.starts_with(LAST_WORDS));
    } else if sample.exit_code == Some(0) {
        sample.remarks.insert(0, "exited with code 0".to_owned());
    }
    sample.remarks.insert(0, why);
    Sample { status: Status::Failed, ..sample }
}

/// The sample of a server whose load came to an end.
fn both(server: Sample, load: Sample, busiest_share: Option<f64>) -> Sample {
    let cpu_s = load.user_s.zip(load.sys_s).map(|(user, system)| user + system);
    let busiest_thread_s = busiest_share.map(|share| share * load.wall_s);
    let remarks = match load.status {
        Status::Ok => server.remarks,
        // The first says how it ended.
        _ => vec![format!("the load generator {}", load.remarks.join("; "))],
    };
    Sample {
        status: load.status,
        exit_code: load.exit_code,
        signal: load.signal,
        wall_s: load.wall_s,
        started_unix_s: load.started_unix_s,
        load: Some(LoadUse { cpu_s, busiest_thread_s }),
        report: report(server.report, load.report),
        stdout: load.stdout,
        stderr: load.stderr,
        remarks,
        ..server
    }
}

/// What the two said: the load generator of its requests, the server of its runtime.
fn report(server: Option<ChildReport>, load: Option<ChildReport>) -> Option<ChildReport> {
    let runtime = server.map(|server| server.runtime);
    match (runtime, load) {
        (None, load) => load,
        (Some(runtime), load) => Some(ChildReport { runtime, ..load.unwrap_or_default() }),
    }
}
