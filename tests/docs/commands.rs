//! The commands in the docs: lines that begin with `$ ` in fenced blocks called `console`.

use std::fs;
use std::path::{Path, PathBuf};

/// A command as the reader types it.
pub(crate) struct Typed {
    /// Line of the page.
    pub(crate) line: usize,
    /// All of it, also where it goes on in the next line.
    pub(crate) text: String,
}

/// The pages, as paths from the root of the project.
pub(crate) fn pages() -> Vec<PathBuf> {
    let root = root();
    let mut pages: Vec<PathBuf> =
        ["README.md", "profiles/README.md", "workloads/README.md"].map(PathBuf::from).to_vec();
    for entry in fs::read_dir(root.join("docs")).expect("the folder of the docs") {
        let name = entry.expect("an entry").file_name();
        if name.to_string_lossy().ends_with(".md") {
            pages.push(Path::new("docs").join(name));
        }
    }
    pages.sort();
    pages
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn text(page: &Path) -> String {
    fs::read_to_string(root().join(page)).expect("a page")
}

/// The lines of a page's fenced blocks, each with its number and the block's language.
pub(crate) fn fenced(page: &str) -> Vec<(usize, &str, &str)> {
    let mut language = None;
    let mut found = Vec::new();
    for (index, line) in page.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), language) {
            (Some(named), None) => language = Some(named.trim()),
            (Some(_), Some(_)) => language = None,
            (None, Some(language)) => found.push((index + 1, language, line)),
            (None, None) => {}
        }
    }
    found
}

/// The commands of a page, in its order.
pub(crate) fn typed(page: &str) -> Vec<Typed> {
    let mut found: Vec<Typed> = Vec::new();
    let mut goes_on = false;
    for (line, language, text) in fenced(page) {
        if goes_on && let Some(last) = found.last_mut() {
            last.text.push_str(text.trim());
        } else if let Some(text) = text.trim_start().strip_prefix("$ ").filter(|_| language == "console") {
            found.push(Typed { line, text: text.trim().to_owned() });
        } else {
            continue;
        }
        let last = found.last_mut().expect("one was just found");
        goes_on = last.text.ends_with('\\');
        if goes_on {
            last.text.pop();
        }
    }
    found
}

/// The words of each simple command: what stands between pipes, `;`, `&&` and `||`, without the variables before and the
/// redirections behind it. `None` if its quotes are not closed.
pub(crate) fn simple_commands(text: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    for word in shlex::split(text)? {
        let (word, ends) = match word.strip_suffix(';') {
            Some(word) => (word.to_owned(), true),
            None => (word, false),
        };
        if ["|", "&&", "||"].contains(&word.as_str()) {
            commands.push(Vec::new());
        } else if !word.is_empty() {
            commands.last_mut()?.push(word);
        }
        if ends {
            commands.push(Vec::new());
        }
    }
    Some(commands.into_iter().map(bare).filter(|words| !words.is_empty()).collect())
}

fn bare(words: Vec<String>) -> Vec<String> {
    let is_variable = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let is_redirection = |word: &String| word.trim_start_matches('2').starts_with(['>', '<']);
    words.into_iter().skip_while(is_variable).take_while(|word| !is_redirection(word)).collect()
}

/// The arguments of the tool, if a simple command starts it: by its name, or from its sources.
pub(crate) fn arguments(words: &[String]) -> Option<&[String]> {
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_name()? == "corefit" {
        return Some(rest);
    }
    let is_run = program == "cargo" && rest.first().is_some_and(|word| word == "run");
    let at = rest.iter().position(|word| word == "--").filter(|_| is_run)?;
    Some(&rest[at + 1..])
}
