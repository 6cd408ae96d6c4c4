//! Where the commands of one page are run: a folder with what they name, and stand-ins for what is not ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use ::corefit::cli::{self, Command as Subcommand};
use regex::Regex;
use tempfile::TempDir;

use super::commands::{self, Typed};
use super::corefit::Done;
use super::rules::{SAYS, STAND_INS};

const TOOL: &str = env!("CARGO_BIN_EXE_corefit");
/// Tells this binary that it is to be a server, and at which address.
pub(crate) const ADDRESS: &str = "COREFIT_DOCS_ADDRESS";

pub(crate) struct Desk {
    folder: TempDir,
    /// Takes the place of 127.0.0.1, so that a server's port is nobody else's.
    host: String,
}

impl Desk {
    /// With all that `commands` name.
    pub(crate) fn new(commands: &[Typed]) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        // ORDERING: Relaxed; a number of its own for each, and nothing else is published.
        let host = format!("127.{}.{high}.{low}", NEXT.fetch_add(1, Ordering::Relaxed));
        let desk = Self { folder: TempDir::with_prefix("corefit-docs-").expect("a temporary folder"), host };
        desk.put_programs(commands);
        desk.put_files();
        desk.put_results(commands);
        desk
    }

    fn path(&self, relative: &str) -> std::path::PathBuf {
        self.folder.path().join(relative)
    }

    fn write(&self, relative: &str, text: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be written");
        fs::write(path, text).expect("the folder can be written");
    }

    fn write_script(&self, relative: &str, text: &str) {
        self.write(relative, &format!("#!/bin/sh\n{text}"));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path(relative), mode).expect("the folder can be written");
    }

    fn put_programs(&self, commands: &[Typed]) {
        let stand_in = format!("cat >/dev/null\ncat <<'END'\n{SAYS}END\n");
        for name in STAND_INS {
            self.write_script(&format!("bin/{name}"), &stand_in);
        }
        let local = Regex::new(r"\.\.?/([A-Za-z0-9_-]+)(?:['\s]|$)").expect("a pattern");
        for typed in commands {
            for found in local.captures_iter(&typed.text) {
                self.write_script(&found[1], &stand_in);
            }
        }
        let this = std::env::current_exe().expect("this binary");
        for server in commands.iter().filter_map(|typed| server_of(&typed.text)) {
            self.write_script(&server, &format!("exec '{}' process_that_serves --exact\n", this.display()));
        }
        let tool = format!(
            "subcommand=$1\n[ $# -gt 0 ] && shift\n[ \"$subcommand\" = \"$DOCS_SUBCOMMAND\" ] && set -- $DOCS_MORE \"$@\"\n\
             exec '{TOOL}' ${{subcommand:+\"$subcommand\"}} \"$@\"\n"
        );
        let from_sources = "while [ \"$1\" != -- ]; do shift; done\nshift\nexec corefit \"$@\"\n";
        self.write_script("bin/corefit", &tool);
        self.write_script("target/release/corefit", &tool);
        self.write_script("bin/cargo", from_sources);
    }

    fn put_files(&self) {
        self.write("results.csv", "threads,rps\n1,100\n1,101\n2,180\n2,181\n");
        let config = commands::text(Path::new("docs/config.md"));
        let lines = commands::fenced(&config).into_iter().filter(|(_, language, _)| *language == "toml");
        let config: Vec<&str> = lines.map(|(_, _, line)| line).collect();
        self.write("corefit.toml", &config.join("\n"));
        self.write_script("api-bench", &format!("echo '{}'\n", SAYS.lines().next().unwrap_or_default()));
        self.write("data/big.gz", "");
        let run = |threads: u32| {
            let time_s = 1.0 / f64::from(threads);
            serde_json::json!({"command": "./app", "mean": time_s, "times": [time_s], "exit_codes": [0], "parameters": {"threads": threads.to_string()}})
        };
        self.write("scan.json", &serde_json::json!({"results": [run(1), run(2)]}).to_string());
    }

    /// A small sweep for each folder of results that is named.
    fn put_results(&self, commands: &[Typed]) {
        let named = Regex::new(r"profiles/([A-Za-z0-9_@-]+)(\.prev)?(?:[/\s]|$)").expect("a pattern");
        let mut names = vec![("bench".to_owned(), false)];
        for typed in commands {
            names.extend(
                named.captures_iter(&typed.text).map(|found| (found[1].to_owned(), found.get(2).is_some())),
            );
        }
        for (name, has_previous) in names {
            let is_workload = corefit_workloads::all().iter().any(|workload| workload.name == name);
            let what =
                if is_workload { format!("{name} --scale 0.01") } else { format!("--name '{name}' -- true") };
            let sweep = format!("corefit sweep --procs 1,2 --rounds 2..2 --warmup 0 --no-flamegraph {what}");
            for _ in 0..=usize::from(has_previous) {
                self.run(&sweep, "", &[]).assert_code(0);
            }
        }
    }

    /// What a shell makes of `text`, with `more` arguments for the tool's `subcommand`.
    pub(crate) fn run(&self, text: &str, subcommand: &str, more: &[&str]) -> Done {
        let text = text.replace("127.0.0.1", &self.host);
        let system = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.args(["-c", &text]).current_dir(self.folder.path()).stdin(Stdio::null()).env_clear();
        command.env("PATH", format!("{}:{system}", self.path("bin").display()));
        command
            .env("HOME", self.folder.path())
            .env("DOCS_SUBCOMMAND", subcommand)
            .env("DOCS_MORE", more.join(" "));
        if let Some(address) = Regex::new(r"127\.[0-9.]+:[0-9]+").expect("a pattern").find(&text) {
            command.env(ADDRESS, address.as_str());
        }
        Done::of(command.output().expect("a shell"))
    }
}

/// The server's program, if the command starts one.
fn server_of(text: &str) -> Option<String> {
    let words = commands::simple_commands(text)?.into_iter().next()?;
    let arguments = commands::arguments(&words)?;
    let mut all = vec!["corefit".into()];
    all.extend(arguments.iter().map(Into::into));
    let Subcommand::Sweep(sweep) = cli::parse_from(&all).ok()?.command else { return None };
    let server = shlex::split(&sweep.serving.serve?)?.into_iter().next()?;
    // One without a path is found where the other stand-ins are.
    Some(server.strip_prefix("./").map_or_else(|| format!("bin/{server}"), str::to_owned))
}
