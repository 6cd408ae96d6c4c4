//! Where threads wait, weighted by time.
//!
//! ```text
//! context-switch events ─▶ sampler ─▶ tree ─▶ waits (from leave to return)        ─┐
//! /proc, again and again ─▶ threads (what it waits for) ─▶ polled (how long) ─────┴▶ Profile
//! ```
//!
//! The events need the right to see the kernel's stacks, since threads wait in the kernel; where they are refused, `/proc` is
//! polled, which shows the innermost frame of a wait only.

mod polled;
mod threads;
mod waits;

use super::sampler;
use super::space::{Modules, Space};
use super::tree::Place;
use super::{Error, Profile, Request, Time};
use crate::measure::Child;
use crate::measure::serve::Served;
use threads::Thread;

pub(super) use waits::{Labels, Waits};

/// Records a child as `sampler::record_child` does, or by polling where the kernel refuses.
///
/// # Errors
/// As there; what a request for CPU time is refused is not polled for.
pub fn record_child(child: &mut Child, request: Request) -> Result<Profile, Error> {
    match sampler::record_child(child, request) {
        Err(refusal) if is_polled(&refusal, request) => {
            child.start()?;
            let pid = child.pid();
            polled::record(pid, request, refusal, |patience| child.wait_up_to(patience))
        }
        result => result,
    }
}

/// Records a running process as `sampler::record_pid` does, or by polling where the kernel refuses.
///
/// # Errors
/// As [`record_child`].
pub fn record_pid(pid: u32, request: Request) -> Result<Profile, Error> {
    match sampler::record_pid(pid, request) {
        Err(refusal) if is_polled(&refusal, request) => {
            let process = sampler::open_process(pid)?;
            polled::record(pid, request, refusal, |patience| sampler::has_ended(&process, patience))
        }
        result => result,
    }
}

/// Records a server as `sampler::record_served` does, or by polling where the kernel refuses.
///
/// # Errors
/// As [`record_child`].
pub fn record_served(served: &mut Served, request: Request) -> Result<Profile, Error> {
    match sampler::record_served(served, request) {
        Err(refusal) if is_polled(&refusal, request) => {
            let pid = served.server_pid();
            polled::record(pid, request, refusal, |patience| served.wait_up_to(patience))
        }
        result => result,
    }
}

fn is_polled(error: &Error, request: Request) -> bool {
    request.time == Time::OffCpu && error.is_refusal()
}

/// Frames for waits of which no stack was taken.
impl Labels {
    pub(super) fn new(modules: &mut Modules) -> Self {
        let mut label = |text| Place::Module(modules.label(text), 0);
        Self {
            run_queue: label("run queue"),
            no_stack: label("no stack"),
            earlier: label("since before the recording"),
        }
    }
}

/// The threads of these processes that wait now: process, thread, and what it waits in, innermost first.
pub(super) fn waiting_now<'a>(
    processes: impl Iterator<Item = (u32, &'a Space)>,
    labels: Labels,
    modules: &mut Modules,
) -> Vec<(u32, u32, Vec<Place>)> {
    let mut waiting = Vec::new();
    for (pid, space) in processes {
        for thread in Thread::of(pid).filter(|thread| thread.waits() == Some(true)) {
            let mut places = innermost(thread, space, modules);
            places.push(labels.earlier);
            waiting.push((pid, thread.tid, places));
        }
    }
    waiting
}

/// What a thread that waits waits in, as far as `/proc` tells, innermost first: the function of the kernel, the system call,
/// the function of the program that made it.
fn innermost(thread: Thread, space: &Space, modules: &mut Modules) -> Vec<Place> {
    let waiting = thread.waiting();
    let caller = waiting.returns_to.and_then(|address| space.locate(address));
    let mut label = |text: &str| Place::Module(modules.label(text), 0);
    let kernel = waiting.kernel.as_deref().map(&mut label);
    let call = waiting.call.map(&mut label);
    let caller = caller.map(|(module, offset)| Place::Module(module, offset));
    kernel.into_iter().chain(call).chain(caller).collect()
}
