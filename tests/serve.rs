//! Servers under a load generator: samples of small ones, through the real launcher, and whole sweeps of the binary.

mod corefit;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Barrier;
use std::time::Duration;

use ::corefit::measure::serve::{self, Roles, Serving};
use ::corefit::measure::{Conditions, Sample, Status};
use ::corefit::target::{Invocation, Ready};

use corefit::{Corefit, is_running, statuses, text};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_corefit");

fn shell(script: &str) -> Invocation {
    Invocation { program: "sh".into(), args: vec!["-c".into(), script.into()], ..Invocation::default() }
}

/// For what takes a moment: much less than the sleeps that a failure would wait for.
const PATIENCE: Duration = Duration::from_secs(120);

fn conditions() -> Conditions {
    Conditions {
        timeout: PATIENCE,
        counters: true,
        keep_output: false,
        poll_run_queue: true,
        quota: None,
        cpus: None,
    }
}

/// A sample of `main` under a load that is a shell script.
fn sample_of(main: &Invocation, ready: &str, load: &str, conditions: &Conditions) -> Sample {
    let ready: Ready = ready.parse().expect("a way to be ready");
    let roles = Roles { main, ready: &ready, load: &shell(load), load_cpus: None };
    serve::serve_by(Path::new(LAUNCHER), &roles, conditions).expect("both can be started")
}

/// The same of a server that is a shell script too.
fn served(server: &str, load: &str) -> Sample {
    sample_of(&shell(server), "line:^ready$", load, &conditions())
}

/// A file that the scripts may write to, and the folder that it goes away with.
fn scratch() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("file").to_str().expect("UTF-8").to_owned();
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
    let used_s = sample.user_s.unwrap_or(0.0) + sample.sys_s.unwrap_or(0.0);
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
    let mut main = shell("sh -c \"$CHILD\" & echo ready; wait");
    main.env.push(("CHILD".into(), child.into()));
    let load = format!("touch {file}; while [ ! -e {file}.done ]; do sleep 0.05; done");
    let sample = sample_of(&main, "line:ready", &load, &conditions());
    assert_eq!(sample.status, Status::Ok, "{:?}", sample.remarks);
    let ticks: f64 = fs::read_to_string(format!("{file}.done")).unwrap().trim().parse().unwrap();
    let burned_s = ticks / rustix::param::clock_ticks_per_second() as f64;
    let used_s = sample.user_s.unwrap() + sample.sys_s.unwrap();
    assert!(used_s >= 0.9 * burned_s, "{used_s} of {burned_s}");
}

#[test]
fn a_server_that_never_serves_is_a_failure_that_says_what_was_waited_for() {
    let short = Conditions { timeout: Duration::from_millis(300), ..conditions() };
    let sample = sample_of(&shell("exec sleep 1000"), "line:^ready$", "true", &short);
    assert_eq!((sample.status, sample.load), (Status::Failed, None));
    let expected = "the server was not ready after 0.3 s: no line of its output matches `line:^ready$`";
    assert_eq!(sample.remarks, [expected]);
    let port = Reserved::new();
    let sample = sample_of(&shell("exec sleep 1000"), &format!("tcp:{}", port.address), "true", &short);
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
    assert_eq!(sample.remarks, ["the server ended under load", "died of SIGSEGV", "its last words: ready"]);
    // Its load sees the server's end before the tool does, which waits a second for it.
    fs::remove_file(&file).unwrap();
    let server = format!("mkfifo {file}; echo ready; exec 3>{file}; exec 3>&-; exit 4");
    let sample = served(&server, &format!("cat {file}; exit 1"));
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(4)), "{:?}", sample.remarks);
}

#[test]
fn a_load_that_fails_or_hangs_says_so_in_the_samples_name() {
    let sample = served("echo ready; exec sleep 1000", "echo 'unable to connect' >&2; exit 5");
    assert_eq!((sample.status, sample.exit_code), (Status::Failed, Some(5)));
    assert_eq!(sample.remarks, ["the load generator exited with code 5; its last words: unable to connect"]);
    let ready: Ready = "line:ready".parse().unwrap();
    let (main, load) = (shell("echo ready; exec sleep 1000"), shell("exec sleep 1000"));
    let roles = Roles { main: &main, ready: &ready, load: &load, load_cpus: None };
    let Serving::UnderLoad(mut served) = serve::start_by(Path::new(LAUNCHER), &roles, &conditions()).unwrap()
    else {
        panic!("the server serves")
    };
    assert!(!served.wait_up_to(Duration::from_millis(100)));
    let sample = served.finish();
    assert_eq!(sample.status, Status::Timeout);
    assert!(sample.remarks[0].starts_with("the load generator still ran after 0."), "{:?}", sample.remarks);
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
    assert_eq!(sample.remarks, ["the server did not end within 5 s of SIGTERM and was killed"]);
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
        rustix::net::bind(&socket, &loopback(0)).expect("the loopback has a port");
        let bound: SocketAddr = rustix::net::getsockname(&socket)
            .expect("the loopback has a port")
            .try_into()
            .expect("the loopback has a port");
        Self { address: bound.to_string(), _socket: socket }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (std::net::Ipv4Addr::LOCALHOST, port).into()
}

