//! How each command of the docs is run by the test: the first rule whose pattern is found in it counts.

use How::{AsItIs, ParseOnly, Shown, With};

/// What is done with a command.
pub(crate) enum How {
    /// It is run as it is typed.
    AsItIs,
    /// It is run with these arguments in addition, so that it takes a moment; one that is typed already is left out.
    With(&'static [&'static str]),
    /// The tool reads its arguments and checks them, as it does before it does anything.
    ParseOnly,
    /// It is for other tools, which are not here; scripts and files of ours that it names are looked up.
    Shown,
}

/// A pattern, what is done with the commands in which it is found, and why they are not run as they are.
pub(crate) const RULES: &[(&str, How, &str)] = &[
    (r"^cargo run .*-- sweep( --quick)?$", With(ONE_ROUND_OF_A_WORKLOAD), "minutes"),
    (r"^cargo (install|test|build|doc|bench|deny|clippy)", Shown, "minutes: `.ci/run` does it"),
    (
        r"^(git|cd|rustup|go|docker|podman|kubectl|apt-get|sudo|sysctl|systemd-run)\b",
        Shown,
        "not of this project",
    ),
    (r"^(\S+=\S+ )*scripts/", Shown, "minutes"),
    (r"^corefit sweep .*--cpus", ParseOnly, "needs a cgroup that may be written; tests/quota.rs"),
    (r"^corefit run .*--cpus", ParseOnly, "needs a cgroup that may be written; tests/quota.rs"),
    (r"^corefit sweep .*--strict", ParseOnly, "refuses a busy machine"),
    (r"^corefit sweep .*--quick", With(&["--no-flamegraph", "--warmup=0"]), "seconds"),
    (r"^corefit sweep (.*(--serve|--config)|(.* )?-- )", With(ONE_ROUND), "minutes"),
    (r"^corefit sweep", With(ONE_ROUND_OF_A_WORKLOAD), "minutes"),
    (r"^corefit flamegraph .*--threads", ParseOnly, "needs the kernel's permission; tests/profile.rs"),
    (r"corefit run", With(&["--scale=0.1"]), "seconds"),
    (r"^corefit flamegraph .*-p ", ParseOnly, "that process is not here; tests/profile.rs"),
    (r"^corefit flamegraph .* -- ", ParseOnly, "a stand-in does nothing that shows; tests/profile.rs"),
    (r"^corefit costs", With(&["--counts=1,10", "--rounds=1"]), "a minute"),
    (r"^corefit watch", ParseOnly, "goes on until it is interrupted"),
    (r"corefit |^\./|^(benchstat|grep|hyperfine) ", AsItIs, ""),
];

const ONE_ROUND: &[&str] = &["--rounds=1..1", "--warmup=0", "--no-flamegraph"];
const ONE_ROUND_OF_A_WORKLOAD: &[&str] = &["--rounds=1..1", "--warmup=0", "--no-flamegraph", "--scale=0.01"];

/// Exit codes other than 0 with which a command may end here.
pub(crate) const MAY_END_WITH: &[(&str, i32, &str)] =
    &[(r"corefit compare", 3, "two sweeps of a stand-in that differ by chance are a regression")];

/// Programs that the docs call and that are stood in for by a script, beside all that begin with `./` or `../`.
pub(crate) const STAND_INS: &[&str] =
    &["wrk", "hey", "redis-benchmark", "zcat", "jq", "benchstat", "hyperfine", "duckdb", "xdg-open"];

/// What every stand-in says: a line for each pattern that the docs look for.
pub(crate) const SAYS: &str = "\
rps: 100.0
rate: 100.0
p99=1.5ms
    99%    1.50ms
Requests/sec:    100.0
100.0 jobs/s
\"GET\",\"100.0\"
";
