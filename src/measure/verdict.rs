//! How a sample ended, from how its process ended.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::Status;

/// Why the tool stopped the program, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It did not: the program ended by itself.
    No,
    /// The time was up.
    TimeUp,
    /// The user wants to stop.
    Interrupted,
    /// It was never started.
    NotStarted,
    /// It was a server, and was asked to end: however it did, it is well.
    Asked,
}

/// How a sample ended, and why in one line if not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) status: Status,
    pub(super) exit_code: Option<i32>,
    pub(super) signal: Option<i32>,
    pub(super) remark: Option<String>,
}

/// Judges `exit` (`None` if the process could not be reaped) of a program that ran for `wall_s`.
pub(super) fn judge(exit: Option<ExitStatus>, stopped: Stopped, wall_s: f64) -> Verdict {
    let (exit_code, signal) = (exit.and_then(|exit| exit.code()), exit.and_then(|exit| exit.signal()));
    let (status, remark) = match (exit_code, signal, stopped) {
        (_, _, Stopped::Asked) => (Status::Ok, None),
        (Some(0), ..) => (Status::Ok, None),
        (Some(code), ..) => (Status::Failed, Some(format!("exited with code {code}"))),
        (None, None | Some(libc::SIGKILL), Stopped::TimeUp) => {
            (Status::Timeout, Some(format!("still ran after {wall_s:.3} s and was stopped")))
        }
        (None, None | Some(libc::SIGKILL), Stopped::Interrupted) => {
            (Status::Killed, Some("was stopped by an interruption".to_owned()))
        }
        (None, None | Some(libc::SIGKILL), Stopped::NotStarted) => {
            (Status::Killed, Some("was never started".to_owned()))
        }
        (None, Some(libc::SIGKILL), Stopped::No) => {
            let text = "was killed by SIGKILL from outside; out of memory? `dmesg` says";
            (Status::Killed, Some(text.to_owned()))
        }
        (None, Some(signal), _) => (Status::Failed, Some(format!("died of {}", name(signal)))),
        (None, None, Stopped::No) => {
            (Status::Failed, Some("ended, but the kernel does not say how".to_owned()))
        }
    };
    Verdict { status, exit_code, signal, remark }
}

fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As wait4 gives it: the signal in the low bits, the exit code above.
    #[track_caller]
    fn check(raw: Option<i32>, stopped: Stopped, status: Status, remark: &str) {
        let verdict = judge(raw.map(ExitStatus::from_raw), stopped, 1.5);
        assert_eq!(verdict.status, status);
        assert_eq!(verdict.remark.unwrap_or_default(), remark);
    }

    #[test]
    fn a_program_that_ends_by_itself_is_judged_by_its_exit() {
        check(Some(0), Stopped::No, Status::Ok, "");
        check(Some(3 << 8), Stopped::No, Status::Failed, "exited with code 3");
        check(Some(libc::SIGSEGV), Stopped::No, Status::Failed, "died of SIGSEGV");
    }

    #[test]
    fn a_kill_is_a_timeout_an_interruption_or_somebody_elses() {
        check(
            Some(libc::SIGKILL),
            Stopped::TimeUp,
            Status::Timeout,
            "still ran after 1.500 s and was stopped",
        );
        check(Some(libc::SIGKILL), Stopped::Interrupted, Status::Killed, "was stopped by an interruption");
        check(Some(libc::SIGKILL), Stopped::NotStarted, Status::Killed, "was never started");
        let outside = "was killed by SIGKILL from outside; out of memory? `dmesg` says";
        check(Some(libc::SIGKILL), Stopped::No, Status::Killed, outside);
    }

    #[test]
    fn a_program_that_ends_just_before_it_is_stopped_ended_by_itself() {
        check(Some(0), Stopped::TimeUp, Status::Ok, "");
        check(Some(libc::SIGABRT), Stopped::TimeUp, Status::Failed, "died of SIGABRT");
    }

    #[test]
    fn a_server_that_was_asked_to_end_ends_well_however_it_does() {
        check(Some(libc::SIGTERM), Stopped::Asked, Status::Ok, "");
        check(Some(143 << 8), Stopped::Asked, Status::Ok, "");
        check(Some(libc::SIGKILL), Stopped::Asked, Status::Ok, "");
    }

    #[test]
    fn a_process_that_would_not_die_still_has_a_verdict() {
        check(None, Stopped::TimeUp, Status::Timeout, "still ran after 1.500 s and was stopped");
        check(None, Stopped::No, Status::Failed, "ended, but the kernel does not say how");
    }
}