fn reusable_socket() -> rustix::fd::OwnedFd {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)
        .expect("the loopback has a port");
    sockopt::set_socket_reuseport(&socket, true).expect("the loopback has a port");
    socket
}

/// What a sweep of a server of the tests is started with: the server and its load are this binary, run as one of the two
/// tests below, which are nothing without it.
struct Sweep {
    corefit: Corefit,
    this: String,
    port: Reserved,
}

/// Tells this binary that it is to be a server or a load, and at which address.
const ADDRESS: &str = "COREFIT_TEST_ADDRESS";
/// Requests that the server of the tests answers at once, however many workers it has.
const MOST_AT_ONCE: usize = 3;
/// Requests of one load: a multiple of every number of requests that may be answered at once.
const REQUESTS: usize = 12;

impl Sweep {
    fn new() -> Self {
        let this = std::env::current_exe().expect("this binary").to_str().expect("UTF-8").to_owned();
        Self { corefit: Corefit::new(), this, port: Reserved::new() }
    }

    fn role(&self, name: &str) -> String {
        format!("'{}' {name} --exact --nocapture", self.this)
    }

    /// The arguments of a sweep of them, and then `more`.
    fn run(&self, more: &[&str]) -> corefit::Done {
        let (serve, load) = (self.role("process_that_serves"), self.role("process_that_loads"));
        let mut args = vec!["sweep", "--serve", &serve, "--load", &load, "--metric", "rate: ([0-9.]+)"];
        args.extend(["--name", "server", "--out", "p", "--no-flamegraph", "--procs", "1..4"]);
        args.extend(more);
        let mut command = self.corefit.command(&args);
        corefit::Done::of(command.env(ADDRESS, &self.port.address).output().expect("the binary starts"))
    }
}

/// Serves HTTP with GOMAXPROCS workers: each answers its request once as many others wait as can be answered at once, so
/// that the answer, how many that are, needs no clock.
#[test]
fn process_that_serves() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let socket = reusable_socket();
    rustix::net::bind(&socket, &address.parse::<SocketAddr>().unwrap()).unwrap();
    rustix::net::listen(&socket, 128).unwrap();
    let listener = TcpListener::from(socket);
    let workers: usize = std::env::var("GOMAXPROCS").unwrap().parse().unwrap();
    let at_once = workers.min(MOST_AT_ONCE);
    let barrier = Barrier::new(at_once);
    println!("serving");
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let (stream, _) = listener.accept().unwrap();
                    answer(stream, &barrier, at_once);
                }
            });
        }
    });
}

fn answer(mut stream: TcpStream, barrier: &Barrier, at_once: usize) {
    let mut request = [0; 512];
    let read = stream.read(&mut request).unwrap_or(0);
    // Who only looks whether there is a server says nothing, or asks for something else.
    if request[..read].starts_with(b"GET /work ") {
        barrier.wait();
        write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{at_once}").expect("the load listens");
    } else if read > 0 {
        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    }
}

/// Makes all requests at once, and says a rate that follows from the answers alone.
#[test]
fn process_that_loads() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let ask = || {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(b"GET /work HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit('\n').next().unwrap().parse::<u32>().unwrap()
    };
    let answers: Vec<u32> = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(ask)).collect();
        asked.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    println!("p99: 12.5ms\nrate: {}", 100 * answers[0]);
}

