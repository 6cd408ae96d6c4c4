use proptest::prelude::*;

use super::*;

/// The sweeps of a file with this text, `typed` being typed beside it.
fn read(text: &str, typed: &[&str]) -> Result<Vec<SweepArgs>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("corefit.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let raw: Vec<OsString> =
        [&["corefit", "sweep", "--config", path], typed].concat().into_iter().map(OsString::from).collect();
    let cli = super::super::parse_from(&raw)?;
    Ok(sweep_args(cli).unwrap().sweeps)
}

#[track_caller]
fn refused(text: &str, typed: &[&str], parts: &[&str]) {
    let line = match read(text, typed).expect_err("it has to be refused") {
        Error::Clap(error) => super::super::usage_line(&error),
        Error::Config(line) => line,
    };
    assert!(!line.contains('\n') && parts.iter().all(|part| line.contains(part)), "{line}");
}

const TWO: &str = r#"
rounds = "4..8"
out = "results"

[[sweep]]
name = "api"
command = ["./api", "--workers", "{procs}", "two words"]
procs = [1, 2, 4]
env = { RAYON_NUM_THREADS = "{procs}", QUIET = 1 }
metric = '''rate: ([0-9.]+)'''
budget = "2m"

[[sweep]]
workload = ["sort", "sieve"]
quick = true
scale = 0.5
warmup = 0
"#;

#[test]
fn each_table_is_what_would_have_been_typed() {
    let sweeps = read(TWO, &[]).unwrap();
    let [api, bundled] = sweeps.as_slice() else { panic!("two sweeps: {sweeps:?}") };
    assert_eq!(api.program.argv, ["./api", "--workers", "{procs}", "two words"]);
    assert_eq!((api.name.as_deref(), api.command.metric.as_deref()), (Some("api"), Some("rate: ([0-9.]+)")));
    assert_eq!(api.program.envs, ["QUIET=1", "RAYON_NUM_THREADS={procs}"]);
    assert_eq!((api.rounds.min, api.rounds.max, api.budget.unwrap().as_secs()), (4, 8, 120));
    assert_eq!(bundled.workloads, ["sort", "sieve"]);
    assert!(bundled.quick && bundled.workload_args.scale == 0.5 && bundled.warmup == 0);
    assert!(sweeps.iter().all(|sweep| sweep.out.as_os_str() == "results"));
    assert!(bundled.place.as_deref().unwrap().ends_with("corefit.toml:13:1"), "{:?}", bundled.place);
}

#[test]
fn what_is_typed_goes_before_the_file_and_a_table_before_what_stands_above() {
    let typed = ["--rounds", "2..2", "--out", "x", "--env", "A", "--procs", "3", "--no-counters"];
    let sweeps =
        read("rounds = 9\nprocs = '1,2'\n[[sweep]]\ncommand = 'app'\nrounds = 7\nenv = 'B'\n", &typed);
    let sweep = &sweeps.unwrap()[0];
    assert_eq!((sweep.rounds.min, sweep.program.envs.as_slice()), (2, &["A".to_owned()][..]));
    assert_eq!((sweep.out.to_str(), sweep.procs.to_string().as_str()), (Some("x"), "3"));
    assert!(sweep.no_counters);
    let above = &read("rounds = 9\n[[sweep]]\ncommand = 'app'\nrounds = 7\n", &[]).unwrap()[0];
    assert_eq!(above.rounds.min, 7);
    assert!(read("rounds = 9\n[[sweep]]\nquick = true\n", &[]).unwrap()[0].quick, "it leaves out `rounds`");
    assert!(read("[[sweep]]\nrounds = 9\n", &["--quick"]).unwrap()[0].quick);
}

#[test]
fn a_flag_may_need_what_only_the_file_has() {
    let sweeps = read("[[sweep]]\ncommand = 'app'\n", &["--metric", "(x)"]).unwrap();
    assert_eq!(sweeps[0].command.metric.as_deref(), Some("(x)"));
}

