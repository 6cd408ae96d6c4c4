//! The flame graphs in a target's folder.

use std::fs;
use std::io;
use std::path::Path;

use super::Error;
use crate::quote;

/// Their folder within the target's.
const FOLDER: &str = "flame";

/// A flame graph as it lies in a target's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flame {
    /// Its file's name without the suffix: `procs-2`, `off-cpu-procs-2`, `diff-1-4`.
    pub name: String,
    /// The whole SVG.
    pub svg: String,
}

/// Reads every flame graph of the target in `folder`, by name; may be empty.
///
/// # Errors
/// [`Error::Input`]: one is there and cannot be read.
pub fn flames(folder: &Path) -> Result<Vec<Flame>, Error> {
    let folder = folder.join(FOLDER);
    let fail = |path: &Path, error: &io::Error| {
        Error::Input(format!("cannot read the flame graphs in `{}`: {error}", quote::path(path)))
    };
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| fail(&folder, &error))?,
    };
    let mut flames = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| fail(&folder, &error))?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|suffix| suffix == "svg") && !name.starts_with('.') {
            let bytes = fs::read(&path).map_err(|error| fail(&path, &error))?;
            flames.push(Flame { name, svg: String::from_utf8_lossy(&bytes).into_owned() });
        }
    }
    flames.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(flames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_are_what_ends_in_svg() {
        let target = tempfile::tempdir().unwrap();
        assert_eq!(flames(target.path()).unwrap(), []);
        let folder = target.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        for (name, text) in
            [("procs-2.svg", "b"), ("diff-1-2.svg", "a"), ("procs-2.folded", "x"), (".t.svg", "x")]
        {
            fs::write(folder.join(name), text).unwrap();
        }
        let names: Vec<String> = flames(target.path()).unwrap().into_iter().map(|flame| flame.name).collect();
        assert_eq!(names, ["diff-1-2", "procs-2"]);
    }
}
