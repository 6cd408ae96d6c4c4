//! What the binary says of itself: help, pages, completions, manual, colours.

mod corefit;

use std::fs;
use std::process::{Command, Stdio};

use corefit::{Corefit, Done};

/// Every subcommand, as `--help` lists them.
fn subcommands(corefit: &Corefit) -> Vec<String> {
    let help = corefit.run(&["--help"]);
    help.assert_code(0);
    let listed =
        help.out.lines().skip_while(|line| *line != "Measure:").take_while(|line| *line != "Options:");
    let lines = listed.filter(|line| line.starts_with("  "));
    lines.map(|line| line.split_whitespace().next().expect("a name").to_owned()).collect()
}

#[test]
fn nothing_typed_says_what_to_do_next() {
    let done = Corefit::new().run(&[]);
    done.assert_code(2);
    assert!(
        done.out.is_empty() && done.err.contains("corefit sweep") && done.err.lines().count() < 10,
        "{}",
        done.err
    );
}

#[test]
fn every_page_of_help_is_there_and_plain_in_a_pipe() {
    let corefit = Corefit::new();
    let mut pages = subcommands(&corefit);
    assert!(pages.len() >= 15 && pages.contains(&"sweep".to_owned()), "{pages:?}");
    pages.extend(["procs", "metrics", "policies", "files"].map(str::to_owned));
    for page in &pages {
        let done = corefit.run(&["help", page]);
        done.assert_code(0);
        assert!(
            done.err.is_empty() && done.out.contains("corefit") && !done.out.contains('\u{1b}'),
            "{page}: {}",
            done.out
        );
    }
    let columns = corefit.run(&["help", "files"]).out;
    assert!(
        columns.contains("run_queue_wait_s") && columns.contains("How long its threads were ready"),
        "{columns}"
    );
    assert_eq!(corefit.run(&["help"]).out, corefit.run(&["--help"]).out);
    let wrong = corefit.run(&["help", "polices"]);
    wrong.assert_code(2);
    assert!(wrong.err.contains("did you mean `policies`?"), "{}", wrong.err);
}

/// Whether `shell` reads `script` without an error; `true`, which is printed, where there is no such shell.
fn reads(shell: &str, script: &std::path::Path) -> bool {
    match Command::new(shell).arg("-n").arg(script).stdin(Stdio::null()).output() {
        Ok(output) => output.status.success() && output.stderr.is_empty(),
        Err(_) => {
            println!("skipped: there is no {shell}");
            true
        }
    }
}

#[test]
fn shells_read_their_completions_and_find_the_workloads_in_them() {
    let corefit = Corefit::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = corefit.run(&["completions", shell]);
        done.assert_code(0);
        for part in ["ping_pong", "with-default", "policies", "rayon"] {
            assert!(done.err.is_empty() && done.out.contains(part), "{shell}: {part}");
        }
        corefit.write(shell, &done.out);
        assert!(reads(shell, &corefit.path(shell)), "{shell}");
    }
    corefit.run(&["completions", "tcsh"]).assert_code(2);
}

/// What `shell` prints when it runs `script` in the folder; `None`, which is said, where there is no such shell.
fn said(corefit: &Corefit, shell: &[&str], script: &str) -> Option<String> {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", script]).current_dir(corefit.path("")).stdin(Stdio::null());
    let Ok(output) = command.env("HOME", corefit.path("")).output() else {
        println!("skipped: there is no {}", shell[0]);
        return None;
    };
    let done = Done::of(output);
    assert!(done.code == 0, "{}", done.err);
    Some(done.out)
}

/// A line that is typed so far, and what has to be offered for its last word.
const TYPED: [(&str, &str); 8] = [
    ("corefit swe", "sweep"),
    ("corefit sweep mat", "matmul"),
    ("corefit run pi", "pipeline"),
    ("corefit flamegraph so", "sort"),
    ("corefit export p --format ma", "markdown"),
    ("corefit schema rec", "recommendation"),
    ("corefit help pol", "policies"),
    ("corefit man comp", "compare"),
];

#[test]
fn bash_and_fish_complete_what_is_typed() {
    let corefit = Corefit::new();
    for shell in ["bash", "fish"] {
        corefit.write(shell, &corefit.run(&["completions", shell]).out);
    }
    for (typed, offered) in TYPED {
        let in_bash = format!(
            "source ./bash; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _corefit corefit \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let in_fish = format!("source ./fish; complete -C '{typed}'");
        for (shell, script) in
            [(&["bash", "--norc"][..], in_bash), (&["fish", "--no-config", "--private"][..], in_fish)]
        {
            let Some(said) = said(&corefit, shell, &script) else { continue };
            let is_offered = said.lines().any(|line| line.split('\t').next() == Some(offered));
            assert!(is_offered, "{typed} in {}: {said}", shell[0]);
        }
    }
}

#[test]
fn there_is_a_manual_page_of_each_subcommand() {
    let corefit = Corefit::new();
    let done = corefit.run(&["man"]);
    done.assert_code(0);
    assert!(done.out.contains(".TH corefit 1") && done.out.contains("corefit\\-sweep(1)"), "{}", done.out);
    corefit.run(&["man", "--dir", "man"]).assert_code(0);
    let names: Vec<String> = subcommands(&corefit).iter().map(|name| format!("corefit-{name}.1")).collect();
    for name in &names {
        let page = corefit.read(&format!("man/{name}"));
        let title = format!(".TH {} 1", name.trim_end_matches(".1"));
        assert!(page.contains(&title) && page.contains("Example"), "{name}: {page}");
    }
    assert_eq!(fs::read_dir(corefit.path("man")).unwrap().count(), names.len() + 1);
    assert_eq!(corefit.run(&["man", "sweep"]).out, corefit.read("man/corefit-sweep.1"));
    let wrong = corefit.run(&["man", "swep"]);
    wrong.assert_code(2);
    assert!(wrong.err.contains("did you mean `sweep`?"), "{}", wrong.err);
}

#[test]
fn colour_is_as_asked_for() {
    let corefit = Corefit::new();
    let is_coloured = |args: &[&str], variable: &str| {
        let mut command = corefit.command(args);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.env(variable, "1").env("TERM", "xterm-256color");
        let done = Done::of(command.output().unwrap());
        done.assert_code(0);
        done.out.contains('\u{1b}')
    };
    assert!(!is_coloured(&["list"], "X"), "a pipe gets none");
    assert!(is_coloured(&["list"], "CLICOLOR_FORCE"));
    assert!(is_coloured(&["list", "--color", "always"], "NO_COLOR"), "what is typed goes first");
    assert!(!is_coloured(&["list", "--color", "never"], "CLICOLOR_FORCE"));
    assert!(is_coloured(&["--help"], "CLICOLOR_FORCE"));
    assert!(
        !is_coloured(&["list", "--json", "--color", "always"], "X"),
        "a document has none, whatever is asked for"
    );
}

#[test]
fn verbose_says_what_is_measured_how() {
    let corefit = Corefit::new();
    let done = corefit.small_sweep("app", "1", 1, &["-v", "--json", "--", "true"]);
    done.assert_code(0);
    for part in [
        "measured how:",
        "COREFIT_RESULT_FD",
        "wait4",
        "run_queue_wait_s",
        "--no-flamegraph",
        "app · round 1",
    ] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
    assert_eq!(done.json()["schema"], 1, "standard output is the document alone");
}
