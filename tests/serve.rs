//! Servers under a load generator: samples of small ones, through the real launcher, and whole sweeps of the binary.

use std::fs;
use std::path::Path;
use std::time::Duration;

use corefit::measure::serve::{self, Roles};
use corefit::measure::{Conditions, Sample, Status};
use corefit::target::{Invocation, Ready};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_corefit");

fn shell(script: &str) -> Invocation {
    Invocation { program: "sh".into(), args: vec!["-c".into(), script.into()], env: vec![], directory: None }
}

/// A sample of a server and a load that are shell scripts; each side of the load may take `timeout`.
fn served_within(server: &str, ready: &str, load: &str, timeout: Duration) -> Sample {
    let ready: Ready = ready.parse().unwrap();
    let (main, load) = (shell(server), shell(load));
    let roles = Roles { main: &main, ready: &ready, load: &load, load_cpus: None };
    let conditions = Conditions {
        timeout,
        counters: true,
        keep_output: false,
        poll_run_queue: true,
        quota: None,
        cpus: None,
    };
    serve::serve_by(Path::new(LAUNCHER), &roles, &conditions).expect("both can be started")
}

fn served(server: &str, load: &str) -> Sample {
    served_within(server, "line:^ready$", load, Duration::from_secs(60))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the program wrote UTF-8").trim()
}

/// Whether a process of that id runs (a zombie does not).
fn is_running(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z') && !line.contains('X'))
}

/// A file that the scripts may write to, and the folder that it goes away with.
fn scratch() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file").to_str().unwrap().to_owned();
    (folder, file)
}

#[test]
fn the_output_and_the_time_are_the_loads_and_the_rest_is_the_servers() {
    let sample = served(
        "x=$(head -c 40000000 /dev/zero | tr '\\0' x); : ${#x}; echo ready; exec sleep 1000",
        "echo 'rate: 5'; echo odd >&2; sleep 0.2; eval \"echo '{\\\"ops\\\":7}' >&$COREFIT_RESULT_FD\"",
    );
    assert_eq!((sample.status, sample.exit_code, &sample.remarks), (Status::Ok, Some(0), &vec![]));
    assert_eq!((text(&sample.stdout), text(&sample.stderr)), ("rate: 5", "odd"));
    assert!(sample.wall_s >= 0.2, "{}", sample.wall_s);
    assert_eq!(sample.report.unwrap().ops, Some(7.0));
    assert!(sample.max_rss_bytes.unwrap() > 40_000_000, "{:?}", sample.max_rss_bytes);
    assert!(sample.load.unwrap().cpu_s.is_some());
}

#[test]
fn what_a_server_uses_before_it_serves_does_not_count() {
    let (_folder, file) = scratch();
    let server = format!(
        "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; cut -d' ' -f14,15 /proc/$$/stat >{file}; \
         echo ready; exec sleep 1000"
    );
    let sample = served(&server, "sleep 0.1");
    let ticks: f64 = fs::read_to_string(&file)
        .unwrap()
        .split_whitespace()
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    let burned_s = ticks / rustix::param::clock_ticks_per_second() as f64;
    assert!(burned_s > 0.0);
    let used_s = sample.user_s.unwrap() + sample.sys_s.unwrap();
    assert!(used_s < burned_s / 2.0, "{used_s} of {burned_s}");
    assert!(sample.counts.task_clock_s.is_none_or(|clock_s| clock_s < burned_s / 2.0), "{:?}", sample.counts);
}

#[test]
fn what_a_server_uses_under_load_counts_with_its_children() {
    let (_folder, file) = scratch();
    let child = format!(
        "while [ ! -e {file} ]; do sleep 0.01; done; i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; \
         cut -d' ' -f14 /proc/$$/stat >{file}.done.part; mv {file}.done.part {file}.done; sleep 1000"
    );
    let server = format!("sh -c \"$CHILD\" & echo ready; wait");
    let ready: Ready = "line:ready".parse().unwrap();
    let mut main = shell(&server);
    main.env.push(("CHILD".into(), child.into()));
    let load = shell(&format!("touch {file}; while [ ! -e {file}.done ]; do sleep 0.05; done"));
    let roles = Roles { main: &main, ready: &ready, load: &load, load_cpus: None };
    let conditions = Conditions {
        timeout: Duration::from_secs(60),
        counters: true,
        keep_output: false,
        poll_run_queue: true,
        quota: None,
        cpus: None,
    };
    let sample = serve::serve_by(Path::new(LAUNCHER), &roles, &conditions).unwrap();
    assert_eq!(sample.status, Status::Ok, "{:?}", sample.remarks);
    let ticks: f64 = fs::read_to_string(format!("{file}.done")).unwrap().trim().parse().unwrap();
    let burned_s = ticks / rustix::param::clock_ticks_per_second() as f64;
    assert!(sample.user_s.unwrap() >= 0.9 * burned_s, "{:?} of {burned_s}", sample.user_s);
}

#[test]
fn a_server_that_never_serves_is_a_failure_that_says_what_was_waited_for() {
    let short = Duration::from_millis(300);
    let sample = served_within("echo not yet; exec sleep 1000", "line:^ready$", "true", short);
    assert_eq!((sample.status, sample.load), (Status::Failed, None));
    assert_eq!(
        sample.remarks,
        ["the server was not ready after 0.3 s: no line of its output matches `line:^ready$`"]
    );
    let port = Reserved::new();
    let sample = served_within("exec sleep 1000", &format!("tcp:{}", port.address), "true", short);
    assert!(sample.remarks[0].contains("does not accept"), "{:?}", sample.remarks);
}

