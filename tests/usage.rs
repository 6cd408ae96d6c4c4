//! Every wrong command line, over all subcommands: one line that names what is wrong, exit code 2, nothing left behind.

mod corefit;

use corefit::Corefit;

/// A command line, blanks between its words (`·` is a blank within one), and a part of what has to be said.
const WRONG: &[(&str, &str)] = &[
    ("", "--help"),
    ("nonsense", "nonsense"),
    ("sweeep", "sweep"),
    ("--nonsense", "--nonsense"),
    ("--color pink list", "pink"),
    ("list extra", "extra"),
    ("list --jsno", "--json"),
    ("doctor extra", "extra"),
    ("doctor --json=yes", "yes"),
    // What is swept.
    ("sweep no_such", "no_such"),
    ("sweep mandelbrott", "did you mean `mandelbrot`"),
    ("sweep mandelbrot sort no_such", "no_such"),
    ("sweep --", "no command after `--`"),
    ("sweep --procs 1 --", "no command after `--`"),
    ("sweep mandelbrot --", "no command after `--`"),
    ("sweep mandelbrot -- true", "cannot be used with"),
    ("sweep -- /no/such", "/no/such"),
    ("sweep -- no-such-program-anywhere", "on PATH"),
    ("sweep -- /", "folder"),
    ("sweep -- ./file", "chmod"),
    ("sweep -- ", "on PATH"),
    ("sweep --name ../up mandelbrot", "../up"),
    ("sweep --name a/b -- true", "a/b"),
    ("sweep --name x mandelbrot sort", "--name"),
    ("sweep --name x", "--name"),
    ("sweep --out file/x -- true", "--out"),
    ("sweep --out file -- true", "--out"),
    ("sweep --out /proc/x -- true", "--out"),
    // Worker counts.
    ("sweep --procs", "--procs"),
    ("sweep --procs= -- true", "--procs"),
    ("sweep --procs 0 -- true", "0"),
    ("sweep --procs -1 -- true", "-1"),
    ("sweep --procs 1.5 -- true", "1.5"),
    ("sweep --procs 8..1 -- true", "8..1"),
    ("sweep --procs 1.. -- true", "1.."),
    ("sweep --procs ..8 -- true", "..8"),
    ("sweep --procs 1,,2 -- true", "1,,2"),
    ("sweep --procs 1..8:log3 -- true", "log3"),
    ("sweep --procs 4097 -- true", "4097"),
    ("sweep --procs 1..99999999999999999999 -- true", "99999999999999999999"),
    ("sweep --procs auto,1 -- true", "auto,1"),
    // How it is measured.
    ("sweep --rounds 0 -- true", "rounds"),
    ("sweep --rounds 9..3 -- true", "9..3"),
    ("sweep --rounds 3.. -- true", "3.."),
    ("sweep --rounds x -- true", "`x`"),
    ("sweep --rounds 99999999999 -- true", "99999999999"),
    ("sweep --quick --rounds 3 -- true", "cannot be used with"),
    ("sweep --precision 0 -- true", "--precision"),
    ("sweep --precision 101 -- true", "101"),
    ("sweep --precision nan -- true", "nan"),
    ("sweep --budget soon -- true", "soon"),
    ("sweep --budget=-5s -- true", "-5s"),
    ("sweep --budget 5parsecs -- true", "5parsecs"),
    ("sweep --budget 1e400s -- true", "1e400s"),
    ("sweep --timeout 0 -- true", "--timeout"),
    ("sweep --timeout inf -- true", "inf"),
    ("sweep --warmup -1 -- true", "-1"),
    ("sweep --warmup many -- true", "many"),
    ("sweep --seed x -- true", "x"),
    ("sweep --seed 18446744073709551616 -- true", "18446744073709551616"),
    ("sweep --policy best -- true", "best"),
    ("sweep --policy knee=2 -- true", "knee=2"),
    ("sweep --policy knee=-0.1 -- true", "knee=-0.1"),
    ("sweep --policy efficiency=0 -- true", "efficiency=0"),
    ("sweep --policy p99 -- true", "p99"),
    ("sweep --policy p42<=5ms -- true", "p42<=5ms"),
    ("sweep --policy p99<=0ms -- true", "p99<=0ms"),
    ("sweep --quick --quick -- true", "--quick"),
    ("sweep --procs 1 --procs 2 -- true", "--procs"),
    // Workloads and commands have options of their own.
    ("sweep --scale 0 mandelbrot", "--scale"),
    ("sweep --scale=-1 mandelbrot", "--scale"),
    ("sweep --scale inf mandelbrot", "inf"),
    ("sweep --input /no/such wordcount", "/no/such"),
    ("sweep --input . wordcount", "plain file"),
    ("sweep --param padded false_sharing", "KEY=VALUE"),
    ("sweep --param nonsense=1 mandelbrot", "nonsense"),
    ("sweep --param serial=2 amdahl", "from 0 to 1"),
    ("sweep --param serial=x amdahl", "from 0 to 1"),
    ("sweep --param pairs=0 ping_pong", "from 1 to 5000"),
    ("sweep --param padded=maybe false_sharing", "padded=maybe"),
    ("sweep --scale 2 -- true", "--scale"),
    ("sweep --param a=b -- true", "--param"),
    ("sweep mandelbrot --metric (x)", "--metric"),
    ("sweep mandelbrot --env N", "--env"),
    ("sweep mandelbrot --unit x", "--unit"),
    ("sweep mandelbrot --ops 5", "--ops"),
    ("sweep --metric ([ -- true", "(["),
    ("sweep --metric nogroup -- true", "no group"),
    ("sweep --lower-is-better -- true", "--metric"),
    ("sweep --metric (x) --ops 3 -- true", "cannot be used with"),
    ("sweep --env =x -- true", "--env"),
    ("sweep --env= -- true", "--env"),
    ("sweep --ops many -- true", "many"),
    ("sweep --ops 0 -- true", "--ops"),
    ("sweep --ops=-{procs} -- true", "--ops"),
    // A file of sweeps.
    ("sweep --config", "--config"),
    ("sweep --config /no/such", "/no/such"),
    ("sweep --config .", "`.`"),
    ("sweep --config /dev/zero", "more than 1 MiB"),
    ("sweep --config bad.toml", "bad.toml:2:1"),
    ("sweep --config twins.toml", "two sweeps are called `true`"),
    ("sweep --config missing.toml", "missing.toml:2:1"),
    ("sweep --config twins.toml sort", "leave out the workload"),
    ("sweep --config twins.toml -- true", "leave out the workload"),
    ("schema", "<FILE>"),
    ("schema nonsense", "nonsense"),
    // Looking at what was measured.
    ("run", "<WORKLOAD>"),
    ("run no_such", "no_such"),
    ("run mandelbrot --procs 0", "0"),
    ("run mandelbrot --timeout never", "never"),
    ("run amdahl --param serial=2", "from 0 to 1"),
    ("flamegraph", "workload"),
    ("flamegraph --", "no command after `--`"),
    ("flamegraph mandelbrot -o x.bmp", "x.bmp"),
    ("flamegraph mandelbrot --procs 1,2,3", "procs"),
    ("flamegraph mandelbrot -F 0", "0"),
    ("flamegraph mandelbrot --duration forever", "forever"),
    ("flamegraph mandelbrot --env N", "--env"),
    ("flamegraph -p x", "x"),
    ("flamegraph -p 1 mandelbrot", "cannot be used with"),
    ("flamegraph -p 1 --param a=b", "--param"),
    ("flamegraph --scale 2 -- true", "--scale"),
    ("recommend", "<PATH>"),
    ("recommend missing.csv", "missing.csv"),
    ("recommend bad.csv", "line 2"),
    ("recommend .", "no sweep"),
    ("recommend bad.csv --policy x", "x"),
    ("recommend bad.csv --model cubic", "cubic"),
    ("recommend bad.csv --procs-column nope", "nope"),
    ("export . --format xml", "xml"),
    ("export .", "--format"),
    ("export missing --format csv", "missing"),
    ("compare bad.csv", "<NEW>"),
    ("compare bad.csv bad.csv", "line 2"),
    ("compare missing missing", "missing"),
    ("compare bad.csv bad.csv --threshold five", "five"),
    ("compare bad.csv bad.csv --alpha 2", "--alpha"),
    ("trace", "<FILE>"),
    ("trace missing --format csv", "missing"),
    ("trace file --format csv", "`file`"),
    ("trace file --format svg", "svg"),
    ("costs --counts 0", "0"),
    ("costs --counts 1,,2", "--counts"),
    ("costs --counts 9999999999", "9999999999"),
    ("costs --rounds 0", "0"),
];