#[test]
fn the_shape_of_a_server_is_found_and_the_manifest_says_how_it_was_measured() {
    let sweep = Sweep::new();
    let ready = format!("tcp:{}", sweep.port.address);
    let more = [
        "--ready",
        &ready,
        "--rounds",
        "2..2",
        "--json",
        "--latency-metric",
        "p99: (.*)",
        "--load-kind",
        "closed",
    ];
    let done = sweep.run(&more);
    done.assert_code(0);
    let document = done.json();
    let manifest = &document["sweeps"][0];
    let answer = &manifest["recommendation"];
    let throughputs: Vec<f64> = answer["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["throughput"].as_f64().unwrap())
        .collect();
    assert_eq!(throughputs, [100.0, 200.0, 300.0, 300.0]);
    assert_eq!(answer["recommended_procs"], 3);
    assert_eq!(answer["points"][2]["latency_p99_s"], 0.0125);
    let service = &manifest["command"]["kind"]["service"];
    assert_eq!(service["ready"]["tcp"], sweep.port.address);
    assert_eq!(service["load"]["kind"], "closed");
    assert_eq!(service["load"]["argv"][1], "process_that_loads");
    let codes: Vec<&str> =
        answer["warnings"].as_array().unwrap().iter().map(|note| note["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"load-shares-cpus") && codes.contains(&"load-closed-loop"), "{codes:?}");
    assert!(!codes.contains(&"samples-failed"), "{answer}");
    let rows = sweep.corefit.read("p/server/samples.csv");
    assert_eq!(rows.lines().count(), 1 + 4 * 2, "{rows}");
    assert!(rows.lines().next().unwrap().contains(",load_cpu_s,load_busiest_thread_s"));

    // The same again goes on where there is nothing to go on with; another load is another sweep.
    let again = sweep.run(&[&more[..], &["--resume"]].concat());
    again.assert_code(0);
    assert_eq!(sweep.corefit.read("p/server/samples.csv"), rows);
    let other = sweep.run(&[&["--ready", "line:serving", "--resume"], &more[2..]].concat());
    other.assert_code(2);
    assert!(other.err.contains("service"), "{}", other.err);
}

#[test]
fn a_server_may_be_asked_over_http_and_be_pinned() {
    let sweep = Sweep::new();
    let url = format!("http://{}/health", sweep.port.address);
    let done = sweep.run(&["--ready", &url, "--pin=scatter", "--rounds", "1..1", "--json"]);
    done.assert_code(0);
    let manifest = &done.json()["sweeps"][0];
    assert_eq!(manifest["plan"]["pin"], "scatter");
    assert_eq!(manifest["recommendation"]["best_procs"], 3);
}

#[test]
fn a_port_that_is_taken_is_said_before_anything_is_measured() {
    let sweep = Sweep::new();
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    let done = sweep.run(&["--ready", &format!("tcp:{address}")]);
    done.assert_code(2);
    assert!(done.err.contains(&address) && done.err.trim().lines().count() == 1, "{}", done.err);
    assert!(!sweep.corefit.path("p").exists());
}

#[test]
fn a_server_that_fails_at_one_worker_count_is_one_row_each_and_a_warning() {
    let corefit = Corefit::new();
    let serve =
        "sh -c 'if [ {procs} = 2 ]; then echo no memory >&2; exit 9; fi; echo ready; exec sleep 1000'";
    let args = ["sweep", "--serve", serve, "--ready", "line:ready", "--load", "true", "--ops", "{procs}0"];
    let rest =
        ["--procs", "1,2,3", "--rounds", "3..3", "--no-flamegraph", "--name", "s", "--out", "p", "--json"];
    let done = corefit.run(&[&args[..], &rest[..]].concat());
    done.assert_code(1);
    let warnings = done.json()["sweeps"][0]["recommendation"]["warnings"].to_string();
    assert!(warnings.contains("the server ended before it was ready; exited with code 9"), "{warnings}");
    assert!(warnings.contains("no memory"), "{warnings}");
    let rows = corefit.read("p/s/samples.csv");
    let statuses_at = |at: &str| -> Vec<&str> {
        statuses(&rows).into_iter().filter(|(procs, _)| *procs == at).map(|(_, status)| status).collect()
    };
    assert_eq!(statuses_at("1"), ["ok"; 3]);
    assert_eq!(statuses_at("2"), ["failed"; 2], "and then it is left out");
    assert_eq!(statuses_at("3"), ["ok"; 3]);
}

#[test]
fn a_server_asked_for_in_a_wrong_way_is_one_line_and_exit_code_2() {
    let corefit = Corefit::new();
    let right = ["--serve", "true", "--ready", "line:x", "--load", "true"];
    for more in [
        &["--serve", "true"][..],
        &["--serve", "true", "--ready", "line:x"],
        &["--ready", "line:x"],
        &["--load", "true"],
        &["--load-kind", "open"],
        &["--load-kind", "open", "--", "true"],
        &["mandelbrot", "--load", "true"],
        &[&right[..], &["mandelbrot"]].concat(),
        &[&right[..], &["--", "true"]].concat(),
        &[&right[..], &["--load-kind", "half"]].concat(),
        &[&right[..], &["--metric", "("]].concat(),
        &[&right[..], &["--scale", "2"]].concat(),
        &[&right[..], &["--pin=dense"]].concat(),
        &["--serve", "no-such-server-anywhere", "--ready", "line:x", "--load", "true"],
        &["--serve", "true", "--ready", "line:x", "--load", "no-such-load-anywhere"],
        &["--serve", "'true", "--ready", "line:x", "--load", "true"],
        &["--serve", "true", "--ready", "line:x", "--load", " "],
        &["--serve", "true", "--ready", "line:(", "--load", "true"],
        &["--serve", "true", "--ready", "tcp:8080", "--load", "true"],
        &["--serve", "true", "--ready", "tcp:no-such-host.invalid:80", "--load", "true"],
        &["--serve", "true", "--ready", "https://h/", "--load", "true"],
        &[&right[..], &["--with-default", "--ops", "{procs}"]].concat(),
    ] {
        let done = corefit.run(&[&["sweep"][..], more].concat());
        assert_eq!(done.code, 2, "{more:?}: {}{}", done.out, done.err);
        assert_eq!(done.err.trim().lines().count(), 1, "{more:?}: {}", done.err);
        assert!(done.err.starts_with("corefit: "), "{more:?}: {}", done.err);
    }
    assert!(!corefit.path("profiles").exists(), "a refused sweep leaves nothing");
}