#[test]
fn a_shell_gets_its_command_as_one_word() {
    let sweeps = read("[[sweep]]\nshell = true\ncommand = 'a | b > \"c\"'\n", &[]).unwrap();
    assert_eq!(sweeps[0].program.argv, ["a | b > \"c\""]);
    assert!(sweeps[0].program.shell.is_some());
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    refused("[[sweep]]\nruonds = 3\n", &[], &["corefit.toml:2:1", "`ruonds`", "did you mean `rounds`?"]);
    refused("[[sweep]]\nxyzzy = 3\n", &[], &["corefit.toml:2:1", "`corefit schema config`"]);
    refused("[[sweep]]\nname = 'é'\n rounds = '9..3'\n", &[], &["corefit.toml:3:11", "9..3"]);
    refused("[[sweep]]\nquick = 'yes'\n", &[], &["corefit.toml:2:9", "`quick` takes true or false"]);
    refused("[[sweep]]\nrounds = true\n", &[], &["corefit.toml:2:10", "`rounds` takes a string or a number"]);
    refused("[[sweep]]\nmetric = { a = 1 }\n", &[], &["corefit.toml:2:10", "not a table"]);
    refused("[[sweep]]\nrounds = 2020-01-01\n", &[], &["corefit.toml:2:10", "a date"]);
    refused("[[sweep]]\nprocs = [[1]]\n", &[], &["corefit.toml:2:9", "an array inside"]);
    refused("[[sweep]]\nprocs = 0\n", &[], &["corefit.toml:2:9", "--procs"]);
    refused("[[sweep]]\nlower-is-better = true\n", &[], &["corefit.toml:1:1", "--metric"]);
    refused("[[sweep]]\nout = 'x'\n", &[], &["corefit.toml:2:1", "above the first"]);
    refused("[[sweep]]\ncommand = []\n", &[], &["corefit.toml:2:11", "empty"]);
    refused("[[sweep]]\ncommand = 'a | b'\n", &[], &["corefit.toml:2:11", "array"]);
    refused(
        "[[sweep]]\ncommand = 'a'\nworkload = 'sort'\n",
        &[],
        &["corefit.toml:1:1", "cannot be used with"],
    );
    refused("[[sweep]]\nname = \n", &[], &["corefit.toml:2:"]);
    refused("[[sweep]]\nname = 'a'\nname = 'b'\n", &[], &["corefit.toml:3:", "duplicate"]);
    refused("[[sweep]]\nconfig = 'a'\n", &[], &["corefit.toml:2:1", "unknown key `config`"]);
    refused("rounds = 3\n", &[], &["corefit.toml:1:1", "no `[[sweep]]`"]);
    refused("[sweep]\nrounds = 3\n", &[], &["corefit.toml:1:", "`[[sweep]]`"]);
    refused("sweep = [1]\n", &[], &["corefit.toml:1:10", "`[[sweep]]`"]);
    refused("", &[], &["no `[[sweep]]`"]);
}

#[test]
fn what_is_typed_wrong_is_told_without_a_place() {
    refused(TWO, &["--rounds", "0"], &["'0'", "--rounds"]);
    refused(TWO, &["--ruonds", "1"], &["--ruonds", "similar"]);
    refused(TWO, &["sort"], &["leave out the workload or command"]);
    refused(TWO, &["--", "true"], &["leave out the workload or command"]);
    let missing: Vec<OsString> = ["corefit", "sweep", "--config", "/no/such"].map(OsString::from).to_vec();
    let Err(Error::Config(line)) = expand(&missing) else { panic!("it has to be refused") };
    assert!(line.contains("`/no/such`"), "{line}");
}

#[test]
fn every_flag_of_a_sweep_is_a_key_of_the_file_and_of_its_schema() {
    let sweep = sweep_command();
    let schema = schema();
    let flags: Vec<String> = sweep
        .get_arguments()
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .filter(|flag| !NO_KEYS.contains(&flag.as_str()))
        .collect();
    assert!(flags.len() > 20, "{flags:?}");
    for key in flags.iter().map(String::as_str).chain(["workload", "command"]) {
        let property = &schema["properties"][key];
        assert!(property["description"].is_string() && !property["type"].is_null(), "{key}: {property}");
        let of_sweep = &schema["properties"]["sweep"]["items"]["properties"][key];
        assert_eq!(of_sweep.is_null(), OF_THE_RUN.contains(&key), "{key}");
        let quick = if property["type"] == "boolean" { "true" } else { "'1'" };
        let above = format!("{key} = {quick}\n[[sweep]]\n");
        if let Err(Error::Config(line)) = read(&above, &[]) {
            assert!(!line.contains("unknown key") && !line.contains("takes"), "{line}");
        }
    }
    for key in OF_THE_RUN {
        assert!(flags.iter().any(|flag| flag == key), "{key} is a flag");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_panics(text in "\\PC{0,60}", is_table in any::<bool>()) {
        let text = if is_table { format!("[[sweep]]\n{text}") } else { text };
        if let Err(Error::Config(line)) = read(&text, &[]) {
            prop_assert!(!line.contains('\n'), "{}", line);
        }
    }

    #[test]
    fn no_value_of_a_known_key_panics(
        key in prop::sample::select(vec!["procs", "rounds", "budget", "policy", "env", "command", "quick", "ops"]),
        value in "(true|-?[0-9]{1,20}(\\.[0-9]{1,3})?|'[^'\\pC]{0,20}'|\\[('[a-z.0-9{}=]{0,9}',?){0,3}\\]|\\{ ?a=1 ?\\}|inf|nan)",
    ) {
        if let Err(Error::Config(line)) = read(&format!("[[sweep]]\n{key} = {value}\n"), &[]) {
            prop_assert!(!line.contains('\n') && line.contains("corefit.toml:"), "{}", line);
        }
    }
}