#[test]
fn every_wrong_command_line_is_one_line_that_names_it_and_exit_code_2() {
    let corefit = Corefit::new();
    corefit.write("file", "");
    corefit.write("bad.csv", "procs,throughput\n1,abc\n");
    corefit.write("bad.toml", "[[sweep]]\nnonsense = 1\n");
    corefit.write(
        "twins.toml",
        "[[sweep]]\ncommand = 'true'\nname = 'true'\n[[sweep]]\ncommand = 'true'\nname = 'true'\n",
    );
    corefit.write("missing.toml", "\n[[sweep]]\ncommand = '/no/such'\n");
    let mut wrong = Vec::new();
    for (line, part) in WRONG {
        let args: Vec<String> = match *line {
            "" => Vec::new(),
            line => line.split(' ').map(|word| word.replace('·', " ")).collect(),
        };
        let done = corefit.run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        let is_one_line =
            line.is_empty() || (done.err.lines().count() == 1 && done.err.starts_with("corefit: "));
        if done.code != 2 || !is_one_line || !done.err.contains(part) || !done.out.is_empty() {
            wrong.push(format!("`{line}` (code {}): {}{}", done.code, done.out, done.err));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut left: Vec<_> =
        std::fs::read_dir(corefit.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["bad.csv", "bad.toml", "file", "missing.toml", "twins.toml"], "nothing is left behind");
}

#[test]
fn what_is_typed_cannot_write_to_the_terminal() {
    let corefit = Corefit::new();
    for args in [
        &["sweep", "--\u{1b}[31mred"][..],
        &["sweep", "a\nb"],
        &["sweep", "--procs", "1\n2", "x"],
        &["sweep", "--", "no\nsuch\u{7}"],
        &["recommend", "no\u{1b}]0;title\u{7}such"],
        &["compare", "a\rb", "c"],
        &["sweep", "--config", "no\nsuch"],
        &["trace", "no\nsuch", "--format", "csv"],
    ] {
        let done = corefit.run(args);
        done.assert_code(2);
        let line = done.err.strip_suffix('\n').unwrap_or(&done.err);
        assert!(!line.contains(|c: char| c.is_control()), "{args:?}: {:?}", done.err);
    }
}

#[test]
fn arguments_that_are_no_text_are_one_line() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let corefit = Corefit::new();
    let bytes = OsStr::from_bytes(b"\xff\xfe");
    for args in [
        &["sweep"][..],
        &["sweep", "--"],
        &["sweep", "--procs"],
        &["recommend"],
        &["run"],
        &["sweep", "--config"],
    ] {
        let output = corefit.command(args).arg(bytes).output().unwrap();
        let done = corefit::Done::of(output);
        done.assert_code(2);
        assert_eq!(done.err.lines().count(), 1, "{args:?}: {}", done.err);
    }
}
