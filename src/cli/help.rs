//! `corefit help`, and what is said to somebody who types nothing at all.

use clap::Args;

/// `corefit help`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  corefit help procs\n  corefit help sweep")]
pub struct HelpArgs {
    /// procs, metrics, policies, files, or a subcommand (default: what `--help` says)
    #[arg(value_name = "PAGE")]
    pub page: Option<String>,
}

/// A page about what several subcommands share.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// What is typed after `corefit help`.
    pub name: &'static str,
    /// The page.
    pub text: &'static str,
}

impl Topic {
    /// What the page is about.
    #[must_use]
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default()
    }
}

/// All of them.
pub const TOPICS: [Topic; 4] = [
    Topic { name: "procs", text: include_str!("topics/procs.txt") },
    Topic { name: "metrics", text: include_str!("topics/metrics.txt") },
    Topic { name: "policies", text: include_str!("topics/policies.txt") },
    Topic { name: "files", text: include_str!("topics/files.txt") },
];

/// What to do first.
pub(super) const FIRST_STEPS: &str = "\
corefit finds the worker count that fits a program: it measures several and
recommends one.

  corefit doctor                      what can be measured on this machine
  corefit sweep mandelbrot --quick    a first look at a bundled workload
  corefit sweep --preset go -- ./app  your own; also tokio, rayon, openmp, jvm
  corefit --help                      all subcommands, and pages of help
";

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use crate::cli::{TOPICS, command, parse_from};

    use super::FIRST_STEPS;

    /// The command lines in a text: lines that begin with `corefit`, up to two blanks, which a remark follows, or up to what
    /// only a shell reads.
    fn command_lines(text: &str) -> Vec<String> {
        let mut parts = text.split("\\\n");
        let first = parts.next().unwrap_or_default().to_owned();
        // A line that goes on is joined with the next, without what that is indented by.
        let whole = parts.fold(first, |whole, part| format!("{}{}", whole, part.trim_start()));
        let lines = whole.lines().filter(|line| line.starts_with("  ")).map(str::trim);
        let lines = lines.filter(|line| line.starts_with("corefit "));
        let ends = [" > ", " | ", "; ", " && "];
        lines
            .map(|line| {
                let line = line.split("  ").next().unwrap_or_default();
                let end = ends.iter().filter_map(|end| line.find(end)).min();
                line[..end.unwrap_or(line.len())].replace('…', "")
            })
            .collect()
    }

    #[test]
    fn every_example_is_a_command_line_that_is_understood() {
        let mut texts: Vec<String> = TOPICS.iter().map(|topic| topic.text.to_owned()).collect();
        texts.push(FIRST_STEPS.to_owned());
        let mut command = command();
        texts.extend(command.get_after_help().map(ToString::to_string));
        texts.extend(
            command.get_subcommands_mut().filter_map(|sub| sub.get_after_help().map(ToString::to_string)),
        );
        let lines: Vec<String> = texts.iter().flat_map(|text| command_lines(text)).collect();
        assert!(lines.len() > 50, "{lines:#?}");
        for line in lines {
            let words = shlex::split(&line).unwrap_or_else(|| panic!("{line}"));
            let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
            match parse_from(&words) {
                Ok(_) => {}
                Err(crate::cli::Error::Clap(error)) if !error.use_stderr() => {}
                Err(error) => panic!("{line}: {error:?}"),
            }
        }
    }

    /// Columns of a terminal. Beyond them clap breaks a line of examples wherever that is.
    const WIDTH: usize = 80;

    #[test]
    fn no_page_is_wider_than_a_terminal() {
        let fits = |text: &str| text.lines().all(|line| line.chars().count() <= WIDTH);
        for text in TOPICS.iter().map(|topic| topic.text).chain([FIRST_STEPS]) {
            assert!(fits(text) && text.ends_with('\n'), "{text}");
        }
        let command = command();
        let examples = command.get_subcommands().chain([&command]).filter_map(|sub| sub.get_after_help());
        for text in examples.map(ToString::to_string) {
            assert!(fits(&text), "{text}");
        }
        let heads = command.get_subcommands().filter_map(|sub| sub.get_about());
        for text in heads.map(ToString::to_string) {
            // A name and the blanks around it stand before it.
            assert!(text.chars().count() + 15 <= WIDTH, "{text}");
        }
    }
}
