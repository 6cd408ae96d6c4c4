//! Waiting for children: for the end of one of them, while what they all write is read and what is due is done.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use regex::bytes::Regex;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Signal, WaitId, WaitIdOptions};
use rustix::time::Timespec;

use super::super::{control, interrupt};
use super::{Child, Output, RunQueue};

impl Child {
    /// Waits up to `patience` for the program to end; `true` once it has. Returns early, with `false`, at an interruption.
    /// The end is noticed here: wall time runs until a wait sees it.
    pub fn wait_up_to(&mut self, patience: Duration) -> bool {
        // A deadline beyond the end of the clock is none.
        wait_any(&mut [self], Instant::now().checked_add(patience))
    }

    /// Whether a wait has seen its end.
    pub(in super::super) fn has_ended(&self) -> bool {
        self.ended_ns.is_some()
    }

    /// Whether it has ended by itself, with exit code 0. It is not reaped.
    pub(in super::super) fn has_succeeded(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::Pid(self.root.pid()), options);
        status.is_ok_and(|status| status.is_some_and(|status| status.exit_status() == Some(0)))
    }

    /// From now on looks for a line that `regex` matches in what it writes.
    pub(in super::super) fn search_output(&mut self, regex: &Regex) {
        self.output.as_mut().expect("output is taken by `finish` only").search(regex);
    }

    /// Whether such a line has come.
    pub(in super::super) fn has_found_line(&self) -> bool {
        self.output.as_ref().is_some_and(Output::has_found)
    }

    /// The share of its time that its busiest thread ran, if that was polled often enough.
    pub(in super::super) fn busiest_share(&self) -> Option<f64> {
        self.run_queue.as_ref().and_then(RunQueue::busiest_share)
    }

    /// Asks a program that serves until it is told to stop (SIGTERM, to its first process, as `docker stop` does), and waits
    /// up to `grace`; `true` once it has ended. However it ends then, it has ended well.
    pub(in super::super) fn ask_to_end(&mut self, grace: Duration) -> bool {
        if !self.has_ended() && !self.wait_up_to(Duration::ZERO) {
            self.is_asked = true;
            // It may have ended just now; then there is nobody to ask.
            let _ = rustix::process::kill_process(self.root.pid(), Signal::TERM);
        }
        self.wait_up_to(grace)
    }

    /// What it writes to, if that may be read now, and when it may, and its handle, unless its end has been seen.
    fn to_poll(&self, now: Instant) -> (Vec<BorrowedFd<'_>>, Option<Instant>) {
        let (mut descriptors, resume) =
            self.output.as_ref().map(|output| output.to_poll(now)).unwrap_or_default();
        if !self.has_ended() {
            descriptors.push(self.handle.as_fd());
        }
        (descriptors, resume)
    }

    /// When the run queue is to be looked at; never after the end.
    fn poll_due(&self) -> Option<Instant> {
        self.run_queue.as_ref().filter(|_| !self.has_ended()).map(RunQueue::due)
    }

    /// Sleeps until the program ends, writes or has to be polled, at most until `deadline`, and does what is due.
    pub(super) fn wait_once(&mut self, deadline: Option<Instant>) {
        wait_once(&mut [self], deadline);
    }

    /// Does what is due after a sleep.
    fn attend(&mut self, now: Instant, has_written: bool) {
        let is_poll_due = self.poll_due().is_some_and(|due| due <= now);
        if let Some(run_queue) = self.run_queue.as_mut().filter(|_| is_poll_due) {
            run_queue.poll(now);
        }
        // We are awake: what is in the pipes need not wake us again.
        if has_written || is_poll_due {
            self.output.as_mut().expect("output is taken by `finish` only").drain(now);
        }
    }
}

/// Waits until one of `children` has ended, which may be long ago; `true` then. Returns with `false` at an interruption and
/// after `deadline`.
pub(in super::super) fn wait_any(children: &mut [&mut Child], deadline: Option<Instant>) -> bool {
    loop {
        if children.iter().any(|child| child.has_ended()) {
            return true;
        }
        wait_once(children, deadline);
        if children.iter().any(|child| child.has_ended()) {
            return true;
        }
        if interrupt::interrupted() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return false;
        }
    }
}

/// Sleeps until one of `children` ends, writes or has to be polled, at most until `deadline`, and does what is due.
fn wait_once(children: &mut [&mut Child], deadline: Option<Instant>) {
    let now = Instant::now();
    let mut until = deadline;
    let mut polled: Vec<PollFd<'_>> = Vec::new();
    let mut counts = Vec::new();
    for child in children.iter() {
        let (descriptors, resume) = child.to_poll(now);
        counts.push(descriptors.len());
        polled.extend(descriptors.into_iter().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        until = [until, resume, child.poll_due()].into_iter().flatten().min();
    }
    polled.extend(interrupt::descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));

    let timeout = until.and_then(|until| Timespec::try_from(until.saturating_duration_since(now)).ok());
    // An error is a signal that came in between or a lack of memory; either way, look again.
    let _ = rustix::event::poll(&mut polled, timeout.as_ref());
    let clock_ns = control::clock_ns();
    let mut ready = polled.iter().map(|fd| !fd.revents().is_empty());
    let ready: Vec<Vec<bool>> = counts.iter().map(|count| ready.by_ref().take(*count).collect()).collect();
    drop(polled);

    let now = Instant::now();
    for (child, ready) in children.iter_mut().zip(ready) {
        let (is_over, pipes) = match ready.split_last() {
            Some((is_over, pipes)) if !child.has_ended() => (*is_over, pipes),
            _ => (false, ready.as_slice()),
        };
        if is_over {
            child.ended_ns = Some(clock_ns);
        } else {
            child.attend(now, pipes.contains(&true));
        }
    }
}