#[test]
fn a_server_that_dies_at_once_is_a_failure_with_its_last_words() {
    let sample = served("echo 'no such config' >&2; exit 3", "true");
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(3)));
    let expected =
        ["the server ended before it was ready", "exited with code 3", "its last words: no such config"];
    assert_eq!(sample.remarks, expected);
    let sample = served("exit 0", "true");
    assert_eq!(sample.remarks, ["the server ended before it was ready", "exited with code 0"]);
}

#[test]
fn a_server_that_dies_under_load_is_the_reason_even_if_the_load_fails_first() {
    let (_folder, file) = scratch();
    let server = |end: &str| format!("echo ready; while [ ! -e {file} ]; do sleep 0.01; done; {end}");
    let sample = served(&server("kill -SEGV $$"), &format!("touch {file}; exec sleep 1000"));
    assert_eq!((sample.status, sample.signal), (Status::Failed, Some(11)));
    assert_eq!(sample.remarks, ["the server ended under load", "died of SIGSEGV"]);
    // Its load sees the server's end before the tool does.
    let watching =
        "read pid <file; while kill -0 $pid 2>/dev/null; do :; done; exit 1".replace("file", &file);
    let server = format!("echo $$ >{file}.part; mv {file}.part {file}; echo ready; sleep 0.1; exit 4");
    fs::remove_file(&file).unwrap();
    let sample = served(&server, &watching);
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(4)), "{:?}", sample.remarks);
}

#[test]
fn a_load_that_fails_or_hangs_says_so_in_the_samples_name() {
    let sample = served("echo ready; exec sleep 1000", "echo 'unable to connect' >&2; exit 5");
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(5)));
    assert_eq!(sample.remarks, ["the load generator exited with code 5; its last words: unable to connect"]);
    let sample = served_within(
        "echo ready; exec sleep 1000",
        "line:ready",
        "exec sleep 1000",
        Duration::from_millis(500),
    );
    assert_eq!(sample.status, Status::Timeout);
    assert!(sample.remarks[0].starts_with("the load generator still ran after 0.5"), "{:?}", sample.remarks);
}

#[test]
fn nothing_of_a_server_is_left_not_even_a_daemon_in_a_session_of_its_own() {
    let (_folder, file) = scratch();
    let server = format!(
        "(setsid sh -c 'echo $$ >{file}.part; mv {file}.part {file}; exec sleep 1000' & \
         while [ ! -e {file} ]; do sleep 0.01; done); sleep 1000 & echo $! >{file}.child; echo ready; exec sleep 1000"
    );
    // The daemon is an orphan only once it has said who it is: samples side by side may end it then.
    let sample = served(&server, "(setsid sleep 1000 &); true");
    assert_eq!((sample.status, &sample.remarks), (Status::Ok, &vec![]));
    for file in [file.clone(), format!("{file}.child")] {
        let pid = fs::read_to_string(file).unwrap();
        assert!(!pid.trim().is_empty() && !is_running(pid.trim()), "{pid}");
    }
}

#[test]
fn a_server_that_does_not_obey_is_killed_and_that_is_said() {
    let (_folder, file) = scratch();
    let server = format!("trap '' TERM; echo $$ >{file}; echo ready; exec sleep 1000");
    let sample = served(&server, "true");
    assert_eq!(sample.status, Status::Ok);
    assert_eq!(sample.remarks, ["the server did not end within 2 s of SIGTERM and was killed"]);
    assert!(!is_running(fs::read_to_string(file).unwrap().trim()));
}

#[test]
fn a_server_may_clean_up_and_say_its_counts_when_it_is_asked_to_end() {
    let server = "trap 'eval \"echo {\\\\\\\"runtime\\\\\\\":{\\\\\\\"steals\\\\\\\":4}} >&$COREFIT_RESULT_FD\"; exit 7' TERM; \
                  echo ready; while :; do sleep 0.01; done";
    let sample = served(server, "true");
    assert_eq!((sample.status, &sample.remarks), (Status::Ok, &vec![]));
    assert_eq!(sample.report.unwrap().runtime["steals"], 4.0);
}

#[test]
fn a_server_that_prints_all_the_time_is_neither_held_up_nor_kept() {
    let (_folder, file) = scratch();
    let server = format!(
        "echo ready; while [ ! -e {file} ]; do sleep 0.01; done; head -c 30000000 /dev/zero; \
         head -c 30000000 /dev/zero >&2; touch {file}.done; exec sleep 1000"
    );
    let load = format!("touch {file}; while [ ! -e {file}.done ]; do sleep 0.02; done; echo through");
    let sample = served(&server, &load);
    assert_eq!((sample.status, text(&sample.stdout)), (Status::Ok, "through"), "{:?}", sample.remarks);
}

/// A port of the loopback that nobody listens on and nobody else gets while this lives: a server takes it with
/// `SO_REUSEPORT` set, as this has.
struct Reserved {
    address: String,
    _socket: rustix::fd::OwnedFd,
}

impl Reserved {
    fn new() -> Self {
        let socket = reusable_socket();
        rustix::net::bind(&socket, &loopback(0)).unwrap();
        let bound: std::net::SocketAddr = rustix::net::getsockname(&socket).unwrap().try_into().unwrap();
        Self { address: bound.to_string(), _socket: socket }
    }
}

fn loopback(port: u16) -> std::net::SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, port).into()
}

fn reusable_socket() -> rustix::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    sockopt::set_socket_reuseport(&socket, true).unwrap();
    socket
}
