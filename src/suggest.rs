//! What somebody may have meant by a name that is none.

/// The one of `names` that is nearest to `typed`, if it is near.
#[must_use]
pub fn closest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = names.into_iter().map(|name| (edits(typed, name), name)).min();
    nearest.filter(|(edits, name)| *edits <= name.len() / 3).map(|(_, name)| name)
}

/// Levenshtein's distance: single-character insertions, deletions and replacements between two names.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_single_characters() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("sort", "sort"), 0);
    }

    #[test]
    fn only_what_is_near_is_suggested() {
        assert_eq!(closest("rayn", ["go", "rayon"]), Some("rayon"));
        assert_eq!(closest("x", ["go", "rayon"]), None);
        assert_eq!(closest("x", []), None);
    }
}
