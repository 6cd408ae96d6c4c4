//! What the docs say is tried: every command is run, every column and link is looked up.

#[path = "docs/commands.rs"]
mod commands;
mod corefit;
#[path = "docs/desk.rs"]
mod desk;
#[path = "docs/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ::corefit::cli;
use commands::{Typed, arguments, fenced, pages, root, simple_commands, text, typed};
use corefit::Corefit;
use desk::{ADDRESS, Desk};
use regex::Regex;
use rules::{How, MAY_END_WITH, RULES};

fn has(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).expect("a pattern").is_match(text)
}

/// What is wrong with a command, if anything is.
fn try_out(desk: &Desk, command: &Typed) -> Result<(), String> {
    let commands = simple_commands(&command.text).ok_or("a quote is not closed")?;
    // Without quotes, variables before it and the remark behind it.
    let plain = commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" | ");
    let rule = RULES.iter().find(|(pattern, ..)| has(pattern, &plain));
    let (_, how, _) = rule.ok_or("no rule says how it is run: add one to tests/docs/rules.rs")?;
    let more = match how {
        How::Shown => return look_up(&commands),
        How::ParseOnly => return commands.iter().filter_map(|words| arguments(words)).try_for_each(parse),
        How::AsItIs => &[],
        How::With(more) => *more,
    };
    let of_the_tool = commands.iter().find_map(|words| arguments(words)).unwrap_or_default();
    let flag = |argument: &str| argument.split('=').next().unwrap_or_default().to_owned();
    let typed: Vec<String> = of_the_tool.iter().map(|argument| flag(argument)).collect();
    let more: Vec<&str> = more.iter().copied().filter(|argument| !typed.contains(&flag(argument))).collect();
    let subcommand = of_the_tool.first().map_or("", String::as_str);
    let done = desk.run(&command.text, subcommand, &more);
    let may_end =
        MAY_END_WITH.iter().any(|(pattern, code, _)| *code == done.code && has(pattern, &command.text));
    match done.code {
        0 => Ok(()),
        _ if may_end => Ok(()),
        code => Err(format!("with {more:?} it ends with {code}: {}", done.err)),
    }
}

/// The tool's own reading of its arguments.
fn parse(arguments: &[String]) -> Result<(), String> {
    let words: Vec<OsString> =
        std::iter::once("corefit".into()).chain(arguments.iter().map(OsString::from)).collect();
    match cli::parse_from(&words) {
        Ok(_) => Ok(()),
        Err(cli::Error::Clap(error)) => Err(cli::usage_line(&error)),
        Err(cli::Error::Config(line)) => Err(line),
    }
}

/// Whether the scripts that are named are there.
fn look_up(commands: &[Vec<String>]) -> Result<(), String> {
    let scripts = commands.iter().flatten().filter(|word| word.starts_with("scripts/"));
    let missing: Vec<_> = scripts.filter(|script| !root().join(script).exists()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not there: {missing:?}")) }
}

#[track_caller]
fn try_pages(pages: &[PathBuf]) {
    let mut wrong = Vec::new();
    for page in pages {
        let commands = typed(&text(page));
        let desk = Desk::new(&commands);
        for command in &commands {
            let begun = Instant::now();
            let outcome = try_out(&desk, command);
            println!(
                "{:5.1} s  {}:{}  {}",
                begun.elapsed().as_secs_f64(),
                page.display(),
                command.line,
                command.text
            );
            wrong.extend(
                outcome
                    .err()
                    .map(|why| format!("{}:{}: `{}`: {why}", page.display(), command.line, command.text)),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_of_the_tour_works() {
    try_pages(&["README.md".into()]);
}

#[test]
fn every_command_of_the_other_pages_works() {
    let pages: Vec<_> = pages().into_iter().filter(|page| page != Path::new("README.md")).collect();
    try_pages(&pages);
}

/// Stands in for the servers of the docs: nothing without [`ADDRESS`].
#[test]
fn process_that_serves() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let listener = TcpListener::bind(address).expect("an address of its own");
    for mut connection in listener.incoming().flatten() {
        // Whoever only looks whether it is there goes away without a question.
        let _ = connection.read(&mut [0; 1024]);
        let _ = connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
}

#[test]
fn no_command_stands_where_it_is_not_tried() {
    for page in pages() {
        for (line, language, text) in fenced(&text(&page)) {
            let is_command = has(r"^\s*\$ |^([A-Z_]+=\S+ )*corefit [a-z]+( |$)", text);
            let is_tried = language == "console" && text.trim_start().starts_with("$ ");
            assert!(
                !is_command || is_tried || language == "text",
                "{}:{line}: `{text}` is tried in a block ```console, as `$ …`",
                page.display()
            );
        }
    }
}

#[test]
fn links_lead_to_something() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    for page in pages().into_iter().chain(["ARCHITECTURE.md".into(), "CHANGELOG.md".into()]) {
        let text = text(&page);
        for found in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            let path = found.split('#').next().unwrap_or_default();
            let is_elsewhere = found.contains("://") || path.is_empty();
            let target = root().join(&page).parent().expect("a folder").join(path);
            assert!(is_elsewhere || target.exists(), "{}: {found} leads nowhere", page.display());
        }
    }
}

#[test]
fn the_index_names_every_page() {
    let index = text(Path::new("docs/README.md"));
    for page in pages().into_iter().filter(|page| page.starts_with("docs")) {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(
            name == "README.md" || index.contains(&format!("({name})")),
            "docs/README.md does not name {name}"
        );
    }
}

/// The names in the first cells of the first table below `heading`.
fn names_below(page: &str, heading: &str) -> BTreeSet<String> {
    let (_, below) = page.split_once(heading).unwrap_or_else(|| panic!("no `{heading}`"));
    let rows =
        below.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    let name = Regex::new("`([^`]+)`").expect("a pattern");
    name.captures_iter(&cells.join(" ")).map(|found| found[1].to_owned()).collect()
}

fn owned<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_file_column_and_field_is_explained() {
    let corefit = Corefit::new();
    corefit
        .run(&["sweep", "--procs", "1", "--rounds", "1..1", "--no-flamegraph", "--name", "t", "--", "true"])
        .assert_code(0);
    let page = text(Path::new("profiles/README.md"));
    let entries = std::fs::read_dir(corefit.path("profiles/t")).expect("a folder").flatten();
    for name in entries.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let is_told = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}/"));
        assert!(is_told || name.starts_with('.'), "profiles/README.md does not tell of {name}");
    }
    for file in ["samples.csv", "summary.csv"] {
        let written = corefit.read(&format!("profiles/t/{file}"));
        let header = written.lines().next().expect("a header").split(',');
        let explained = names_below(&page, &format!("## Columns of `{file}`"));
        assert_eq!(explained, owned(header), "explained in profiles/README.md (left), in {file} (right)");
    }
    let manifest: serde_json::Value =
        serde_json::from_str(&corefit.read("profiles/t/sweep.json")).expect("a document");
    let fields =
        |value: &serde_json::Value| owned(value.as_object().expect("an object").keys().map(String::as_str));
    for (heading, value) in
        [("## Fields of `sweep.json`", &manifest), ("### `recommendation`", &manifest["recommendation"])]
    {
        let explained = names_below(&page, heading);
        let unexplained: Vec<_> = fields(value).difference(&explained).cloned().collect();
        assert!(
            unexplained.is_empty(),
            "below `{heading}` in profiles/README.md are missing: {unexplained:?}"
        );
    }
}
